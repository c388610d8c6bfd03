"""The compiled part of targets: distances from centrelines, and the voxels that these cross.

Import it inside functions only: it needs Numba.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from neuropack.compiled import compiled


@compiled
def near(
    ends: npt.NDArray[np.float64],
    corner: npt.NDArray[np.float64],
    step: npt.NDArray[np.float64],
    reach: float,
    squared: npt.NDArray[np.float32],
) -> None:
    """Lower `squared` to the squared distance of each voxel's centre from the nearest segment.

    Args:
        ends: z, y, x of both ends of each segment (n, 6), micrometre.
        corner: z, y, x of the corner of the first voxel, micrometre.
        step: voxel size z, y, x.
        reach: distances above it are not looked for.
        squared: (z, y, x), micrometre squared; larger than what is found.
    """
    low = np.empty(3, np.int64)
    high = np.empty(3, np.int64)
    sx = np.float32(step[2])
    for n in range(len(ends)):
        a, b = ends[n, :3] - corner, ends[n, 3:6] - corner
        d = b - a
        dz, dy, dx = np.float32(d[0]), np.float32(d[1]), np.float32(d[2])
        length = dz * dz + dy * dy + dx * dx
        per = np.float32(1.0) / length if length > 0 else np.float32(0.0)
        for axis in range(3):
            least, most = min(a[axis], b[axis]) - reach, max(a[axis], b[axis]) + reach
            low[axis] = max(0, math.floor(least / step[axis]))
            high[axis] = min(squared.shape[axis], math.floor(most / step[axis]) + 1)
        for z in range(low[0], high[0]):
            pz = np.float32((z + 0.5) * step[0] - a[0])
            for y in range(low[1], high[1]):
                py = np.float32((y + 0.5) * step[1] - a[1])
                before, first = pz * dz + py * dy, np.float32((low[2] + 0.5) * step[2] - a[2])
                row = squared[z, y, low[2] : high[2]]
                for x in range(len(row)):  # written so that it is done for several voxels at once
                    px = first + np.float32(x) * sx
                    t = (before + px * dx) * per
                    t = t if t > 0 else np.float32(0.0)
                    t = t if t < 1 else np.float32(1.0)
                    qz, qy, qx = pz - t * dz, py - t * dy, px - t * dx
                    far = qz * qz + qy * qy + qx * qx
                    row[x] = far if far < row[x] else row[x]


@compiled
def _crossed(
    z: int, y: int, x: int, a: npt.NDArray[np.float64], d: npt.NDArray[np.float64], step: npt.NDArray[np.float64]
) -> bool:
    """Whether the segment from `a` along `d` passes through a voxel of its box."""
    enter, leave = 0.0, 1.0
    for axis in range(3):
        if d[axis] != 0.0:  # where it does not move, only voxels that it lies in are asked for
            i = z if axis == 0 else (y if axis == 1 else x)
            one, other = (i * step[axis] - a[axis]) / d[axis], ((i + 1) * step[axis] - a[axis]) / d[axis]
            enter, leave = max(enter, min(one, other)), min(leave, max(one, other))
    return enter <= leave


@compiled
def cross(
    ends: npt.NDArray[np.float64],
    corner: npt.NDArray[np.float64],
    step: npt.NDArray[np.float64],
    line: npt.NDArray[np.uint8],
) -> None:
    """Mark the voxels (z, y, x) that segments pass through (the slab test of ray tracing); see `near`."""
    low = np.empty(3, np.int64)
    high = np.empty(3, np.int64)
    for n in range(len(ends)):
        a, b = ends[n, :3] - corner, ends[n, 3:6] - corner
        d = b - a
        for axis in range(3):
            low[axis] = max(0, math.floor(min(a[axis], b[axis]) / step[axis]))
            high[axis] = min(line.shape[axis], math.floor(max(a[axis], b[axis]) / step[axis]) + 1)
        for z in range(low[0], high[0]):
            for y in range(low[1], high[1]):
                for x in range(low[2], high[2]):
                    if _crossed(z, y, x, a, d, step):
                        line[z, y, x] = 1


@compiled
def ball(
    centre: npt.NDArray[np.float64],
    radius: float,
    step: npt.NDArray[np.float64],
    inside: npt.NDArray[np.uint8],
) -> None:
    """Mark the voxels (z, y, x) whose centre lies in a ball; z, y, x from the first voxel's corner, um."""
    low = np.empty(3, np.int64)
    high = np.empty(3, np.int64)
    for axis in range(3):
        low[axis] = max(0, math.floor((centre[axis] - radius) / step[axis]))
        high[axis] = min(inside.shape[axis], math.floor((centre[axis] + radius) / step[axis]) + 1)
    for z in range(low[0], high[0]):
        dz = (z + 0.5) * step[0] - centre[0]
        for y in range(low[1], high[1]):
            dy = (y + 0.5) * step[1] - centre[1]
            for x in range(low[2], high[2]):
                dx = (x + 0.5) * step[2] - centre[2]
                if dz * dz + dy * dy + dx * dx <= radius * radius:
                    inside[z, y, x] = 1
