"""Columns that expand without end are found however their filters are put together."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from neuropack.hdf5_bounds import SLACK, attribute, foreign_filter, too_large

_PACKER = zlib.compressobj(9)
BOMB = b"".join(_PACKER.compress(bytes(2**20)) for _ in range((SLACK >> 20) + 1)) + _PACKER.flush()
SHUFFLED = np.frombuffer(BOMB[: len(BOMB) // 8 * 8], "u1").reshape(-1, 8).T.tobytes() + BOMB[len(BOMB) // 8 * 8 :]


def column(folder: Path, filters: str, stored: bytes, skipped: int = 0) -> h5py.Dataset:
    """A column of a thousand texts of 8 bytes in one chunk that is stored as these bytes."""
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((1000,))
    for name in filters.split():
        {
            "deflate": lambda: made.set_deflate(4),
            "shuffle": made.set_shuffle,
            "fletcher32": made.set_fletcher32,
            "lzf": lambda: made.set_filter(32000),
        }[name]()
    file = h5py.File(folder / "a.h5", "w")
    kind, space = h5py.h5t.py_create(np.dtype("S8")), h5py.h5s.create_simple((1000,))
    h5py.h5d.create(file.id, b"a", kind, space, made)
    file["a"].id.write_direct_chunk((0,), stored, skipped)
    file.close()
    return h5py.File(folder / "a.h5")["a"]


@pytest.mark.parametrize(
    ("filters", "stored", "skipped"),
    [
        ("deflate", BOMB, 0),
        ("deflate fletcher32", BOMB + bytes(4), 0),
        ("fletcher32 deflate", BOMB, 0),
        ("shuffle deflate", BOMB, 0b01),
        ("deflate deflate", zlib.compress(BOMB), 0),
        ("deflate shuffle deflate", zlib.compress(SHUFFLED), 0),
    ],
)
def test_a_bomb_is_found(filters: str, stored: bytes, skipped: int, tmp_path: Path) -> None:
    told = too_large(column(tmp_path, filters, stored, skipped))
    assert told is not None and "expand" in told


@pytest.mark.parametrize(
    ("filters", "stored", "skipped"),
    [
        ("shuffle deflate fletcher32", zlib.compress(bytes(8000)) + bytes(4), 0),
        ("deflate deflate", zlib.compress(zlib.compress(bytes(8000))), 0),
        ("deflate", BOMB[:100], 0),  # damaged, which other rules tell
        ("deflate", bytes(8000), 1),
        ("", bytes(8000), 0),
    ],
)
def test_what_is_none(filters: str, stored: bytes, skipped: int, tmp_path: Path) -> None:
    assert too_large(column(tmp_path, filters, stored, skipped)) is None


def test_filters_that_are_not_undone_are_named(tmp_path: Path) -> None:
    assert foreign_filter(column(tmp_path, "deflate lzf", BOMB, 0b10)) == "filter 32000 (lzf)"
    assert foreign_filter(column(tmp_path, "shuffle deflate fletcher32", b"x")) is None


def forged(folder: Path, rows: int, **how: Any) -> h5py.Dataset:
    """A column that points at one text as often as it has rows."""
    with h5py.File(folder / "a.h5", "w", userblock_size=how.pop("userblock_size", 0)) as file:
        texts = file.create_dataset("a", (rows,), h5py.string_dtype(), **how)
        texts[...] = "x"
        texts[0] = "y" * 100_000
        file.flush()
        if texts.chunks is None:
            start, stored = texts.id.get_offset(), None
        else:
            start, stored = None, bytearray(texts.id.read_direct_chunk((0,))[1])
            raw = zlib.decompress(stored) if how.get("compression") else bytes(stored)
            raw = raw[:16] * (len(raw) // 16)
            texts.id.write_direct_chunk((0,), zlib.compress(raw) if how.get("compression") else raw)
    if start is not None:
        data = bytearray((folder / "a.h5").read_bytes())
        data[start : start + 16 * rows] = data[start : start + 16] * rows
        (folder / "a.h5").write_bytes(data)
    return h5py.File(folder / "a.h5")["a"]


@pytest.mark.parametrize(
    "how",
    [{}, {"chunks": (1000,)}, {"chunks": (1000,), "compression": "gzip"}, {"userblock_size": 512}],
    ids=["contiguous", "chunks", "gzip", "user block"],
)
def test_one_text_for_all_rows_is_found(how: dict[str, Any], tmp_path: Path) -> None:
    dataset = forged(tmp_path, 1000, **how)
    assert dataset[999] == b"y" * 100_000  # HDF5 takes it as it is
    assert "texts of" in (too_large(dataset) or "")


def test_one_text_for_all_rows_is_found_where_a_stream_is_longer_than_its_chunk(tmp_path: Path) -> None:
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((1000,))
    made.set_deflate(0)
    made.set_deflate(4)
    kind, space = h5py.h5t.py_create(h5py.string_dtype(), logical=True), h5py.h5s.create_simple((1000,))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        text = file.create_dataset("b", (1,), h5py.string_dtype(), chunks=(1,))
        text[0] = "y" * 100_000
        forged = bytes(text.id.read_direct_chunk((0,))[1]) * 1000
        longer = zlib.compress(forged, 0)
        assert len(longer) > len(forged)
        h5py.h5d.create(file.id, b"a", kind, space, made)
        file["a"].id.write_direct_chunk((0,), zlib.compress(longer))
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["a"][999] == b"y" * 100_000  # HDF5 takes it as it is
        assert "texts of" in (too_large(file["a"]) or "")


@pytest.mark.parametrize("how", [{}, {"chunks": (4,)}, {"chunks": (4,), "compression": "gzip", "shuffle": True}])
def test_texts_of_their_own_are_none(how: dict[str, Any], tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        texts = file.create_dataset("a", (10,), h5py.string_dtype(), **how)
        texts[...] = [c * 5000 for c in "abcdefghij"]
        assert too_large(texts) is None
        assert too_large(file.create_dataset("never", (10**12,), h5py.string_dtype())) is None
        assert too_large(file.create_dataset("one", data="a" * 5000)) is None
        assert too_large(file.create_dataset("none", data=h5py.Empty("f4"))) is None


def test_chunks_without_number_are_not_looked_for(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        told = too_large(file.create_dataset("a", (10**12,), "u1", chunks=(10,)))
    assert told is not None and told.startswith("100000000000 chunks")


def test_pixels_are_looked_into_where_hdf5_reads_them(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        pixels = file.create_dataset("a", (4, 64, 64), "u1", chunks=(1, 64, 64), compression="gzip")
        pixels.id.write_direct_chunk((0, 0, 0), BOMB)
        assert too_large(pixels) is None
        assert "expands" in (too_large(pixels, pixels=True) or "")


def test_a_list_of_texts_is_no_attribute_that_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update({"a": "one", "b": ["one", "two"], "c": 2.5, "d": np.arange(10_000.0)[:100], "e": ["one"]})
        file.attrs["f"], file.attrs["h"] = h5py.Empty("f4"), ""
        found = {name: attribute(file, name) for name in "abcefgh"}
        assert found["a"] == "one" and found["c"] == 2.5 and list(found["e"]) == ["one"]
        assert found["h"] == "" and found["b"] is None and found["f"] is None and found["g"] is None
        assert len(attribute(file, "d")) == 100


def test_a_value_that_holds_a_list_of_texts_is_not_read(tmp_path: Path) -> None:
    from h5py import h5a, h5s, h5t

    text = h5t.py_create(h5py.string_dtype(), logical=True)
    inside = h5t.create(h5t.COMPOUND, 6400)
    inside.insert(b"a", 0, h5t.array_create(text, (400,)))
    kinds = {"array": h5t.array_create(text, (400,)), "list": h5t.vlen_create(text), "record": inside}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, kind in kinds.items():
            h5a.create(file.id, name.encode(), kind, h5s.create(h5s.SCALAR))
            assert attribute(file, name) is None
