"""Which region a point of the CCF lies in, and how far from the next one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.space.frames import MIDLINE_UM
from neuropack.space.label_formats import Labels, resolution_of

Points = npt.NDArray[np.float64]
VOID: Final = 0
"""The label outside of the brain."""

_AT_ONCE = 1 << 16  # points, so that what is computed of them stays in the processor's cache
_WINDOW = 1 << 21  # voxels
_FIRST_REACH = 6  # voxels: what is nearer was found for all points at once
_NEAR = 3  # voxels: beyond, a point by itself is as fast
_NEAR_AT_ONCE = 1 << 14  # points


def _ball(reach: int) -> list[tuple[int, list[list[int]]]]:
    """Offsets of voxels by the square of the least distance from anywhere in the middle one, nearest first."""
    side = np.arange(-reach - 1, reach + 2)
    offsets = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    least = (np.maximum(np.abs(offsets) - 1, 0) ** 2).sum(axis=1)
    shells = [(int(square), offsets[least == square].tolist()) for square in np.unique(least) if square < reach**2]
    return [*shells, (reach**2, [])]


_BALL = _ball(_NEAR)


@dataclass(frozen=True, eq=False)
class Annotation:
    """A volume of region labels that fills the CCF.

    Args:
        labels: (AP, DV, LR), integers; 0 is outside of the brain. It may be mapped from a file.
        source: where it comes from.

    Raises:
        InputError: the shape is none of the CCF.
    """

    labels: Labels
    source: Path

    def __post_init__(self) -> None:
        resolution_of(self.labels.shape, self.source)

    @cached_property
    def resolution_um(self) -> float:
        """Edge of a voxel, micrometre."""
        return resolution_of(self.labels.shape, self.source)

    @cached_property
    def ids(self) -> frozenset[int]:
        """Every label in the volume but 0. Reads all of it, a plane at a time."""
        return self.ids_every(self.resolution_um)

    def ids_every(self, distance_um: float) -> frozenset[int]:
        """The labels but 0 in planes that lie so far from each other, along the slowest axis of the array."""
        found: set[int] = set()
        along = np.moveaxis(self.labels, int(np.argmax(np.abs(self.labels.strides))), 0)
        for plane in along[:: max(1, int(distance_um / self.resolution_um))]:
            flat = np.ravel(plane, order="K")
            begins = np.flatnonzero(flat[1:] != flat[:-1]) + 1  # neighbours are mostly alike
            found.update(np.unique(flat[begins]).tolist(), [int(flat[0])])
        return frozenset(found - {VOID})

    def lookup(self, points_um: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The label of the voxel that holds each point: that of index ``floor(x / resolution)``.

        Args:
            points_um: (n, 3) in ``AllenCCFv3``: AP, DV, LR, micrometre.

        Returns:
            (n,): 0 in the void and outside of the volume; `inside` tells these apart.
        """
        points = _points(points_um)
        found = np.empty(len(points), np.int64)
        for first in range(0, len(points), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            voxels, inside = self._voxels(points[part])
            found[part] = self.labels[voxels]
            found[part][~inside] = VOID
        return found

    def inside(self, points_um: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether each point (n, 3) lies in the volume, (n,). What is not finite does not."""
        return self._voxels(_points(points_um))[1]

    def _voxels(self, points: Points) -> tuple[tuple[npt.NDArray[np.int64], ...], npt.NDArray[np.bool_]]:
        """The indices along each axis, 0 for points that are not inside; and which are."""
        cells = [np.floor(points[:, axis] / self.resolution_um) for axis in range(3)]
        inside = np.ones(len(points), np.bool_)
        for cell, length in zip(cells, self.labels.shape, strict=True):
            inside &= (cell >= 0) & (cell < length)
        return tuple(np.where(inside, cell, 0).astype(np.int64) for cell in cells), inside

    def border_um(
        self, points_um: npt.ArrayLike, progress: Callable[[str, int, int], None] | None = None
    ) -> Points:
        """The distance of each point to the nearest voxel of another label than its own, micrometre.

        It is exact: the distance to the nearest face, edge or corner of such a voxel, and the void counts as a
        label. The faces of the volume do not, for the tissue goes on there.

        Args:
            points_um: (n, 3) in ``AllenCCFv3``.
            progress: told a name, bytes of points done, bytes in all.

        Returns:
            (n,): nan for a point outside of the volume, and where no other label is.
        """
        points = _points(points_um)
        found = np.full(len(points), np.nan)
        for first in range(0, len(points), _NEAR_AT_ONCE):
            part = slice(first, first + _NEAR_AT_ONCE)
            cells, inside = self._voxels(points[part])
            voxels, rows = np.stack(cells, axis=1), np.flatnonzero(inside)
            near = self._near(points[part][rows], voxels[rows])
            found[part][rows] = near
            for n in rows[np.isnan(near)].tolist():  # deep inside a region: by and by, each with its own reach
                i, j, k = voxels[n].tolist()
                found[first + n] = self._to_border(points[first + n], (i, j, k))
                if progress and n % 256 == 0:
                    progress("borders", (first + n) * points.itemsize * 3, points.nbytes)
        return found

    def _near(self, points: Points, voxels: npt.NDArray[np.int64]) -> Points:
        """The distance of each point, all of them inside; nan where nothing within `_NEAR` voxels is nearest.

        Voxel after voxel of a ball, the nearest first, for all points at once. A point is done when no voxel that
        is still to come could be nearer than what it has. Points at the faces of the volume are left to others.
        """
        done = np.full(len(points), np.nan)
        last = np.array(self.labels.shape) - 1
        live = np.flatnonzero(((voxels > _NEAR) & (voxels < last - _NEAR)).all(axis=1))
        cells = list(voxels[live].T.copy())
        within = [at / self.resolution_um - cell for at, cell in zip(points[live].T, cells, strict=True)]
        own, best = self.labels[tuple(cells)], np.full(len(live), np.inf)  # squares, in voxels
        for least, offsets in _BALL:
            ended = best <= least
            if ended.any():
                done[live[ended]] = np.sqrt(best[ended]) * self.resolution_um
                live, own, best = live[~ended], own[~ended], best[~ended]
                cells, within = [cell[~ended] for cell in cells], [part[~ended] for part in within]
            for offset in offsets if len(live) else ():
                i, j, k = (cell + step for cell, step in zip(cells, offset, strict=True))
                rows = np.flatnonzero(self.labels[i, j, k] != own)
                square = np.zeros(len(rows))
                for part, step in zip(within, offset, strict=True):
                    if step:
                        square += (step - part[rows] if step > 0 else part[rows] - step - 1) ** 2
                best[rows] = np.minimum(best[rows], square)
        return done

    def _to_border(self, point: Points, voxel: tuple[int, int, int]) -> float:
        """Looks into a cube around the voxel; a larger one, until nothing outside of it could be nearer."""
        own, size, reach = self.labels[voxel], self.resolution_um, _FIRST_REACH
        longest = max(self.labels.shape)
        while True:
            box = tuple(
                slice(max(0, at - reach), min(length, at + reach + 1))
                for at, length in zip(voxel, self.labels.shape, strict=True)
            )
            nearest = self._nearest_other(point, own, box)
            if nearest <= reach * size:
                return nearest
            if reach >= longest:
                return nearest if np.isfinite(nearest) else np.nan
            reach = int(np.ceil(nearest / size)) if np.isfinite(nearest) else 2 * reach

    def _nearest_other(self, point: Points, own: np.integer[Any], box: tuple[slice, ...]) -> float:
        """The distance to the nearest voxel in a box that has another label; infinite where none has."""
        squares = []
        for part, at in zip(box, point, strict=True):
            low = np.arange(part.start, part.stop) * self.resolution_um
            squares.append(np.maximum(np.maximum(low - at, at - low - self.resolution_um), 0) ** 2)
        plane = squares[0][:, None] + squares[1]
        step, nearest = max(1, _WINDOW // plane.size), np.inf
        for first in range(box[2].start, box[2].stop, step):
            last = min(box[2].stop, first + step)
            other = self.labels[box[0], box[1], first:last] != own
            if other.any():
                depth = squares[2][first - box[2].start : last - box[2].start]
                nearest = min(nearest, float((plane[:, :, None] + depth)[other].min()))
        return float(np.sqrt(nearest))


def right_of_midline(points_um: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether each point (n, 3) of ``AllenCCFv3`` lies in the right hemisphere; one on the midline does."""
    right: npt.NDArray[np.bool_] = _points(points_um)[:, 2] >= MIDLINE_UM
    return right


def hemisphere(points_um: npt.ArrayLike) -> list[str]:
    """``left`` or ``right`` for each point (n, 3) of ``AllenCCFv3``.

    The midline is a face between voxels at every published resolution. A point exactly on it counts as right, as
    its voxel does: a strip of its own for the midline would be as wide as the voxels happen to be.
    """
    return ["right" if one else "left" for one in right_of_midline(points_um).tolist()]


def _points(points_um: npt.ArrayLike) -> Points:
    points = np.asarray(points_um, np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        shape = " x ".join(map(str, points.shape))
        raise UsageError("are not points", expected="n x 3 coordinates", found=shape or "one number")
    return points
