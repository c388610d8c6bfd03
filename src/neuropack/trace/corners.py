"""Corners of a way, which a search cuts: they are drawn again where the neurite is brightest.

A search that makes turns dear, as it must to go straight on at crossings, spreads a sharp turn over all the way
that it takes a direction from: the inside of a bend becomes cheaper than the bend. Which neurite is right is
known once the way is; so each corner is looked for once more in a narrow tube around it, and turns cost nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.trace import signal
from neuropack.trace.blocks import Grid
from neuropack.trace.path import PathError
from neuropack.trace.search import Search, Watch, Work, corridor_blocks

Voxels = npt.NDArray[np.int64]

_ARM = 6  # voxels of way on each side that the direction is taken from
_TURN = 0.65  # cosine: a turn of more than 49 degrees is a corner; on noisy ways, smaller ones are everywhere
_AROUND = 12  # voxels of way before and behind a corner that are drawn again with it
_TUBE = 3.0  # voxels of the finest axis: corners were cut by as much


def corners(way: Voxels, around: int = _ARM) -> list[tuple[int, int]]:
    """The first and the last voxel of each stretch of a way (n, 3) that turns sharply; none meets another one.

    All lengths are in voxels, whatever their shape: a step of one plane is no turn.

    Args:
        way: voxels.
        around: so many before and behind those that turn belong to a stretch.
    """
    if len(way) <= 2 * _ARM:
        return []
    before, after = way[_ARM:-_ARM] - way[: -2 * _ARM], way[2 * _ARM :] - way[_ARM:-_ARM]
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosine = np.einsum("ij,ij->i", before, after) / np.maximum(lengths, 1e-9)
    found: list[tuple[int, int]] = []
    for at in (np.flatnonzero(cosine < _TURN) + _ARM).tolist():
        first, last = max(at - around, 0), min(at + around, len(way) - 1)
        if found and first <= found[-1][1] + 1:
            first = found.pop()[0]
        found.append((first, last))
    return found


def redrawn(
    grid: Grid, size: tuple[float, float, float], model: signal.Model, way: Voxels, memory: int, watch: Watch
) -> Voxels:
    """A way with its corners drawn again; what lies between them, and a corner that cannot be, stays as it is.

    Args:
        grid: the blocks.
        size: of a voxel, z, y, x, um.
        model: signal and noise.
        way: (n, 3) voxels.
        memory: bytes that it may take.
        watch: ends it.

    Raises:
        PathError: it was cancelled, or took too long.
    """
    bends = corners(way, _AROUND)
    if not bends:
        return way
    sharp, work = signal.squared(model), Work()
    radius = np.maximum(_TUBE * min(size) / np.array(size), 1.0)
    parts, done = [], 0
    for first, last in bends:
        tube = corridor_blocks(grid, way[first : last + 1].astype(np.float64), radius)
        search = Search(grid, size, sharp, memory, corridor=tube, radius=radius, work=work)
        try:
            bend, _ = search.run(way[first], way[last], watch)
        except PathError as error:
            if error.reason not in {"no way", "budget"}:
                raise
            continue
        parts += [way[done:first], bend]
        done = last + 1
    return np.concatenate([*parts, way[done:]])
