"""Points and boxes of neuroglancer: the annotation layers of a viewer's state, and the CSV of its annotation tab.

A layer states scale and order of its coordinates. The CSV, of the viewer that Princeton's labs use, holds x, y, z
in voxels and not their size.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuropack.annotations.box_voxels import Number, voxel_boxes
from neuropack.annotations.json_files import Places, Record, read_json
from neuropack.annotations.mark_fields import confidence, unique
from neuropack.annotations.mark_fields import label as label_of
from neuropack.annotations.mark_rows import NOBODY, UNSTATED, Ends, Marks, Rows, as_text, normal, number, read_rows
from neuropack.annotations.mark_tables import points_um
from neuropack.annotations.neuroglancer_layers import ViewerMark, around, is_viewer_state, marks_of_layers
from neuropack.annotations.stated import Stated
from neuropack.errors import InputError, NeuropackError, UsageError
from neuropack.marks import PROVENANCES, Credit, MarkKind, marks_table

_BOXES = ("axis_aligned_bounding_box", "ellipsoid")
CSV_COLUMNS = ("Coordinate 1", "Coordinate 2", "Ellipsoid Dimensions", "Type")
_CSV_TYPES = {"point": "point", "aabb": "axis_aligned_bounding_box", "ellipsoid": "ellipsoid", "line": "line"}


def holds_viewer_marks(path: Path) -> bool:
    """Whether a file is the state of a viewer, an annotation layer, or the CSV of the annotation tab."""
    try:
        with path.open("rb") as file:
            head = file.read(4096).decode("utf-8-sig", "replace").lstrip()
        if head.startswith("{"):
            return is_viewer_state(read_json(path))
    except (OSError, NeuropackError):
        return False
    return set(CSV_COLUMNS) <= {cell.strip(' "\r') for cell in re.split("[,\t]", head.partition("\n")[0])}


def read_viewer_marks(
    path: Path,
    kind: MarkKind | None = None,
    stated: Stated = UNSTATED,
    credit: Credit = NOBODY,
    *,
    ends: Ends | None = None,
    layers: Collection[str] | None = None,
) -> Marks:
    """Read the annotations of a viewer. Ellipsoids become the boxes around them; lines are left out, and counted.

    The segment of a point is its neuron, that of a box its label; the description is the class.

    Args:
        path: of the JSON or CSV file.
        kind: points or boxes, where it holds both.
        stated: the voxel size of the image that boxes are counted in, where it is not the scale of the layer. For
            CSV, the voxel size of the viewer and the origin.
        credit: who made them, where properties of the annotations do not say it.
        ends: of boxes in CSV: whether Coordinate 2 is inside. In JSON boxes are given by their faces.
        layers: the names of the layers to take; all where it is None.

    Raises:
        InputError: the file is damaged; names the place in it.
        UsageError: it holds points and boxes and none was chosen, a layer is not there, or nobody states the scale.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096).decode("utf-8-sig", "replace").lstrip()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    if head.startswith(("{", "[")):
        return marks_of_state(path, read_json(path), kind, stated, credit, ends=ends, layers=layers)
    if layers is not None:
        raise UsageError("the CSV of the annotation tab is of one layer", file=path, fix="leave out the layers")
    return marks_of_tab(read_rows(path), kind, stated, credit, ends=ends)


def marks_of_state(
    path: Path,
    content: Any,
    kind: MarkKind | None = None,
    stated: Stated = UNSTATED,
    credit: Credit = NOBODY,
    *,
    ends: Ends | None = None,
    layers: Collection[str] | None = None,
) -> Marks:
    """The marks in the content of a JSON file, as `read_viewer_marks` reads them."""
    marks, notes = marks_of_layers(Record.of(content, path, ""), layers)
    if not marks:
        raise InputError(
            "holds no annotations",
            file=path,
            expected="layers of type annotation with annotations in them",
            found="; ".join(notes) or None,
        )
    if ends == "inclusive":
        raise UsageError("boxes of neuroglancer are given by their faces", file=path, fix="leave out --ends")
    said = Stated(unit="um", origin="corner").completed(replace(stated, order=None), path)
    names = {mark.layer for mark in marks}
    notes += [f"the marks of {len(names)} layers are in one table"] if len(names) > 1 else []
    return _made(path, marks, kind, said, credit, "half-open", notes)


def marks_of_tab(
    rows: Rows,
    kind: MarkKind | None = None,
    stated: Stated = UNSTATED,
    credit: Credit = NOBODY,
    *,
    ends: Ends | None = None,
) -> Marks:
    """The marks in the rows of a CSV file, as `read_viewer_marks` reads them."""
    at = {normal(name): i for i, name in enumerate(rows.names)}
    missing = [name for name in CSV_COLUMNS if normal(name) not in at]
    if missing:
        raise InputError(
            f"has no column {missing[0]}",
            file=rows.path,
            expected=", ".join(CSV_COLUMNS),
            found=", ".join(rows.names)[:200],
        )
    marks = [_csv_mark(rows, row, at) for row in range(len(rows))]
    said = Stated(unit="voxel", order="xyz").completed(stated, rows.path)
    return _made(rows.path, marks, kind, replace(said, order=None), credit, ends, [])


def _made(
    path: Path,
    marks: Sequence[ViewerMark],
    kind: MarkKind | None,
    said: Stated,
    credit: Credit,
    ends: Ends | None,
    notes: list[str],
) -> Marks:
    """The table of one kind, and what was left out."""
    count = Counter(mark.type for mark in marks)
    boxes, points = sum(count[name] for name in _BOXES), count["point"]
    if kind is None and boxes and points:
        raise UsageError(
            "holds points and boxes",
            file=path,
            found=f"{points} point(s), {boxes} box(es)",
            fix="say which to take: --kind points or --kind boxes on the line",
        )
    kind = kind or ("boxes" if boxes else "points")
    wanted = ("point",) if kind == "points" else _BOXES if kind == "boxes" else ()
    taken = [mark for mark in marks if mark.type in wanted]
    left = [f"{n} {name[:40]}(s)" for name, n in sorted(count.items()) if name not in wanted]
    notes = [*([f"left out: {', '.join(left)}"] if left else []), *notes]
    if not taken:
        raise InputError(f"holds no {kind}", file=path, found=", ".join(left) or "nothing")
    if kind == "boxes" and count["ellipsoid"]:
        notes.append(f"{count['ellipsoid']} ellipsoid(s) became the boxes around them")
    rows = Places(path, [mark.where for mark in taken])
    ids = unique(_ids(taken, kind, notes), rows, "id")
    columns: dict[str, Any] = {"class": [mark.description for mark in taken], **_told(path, taken, kind, notes)}
    if kind == "points":
        xyz = [[_um(mark, i) for mark in taken] for i in range(3)]
        columns |= {"point_id": ids, **points_um(xyz, rows, said)}
        return Marks(marks_table("points", columns, credit, path), "points", tuple(notes))
    corners, counted = _corners(taken, said)
    voxels, rounded = voxel_boxes(corners, rows, counted, ends)
    columns |= {"box_id": ids, **voxels}
    return Marks(marks_table("boxes", columns, credit, path), "boxes", (*notes, *rounded))


def _um(mark: ViewerMark, axis: int) -> Number:
    return mark.low[axis] * mark.scales[axis] if mark.scales is not None else mark.low[axis]


def _corners(taken: Sequence[ViewerMark], said: Stated) -> tuple[list[list[Number]], Stated]:
    """z0, y0, x0, z1, y1, x1 of boxes, and what they count: voxels where their layers count those of the image."""
    scales = {mark.scales for mark in taken}
    only = scales.pop() if len(scales) == 1 else None
    size = said.voxel_size_um or (only[::-1] if only is not None else None)
    same = only is not None and size == only[::-1]
    ends = []
    for pick in (min, max):
        for i in (2, 1, 0):
            steps = [1.0 if same or m.scales is None else m.scales[i] for m in taken]
            picked = [pick(m.low[i], m.high[i]) for m in taken]
            ends.append([p if s == 1.0 else p * s for p, s in zip(picked, steps, strict=True)])
    return ends, replace(said, unit="voxel" if same else said.unit, voxel_size_um=size)


def _ids(taken: Sequence[ViewerMark], kind: MarkKind, notes: list[str]) -> list[str | None]:
    """Their ids; with the name of the layer where two layers have the same."""
    if all(mark.id is None for mark in taken):
        notes.append(f"the {kind} have no id: they are numbered from 1")
        return [str(i + 1) for i in range(len(taken))]
    homes: dict[str | None, set[str]] = {}
    for mark in taken:
        homes.setdefault(mark.id, set()).add(mark.layer)
    if not any(len(found) > 1 for name, found in homes.items() if name is not None):
        return [mark.id for mark in taken]
    notes.append("layers share ids: the name of the layer stands before each")
    return [None if mark.id is None else f"{mark.layer}/{mark.id}" for mark in taken]


def _told(path: Path, taken: Sequence[ViewerMark], kind: MarkKind, notes: list[str]) -> dict[str, list[Any]]:
    """Neuron, label and credit: of properties, and of the one segment that a mark is linked to."""
    found: dict[str, list[Any]] = {}
    names = {name for mark in taken for name in mark.told}
    for name in sorted(names if kind == "boxes" else names - {"label"}):
        found[name] = [_value(path, mark, name) for mark in taken]
    place = "label" if kind == "boxes" else "neuron_id"
    several = wide = 0
    if any(mark.segments for mark in taken) and place not in found:
        found[place] = []
        for mark in taken:
            one = mark.segments[0] if len(mark.segments) == 1 and mark.segments[0].strip("0") else None
            large = one is not None and kind == "boxes" and int(one) >= 1 << 63
            found[place].append(None if one is None or large else int(one) if kind == "boxes" else one)
            several += len(mark.segments) > 1
            wide += large
    if several:
        notes.append(f"left out: the segments of {several} mark(s) that have more than one")
    if wide:
        notes.append(f"left out: the segments of {wide} box(es), which are no 63-bit label")
    return found


def _value(path: Path, mark: ViewerMark, name: str) -> str | int | float | None:
    text = mark.told.get(name)
    if text is None:
        return None
    try:
        if name == "confidence":
            return confidence(number(text))
        if name == "label":
            return label_of(text)
        if name == "provenance" and text not in PROVENANCES:
            raise ValueError(", ".join(PROVENANCES))
    except ValueError as error:
        raise InputError(
            f"the property {name} has another value than it should",
            file=path,
            where=mark.where,
            expected=str(error),
            found=text[:80],
        ) from None
    return text


def _csv_mark(rows: Rows, row: int, at: dict[str, int]) -> ViewerMark:
    """A row of the annotation tab, in voxels."""

    def three(name: str) -> list[Number]:
        column = at[name]
        cell = rows.columns[column][row]
        parts = re.split(r"[\s,x\u00d7]+", str(cell or "").strip(" ()[]"))
        try:
            numbers = [number(part) for part in parts]
            if len(numbers) != 3:
                raise ValueError
        except ValueError:
            raise rows.wrong("is no coordinate", row, column, "three numbers, such as (10, 20, 30)") from None
        return numbers

    def text(name: str) -> str | None:
        return as_text(rows.columns[at[name]][row]) if name in at else None

    word = (text("type") or "nothing").casefold()
    kind = _CSV_TYPES.get(word, word)
    low: list[Number] = [0, 0, 0]
    high = low
    if kind == "point":
        low = high = three("coordinate_1")
    elif kind == "axis_aligned_bounding_box":
        low, high = three("coordinate_1"), three("coordinate_2")
    elif kind == "ellipsoid":
        low, high = around(three("coordinate_1"), [n / 2 for n in three("ellipsoid_dimensions")])
    segments = tuple(re.findall(r"[0-9]{1,40}", text("segment_ids") or ""))
    about = (text("id"), text("description") or text("tags"), segments)
    return ViewerMark(kind, rows.place(row), "the annotation tab", None, low, high, *about)
