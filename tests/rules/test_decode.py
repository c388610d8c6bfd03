"""Chunks of every codec are what zarr-python and h5py make of them, and none expands beyond its size."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from numcodecs import blosc
from numcodecs.zstd import compress

from neuropack.bounded import TooLargeError, inflate
from neuropack.rules import ReleaseFiles
from neuropack.rules.decode import Step, chain, crc32c
from neuropack.rules.hdf5_chunks import DatasetChunks
from neuropack.rules.nwb_file import _dataset
from neuropack.rules.zarr_array import ZarrArray, parse_array
from neuropack.rules.zarr_chunks import decode_shard, read_box, read_shard

CODECS: dict[str, dict[str, Any]] = {
    "zstd": {"compressors": zarr.codecs.ZstdCodec()},
    "gzip": {"compressors": zarr.codecs.GzipCodec()},
    "blosc": {"compressors": zarr.codecs.BloscCodec(cname="lz4", shuffle="shuffle", typesize=2)},
    "none": {"compressors": None},
    "two": {"compressors": [zarr.codecs.ZstdCodec(), zarr.codecs.GzipCodec(), zarr.codecs.Crc32cCodec()]},
    "transposed": {"filters": [zarr.codecs.TransposeCodec(order=(2, 0, 1))]},
    "big endian": {"serializer": zarr.codecs.BytesCodec(endian="big")},
}


def array_of(folder: Path, codecs: dict[str, Any], **options: Any) -> tuple[ZarrArray, np.ndarray[Any, Any]]:
    pixels = np.random.default_rng(3).integers(0, 5000, (5, 18, 26)).astype("u2")
    written = zarr.create_array(folder / "a", data=pixels, chunks=(2, 8, 8), fill_value=7, **options, **codecs)
    assert written.shape == pixels.shape
    meta = ReleaseFiles(folder).json("a/zarr.json")
    assert meta is not None
    return parse_array("a", meta.data), pixels


@pytest.mark.parametrize("shards", [None, (2, 16, 16)])
@pytest.mark.parametrize("codecs", CODECS.values(), ids=CODECS)
def test_zarr(codecs: dict[str, Any], shards: Any, tmp_path: Path) -> None:
    array, pixels = array_of(tmp_path, codecs, shards=shards)
    for name, box in array.shards():
        np.testing.assert_array_equal(decode_shard(array, read_shard(array, tmp_path / name), box), pixels[box])
    box = (slice(1, 4), slice(3, 17), slice(7, 26))
    np.testing.assert_array_equal(read_box(array, tmp_path, box), pixels[box])
    assert list(array.files()) == [name for name, _ in array.shards()]
    assert [array.file_of(array.place(i)) for i in range(len(list(array.files())))] == list(array.files())


def test_chunks_that_a_shard_leaves_out_are_the_fill_value(tmp_path: Path) -> None:
    array, pixels = array_of(tmp_path, CODECS["zstd"], shards=(2, 16, 16))
    opened = zarr.open_array(tmp_path / "a", mode="r+")
    opened[0:2, 0:8, 0:8] = 7
    pixels[0:2, 0:8, 0:8] = 7
    box = (slice(0, 2), slice(0, 16), slice(0, 16))
    assert array.chunks_left_out(tmp_path / "a/c/0/0/0", box) == 1
    data = read_shard(array, tmp_path / "a/c/0/0/0")
    np.testing.assert_array_equal(decode_shard(array, data, box), pixels[box])
    np.testing.assert_array_equal(read_box(array, tmp_path, box), pixels[box])


def test_an_index_that_points_out_of_its_shard_is_refused(tmp_path: Path) -> None:
    array, _ = array_of(tmp_path, CODECS["none"], shards=(2, 16, 16))
    import google_crc32c

    file = tmp_path / "a/c/0/0/0"
    data = bytearray(file.read_bytes())
    data[-68:-60] = (10**12).to_bytes(8, "little")
    data[-4:] = google_crc32c.value(bytes(data[-68:-4])).to_bytes(4, "little")
    box = (slice(0, 2), slice(0, 16), slice(0, 16))
    with pytest.raises(ValueError, match="the index names bytes 1000000000000"):
        decode_shard(array, bytes(data), box)
    file.write_bytes(data)
    with pytest.raises(ValueError, match="the index names bytes 1000000000000"):
        read_box(array, tmp_path, box)


def test_a_file_far_larger_than_its_shard_is_not_read(tmp_path: Path) -> None:
    array, _ = array_of(tmp_path, CODECS["none"])
    with (tmp_path / "a/c/0/0/0").open("r+b") as file:
        file.truncate(2**40)  # sparse: it takes no room on the disk
    with pytest.raises(ValueError, match="larger than"):
        read_shard(array, tmp_path / "a/c/0/0/0")


SIZE = 1000
BOMBS = {
    "zstd": (compress(bytes(2**20)), {"name": "zstd"}),
    "zstd in many frames": (compress(bytes(500)) * 1000, {"name": "zstd"}),
    "gzip": (gzip.compress(bytes(2**20)), {"name": "gzip"}),
    "gzip in many members": (gzip.compress(bytes(500)) * 1000, {"name": "gzip"}),
    "blosc": (blosc.compress(bytes(2**20), b"zstd", 1), {"name": "blosc"}),
}


@pytest.mark.parametrize(("data", "codec"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused(data: bytes, codec: dict[str, Any]) -> None:
    decoder = chain([{"name": "bytes"}, codec], np.dtype("u1"), 1)
    with pytest.raises(TooLargeError, match=f"more than the {SIZE} bytes"):
        decoder.decode(data, (SIZE,))


def test_a_frame_that_claims_a_terabyte_is_refused() -> None:
    claims = bytes.fromhex("28b52ffde0") + (2**40).to_bytes(8, "little") + bytes.fromhex("010000")
    with pytest.raises(RuntimeError):
        chain([{"name": "bytes"}, {"name": "zstd"}], np.dtype("u1"), 1).decode(claims, (SIZE,))


@pytest.mark.parametrize("codec", ["zstd", "gzip", "blosc"])
def test_too_few_bytes_are_refused(codec: str) -> None:
    packed = {"zstd": compress, "gzip": gzip.compress, "blosc": lambda b: blosc.compress(b, b"zstd", 1)}[codec]
    decoder = chain([{"name": "bytes"}, {"name": codec}], np.dtype("u1"), 1)
    with pytest.raises(ValueError, match="999 bytes, where the chunk has 1000"):
        decoder.decode(packed(bytes(999)), (SIZE,))
    with pytest.raises((ValueError, RuntimeError)):
        decoder.decode(packed(bytes(SIZE))[:-3], (SIZE,))


def test_a_deflate_bomb_is_refused() -> None:
    with pytest.raises(TooLargeError):
        inflate(zlib.compress(bytes(2**24)), SIZE)
    with pytest.raises(ValueError, match="checksum"):
        crc32c(b"12345678", 8)


@pytest.mark.parametrize(
    ("codecs", "told"),
    [
        ([{"name": "zstd"}], "no codec bytes"),
        ([{"name": "transpose", "configuration": {"order": [0, 0]}}, {"name": "bytes"}], "a transpose of"),
        ([{"name": "bytes", "configuration": {"endian": "middle"}}], "endian 'middle'"),
        ([{"name": "bytes"}, {"name": "sharding_indexed"}], "in this place"),
        ([{"name": "bytes"}, {"name": "numcodecs.shuffle", "configuration": {"elementsize": 0}}], "elementsize 0"),
    ],
)
def test_codecs_that_make_no_sense(codecs: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        chain(codecs, np.dtype("u2"), 2)


FILTERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gzip": {"compression": "gzip"},
    "gzip, shuffle, checksum": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"compression": "lzf"},  # left to the library
}


@pytest.mark.parametrize("dtype", ["u2", ">i4", "f8", "?", [("x", "u4"), ("weight", "f4")]], ids=str)
@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("before", [0, 512])
def test_hdf5(before: int, filters: dict[str, Any], dtype: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(3).integers(0, 200, (11, 70)).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=before) as file:
        file.create_dataset("a", data=values, chunks=(4, 30), **filters)
    with h5py.File(tmp_path / "a.h5") as file:
        chunks = DatasetChunks(file, _dataset("a", file["a"]))
        assert len(chunks.starts) == 9
        for start in chunks.starts:
            np.testing.assert_array_equal(chunks.read(start), values[chunks.box(start)])
        box = (slice(3, 9), slice(0, 31))
        assert list(chunks.touched(box)) == [(0, 0), (0, 30), (4, 0), (4, 30), (8, 0), (8, 30)]


def test_hdf5_chunk_whose_filters_were_skipped(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("a", (8,), "u2", chunks=(8,), compression="gzip")
        data.id.write_direct_chunk((0,), np.arange(8, dtype="u2").tobytes(), filter_mask=1)
        chunks = DatasetChunks(file, _dataset("a", data))
        np.testing.assert_array_equal(chunks.read((0,)), range(8))


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (zlib.compress(bytes(2**24)), "expands to more than"),
        (zlib.compress(bytes(15)), "15 bytes, where the chunk has 16"),
        (zlib.compress(bytes(16))[:-6], "cut short"),
        (bytes(10**6), "1000000 bytes are stored"),
    ],
)
@pytest.mark.parametrize("before", [0, 512])
def test_hdf5_chunk_that_does_not_decode(before: int, stored: bytes, told: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=before) as file:
        data = file.create_dataset("a", (8,), "u2", chunks=(8,), compression="gzip")
        data.id.write_direct_chunk((0,), stored)
        found = DatasetChunks(file, _dataset("a", data)).read((0,))
        assert isinstance(found, Exception)
        assert told in str(found)


def test_steps_are_undone_in_reverse() -> None:
    seen: list[str] = []

    def step(name: str) -> Step:
        return lambda data, most: seen.append(name) or data  # type: ignore[func-returns-value]

    decoder = chain([{"name": "bytes"}], np.dtype("u1"), 1)
    type(decoder)(decoder.dtype, decoder.order, (step("first"), step("second"))).decode(b"abc", (3,))
    assert seen == ["second", "first"]
