"""An image as it is read for resampling: averaged over whole voxels where it is too fine, and remembered by tiles.

A target voxel of 25 um holds thousands of source voxels. Interpolation between eight of them would show noise, so
that what is finer is averaged first: bins of whole source voxels, no wider than a target voxel.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import product
from typing import Any, Final

import numpy as np

from neuropack.axes import Array, Box, box_shape, overlap, relative
from neuropack.volume import Volume

TILE: Final = 16 << 20
"""Bytes of a tile, once averaged, at most."""
PIECE: Final = 16 << 20
"""Bytes decoded at a time, where the format allows."""
_UNIT: Final = 64 << 20  # the same of a tile that is one raw unit, which is decoded whole in any case
_CACHE: Final = 96 << 20  # bytes of tiles that are remembered
_SIDE: Final = 64  # voxels of a tile along an axis, where the file is cheap to read in any pieces


class Reduced:
    """An image in bins of whole voxels; bin i along an axis holds the voxels [i f, (i + 1) f).

    Tiles are whole raw units of the file where they are small enough, and the last ones used are kept: what is read
    in an orderly way is decoded about once. Safe to call from threads.

    Args:
        volume: the image.
        factor: (z, y, x), the voxels of a bin; 1, 1, 1 leaves pixels as they are.
        cache: bytes of tiles to keep; four large ones are kept whatever it is.

    Attributes:
        shape: lengths along the axes of the image, in bins; the last one of an axis may hold fewer voxels.
        dtype: that of the image where nothing is averaged, else float32 or, where that is not exact, float64.
        tile: lengths of a tile.
        cache: bytes of tiles that are kept.
    """

    def __init__(self, volume: Volume, factor: tuple[int, int, int], *, cache: int = _CACHE) -> None:
        self.volume = volume
        self._factor = (1,) * (volume.ndim - 3) + factor
        self.shape = tuple(-(-n // f) for n, f in zip(volume.shape, self._factor, strict=True))
        small = volume.dtype.kind in "iub" and volume.dtype.itemsize <= 2
        wide = np.dtype(np.float32 if small or volume.dtype == np.float32 else np.float64)
        self.dtype: np.dtype[Any] = volume.dtype if math.prod(factor) == 1 else wide
        self.tile = self._tile_shape()
        self.cache, self._kept = max(cache, 4 * self.tile_bytes if self.tile_bytes > TILE else 0), 0
        self._tiles: OrderedDict[tuple[int, ...], Future[Array]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def overhead_bytes(self) -> int:
        """What it keeps in memory: tiles, one that is made, and what the reader needs."""
        return self.cache + max(TILE, self.tile_bytes) + 3 * PIECE + self.volume.overhead_bytes

    @property
    def tile_bytes(self) -> int:
        """Bytes of a tile."""
        return math.prod(self.tile) * self.dtype.itemsize

    @property
    def fits(self) -> bool:
        """Whether all of it can be kept: then nothing is decoded twice, in whatever order it is read."""
        return math.prod(self.shape) * self.dtype.itemsize <= self.cache

    def _tile_shape(self) -> tuple[int, ...]:
        unit = box_shape(next(self.volume.native_blocks()))
        tile = []
        for n, u, f, letter in zip(self.shape, unit, self._factor, self.volume.axes, strict=True):
            wanted = _SIDE * f if letter in "ZYX" else 1
            tile.append(min(n, max(1, -(-max(1, -(-wanted // u)) * u // f))))
        whole = math.prod(min(n, -(-u // f)) for n, u, f in zip(self.shape, unit, self._factor, strict=True))
        most = max(TILE, min(_UNIT, whole * self.dtype.itemsize))
        for axis in range(len(tile) - 3, len(tile)):  # planes stay whole as long as they can
            others = math.prod(tile) // tile[axis] * self.dtype.itemsize
            tile[axis] = min(tile[axis], max(1, most // others))
        return tuple(tile)

    def read(self, box: Box) -> Array:
        """The bins of a box, new memory.

        Raises:
            InputError: the file has changed, is damaged or cannot be read.
        """
        out = np.empty(box_shape(box), self.dtype)
        touched = (range(s.start // t, -(-s.stop // t)) for s, t in zip(box, self.tile, strict=True))
        for key in product(*touched):
            whole = self._box(key)
            part = overlap(whole, box)
            if part:
                out[relative(part, box)] = self._get(key)[relative(part, whole)]
        return out

    def _box(self, key: tuple[int, ...]) -> Box:
        return tuple(slice(i * t, min((i + 1) * t, n)) for i, t, n in zip(key, self.tile, self.shape, strict=True))

    def _get(self, key: tuple[int, ...]) -> Array:
        """A tile; who comes first makes it, and all others wait."""
        with self._lock:
            future = self._tiles.get(key)
            mine = future is None
            if future is None:
                future = self._tiles[key] = Future()
            self._tiles.move_to_end(key)
        if mine:
            try:
                tile = self._make(self._box(key))
            except BaseException as error:
                with self._lock:
                    self._tiles.pop(key, None)
                future.set_exception(error)
                raise
            future.set_result(tile)
            with self._lock:
                self._kept += tile.nbytes
                self._forget()
        return future.result()

    def _forget(self) -> None:
        for key, future in list(self._tiles.items()):
            if self._kept <= self.cache:
                return
            if future.done():
                self._kept -= future.result().nbytes
                del self._tiles[key]

    def _make(self, box: Box) -> Array:
        fine = tuple(
            slice(s.start * f, min(s.stop * f, n))
            for s, f, n in zip(box, self._factor, self.volume.shape, strict=True)
        )
        if self.dtype == self.volume.dtype and math.prod(self._factor) == 1:
            return self.volume.read(fine)
        sums = np.zeros(box_shape(box), np.float64)
        for part, pixels in _pieces(self.volume, fine):
            bins = tuple(slice(s.start // f, -(-s.stop // f)) for s, f in zip(part, self._factor, strict=True))
            sums[relative(bins, box)] += _summed(pixels, part, self._factor)
        for axis, (s, f) in enumerate(zip(fine, self._factor, strict=True)):
            edges = np.append(np.arange(s.start, s.stop, f), s.stop)
            sums /= np.diff(edges).reshape([-1 if i == axis else 1 for i in range(sums.ndim)])
        return sums.astype(self.dtype)


def _pieces(volume: Volume, box: Box) -> Iterator[tuple[Box, Array]]:
    """A box of an image in pieces: each raw unit once, whatever its pieces are; what is cheap, in small ones."""
    if not volume.cheap_parts:
        yield from volume.stream(box, PIECE)
        return
    step = list(box_shape(box))
    for axis in range(len(step)):
        others = math.prod(step) // step[axis] * volume.dtype.itemsize
        step[axis] = max(1, min(step[axis], PIECE // others))
    for corner in product(*(range(s.start, s.stop, n) for s, n in zip(box, step, strict=True))):
        part = tuple(slice(c, min(c + n, s.stop)) for c, n, s in zip(corner, step, box, strict=True))
        yield part, volume.read(part)


def _summed(pixels: Array, box: Box, factor: tuple[int, ...]) -> Array:
    """The sum of the pixels in each bin that a box touches."""
    sums = pixels
    for axis in reversed(range(pixels.ndim)):
        f, s = factor[axis], box[axis]
        if f > 1:
            first = -(-(s.start + 1) // f) * f  # where the second bin begins
            starts = np.append(0, np.arange(first, s.stop, f) - s.start)
            sums = np.add.reduceat(sums, starts, axis=axis, dtype=np.float64)
    return sums
