"""Boxes, points and class labels as Arrow tables, each record with who made it and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from neuropack.errors import InputError
from neuropack.table import MISSING

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

MarkKind = Literal["boxes", "points", "classes"]
Provenance = Literal["manual", "model", "corrected", "simulated"]
PROVENANCES: tuple[Provenance, ...] = get_args(Provenance)

_CREDIT = {"annotator": "string", "provenance": "string", "guideline_version": "string", "confidence": "float64"}
_BOX = {f"{axis}{end}": "int64" for end in (0, 1) for axis in "zyx"}
_COLUMNS: dict[MarkKind, dict[str, str]] = {
    "boxes": {"box_id": "string", **_BOX, "neuron_id": "string", "label": "int64", "class": "string", **_CREDIT},
    "points": {
        **{"point_id": "string", "x_um": "float64", "y_um": "float64", "z_um": "float64"},
        **{"neuron_id": "string", "class": "string", **_CREDIT},
    },
    "classes": {"object_kind": "string", "object_id": "string", "class": "string", **_CREDIT},
}
_NEEDED: dict[MarkKind, tuple[str, ...]] = {
    "boxes": ("box_id", *_BOX, "annotator", "provenance"),
    "points": ("point_id", "x_um", "y_um", "z_um", "annotator", "provenance"),
    "classes": ("object_kind", "object_id", "class", "annotator", "provenance"),
}
OBJECT_KINDS = ("image", "neuron", "label", "box", "point")
"""What a class label may be given to; `object_id` is the image's or neuron's identifier, the value of a label,
``box_id`` or ``point_id``."""


@dataclass(frozen=True)
class Credit:
    """Who made a mark, and how.

    Attributes:
        annotator: the person, or the model with its version.
        provenance: a word of `PROVENANCES`.
        guideline_version: of the guideline that annotators followed.
        confidence: from 0 to 1.
    """

    annotator: str | None = None
    provenance: Provenance | None = None
    guideline_version: str | None = None
    confidence: float | None = None


def marks_schema(kind: MarkKind) -> pa.Schema:
    """The columns of a table.

    Boxes are voxels, half open: z0, y0, x0 is the first voxel inside, z1, y1, x1 the one behind the last. Points
    are micrometre in the frame ``stack``. What is not known is null.
    """
    import pyarrow as pa

    types: dict[str, Any] = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}
    needed = _NEEDED[kind]
    return pa.schema([pa.field(name, types[t], nullable=name not in needed) for name, t in _COLUMNS[kind].items()])


def marks_table(
    kind: MarkKind, columns: dict[str, Any], credit: Credit | None = None, file: Path | str | None = None
) -> pa.Table:
    """A table of marks from its columns; what is left out is null, or what `credit` says.

    Args:
        kind: of the marks.
        columns: values by column; None in one of them is null.
        credit: who made them, where a row does not say it.
        file: they are from, for messages.

    Raises:
        InputError: a column has values of another type, or one that must be known is not.
    """
    import pyarrow as pa

    schema = marks_schema(kind)
    n = len(next(iter(columns.values()))) if columns else 0
    arrays = []
    for field in schema:
        values = columns.get(field.name)
        default = getattr(credit, field.name, None) if credit is not None and field.name in _CREDIT else None
        values = [None] * n if values is None else values
        try:
            array = pa.array(values, field.type, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise InputError(
                f"the column {field.name} holds another kind of value",
                file=file,
                expected=str(field.type),
                found=str(error),
            ) from error
        if default is not None and array.null_count:
            array = array.fill_null(pa.scalar(default, field.type))
        if not field.nullable and array.null_count:
            row = array.is_null().index(True).as_py()
            raise InputError(
                f"a record of {kind} has no {field.name}",
                file=file,
                where=f"row {row + 1}",
                fix=f"state the {field.name}: in the file, or for all of it",
            )
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=schema)


def marks_of_rows(kind: MarkKind, rows: Sequence[Mapping[str, str]], file: Path | str) -> pa.Table:
    """A table of marks from the rows of a TSV file of a release, as `neuropack.table.read_tsv` gives them.

    Raises:
        InputError: a number is none, or something that must be known is not.
    """
    columns: dict[str, list[Any]] = {}
    for field in marks_schema(kind):
        number = {"int64": int, "double": float}.get(str(field.type), str)
        cells = [row.get(field.name, MISSING) for row in rows]
        try:
            columns[field.name] = [None if cell == MISSING else number(cell) for cell in cells]
        except ValueError:
            at = next(i for i, cell in enumerate(cells) if not _is(number, cell))
            raise InputError(
                f"{field.name} is no number", file=file, where=f"line {at + 2}", found=cells[at]
            ) from None
    return marks_table(kind, columns, file=file)


def _is(number: Callable[[str], Any], cell: str) -> bool:
    try:
        number(cell)
    except ValueError:
        return cell == MISSING
    return True
