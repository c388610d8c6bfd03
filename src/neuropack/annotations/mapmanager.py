"""Spines of MapManager, the Igor program: the points of a stack database (``*_db2.txt``).

The first line is a list of ``key=value;``, the second the names of columns, and lines end with a carriage return.
x and y are micrometre, which are the numbers of pixels times ``voxelx`` and ``voxely``; z is the number of a slice
(control points, which were clicked, stand at whole multiples). A number names the centre of its pixel, for Igor
scales images so; where the traces of the same stack were taken as counted from corners, state that origin for both.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuropack.annotations.mark_rows import NOBODY, UNSTATED, Marks, Rows, number
from neuropack.annotations.mark_tables import points_of
from neuropack.annotations.stated import Stated
from neuropack.errors import InputError
from neuropack.marks import Credit

_HEADER = re.compile(r"(?:[A-Za-z]\w*=[^;=]*;)+")
_COLUMNS = ("Idx", "roiType", "x", "y", "z", "userName")
_NEEDED = ("voxelx", "voxely", "voxelz", "pixelx", "pixely", "pixelz")
SPINES = ("spineROI",)


def is_mapmanager(head: str) -> bool:
    """Whether a file that begins like this is a stack database of MapManager."""
    first, second = [*head.splitlines(), "", ""][:2]
    return "stackdb=" in first and _HEADER.fullmatch(first.strip()) is not None and second.startswith("Idx,roiType")


def read_mapmanager(
    path: Path, stated: Stated = UNSTATED, credit: Credit = NOBODY, *, kinds: Sequence[str] = SPINES
) -> Marks:
    """Read the spines of a stack as points of its whole frame; ``roiType`` is their class.

    Args:
        path: of the stack database.
        stated: another origin than the centre of the first pixel.
        credit: who made them, where a row does not say it.
        kinds: the types of points to take.

    Raises:
        InputError: it is no such file, or a point lies outside of its stack.
    """
    lines = _lines(path)
    sizes = _sizes(path, lines[0] if lines else "")
    header = next(csv.reader(lines[1:2]), [])
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        raise InputError(f"has no column {', '.join(missing)}", file=path, where="line 2")
    taken: list[tuple[int, dict[str, str]]] = []
    for line, cells in enumerate(csv.reader(lines[2:]), 3):
        row = dict(zip(header, cells, strict=False))
        if len(cells) < len(_COLUMNS):
            raise InputError("a row is cut short", file=path, where=f"line {line}", found=",".join(cells)[:80])
        if row.get("roiType") in kinds:
            taken.append((line, row))
    columns = _columns(path, taken, sizes)
    again = _numbered(columns["point_id"])
    places = [f"line {line}" for line, _ in taken]
    rows = Rows(path, [*columns], [*columns.values()], places)
    own = Stated(unit="um", voxel_size_um=(sizes["voxelz"], sizes["voxely"], sizes["voxelx"]))
    said = replace(own.completed(stated, path), origin=stated.origin or "centre")
    marks = points_of(rows, said, credit)
    counted = sizes.get("numSpines")
    notes = [] if tuple(kinds) != SPINES or counted in (None, len(taken)) else [
        f"its first line counts {counted:g} spines, but {len(taken)} stand in it"
    ]  # fmt: skip
    if again:
        notes.append(f"{again} point(s) have the Idx of one before: the second of 140 is called 140-2")
    return Marks(marks.table, marks.kind, (*notes, "the points are of the whole frame of the stack"))


def _columns(
    path: Path, taken: Sequence[tuple[int, dict[str, str]]], sizes: dict[str, float]
) -> dict[str, list[Any]]:
    """The columns of a table of points in micrometre."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("point_id", "x_um", "y_um", "z_um", "class", "annotator")
    }
    for line, row in taken:
        for axis in "xyz":
            size = sizes[f"voxel{axis}"]
            try:
                value = number(row[axis].strip()) * (size if axis == "z" else 1)
                if not 0 <= value <= sizes[f"pixel{axis}"] * size:
                    raise ValueError(f"a number inside of the stack, which has {sizes[f'pixel{axis}']:g} pixels")
            except ValueError as error:
                raise InputError(
                    "a point lies nowhere in the stack",
                    file=path,
                    where=f"line {line}, column {axis}",
                    expected=str(error),
                    found=row[axis][:80],
                ) from None
            columns[f"{axis}_um"].append(value)
        columns["point_id"].append(row["Idx"].strip() or None)
        columns["class"].append(row["roiType"])
        columns["annotator"].append(row.get("userName", "").strip() or None)
    return columns


def _numbered(names: list[Any]) -> int:
    """Give a name that comes again a number behind it, for MapManager counts some twice; how many there were."""
    seen: dict[Any, int] = {}
    for row, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        if name is not None and seen[name] > 1:
            names[row] = f"{name}-{seen[name]}"
    return sum(count - 1 for name, count in seen.items() if name is not None)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", file=path, found=str(error)) from error


def _sizes(path: Path, first: str) -> dict[str, float]:
    """The numbers of the first line."""
    found: dict[str, float] = {}
    for part in first.split(";"):
        key, _, value = part.partition("=")
        try:
            found[key.strip()] = float(number(value.strip()))
        except ValueError:
            continue  # names and dates
    lacking = [name for name in _NEEDED if not found.get(name, 0) > 0]
    if lacking:
        raise InputError(
            "is no stack database of MapManager",
            file=path,
            where="line 1",
            expected=f"key=value; of {', '.join(_NEEDED)}, above 0",
            found=f"no {', '.join(lacking)} in {first[:80]!r}",
        )
    return found
