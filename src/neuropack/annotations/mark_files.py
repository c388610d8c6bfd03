"""Files of boxes, points and class labels: told by content, read into one kind of table, and written again."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuropack.annotations.coco import coco_text, is_coco, read_coco
from neuropack.annotations.imagej import read_roi_marks
from neuropack.annotations.imagej_files import holds_rois
from neuropack.annotations.json_files import read_json
from neuropack.annotations.mapmanager import is_mapmanager, read_mapmanager
from neuropack.annotations.mark_columns import kind_of
from neuropack.annotations.mark_rows import NOBODY, UNSTATED, Ends, Marks, Rows, read_rows
from neuropack.annotations.mark_tables import boxes_of, classes_of, points_of
from neuropack.annotations.neuroglancer_layers import is_viewer_state
from neuropack.annotations.neuroglancer_marks import CSV_COLUMNS, marks_of_state, marks_of_tab
from neuropack.annotations.stated import Stated
from neuropack.errors import InputError, UsageError
from neuropack.marks import Credit, MarkKind, marks_schema
from neuropack.table import MISSING, csv_text, tsv_text
from neuropack.whole import published

if TYPE_CHECKING:
    import pyarrow as pa

_HEAD = 4096
SUFFIXES = (".tsv", ".csv", ".parquet", ".json")
FORMATS = (
    "CSV, TSV or Parquet with columns of boxes, points or classes; COCO or neuroglancer JSON; ROIs of ImageJ; "
    "a stack database of MapManager"
)


def holds_marks(path: Path) -> bool:
    """Whether a file is one of those that `read_marks` reads, told by content. Large JSON files are not parsed.

    Tables with a column of parents are nodes of skeletons, and no marks.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    if holds_rois(path):
        return True
    text = head.decode("utf-8-sig", "replace").lstrip()
    if text.startswith("{"):
        return any(f'"{word}"' in text for word in ("annotations", "layers", "annotation", "categories", "info"))
    try:
        return is_mapmanager(text) or head.startswith(b"PAR1") or _is_table(text)
    except csv.Error:
        return False


def _is_table(text: str) -> bool:
    line = text.partition("\n")[0].rstrip("\r")
    names = next(csv.reader([line], delimiter="\t" if "\t" in line else ","), [])
    return set(CSV_COLUMNS) <= set(names) or kind_of(name.strip() for name in names) is not None


def read_marks(
    path: Path,
    kind: MarkKind | None = None,
    stated: Stated = UNSTATED,
    credit: Credit = NOBODY,
    *,
    ends: Ends | None = None,
) -> Marks:
    """Read a file of marks, whatever program made it.

    Args:
        path: of the file.
        kind: boxes, points or classes, where it holds several.
        stated: what the file leaves open of its coordinates.
        credit: who made the marks, where the file does not say it.
        ends: whether the upper voxels of boxes are inside of them, where the file leaves it open.

    Raises:
        InputError: it is damaged, or no such file; says where, what was found and what to do.
        UsageError: something that is needed was not stated, or contradicts the file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    if holds_rois(path):
        return _of_kind(path, kind, read_roi_marks(path, kind, stated, credit, ends=ends))
    text = head.decode("utf-8-sig", "replace").lstrip()
    if text.startswith(("{", "[")):
        return _from_json(path, kind, stated, credit, ends)
    if is_mapmanager(text):
        return _of_kind(path, kind, read_mapmanager(path, stated, credit))
    return _from_rows(read_rows(path), kind, stated, credit, ends)


def _from_json(path: Path, kind: MarkKind | None, stated: Stated, credit: Credit, ends: Ends | None) -> Marks:
    content = read_json(path)
    if is_coco(content):
        return _of_kind(path, kind, read_coco(path, stated, credit, ends=ends, content=content))
    if is_viewer_state(content):
        return _of_kind(path, kind, marks_of_state(path, content, kind, stated, credit, ends=ends))
    raise InputError(
        "is no JSON of marks",
        file=path,
        expected="COCO, or the state of a neuroglancer viewer",
        found=_members(content),
    )


def _from_rows(rows: Rows, kind: MarkKind | None, stated: Stated, credit: Credit, ends: Ends | None) -> Marks:
    if set(CSV_COLUMNS) <= set(rows.names):
        return marks_of_tab(rows, kind, stated, credit, ends=ends)
    found = kind or kind_of(rows.names)
    if found == "boxes":
        return boxes_of(rows, stated, credit, ends)
    if found == "points":
        return points_of(rows, stated, credit)
    if found == "classes":
        return classes_of(rows, credit)
    raise InputError(
        "holds no marks",
        file=rows.path,
        expected=FORMATS,
        found=f"columns {', '.join(rows.names)[:200]}" if rows.names else "an empty file",
        fix="name its columns, such as z0, y0, x0, z1, y1, x1 or x_um, y_um, z_um",
    )


def _of_kind(path: Path, kind: MarkKind | None, marks: Marks) -> Marks:
    if kind is not None and marks.kind != kind:
        raise UsageError(f"holds no {kind}", file=path, found=marks.kind)
    return marks


def _members(content: Any) -> str:
    return f"an object with {', '.join(map(str, content))[:100]}" if isinstance(content, dict) else "a list"


def write_marks(path: Path, table: pa.Table, kind: MarkKind, *, overwrite: bool = False) -> None:
    """Write a table of marks; `read_marks` gives the very same table again.

    Args:
        path: ends in .tsv, .csv, .parquet or, for boxes, .json, which is COCO.
        table: of the columns of its kind.
        kind: of the marks.
        overwrite: replace a file.

    Raises:
        UsageError: the name ends otherwise, or a text holds what the format cannot carry.
        OutputError: the file is there already, or cannot be written.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None or (writer is _coco and kind != "boxes"):
        raise UsageError(
            f"{kind} are not written to such a file",
            file=path,
            expected=", ".join(SUFFIXES[:3] if kind != "boxes" else SUFFIXES),
            found=path.suffix or "no suffix",
        )
    table = table.select(marks_schema(kind).names).cast(marks_schema(kind))
    _check_texts(path, table)
    with published(path, overwrite) as partial:
        writer(partial, table)


def _tsv(path: Path, table: pa.Table) -> None:
    path.write_text(tsv_text(table.column_names, table.to_pylist()), encoding="utf-8", newline="\n")


def _csv(path: Path, table: pa.Table) -> None:
    text = csv_text(table.column_names, table.to_pylist(), MISSING)
    path.write_text(text, encoding="utf-8", newline="\n")


def _parquet(path: Path, table: pa.Table) -> None:
    from pyarrow import parquet

    parquet.write_table(table, path)


def _coco(path: Path, table: pa.Table) -> None:
    path.write_text(coco_text(table), encoding="utf-8", newline="\n")


_WRITERS: dict[str, Callable[[Path, Any], None]] = {
    ".tsv": _tsv,
    ".csv": _csv,
    ".parquet": _parquet,
    ".json": _coco,
}


def _check_texts(path: Path, table: pa.Table) -> None:
    """See that every text comes back as it is: an empty one reads as not known, as do those that mean it."""
    import pyarrow as pa

    plain = path.suffix.lower() in (".tsv", ".csv")
    for name in table.column_names:
        if table.schema.field(name).type != pa.string():
            continue
        for row, text in enumerate(table[name].to_pylist()):
            if text is None or not _lost(text, plain=plain, quoted=path.suffix.lower() == ".csv"):
                continue
            raise UsageError(
                "a text cannot be written so that it comes back the same",
                file=path,
                where=f"row {row + 1}, column {name}",
                expected="no empty text" + (f", no {MISSING}, tabs or line breaks, no blanks at the ends" * plain),
                found=repr(text)[:80],
                fix="mend the text" + (", or write Parquet" if text and plain else ""),
            )


def _lost(text: str, *, plain: bool, quoted: bool) -> bool:
    if not plain:
        return not text
    broken = any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in text)
    return broken or text != text.strip() or text in ("", MISSING) or (not quoted and '"' in text)
