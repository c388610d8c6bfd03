"""Channels in units of their own noise: what lets thresholds and colours be compared across channels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.errors import InputError, UsageError
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]

_WHOLE = 1 << 22  # voxels of a channel that are looked at all; of a larger image, boxes of about as many
_BOX = (16, 64, 64)  # z, y, x of one of these
_CLIP = 3.0  # noises above the background: what is brighter is none
_CUT = 0.05  # of the voxels have the lowest value where darker ones are cut off, and so are all alike
_SIDE = 5  # voxels of a square that is small enough for one background
_LEAST = 1e-6  # of the range of a channel: its noise where it has none, as of a drawing


@dataclass(frozen=True, eq=False)
class NoiseUnits:
    """Background and noise of each channel.

    Attributes:
        level: the background (channels,), in the units of the image.
        noise: its standard deviation (channels,), above 0.
    """

    level: Floats
    noise: Floats

    def of(self, block: Array) -> npt.NDArray[np.float32]:
        """Voxels (channels, z, y, x) less the background, over the noise. What is not finite is background."""
        shape = (-1,) + (1,) * (block.ndim - 1)
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large for single precision is infinite
            values = block.astype(np.float32)
            values -= self.level.astype(np.float32).reshape(shape)
            values /= self.noise.astype(np.float32).reshape(shape)
        if block.dtype.kind == "f":
            np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return values

    def record(self) -> dict[str, Any]:
        """What decides the values, for `made_by`."""
        return {"level": self.level.tolist(), "noise": self.noise.tolist()}


def noise_units(volume: Volume, channels: Sequence[int] | None = None) -> NoiseUnits:
    """Background and noise of channels, from at most about four million voxels of each.

    The background is the median, taken again and again without what is brighter than it by three times the noise;
    the noise is 1.4826 times the median distance of those below the background. An uneven background counts as
    noise. Of an image that is mostly signal the background is too bright.

    Where a detector shows nothing darker than some value, as many a confocal microscope does, a twentieth or more
    of the voxels have that value, and what is below the background tells too little of the noise. It is then at
    least the standard deviation within squares of 5 x 5 voxels of a plane, over the darker half of them.

    Args:
        volume: one time point.
        channels: their numbers, from 0; all of them where it is None.

    Raises:
        UsageError: a time series, axes without a meaning, or no such channel.
        InputError: no number in it is finite, or the file is damaged.
    """
    chosen = chosen_channels(volume, channels)
    boxes = [_sample(volume, c) for c in chosen]
    samples = [np.concatenate([box[np.isfinite(box)] for box in one]).astype(np.float64) for one in boxes]
    if not all(len(s) for s in samples):
        raise InputError(
            "has no value that is a number",
            file=volume.path,
            where=f"channel {chosen[[len(s) for s in samples].index(0)]}",
            expected="numbers that are finite",
        )
    told = [_told(s, one) for s, one in zip(samples, boxes, strict=True)]
    floor = 1 / math.sqrt(12) if volume.dtype.kind in "bui" else 0.0  # whole numbers are known to no better
    noise = [
        max(n, floor, _LEAST * (float(s.max()) - level)) or 1.0 for s, (level, n) in zip(samples, told, strict=True)
    ]
    return NoiseUnits(np.array([level for level, _ in told]), np.array(noise))


def chosen_channels(volume: Volume, channels: Sequence[int] | None) -> tuple[int, ...]:
    """The numbers of channels of an image of one time point.

    Raises:
        UsageError: a time series, axes without a meaning, or no such channel.
    """
    volume.require_axes()
    if volume.n_times != 1:
        raise UsageError(
            "is a time series",
            file=volume.path,
            expected="one time point",
            found=f"{volume.n_times} time points",
            fix="convert each time point to an image of its own",
        )
    chosen = tuple(range(volume.n_channels)) if channels is None else tuple(channels)
    if not chosen or len(set(chosen)) != len(chosen) or not all(0 <= c < volume.n_channels for c in chosen):
        names = ", ".join(f"{i}: {c.name or 'unnamed'}" for i, c in enumerate(volume.channels))
        raise UsageError(
            "has no such channels", file=volume.path, expected=f"some of {names}", found=str(list(chosen))
        )
    return chosen


def background(values: Array) -> tuple[float, float]:
    """Background and noise of a channel from voxels (n,) of which most are dark; 0 and 0 of none."""
    kept = np.sort(values).astype(np.float64)
    level = noise = 0.0
    while len(kept):
        level = float(kept[len(kept) // 2])
        below = level - kept[: np.searchsorted(kept, level, "right")]
        noise = 1.4826 * float(np.median(below))
        count = int(np.searchsorted(kept, level + _CLIP * noise, "right"))
        if count == len(kept):
            break
        kept = kept[:count]
    return level, noise


def _told(values: Floats, boxes: Sequence[Array]) -> tuple[float, float]:
    """Background and noise of a channel from its finite voxels (n,) and the boxes (z, y, x) that they are of."""
    level, noise = background(values)
    lowest = values.min()
    if level - lowest <= 2 * noise and np.count_nonzero(values == lowest) >= _CUT * len(values):
        noise = max(noise, _within(boxes))
    return level, noise


def _within(boxes: Sequence[Array]) -> float:
    """Standard deviation within small squares of planes, over the darker half of them; 0 where there are none."""
    means, variances = [], []
    for box in boxes:
        y, x = (n // _SIDE for n in box.shape[1:])
        squares = box[:, : y * _SIDE, : x * _SIDE].astype(np.float64).reshape(len(box), y, _SIDE, x, _SIDE)
        with np.errstate(over="ignore", invalid="ignore"):  # squares with what is no number are left out
            means.append(squares.mean(axis=(2, 4)).ravel())
            variances.append(squares.var(axis=(2, 4)).ravel())
    mean, variance = np.concatenate(means), np.concatenate(variances)
    mean, variance = mean[np.isfinite(variance)], variance[np.isfinite(variance)]
    if not len(mean):
        return 0.0
    return float(np.sqrt(variance[mean <= np.median(mean)].mean()))


def _sample(volume: Volume, channel: int) -> list[Array]:
    """Voxels of a channel, boxes (z, y, x): all, or those of boxes on a lattice."""
    return [volume.read((slice(channel, channel + 1), *box))[0] for box in _boxes(volume.size_zyx)]


def _boxes(shape: tuple[int, int, int]) -> Iterator[Box]:
    if math.prod(shape) <= _WHOLE:
        yield tuple(slice(0, n) for n in shape)
        return
    size = [min(n, b) for n, b in zip(shape, _BOX, strict=True)]
    counts = [1, 1, 1]
    while math.prod(counts) * math.prod(size) < _WHOLE:  # the next along the axis that has the widest gaps
        free = [a for a in range(3) if (counts[a] + 1) * size[a] <= shape[a]]
        if not free:
            break
        counts[max(free, key=lambda a: shape[a] / counts[a] / size[a])] += 1
    starts = [
        [(2 * i + 1) * n // (2 * k) - s // 2 for i in range(k)] for n, k, s in zip(shape, counts, size, strict=True)
    ]
    for corner in product(*starts):
        yield tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))
