"""What a network sees of an image: the same features of a voxel whatever the number of channels and their units."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array
from neuropack.process.noise_units import NoiseUnits

Features = npt.NDArray[np.float32]

NAMES = ("norm", "max", "spread", "alike_z", "alike_y", "alike_x")
"""Of each feature, in order.

norm: length of the colour vector, in units of noise; max: its largest channel; spread: standard deviation of its
channels; each as asinh(x / 4). alike: cosine of the angle between the colours of a voxel and of its neighbour
before it along an axis, times the smaller of both norms over itself plus 4: 0 in the dark, where colours are noise.
"""
HALO = (1, 1, 1)
"""Voxels z, y, x before and behind a box that `features` needs; those behind are not looked at."""
_SOFT = np.float32(4.0)  # noises at which the features turn from linear to logarithmic


def features(block: Array, units: NoiseUnits) -> Features:
    """Features (f, z, y, x) of voxels (channels, z, y, x); at the faces, where a neighbour is missing, alike is 1.

    Args:
        block: counts as they are in the image.
        units: background and noise of each channel, from `noise_units` of the whole image, so that a voxel has the
            same features whatever the block.
    """
    values = units.of(block)
    np.maximum(values, 0, out=values)
    norm = np.sqrt(np.einsum("czyx,czyx->zyx", values, values))
    made = np.empty((len(NAMES), *values.shape[1:]), np.float32)
    made[0] = np.arcsinh(norm / _SOFT)
    made[1] = np.arcsinh(values.max(axis=0) / _SOFT)
    made[2] = np.arcsinh(values.std(axis=0) / _SOFT)
    values /= np.maximum(norm, np.float32(1e-6))
    for axis in range(3):
        here = (slice(None),) * axis + (slice(1, None),)
        before = (slice(None),) * axis + (slice(None, -1),)
        cosine = np.einsum("czyx,czyx->zyx", values[(slice(None), *here)], values[(slice(None), *before)])
        smaller = np.minimum(norm[here], norm[before])
        made[3 + axis][here] = cosine * (smaller / (smaller + _SOFT))
        made[3 + axis][(slice(None),) * axis + (slice(0, 1),)] = 1
    return made
