"""Boxes in the JSON of COCO: ``bbox`` is x, y, width and height in voxels from the corner of the image.

COCO knows images only. Boxes of volumes have six numbers, whose order no standard states: neuropack writes x, y, z,
width, height, depth and says so in ``info.bbox_axes``. Boxes on images that are the slices of a stack need its z.
Format: https://cocodataset.org/#format-data (object detection).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuropack.annotations.box_voxels import Number, voxel_boxes
from neuropack.annotations.json_files import Places, Record, read_json
from neuropack.annotations.mark_fields import confidence, label, unique
from neuropack.annotations.mark_rows import NOBODY, UNSTATED, Ends, Marks, whole
from neuropack.annotations.stated import Stated
from neuropack.errors import InputError, UsageError
from neuropack.marks import PROVENANCES, Credit, marks_table
from neuropack.space.boxes import VOXELS

if TYPE_CHECKING:
    import pyarrow as pa

_NUMBERED = re.compile(r"(.*?)(\d{1,9})(\D*)", re.S)
_TEXTS = ("neuron_id", "annotator", "guideline_version")
_KNOWN = {"id", "box_id", "image_id", "category_id", "bbox", "z", "score", "label", "provenance", *_TEXTS}


def is_coco(value: Any) -> bool:
    """Whether the content of a JSON file is that of COCO."""
    return isinstance(value, dict) and "annotations" in value and bool({"images", "categories"} & set(value))


def read_coco(
    path: Path, stated: Stated = UNSTATED, credit: Credit = NOBODY, *, ends: Ends | None = None, content: Any = None
) -> Marks:
    """Read boxes.

    Args:
        path: of the file.
        stated: the order of six numbers, where the file does not say it: xyz or zyx.
        credit: who made them, where an annotation does not say it.
        ends: half-open at most, for the file gives lengths.
        content: of the file, where it was read already.

    Raises:
        InputError: the file is damaged, or an annotation is no box; names the place in it.
        UsageError: something that is needed was not stated.
    """
    top = Record.of(read_json(path) if content is None else content, path, "")
    found = top.records("annotations")
    rows = Places(path, [one.where for one in found])
    if ends == "inclusive":
        raise UsageError("COCO gives lengths, which have no inclusive ends", file=path, fix="leave out --ends")
    said = Stated(unit="voxel", origin="corner", order=_order(top)).completed(stated, path)
    flat = {len(one.numbers("bbox", (4, 6))) == 4 for one in found}
    if len(flat) > 1:
        raise InputError(
            "holds boxes of images and of volumes", file=path, expected="4 numbers in every bbox, or 6 in every one"
        )
    on_slice = True in flat
    notes: list[str] = []
    if on_slice:
        slices = _slices(top, found, notes)
    else:
        _one_image(top, found)
        if found:
            said.require(path, "order")
        slices = None
    corners = _corners(found, said, slices)
    columns, rounded = voxel_boxes(corners, rows, replace(said, order=None), "half-open", on_slice=on_slice)
    ids = [one.text("box_id") or one.text("id") for one in found]
    made: dict[str, Any] = {"box_id": unique(ids, rows, "id"), **columns, **_others(top, found)}
    left = sorted({name for one in found for name in one.members} - _KNOWN)
    notes += [*rounded, *([f"left out: {', '.join(left[:8])} of the annotations"] if left else [])]
    return Marks(marks_table("boxes", made, credit, path), "boxes", tuple(notes))


def _order(top: Record) -> Any:
    order = top.inside("info").members.get("bbox_axes")
    return order if order in ("xyz", "zyx") else None


def _corners(found: Sequence[Record], said: Stated, slices: list[int] | None) -> list[list[Number]]:
    """z0, y0, x0, z1, y1, x1 of all boxes."""
    corners: list[list[Number]] = [[] for _ in VOXELS]
    for row, one in enumerate(found):
        numbers = one.numbers("bbox", (4, 6))
        n = len(numbers) // 2
        low, lengths = numbers[:n], numbers[n:]
        if min(lengths) <= 0:
            raise one.wrong("bbox", "lengths above 0")
        if n == 2 or said.order == "xyz":
            low, lengths = low[::-1], lengths[::-1]
        if slices is not None:
            low, lengths = [slices[row], *low], [1, *lengths]
        for axis in range(3):
            corners[axis].append(low[axis])
            corners[axis + 3].append(low[axis] + lengths[axis])
    return corners


def _one_image(top: Record, found: Sequence[Record]) -> None:
    images = {str(one.members.get("image_id")) for one in found}
    if len(images) > 1:
        raise InputError(
            "holds boxes of several volumes, whose voxels are not the same",
            file=top.path,
            expected="one image_id",
            found=f"{len(images)}: {', '.join(sorted(images)[:5])}",
            fix="write a file for each volume",
        )


def _slices(top: Record, found: Sequence[Record], notes: list[str]) -> list[int]:
    """The z of every box: its own, that of its image, or that of the number in the name of its image's file."""
    images: dict[str | None, Record] = {}
    for image in top.records("images"):
        name = image.text("id")
        if name in images:
            raise image.wrong("id", "an id of its own")
        images[name] = image
    named: dict[str | None, int] | None = None
    slices = []
    for one in found:
        of = images.get(one.text("image_id"))
        if of is None and "z" not in one.members:
            raise one.wrong("image_id", "the id of an image")
        holder = one if of is None or "z" in one.members else of
        if "z" in holder.members:
            try:
                slices.append(whole(holder.members["z"]))
            except ValueError:
                raise holder.wrong("z", "the number of a slice, from 0") from None
            continue
        if named is None:
            named = _by_name(top, images, notes)
        slices.append(named[one.text("image_id")])
    return slices


def _by_name(top: Record, images: dict[str | None, Record], notes: list[str]) -> dict[str | None, int]:
    """The z of images whose files are numbered from 0 or from 1."""
    parts = {name: _NUMBERED.fullmatch(Path(image.text("file_name") or "").stem) for name, image in images.items()}
    numbers = {name: int(match[2]) for name, match in parts.items() if match}
    around = {(match[1], match[3]) for match in parts.values() if match}
    first = min(numbers.values(), default=-1)
    if len(set(numbers.values())) < len(images) or len(around) != 1 or first not in (0, 1):
        raise UsageError(
            "does not state on which slice of the stack its boxes lie",
            file=top.path,
            expected='a member "z" of every image, counted from 0, or files numbered from 0 or 1',
            found=", ".join(sorted(image.text("file_name") or "no name" for image in images.values())[:3]),
            fix='add "z" to the images',
        )
    name = next(name for name, value in numbers.items() if value == first)
    notes.append(f"z is the number in the names of the images: {images[name].text('file_name')} is z 0")
    return {name: value - first for name, value in numbers.items()}


def _others(top: Record, found: Sequence[Record]) -> dict[str, list[Any]]:
    """Class, label and credit."""
    classes = {one.text("id"): one.text("name") for one in top.records("categories")}
    columns: dict[str, list[Any]] = {name: [one.text(name) for one in found] for name in _TEXTS}
    columns |= {name: [] for name in ("class", "label", "confidence", "provenance")}
    for one in found:
        category = one.text("category_id")
        if category is not None and category not in classes:
            raise one.wrong("category_id", "the id of a category")
        columns["class"].append(classes.get(category))
        for name, key, parse, expected in (
            ("confidence", "score", confidence, "a number from 0 to 1"),
            ("label", "label", label, "a whole number above 0"),
        ):
            value = one.members.get(key)
            try:
                columns[name].append(None if value is None else parse(value))
            except ValueError:
                raise one.wrong(key, expected) from None
        provenance = one.text("provenance")
        if provenance is not None and provenance not in PROVENANCES:
            raise one.wrong("provenance", ", ".join(PROVENANCES))
        columns["provenance"].append(provenance)
    return columns


def coco_text(boxes: pa.Table) -> str:
    """A table of boxes as COCO; `read_coco` gives the very same table again."""
    rows = boxes.to_pylist()
    classes = {
        name: i for i, name in enumerate(sorted({row["class"] for row in rows if row["class"] is not None}), 1)
    }
    annotations = []
    for i, row in enumerate(rows, 1):
        low, high = ([row[f"{axis}{end}"] for axis in "xyz"] for end in "01")
        members = {
            "id": i,
            "image_id": 1,
            "category_id": classes.get(row["class"], 0),
            "bbox": [*low, *(b - a for a, b in zip(low, high, strict=True))],
            "score": row["confidence"],
            **{name: row[name] for name in ("box_id", "label", "provenance", *_TEXTS)},
        }
        annotations.append({name: value for name, value in members.items() if value is not None})
    unnamed = [{"id": 0, "name": ""}] if any(row["class"] is None for row in rows) else []
    made = {
        "info": {"description": "boxes in voxels of one volume", "bbox_axes": "xyz"},
        "images": [{"id": 1}],
        "categories": unnamed + [{"id": i, "name": name} for name, i in classes.items()],
        "annotations": annotations,
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"
