"""What a pass learns about the pixels on their way: extremes, saturation, a histogram, maximum projections."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from neuropack.axes import Array, Box

EXACT = 64  # values below this have a histogram bin of their own; then 32 bins for each doubling
PER_DOUBLING = 32
_COUNT_ALL = 1 << 26  # voxels of an image, up to which each is counted
_EVERY = 4  # else every fourth row and column
SIDE = 1024  # longest side of a projection


@dataclass(frozen=True)
class Statistics:
    """Intensities of one channel.

    Attributes:
        minimum, maximum: of the finite values.
        saturated: how many voxels are at the type's maximum.
        voxels: how many were seen.
        histogram: lower edge of a bin to the number of voxels in it. Bins are 1 wide up to 64, then 32 to each
            doubling; negative values mirror them. Empty bins are left out.
        every: the histogram counts every so many rows and columns; 1 means all.
    """

    minimum: float
    maximum: float
    saturated: int
    voxels: int
    histogram: Mapping[float, int] = field(default_factory=dict)
    every: int = 1

    @property
    def saturation_fraction(self) -> float:
        """Share of the voxels that are at the largest value of the type; 0 for floating point."""
        return self.saturated / self.voxels if self.voxels else 0.0

    def percentile(self, q: float) -> float:
        """The lower edge of the bin that holds a percentile (0 to 100); within 3 % of the exact value."""
        edges = sorted(self.histogram)
        if not edges:
            return self.minimum
        counts = np.cumsum([self.histogram[e] for e in edges])
        return float(edges[int(np.searchsorted(counts, q / 100 * counts[-1]))])

    def __add__(self, other: Statistics) -> Statistics:
        bins = dict(self.histogram)
        for edge, count in other.histogram.items():
            bins[edge] = bins.get(edge, 0) + count
        return Statistics(
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.saturated + other.saturated,
            self.voxels + other.voxels,
            dict(sorted(bins.items())),
            max(self.every, other.every),
        )

    def to_json(self) -> dict[str, Any]:
        """The form of journals and conversion records."""
        low, high = (v if math.isfinite(v) else None for v in (self.minimum, self.maximum))
        return {
            "minimum": low,
            "maximum": high,
            "saturated": self.saturated,
            "voxels": self.voxels,
            "histogram": {"every": self.every, "bins": [[e, n] for e, n in self.histogram.items()]},
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """What `to_json` gave; a record of an earlier version has no histogram."""
        bins = row.get("histogram", {"every": 1, "bins": []})
        low, high = row["minimum"], row["maximum"]
        return cls(
            math.inf if low is None else low,
            -math.inf if high is None else high,
            row["saturated"],
            row["voxels"],
            dict(bins["bins"]),
            bins["every"],
        )


def histogram(values: Array) -> dict[float, int]:
    """Counts by the lower edge of the bin (see `Statistics`); values that are no numbers are left out."""
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        counts = np.bincount(values.reshape(-1))
        found = np.flatnonzero(counts)
        return _binned(found.astype(np.float64), counts[found])
    flat = values.reshape(-1).astype(np.float64)
    found, counts = np.unique(flat[np.isfinite(flat)], return_counts=True)
    return _binned(found, counts)


def _binned(values: Array, counts: Array) -> dict[float, int]:
    size = np.floor(np.abs(values))
    _, exponent = np.frexp(np.maximum(size, 1))
    step = np.maximum(2.0 ** (exponent - 1) / PER_DOUBLING, 1.0)
    step[size < EXACT] = 1.0
    edge = np.floor(size / step) * step * np.where(values < 0, -1.0, 1.0)
    edges, where = np.unique(edge, return_inverse=True)
    sums = np.bincount(where, weights=counts)
    return {float(e): int(n) for e, n in zip(edges, sums, strict=True)}


@dataclass(frozen=True, eq=False)
class Projections:
    """Maxima of each channel: the largest voxel of each cell of `factor` voxels along z, y, x.

    Attributes:
        along_z, along_y, along_x: (channels, y, x), (channels, z, x), (channels, z, y), in cells.
        factor: voxels to a cell along z, y, x.
    """

    along_z: Array
    along_y: Array
    along_x: Array
    factor: tuple[int, int, int]

    @classmethod
    def empty(cls, channels: int, size_zyx: tuple[int, int, int], dtype: np.dtype[Any]) -> Self:
        """Nothing seen yet: the smallest value of the type everywhere."""
        fz, fy, fx = factor = factor_of(size_zyx)
        z, y, x = -(-size_zyx[0] // fz), -(-size_zyx[1] // fy), -(-size_zyx[2] // fx)
        low = lowest(dtype)
        shapes = (channels, y, x), (channels, z, x), (channels, z, y)
        along_z, along_y, along_x = (np.full(s, low, dtype) for s in shapes)
        return cls(along_z, along_y, along_x, factor)

    def add(self, box: Box, part: Projections) -> None:
        """Take in the projections of a box of channels, z, y, x. Adding the same again changes nothing."""
        c, (z, y, x) = box[0], (
            slice(s.start // f, -(-s.stop // f)) for s, f in zip(box[1:], self.factor, strict=True)
        )  # fmt: skip
        for whole, new in (
            (self.along_z[c, y, x], part.along_z),
            (self.along_y[c, z, x], part.along_y),
            (self.along_x[c, z, y], part.along_x),
        ):
            np.fmax(whole, new, out=whole)


def lowest(dtype: np.dtype[Any]) -> Any:
    """The value that every other is at least as large as."""
    if dtype.kind == "f":
        return -np.inf
    return np.iinfo(dtype).min if dtype.kind in "iu" else False


def factor_of(size_zyx: tuple[int, int, int]) -> tuple[int, int, int]:
    """Powers of two by which the sides of an image shrink to at most `SIDE`; a box of the pass starts on them."""
    z, y, x = (1 << max(0, (-(-n // SIDE) - 1).bit_length()) for n in size_zyx)
    return z, y, x


def measure(box: Box, block: Array, image: tuple[int, ...]) -> tuple[list[Statistics], Projections | None]:
    """Look at a block once, plane by plane while it is in the processor's cache.

    Args:
        box: where it lies in the image.
        block: the pixels, (T,) C, Z, Y, X.
        image: lengths of the whole image along the same axes.

    Returns:
        Statistics per channel of the block, and its projections; None beyond the first time point.
    """
    if truth := block.dtype.kind == "b":
        block = block.view(np.uint8)
    every = 1 if math.prod(image) <= _COUNT_ALL else _EVERY
    rows, columns = (slice(-s.start % every, None, every) for s in box[-2:])
    statistics, seen = [], []
    for channel in np.moveaxis(block, -4, 0):
        volume = channel.reshape(-1, *block.shape[-2:])  # all times, if there are several
        along_y, along_x = (np.empty((len(volume), n), block.dtype) for n in block.shape[:-3:-1])
        along_z = np.full(block.shape[-2:], lowest(block.dtype), block.dtype)
        low: Any = math.inf
        counts: Array = np.zeros(0, np.int64)
        bins: Mapping[float, int] = {}
        narrow = block.dtype.kind == "u" and block.dtype.itemsize <= 2
        for k, plane in enumerate(volume):
            np.fmax(along_z, plane, out=along_z)
            np.fmax.reduce(plane, axis=0, out=along_y[k])
            np.fmax.reduce(plane, axis=1, out=along_x[k])
            low = min(low, _least(plane))
            sample = plane[rows, columns]
            if narrow:
                found = np.bincount(sample.reshape(-1))
                if len(found) > len(counts):
                    found[: len(counts)] += counts
                    counts = found
                else:
                    counts[: len(found)] += found
            else:
                bins = (_ZERO + Statistics(0, 0, 0, 0, bins) + Statistics(0, 0, 0, 0, histogram(sample))).histogram
        if narrow:
            there = np.flatnonzero(counts)
            bins = _binned(there.astype(np.float64), counts[there])
        high, saturated = _top(volume, along_x, 1 if truth else None)
        statistics.append(Statistics(float(low), high, saturated, volume.size, dict(bins), every))
        kind = np.dtype(bool) if truth else block.dtype
        seen.append((along_z.view(kind), along_y.view(kind), along_x.view(kind)))
    if len(image) == 5 and box[0].start > 0:
        return statistics, None
    return statistics, _pooled(box[-3:], seen, factor_of(image[-3:]))  # type: ignore[arg-type]


_ZERO = Statistics(0, 0, 0, 0)


def _least(plane: Array) -> Any:
    if plane.dtype.kind == "f":
        finite = plane[np.isfinite(plane)]
        return finite.min() if finite.size else math.inf
    return plane.min()


def _top(volume: Array, along_x: Array, top: int | None) -> tuple[float, int]:
    """The largest finite value, and how many voxels are at the type's own maximum."""
    kind = volume.dtype.kind
    if kind == "f":
        finite = volume[np.isfinite(volume)] if not np.isfinite(along_x).all() else along_x
        return (float(finite.max()) if finite.size else -math.inf), 0
    high, top = along_x.max(), np.iinfo(volume.dtype).max if top is None else top
    full = along_x.max(axis=1) == top
    return float(high), sum(int(np.count_nonzero(volume[k] == top)) for k in np.flatnonzero(full))


def _pooled(box: Box, seen: list[tuple[Array, Array, Array]], factor: tuple[int, int, int]) -> Projections:
    z, y, x = ((s, f) for s, f in zip(box, factor, strict=True))
    along: list[Array] = [np.stack(arrays) for arrays in zip(*seen, strict=True)]
    for i, axes in enumerate(((y, x), (z, x), (z, y))):
        for axis, (s, f) in zip((1, 2), axes, strict=True):
            if f > 1:
                starts = np.arange(s.start // f * f, s.stop, f) - s.start
                along[i] = np.fmax.reduceat(along[i], np.maximum(starts, 0), axis=axis)
    return Projections(along[0], along[1], along[2], factor)
