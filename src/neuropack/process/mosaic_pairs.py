"""How far a tile lies from where the stage says, seen from its neighbour: the overlap of two tiles.

The overlap is looked at twice. First as a whole, in bins where it is large: candidates come from phase correlation
(Kuglin and Hines 1975), each is moved to the nearest maximum of the normalised correlation of what then lies on one
another, and the best is taken. Then a few pieces with much structure are compared voxel by voxel around that place.
The part of a voxel is the vertex of a parabola through the maximum and its two neighbours along each axis.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.process.mosaic_layout import Floats, Tile
from neuropack.volume import Volume

Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

LEAST = 4  # voxels of an overlap along y and x; less shows no structure
_BINS = 1 << 20  # of an overlap at most; the memory of one pair is some fifteen times as many numbers
_SLAB = 16 << 20  # bytes read at a time
_PIECE = (48, 128, 128)  # voxels of a piece that is compared at full resolution
_PIECES = 4
_FINE, _ROUGH = 1.0, 6.0  # sigma of the band, in bins: finer is noise, rougher is vignetting and haze
_PEAKS = 8  # candidates
_WORTH = 1 / 3  # of the overlap that a shift must leave
_QUANTILES = (0.0, 0.5, 0.9, 0.98, 1.0)  # of brightness: the classes for which two tiles are compared


@dataclass(frozen=True)
class Pair:
    """What the overlap of two tiles says.

    Attributes:
        first, second: numbers of the tiles.
        shift_um: (z, y, x) by which the second lies farther from the first than the stage says.
        quality: correlation of the overlap, 1 where both show the same; the weight of the pair.
        second_best: the highest correlation at another place.
        voxels: of the overlap by the stage.
        problem: why the pair says nothing; empty where it does.
        levels: (channels, classes, 2) mean grey value of voxels of several brightnesses in the two; NaN: unknown.
    """

    first: int
    second: int
    shift_um: tuple[float, float, float]
    quality: float
    second_best: float
    voxels: int
    problem: str
    levels: Floats


@dataclass(frozen=True)
class Settings:
    """How pairs are compared.

    Attributes:
        channels: those that are looked at; each counts in units of its own noise.
        max_shift_um: farthest from the nominal place along each axis; None: half of the overlap's shorter edge.
        least_quality: pairs of a lower correlation say nothing.
        levels: also compare brightness, for the gains.
    """

    channels: tuple[int, ...]
    max_shift_um: float | None = None
    least_quality: float = 0.1
    levels: bool = False


def pairs_of(tiles: Sequence[Tile], positions_um: Floats) -> list[tuple[int, int]]:
    """Tiles that overlap by `LEAST` voxels or more along y and x, and by one along z: numbers (first, second)."""
    size = np.array([tile.size for tile in tiles])
    start = positions_um / tiles[0].voxel_um
    stop, least = start + size, np.array([1, LEAST, LEAST])
    found = []
    for i in range(len(tiles) - 1):
        depth = np.minimum(stop[i], stop[i + 1 :]) - np.maximum(start[i], start[i + 1 :])
        found += [(i, i + 1 + int(j)) for j in np.flatnonzero((np.round(depth) >= least).all(axis=1))]
    return found


def compare(tiles: Sequence[Tile], pair: tuple[int, int], positions_um: Floats, settings: Settings) -> Pair:
    """Measure one pair. Reads nothing but the overlap, in slabs.

    Raises:
        InputError: a tile cannot be read.
    """
    a, b = (tiles[i] for i in pair)
    voxel = a.voxel_um
    lag = (positions_um[pair[1]] - positions_um[pair[0]]) / voxel  # of b's first voxel in a
    whole = np.floor(lag + 0.5).astype(np.int64)
    start, stop = np.maximum(0, whole), np.minimum(a.size, whole + b.size)
    size = stop - start
    limit = _limit(size, voxel, settings.max_shift_um)
    bins = _bins(size, voxel)
    boxes = (start, start - whole)
    seen = [_binned(t.volume, at, size, bins, settings.channels) for t, at in zip((a, b), boxes, strict=True)]
    bands = [_banded(image, bins.max() == 1) for image in seen]
    levels = np.full((a.volume.n_channels, len(_QUANTILES) - 1, 2), np.nan)
    if not all(band.any() for band in bands):
        return Pair(*pair, (0.0, 0.0, 0.0), 0.0, 0.0, int(size.prod()), "no structure in the overlap", levels)
    found, quality, second = _best_shift(bands[0], bands[1], np.ceil(limit / bins).astype(np.int64))
    shift = found * bins
    if bins.max() > 1:
        shift, quality = _refined(a, b, (boxes[0], boxes[1]), size, shift, bins, (bands[0], bands[1]), settings)
    problem = ""
    if quality < settings.least_quality:
        problem = f"correlation {quality:.2f}, below {settings.least_quality:g}"
    elif quality < 1.15 * second:
        problem = f"correlation {second:.2f} at another place, {quality:.2f} here"
    elif (np.abs(shift + whole - lag) > limit + 0.5).any():
        problem = "best at the farthest shift that is allowed"
    if settings.levels and not problem:
        levels = _levels(a, b, (boxes[0], boxes[1]), size, shift, bins)
    z, y, x = ((shift + whole - lag) * voxel).tolist()
    return Pair(*pair, (z, y, x), round(quality, 6), round(second, 6), int(size.prod()), problem, levels)


def _limit(size: Ints, voxel: Floats, max_um: float | None) -> Floats:
    """Voxels that the second tile may be off along each axis: as far as something still lies on something."""
    um = float((size[1:] * voxel[1:]).min()) / 2 if max_um is None else max_um
    found: Floats = np.minimum(um / voxel, size * (1 - _WORTH))
    return np.where(size > 1, found, 0.0)


def _bins(size: Ints, voxel: Floats) -> Ints:
    """Voxels of a bin along each axis: bins near to cubes, as few as allowed."""
    bins = np.ones(3, np.int64)
    while (size // bins).prod() > _BINS:
        may = size // (bins * 2) >= 8
        bins[int(np.argmin(np.where(may, voxel * bins, np.inf)))] *= 2
    return bins


def _box(volume: Volume, channel: int, start: Ints, stop: Ints) -> tuple[slice, ...]:
    """A box of the first time and one channel."""
    inner = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return (*(slice(0, 1) for _ in volume.shape[:-4]), slice(channel, channel + 1), *inner)


def _binned(volume: Volume, start: Ints, size: Ints, bins: Ints, channels: Sequence[int]) -> Singles:
    """Means of bins (channels, z, y, x); voxels that are no numbers count as the least of them."""
    count = size // bins
    out = np.empty((len(channels), *count), np.float32)
    line = int(bins[0] * bins[1] * size[2]) * volume.dtype.itemsize  # bytes of a row of bins
    rows = max(1, _SLAB // line)
    step = (max(1, rows // int(count[1])), min(rows, int(count[1])))  # whole planes, where a plane is not too much
    for row, channel in enumerate(channels):
        for z, y in itertools.product(range(0, int(count[0]), step[0]), range(0, int(count[1]), step[1])):
            first = np.array([z, y, 0], np.int64)
            last = np.minimum(first + np.array([*step, count[2]]), count)
            low, high = start + first * bins, start + last * bins
            read = volume.read(_box(volume, channel, low, high)).reshape(high - low)
            part = read.astype(np.float32, copy=False)
            for axis, factor in enumerate(bins):  # sums along one axis at a time: short, and without large copies
                if factor > 1:
                    shape = (*part.shape[:axis], part.shape[axis] // factor, factor, *part.shape[axis + 1 :])
                    part = part.reshape(shape).mean(axis=axis + 1)
            out[row, z : last[0], y : last[1]] = part
    if not np.isfinite(out).all():
        fine = out[np.isfinite(out)]
        out[~np.isfinite(out)] = fine.min() if len(fine) else 0
    return out


def _banded(image: Singles, full: bool) -> Singles:
    """The structure of some channels in one (z, y, x): square root, a band of sizes, each in units of its noise."""
    from scipy import ndimage

    total = np.zeros(image.shape[1:], np.float32)
    for one in image:
        values = np.sqrt(one - one.min())  # photon noise is about even then, and a soma no longer outweighs all
        fine = tuple(_FINE * (1 if full else 0.5) if n > 4 else 0.0 for n in one.shape)
        rough = tuple(_ROUGH if n > 4 else 0.0 for n in one.shape)
        band = ndimage.gaussian_filter(values, fine, mode="nearest", truncate=3)
        band -= ndimage.gaussian_filter(values, rough, mode="nearest", truncate=3)
        noise = float(np.median(np.abs(band))) or float(band.std())
        if noise > 0:
            total += band / np.float32(noise)
    return total


def _best_shift(a: Singles, b: Singles, limit: Ints) -> tuple[Floats, float, float]:
    """The shift of b against a in bins, with its correlation and the highest one elsewhere."""
    scores: dict[tuple[int, ...], float] = {}

    def score(at: tuple[int, ...]) -> float:
        if at not in scores:
            inside = all(abs(k) < n for k, n in zip(at, a.shape, strict=True))
            scores[at] = correlation(a, b, at) if inside else -1.0
        return scores[at]

    tops: dict[tuple[int, ...], float] = {}
    for candidate in _candidates(a, b, limit):
        at = _climb(candidate, score, limit)
        tops[at] = score(at)
    best = max(tops, key=lambda at: (tops[at], tuple(-abs(k) for k in at)))
    others = [s for at, s in tops.items() if max(abs(i - k) for i, k in zip(at, best, strict=True)) > 3]
    part = np.zeros(3)
    for axis, n in enumerate(a.shape):
        if n > 4:
            low, high = (score(_moved(best, axis, d)) for d in (-1, 1))
            bend = low - 2 * tops[best] + high
            part[axis] = np.clip((low - high) / (2 * bend), -0.5, 0.5) if bend < 0 else 0.0
    return np.array(best) + part, tops[best], max([0.0, *others])


def correlation(a: Singles, b: Singles, shift: Sequence[int]) -> float:
    """Pearson's correlation of two images (z, y, x) of one size where b is moved by whole voxels."""
    left = tuple(slice(max(0, k), min(n, n + k)) for k, n in zip(shift, a.shape, strict=True))
    right = tuple(slice(max(0, -k), min(n, n - k)) for k, n in zip(shift, a.shape, strict=True))
    one, two = a[left].ravel(), b[right].ravel()
    n = one.size
    sums = float(one.sum(dtype=np.float64)), float(two.sum(dtype=np.float64))
    cross = float(one @ two) - sums[0] * sums[1] / n
    spread = (float(one @ one) - sums[0] ** 2 / n) * (float(two @ two) - sums[1] ** 2 / n)
    return cross / spread**0.5 if spread > 0 else 0.0


def _candidates(a: Singles, b: Singles, limit: Ints) -> list[tuple[int, ...]]:
    """Places of the highest peaks of phase and plain correlation within the limit, and that of the stage."""
    from scipy import fft, ndimage

    shape = [fft.next_fast_len(int(n + k), real=True) for n, k in zip(a.shape, limit, strict=True)]
    one, two = fft.rfftn(a, shape), fft.rfftn(b, shape)
    cross = one * two.conj()
    size = np.abs(cross)
    window = [np.arange(-int(k), int(k) + 1) for k in limit]
    found: dict[tuple[int, ...], None] = {(0, 0, 0): None}
    for spectrum in (cross / (size + 1e-2 * float(size.mean()) + 1e-30), cross):
        surface = fft.irfftn(spectrum, shape)
        near = surface[np.ix_(*(w % n for w, n in zip(window, shape, strict=True)))]
        peaks = np.flatnonzero((ndimage.maximum_filter(near, 3, mode="nearest") == near).ravel())
        order = peaks[np.argsort(-near.ravel()[peaks], kind="stable")][:_PEAKS]
        for place in order:
            at = np.unravel_index(int(place), near.shape)
            found[tuple(int(i - k) for i, k in zip(at, limit, strict=True))] = None
    return list(found)


def _climb(at: tuple[int, ...], score: Any, limit: Ints) -> tuple[int, ...]:
    """The next maximum of the correlation, along the axes, at most one beyond the limit."""
    for _ in range(12):
        steps = [_moved(at, axis, d) for axis, d in itertools.product(range(3), (-1, 1)) if limit[axis]]
        steps = [s for s in steps if all(abs(k) <= n + 1 for k, n in zip(s, limit, strict=True))]
        better = max([at, *steps], key=score)
        if better == at:
            break
        at = better
    return at


def _moved(at: tuple[int, ...], axis: int, by: int) -> tuple[int, ...]:
    return (*at[:axis], at[axis] + by, *at[axis + 1 :])


def _refined(
    a: Tile,
    b: Tile,
    boxes: tuple[Ints, Ints],
    size: Ints,
    shift: Floats,
    bins: Ints,
    bands: tuple[Singles, Singles],
    settings: Settings,
) -> tuple[Floats, float]:
    """The shift by voxels around one by bins, from the pieces with most structure that lies on one another."""
    rough = np.floor(shift + 0.5).astype(np.int64)
    low, high = np.maximum(0, rough), np.minimum(size, size + rough)  # of what both show, in a's overlap
    found, weights = [], []
    for start, stop in _pieces(bands, low, high, rough, bins):
        images = [
            _binned(tile.volume, at + start - move, stop - start, np.ones(3, np.int64), settings.channels)
            for tile, at, move in zip((a, b), boxes, (np.zeros(3, np.int64), rough), strict=True)
        ]
        one, two = (_banded(image, full=True) for image in images)
        if one.any() and two.any():
            near = np.minimum(bins + 1, (stop - start) // 3)
            best, quality, _ = _best_shift(one, two, np.where(stop - start > 1, near, 0))
            found.append(rough + best)
            weights.append(max(quality, 0.0))
    if not found or max(weights) <= 0:
        return shift, 0.0
    every, weight = np.array(found), np.array(weights)
    middle = every[int(np.argmax(weight))] if len(every) < 3 else np.median(every, axis=0)
    agree = (np.abs(every - middle) <= 1.5).all(axis=1)
    if not agree.any():
        agree = weight == weight.max()
    near_ones = np.average(every[agree], axis=0, weights=weight[agree] ** 2 + 1e-9)
    return near_ones, float(weight[agree].mean() * agree.mean())


def _pieces(
    bands: tuple[Singles, Singles], low: Ints, high: Ints, rough: Ints, bins: Ints
) -> list[tuple[Ints, Ints]]:
    """Boxes in voxels of a's overlap, the ones with most structure first."""
    edge = np.minimum(_PIECE, high - low)
    count = np.maximum(1, (high - low) // edge)
    ranked = []
    for cell in np.ndindex(*(int(n) for n in count)):
        start = low + np.array(cell) * edge + (high - low - count * edge) // 2
        parts = []
        for band, move in zip(bands, (0, rough), strict=True):
            first = (start - move) // bins
            last = np.minimum(-(-(start + edge - move) // bins), band.shape)
            parts.append(band[tuple(slice(int(i), int(j)) for i, j in zip(first, last, strict=True))])
        energy = min(float((part**2).sum()) for part in parts)
        ranked.append((-energy, cell, start, start + edge))
    ranked.sort(key=lambda one: one[:2])
    return [(start, stop) for _, _, start, stop in ranked[:_PIECES]]


def _levels(a: Tile, b: Tile, boxes: tuple[Ints, Ints], size: Ints, shift: Floats, bins: Ints) -> Floats:
    """Mean grey values of both tiles in voxels of several brightnesses, (channels, classes, 2).

    A voxel's class is that of the mean of both, so that noise draws neither side to one end.
    """
    by = np.floor(shift / bins + 0.5).astype(np.int64)
    count = size // bins
    left = tuple(slice(int(max(0, k)), int(min(n, n + k))) for k, n in zip(by, count, strict=True))
    right = tuple(slice(int(max(0, -k)), int(min(n, n - k))) for k, n in zip(by, count, strict=True))
    rows = []
    for channel in range(a.volume.n_channels):
        images = [_binned(t.volume, at, size, bins, (channel,)) for t, at in zip((a, b), boxes, strict=True)]
        one, two = images[0][0][left].ravel(), images[1][0][right].ravel()
        both = one + two
        edges = np.quantile(both, _QUANTILES)
        row = []
        for low, high in itertools.pairwise(edges):
            chosen = (both >= low) & (both <= high)
            if chosen.any():
                row.append((float(one[chosen].mean()), float(two[chosen].mean())))
            else:  # of a dozen voxels, none may lie between two quantiles
                row.append((np.nan, np.nan))
        rows.append(row)
    return np.array(rows, np.float64)
