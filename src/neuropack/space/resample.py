"""Images and labels in another frame: a Volume that is computed as it is read.

Every target voxel asks the inverse of the transform where its centre lies in the source. An image is averaged over
as many source voxels as fit into a target voxel (`neuropack.space.reduced`), then interpolated linearly; a label is
that of the voxel that holds the point, an integer from end to end.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape, relative
from neuropack.space.frames import array_order
from neuropack.space.mapping import placed
from neuropack.space.reduced import Reduced
from neuropack.space.transforms import Points, Transform
from neuropack.volume import Volume

REGION: Final = 16 << 20
"""Bytes of the source that are looked at at one time by a thread, at most."""
_SIDE: Final = 64  # target voxels that are placed at a time, along each axis
_AT_ONCE: Final = 8  # threads that resample at one time, at most: each needs three regions


@dataclass(frozen=True)
class Target:
    """A grid of voxels in a frame, along its coordinates as an array has them (`array_order`).

    Attributes:
        frame: its name; micrometre.
        resolution_um: edge of a voxel.
        first: index of the first voxel; voxel i covers [i r, (i + 1) r) of the frame.
        shape: how many there are.
    """

    frame: str
    resolution_um: float
    first: tuple[int, int, int]
    shape: tuple[int, int, int]

    def centres(self, box: Box) -> Points:
        """The centres (n, 3) of the voxels of a box, in the frame."""
        axes = [np.arange(s.start, s.stop) for s in box]
        return self.at(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))

    def at(self, index: npt.NDArray[Any]) -> Points:
        """The places (n, 3) in the frame of voxels by their index (n, 3), whole numbers at the centres."""
        grid = (index + np.array(self.first) + 0.5) * self.resolution_um
        return np.ascontiguousarray(grid[:, array_order(self.frame)])


class ResampledPixels:
    """Pixels that are computed from those of another image.

    Args:
        volume: the source.
        number: of its level to read.
        factor: (z, y, x), voxels of that level to average.
        back: from the target frame to the source's.
        target: the grid.
        spread: (3, 3), voxels of the source along each of its axes that a step along each target axis takes.
        labels: nearest neighbour, and nothing but.
    """

    def __init__(
        self,
        volume: Volume,
        number: int,
        factor: tuple[int, int, int],
        back: Transform,
        target: Target,
        spread: Points,
        *,
        labels: bool,
    ) -> None:
        self._volume, self._back, self._target, self._labels = volume, back, target, labels
        self._source = Reduced(volume.level(number), factor)
        size, self._corner = geometry(volume)
        self._extent = size * volume.size_zyx
        level, _ = geometry(volume.level(number))
        self._fine = np.round(level / size) * size  # exact, whatever the numbers of the pyramid
        self._step = self._fine * factor
        self._part, self._whole = _parts(self._source, spread * (size / self._step)[:, None], target.shape)
        self._threads = min(_AT_ONCE, os.cpu_count() or 1)
        self._turn = threading.Semaphore(self._threads)

    @property
    def overhead_bytes(self) -> int:
        """Tiles of the source, and a region and its points for each thread."""
        return self._source.overhead_bytes + self._threads * 3 * REGION

    @property
    def cheap_parts(self) -> bool:
        """True where all tiles of the source are kept: then nothing is gained by whole blocks."""
        return self._source.fits

    def read(self, box: Box, out: Array | None = None) -> Array:
        """The pixels of a box, a few at a time."""
        if out is None:
            out = np.empty(box_shape(box), self._volume.dtype)
        lead, whole = box[:-3], box[-3:]
        for part in self._ordered(whole):
            with self._turn:
                self._fill(lead, part, out[(slice(None),) * len(lead) + relative(part, whole)])
        return out

    def _ordered(self, box: Box) -> list[Box]:
        """The parts of a box, those behind one another that need the same tiles of the source."""
        parts = list(_cut(box, self._part))
        if len(parts) == 1 or self._source.fits:
            return parts
        middles = np.array([[(s.start + s.stop - 1) / 2 for s in part] for part in parts])
        at = placed(self._back, self._target.at(middles))[:, array_order(self._back.target)] - self._corner
        tiles = np.floor(np.nan_to_num(at) / self._step / self._source.tile[-3:])
        return [parts[i] for i in np.lexsort(tiles.T[::-1])]

    def _fill(self, lead: Box, part: Box, out: Array) -> None:
        points = placed(self._back, self._target.centres(part))
        order = array_order(self._back.target)
        at = points[:, order] - self._corner
        inside = ((at >= 0) & (at < self._extent)).all(axis=1)
        out[...] = 0
        if inside.any():
            self._sample(lead, at[inside], inside.reshape(box_shape(part)), out)

    def _sample(self, lead: Box, at: Points, inside: npt.NDArray[np.bool_], out: Array) -> None:
        """Fill in the voxels whose places in the source are given; in halves where these lie too far apart."""
        index = at / self._step if self._labels else at / self._step - 0.5
        n = np.array(self._source.shape[-3:])
        low = np.clip(np.floor(index.min(axis=0)).astype(np.int64), 0, n - 1)
        high = np.clip(np.floor(index.max(axis=0)).astype(np.int64) + (1 if self._labels else 2), low + 1, n)
        nbytes = math.prod(box_shape(lead)) * math.prod((high - low).tolist()) * self._source.dtype.itemsize
        if nbytes > REGION and len(at) > 1:
            axis = int(np.argmax(np.ptp(at, axis=0) / self._step))
            first = at[:, axis] < np.median(at[:, axis])
            if not first.any():
                first = np.arange(len(at)) < len(at) // 2
            for chosen in (first, ~first):
                mask = np.zeros_like(inside)
                mask[inside] = chosen
                self._sample(lead, at[chosen], mask, out)
            return
        region = self._source.read((*lead, *(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))))
        for each in np.ndindex(*box_shape(lead)):
            if self._labels:
                z, y, x = np.minimum(np.floor(index).astype(np.int64) - low, high - low - 1).T
                out[each][inside] = region[each][z, y, x]
            else:
                out[each][inside] = _linear(region[each], index - low, out.dtype)

    def native_blocks(self) -> Iterator[Box]:
        """Boxes of the target that need whole tiles of the source."""
        lead = [range(n) for n in self._volume.shape[:-3]]
        for first in product(*lead):
            for part in _cut(tuple(slice(0, n) for n in self._target.shape), self._whole):
                yield (*(slice(i, i + 1) for i in first), *part)

    def close(self) -> None:
        """Close the source."""
        self._volume.close()


def _linear(region: Array, index: Points, dtype: np.dtype[Any]) -> Array:
    from scipy.ndimage import map_coordinates

    values: Array = map_coordinates(region, index.T, np.float64, order=1, mode="nearest")
    if dtype.kind in "iu":  # half up, as the levels of a pyramid are rounded
        limits = np.iinfo(dtype)
        return np.clip(np.floor(values + 0.5), limits.min, limits.max).astype(dtype)
    return values.astype(dtype)


def geometry(volume: Volume) -> tuple[Points, Points]:
    """Voxel size, and the corner of the first voxel in the image's frame, (3,) along the axes of its array."""
    size = np.array([v or np.nan for v in volume.voxel_size_um], np.float64)
    if not volume.frame:
        return size, np.zeros(3)
    return size, np.array([v or 0.0 for v in volume.origin_um]) - size / 2


def _parts(
    source: Reduced, spread: Points, shape: tuple[int, int, int]
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The target voxels to work on at one time: such as need few tiles of the source; and as many as share these.

    Args:
        source: what is read.
        spread: (3, 3), its bins along each axis that a step along each target axis takes.
        shape: of the target.
    """
    tile, counts = np.array(source.tile[-3:]), -(-np.array(source.shape[-3:]) // source.tile[-3:])
    side = np.array([_SIDE] * 3)

    def touched(side: npt.NDArray[np.int64]) -> Points:
        found: Points = np.minimum(counts, np.floor(spread @ side / tile) + 2)
        return found

    def few(side: npt.NDArray[np.int64]) -> bool:
        return bool(touched(side).prod() * source.tile_bytes <= source.cache / 2)

    while not few(side) and (side > 1).any():
        axis = np.argmax(np.where((spread * side)[:, side > 1].any(axis=1), touched(side), 0))
        along = int(np.argmax(np.where(side > 1, spread[axis] * side, -1)))
        side[along] = max(1, side[along] // 2)
    for along in (2, 1, 0):
        while True:
            wider = side * np.where(np.arange(3) == along, 2, 1)
            if side[along] >= shape[along] or wider.prod() > _SIDE**3 or not few(wider):
                break
            side = wider
    main = np.argmax(spread, axis=0)  # the axis of the source that a target axis goes along
    whole = [n if counts[axis] == 1 else s for n, s, axis in zip(shape, side.tolist(), main, strict=True)]
    a, b, c = (int(n) for n in side)
    return (a, b, c), (whole[0], whole[1], whole[2])


def _cut(box: Box, sides: tuple[int, int, int]) -> Iterator[Box]:
    starts = (range(s.start, s.stop, side) for s, side in zip(box, sides, strict=True))
    for corner in product(*starts):
        yield tuple(slice(c, min(c + n, s.stop)) for c, n, s in zip(corner, sides, box, strict=True))
