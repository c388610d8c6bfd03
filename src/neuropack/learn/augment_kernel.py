"""The compiled part of augmentation: channels mixed, with noise of their own.

Import it inside functions only: it needs Numba.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.compiled import compiled

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_BYTES, _ONES = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0001000100010001)
_MEAN, _DEVIATION = np.float32(8 * 255 / 2), np.float32((8 * (256**2 - 1) / 12) ** 0.5)  # of the sum of eight bytes


@compiled
def seen(
    values: npt.NDArray[np.float32],
    mix: npt.NDArray[np.float32],
    noise: npt.NDArray[np.float32],
    seed: int,
    out: npt.NDArray[np.float32],
) -> None:
    """Mix channels, and add noise.

    A number is drawn for each voxel by its place alone (SplitMix64: Steele, Lea, Flood 2014). The sum of its eight
    bytes is normal enough, up to 4.9 standard deviations.

    Args:
        values: (channels, voxels).
        mix: (new channels, channels).
        noise: standard deviation in each new channel; none is drawn where it is 0.
        seed: 0 or more.
        out: (new channels, voxels).
    """
    count = values.shape[1]
    for k in range(len(mix)):
        row = out[k]
        row[:] = 0
        for c in range(len(values)):
            weight = mix[k, c]
            if weight != 0:
                for i in range(count):
                    row[i] += weight * values[c, i]
        if noise[k] > 0:
            start = (np.uint64(seed) + np.uint64(k)) * _FIRST
            for i in range(count):
                h = start + np.uint64(i) * _STEP
                h = (h ^ (h >> np.uint64(30))) * _FIRST
                h = (h ^ (h >> np.uint64(27))) * _SECOND
                h ^= h >> np.uint64(31)
                h = (h & _BYTES) + ((h >> np.uint64(8)) & _BYTES)
                row[i] += noise[k] * (np.float32((h * _ONES) >> np.uint64(48)) - _MEAN) / _DEVIATION
