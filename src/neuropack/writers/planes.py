"""Walking a Volume in slabs of whole planes, for formats that are written plane by plane."""

from __future__ import annotations

from collections.abc import Iterator

from neuropack.axes import Array
from neuropack.volume import Volume

SLAB_BYTES = 64 * 2**20


def planes(volume: Volume, slab_bytes: int = SLAB_BYTES) -> Iterator[tuple[int, int, int, Array]]:
    """Every plane as (t, z, c, pixels): time outermost, then z, then channel.

    All channels of a few planes are read at once, because most files (and the simulator) hold or compute them
    together; a slab holds `slab_bytes` at most, or one plane of all channels.
    """
    depth = volume.size_zyx[0]
    at_once = max(1, slab_bytes // max(1, volume.nbytes // (volume.n_times * depth)))
    for t in range(volume.n_times):
        for first in range(0, depth, at_once):
            here = slice(first, first + at_once)
            slab = volume[t, :, here] if volume.axes[0] == "T" else volume[:, here]
            for z in range(slab.shape[1]):
                for c in range(slab.shape[0]):
                    yield t, first + z, c, slab[c, z]
