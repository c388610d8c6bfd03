"""Which levels a pyramid has, and how a block becomes the block of the next level."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from neuropack.axes import Array

_ROWS = 128  # of a plane that are averaged at a time: their sums fit the processor's cache
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


def downsample(block: Array, step: tuple[int, int, int], *, labels: bool) -> Array:
    """Shrink a block by 1 or 2 along z, y, x: the mean of intensities, the commonest label of labels.

    An odd end is averaged over the voxels that are there. Integers are rounded half up. Among equally common labels
    one that is not background wins, so that thin neurites survive.

    Args:
        block: any axes, then z, y, x.
        step: 1 or 2 along z, y, x.
        labels: True for labels.
    """
    pads = [(0, n % s) for n, s in zip(block.shape[-3:], step, strict=True)]
    if any(after for _, after in pads):
        block = np.pad(block, [(0, 0)] * (block.ndim - 3) + pads, mode="edge")
    z, y, x = (n // s for n, s in zip(block.shape[-3:], step, strict=True))
    stacks = block.reshape(-1, *block.shape[-3:])
    out = np.empty((len(stacks), z, y, x), block.dtype)
    shrink = _commonest if labels else _mean
    # a few rows of a plane at a time, so that the sums stay in the processor's cache
    for stack, small in zip(stacks, out, strict=True):
        for k, a in product(range(z), range(0, y, _ROWS)):
            planes = stack[k * step[0] : (k + 1) * step[0], a * step[1] : (a + _ROWS) * step[1]]
            shrink(planes, step, small[k, a : a + _ROWS])
    return out.reshape(*block.shape[:-3], z, y, x)


def _mean(planes: Array, step: tuple[int, int, int], out: Array) -> None:
    kind, size = planes.dtype.kind, planes.dtype.itemsize
    if kind == "u" and size <= 2 and step[2] == 2 and planes.strides[-1] == size and planes.dtype.isnative:
        _mean_of_pairs(planes, step[1], out)
        return
    wide = np.float64 if kind == "f" or size == 8 else np.uint32 if size <= 2 and kind in "ub" else np.int64
    total: Array = np.zeros((out.shape[0], planes.shape[2]), wide)
    for plane in planes:
        for first in range(step[1]):
            np.add(total, plane[first :: step[1]], out=total, casting="unsafe")
    if step[2] == 2:
        total = total[:, 0::2] + total[:, 1::2]
    count = len(planes) * step[1] * step[2]  # a power of two
    if kind == "f":
        out[...] = total / count
    elif wide is np.float64:  # a sum of eight could overflow 64 bits: exact up to 2**53
        out[...] = np.floor(total / count + 0.5)
    else:
        np.add(total, count // 2, out=total)
        np.right_shift(total, count.bit_length() - 1, out=total)  # rounds down, negative numbers too
        out[...] = total


def _mean_of_pairs(planes: Array, rows: int, out: Array) -> None:
    """The same for small unsigned integers, several times as fast: two neighbours are added as one wider number."""
    half = 8 * planes.dtype.itemsize
    pairs = planes.view({1: np.uint16, 2: np.uint32}[planes.dtype.itemsize])
    low = pairs.dtype.type((1 << half) - 1)
    total = pairs & low
    total += pairs >> half
    total = total[:, 0::2] + total[:, 1::2] if rows == 2 else total
    first = total[0]
    for plane in total[1:]:
        first += plane
    shift = (len(planes) * rows * 2).bit_length() - 1
    first += (1 << shift) >> 1
    first >>= shift
    out[...] = first


def _commonest(planes: Array, step: tuple[int, int, int], out: Array) -> None:
    parts = [p[j :: step[1], i :: step[2]] for p in planes for j in range(step[1]) for i in range(step[2])]
    best, votes = parts[0], np.zeros(out.shape, np.int8)
    for candidate in parts:
        count = 2 * np.sum([candidate == other for other in parts], axis=0, dtype=np.int8) + (candidate != 0)
        better = count > votes
        best, votes = np.where(better, candidate, best), np.where(better, count, votes)
    out[...] = best
