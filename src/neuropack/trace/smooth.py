"""An image blurred by a Gaussian, computed as it is read."""

from __future__ import annotations

import math

import numpy as np

from neuropack.axes import Array, Box
from neuropack.process.computed import computed
from neuropack.volume import Volume

_NOTHING = 0.3  # voxels: a narrower Gaussian leaves its voxel alone


def smooth(volume: Volume, sigma: tuple[float, float, float]) -> Volume:
    """Blur every channel; voxels that are no number stay none, and count for nothing beside them.

    Args:
        volume: float32.
        sigma: along z, y, x, voxels.
    """
    rows = [_weights(s) for s in sigma]
    most = max(map(len, rows))
    weights = np.zeros((3, most), np.float32)
    for row, values in zip(weights, rows, strict=True):
        row[: len(values)] = values
    z, y, x = (len(row) - 1 for row in rows)
    halo = np.array([z, y, x])

    def blur(image: Array, box: Box) -> Array:
        from neuropack.trace.block_kernel import blurred

        out = np.empty((len(image), *(s.stop - s.start for s in box)), np.float32)
        for source, target in zip(np.ascontiguousarray(image, np.float32), out, strict=True):
            blurred(source, weights, halo, target)
        return out

    return computed(volume, blur, {"smooth": {"sigma_voxels": list(sigma)}}, halo=(z, y, x), dtype=np.dtype("f4"))


def _weights(sigma: float) -> list[float]:
    """Of the middle and of those beside it, cut at three sigma; all of them together sum to one."""
    if sigma < _NOTHING:
        return [1.0]
    half = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(math.ceil(3 * sigma) + 1)]
    total = 2 * math.fsum(half) - half[0]
    return [w / total for w in half]
