"""Points and boxes as an annotation layer of a neuroglancer viewer, which `read_viewer_marks` reads back exactly.

What a layer has a place for goes there: the class is the description, the neuron of a point and the label of a box
the segment. The rest are properties whose numbers stand for words, so that a person sees and edits them in the
viewer. The viewer itself keeps coordinates as floats of 24 bits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neuropack.errors import UsageError
from neuropack.space.boxes import VOXELS
from neuropack.table import MISSING
from neuropack.volume import VoxelSize

if TYPE_CHECKING:
    import pyarrow as pa

_SEGMENT = re.compile("[1-9][0-9]{0,19}")
_WIDTHS = (("uint8", 1 << 8), ("uint16", 1 << 16), ("uint32", 1 << 32))
_KINDS = {"box_id": "boxes", "point_id": "points"}
_CREDIT = ("annotator", "provenance", "guideline_version", "confidence")


def viewer_layer(table: pa.Table, voxel_size_um: VoxelSize, *, name: str | None = None) -> dict[str, Any]:
    """An annotation layer, as the state of a viewer has them in ``layers``.

    Boxes count the voxels of the image, points micrometre; the layer states it.

    Args:
        table: of points or boxes, as `neuropack.marks.marks_table` makes them.
        voxel_size_um: z, y, x of the image, which boxes need.
        name: of the layer; points or boxes where it is None.

    Raises:
        UsageError: the table is of class labels, the voxel size is not known, or a text is empty.
    """
    kind = next((kind for name, kind in _KINDS.items() if name in table.column_names), None)
    if kind is None:
        raise UsageError("only points and boxes are layers of a viewer", found=", ".join(table.column_names)[:200])
    rows = table.to_pylist()
    _no_empty_text(rows)
    properties = [_Words(column, rows) for column in _as_words(kind, rows)]
    return {
        "type": "annotation",
        "name": kind if name is None else name,
        "source": {
            "url": "local://annotations",
            "transform": {"outputDimensions": _dimensions(kind, voxel_size_um)},
        },
        "tab": "annotations",
        "annotationProperties": [one.spec() for one in properties],
        "annotations": [_annotation(kind, row, properties) for row in rows],
    }


def _dimensions(kind: str, voxel_size_um: VoxelSize) -> dict[str, Any]:
    if kind == "points":
        return {axis: [1.0, "um"] for axis in "xyz"}
    sizes = dict(zip("zyx", voxel_size_um, strict=True))
    for axis, size in sizes.items():
        if size is None or not 0 < size < float("inf"):
            raise UsageError(
                "boxes in a viewer need the voxel size",
                where=f"the axis {axis}",
                expected="a length in micrometre",
                found="nothing" if size is None else str(size),
            )
    return {axis: [sizes[axis], "um"] for axis in "xyz"}


def _no_empty_text(rows: Sequence[dict[str, Any]]) -> None:
    for row, one in enumerate(rows):
        for column, value in one.items():
            if value == "":
                raise UsageError(
                    "a text cannot be written so that it comes back the same",
                    where=f"row {row + 1}, column {column}",
                    expected="no empty text",
                    fix="leave it out (null), or give it words",
                )


def _as_words(kind: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """The columns that become properties: those that hold something and have no other place."""
    linked = kind == "points" and all(_is_segment(row["neuron_id"]) for row in rows)
    columns = [*_CREDIT, *([] if linked else ["neuron_id"])]
    return [column for column in columns if any(row[column] is not None for row in rows)]


def _is_segment(text: str | None) -> bool:
    return text is None or (_SEGMENT.fullmatch(text) is not None and int(text) < 1 << 64)


class _Words:
    """A property whose numbers stand for the words of a column; 0 stands for nothing."""

    def __init__(self, column: str, rows: Sequence[dict[str, Any]]) -> None:
        self.column = column
        words = dict.fromkeys(self._word(row) for row in rows if row[column] is not None)
        self.numbers = {word: i for i, word in enumerate(words, 1)}

    def _word(self, row: dict[str, Any]) -> str:
        value = row[self.column]
        return value if isinstance(value, str) else repr(value)

    def spec(self) -> dict[str, Any]:
        """As ``annotationProperties`` has it."""
        count = len(self.numbers) + 1
        return {
            "id": self.column,
            "type": next(name for name, most in _WIDTHS if count <= most),
            "enum_values": list(range(count)),
            "enum_labels": [MISSING, *self.numbers],
        }

    def of(self, row: dict[str, Any]) -> int:
        """The number of a row."""
        return 0 if row[self.column] is None else self.numbers[self._word(row)]


def _annotation(kind: str, row: dict[str, Any], properties: Sequence[_Words]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if kind == "points":
        made |= {"type": "point", "id": row["point_id"], "point": [row[f"{axis}_um"] for axis in "xyz"]}
        segment = None if any(one.column == "neuron_id" for one in properties) else row["neuron_id"]
    else:
        low, high = [row[name] for name in VOXELS[:3]], [row[name] for name in VOXELS[3:]]
        made |= {"type": "axis_aligned_bounding_box", "id": row["box_id"]}
        made |= {"pointA": low[::-1], "pointB": high[::-1]}
        segment = row["label"]
    if row["class"] is not None:
        made["description"] = row["class"]
    if segment is not None:
        made["segments"] = [[str(segment)]]
    if properties:
        made["props"] = [one.of(row) for one in properties]
    return made
