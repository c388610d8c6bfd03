"""The compiled part of blocks: what their voxels cost, which of them a corridor holds, and how they are blurred.

Import it inside functions only: it needs Numba.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from neuropack.compiled import compiled


@compiled
def price(
    block: npt.NDArray[np.float32],
    floor: npt.NDArray[np.float32],
    scale: npt.NDArray[np.float32],
    colour: npt.NDArray[np.float32],
    width: float,
    by_contrast: npt.NDArray[np.float32],
    per_noise: float,
    lowest: float,
    out: npt.NDArray[np.float32],
) -> int:
    """The costs of the voxels of a block; how many of them are known.

    The contrast of a voxel is that of its channels over their background in units of their noise, projected onto
    `colour`, a unit vector. Where `width` is above 0, the cost is multiplied by exp((angle / width)^2 / 2) of the
    angle between the voxel's own colour and that one.

    Args:
        block: (c, z, y, x); NaN where nothing is known.
        floor, scale: background of each channel, and what a unit of its noise is multiplied with.
        colour: (c,).
        width: radian.
        by_contrast: the cost at `lowest` + i / `per_noise` noises.
        out: (z, y, x) of the same size; inf where nothing is known.
    """
    c, nz, ny, nx = block.shape
    last, known = len(by_contrast) - 1, 0
    if c == 1 and width <= 0.0:  # as below, in half of the time
        slope = np.float32(scale[0] * colour[0] * per_noise)
        shift = np.float32(0.5 - lowest * per_noise - floor[0] * slope)
        for z in range(nz):
            for y in range(ny):
                for x in range(nx):
                    v = block[0, z, y, x] * slope + shift
                    if math.isfinite(v):
                        out[z, y, x] = by_contrast[int(min(max(v, np.float32(0)), np.float32(last)))]
                        known += 1
                    else:
                        out[z, y, x] = np.inf
        return known
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                along, squared = 0.0, 0.0
                for i in range(c):
                    v = (block[i, z, y, x] - floor[i]) * scale[i]
                    along += v * colour[i]
                    squared += v * v
                if not math.isfinite(along):
                    out[z, y, x] = np.inf
                    continue
                known += 1
                at = (along - lowest) * per_noise + 0.5
                worth = by_contrast[int(min(max(at, 0.0), last))]
                if width > 0.0:
                    # a voxel without light has no colour: three noises are added in the wanted one
                    cosine = (along + 3.0) / math.sqrt(squared + 6.0 * along + 9.0 + 1e-9)
                    angle = math.acos(min(max(cosine, -1.0), 1.0)) / width
                    worth *= math.exp(min(0.5 * angle * angle, 5.0))
                out[z, y, x] = worth
    return known


@compiled
def bright(
    image: npt.NDArray[np.float32],
    floor: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32],
) -> None:
    """The sum of the channels (c, z, y, x) over their floors, each times its weight."""
    c, nz, ny, nx = image.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                total = np.float32(0)
                for i in range(c):
                    total += (image[i, z, y, x] - floor[i]) * weight[i]
                out[z, y, x] = total


@compiled
def keep_near(
    points: npt.NDArray[np.float64],
    corner: npt.NDArray[np.int64],
    radius: npt.NDArray[np.float64],
    cost: npt.NDArray[np.float32],
    inside: npt.NDArray[np.bool_],
) -> int:
    """Shut all voxels (cost inf) of a block that lie farther than an ellipsoid's radii from each of some points.

    Args:
        points: (n, 3) voxels.
        corner: of the block.
        radius: z, y, x in voxels.
        cost: (z, y, x) of the block.
        inside: room for work, the same size.

    Returns:
        how many stay open.
    """
    nz, ny, nx = cost.shape
    inside[:] = False
    for i in range(len(points)):
        pz, py, px = points[i, 0] - corner[0], points[i, 1] - corner[1], points[i, 2] - corner[2]
        for z in range(max(0, math.ceil(pz - radius[0])), min(nz, math.floor(pz + radius[0]) + 1)):
            dz = (z - pz) / radius[0]
            for y in range(max(0, math.ceil(py - radius[1])), min(ny, math.floor(py + radius[1]) + 1)):
                rest = 1.0 - dz * dz - ((y - py) / radius[1]) ** 2
                if rest < 0.0:
                    continue
                half = radius[2] * math.sqrt(rest)
                for x in range(max(0, math.ceil(px - half)), min(nx, math.floor(px + half) + 1)):
                    inside[z, y, x] = True
    count = 0
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if inside[z, y, x]:
                    count += 1
                else:
                    cost[z, y, x] = np.inf
    return count


@compiled
def blurred(  # noqa: PLR0912 - loops of loops
    image: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    halo: npt.NDArray[np.int64],
    out: npt.NDArray[np.float32],
) -> None:
    """Blur along z, y and x with symmetric weights; NaN counts as not there and stays NaN.

    Args:
        image: with `halo` voxels more than `out` on every side.
        weights: (3, most + 1): of the middle voxel and of those beside it, along each axis.
        halo: how far the weights reach along each axis, voxels.
        out: (z, y, x).
    """
    hz, hy, hx = halo[0], halo[1], halo[2]
    nz, ny, nx = out.shape
    wz, wy, wx = image.shape
    holes = False
    for v in image.flat:
        if not math.isfinite(v):
            holes = True
            break
    filled = known = image
    if holes:
        filled = image.copy()
        known = np.ones_like(image)
        for z in range(wz):
            for y in range(wy):
                for x in range(wx):
                    if not math.isfinite(image[z, y, x]):
                        filled[z, y, x] = np.float32(0)
                        known[z, y, x] = np.float32(0)
    _three(filled, weights, halo, out)
    if holes:
        share = np.empty_like(out)
        _three(known, weights, halo, share)
        for z in range(nz):
            for y in range(ny):
                for x in range(nx):
                    if known[z + hz, y + hy, x + hx] > 0:
                        out[z, y, x] /= share[z, y, x]
                    else:
                        out[z, y, x] = np.nan


@compiled
def _three(  # noqa: PLR0912 - loops of loops
    image: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    halo: npt.NDArray[np.int64],
    out: npt.NDArray[np.float32],
) -> None:
    hz, hy, hx = halo[0], halo[1], halo[2]
    nz, ny, nx = out.shape
    _, wy, wx = image.shape
    first = np.empty((nz, wy, wx), np.float32)
    for z in range(nz):
        for y in range(wy):
            for x in range(wx):
                first[z, y, x] = weights[0, 0] * image[z + hz, y, x]
            for i in range(1, hz + 1):
                for x in range(wx):
                    first[z, y, x] += weights[0, i] * (image[z + hz - i, y, x] + image[z + hz + i, y, x])
    second = np.empty((nz, ny, wx), np.float32)
    for z in range(nz):
        for y in range(ny):
            for x in range(wx):
                second[z, y, x] = weights[1, 0] * first[z, y + hy, x]
            for i in range(1, hy + 1):
                for x in range(wx):
                    second[z, y, x] += weights[1, i] * (first[z, y + hy - i, x] + first[z, y + hy + i, x])
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                out[z, y, x] = weights[2, 0] * second[z, y, x + hx]
            for i in range(1, hx + 1):
                for x in range(nx):
                    out[z, y, x] += weights[2, i] * (second[z, y, x + hx - i] + second[z, y, x + hx + i])
