"""The stack of the benchmarks: simulated neurites over noise, three channels of 16 bits, as an OME-TIFF."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.simulate import stack

TILE_ZYX = (40, 368, 368)
VOXEL_SIZE_UM = (1.0, 0.5, 0.5)
CHANNELS = ("mTagBFP2", "EYFP", "tdTomato")


def write(path: Path, repeats: tuple[int, int, int]) -> tuple[int, ...]:
    """Write one simulated tile, repeated and mirrored along z, y, x, and return the shape CZYX.

    Compression sees no repetition, since it looks at one chunk at a time.
    """
    import tifffile

    tile = stack(7, TILE_ZYX, VOXEL_SIZE_UM, 12).volume[...]
    shape = (len(CHANNELS), *(n * r for n, r in zip(TILE_ZYX, repeats, strict=True)))

    def planes() -> Iterator[np.ndarray[Any, Any]]:
        for z in range(shape[1]):
            for c in range(shape[0]):
                plane = tile[c, z % TILE_ZYX[0]]
                yield np.ascontiguousarray(np.tile(np.roll(plane, 37 * (z // TILE_ZYX[0]), 0), repeats[1:]))

    z, y, x = VOXEL_SIZE_UM
    metadata = {
        "axes": "ZCYX",
        "Channel": {"Name": list(CHANNELS)},
        **{f"PhysicalSize{a}": v for a, v in (("X", x), ("Y", y), ("Z", z))},
        **{f"PhysicalSize{a}Unit": "µm" for a in "XYZ"},
        "AcquisitionDate": "2026-01-02T03:04:05",
        "Description": "simulated",
    }
    shape_zcyx = (shape[1], shape[0], *shape[2:])
    tifffile.imwrite(
        path, planes(), shape=shape_zcyx, dtype="uint16", bigtiff=True, photometric="minisblack", metadata=metadata
    )
    return shape
