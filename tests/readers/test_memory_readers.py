"""What reading costs in memory: blocks into one buffer, and images that no memory holds."""

from __future__ import annotations

import math
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from nd2_file import channel, write_nd2, z_loop

from neuropack.axes import box_shape, full_box
from neuropack.readers import open_volume, tiff

MIB = 2**20
linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of memory")


@pytest.mark.parametrize(
    ("axes", "options", "spare"),
    [
        ("ZCYX", {}, 0),
        ("CZYX", {}, 0),
        ("CZYX", {"byteorder": ">"}, 0),
        ("ZCYX", {"rowsperstrip": 64, "compression": "zlib", "compressionargs": {"level": 1}}, 3 * 64 * 1024 * 2),
    ],
)
def test_reading_a_block_again_takes_no_memory(
    axes: str, options: dict[str, Any], spare: int, tmp_path: Path
) -> None:
    """64 MiB into the same buffer; a compressed strip needs its bytes and its pixels, and nothing else."""
    path = tmp_path / "a.ome.tif"
    shape = tuple({"Z": 16, "C": 2, "Y": 1024, "X": 1024}[a] for a in axes)
    image = np.arange(np.prod(shape), dtype="u4").astype("u2").reshape(shape)
    options = dict(options)
    byteorder = options.pop("byteorder", "<")
    tifffile.imwrite(path, image, ome=True, byteorder=byteorder, metadata={"axes": axes}, **options)
    (volume,) = tiff.open_file(path)
    box = full_box(volume.shape)
    out = np.zeros(box_shape(box), volume.dtype)
    assert out.nbytes == 64 * MIB
    volume.read(box, out)
    tracemalloc.start()
    try:
        volume.read(box, out)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < spare + MIB // 4
    np.testing.assert_array_equal(out, image if axes == "CZYX" else image.swapaxes(0, 1))


# --- images that no memory holds: holes in files cost no disk --------------------------------------------


def growth(path: Path, way: str, size: str) -> tuple[int, int, int]:
    """Growth of memory while another process reads an image, bytes read, and the sum of its pixels."""
    script = Path(__file__).parent / "memory_of_reading.py"
    run = subprocess.run([sys.executable, script, path, way, size], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    peak, read, total = map(int, run.stdout.split())
    print(f"{path.name} {way} {size}: {read / 2**30:.1f} GiB read, memory grew by {peak / MIB:.1f} MiB at most")
    return peak, read, total


def sparse_tiff(path: Path, shape: tuple[int, ...], marks: int = 5, **options: Any) -> int:
    """A BigTIFF of holes with some pixels in them; the sum of these."""
    tifffile.imwrite(
        path, None, shape=shape, dtype="u2", bigtiff=True, ome=True, metadata={"axes": "CZYX"},
        photometric="minisblack", **options,
    )  # fmt: skip
    with tifffile.TiffFile(path) as file:
        first = file.pages.first.dataoffsets[0]
    pixels = math.prod(shape)
    with path.open("r+b") as out:
        for i in range(marks):
            out.seek(first + 2 * (i * (pixels - 1) // (marks - 1)))
            out.write((1000 + i).to_bytes(2, "little"))
    return sum(range(1000, 1000 + marks))


def deflated_tiff(path: Path, height: int, width: int) -> int:
    """One plane in one deflated strip, written row by row; the sum of its pixels."""
    rows = np.zeros((100, width), "<u2")
    rows[::7, 5] = 9
    packer = zlib.compressobj(1)
    tifffile.imwrite(path, np.zeros((1, 1), "u2"), bigtiff=True, compression="zlib", metadata=None)
    with path.open("ab") as out:
        start = out.tell()
        for _ in range(height // 100):
            out.write(packer.compress(rows.data))
        out.write(packer.flush())
        stored = out.tell() - start
    with tifffile.TiffFile(path, mode="r+") as file:
        tags = {256: width, 257: height, 278: height, 273: start, 279: stored}
        for code, value in tags.items():
            file.pages.first.tags[code].overwrite(value)
    return int(rows.sum(dtype=np.uint64)) * (height // 100)


BLOCK = 32 * MIB  # the buffer of the passes below
SPARE = 12 * MIB  # for decoders, scratch memory, tables of pages


@linux
@pytest.mark.parametrize(
    "shape",
    [
        (2, 32, 2048, 4096),  # 1 GiB
        pytest.param((2, 256, 4096, 4096), marks=pytest.mark.slow),  # 16 GiB
        pytest.param((2, 2, 30_000, 30_000), marks=pytest.mark.slow),
    ],
)
def test_a_stack_is_read_in_blocks_of_bounded_memory(shape: tuple[int, ...], tmp_path: Path) -> None:
    total = sparse_tiff(tmp_path / "a.ome.tif", shape)
    depth = min(32, shape[1])
    rows = BLOCK // (2 * depth * shape[-1])
    peak, read, found = growth(tmp_path / "a.ome.tif", "blocks", f"1,{depth},{rows},{shape[-1]}")
    assert (read, found) == (2 * math.prod(shape), total)
    assert peak < BLOCK + SPARE


@linux
@pytest.mark.parametrize("side", [10_000, pytest.param(30_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", ["raw strip", "deflated strip", "ND2"])
def test_a_huge_plane_is_streamed_in_bounded_memory(side: int, way: str, tmp_path: Path) -> None:
    """Planes of 30,000 x 30,000 (and smaller ones in the quick suite), 1.8 GB a channel, in pieces of 8 MiB."""
    path = tmp_path / "a.raw"
    channels, total = 1, 0
    if way == "raw strip":
        total = sparse_tiff(path, (1, 1, side, side), rowsperstrip=side)
    elif way == "deflated strip":
        total = deflated_tiff(path, side, side)
    else:
        channels = 2
        pixels = np.broadcast_to(np.uint16(0), (1, side, side, channels))
        write_nd2(path, pixels, [z_loop(1, 1.0)], [channel("A"), channel("B")], hollow=True)
    with open_volume(path) as volume:
        assert volume.shape == (channels, 1, side, side)
        assert volume.piece_bytes() <= 8 * MIB
    peak, read, found = growth(path, "stream", str(8 * MIB))
    assert (read, found) == (2 * channels * side * side, total)
    assert peak < 2 * 8 * MIB + SPARE
