"""The compiled part of centring: nodes move to the middle of what is bright around them, and get a radius.

Import it inside functions only: it needs Numba.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from neuropack.compiled import compiled

RAYS, STEPS = 16, 48


@compiled
def sample(image: npt.NDArray[np.float32], z: float, y: float, x: float) -> float:
    """The value between voxels, linearly; outside and where nothing is known, 0."""
    nz, ny, nx = image.shape
    iz, iy, ix = math.floor(z), math.floor(y), math.floor(x)
    total = 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                jz, jy, jx = min(max(iz + a, 0), nz - 1), min(max(iy + b, 0), ny - 1), min(max(ix + c, 0), nx - 1)
                v = image[jz, jy, jx]
                if math.isfinite(v):
                    wz = z - iz if a else 1 - (z - iz)
                    wy = y - iy if b else 1 - (y - iy)
                    wx = x - ix if c else 1 - (x - ix)
                    total += wz * wy * wx * v
    return total


@compiled
def centroid(
    image: npt.NDArray[np.float32],
    node: npt.NDArray[np.float64],
    reach: npt.NDArray[np.float64],
    tangent: npt.NDArray[np.float64],
    size: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> None:
    """The centre of the squared brightness within an ellipsoid around a node, moved across the tangent only.

    Args:
        image: contrast (z, y, x), noises; what is below 0 does not count.
        node: z, y, x in voxels.
        reach: radii of the ellipsoid, voxels.
        tangent: unit vector in um, or zeros: then it may move anywhere.
        size: of a voxel, um.
        out: the centre; the node itself where nothing is bright.
    """
    total = 0.0
    sums = np.zeros(3)
    nz, ny, nx = image.shape
    for z in range(max(0, math.ceil(node[0] - reach[0])), min(nz, math.floor(node[0] + reach[0]) + 1)):
        for y in range(max(0, math.ceil(node[1] - reach[1])), min(ny, math.floor(node[1] + reach[1]) + 1)):
            for x in range(max(0, math.ceil(node[2] - reach[2])), min(nx, math.floor(node[2] + reach[2]) + 1)):
                v = image[z, y, x]
                if not v > 0:
                    continue
                far = (
                    ((z - node[0]) / reach[0]) ** 2
                    + ((y - node[1]) / reach[1]) ** 2
                    + ((x - node[2]) / reach[2]) ** 2
                )
                if far > 1:
                    continue
                w = v * v * (1 - 0.5 * far)
                total += w
                sums[0] += w * (z - node[0])
                sums[1] += w * (y - node[1])
                sums[2] += w * (x - node[2])
    if total <= 0:
        out[:] = node
        return
    along = 0.0
    for i in range(3):
        sums[i] = sums[i] / total * size[i]
        along += sums[i] * tangent[i]
    for i in range(3):
        out[i] = node[i] + (sums[i] - along * tangent[i]) / size[i]


@compiled
def centred(
    image: npt.NDArray[np.float32],
    nodes: npt.NDArray[np.float64],
    tangents: npt.NDArray[np.float64],
    reach: npt.NDArray[np.float64],
    size: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """`centroid` of every node (n, 3)."""
    out = np.empty_like(nodes)
    for i in range(len(nodes)):
        centroid(image, nodes[i], reach, tangents[i], size, out[i])
    return out


@compiled
def radii(
    image: npt.NDArray[np.float32],
    nodes: npt.NDArray[np.float64],
    tangents: npt.NDArray[np.float64],
    size: npt.NDArray[np.float64],
    step: float,
    bright: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> None:
    """Where brightness falls to half of that of the node, um: the median of rays across the tangent.

    Args:
        image: contrast (z, y, x).
        nodes, tangents: voxels; unit vectors in um.
        size: of a voxel, um.
        step: along a ray, um; it ends after 48 of them.
        bright: the contrast of each node (n,), filled.
        out: (n,); NaN where the node is not brighter than the background, and nothing falls to half of it.
    """
    found = np.empty(RAYS)
    for i in range(len(nodes)):
        z, y, x = nodes[i]
        top = sample(image, z, y, x)
        bright[i] = top
        if not top > 0.0:
            out[i] = np.nan
            continue
        t = tangents[i]
        least = 0
        for j in range(1, 3):
            if abs(t[j]) < abs(t[least]):
                least = j
        u, v = np.zeros(3), np.zeros(3)
        u[least] = 1.0
        dot = t[least]
        for j in range(3):
            u[j] -= dot * t[j]
        norm = math.sqrt(u[0] ** 2 + u[1] ** 2 + u[2] ** 2)
        for j in range(3):
            u[j] /= norm
        v[0], v[1], v[2] = t[1] * u[2] - t[2] * u[1], t[2] * u[0] - t[0] * u[2], t[0] * u[1] - t[1] * u[0]
        for k in range(RAYS):
            a = 2 * math.pi * k / RAYS
            c, s = math.cos(a), math.sin(a)
            before = top
            found[k] = STEPS * step
            for n in range(1, STEPS + 1):
                d = n * step
                value = sample(
                    image,
                    z + d * (c * u[0] + s * v[0]) / size[0],
                    y + d * (c * u[1] + s * v[1]) / size[1],
                    x + d * (c * u[2] + s * v[2]) / size[2],
                )
                if value < 0.5 * top:
                    part = (before - 0.5 * top) / (before - value) if before > value else 0.0
                    found[k] = (n - 1 + part) * step
                    break
                before = value
        found.sort()
        out[i] = 0.5 * (found[RAYS // 2 - 1] + found[RAYS // 2])
