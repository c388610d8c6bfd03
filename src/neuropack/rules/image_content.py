"""What level 0 of an intensity image holds, taken in block by block: range, top values, planes, empty cells.

Memory is bounded by a few numbers for each plane, and for each column of chunks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from google_crc32c import value

from neuropack.axes import Array, Box

if TYPE_CHECKING:
    from neuropack.rules.zarr_array import ZarrArray

_MOST_CELLS = 2**24
CLIPPED = 0.01
"""Part of the pixels of a channel that may have the greatest value of the detector."""
_BITS = (8, 10, 12, 14, 16)  # of detectors; a few move them to the top of 16
_CEILINGS = {float(2**n - 1) for n in _BITS} | {float((2**n - 1) << (16 - n)) for n in _BITS[1:]}
_SPARSE = 0.1  # of the columns of a cell: where fewer reach the fill value, the cell is full of noise
_EMPTY, _DENSE = 1, 2


@dataclass(slots=True)
class Channel:
    """One channel, as far as it was looked at.

    Attributes:
        low, high: smallest and largest finite value; `low` above `high` where none was seen.
        at_high: voxels that have the largest value.
        between: True where a value lies between the two, so that it is no mask.
        odd: voxels that are not finite.
        voxels: seen.
    """

    low: float = math.inf
    high: float = -math.inf
    at_high: int = 0
    between: bool = False
    odd: int = 0
    voxels: int = 0

    @property
    def constant(self) -> bool:
        """True where all that was seen has one value."""
        return self.low == self.high and not self.odd


class Content:
    """What level 0 of an intensity image holds, once every block was taken in.

    Args:
        axes, array: of level 0.
        fill: what Zarr reads where nothing is stored.

    Attributes:
        channels: by number.
        top: the greatest value of the type; None for floating-point numbers.
        planes: how many it has, in all channels and at all times.
    """

    def __init__(self, axes: str, array: ZarrArray, fill: float = 0) -> None:
        length = dict(zip(axes, array.shape, strict=True))
        chunk = dict(zip(axes, array.chunk or array.shard, strict=True))
        self._axes, self._fill = axes, fill
        self._size = z, y, x = length.get("z", 1), length["y"], length["x"]
        self._cell = dict(zip(axes, array.shard, strict=True)).get("z", 1), chunk["y"], chunk["x"]
        lead = length.get("t", 1), length.get("c", 1)
        grid = tuple(-(-n // s) for n, s in zip((z, y, x), self._cell, strict=True))
        self.planes = math.prod(lead) * z
        kind = array.dtype.kind
        self.top = 1 if kind == "b" else int(np.iinfo(array.dtype).max) if kind in "iu" else None
        self.channels = [Channel() for _ in range(lead[1])]
        self._digest = np.zeros((*lead, z), np.uint64)
        self._varied = np.zeros((*lead, z), bool)
        self._cells = np.zeros(
            (*lead, *(grid if math.prod(lead) * math.prod(grid) <= _MOST_CELLS else (0, 0, 0))), np.uint8
        )

    def look(self, box: Box, block: Array) -> None:
        """Take in a decoded box: a shard."""
        at = dict(zip(self._axes, box, strict=True))
        span = [at.get(a, slice(0, 1)) for a in "tczyx"]
        block = block.view(np.uint8) if block.dtype.kind == "b" else block
        full = np.ascontiguousarray(block.reshape([s.stop - s.start for s in span]))
        for t, times in enumerate(full, span[0].start):
            for c, volume in enumerate(times, span[1].start):
                self._volume(t, c, span[2:], volume)

    def _volume(self, t: int, c: int, span: list[slice], volume: Array) -> None:
        """Take in a box of one channel at one time (z, y, x), plane by plane while it is in the cache."""
        low, high = volume[0].copy(), volume[0].copy()
        digests, varied = np.zeros(len(volume), np.uint64), np.zeros(len(volume), bool)
        place = (
            hash((span[1].start, span[2].start)) | 1
        )  # a piece of a plane is told from the same at another place
        for k, plane in enumerate(volume):
            np.minimum(low, plane, out=low)
            np.maximum(high, plane, out=high)
            digests[k] = value(plane.tobytes()) * place & 0xFFFF_FFFF_FFFF_FFFF
            first = plane[0, 0]
            varied[k] = bool((plane[0] != first).any()) or bool((plane != first).any())
        _merge(self.channels[c], self._seen(self.channels[c], volume, low, high))
        self._digest[t, c, span[0]] += digests
        self._varied[t, c, span[0]] |= varied
        if self._cells.size:
            kinds = self._kinds(low, high)
            rows, columns = (
                slice(s.start // n, s.start // n + k)
                for s, n, k in zip(span[1:], self._cell[1:], kinds.shape, strict=True)
            )
            self._cells[t, c, span[0].start // self._cell[0], rows, columns] = kinds

    def _seen(self, so_far: Channel, volume: Array, low: Array, high: Array) -> Channel:
        """What a volume adds to a channel; voxels at its top are counted only where that may matter."""
        seen = Channel(voxels=volume.size)
        least, most = low.min(), high.max()
        if volume.dtype.kind == "f" and not (np.isfinite(least) and np.isfinite(most)):
            finite = volume[np.isfinite(volume)]
            seen.odd = volume.size - finite.size
            if not finite.size:
                return seen
            least, most = finite.min(), finite.max()
        seen.low, seen.high = float(least), float(most)
        if seen.high >= so_far.high:
            seen.at_high = sum(int(np.count_nonzero(plane == most)) for plane in volume)
        if not so_far.between:
            bottom, top = min(seen.low, so_far.low), max(seen.high, so_far.high)
            seen.between = any(bool(((p > bottom) & (p < top)).any()) for p in volume)
        return seen

    def _kinds(self, low: Array, high: Array) -> Array:
        """For each cell of columns (y, x), whether it holds the fill value alone, or hardly any of it."""
        rows, columns = (range(0, n, s) for n, s in zip(low.shape, self._cell[1:], strict=True))

        def summed(flags: Array) -> Array:
            total = np.add.reduceat(flags, rows, axis=0, dtype=np.int64)
            return np.asarray(np.add.reduceat(total, columns, axis=1))

        area = summed(np.ones(low.shape, np.uint8))
        reach, leave = summed(low == self._fill), summed(high != self._fill)
        kinds = np.zeros(area.shape, np.uint8)
        kinds[(leave == 0) & (reach == area)] = _EMPTY
        kinds[reach <= _SPARSE * area] = _DENSE
        return kinds

    def clipped(self) -> Iterator[tuple[int, float]]:
        """Channels of which too large a part has the greatest value of a detector, and that part; no masks."""
        for c, channel in enumerate(self.channels):
            share = channel.at_high / max(channel.voxels, 1)
            if share > CLIPPED and channel.between and (channel.high in _CEILINGS or channel.high == self.top):
                yield c, share

    def statistics(self) -> dict[str, list[float]]:
        """What each field of the metadata may say: the top is that of the type, or the greatest value there is."""
        channels = [c for c in self.channels if c.low <= c.high]
        if not channels:
            return {}
        high, voxels = max(c.high for c in channels), sum(c.voxels for c in self.channels)
        tops = (self.top, high)
        return {
            "intensity_min": [min(c.low for c in channels)],
            "intensity_max": [high],
            "saturation_fraction": [sum(c.at_high for c in channels if c.high == top) / voxels for top in tops],
        }

    @property
    def odd(self) -> bool:
        """True where any rule may have something to tell of it."""
        return any(c.odd or c.constant for c in self.channels) or any(
            True for found in (self.clipped, self.repeated_planes, self.same_channels, self.holes) for _ in found()
        )

    def repeated_planes(self) -> Iterator[tuple[int, int, int]]:
        """Time, channel and number of each plane that is the same as the next one, and not of one value alone."""
        same = (self._digest[..., 1:] == self._digest[..., :-1]) & self._varied[..., 1:] & self._varied[..., :-1]
        for t, c, z in zip(*np.nonzero(same), strict=True):
            if self.channels[c].between:
                yield int(t), int(c), int(z)

    def same_channels(self) -> Iterator[tuple[int, int]]:
        """Pairs of channels that hold the same voxels, and not one value alone."""
        first: dict[bytes, int] = {}
        for c, channel in enumerate(self.channels):
            if not channel.constant:
                known = first.setdefault(self._digest[:, c].tobytes(), c)
                if known != c:
                    yield known, c

    def holes(self) -> Iterator[tuple[int, int, list[slice]]]:
        """Time, channel and box (z, y, x) of cells that hold the fill value alone, and noise all around."""
        from scipy import ndimage

        for t, c, z in np.ndindex(*self._cells.shape[:3]):
            cells = self._cells[t, c, z]
            empty = cells == _EMPTY
            if not empty.any() or not (cells == _DENSE).any():
                continue
            parts, _ = ndimage.label(empty)
            for number, box in enumerate(ndimage.find_objects(parts), 1):
                inside = all(s.start > 0 and s.stop < n for s, n in zip(box, cells.shape, strict=True))
                wide = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
                mine = parts[wide] == number
                around = ndimage.binary_dilation(mine) & ~mine
                if inside and (cells[wide][around] == _DENSE).all():
                    at = (slice(z, z + 1), *box)
                    yield (
                        t,
                        c,
                        [
                            slice(s.start * n, min(s.stop * n, length))
                            for s, n, length in zip(at, self._cell, self._size, strict=True)
                        ],
                    )


def _merge(channel: Channel, seen: Channel) -> None:
    """Add what a block shows to a channel, in any order of the blocks."""
    if seen.high > channel.high:
        channel.at_high = seen.at_high
    elif seen.high == channel.high:
        channel.at_high += seen.at_high
    known = [v for v in (channel.low, channel.high, seen.low, seen.high) if math.isfinite(v)]
    channel.low, channel.high = min(channel.low, seen.low), max(channel.high, seen.high)
    channel.between |= seen.between or any(channel.low < v < channel.high for v in known)
    channel.odd += seen.odd
    channel.voxels += seen.voxels
