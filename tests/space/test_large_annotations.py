"""The annotation of 10 um, 4.8 GB: opened, looked into and decoded without being loaded, as Linux counts it.

What a process takes is measured in two ways, for the kernel counts two things as resident:

- memory of its own, which nobody can take away. `RLIMIT_DATA` caps it a little above what the interpreter and its
  libraries have: an array of the volume, even for a moment, would be a `MemoryError`;
- pages of the mapped file. They are the system's page cache, given up where memory runs short. How many come with
  the one that is touched is the kernel's choice: 4 KB, 64 KB, or the 2 MB of a large folio (seen of a file that had
  just been written). The peak of both together (`VmHWM`) is bounded by that for points that lie in clusters, as
  those of neurons do. A million points all over the brain touch most pages: for them only the first bound holds.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from small_atlas import LARGEST

SHAPE = (1320, 800, 1140)
NBYTES = math.prod(SHAPE) * 4
EDGE = 8  # voxels of a block of one label: the surroundings of a soma
BLOCKS = 24
COUNT = 1_000_000
OWN = 128 << 20  # 1,000,000 points and their labels are 32 MB
FOLIO = 2 << 20
PEAK = OWN + BLOCKS * EDGE * 2 * FOLIO  # in each plane of a block a stretch of the file, across two folios at worst
NRRD = "NRRD0005\ntype: uint32\ndimension: 3\nsizes: {} {} {}\nendian: little\nencoding: {}\n\n"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads what Linux says of a process"),
]

LOOK = """
import json, resource, sys
from pathlib import Path
import numpy as np, nrrd, nibabel, tifffile  # libraries are not the volume
from isal import igzip
from neuropack.space.annotation import Annotation
from neuropack.space.label_files import read_labels

def status(field):
    line = next(l for l in open("/proc/self/status") if l.startswith(field + ":"))
    return int(line.split()[1]) << 10

path, out, points = Path(sys.argv[1]), Path(sys.argv[2]), [np.load(p) for p in sys.argv[4:]]
limit = status("VmData") + int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
before, said = status("VmHWM"), []
annotation = Annotation(read_labels(path, lambda *step: said.append(step)), path)
opened = status("VmHWM") - before
np.save(out, annotation.lookup(points[0]))
peak = status("VmHWM") - before
for number, others in enumerate(points[1:]):
    np.save(out.with_suffix(f".{number}.npy"), annotation.lookup(others))
print(json.dumps({"opened": opened, "peak": peak, "decoded": said[-1][1] if said else 0}))
"""


def blocks() -> Iterator[tuple[int, tuple[slice, slice, slice]]]:
    """Labels and where they lie: cubes all over the volume, one against its last corner."""
    random = np.random.default_rng(10)
    corners = [*random.integers(0, np.array(SHAPE) - EDGE, (BLOCKS - 1, 3)), np.array(SHAPE) - EDGE]
    for number, corner in enumerate(corners):
        at = tuple(slice(int(c), int(c) + EDGE) for c in corner)
        yield LARGEST - number, (at[0], at[1], at[2])


def fill(labels: np.ndarray) -> None:
    for label, at in blocks():
        labels[at] = label


def sparse_nrrd(path: Path) -> Path:
    head = NRRD.format(*SHAPE, "raw").encode()
    path.write_bytes(head)
    os.truncate(path, len(head) + NBYTES)
    fill(np.memmap(path, "<u4", "r+", len(head), SHAPE, "F"))
    return path


def sparse_nifti(path: Path) -> Path:
    path = path.with_suffix(".nii")
    header = nibabel.Nifti1Header()
    header.set_data_shape(SHAPE)
    header.set_data_dtype("u4")
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path.write_bytes(header.binaryblock + bytes(4))
    os.truncate(path, 352 + NBYTES)
    fill(np.memmap(path, "<u4", "r+", 352, SHAPE, "F"))
    return path


def sparse_tiff(path: Path) -> Path:
    path = path.with_suffix(".tif")
    labels = tifffile.memmap(path, shape=SHAPE, dtype="uint32", bigtiff=True, photometric="minisblack")
    fill(labels)
    return path


def gzip_nrrd(path: Path) -> Path:
    """One gzip stream: what a plane without labels becomes is compressed once and repeated."""
    from isal import isal_zlib

    planes = {}
    for label, at in blocks():
        for k in range(at[2].start, at[2].stop):
            planes.setdefault(k, np.zeros(SHAPE[:2], "<u4", "F"))[at[:2]] = label
    empty = bytes(SHAPE[0] * SHAPE[1] * 4)
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    nothing, crc = packer.compress(empty) + packer.flush(zlib.Z_FULL_FLUSH), 0
    with path.open("wb") as out:
        out.write(NRRD.format(*SHAPE, "gzip").encode() + b"\x1f\x8b\x08" + bytes(6) + b"\xff")
        for k in range(SHAPE[2]):
            plane = planes[k].tobytes("F") if k in planes else empty
            crc = isal_zlib.crc32(plane, crc)
            if k in planes:
                packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
                out.write(packer.compress(plane) + packer.flush(zlib.Z_FULL_FLUSH))
            else:
                out.write(nothing)
        out.write(zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS).flush())
        out.write(crc.to_bytes(4, "little") + (NBYTES % 2**32).to_bytes(4, "little"))
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with room, and a cache in it; both emptied at once: pytest keeps its folders for three runs."""
    if shutil.disk_usage(tmp_path).free < 3 * NBYTES:
        pytest.skip(f"needs {3 * NBYTES / 1e9:.0f} GB of room in {tmp_path}")
    monkeypatch.setenv("NEUROPACK_CACHE", str(tmp_path / "cache"))
    yield tmp_path
    shutil.rmtree(tmp_path)


def points_in_blocks(folder: Path) -> tuple[Path, np.ndarray]:
    """A million points within the cubes, and the label at each; where cubes meet, that of the later one."""
    random = np.random.default_rng(11)
    found = list(blocks())
    which = random.integers(0, len(found), COUNT)
    corners = np.array([[part.start for part in at] for _, at in found])
    voxels = corners[which] + random.uniform(0, EDGE, (COUNT, 3))
    path = folder / "clusters.npy"
    np.save(path, voxels * 10)
    return path, expected(voxels)


def points_anywhere(folder: Path) -> tuple[Path, np.ndarray]:
    voxels = np.random.default_rng(12).uniform(0, SHAPE, (COUNT, 3))
    path = folder / "anywhere.npy"
    np.save(path, voxels * 10)
    return path, expected(voxels)


def expected(voxels: np.ndarray) -> np.ndarray:
    """The label at positions in voxels, from the cubes and not from a file."""
    labels = np.zeros(len(voxels), np.int64)
    for label, at in blocks():
        starts = np.array([part.start for part in at])
        labels[((voxels >= starts) & (voxels < starts + EDGE)).all(axis=1)] = label
    return labels


def look(path: Path, folder: Path, *points: Path, own: int = OWN) -> dict[str, Any]:
    line = [sys.executable, "-c", LOOK, str(path), str(folder / "found.npy"), str(own), *map(str, points)]
    run = subprocess.run(line, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    print(path.name, run.stdout)
    return dict(json.loads(run.stdout))


@pytest.mark.parametrize("make", [sparse_nrrd, sparse_nifti, sparse_tiff])
def test_a_million_points_in_a_mapped_volume(make: Any, folder: Path) -> None:
    path = make(folder / "annotation_10.nrrd")
    clusters, labels = points_in_blocks(folder)
    anywhere, others = points_anywhere(folder)
    said = look(path, folder, clusters, anywhere)
    assert (np.load(folder / "found.npy") == labels).all()
    assert (np.load(folder / "found.0.npy") == others).all()
    assert LARGEST in labels
    assert LARGEST in others
    assert said["opened"] < OWN, said
    assert said["peak"] < PEAK, said
    assert (said["decoded"], (folder / "cache").exists()) == (0, False)


def test_a_gzip_stream_is_decoded_once_and_not_into_memory(folder: Path) -> None:
    path = gzip_nrrd(folder / "annotation_10.nrrd")
    clusters, labels = points_in_blocks(folder)
    first = look(path, folder, clusters)
    assert (np.load(folder / "found.npy") == labels).all()
    assert first["decoded"] == NBYTES
    assert first["opened"] < OWN, first
    assert first["peak"] < PEAK, first
    (cached,) = (folder / "cache" / "decoded").iterdir()
    assert cached.stat().st_size == NBYTES + 128
    again = look(path, folder, clusters)
    assert (np.load(folder / "found.npy") == labels).all()
    assert again["decoded"] == 0
    assert again["peak"] < PEAK, again
