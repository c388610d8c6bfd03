"""Whether each level of a pyramid is the one before it made smaller, from decoded blocks of the finer one.

How a level was made is nobody's rule: means, medians, a voxel of several, Gaussians. What all have in common is
that a voxel lies in the range of those that it covers; and a label is one of those.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from neuropack.axes import Array, Box
from neuropack.rules.pixel_looks import has_gaps
from neuropack.writers.pyramid import downsample

if TYPE_CHECKING:
    from typing import Self

    from neuropack.rules.ome_zarr import Level, OmeZarr
    from neuropack.rules.release_files import ReleaseFiles

_WHOLE = 8 * 2**20
"""Bytes of a level that is compared as a whole; of a larger one, every eighth chunk is."""
_STEP = 8
_SMALL = 2**15  # voxels of a chunk; where it has fewer, a shard is compared at a time
_MEANS = 0.9  # of the voxels of a piece that must be means, for a level to be made by averaging
_ODD_SHARE, _ODD = 0.2, 16
"""Voxels of a piece that may be out of range where a level was not made by averaging: splines overshoot."""
_STEPS = 200
"""Steps for each voxel that is covered, from which on no correlation is clearly less than that of noise."""


@dataclass(frozen=True)
class Likeness:
    """Sums of a correlation: do steps from voxel to voxel along x go as they do in the means of the finer level?

    Attributes:
        count: steps.
        coarse, fine: sums of their squares.
        both: sum of their products.
    """

    count: int = 0
    coarse: float = 0.0
    fine: float = 0.0
    both: float = 0.0

    @classmethod
    def of(cls, coarse: Array, mean: Array) -> Self:
        """Of a block and the means of what it covers; voxels that are no numbers are left out."""
        a, b = np.diff(coarse, axis=-1), np.diff(mean, axis=-1)
        known = np.isfinite(a) & np.isfinite(b)
        a, b = a[known], b[known]
        return cls(int(np.count_nonzero(b)), float(a @ a), float(b @ b), float(a @ b))

    def __add__(self, other: Likeness) -> Likeness:
        return Likeness(
            self.count + other.count,
            self.coarse + other.coarse,
            self.fine + other.fine,
            self.both + other.both,
        )

    @property
    def correlation(self) -> float:
        """From -1 to 1; 0 where the coarse level does not change at all."""
        product = self.coarse * self.fine
        return self.both / product**0.5 if 0 < product < math.inf else 0.0


@dataclass
class Departure:
    """Where a level is not what the level before it gives, if it is.

    Attributes:
        finer, level: the two.
        covered: voxels of the finer one to a voxel.
        compared: voxels that were compared; `odd` of them cannot have been made from what they cover.
        at: the first of them; `found` there, where the finer level has `low` to `high`.
        likeness: of all that was not made by averaging.
    """

    finer: Level
    level: Level
    covered: int
    compared: int = 0
    odd: int = 0
    at: tuple[int, ...] = ()
    found: str = ""
    low: str = ""
    high: str = ""
    likeness: Likeness = Likeness()

    def add(self, piece: Box, values: Array, new: Compared) -> None:
        """Take in a piece that was compared."""
        self.compared += new.odd.size
        self.likeness += new.likeness
        count = int(np.count_nonzero(new.odd))
        if count and not self.odd:
            first = tuple(int(i[0]) for i in np.nonzero(new.odd))
            self.at = tuple(s.start + i for s, i in zip(piece, first, strict=True))
            self.found, self.low, self.high = (str(a[first]) for a in (values, new.low, new.high))
        self.odd += count

    @property
    def unlike(self) -> bool:
        """True where the level goes its own ways. One voxel of each cell, of pure noise, is like the means by the
        root of one in `covered`; anything else that is made from them is more so."""
        steps = self.likeness
        return steps.count >= _STEPS * self.covered and steps.correlation < 0.5 / self.covered**0.5


class Pyramids:
    """Compares each block of a level with what it becomes in the next one.

    Attributes:
        found: by the folder of the image, where its levels depart from each other; finest first.
    """

    needs_whole = False

    def __init__(self, release: ReleaseFiles) -> None:
        self._release = release
        self.found: dict[str, tuple[OmeZarr, list[Departure]]] = {}
        self._step: _Step | None = None

    def wants(self, image: OmeZarr, level: Level) -> bool:
        """A level that has a coarser one, made from it by whole voxels."""
        number = image.levels.index(level) + 1
        coarser = image.levels[number] if number < len(image.levels) else None
        self._step = None
        if coarser is not None and all(_stored(self._release, one) for one in (level, coarser)):
            self._step = _step(self._release, image, level, coarser)
        if coarser is None or self._step is None:
            return False
        self.found.setdefault(image.folder, (image, []))[1].append(
            Departure(level, coarser, math.prod(self._step.factor))
        )
        return True

    def look(self, image: OmeZarr, level: Level, box: Box, block: Array) -> None:
        """Compare a decoded box of a level with the part of the next level that it makes."""
        step = self._step
        if step is None:
            return
        for piece in step.pieces(box):
            there = step.read(piece)
            if isinstance(there, Exception):
                continue  # the rules for damaged chunks tell
            fine = tuple(
                slice(p.start * f - b.start, min(p.stop * f, n) - b.start)
                for p, f, b, n in zip(piece, step.factor, box, step.shape, strict=True)
            )
            new = compare(block[fine], there, step.factor, labels=image.is_label, exact=step.exact)
            self.found[image.folder][1][-1].add(piece, there, new)

    def end(self, image: OmeZarr, level: Level) -> None:
        """Nothing is left to do: each block was compared by itself."""

    def clean(self, image: OmeZarr) -> bool:
        """True where no level departs from the one before."""
        return self.first(image) is None

    def first(self, image: OmeZarr) -> Departure | None:
        """The first level that departs from the one before; those behind it may have been made from it."""
        _, found = self.found.get(image.folder, (image, []))
        return next(
            (d for d in found if (d.odd or d.unlike) and not has_gaps(self._release, d.finer, d.level)), None
        )


@dataclass
class _Step:
    """How a level follows from the one before.

    Attributes:
        level: the coarser one.
        shape: of the finer one.
        factor: voxels of the finer one to a voxel, along each axis.
        exact: True where no voxel of the finer level is left over.
        tile: what is compared at a time: a chunk of the coarser level.
        every: one of how many of them is compared.
        read: reads a box of the coarser level.
    """

    level: Level
    shape: tuple[int, ...]
    factor: tuple[int, ...]
    exact: bool
    tile: tuple[int, ...]
    every: int
    read: Callable[[Box], Array | Exception]

    def pieces(self, box: Box) -> Iterator[Box]:
        """The boxes of the coarser level, of a chunk at most, that a box of the finer one covers whole."""
        starts, stops = [], []
        coarse = self.level.array.shape if self.level.array else ()
        for s, f, n, long in zip(box, self.factor, self.shape, coarse, strict=True):
            starts.append(-(-s.start // f))
            stops.append(min(long, -(-s.stop // f) if s.stop == n else s.stop // f))
        grids = [range(begin // t, -(-end // t)) for begin, end, t in zip(starts, stops, self.tile, strict=True)]
        for at in itertools.product(*grids):
            if sum(at) % self.every:
                continue
            piece = tuple(
                slice(max(i * t, begin), min((i + 1) * t, end))
                for i, t, begin, end in zip(at, self.tile, starts, stops, strict=True)
            )
            if all(s.start < s.stop for s in piece):
                yield piece


def _stored(release: ReleaseFiles, level: Level) -> bool:
    """True where no file of a level is absent or empty, which other rules tell."""
    return level.array is not None and all(map(release.files.get, level.array.files()))


def _step(release: ReleaseFiles, image: OmeZarr, finer: Level, coarser: Level) -> _Step | None:
    """The step between two levels; None where it is not by whole voxels, so that nothing can be said of it."""
    if finer.array is None or coarser.array is None or finer.array.dtype != coarser.array.dtype:
        return None
    factors, exact = [], True
    for axis, long, short in zip(image.axes, finer.array.shape, coarser.array.shape, strict=True):
        factor = max(round(long / short), 1) if short else 0
        if factor == 0 or (axis in "tc" and factor > 1) or short not in (long // factor, -(-long // factor)):
            return None
        factors.append(factor)
        exact &= short == -(-long // factor)
    tile = coarser.array.chunk or coarser.array.shard
    if math.prod(tile) < _SMALL:
        tile = coarser.array.shard
    every = 1 if coarser.array.bytes <= _WHOLE else _STEP
    read = image.reader(release, coarser)
    return _Step(coarser, finer.array.shape, tuple(factors), exact, tile, every, read)


@dataclass(frozen=True)
class Compared:
    """A block of a level beside the block that it covers.

    Attributes:
        odd: True for each voxel that cannot have been made from those; few are not told where a level may have been
            made by other than averaging.
        low, high: the least and the greatest value that each covers; of no use where none is odd.
        likeness: of a block that was not made by averaging; zero else.
    """

    odd: Array
    low: Array
    high: Array
    likeness: Likeness


def compare(fine: Array, coarse: Array, factor: tuple[int, ...], *, labels: bool, exact: bool = True) -> Compared:
    """Compare a block of a level with the block that it covers.

    Args:
        fine: the finer block; its ends may lack what fills the last voxels.
        coarse: the coarser one, of as many dimensions.
        factor: how many voxels are one, along each axis.
        labels: True for labels: each must be one of those covered.
        exact: False where voxels are left over, so that each may be made from others than those covered.
    """
    if fine.dtype.kind == "b":
        fine, coarse = fine.view(np.uint8), coarse.view(np.uint8)
    if not labels and exact and set(factor) <= {1, 2} and fine.ndim >= 2:
        made = _averaged(fine, factor)
        if np.array_equal(made, coarse, equal_nan=made.dtype.kind == "f"):
            return Compared(np.zeros(coarse.shape, bool), coarse, coarse, Likeness())
    pads = [(0, max(n * f - m, 0)) for n, f, m in zip(coarse.shape, factor, fine.shape, strict=True)]
    if any(after for _, after in pads):
        fine = np.pad(fine, pads, mode="edge")
    fine = fine[tuple(slice(0, n * f) for n, f in zip(coarse.shape, factor, strict=True))]
    found = (_labels if labels else _intensities)(fine, coarse, factor, exact)
    for axis, (_, after) in enumerate(pads):
        if after:  # what fills an odd end is the writer's choice
            found.odd[(slice(None),) * axis + (-1,)] = False
    return found


def _averaged(fine: Array, factor: tuple[int, ...]) -> Array:
    """The mean as neuropack makes it."""
    lead = (1,) * max(0, 3 - fine.ndim)
    z, y, x = (1, 1, 1, *factor)[-3:]
    made = downsample(fine.reshape(lead + fine.shape), (z, y, x), labels=False)
    return made.reshape(made.shape[len(lead) :])


def _parts(values: Array, axis: int, factor: int) -> list[Array]:
    """The first, second, ... of each `factor` voxels along an axis."""
    return [values[(*(slice(None),) * axis, slice(k, None, factor))] for k in range(factor)]


def _range(fine: Array, factor: tuple[int, ...]) -> tuple[Array, Array]:
    """The least and the greatest value of what each coarser voxel covers; NaN only where nothing else is."""
    low = high = fine
    for axis in reversed(range(fine.ndim)):
        low = reduce(np.fmin, _parts(low, axis, factor[axis]))
        high = reduce(np.fmax, _parts(high, axis, factor[axis]))
    return low, high


def _mean(fine: Array, factor: tuple[int, ...]) -> Array:
    """The mean of what each coarser voxel covers."""
    total = fine
    for axis in reversed(range(fine.ndim)):
        if factor[axis] > 1:
            parts = _parts(total, axis, factor[axis])
            total = reduce(lambda a, b: np.add(a, b, dtype=np.float64), parts)
    return np.asarray(total / math.prod(factor))


def _labels(fine: Array, coarse: Array, factor: tuple[int, ...], exact: bool) -> Compared:
    odd = np.ones(coarse.shape, bool)
    for offset in itertools.product(*map(range, factor)):
        odd &= fine[tuple(slice(o, None, f) for o, f in zip(offset, factor, strict=True))] != coarse
        if not odd.any():
            return Compared(odd, coarse, coarse, Likeness())
    low, high = _range(fine, factor)
    return Compared(odd if exact else _many(odd, (low < high) | odd), low, high, Likeness())


def _intensities(fine: Array, coarse: Array, factor: tuple[int, ...], exact: bool) -> Compared:
    from scipy import ndimage

    real = fine.dtype.kind == "f"
    with np.errstate(all="ignore"):
        low, high = _range(fine, factor)
        slack = 1e-5 * np.fmax(np.abs(low), np.abs(high)) if real else np.zeros(1, fine.dtype)
        outside = _beyond(coarse, low, high, slack)
        mean = _mean(fine, factor)
        told = (low < high) | outside
        mean_like = exact and _is_mean(coarse, mean, told)
        odd = outside
        if odd.any():  # a Gaussian or a spline takes from the neighbours of what a voxel covers
            near = ndimage.minimum_filter(low, 3), ndimage.maximum_filter(high, 3)
            odd = outside & _beyond(coarse, *near, slack)
        if mean_like:
            return Compared(odd, low, high, Likeness())
        for axis, f in enumerate(factor):
            if f > 1:  # the neighbours of a border are not seen here
                odd[(slice(None),) * axis + (slice(0, None, max(coarse.shape[axis] - 1, 1)),)] = False
        odd = _many(odd, told)
        likeness = Likeness.of(coarse.astype(np.float64), mean) if exact else Likeness()
    return Compared(odd, low, high, likeness)


def _is_mean(coarse: Array, mean: Array, told: Array) -> bool:
    """Whether nearly all voxels are means, rounded down, up, or to the next number."""
    of = int(told.sum())
    if coarse.dtype.kind == "f":
        ways = [np.abs(coarse - mean) <= np.abs(mean) * 1e-5]
    else:
        ways = [coarse == np.floor(mean), coarse == np.ceil(mean), np.abs(coarse - mean) <= 0.5]
    return any(int((way & told).sum()) >= _MEANS * of for way in ways)


def _beyond(values: Array, low: Array, high: Array, slack: Array) -> Array:
    """Where values lie outside of a range. Integers are compared as they are, so that none wraps around."""
    if values.dtype.kind == "f":
        low, high = low - slack, high + slack
    return np.asarray((values < low) | (values > high))


def _many(odd: Array, told: Array) -> Array:
    """Nothing, where so few are odd that the way in which the level was made may explain it."""
    count = int(odd.sum())
    return odd if count > _ODD and count > _ODD_SHARE * int(told.sum()) else np.zeros_like(odd)
