"""Which levels a pyramid has, and how a block becomes the block of the next level."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from neuropack.axes import Array

_SMALLEST = 128  # no further level once rows and columns are at most this long


@dataclass(frozen=True)
class LevelShape:
    """One level: lengths (z, y, x) and how much smaller than level 0 it is along each of them."""

    shape: tuple[int, ...]
    factor: tuple[int, ...]


def plan_levels(shape: tuple[int, ...], spacing: tuple[float, ...]) -> list[LevelShape]:
    """The levels of a pyramid, finer axes halved first, so that voxels become isotropic as levels get coarser.

    Args:
        shape: lengths of level 0 (z, y, x).
        spacing: voxel size along the same axes, micrometre; where it is not known, 1 for all.
    """
    levels = [LevelShape(shape, (1,) * len(shape))]
    while max(levels[-1].shape[-2:]) > _SMALLEST:
        last = levels[-1]
        now = [s * f for s, f in zip(spacing, last.factor, strict=True)]
        finest = min(s for s, n in zip(now, last.shape, strict=True) if n > 1)
        halve = [n > 1 and s < finest * 2**0.5 for s, n in zip(now, last.shape, strict=True)]
        levels.append(
            LevelShape(
                tuple(-(-n // 2) if h else n for n, h in zip(last.shape, halve, strict=True)),
                tuple(f * 2 if h else f for f, h in zip(last.factor, halve, strict=True)),
            )
        )
    return levels


def downsample(block: Array, step: tuple[int, ...], *, labels: bool) -> Array:
    """Shrink a block by 1 or 2 along each axis: the mean of intensities, the commonest label of labels.

    An odd end is averaged over the voxels that are there. Integers are rounded half up. Among equally common labels
    one that is not background wins, so that thin neurites survive.
    """
    pads = [(0, n % s) for n, s in zip(block.shape, step, strict=True)]
    if any(after for _, after in pads):
        block = np.pad(block, pads, mode="edge")
    parts = [
        block[tuple(slice(o, None, s) for o, s in zip(offset, step, strict=True))]
        for offset in product(*(range(s) for s in step))
    ]
    if len(parts) == 1:
        return parts[0]
    return _commonest(parts) if labels else _mean(parts)


def _mean(parts: list[Array]) -> Array:
    dtype = parts[0].dtype
    if dtype.kind == "f":
        return (np.sum(parts, axis=0, dtype=np.float64) / len(parts)).astype(dtype)
    wide = np.int32 if dtype.itemsize <= 2 else np.int64
    if dtype.itemsize == 8:  # a sum of eight could overflow: average in floating point, exact up to 2**53
        return np.floor(np.sum(parts, axis=0, dtype=np.float64) / len(parts) + 0.5).astype(dtype)
    total: Array = parts[0].astype(wide)
    for part in parts[1:]:
        np.add(total, part, out=total)
    np.add(total, len(parts) // 2, out=total)
    return (total // len(parts)).astype(dtype)


def _commonest(parts: list[Array]) -> Array:
    best, votes = parts[0], np.zeros(parts[0].shape, np.int8)
    for candidate in parts:
        count = 2 * np.sum([candidate == other for other in parts], axis=0, dtype=np.int8) + (candidate != 0)
        better = count > votes
        best, votes = np.where(better, candidate, best), np.where(better, count, votes)
    return best
