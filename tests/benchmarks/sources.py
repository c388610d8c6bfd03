"""The sources of the benchmarks: simulated neurites over noise, three channels of 16 bits, in several formats.

    python sources.py pixels OUT.bin Z,Y,X              simulate tiles (all different) into raw planes, Z then C
    python sources.py tiff|interleaved OUT IN.bin C,Z,Y,X DEPTH     an image of DEPTH planes from them
    python sources.py czi OUT IN.ome.tif

No voxel repeats within the simulated planes: a writer whose chunks are whole planes would find the repetition and
look faster and smaller than it is. An image deeper than they are goes through them again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

TILE_ZYX = (40, 368, 368)
VOXEL_SIZE_UM = (1.0, 0.5, 0.5)
CHANNELS = ("mTagBFP2", "EYFP", "tdTomato")
NEURONS = 12  # in a tile


def planes_of(path: Path, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The simulated pixels, axes C, Z, Y, X, mapped from the file, whose order is Z, C, Y, X."""
    c, z, y, x = shape
    return np.memmap(path, np.uint16, "r", shape=(z, c, y, x)).swapaxes(0, 1)


def simulate(path: Path, size_zyx: tuple[int, ...]) -> None:
    """Simulate a stack tile by tile, each with its own neurons and noise, on all cores."""
    shape = (size_zyx[0], len(CHANNELS), *size_zyx[1:])
    np.memmap(path, np.uint16, "w+", shape=shape).flush()
    corners = list(product(*(range(0, n, t) for n, t in zip(size_zyx, TILE_ZYX, strict=True))))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_tile, range(len(corners)), corners, [path] * len(corners), [shape] * len(corners)))


def _tile(number: int, corner: tuple[int, ...], path: Path, shape: tuple[int, ...]) -> None:
    from neuropack.simulate import stack

    tile = stack(7 + number, TILE_ZYX, VOXEL_SIZE_UM, NEURONS).volume[...].swapaxes(0, 1)
    z, y, x = (slice(a, a + t) for a, t in zip(corner, TILE_ZYX, strict=True))
    out = np.memmap(path, np.uint16, "r+", shape=shape)[z, :, y, x]
    out[...] = tile[: out.shape[0], :, : out.shape[2], : out.shape[3]]


def write_tiff(path: Path, pixels: np.ndarray[Any, Any], depth: int, *, interleaved: bool) -> None:
    """Write an OME-TIFF, raw: a page per channel and plane, or per plane with the channels of a voxel together.

    Args:
        path: of the file.
        pixels: C, Z, Y, X.
        depth: planes to write; after the last the first comes again.
        interleaved: samples contiguous, the order that ND2 keeps a frame in.
    """
    import tifffile

    def pages() -> Iterator[np.ndarray[Any, Any]]:
        for z in range(depth):
            plane = pixels[:, z % pixels.shape[1]]
            yield from (np.ascontiguousarray(np.moveaxis(plane, 0, -1)),) if interleaved else plane

    c, _, y, x = pixels.shape
    channels = {"Name": "all"} if interleaved else {"Name": list(CHANNELS)}
    size_z, size_y, size_x = VOXEL_SIZE_UM
    tifffile.imwrite(
        path,
        pages(),
        shape=(depth, y, x, c) if interleaved else (depth, c, y, x),
        dtype="uint16",
        bigtiff=True,
        photometric="minisblack",
        planarconfig="contig" if interleaved else None,
        metadata={
            "axes": "ZYXS" if interleaved else "ZCYX",
            "Channel": channels,
            **{f"PhysicalSize{a}": v for a, v in (("X", size_x), ("Y", size_y), ("Z", size_z))},
            **{f"PhysicalSize{a}Unit": "µm" for a in "XYZ"},
            "AcquisitionDate": "2026-01-02T03:04:05",
            "Description": "simulated",
        },
    )


def write_czi(path: Path, source: Path) -> None:
    """Write a CZI with the library of its maker, zstd as the microscope's software does."""
    from neuropack.readers import open_volume
    from neuropack.writers import czi

    with open_volume(source) as volume:
        czi.write_czi(path, volume)


def main() -> None:
    """Write one source."""
    kind, out, *rest = sys.argv[1:]
    if kind == "pixels":
        simulate(Path(out), tuple(int(n) for n in rest[0].split(",")))
    elif kind == "czi":
        write_czi(Path(out), Path(rest[0]))
    else:
        pixels = planes_of(Path(rest[0]), tuple(int(n) for n in rest[1].split(",")))
        write_tiff(Path(out), pixels, int(rest[2]), interleaved=kind == "interleaved")


if __name__ == "__main__":
    main()
