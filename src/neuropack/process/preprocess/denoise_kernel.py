"""Means of voxels that are alike in a guide."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.compiled import compiled


@compiled
def guided_mean(
    image: npt.NDArray[np.float32],
    guide: npt.NDArray[np.float32],
    reach: npt.NDArray[np.int64],
    level: float,
    floor: float,
    gain: float,
    strength: float,
) -> npt.NDArray[np.float32]:
    """Of each voxel the mean of those around, weighted by how alike the guide is (a joint bilateral filter).

    Args:
        image: (z, y, x), with `reach` voxels to spare on every side.
        guide: of the same shape.
        reach: voxels z, y, x that are looked at on each side.
        level, floor, gain: variance of the guide is ``floor + gain * (guide - level)``.
        strength: widths of the guide's noise over which voxels cease to be alike.

    Returns:
        (z, y, x) without what was to spare; no numbers stay what they are.
    """
    rz, ry, rx = reach[0], reach[1], reach[2]
    nz, ny, nx = image.shape[0] - 2 * rz, image.shape[1] - 2 * ry, image.shape[2] - 2 * rx
    out = np.empty((nz, ny, nx), np.float32)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                centre = guide[z + rz, y + ry, x + rx]
                variance = floor + gain * max(0.0, centre - level)
                scale = 1.0 / (strength * strength * variance)
                total, weights = 0.0, 0.0
                for k in range(z, z + 2 * rz + 1):
                    for j in range(y, y + 2 * ry + 1):
                        for i in range(x, x + 2 * rx + 1):
                            unlike = guide[k, j, i] - centre
                            square = unlike * unlike * scale
                            if square < 9.0:
                                # (1 - s/9)^4 falls like exp(-s/2) and costs no exponential
                                w = 1.0 - square / 9.0
                                w *= w
                                w *= w
                                total += w * image[k, j, i]
                                weights += w
                out[z, y, x] = total / weights if weights > 0.0 else centre  # a centre that is no number
    return out
