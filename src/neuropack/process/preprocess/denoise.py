"""Noise: how wide it is at which brightness, its removal, and images in units of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.errors import InputError
from neuropack.process.computed import computed
from neuropack.process.preprocess.samples import Block, levels_of, sampled
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]
Method = Literal["guided", "gaussian", "median"]
_SIZE = (8, 64, 64)
_BLOCKS = 200
_BINS = 12
_REACH = (1, 3, 3)  # voxels that the guided mean looks around
_GUIDE = (0.5, 1.0, 1.0)  # voxels, the blur of what it goes by


def estimate_noise(volume: Volume, *, seed: int = 0) -> dict[str, Any]:
    """The noise of each channel: its variance is taken as ``floor + gain * light above the background``.

    The variance is that of second differences along x, in bins of the local mean. Edges of neurites raise it in the
    brighter bins, so the gain is rather too high.

    Args:
        volume: the image.
        seed: of the sampled blocks.

    Returns:
        ``background`` of each channel, ``floor``: the variance there, and ``gain``: counts for each unit of light.

    Raises:
        InputError: a channel is constant: it has no noise.
    """
    blocks = sampled(volume, _SIZE, _BLOCKS, seed)
    levels = levels_of(blocks)
    floors, gains = [], []
    for c in range(volume.n_channels):
        floor, gain = _noise(blocks, c, float(levels[c]))
        if floor <= 0:
            raise InputError(
                f"channel {c} is constant where there is no structure, so it has no noise to measure",
                file=volume.path,
                expected="an image as the detector gave it",
                found=f"{levels[c]:g} almost everywhere",
                fix="leave the step out",
            )
        floors.append(floor)
        gains.append(gain)
    return {"background": levels.tolist(), "floor": floors, "gain": gains}


def denoised(volume: Volume, found: dict[str, Any], *, method: Method = "guided", strength: float = 1.0) -> Volume:
    """The image with less noise.

    Args:
        volume: the image.
        found: as `estimate_noise` gives it.
        method: ``guided`` takes the mean of the voxels around, each by how much a blurred image (the guide) is
            alike there, in widths of its noise: neurites stay as sharp as the guide sees them. ``gaussian`` blurs
            by `strength` voxels, half of it along z. ``median`` takes that of 3 x 3 x 3 voxels.
        strength: 1 for what suits most images; more of it removes more noise, and faint structure with it.
    """
    from scipy.ndimage import gaussian_filter, median_filter

    depth = volume.size_zyx[0]
    truncate = 4.0
    sigma = tuple(strength * s for s in (0.5, 1.0, 1.0)) if method == "gaussian" else _GUIDE
    if depth == 1:
        sigma = (0.0, *sigma[1:])
    margin = [int(truncate * s + 0.5) for s in sigma]
    reach = [min(r, n - 1) for r, n in zip(_REACH, volume.size_zyx, strict=True)]
    if method == "median":
        halo = (1, 1, 1)
    else:
        extra = reach if method == "guided" else [0, 0, 0]
        halo = (margin[0] + extra[0], margin[1] + extra[1], margin[2] + extra[2])

    def compute(wide: Array, _: Box) -> Array:
        inner = tuple(slice(h, n - h) for h, n in zip(halo, wide.shape[1:], strict=True))
        out = np.empty((len(wide), *(s.stop - s.start for s in inner)), np.float32)
        for c, one in enumerate(wide):
            image = one.astype(np.float32, copy=False)
            if method == "median":
                out[c] = median_filter(image, 3)[inner]
                continue
            smooth = gaussian_filter(image, sigma, truncate=truncate)
            if method == "gaussian":
                out[c] = smooth[inner]
                continue
            from neuropack.process.preprocess.denoise_kernel import guided_mean

            near = tuple(slice(m, n - m) for m, n in zip(margin, image.shape, strict=True))
            out[c] = guided_mean(
                np.ascontiguousarray(image[near]),
                np.ascontiguousarray(smooth[near]),
                np.array(reach),
                found["background"][c],
                found["floor"][c] * _left(sigma),
                found["gain"][c] * _left(sigma),
                strength * 1.5,
            )
        return out

    said = {**found, "method": method, "strength": strength}
    return computed(volume, compute, {"denoise": said}, halo=halo, dtype=np.dtype(np.float32))


def in_noise_units(volume: Volume, found: dict[str, Any]) -> Volume:
    """Light above the background in widths of its noise, float32: a threshold means the same in any image."""
    level = np.array(found["background"], np.float32).reshape(-1, 1, 1, 1)
    width = np.sqrt(np.array(found["floor"])).astype(np.float32).reshape(-1, 1, 1, 1)

    def compute(wide: Array, _: Box) -> Array:
        out: Array = (wide.astype(np.float32) - level) / width
        return out

    return computed(volume, compute, {"noise_units": found}, dtype=np.dtype(np.float32))


def _left(sigma: Sequence[float]) -> float:
    """The part of the variance of white noise that a blur leaves."""
    left = 1.0
    for s in sigma:
        reach = np.arange(-int(4 * s + 0.5), int(4 * s + 0.5) + 1)
        weight = np.exp(-0.5 * (reach / s) ** 2) if s > 0 else np.ones(1)
        left *= float(((weight / weight.sum()) ** 2).sum())
    return left


def _noise(blocks: Sequence[Block], channel: int, level: float) -> tuple[float, float]:
    """Variance at the background, and its growth with the light."""
    from scipy.ndimage import uniform_filter

    means, seconds = [], []
    for block in blocks:
        image = block.voxels[channel].astype(np.float64)
        if image.shape[-1] < 3:
            return 0.0, 0.0
        second = (image[..., 2:] - 2 * image[..., 1:-1] + image[..., :-2]) / np.sqrt(6)
        means.append(uniform_filter(image, (1, 3, 5), mode="nearest")[..., 1:-1].ravel() - level)
        seconds.append(np.abs(second).ravel())
    mean, second = np.concatenate(means), np.concatenate(seconds)
    dim = np.abs(mean) < 1.5 * max(float(np.median(second)), 1e-9)
    floor = float((second[dim] ** 2).mean()) if dim.any() else 0.0
    if floor <= 0:
        return 0.0, 0.0
    top = float(np.quantile(mean, 0.9999))
    edges = np.geomspace(max(3 * np.sqrt(floor), 1e-9), max(top, 4 * np.sqrt(floor)), _BINS + 1)
    rates = []
    for low, high in pairwise(edges):
        here = (mean >= low) & (mean < high)
        if here.sum() >= 200:  # the median passes edges
            variance = float((np.median(second[here]) / 0.6745) ** 2)
            rates.append((variance - floor) / float(mean[here].mean()))
    return floor, max(0.0, float(np.median(rates))) if rates else 0.0
