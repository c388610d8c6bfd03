"""An NWB file of ours opens where there is nothing but a plain HDF5 library, also an old one."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from test_nwb_sink import FULL, IMAGES, LONG, blocks, volume, write

from neuropack.volume import Volume
from neuropack.writers.nwb import NwbSink

NOISE = volume((2, 40, 130, 300), dtype="u1")  # its planes are stored, not compressed
NOISE.pixels.array[...] = np.random.default_rng(1).integers(0, 256, NOISE.shape)  # type: ignore[attr-defined]
KINDS = {"many chunks": LONG, "noise": NOISE, **IMAGES}


@pytest.fixture(scope="module", params=KINDS)
def image(request: pytest.FixtureRequest) -> Volume:
    return KINDS[request.param]


@pytest.fixture(scope="module")
def file(image: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("nwb") / "a.nwb", image, FULL)


def pixels(path: Path) -> Iterator[tuple[str, h5py.Dataset]]:
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and name.startswith("acquisition/") and name.endswith("/data"):
            found[name] = item

    with h5py.File(path) as opened:
        opened.visititems(visit)
        assert found
        yield from found.items()


def test_the_filters_are_shuffle_and_deflate_and_nothing_else(file: Path) -> None:
    for name, data in pixels(file):
        plist = data.id.get_create_plist()
        filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
        assert filters == [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE] == [2, 1], name
        assert data.id.get_num_chunks() > 0
        for i in range(data.id.get_num_chunks()):
            assert data.id.get_chunk_info(i).filter_mask == 0  # no chunk goes without
        assert data.dtype.byteorder in "<|="


def test_the_file_is_of_the_oldest_format(file: Path) -> None:
    """What MATLAB up to R2021a reads, which has HDF5 1.8: superblock 0, no extension, layout 3 (B-tree) of chunks.

    See the HDF5 File Format Specification, sections II.A, III.A.1, IV.A.1.a and IV.A.2.i.
    """
    data = file.read_bytes()
    assert data[:8] == b"\x89HDF\r\n\x1a\n"
    assert data[8] == 0, "version of the superblock"
    for name, dataset in pixels(file):
        address = h5py.h5o.get_info(dataset.id).addr
        messages = dict(header_messages(data, address))
        version, layout = messages[0x08][:2]
        assert (version, layout) == (3, 2), name
        (index,) = struct.unpack_from("<Q", messages[0x08], 3)
        assert data[index : index + 5] == b"TREE\x01", name  # of chunks


def header_messages(data: bytes, address: int) -> Iterator[tuple[int, bytes]]:
    version, _, count, _, size = struct.unpack_from("<BBHII", data, address)
    assert version == 1, "version of the object header"
    spans = [(address + 16, size)]
    while spans and count:
        at, left = spans.pop(0)
        while left >= 8 and count:
            kind, length = struct.unpack_from("<HH", data, at)
            body = data[at + 8 : at + 8 + length]
            if kind == 0x10:  # continued elsewhere
                spans.append(struct.unpack("<QQ", body[:16]))
            yield kind, body
            at, left, count = at + 8 + length, left - 8 - length, count - 1


PLAIN = """
import sys, h5py, numpy as np
assert not [m for m in sys.modules if "hdf5plugin" in m or "neuropack" in m]
with h5py.File(sys.argv[1], "r") as file:
    for name in sys.argv[3:]:
        np.save(sys.argv[2], file[name][...])
        sys.stdout.buffer.write(open(sys.argv[2], "rb").read())
"""


def test_h5py_alone_reads_it_without_any_plugin(file: Path, image: Volume, tmp_path: Path) -> None:
    (tmp_path / "no plugins").mkdir()
    env = os.environ | {"HDF5_PLUGIN_PATH": str(tmp_path / "no plugins"), "HDF5_PLUGIN_PRELOAD": "::"}
    names = [name for name, _ in pixels(file)]
    done = subprocess.run(
        [sys.executable, "-I", "-c", PLAIN, str(file), str(tmp_path / "x.npy"), *names],
        check=True, env=env, capture_output=True,
    )  # fmt: skip
    rest = done.stdout
    assert done.stderr == b""
    voxels = 0
    for name, data in pixels(file):
        at = rest.index(b"\n", 8) + 1
        got = np.frombuffer(rest[at : at + data.size * data.dtype.itemsize], data.dtype).reshape(data.shape)
        rest = rest[at + data.size * data.dtype.itemsize :]
        np.testing.assert_array_equal(got, data[...], err_msg=name)
        voxels += data.size
    assert voxels == image[...].size and not rest


@pytest.mark.skipif(not shutil.which("h5dump"), reason="h5dump is not installed (apt install hdf5-tools)")
def test_h5dump_reads_the_same_voxels(file: Path, tmp_path: Path) -> None:
    for name, data in pixels(file):
        out = tmp_path / "voxels"
        command = ["h5dump", "-d", f"/{name}", "-b", "LE", "-o", str(out), str(file)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert done.stderr == ""
        np.testing.assert_array_equal(np.fromfile(out, data.dtype).reshape(data.shape), data[...])


def test_a_continued_file_is_no_newer(tmp_path: Path) -> None:
    path = tmp_path / "a.nwb"
    sink = NwbSink(path, LONG, FULL)
    boxes = blocks(LONG, sink)
    for i, box in enumerate(boxes):
        if i in (0, 7):
            sink.flush()
            sink.close()
            sink = NwbSink(path, LONG, FULL, resume=True)
        sink.commit(sink.encoder.encode(box, LONG.read(box), None))
    sink.finish()
    test_the_file_is_of_the_oldest_format(path)
