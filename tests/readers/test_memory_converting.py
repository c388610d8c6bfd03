"""A conversion keeps within --memory as a whole process, whatever the size and the format of its source.

The quick tests are small twins of the slow ones: sources larger than the memory allowed, of noise, which nothing
compresses, so that no buffer stays small by luck.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from nd2_file import channel, write_nd2, z_loop

from neuropack.readers import open_volume
from neuropack.volume import from_array
from neuropack.writers.czi import write_czi

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of memory"
)
MIB = 2**20
BOTH = ("a.ome.zarr", "a.nwb")
SIZE = {f"PhysicalSize{a}": s for a, s in zip("ZYX", (2.0, 0.5, 0.5), strict=True)}
STATED = ("--voxel-size", "2,0.5,0.5", "--session-start", "2026-01-02T03:04:05Z")


def converted(source: Path, memory: int, *names: str, words: tuple[str, ...] = ()) -> tuple[int, str]:
    """Peak in MiB of a conversion that may use so many, and what it said on the error stream."""
    noted = source.parent / "peak"
    outputs = [str(source.parent / name) for name in names]
    script = Path(__file__).with_name("memory_of_converting.py")
    line = [script, noted, "convert", source, *outputs, "--memory", f"{memory}MiB", *STATED, *words]
    run = subprocess.run([sys.executable, *map(str, line)], capture_output=True, text=True, check=False)
    assert run.returncode in (0, 2), run.stderr
    peak = int(noted.read_text()) // MIB
    print(f"{source.name} with {memory} MiB to {', '.join(names)}: {peak} MiB at its peak")
    return peak, run.stderr


def noise(planes: int, *shape: int) -> Iterator[np.ndarray]:
    some = np.random.default_rng(0).integers(0, 65535, (3, *shape), "u2")
    return (some[i % 3] for i in range(planes))


def tiff(path: Path, shape: tuple[int, int, int, int], hollow: bool = False, **how: object) -> None:
    pages = None if hollow else noise(shape[0] * shape[1], *shape[2:])
    tifffile.imwrite(
        path, pages, shape=shape, dtype="u2", bigtiff=True, ome=True, photometric="minisblack",
        metadata={"axes": "CZYX", **SIZE}, **how,
    )  # fmt: skip


def raw(path: Path) -> None:
    tiff(path, (2, 24, 2048, 2048))


def deflated(path: Path) -> None:
    tiff(path, (2, 24, 2048, 2048), compression="zlib", compressionargs={"level": 1}, rowsperstrip=64)


def lzw_planes(path: Path) -> None:
    tiff(path, (2, 24, 2048, 2048), compression="lzw", rowsperstrip=2048)


def nd2(path: Path) -> None:
    write_nd2(
        path,
        np.broadcast_to(next(noise(1, 2048, 2048, 3)), (20, 2048, 2048, 3)),
        [z_loop(20, 1.0)],
        [channel(c) for c in "ABC"],
    )


def czi(path: Path) -> None:
    planes = np.broadcast_to(next(noise(1, 2048, 2048)), (2, 28, 2048, 2048))
    write_czi(path, from_array(planes, "CZYX", voxel_size_um=(2, 0.5, 0.5)))


@pytest.mark.parametrize(
    ("make", "memory"),
    [
        (raw, 304),
        pytest.param(deflated, 384, marks=pytest.mark.slow),
        pytest.param(lzw_planes, 384, marks=pytest.mark.slow),
        pytest.param(nd2, 320, marks=pytest.mark.slow),
        (czi, 400),
    ],
)
def test_a_source_larger_than_the_memory(make: Callable[[Path], None], memory: int, tmp_path: Path) -> None:
    source = tmp_path / "raw"
    make(source)
    with open_volume(source) as volume:
        assert volume.nbytes >= memory * MIB
    peak, said = converted(source, memory, *BOTH)
    assert not said
    assert peak <= memory


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((2, 64, 2048, 4096), BOTH[:1]),  # 2 GiB
        pytest.param((2, 128, 4096, 4096), BOTH, marks=pytest.mark.slow),  # 8 GiB
        pytest.param((1, 2, 30_000, 30_000), BOTH, marks=pytest.mark.slow),
    ],
)
def test_a_sparse_tiff(shape: tuple[int, int, int, int], names: tuple[str, ...], tmp_path: Path) -> None:
    """A source of holes costs no disk, and everything that a conversion keeps for each part of it shows."""
    source = tmp_path / "sparse.ome.tif"
    tiff(source, shape, hollow=True)
    peak, said = converted(source, 384, *names)
    assert not said
    assert peak <= 384
    with open_volume(tmp_path / "a.ome.zarr") as back:
        assert back.shape == shape
        assert not back[-1, -1, -1, -9:].any()


@pytest.mark.parametrize("side", [9_000, pytest.param(30_000, marks=pytest.mark.slow)])
def test_one_huge_deflated_strip(side: int, tmp_path: Path) -> None:
    """A plane that is one strip, 1.8 GB for 30,000 x 30,000, is inflated as a stream."""
    source = tmp_path / "strip.tif"
    rows = np.tile(next(noise(1, 100, 1000)), (1, side // 1000)).astype("<u2")
    packer = zlib.compressobj(1)
    tifffile.imwrite(source, np.zeros((1, 1), "u2"), bigtiff=True, compression="zlib", metadata=None)
    with source.open("ab") as out:
        start = out.tell()
        for _ in range(side // 100):
            out.write(packer.compress(rows.data))
        out.write(packer.flush())
        stored = out.tell() - start
    with tifffile.TiffFile(source, mode="r+") as file:
        for code, value in {256: side, 257: side, 278: side, 273: start, 279: stored}.items():
            file.pages.first.tags[code].overwrite(value)
    peak, said = converted(source, 320, "a.ome.zarr")
    assert not said
    assert peak <= 320
    with open_volume(tmp_path / "a.ome.zarr") as back:
        np.testing.assert_array_equal(back[0, 0, -100:, :1000], rows[:, :1000])


def test_what_a_message_asks_for_is_enough(tmp_path: Path) -> None:
    """LZW decodes a strip as a whole only: the command says before it starts what that takes; it suffices."""
    source = tmp_path / "lzw.ome.tif"
    tiff(source, (1, 1, 9_000, 9_000), compression="lzw", rowsperstrip=9_000)
    _, said = converted(source, 300, "a.ome.zarr")
    assert "only be decoded as a whole" in said
    asked = re.search(r"--memory (\d+)MiB", said)
    assert asked
    memory = int(asked[1])
    assert 300 < memory < 1200
    peak, said = converted(source, memory, "a.ome.zarr")
    assert not said
    assert peak <= memory
