"""Boxes in half-open voxels from whatever their file counts: exact where it counts voxels, else rounded outward."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuropack.annotations.mark_rows import LARGEST, Ends, HasPlaces, whole
from neuropack.annotations.stated import UM, Stated
from neuropack.errors import InputError, UsageError
from neuropack.space.boxes import VOXELS

Number = int | float
_SNAP = 1e-6  # of a voxel: a face so near to the border of a voxel lies on it, and floats have missed it


def voxel_boxes(
    corners: Sequence[Sequence[Number]],
    rows: HasPlaces,
    stated: Stated,
    ends: Ends | None,
    *,
    faces: bool = False,
    on_slice: bool = False,
) -> tuple[dict[str, list[int]], list[str]]:
    """The columns of boxes, and notes on what was rounded.

    Whole voxel numbers name voxels; all other numbers are positions of faces, which are moved outward to the
    borders of voxels.

    Args:
        corners: z0, y0, x0, z1, y1, x1, the numbers of all boxes in each.
        rows: where the boxes stand, for messages.
        stated: unit, origin and voxel size.
        ends: of whole voxel numbers, what the upper ones are.
        faces: whole numbers too are positions.
        on_slice: each box lies on one slice, whose number is z0; z1 does not count.

    Raises:
        InputError: a box ends before it begins, holds no voxel, or begins before the image.
        UsageError: something that is needed was not stated.
    """
    require_stack(stated, rows)
    stated.require(rows.path, "unit")
    if on_slice:
        corners = _on_slices(corners, rows, stated)
    fractional = any(isinstance(n, float) and not n.is_integer() for column in corners for n in column)
    if stated.unit == "voxel" and not fractional and not faces:
        return _indices(corners, rows, require_ends(ends, rows), on_slice=on_slice), []
    if ends == "inclusive":
        raise UsageError(
            "inclusive ends are voxels, but these boxes are given by their faces",
            file=rows.path,
            expected="whole voxels",
            found="parts of voxels" if stated.unit == "voxel" else f"coordinates in {stated.unit}",
            fix="leave out --ends, or state the unit in which the ends are counted",
        )
    stated.require(rows.path, "origin", *(["voxel_size_um"] if stated.unit != "voxel" else []))
    found = np.array(corners, np.float64).reshape(6, -1)
    if stated.unit != "voxel" and stated.voxel_size_um is not None:
        found = found * UM[str(stated.unit)] / np.array(stated.voxel_size_um * 2)[:, None]
    found += 0.5 if stated.origin == "centre" else 0.0
    if on_slice:
        found[[0, 3]] = corners[0], corners[3]
    return _outward(found, rows)


def require_stack(stated: Stated, rows: HasPlaces) -> None:
    """See that coordinates are of the image itself.

    Raises:
        UsageError: they are in another frame.
    """
    if stated.frame not in (None, "stack"):
        raise UsageError(
            "boxes and points are given in the frame of their image",
            file=rows.path,
            expected="the frame stack",
            found=str(stated.frame),
            fix="map them into the image first",
        )


def require_ends(ends: Ends | None, rows: HasPlaces) -> Ends:
    """What the upper numbers of boxes are.

    Raises:
        UsageError: nobody said it.
    """
    if ends is None:
        raise UsageError(
            "does not state whether the ends of its boxes are inside of them",
            file=rows.path,
            expected="half-open: the first voxel behind the box; inclusive: the last one inside",
            fix="state it: --ends half-open or --ends inclusive on the line, ends: in a study",
        )
    return ends


def _on_slices(
    corners: Sequence[Sequence[Number]], rows: HasPlaces, stated: Stated
) -> tuple[Sequence[Number], ...]:
    """The corners of boxes that each lie on one slice, z from it to the one behind."""
    if stated.unit != "voxel":
        raise UsageError(
            "gives one z for a box, which only the number of a slice can be",
            file=rows.path,
            found=f"coordinates in {stated.unit}",
            fix="give where a box begins and ends along z",
        )
    slices = []
    for row, z in enumerate(corners[0]):
        try:
            slices.append(whole(z))
        except ValueError as error:
            raise _wrong("the slice of a box is no voxel", rows, row, str(error), str(z)) from None
    return slices, *corners[1:3], [z + 1 for z in slices], *corners[4:]


def _indices(
    corners: Sequence[Sequence[Number]], rows: HasPlaces, ends: Ends, *, on_slice: bool
) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for name, column in zip(VOXELS, corners, strict=True):
        found[name] = []
        more = 1 if ends == "inclusive" and name.endswith("1") and not (on_slice and name == "z1") else 0
        for row, value in enumerate(column):
            try:
                voxel = whole(value) + more
                if voxel > LARGEST:
                    raise ValueError(f"a whole number up to {LARGEST}")
            except ValueError as error:
                raise _wrong("the border of a box is no voxel", rows, row, str(error), f"{name} {value}") from None
            found[name].append(voxel)
    for row in range(len(found["z0"])):
        _check(row, [found[name][row] for name in VOXELS], rows)
    return found


def _outward(faces: npt.NDArray[np.float64], rows: HasPlaces) -> tuple[dict[str, list[int]], list[str]]:
    wrong = np.flatnonzero((faces[:3] > faces[3:]).any(axis=0) | (np.abs(faces) > LARGEST // 2).any(axis=0))
    if len(wrong):
        row = int(wrong[0])
        raise _wrong(
            "a box ends before it begins, or lies nowhere", rows, row, "low faces below high", _shown(faces[:, row])
        )
    nearest = np.round(faces)
    on_border = np.abs(faces - nearest) <= _SNAP
    moved = np.where(on_border, nearest, np.vstack([np.floor(faces[:3]), np.ceil(faces[3:])])).astype(np.int64)
    for row in range(moved.shape[1]):
        _check(row, moved[:, row].tolist(), rows)
    rounded = int((~on_border).any(axis=0).sum())
    notes = [f"{rounded} of {moved.shape[1]} box(es) had faces inside of voxels and were widened to whole voxels"]
    return dict(zip(VOXELS, moved.tolist(), strict=True)), notes if rounded else []


def _check(row: int, box: Sequence[int], rows: HasPlaces) -> None:
    low, high = box[:3], box[3:]
    if any(a > b for a, b in zip(low, high, strict=True)):
        raise _wrong("a box ends before it begins", rows, row, "z0, y0, x0 below z1, y1, x1", _shown(box))
    if any(a == b for a, b in zip(low, high, strict=True)):
        raise _wrong(
            "a box holds no voxel", rows, row, "at least one voxel along each axis", f"{_shown(box)} (half-open)"
        )
    if min(low) < 0:
        raise _wrong("a box begins before the first voxel of the image", rows, row, "0 or more", _shown(box))


def _shown(box: Sequence[float] | npt.NDArray[np.float64]) -> str:
    return "z0 {} y0 {} x0 {} z1 {} y1 {} x1 {}".format(*(f"{v:.12g}" if isinstance(v, float) else v for v in box))


def _wrong(what: str, rows: HasPlaces, row: int, expected: str, found: str) -> InputError:
    return InputError(what, file=rows.path, where=rows.place(row), expected=expected, found=found)
