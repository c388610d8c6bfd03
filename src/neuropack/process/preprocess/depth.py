"""Light that is lost with depth, and planes or tiles that are brighter than their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.errors import InputError, UsageError
from neuropack.process.computed import computed
from neuropack.process.preprocess.samples import Block, block_at, levels_of, noise_of, sampled
from neuropack.process.preprocess.shading import dark_of
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]
_SIZE = (8, 64, 64)
_BLOCKS = 500
_BINS = 24
_RISE = 6.0  # noise widths that structure must rise above the background at the deepest place that counts
_LEAST = 400  # voxels of structure in a bin of planes
_MOST = 10.0  # times that light is made brighter at most
_STRIP = 12  # voxels on either side of a seam


def estimate_attenuation(volume: Volume, *, monotone: bool = False, seed: int = 0) -> dict[str, Any]:
    """How the light of bright structure falls with depth, for each channel.

    What counts as structure must not hang on the depth, else only the brightest would be left below: the threshold
    falls with the light, as it is known so far, until both agree.

    Args:
        volume: planes go deeper with z, or with -z where the light grows along z.
        monotone: any curve that only falls or only grows (by pooling neighbours that do not), else exponential.
        seed: of the sampled blocks.

    Returns:
        ``background`` of each channel, ``planes``: the middles of the bins, and ``left``: what is left of the light
        there in each channel, 1 in the brightest; ``length_planes``: planes over which it falls to 1/e (below zero
        where it grows with z), None where nothing was found.

    Raises:
        InputError: fewer than four planes, or no channel has structure.
    """
    depth = volume.size_zyx[0]
    if depth < 4:
        raise InputError(
            "the stack is too thin to see how light falls with depth",
            file=volume.path,
            expected="four planes or more",
            found=str(depth),
            fix="leave the step depth out",
        )
    blocks = sampled(volume, _SIZE, _BLOCKS, seed, every_plane=True)
    levels = levels_of(blocks)
    bins = min(_BINS, depth)
    planes = [(k + 0.5) * depth / bins - 0.5 for k in range(bins)]
    left, lengths = [], []
    for c in range(volume.n_channels):
        curve, length = _curve(blocks, c, float(levels[c]), depth, np.array(planes), monotone)
        left.append(curve.tolist())
        lengths.append(length)
    if all(length is None for length in lengths):
        raise InputError(
            "no channel has structure at several depths, so nothing tells how light falls",
            file=volume.path,
            fix="leave the step depth out",
        )
    return {"background": levels.tolist(), "planes": planes, "left": left, "length_planes": lengths}


def depth_evened(volume: Volume, found: dict[str, Any], *, most: float = _MOST) -> Volume:
    """The image as bright below as it is at its brightest depth; the background stays where it was.

    Args:
        volume: the image.
        found: as `estimate_attenuation` gives it.
        most: times that light is made brighter at most: noise grows with it.
    """

    def compute(wide: Array, box: Box) -> Array:
        out = wide.astype(np.float32)
        at = np.arange(box[0].start, box[0].stop)
        for c, image in enumerate(out):
            # straight lines of the logarithm: an exponential stays one
            left = np.exp(np.interp(at, found["planes"], np.log(found["left"][c])))
            gain = np.minimum(1 / left, most).astype(np.float32)
            level = np.float32(found["background"][c])
            image -= level
            image *= gain[:, None, None]
            image += level
        return out

    return computed(volume, compute, {"depth": {**found, "most": most}}, dtype=np.dtype(np.float32))


def estimate_stripes(
    volume: Volume, *, dark: float | None = None, window: int = 15, seed: int = 0
) -> dict[str, Any]:
    """How much brighter a plane is than those around it, for each channel.

    Args:
        volume: the image.
        dark: counts without light; None: the darkest that the image shows, which corrects a little too little.
        window: planes around that a plane is compared with; what changes more slowly stays.
        seed: of the sampled places.

    Returns:
        ``dark`` of each channel, and ``gain`` of each channel and plane; 1 is as bright as its neighbours.

    Raises:
        InputError: fewer than three planes, or no light above the dark counts.
    """
    depth = volume.size_zyx[0]
    if depth < 3:
        raise InputError(
            "the stack is too thin for stripes along z",
            file=volume.path,
            expected="three planes or more",
            found=str(depth),
            fix="leave the step stripes out",
        )
    spots = sampled(volume, (1, 64, 64), 64, seed)
    counts = dark_of(spots, dark)
    places = sorted({(b.corner[1], b.corner[2]) for b in _columns(volume, seed)})
    sides = [min(n, 64) for n in volume.size_zyx[1:]]
    light = np.empty((volume.n_channels, depth))
    for z in range(depth):
        planes = [block_at(volume, (z, y, x), (1, *sides)).voxels for y, x in places]
        values = np.concatenate([p.reshape(volume.n_channels, -1) for p in planes], axis=1)
        light[:, z] = [_middle(row) for row in values]
    light -= counts[:, None]
    if not (light > 0).all():
        worst = int(light.min(axis=1).argmin())
        raise InputError(
            "there is no light above the dark counts to see stripes by",
            file=volume.path,
            where=f"channel {worst}",
            expected="background brighter than dark",
            found=f"{light.min():g} counts above it",
            fix="give a lower dark, or leave the step stripes out",
        )
    gain = [np.exp(_without_trend(np.log(row), window)).tolist() for row in light]
    return {"dark": counts.tolist(), "gain": gain}


def stripes_evened(volume: Volume, found: dict[str, Any]) -> Volume:
    """The image with every plane as bright as those around it."""

    def compute(wide: Array, box: Box) -> Array:
        out = wide.astype(np.float32)
        for c, image in enumerate(out):
            dark = np.float32(found["dark"][c])
            gain = np.array(found["gain"][c][box[0].start : box[0].stop], np.float32)
            image -= dark
            image /= gain[:, None, None]
            image += dark
        return out

    return computed(volume, compute, {"stripes": found}, dtype=np.dtype(np.float32))


def estimate_seams(
    volume: Volume, *, tile: Sequence[int], dark: float | None = None, seed: int = 0
) -> dict[str, Any]:
    """How much brighter each tile of a stitched image is than the others: the light on both sides of every seam.

    Args:
        volume: the image.
        tile: lengths y, x of the tiles in voxels, the first one at the corner of the image.
        dark: counts without light; None: the darkest that the image shows.
        seed: of the sampled places.

    Returns:
        ``dark`` of each channel, ``tile``, and ``gain`` of each channel (rows, columns); their logarithms have the
        mean 0. ``residual``: the root mean square of the logarithms of the ratios that are left at the seams.

    Raises:
        UsageError: the tiles are as large as the image, or too small.
        InputError: no light above the dark counts.
    """
    rows, columns = (-(-n // t) for n, t in zip(volume.size_zyx[1:], tile, strict=True))
    if rows * columns < 2 or min(tile) < 2 * _STRIP:
        raise UsageError(
            "the image has no seams of such tiles",
            file=volume.path,
            expected=f"tiles of {2 * _STRIP} voxels or more, and smaller than the image",
            found=" x ".join(map(str, tile)),
            fix="give tile as y, x in voxels, or leave the step seams out",
        )
    counts = dark_of(sampled(volume, (1, 64, 64), 64, seed), dark)
    rng = np.random.default_rng([seed, rows, columns])
    seams, ratios = [], []
    for i, j in np.ndindex(rows, columns):
        for other, axis in (((i + 1, j), 0), ((i, j + 1), 1)):
            if other[0] < rows and other[1] < columns:
                near, far = (
                    _strip(volume, at, tile, axis, last=last, rng=rng) for at, last in (((i, j), True), (other, False))
                )
                seams.append((i * columns + j, other[0] * columns + other[1]))
                ratios.append(_log_light(volume, far, counts) - _log_light(volume, near, counts))
    design = np.zeros((len(seams) + 1, rows * columns))
    for row, (a, b) in enumerate(seams):
        design[row, a], design[row, b] = -1, 1
    design[-1] = 1  # the mean of all is 0
    steps = np.vstack([np.array(ratios), np.zeros(volume.n_channels)])
    found = np.linalg.lstsq(design, steps, rcond=None)[0]
    left = (steps - design @ found)[:-1]
    return {
        "dark": counts.tolist(),
        "tile": [int(t) for t in tile],
        "gain": np.exp(found.T).reshape(volume.n_channels, rows, columns).tolist(),
        "residual": np.sqrt((left**2).mean(axis=0)).tolist(),
    }


def seams_evened(volume: Volume, found: dict[str, Any]) -> Volume:
    """The image with all tiles as bright as each other."""
    gains = np.array(found["gain"], np.float32)

    def compute(wide: Array, box: Box) -> Array:
        out = wide.astype(np.float32)
        y, x = (np.arange(s.start, s.stop) // t for s, t in zip(box[1:], found["tile"], strict=True))
        for c, image in enumerate(out):
            dark = np.float32(found["dark"][c])
            image -= dark
            image /= gains[c][np.ix_(y, x)]
            image += dark
        return out

    return computed(volume, compute, {"seams": found}, dtype=np.dtype(np.float32))


def _columns(volume: Volume, seed: int) -> list[Block]:
    """Places (y, x) that every plane is looked at, spread over it."""
    flat = (1, *(min(n, 64) for n in volume.size_zyx[1:]))
    return sampled(volume, (volume.size_zyx[0] if volume.size_zyx[0] <= 4 else 1, *flat[1:]), 16, seed)


def _middle(values: npt.NDArray[np.float32]) -> float:
    """Mean of the lower three quarters or so: background, where neurites do not count."""
    low, high = np.quantile(values, [0.02, 0.75])
    return float(values[(values >= low) & (values <= high)].mean(dtype=np.float64))


def _without_trend(values: Floats, window: int) -> Floats:
    """What a value lies above a smooth curve through its neighbours: a straight line in each window, at its middle."""
    out = np.empty_like(values)
    half = max(1, window // 2)
    for k in range(len(values)):
        near = np.arange(max(0, k - half), min(len(values), k + half + 1))
        weight = np.ones(len(near))
        line = np.zeros(2)
        for _ in range(4):
            line = np.polyfit(near - k, values[near], 1 if len(near) > 2 else 0, w=np.sqrt(weight))
            left = values[near] - np.polyval(line, near - k)
            spread = 1.4826 * float(np.median(np.abs(left))) + 1e-12
            weight = np.minimum(1, 1.5 * spread / np.maximum(np.abs(left), 1e-12))
        out[k] = values[k] - line[-1]
    return out


def _curve(
    blocks: Sequence[Block], channel: int, level: float, depth: int, planes: Floats, monotone: bool
) -> tuple[Floats, float | None]:
    """What is left of the light of a channel at some planes, and the length of its fall."""
    bright, at = [], []
    width = float(np.median([noise_of(b.voxels[channel]) for b in blocks]))
    for block in blocks:
        image = block.voxels[channel].astype(np.float64) - level
        seen = image > _RISE * max(width, 1e-9)
        bright.append(image[seen])
        at.append(block.corner[0] + np.nonzero(seen)[0])
    light, z = np.concatenate(bright), np.concatenate(at)
    slope, values, known = 0.0, np.zeros(len(planes)), np.zeros(len(planes), bool)
    if len(light) == 0:
        return np.ones(len(planes)), None
    edges = np.linspace(0, depth, len(planes) + 1) - 0.5
    which = np.clip(np.searchsorted(edges, z, side="right") - 1, 0, len(planes) - 1)
    for _ in range(30):
        # the threshold at a depth, such that it stays above the noise at the darkest one
        limit = _RISE * width * np.exp(slope * z - min(0.0, slope * (depth - 1)))
        kept = light > limit
        number = np.bincount(which[kept], minlength=len(planes))
        known = number >= _LEAST
        if known.sum() < 4:
            return np.ones(len(planes)), None
        logs = np.log(light[kept])
        values = np.array([np.median(logs[which[kept] == k]) if known[k] else 0.0 for k in range(len(planes))])
        new = _slope(planes[known], values[known])
        if abs(new - slope) * depth < 1e-4:
            break
        slope = 0.5 * (slope + new)
    if monotone:
        curve = np.interp(planes, planes[known], _pooled(values[known], number[known], slope < 0))
    else:
        curve = slope * planes
    curve -= curve.max()
    return np.exp(curve), (-1 / slope if abs(slope) > 1e-9 else None)


def _slope(at: Floats, values: Floats) -> float:
    """Median of the slopes between all pairs (Theil and Sen), weighted by how far they lie apart."""
    i, j = np.triu_indices(len(at), 1)
    run = at[j] - at[i]
    slopes = (values[j] - values[i]) / run
    order = np.argsort(slopes)
    weight = np.cumsum(run[order])
    return float(slopes[order][np.searchsorted(weight, weight[-1] / 2)])


def _pooled(values: Floats, weight: npt.NDArray[Any], falling: bool) -> Floats:
    """The nearest curve that only falls (or grows): neighbours that do not are replaced by their mean."""
    sign = -1.0 if falling else 1.0
    groups: list[list[float]] = []
    for value, w in zip(sign * values, weight, strict=True):
        groups.append([value, float(w), 1])
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            b, a = groups.pop(), groups.pop()
            total = a[1] + b[1]
            groups.append([(a[0] * a[1] + b[0] * b[1]) / total, total, a[2] + b[2]])
    return sign * np.concatenate([np.full(int(n), v) for v, _, n in groups])


def _strip(
    volume: Volume,
    at: tuple[int, int],
    tile: Sequence[int],
    axis: int,
    *,
    last: bool,
    rng: np.random.Generator,
) -> list[Block]:
    """Pieces of the strip of a tile along its seam with the next one (last) or the one before."""
    shape = volume.size_zyx
    spans = [(i * t, min((i + 1) * t, n)) for i, t, n in zip(at, tile, shape[1:], strict=True)]
    low, high = spans[axis]
    deep = min(_STRIP, high - low)
    across = (high - deep, deep) if last else (low, deep)
    first, end = spans[1 - axis]
    found = []
    for z in np.unique(np.linspace(0, shape[0] - 1, 6).astype(int)):
        length = min(end - first, 512)
        start = int(rng.integers(first, end - length + 1)) if end - length > first else first
        corner = (int(z), across[0], start) if axis == 0 else (int(z), start, across[0])
        size = (1, across[1], length) if axis == 0 else (1, length, across[1])
        found.append(block_at(volume, corner, size))
    return found


def _log_light(volume: Volume, strips: Sequence[Block], dark: Floats) -> Floats:
    """Logarithm of the background light of strips, a number for each channel."""
    values = np.concatenate([s.voxels.reshape(len(s.voxels), -1) for s in strips], axis=1)
    light = np.array([_middle(row) for row in values]) - dark
    if not (light > 0).all():
        raise InputError(
            "there is no light above the dark counts to see seams by",
            file=volume.path,
            expected="background brighter than dark",
            found=f"{light.min():g} counts above it",
            fix="give a lower dark, or leave the step seams out",
        )
    return np.log(light)
