"""Uneven light: the flat field of the microscope, and the background of the tissue.

The detector counts ``dark + flat(y, x) * light(z, y, x)``. A measured flat field and dark image say both; without
them the flat field is taken from the background, which is haze of the tissue and bright alike where the light is
even. What looks like a flat field in one stack may then be the tissue: over many tiles of a mosaic it averages out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.errors import InputError
from neuropack.process.computed import computed
from neuropack.process.preprocess.samples import Block, block_at, pairs, sampled
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]
_SIZE = (4, 32, 32)
_BLOCKS = 1200
_NODES = (8, 12, 12)  # of the background, at most, along z, y, x
_LEAST = 0.2  # of the flat field: what is darker is no light to divide by


def darkest(blocks: Sequence[Block]) -> Floats:
    """Counts of each channel without light, as far as an image tells: what one voxel in a thousand is below.

    Noise makes this lower than the detector's offset, so what divides by the light above it corrects too little
    rather than too much. A number from the microscope is better.
    """
    values = [np.quantile(block.voxels.reshape(len(block.voxels), -1), 0.001, axis=1) for block in blocks]
    return np.median(np.array(values, np.float64), axis=0)


def dark_of(blocks: Sequence[Block], given: float | None) -> Floats:
    """The dark counts of each channel: as they are given, else as the image tells."""
    return darkest(blocks) if given is None else np.full(len(blocks[0].voxels), float(given))


def quiet(values: npt.NDArray[np.float32]) -> float:
    """Background of some voxels: their median, which sparse structure hardly moves.

    Whole numbers are spread evenly over their unit first, or the median would jump where counts are few. A mean of
    what is not clipped as structure would be nearer to the light, but it jumps with what is clipped.
    """
    left = values.ravel().astype(np.float64)
    if (left == np.rint(left)).all():
        left += np.arange(len(left)) * 0.618034 % 1 - 0.5
    return float(np.median(left))


def estimate_flat_field(
    volume: Volume,
    *,
    dark: float | None = None,
    degree: int = 2,
    tile: Sequence[int] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """A smooth flat field of each channel, from the background.

    Args:
        volume: the image.
        dark: counts without light; None: the darkest that the image shows.
        degree: of the polynomial in y and x, 1 to 4.
        tile: lengths y, x in voxels of the fields of view that a stitched image is made of, without overlap; each
            has the same flat field. None: the image is one field.
        seed: of the sampled blocks.

    Returns:
        ``dark`` of each channel, ``degree``, ``tile``, and ``coefficients`` of each channel: of the logarithm of
        the field, in u = 2 y / length - 1 and v alike, ordered as `powers` has them. The mean of the field is 1.

    Raises:
        InputError: a channel has no light above its dark counts.
    """
    blocks = sampled(volume, _SIZE, _BLOCKS, seed)
    counts = dark_of(blocks, dark)
    side = tuple(tile) if tile is not None else volume.size_zyx[1:]
    places, rows = [], []
    for centre, voxels in pairs(blocks):
        places.append([2 * ((c % s) + 0.5) / s - 1 for c, s in zip(centre[1:], side, strict=True)])
        rows.append([quiet(image) for image in voxels])
    at, light = np.array(places), np.array(rows) - counts
    planes = np.array([block.corner[0] for block in blocks])
    if not (np.median(light, axis=0) > 0).all():
        raise InputError(
            "there is no light above the dark counts to see the flat field by",
            file=volume.path,
            expected="background brighter than dark",
            found=f"{', '.join(f'{v:g}' for v in np.median(light, axis=0))} counts above it",
            fix="give a lower dark, or leave the step flat_field out",
        )
    found = [_field(at, light[:, c], planes, degree).tolist() for c in range(volume.n_channels)]
    return {"dark": counts.tolist(), "degree": degree, "tile": list(tile) if tile else None, "coefficients": found}


def powers(degree: int) -> list[tuple[int, int]]:
    """Exponents of u and v of the polynomial, without the constant."""
    return [(i, total - i) for total in range(1, degree + 1) for i in range(total, -1, -1)]


def field(found: dict[str, Any], channel: int, shape: tuple[int, int], box: Sequence[slice]) -> Floats:
    """The flat field of a channel at the places (y, x) of a box."""
    side = found["tile"] or shape
    u, v = (2 * ((np.arange(s.start, s.stop) % n) + 0.5) / n - 1 for s, n in zip(box, side, strict=True))
    total = np.zeros((len(u), len(v)))
    mean = 0.0
    for c, (i, j) in zip(found["coefficients"][channel], powers(found["degree"]), strict=True):
        total += c * (u[:, None] ** i) * (v[None, :] ** j)
        mean += c * _mean(i) * _mean(j)
    return np.maximum(np.exp(total - mean), _LEAST)


def flat_fielded(volume: Volume, found: dict[str, Any]) -> Volume:
    """The image as even light would show it: what is above the dark counts is divided by the flat field."""
    shape = (volume.size_zyx[1], volume.size_zyx[2])

    def even(channel: int, box: Box) -> Array:
        return field(found, channel, shape, box[1:]).astype(np.float32)

    return divided(volume, found["dark"], even, {"flat_field": found})


def divided(
    volume: Volume, dark: Sequence[float], light: Callable[[int, Box], Array], made_by: Mapping[str, Any]
) -> Volume:
    """The image with what each channel has above its dark counts divided by the light that a place gets.

    Args:
        volume: the image.
        dark: counts of each channel without light.
        light: channel and box (z, y, x) to float32 that broadcasts against the box; 1 stays as it is.
        made_by: as `computed` takes it.
    """

    def compute(wide: Array, box: Box) -> Array:
        out = wide.astype(np.float32)
        for c in range(len(out)):
            image = out[c]
            below = np.float32(dark[c])
            image -= below
            image /= light(c, box)
            image += below
        return out

    return computed(volume, compute, made_by, dtype=np.dtype(np.float32))


def read_reference(path: Path, volume: Volume) -> npt.NDArray[np.float32]:
    """A measured flat field or dark image, (c, y, x): the mean of its planes, one channel or as many as the image.

    Raises:
        InputError: it cannot be read, or does not fit.
    """
    from neuropack.readers import open_volume

    with open_volume(path) as reference:
        reference.require_axes()
        if reference.size_zyx[1:] != volume.size_zyx[1:] or reference.n_channels not in (1, volume.n_channels):
            c, (y, x) = volume.n_channels, volume.size_zyx[1:]
            found = f"{reference.n_channels} x {reference.size_zyx[1]} x {reference.size_zyx[2]}"
            raise InputError(
                "the reference image does not fit",
                file=path,
                expected=f"1 or {c} channels of {y} x {x}",
                found=found,
            )
        total = np.zeros((reference.n_channels, *reference.size_zyx[1:]))
        for z in range(reference.size_zyx[0]):
            total += block_at(reference, (z, 0, 0), (1, *reference.size_zyx[1:])).voxels[:, 0]
        return (total / reference.size_zyx[0]).astype(np.float32)


def reference_divided(
    volume: Volume,
    flat: npt.NDArray[np.float32],
    dark: npt.NDArray[np.float32] | float,
    made_by: dict[str, Any],
) -> Volume:
    """The image divided by a measured flat field.

    Args:
        volume: the image.
        flat: (c, y, x) as measured, with its own dark counts in it.
        dark: (c, y, x), or one number for all: counts without light. Either may have one channel for all.
        made_by: by which the two are known: their digests.

    Raises:
        InputError: the flat field is nowhere brighter than the dark image.
    """
    flat, zeros = np.broadcast_arrays(flat, np.asarray(dark, np.float32))
    light = flat - zeros
    mean = light.mean(axis=(1, 2), keepdims=True)
    if not (mean > 0).all():
        raise InputError(
            "the flat field is not brighter than the dark image", file=volume.path, found=str(mean.ravel())
        )
    even = np.maximum(light / mean, _LEAST)

    def compute(wide: Array, box: Box) -> Array:
        here = (slice(None), None, *box[1:])
        below: Array = zeros[here]
        out: Array = (wide.astype(np.float32) - below) / even[here] + below
        return out

    return computed(volume, compute, {"flat_field": made_by}, dtype=np.dtype(np.float32))


def estimate_background(volume: Volume) -> dict[str, Any]:
    """The smooth background of each channel, on a coarse lattice of nodes.

    Args:
        volume: the image.

    Returns:
        ``places`` of the nodes along z, y, x (voxels), ``values`` of each channel (z, y, x), and ``level``: what
        the background is made equal to, the median of them.
    """
    shape = volume.size_zyx
    size = tuple(min(n, s) for n, s in zip(shape, _SIZE, strict=True))
    counts = [max(1, min(k, n // s)) for k, n, s in zip(_NODES, shape, size, strict=True)]
    corners = [
        [min(n - s, max(0, round((i + 0.5) * n / k - s / 2))) for i in range(k)]
        for k, n, s in zip(counts, shape, size, strict=True)
    ]
    values = np.empty((volume.n_channels, *counts))
    for i, j, k in np.ndindex(*counts):
        block = block_at(volume, (corners[0][i], corners[1][j], corners[2][k]), size)
        values[:, i, j, k] = [quiet(image) for image in block.voxels]
    places = [[c + (s - 1) / 2 for c in row] for row, s in zip(corners, size, strict=True)]
    smooth = np.stack([_without_bumps(one) for one in values])
    return {
        "places": places,
        "values": smooth.tolist(),
        "level": np.median(smooth.reshape(len(smooth), -1), axis=1).tolist(),
    }


def background_evened(volume: Volume, found: dict[str, Any]) -> Volume:
    """The image with the same background everywhere: what it has more or less of it is taken off or added."""
    values = np.array(found["values"], np.float64)

    def compute(wide: Array, box: Box) -> Array:
        out = wide.astype(np.float32)
        for c in range(len(out)):
            image = out[c]
            surface = _between(values[c], found["places"], box)
            image -= (surface - found["level"][c]).astype(np.float32)
        return out

    return computed(volume, compute, {"background": found}, dtype=np.dtype(np.float32))


def _field(at: Floats, light: Floats, planes: npt.NDArray[Any], degree: int) -> Floats:
    """Coefficients of the logarithm of a flat field; each plane of blocks may be as bright as it likes."""
    exponents = powers(degree)
    middle = float(np.median(light))
    width = 1.4826 * float(np.median(np.abs(light - middle)))
    good = (light > 0.1 * middle) & (light <= middle + 5 * width + 1e-9)  # the rest lies in neurites
    u, v = at[good, 0], at[good, 1]
    _, which = np.unique(planes[good], return_inverse=True)
    own = np.eye(which.max() + 1)[which]
    design = np.column_stack([*(u**i * v**j for i, j in exponents), own])
    value, weight = np.log(light[good]), np.ones(int(good.sum()))
    solution: Floats = np.zeros(design.shape[1])
    ridge = np.diag([1e-3] * len(exponents) + [0.0] * own.shape[1])
    for _ in range(10):
        gram = design.T @ (design * weight[:, None]) + ridge
        solution = np.asarray(np.linalg.lstsq(gram, design.T @ (weight * value), rcond=None)[0], np.float64)
        left = value - design @ solution
        spread = 1.4826 * float(np.median(np.abs(left))) + 1e-9
        weight = np.minimum(1, 1.5 * spread / np.maximum(np.abs(left), 1e-12))
    return solution[: len(exponents)]


def _mean(power: int) -> float:
    """Mean of a power of u from -1 to 1."""
    return 0.0 if power % 2 else 1 / (power + 1)


def _without_bumps(values: Floats) -> Floats:
    """Nodes that lie in bright structure, such as a soma or a thick dendrite, take the place of those around them.

    Such a node stands out of its neighbours; where structure fills these too, it stands out of all nodes.
    """
    from scipy.ndimage import generic_filter

    middle = float(np.median(values))
    width = 1.4826 * float(np.median(np.abs(values - middle)))
    holes = np.where(values > middle + 5 * width + 1e-9, np.nan, values)

    def around(near: Floats) -> float:
        known = near[np.isfinite(near)]
        return float(np.median(known)) if len(known) else middle

    smooth = np.asarray(generic_filter(holes, around, 3, mode="nearest"))
    off = holes - smooth
    limit = 4 * 1.4826 * float(np.median(np.abs(off[np.isfinite(off)]))) + 1e-9
    return np.where(np.isfinite(off) & (np.abs(off) <= limit), holes, smooth)


def _between(values: Floats, places: Sequence[Sequence[float]], box: Sequence[slice]) -> Floats:
    """Linear interpolation of a lattice along each axis, and half a step beyond its ends."""
    out = values
    for axis, (nodes, span) in enumerate(zip(places, box, strict=True)):
        at = np.arange(span.start, span.stop, dtype=np.float64)
        low = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, max(0, len(nodes) - 2))
        high = np.minimum(low + 1, len(nodes) - 1)
        known = np.array(nodes)
        part = np.where(high > low, (at - known[low]) / np.where(high > low, known[high] - known[low], 1.0), 0.0)
        part = np.clip(part, -0.5, 1.5)
        part = part.reshape([-1 if i == axis else 1 for i in range(3)])
        out = out.take(low, axis=axis) * (1 - part) + out.take(high, axis=axis) * part
    return out
