"""HDF5 pixels at the speed of the disk: chunks compressed in threads and stored without HDF5's own filters.

A chunk is what any HDF5 build makes of ``shuffle`` then ``gzip``: its bytes sorted by significance, then one zlib
stream. HDF5 runs its filters in one thread under its lock; here ISA-L does, in a pool, and the library only
notes where each stream lies (``H5Dwrite_chunk``).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from neuropack.axes import Array, Box

TARGET_BYTES = 1 << 20
"""Decoded size of a chunk: large enough to compress well, small enough that a viewer's slice stays cheap."""

_DEPTH = 32


def chunk_shape(size_zyx: tuple[int, int, int], itemsize: int) -> tuple[int, int, int]:
    """Chunk lengths (z, y, x): powers of two of about 1 MiB together, or a whole axis where that is shorter."""
    voxels = TARGET_BYTES // itemsize
    z = min(size_zyx[0], _DEPTH)
    area = voxels // _power_of_two(z)
    y = _power_of_two(int(area**0.5))
    return z, min(size_zyx[1], y), min(size_zyx[2], area // y)


def _power_of_two(n: int) -> int:
    return 1 << (n.bit_length() - 1)


def chunks_of(box: Box, chunk: tuple[int, ...]) -> Iterator[Box]:
    """The pieces of a box that each lie in one chunk, in C order. The box starts on a chunk along every axis."""
    steps = [range(s.start, s.stop, n) for s, n in zip(box, chunk, strict=True)]
    for corner in product(*steps):
        yield tuple(slice(i, min(i + n, s.stop)) for i, n, s in zip(corner, chunk, box, strict=True))


def encode(piece: Array, chunk: tuple[int, ...], dtype: np.dtype[np.generic], level: int) -> bytes:
    """The stored form of one chunk.

    Args:
        piece: its voxels; shorter than the chunk at the border of the image.
        chunk: full chunk lengths. HDF5 stores border chunks whole: what lies outside is zero.
        dtype: type of the dataset, in the byte order of the file.
        level: of ISA-L, 0 to 3.
    """
    from isal import isal_zlib

    if piece.shape == chunk:
        whole = np.ascontiguousarray(piece, dtype)
    else:
        whole = np.zeros(chunk, dtype)
        whole[tuple(slice(0, n) for n in piece.shape)] = piece
    by_byte = whole.reshape(-1).view(np.uint8).reshape(-1, dtype.itemsize).T
    stream: bytes = isal_zlib.compress(np.ascontiguousarray(by_byte), level)
    return stream
