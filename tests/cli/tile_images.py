"""Tiles of a simulated specimen, as `neuropack stitch` gets them."""

from __future__ import annotations

import numpy as np

from neuropack.simulate import Optics, stack
from neuropack.simulate.tiles import Stage, cut_tiles
from neuropack.volume import Volume, from_array


def four_tiles(
    shape: tuple[int, int, int], voxel_um: tuple[float, float, float], neurons: int
) -> tuple[Volume, ...]:
    """Two by two, whose stage errs by up to four voxels."""
    optics = Optics(peak_photons=9000, background_photons=300, read_noise_photons=0, counts_per_photon=0.4)
    made = stack(3, shape, voxel_um, neurons=neurons, optics=optics)
    whole = from_array(np.asarray(made.volume)[:1], "CZYX", voxel_size_um=voxel_um)
    cut = cut_tiles(0, whole, Stage((1, 2, 2), 0.25, (1, 4, 4), noise=30, whole_voxels=True))
    return tuple(
        from_array(np.asarray(v), "CZYX", path=v.path, voxel_size_um=voxel_um, origin_um=v.origin_um)
        for v in cut.volumes
    )
