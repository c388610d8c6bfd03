"""Planes of a stack, or tiles of a mosaic, that are brighter than their neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.errors import InputError, UsageError
from neuropack.process.preprocess.samples import Block, block_at, corners_of, require_planes, sampled
from neuropack.process.preprocess.shading import dark_of, divided, quiet
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]
_SPOT = (1, 64, 64)
_PLACES = 16  # (y, x) that every plane is looked at
_FEW = 4  # places that must agree on the light of a plane; fewer cannot tell
_SLAB = 16  # planes that are read at a time
_SQUARE = 4  # voxels along y and x whose mean is one value: medians of counts hang on how noisy a plane is
_DARK_PART = 0.25  # of these values, the part that lies below the light of a plane: structure fills the others
_SURE = 2.0  # errors that a gain must differ from 1, else the plane stays
_STRIP = 12  # voxels on either side of a seam
_TILES = 4096  # of a mosaic, at most: the gains of all are found together


def estimate_stripes(
    volume: Volume, *, dark: float | None = None, window: int = 31, seed: int = 0
) -> dict[str, Any]:
    """How much brighter a plane is than those around it, for each channel.

    A stripe is in all of a plane, and structure that begins or ends there is not. So a plane is compared with those
    around it at some places by themselves, each in its darker parts: the gain is the median of what they say, and
    how much they differ gives its error. What is smaller than that is no stripe, and the rest is taken for a little
    less than it seems (the non-negative garrote of Breiman 1995), so that no plane changes by a jump.

    Args:
        volume: the image.
        dark: counts without light; None: the darkest that the image shows, which corrects a little too little.
        window: planes around that a plane is compared with; what changes more slowly stays.
        seed: of the sampled places.

    Returns:
        ``dark`` of each channel; ``gain`` of each channel and plane, 1 is as bright as its neighbours; ``error``
        of the logarithm of these in each channel, the median of all planes, None where the image is too small for
        places that could differ: its planes stay as they are.

    Raises:
        InputError: fewer than three planes, or no light above the dark counts.
    """
    depth = require_planes(volume, 3, "stripes", "for stripes along z")
    counts = dark_of(sampled(volume, _SPOT, 64, seed), dark)
    sides = tuple(min(s, max(2 * _SQUARE, n // 4), n) for s, n in zip(_SPOT[1:], volume.size_zyx[1:], strict=True))
    places = sorted({corner[1:] for corner in corners_of(volume.size_zyx, (1, sides[0], sides[1]), _PLACES, seed)})
    light = np.empty((volume.n_channels, depth, len(places)))
    for first in range(0, depth, _SLAB):
        size = (min(_SLAB, depth - first), *sides)
        for k, (y, x) in enumerate(places):
            light[:, first : first + size[0], k] = _low_light(block_at(volume, (first, y, x), size).voxels)
    light -= counts[:, None, None]
    if not (light > 0).all():
        worst = int(light.min(axis=(1, 2)).argmin())
        raise InputError(
            "there is no light above the dark counts to see stripes by",
            file=volume.path,
            where=f"channel {worst}",
            expected="background brighter than dark",
            found=f"{light.min():g} counts above it",
            fix="give a lower dark, or leave the step stripes out",
        )
    found = [_agreed(_without_trend(np.log(one), window)) for one in light]
    gain, error = [np.exp(logarithm).tolist() for logarithm, _ in found], [error for _, error in found]
    return {"dark": counts.tolist(), "gain": gain, "error": error}


def stripes_evened(volume: Volume, found: dict[str, Any]) -> Volume:
    """The image with every plane as bright as those around it."""

    gains = np.array(found["gain"], np.float32)
    return divided(volume, found["dark"], lambda c, box: gains[c, box[0], None, None], {"stripes": found})


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
        UsageError: the tiles are as large as the image, too small, or too many.
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
    if rows * columns > _TILES:
        raise UsageError(
            "the image has too many tiles of that size",
            file=volume.path,
            expected=f"{_TILES} or fewer",
            found=f"{rows * columns}: {rows} x {columns} of {' x '.join(map(str, tile))} voxels",
            fix="give tile as y, x in voxels",
        )
    counts = dark_of(sampled(volume, _SPOT, 64, seed), dark)
    rng = np.random.default_rng([seed, rows, columns])
    seams, ratios = [], []
    for i, j in np.ndindex(rows, columns):
        for other, axis in (((i + 1, j), 0), ((i, j + 1), 1)):
            if other[0] < rows and other[1] < columns:
                near, far = (
                    _strip(volume, at, tile, axis, last=last, rng=rng)
                    for at, last in (((i, j), True), (other, False))
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
    gains: npt.NDArray[np.float32] = np.array(found["gain"], np.float32)

    def gain(channel: int, box: Box) -> Array:
        y, x = (np.arange(s.start, s.stop) // t for s, t in zip(box[1:], found["tile"], strict=True))
        here: Array = gains[channel, y[:, None], x]
        return here

    return divided(volume, found["dark"], gain, {"seams": found})


def _low_light(voxels: Array) -> Floats:
    """Light of the darker parts of each plane (channels, planes), of voxels (c, z, y, x)."""
    tall, wide = (min(_SQUARE, n) for n in voxels.shape[2:])
    rows, columns = voxels.shape[2] // tall, voxels.shape[3] // wide
    cut = voxels[:, :, : rows * tall, : columns * wide].reshape(*voxels.shape[:2], rows, tall, columns, wide)
    means = cut.mean(axis=(3, 5), dtype=np.float64).reshape(*voxels.shape[:2], -1)
    return np.asarray(np.quantile(means, _DARK_PART, axis=2), np.float64)


def _without_trend(values: Floats, window: int) -> Floats:
    """How far each value lies above a straight line through those around it, column by column (planes, places).

    What stands out of the line counts less (Huber).
    """
    out = np.empty_like(values)
    half = max(1, window // 2)
    for k in range(len(values)):
        first = max(0, k - half)
        near = values[first : k + half + 1]
        at = np.arange(first, first + len(near))[:, None] - float(k)
        weight, line = np.ones_like(near), np.zeros_like(near)
        for _ in range(4):
            total = weight.sum(axis=0)
            middle, mean = (weight * at).sum(axis=0) / total, (weight * near).sum(axis=0) / total
            spread = (weight * (at - middle) ** 2).sum(axis=0)
            # two planes lie on any line
            slope = (weight * (at - middle) * near).sum(axis=0) / spread if len(near) > 2 else np.zeros_like(mean)
            line = mean + slope * (at - middle)
            left = np.abs(near - line)
            width = 1.4826 * np.median(left, axis=0) + 1e-12
            weight = np.minimum(1, 1.5 * width / np.maximum(left, 1e-12))
        out[k] = values[k] - line[k - first]
    return out


def _agreed(values: Floats) -> tuple[Floats, float | None]:
    """What places say of each plane (planes, places) together, as far as they agree; the median of its errors."""
    if values.shape[1] < _FEW:
        return np.zeros(len(values)), None
    middle = np.median(values, axis=1)
    width = 1.4826 * np.median(np.abs(values - middle[:, None]), axis=1)
    error = math.sqrt(math.pi / 2 / values.shape[1]) * width  # of the median of a normal distribution
    kept = np.maximum(0, 1 - (_SURE * error / np.maximum(np.abs(middle), 1e-12)) ** 2)
    return middle * kept, float(np.median(error))


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
    light = np.array([quiet(row) for row in values]) - dark
    if not (light > 0).all():
        raise InputError(
            "there is no light above the dark counts to see seams by",
            file=volume.path,
            expected="background brighter than dark",
            found=f"{light.min():g} counts above it",
            fix="give a lower dark, or leave the step seams out",
        )
    return np.log(light)
