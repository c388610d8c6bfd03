"""Points, boxes and label volumes from ImageJ's ROIs.

A ROI states its coordinates by ImageJ's convention: pixels; areas count their corners, points their centres. Slices
count from 1. A ROI with the position 0 belongs to every slice, which no mark can: its slice must be set in ImageJ.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from neuropack.annotations.box_voxels import Number, voxel_boxes
from neuropack.annotations.imagej_files import NamedRoi, read_rois
from neuropack.annotations.json_files import Places
from neuropack.annotations.mark_fields import unique
from neuropack.annotations.mark_rows import NOBODY, UNSTATED, Ends, Marks
from neuropack.annotations.mark_tables import points_um
from neuropack.annotations.roi_shapes import POINT, extent, is_area, pixels, points, word
from neuropack.annotations.stated import Stated
from neuropack.errors import InputError, UsageError
from neuropack.labels import LabelVolume
from neuropack.marks import Credit, MarkKind, marks_table
from neuropack.volume import VoxelSize

_T = TypeVar("_T")
_MOST_VOXELS = 1 << 27  # of all masks: 1.5 GB as lists


class RoiLabels(NamedTuple):
    """The areas of ROIs as objects of an image.

    Attributes:
        labels: the voxels of each object.
        names: the name of each object by its id, which count from 1 in the order of the file.
        notes: what a person should know of how they were read.
    """

    labels: LabelVolume
    names: dict[int, str]
    notes: tuple[str, ...]


def read_roi_marks(
    path: Path,
    kind: MarkKind | None = None,
    stated: Stated = UNSTATED,
    credit: Credit = NOBODY,
    *,
    ends: Ends | None = None,
    together: bool = False,
    channels: int = 1,
    planar: bool = False,
) -> Marks:
    """Read the points of ROIs, or the boxes around their areas. The group of a ROI is the class of its marks.

    Args:
        path: a ``.roi`` file, or the ZIP archive of a ROI Manager.
        kind: points or boxes, where there are both.
        stated: the voxel size, which points need.
        credit: who made them.
        ends: half-open at most, for areas have faces.
        together: ROIs of one name are one box, around all their slices; else a box for each.
        channels: of the stack whose slices the points of a multi-point count.
        planar: the image has one slice, and ROIs need none.

    Raises:
        InputError: the file is damaged, or a ROI has no slice; names the member.
        UsageError: it holds points and areas and none was chosen, or the voxel size is not stated.
    """
    rois, notes = read_rois(path)
    if ends == "inclusive":
        raise UsageError("areas of ImageJ have faces, and no last pixel", file=path, fix="leave out --ends")
    areas = [one for one in rois if is_area(one.roi)]
    dots = [one for one in rois if int(one.roi.roitype) == POINT and not is_area(one.roi)]
    if kind is None and areas and dots:
        raise UsageError(
            "holds points and areas",
            file=path,
            found=f"{len(dots)} ROI(s) of points, {len(areas)} area(s)",
            fix="say which to take: --kind points or --kind boxes on the line",
        )
    kind = kind or ("boxes" if areas else "points")
    taken = dots if kind == "points" else areas if kind == "boxes" else []
    notes = [*notes, *_left_out(rois, taken)]
    if not taken:
        raise InputError(f"holds no {kind}", file=path, found="; ".join(notes) or "no ROI")
    if kind == "points":
        return _points(path, taken, stated, credit, notes, channels=channels, planar=planar)
    return _boxes(path, taken, stated, credit, notes, together=together, channels=channels, planar=planar)


def read_roi_labels(
    path: Path,
    shape: tuple[int, int, int],
    voxel_size_um: VoxelSize,
    *,
    together: bool = True,
    channels: int = 1,
) -> RoiLabels:
    """Read the areas of ROIs as objects of an image. A pixel is inside where its centre is; objects may overlap.

    Args:
        path: a ``.roi`` file, or the ZIP archive of a ROI Manager.
        shape: of the image, z, y, x. In an image of one slice, ROIs need no slice.
        voxel_size_um: z, y, x; None where it is not known.
        together: ROIs of one name are one object, drawn on several slices; else an object for each.
        channels: of the stack whose slices a ROI without a slice of its own counts.

    Raises:
        InputError: the file is damaged, a ROI has no slice, or lies on none of the image; names the member.
    """
    rois, notes = read_rois(path)
    areas = [one for one in rois if is_area(one.roi)]
    notes = [*notes, *_left_out(rois, areas)]
    objects: dict[str, list[npt.NDArray[np.int64]]] = {}
    cut = empty = total = 0
    for one in areas:
        z = _needed(path, one, channels, planar=shape[0] == 1)
        if z >= shape[0]:
            raise InputError(
                "a ROI lies on no slice of the image",
                file=path,
                where=one.place,
                expected=f"slices 1 to {shape[0]}",
                found=f"slice {z + 1}",
            )
        x0, y0, x1, y1 = _told(path, one, extent)
        if x0 >= shape[2] or y0 >= shape[1] or x1 <= 0 or y1 <= 0:
            raise InputError(
                "a ROI lies outside of the image",
                file=path,
                where=one.place,
                expected=f"x from 0 to {shape[2]}, y from 0 to {shape[1]}",
                found=f"x from {x0:g} to {x1:g}, y from {y0:g} to {y1:g}",
                fix="name the image that the ROIs were drawn on",
            )
        cut += x0 < 0 or y0 < 0 or x1 > shape[2] or y1 > shape[1]
        height, width = min(y1, shape[1]) - max(y0, 0), min(x1, shape[2]) - max(x0, 0)
        if max(height, 0) * max(width, 0) > _MOST_VOXELS:
            raise _too_many(path, one)
        found = _told(path, one, lambda roi: pixels(roi, shape[1], shape[2]))
        total += len(found)
        if total > _MOST_VOXELS:
            raise _too_many(path, one)
        empty += not len(found)
        if len(found):
            voxels = np.column_stack([np.full(len(found), z), found])
            objects.setdefault(one.title if together else one.name, []).append(voxels)
    if not areas:
        raise InputError("holds no areas", file=path, found="; ".join(notes) or "no ROI")
    notes += [f"{cut} ROI(s) reach out of the image and were cut"] if cut else []
    notes += [f"{empty} ROI(s) hold the centre of no pixel of the image and are left out"] if empty else []
    names = dict(enumerate(objects, 1))
    lists = ((label, np.vstack(objects[name])) for label, name in names.items())
    return RoiLabels(LabelVolume.of(shape, voxel_size_um, lists), names, tuple(notes))


def _points(
    path: Path,
    taken: Sequence[NamedRoi],
    stated: Stated,
    credit: Credit,
    notes: list[str],
    *,
    channels: int,
    planar: bool,
) -> Marks:
    said = Stated(unit="voxel", origin="centre").completed(replace(stated, order=None), path)
    xyz: list[list[Number]] = [[], [], []]
    ids: list[str] = []
    places: list[str] = []
    classes: list[str | None] = []
    stacked = 0
    for one in taken:
        found = points(one.roi)
        slices, counters = one.roi.counter_positions, one.roi.counters
        for i, (x, y) in enumerate(found.tolist()):
            own = int(slices[i]) if slices is not None and i < len(slices) else 0
            stacked += own > 0
            z = (own - 1) // channels if own > 0 else _needed(path, one, channels, planar=planar)
            for axis, value in zip(xyz, (x, y, z), strict=True):
                if not math.isfinite(value):
                    raise InputError("a coordinate is no finite number", file=path, where=one.place)
                axis.append(value)
            ids.append(one.name if len(found) == 1 else f"{one.name}:{i + 1}")
            places.append(one.place if len(found) == 1 else f"{one.place}, point {i + 1}")
            counter = int(counters[i]) if counters is not None and i < len(counters) else 0
            classes.append(f"counter {counter}" if counter else _class(one))
    if stacked and channels == 1:
        notes.append("the points of multi-points count the slices of a stack of one channel")
    rows = Places(path, places)
    columns = {"point_id": unique(ids, rows, "name"), **points_um(xyz, rows, said), "class": classes}
    return Marks(marks_table("points", columns, credit, path), "points", tuple(notes))


def _boxes(
    path: Path,
    taken: Sequence[NamedRoi],
    stated: Stated,
    credit: Credit,
    notes: list[str],
    *,
    together: bool,
    channels: int,
    planar: bool,
) -> Marks:
    said = Stated(unit="voxel", origin="corner").completed(replace(stated, order=None), path)
    hulls: dict[str, list[float]] = {}
    first: dict[str, NamedRoi] = {}
    for one in taken:
        z = _needed(path, one, channels, planar=planar)
        x0, y0, x1, y1 = _told(path, one, extent)
        name = one.title if together else one.name
        old = hulls.get(name)
        low, high = [z, y0, x0], [z + 1, y1, x1]
        if old is not None:
            low = [min(a, b) for a, b in zip(low, old[:3], strict=True)]
            high = [max(a, b) for a, b in zip(high, old[3:], strict=True)]
        hulls[name] = [*low, *high]
        first.setdefault(name, one)
    rows = Places(path, [one.place for one in first.values()])
    corners = [[hull[i] for hull in hulls.values()] for i in range(6)]
    voxels, rounded = voxel_boxes(corners, rows, said, "half-open")
    columns: dict[str, Any] = {"box_id": list(hulls), **voxels, "class": [_class(one) for one in first.values()]}
    return Marks(marks_table("boxes", columns, credit, path), "boxes", (*notes, *rounded))


def _slice(one: NamedRoi, channels: int) -> int | None:
    """The slice of a ROI, from 0; None where it belongs to all of them."""
    if one.roi.z_position > 0:
        return int(one.roi.z_position) - 1
    return (int(one.roi.position) - 1) // channels if one.roi.position > 0 else None


def _needed(path: Path, one: NamedRoi, channels: int, *, planar: bool) -> int:
    z = _slice(one, channels)
    if z is None and planar:
        return 0
    if z is None:
        raise InputError(
            "a ROI does not state its slice",
            file=path,
            where=one.place,
            expected="the position of the ROI in the stack, from 1",
            found="position 0, which is every slice",
            fix="set it in ImageJ: ROI Manager > Properties... > Position",
        )
    return z


def _told(path: Path, one: NamedRoi, what: Callable[[Any], _T]) -> _T:
    try:
        return what(one.roi)
    except ValueError as error:
        raise InputError("a ROI has no usable shape", file=path, where=one.place, found=str(error)[:200]) from error


def _class(one: NamedRoi) -> str | None:
    return f"group {one.roi.group}" if one.roi.group else None


def _left_out(rois: Sequence[NamedRoi], taken: Sequence[NamedRoi]) -> list[str]:
    chosen = {id(one) for one in taken}
    count = Counter("area" if is_area(one.roi) else word(one.roi) for one in rois if id(one) not in chosen)
    times = {int(one.roi.t_position) for one in taken} - {0}
    notes = [f"left out: {', '.join(f'{n} {name}(s)' for name, n in sorted(count.items()))}"] if count else []
    return notes + (["left out: the time points of ROIs"] if len(times) > 1 else [])


def _too_many(path: Path, one: NamedRoi) -> InputError:
    return InputError(
        "the areas of the ROIs hold too many voxels to be kept as lists",
        file=path,
        where=one.place,
        expected=f"at most {_MOST_VOXELS:,} voxels",
        fix="draw them into a label image in ImageJ and convert that",
    )
