"""Points and boxes of neuroglancer: the annotation layers of a viewer's state, and the CSV of its annotation tab.

A layer states the scale and order of its coordinates in ``dimensions``; they are continuous, voxel i from i to
i + 1. The CSV, of the viewer that Princeton's labs use, holds x, y, z in voxels and not their size.
Format: the JSON schema of the viewer state in neuroglancer's documentation (annotation layers, coordinate spaces).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neuropack.annotations.box_voxels import Number, voxel_boxes
from neuropack.annotations.json_files import Places, Record, read_json
from neuropack.annotations.mark_fields import unique
from neuropack.annotations.mark_rows import NOBODY, UNSTATED, Ends, Marks, Rows, as_text, normal, number, read_rows
from neuropack.annotations.mark_tables import points_um
from neuropack.annotations.stated import Stated
from neuropack.errors import InputError, UsageError
from neuropack.marks import Credit, MarkKind, marks_table

_PREFIX = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9, "p": 1e-12, "c": 1e-2}
_BOXES = ("axis_aligned_bounding_box", "ellipsoid")
CSV_COLUMNS = ("Coordinate 1", "Coordinate 2", "Ellipsoid Dimensions", "Type")
_CSV_TYPES = {"point": "point", "aabb": "axis_aligned_bounding_box", "ellipsoid": "ellipsoid", "line": "line"}


@dataclass(frozen=True)
class _Mark:
    """A point, or the corners of a box: x, y, z; what it is called, and what else is said of it."""

    type: str
    where: str
    low: list[Number]
    high: list[Number]
    id: str | None
    description: str | None
    segments: tuple[str, ...] = ()


def is_neuroglancer(value: Any) -> bool:
    """Whether the content of a JSON file is the state of a viewer, or an annotation layer of one."""
    if not isinstance(value, dict):
        return False
    return isinstance(value.get("layers"), list) or value.get("type") == "annotation"


def read_neuroglancer(
    path: Path,
    kind: MarkKind | None = None,
    stated: Stated = UNSTATED,
    credit: Credit = NOBODY,
    *,
    ends: Ends | None = None,
    content: Any = None,
) -> Marks:
    """Read the annotation layers of a viewer's state. Ellipsoids become the boxes around them.

    Args:
        path: of the JSON file.
        kind: points or boxes, where it holds both.
        stated: the voxel size of the image that boxes are counted in, where it is not the scale of the layer.
        credit: who made them.
        ends: none, for boxes are given by their faces.
        content: of the file, where it was read already.

    Raises:
        InputError: the file is damaged; names the place in it.
        UsageError: it holds points and boxes and none was chosen, or nothing states the scale.
    """
    top = Record.of(read_json(path) if content is None else content, path, "")
    layers = [top] if top.members.get("type") == "annotation" else top.records("layers")
    layers = [one for one in layers if one.members.get("type") == "annotation"]
    marks: list[_Mark] = []
    spaces: list[tuple[list[str], list[float]]] = []
    for layer in layers:
        space, found = None, layer.records("annotations")
        for one in found:
            space = space or _space(layer, top)
            spaces.append(space)
            marks.append(_mark(one, *space))
    if not marks:
        raise InputError(
            "holds no annotations", file=path, expected="layers of type annotation with annotations in them"
        )
    scales = {(s[names.index("z")], s[names.index("y")], s[names.index("x")]) for names, s in spaces}
    own = Stated(unit="um", origin="corner", voxel_size_um=scales.pop() if len(scales) == 1 else None)
    said = replace(own.completed(stated, path), voxel_size_um=stated.voxel_size_um or own.voxel_size_um)
    notes = [f"the marks of {len(layers)} layers are in one table"] if len(layers) > 1 else []
    return _made(path, marks, kind, said, credit, ends, notes)


def read_neuroglancer_csv(
    path: Path,
    kind: MarkKind | None = None,
    stated: Stated = UNSTATED,
    credit: Credit = NOBODY,
    *,
    ends: Ends | None = None,
    rows: Rows | None = None,
) -> Marks:
    """Read the CSV of the annotation tab.

    Args:
        path: of the file.
        kind: points or boxes, where it holds both.
        stated: the voxel size of the viewer; for points of voxels that count centres, that origin.
        credit: who made them.
        ends: of boxes: whether Coordinate 2 is inside.
        rows: of the file, where they were read already.

    Raises:
        InputError, UsageError: as `read_neuroglancer`.
    """
    rows = read_rows(path) if rows is None else rows
    at = {normal(name): i for i, name in enumerate(rows.names)}
    marks = [_csv_mark(rows, row, at) for row in range(len(rows))]
    said = Stated(unit="voxel", order="xyz").completed(stated, path)
    return _made(path, marks, kind, replace(said, order=None), credit, ends, [])


def _made(
    path: Path,
    marks: Sequence[_Mark],
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
    left = [f"{n} {name}(s)" for name, n in sorted(count.items()) if name not in wanted]
    notes = [*notes, *([f"left out: {', '.join(left)}"] if left else [])]
    if not taken:
        raise InputError(f"holds no {kind}", file=path, found=", ".join(left) or "nothing")
    if kind == "boxes" and count["ellipsoid"]:
        notes.append(f"{count['ellipsoid']} ellipsoid(s) became the boxes around them")
    rows = Places(path, [mark.where for mark in taken])
    ids = [mark.id for mark in taken]
    if all(one is None for one in ids):
        ids = [str(i + 1) for i in range(len(ids))]
        notes.append(f"the {kind} have no id: they are numbered from 1")
    several = sum(len(mark.segments) > 1 for mark in taken)
    if several:
        notes.append(f"left out: the segments of {several} mark(s) that have more than one")
    columns: dict[str, Any] = {
        "class": [mark.description for mark in taken],
        "neuron_id": [mark.segments[0] if len(mark.segments) == 1 else None for mark in taken],
    }
    if kind == "points":
        xyz = [[mark.low[i] for mark in taken] for i in range(3)]
        columns |= {"point_id": unique(ids, rows, "id"), **points_um(xyz, rows, said)}
        return Marks(marks_table("points", columns, credit, path), "points", tuple(notes))
    corners = [[min(mark.low[i], mark.high[i]) for mark in taken] for i in (2, 1, 0)]
    corners += [[max(mark.low[i], mark.high[i]) for mark in taken] for i in (2, 1, 0)]
    voxels, rounded = voxel_boxes(corners, rows, said, ends)
    columns |= {"box_id": unique(ids, rows, "id"), **voxels}
    return Marks(marks_table("boxes", columns, credit, path), "boxes", (*notes, *rounded))


def _space(layer: Record, top: Record) -> tuple[list[str], list[float]]:
    """The names of a layer's dimensions, and the micrometres of one step along each."""
    source = layer.members.get("source")
    source = source[0] if isinstance(source, list) and source else source
    found = layer.inside("annotationDimensions") if "annotationDimensions" in layer.members else None
    if isinstance(source, dict):
        transform = Record.of(source, layer.path, f"{layer.where}/source").inside("transform")
        if transform.members.get("matrix") is not None:
            raise transform.wrong("matrix", "no matrix: annotations in the coordinates of their layer")
        found = transform.inside("outputDimensions") if "outputDimensions" in transform.members else found
    found = found or top.inside("dimensions")
    names, scales = [*found.members], []
    if not set("xyz") <= set(names):
        raise UsageError(
            "does not state the scale of its coordinates",
            file=layer.path,
            where=found.where,
            expected='dimensions x, y, z, such as {"x": [8e-9, "m"], ...}',
            found=", ".join(names) or "no dimensions",
            fix="export the state of the viewer, with the layer in it",
        )
    for name in names:
        value = found.members[name]
        if name not in "xyz":
            scales.append(0.0)
            continue
        try:
            scale, unit = value
            size = float(number(scale)) * _PREFIX[unit.removesuffix("m")] * 1e6 if unit.endswith("m") else 0.0
            if isinstance(scale, str) or size <= 0:
                raise ValueError
        except (ValueError, TypeError, KeyError, AttributeError):
            raise found.wrong(name, 'a length such as [8e-9, "m"]') from None
        scales.append(float(f"{size:.12g}"))  # 8e-9 * 1e6 is 0.008 and a little
    return names, scales


def _mark(one: Record, names: list[str], scales: list[float]) -> _Mark:
    """An annotation in micrometre, x, y, z."""

    def xyz(key: str) -> list[Number]:
        numbers = one.numbers(key, (len(names),))
        return [numbers[names.index(axis)] * scales[names.index(axis)] for axis in "xyz"]

    kind = one.text("type") or ("point" if "point" in one.members else None)
    segments = one.members.get("segments") or []
    flat = (
        [s for part in segments for s in (part if isinstance(part, list) else [part])]
        if isinstance(segments, list)
        else []
    )
    about = (one.where, one.text("id"), one.text("description"), tuple(map(str, flat)))
    if kind == "point":
        low = high = xyz("point")
    elif kind == "axis_aligned_bounding_box":
        low, high = xyz("pointA"), xyz("pointB")
    elif kind == "ellipsoid":
        centre, radii = xyz("center"), xyz("radii")
        low = [a - b for a, b in zip(centre, radii, strict=True)]
        high = [a + b for a, b in zip(centre, radii, strict=True)]
    elif kind is None:
        raise one.wrong("type", "point, axis_aligned_bounding_box, ellipsoid, line or polyline")
    else:
        low = high = [0, 0, 0]
    return _Mark(kind, about[0], low, high, *about[1:])


def _csv_mark(rows: Rows, row: int, at: dict[str, int]) -> _Mark:
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
        centre, across = three("coordinate_1"), three("ellipsoid_dimensions")
        low = [a - b / 2 for a, b in zip(centre, across, strict=True)]
        high = [a + b / 2 for a, b in zip(centre, across, strict=True)]
    segments = tuple(re.findall(r"\d+", text("segment_ids") or ""))
    return _Mark(kind, rows.place(row), low, high, text("id"), text("description") or text("tags"), segments)
