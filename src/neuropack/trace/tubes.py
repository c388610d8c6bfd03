"""The tubeness of every channel of an image, computed as it is read: what a search may look at in place of it."""

from __future__ import annotations

import numpy as np

from neuropack.axes import Array, Box, relative
from neuropack.process.computed import computed
from neuropack.process.tubeness import reach_of, tubeness_inside
from neuropack.volume import Volume


def tubes(volume: Volume, sigma: tuple[float, float, float]) -> Volume:
    """How much each channel looks like a bright tube; voxels that are no number stay none.

    Args:
        volume: float32.
        sigma: of the Gaussian along z, y, x, voxels.
    """
    planar = volume.size_zyx[0] == 1
    halo = reach_of([sigma])
    if planar:
        halo = (0, *halo[1:])

    def compute(image: Array, box: Box) -> Array:
        wide = np.ascontiguousarray(image, np.float32)
        out = np.stack([tubeness_inside(channel, halo, [sigma], planar=planar) for channel in wide])
        whole = tuple(slice(s.start - h, s.stop + h) for s, h in zip(box, halo, strict=True))
        inner = wide[(slice(None), *relative(box, whole))]
        out[~np.isfinite(inner)] = np.nan
        return out

    return computed(volume, compute, {"tubes": {"sigma_voxels": list(sigma)}}, halo=halo, dtype=np.dtype("f4"))
