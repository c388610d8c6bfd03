"""Kernel of `foreground`: the blur around neurites taken off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.compiled import compiled

Floats = npt.NDArray[np.float32]


@compiled
def trim(
    response: Floats,
    bright: Floats,
    halo: tuple[int, int, int],
    near: tuple[int, int, int],
    low: float,
    high: float,
    limit: float,
    share: float,
) -> None:
    """Take out of a response what is dark beside something bright, and raise what is bright to `high`.

    Args:
        response: of a block (z, y, x); changed.
        bright: brightness of the block and of `halo` voxels around it.
        halo: along z, y, x.
        near: how far along z, y, x something is beside a voxel.
        low, high: thresholds of the response.
        limit: from this brightness on a voxel is bright.
        share: of the brightest voxel nearby that one must have to stay.
    """
    depth, height, width = response.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                mine = bright[z + halo[0], y + halo[1], x + halo[2]]
                if mine >= limit and response[z, y, x] < high:
                    response[z, y, x] = high
                if response[z, y, x] < low:
                    continue
                dark = False
                for k in range(z + halo[0] - near[0], z + halo[0] + near[0] + 1):
                    for j in range(y + halo[1] - near[1], y + halo[1] + near[1] + 1):
                        for i in range(x + halo[2] - near[2], x + halo[2] + near[2] + 1):
                            dark = dark or bright[k, j, i] * share > mine
                        if dark:
                            break
                    if dark:
                        break
                if dark:
                    response[z, y, x] = 0.0
