"""Columns that expand without end are found however their filters are put together."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from neuropack.rules.hdf5_bombs import SLACK, bombs

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
        ("deflate lzf", BOMB, 0b10),
    ],
)
def test_a_bomb_is_found(filters: str, stored: bytes, skipped: int, tmp_path: Path) -> None:
    ((path, told),) = bombs({"/a": column(tmp_path, filters, stored, skipped)})
    assert path == "/a"
    assert "expand" in told


@pytest.mark.parametrize(
    ("filters", "stored", "skipped"),
    [
        ("shuffle deflate fletcher32", zlib.compress(bytes(8000)) + bytes(4), 0),
        ("deflate deflate", zlib.compress(zlib.compress(bytes(8000))), 0),
        ("deflate", BOMB[:100], 0),  # damaged, which other rules tell
        ("deflate", bytes(8000), 1),
        ("lzf deflate", zlib.compress(bytes(100)), 0),
        ("", bytes(8000), 0),
    ],
)
def test_what_is_none(filters: str, stored: bytes, skipped: int, tmp_path: Path) -> None:
    assert list(bombs({"/a": column(tmp_path, filters, stored, skipped)})) == []
