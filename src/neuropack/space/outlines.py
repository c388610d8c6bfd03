"""Outlines of regions: of the brain seen from above, from the left and from the front, and of single planes.

A voxel i covers ``[i * s, (i + 1) * s)``, so an outline runs along the faces of voxels, in micrometres of the CCF.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.space.annotation import VOID, Annotation
from neuropack.space.frames import EXTENT_UM
from neuropack.space.levels import Level

ViewName = Literal["top", "side", "front"]
Ring = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
_AXES = ("AP", "DV", "LR")
_ENDS = (("A", "P"), ("D", "V"), ("L", "R"))


@dataclass(frozen=True)
class View:
    """From where one looks; axes are those of the CCF: 0 AP, 1 DV, 2 LR.

    Attributes:
        name: of the view.
        across, down: the axes of the picture, to the right and downwards; both grow that way.
        sight: the axis along which one looks, from its beginning: from above, from the left, from the front.
    """

    name: ViewName
    across: int
    down: int
    sight: int

    @property
    def extent_um(self) -> tuple[float, float]:
        """Width and height of the CCF in the picture, micrometre."""
        return EXTENT_UM[self.across], EXTENT_UM[self.down]

    @property
    def ends(self) -> tuple[str, str, str, str]:
        """What lies at the left, at the right, above and below: A or P, D or V, L or R."""
        return (*_ENDS[self.across], *_ENDS[self.down])


VIEWS: Final[dict[ViewName, View]] = {
    "top": View("top", 2, 0, 1),
    "side": View("side", 0, 1, 2),
    "front": View("front", 2, 1, 0),  # left is at the left, as in the coronal plates of an atlas
}


@dataclass(frozen=True, eq=False)
class Plane:
    """A picture of regions.

    Attributes:
        ids: (down, across), ids of the regions of a level, or labels; 0 outside of the brain.
        view: its axes.
        step_um: edge of a cell; the first one begins at 0.
    """

    ids: Ids
    view: View
    step_um: float


@dataclass(frozen=True, eq=False)
class Outline:
    """The outline of a region.

    Attributes:
        id: of the region.
        rings: (n, 2) each: across and down, micrometre; the last point joins the first. The border of each part of
            the region and of each hole in it: the region lies to the right of who walks along it, so the rules of
            non-zero winding and of even-odd both fill it.
    """

    id: int
    rings: tuple[Ring, ...]


def surface(annotation: Annotation, view: View, level: Level | None = None, step_um: float | None = None) -> Plane:
    """What one sees of the brain from outside: the first label that is not void along each line of sight.

    Args:
        annotation: the annotation; read a plane at a time.
        view: from where one looks.
        level: gathers the labels into regions; without it they stay labels.
        step_um: edge of a cell of the picture, such as 50: only the voxel in the middle of each cell is looked at.
            By default that of a voxel.
    """
    size, step = _sampling(annotation, step_um)
    seen = np.zeros((size[view.down], size[view.across]), np.int64)
    slowest, planes = _planes(annotation, step)
    for n, plane in enumerate(planes):  # its axes are the two other ones, in order
        if slowest == view.sight:
            turned = plane if view.down < view.across else plane.T
            np.copyto(seen, turned, where=seen == VOID)
            continue
        along = 0 if _others(slowest)[0] == view.sight else 1
        first = np.argmax(plane != VOID, axis=along)
        line = np.take_along_axis(plane, np.expand_dims(first, along), along).ravel()
        if slowest == view.down:
            seen[n] = line
        else:
            seen[:, n] = line
    return Plane(level.ids(seen) if level else seen, view, step * annotation.resolution_um)


def silhouettes(
    annotation: Annotation, view: View, level: Level | None = None, step_um: float | None = None
) -> dict[int, npt.NDArray[np.bool_]]:
    """The shadow of every region: also of those that lie inside.

    Args:
        annotation, view, level, step_um: as for `surface`.

    Returns:
        Where a line of sight meets the region, (down, across), by id; without the outside of the brain.
    """
    size, step = _sampling(annotation, step_um)
    found: dict[int, npt.NDArray[np.bool_]] = {}
    slowest, planes = _planes(annotation, step)
    for n, raw in enumerate(planes):
        plane = level.ids(raw) if level else raw
        for id in np.unique(plane).tolist():
            if id == VOID:
                continue
            mask = found.setdefault(id, np.zeros((size[view.down], size[view.across]), np.bool_))
            there = plane == id
            if slowest == view.sight:
                mask |= there if view.down < view.across else there.T
            elif slowest == view.down:
                mask[n] |= there.any(axis=0 if _others(slowest)[0] == view.sight else 1)
            else:
                mask[:, n] |= there.any(axis=0 if _others(slowest)[0] == view.sight else 1)
    return dict(sorted(found.items()))


def cut(annotation: Annotation, view: View, at_um: float, level: Level | None = None) -> Plane:
    """One plane of the annotation, across the line of sight of a view: all of its voxels.

    Args:
        annotation: the annotation.
        view: ``front`` for a coronal plane, ``side`` for a sagittal, ``top`` for a horizontal one.
        at_um: where it cuts that axis, micrometre.
        level: gathers the labels into regions; without it they stay labels.

    Raises:
        UsageError: the plane lies outside of the volume.
    """
    extent = EXTENT_UM[view.sight]
    if not 0 <= at_um < extent:
        raise UsageError(
            "the plane lies outside of the CCF",
            expected=f"{_AXES[view.sight]} of 0 to {extent:g} um",
            found=f"{at_um:g}",
        )
    raw = np.take(annotation.labels, int(at_um // annotation.resolution_um), axis=view.sight)
    turned = np.asarray(raw if view.down < view.across else raw.T, np.int64)
    return Plane(level.ids(turned) if level else turned, view, annotation.resolution_um)


def outlines(plane: Plane) -> list[Outline]:
    """The outlines of all regions of a picture but the outside of the brain, by id."""
    found = []
    for id in np.unique(plane.ids).tolist():
        if id != VOID:
            found.append(Outline(id, tuple(rings(plane.ids == id, plane.step_um))))
    return found


def rings(mask: npt.NDArray[np.bool_], step_um: float = 1.0) -> list[Ring]:
    """The borders of what is set in a mask, along the faces of its cells; only their corners.

    Cells that touch at a corner alone are parts of their own.

    Args:
        mask: (down, across); the first cell begins at 0.
        step_um: edge of a cell.

    Returns:
        (n, 2) each: across, down; without the first point again at the end.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(columns[0])
    faces = _faces(mask[top : rows[-1] + 1, left : columns[-1] + 1])
    heading, onward = faces[:, 2].tolist(), _successors(faces).tolist()
    found, left_over = [], bytearray(b"\1") * len(faces)
    for start in range(len(faces)):
        corners, at = [], start
        while left_over[at]:
            left_over[at] = 0
            if heading[onward[at]] != heading[at]:
                corners.append(onward[at])  # where that face begins
            at = onward[at]
        if corners:
            found.append(np.asarray((faces[corners, :2] + (left, top)) * step_um, np.float64))
    return found


_HEADINGS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])  # right, down, left, up: each a turn to the right


def _faces(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The faces between set cells and others, (n, 3): where each begins (across, down), and its heading."""
    around = np.pad(mask, 1)
    found = []
    neighbours = (around[:-2, 1:-1], around[1:-1, 2:], around[2:, 1:-1], around[1:-1, :-2])
    corners = ((0, 0), (1, 0), (1, 1), (0, 1))
    for heading, (other, corner) in enumerate(zip(neighbours, corners, strict=True)):
        down, across = np.nonzero(mask & ~other)
        found.append(np.column_stack([across + corner[0], down + corner[1], np.full(len(down), heading)]))
    return np.concatenate(found)


def _successors(faces: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Which face goes on where each ends. Where two do, the one to the right, around the same cell."""
    wide, high = faces[:, 0].max() + 1, faces[:, 1].max() + 1
    begins = np.full((high, wide, 4), -1, np.int64)
    begins[faces[:, 1], faces[:, 0], faces[:, 2]] = np.arange(len(faces))
    ends = faces[:, :2] + _HEADINGS[faces[:, 2]]
    found = np.full(len(faces), -1, np.int64)
    for turn in (1, 0, 3):
        there = begins[ends[:, 1], ends[:, 0], (faces[:, 2] + turn) % 4]
        found = np.where(found < 0, there, found)
    return found


def _sampling(annotation: Annotation, step_um: float | None) -> tuple[tuple[int, ...], int]:
    """Cells along each axis of the CCF, and voxels to the edge of one."""
    step = 1 if step_um is None else max(1, round(step_um / annotation.resolution_um))
    return tuple(-(-n // step) for n in annotation.labels.shape), step


def _others(axis: int) -> tuple[int, int]:
    first, second = (n for n in range(3) if n != axis)
    return first, second


def _planes(annotation: Annotation, step: int) -> tuple[int, Iterator[npt.NDArray[Any]]]:
    """The slowest axis of the array, and the sampled planes across it: a mapped file is read from end to end."""
    labels, half = annotation.labels, step // 2
    slowest = int(np.argmax(np.abs(labels.strides)))
    at = [np.minimum(np.arange(0, n, step) + half, n - 1) for n in labels.shape]
    first, second = _others(slowest)

    def planes() -> Iterator[npt.NDArray[Any]]:
        for n in at[slowest].tolist():
            plane = labels[n] if slowest == 0 else labels[:, n] if slowest == 1 else labels[:, :, n]
            yield np.asarray(plane[np.ix_(at[first], at[second])])

    return slowest, planes()
