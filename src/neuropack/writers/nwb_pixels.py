"""HDF5 pixels at the speed of the disk: chunks compressed in threads and stored without HDF5's own filters.

A chunk is what any HDF5 build makes of ``shuffle`` then ``gzip``: its bytes sorted by significance, then one zlib
stream. HDF5 runs its filters in one thread under its lock; here ISA-L does, in a pool, and the library only
notes where each stream lies (``H5Dwrite_chunk``).
"""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Iterator
from itertools import product
from typing import TypeAlias

import numpy as np

from neuropack.axes import Array, Box

Bytes: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

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
        dtype: type of the dataset, in the byte order of the file; may be compound.
        level: 0 stores the bytes as they are; 1 to 3 are the levels of ISA-L.
    """
    return _zlib(_shuffle(piece, chunk, dtype), level)


_here = threading.local()


def _shuffle(piece: Array, chunk: tuple[int, ...], dtype: np.dtype[np.generic]) -> Bytes:
    """The bytes of a chunk by significance, (bytes of a voxel, voxels), in memory that the next call reuses."""
    voxels, item = math.prod(chunk), dtype.itemsize
    memory: Bytes | None = getattr(_here, "memory", None)
    if memory is None or memory.size < 3 * voxels * item:  # fresh memory for each chunk would cost page faults
        memory = _here.memory = np.empty(3 * voxels * item, np.uint8)
    planes, whole, shifted = memory[: 3 * voxels * item].reshape(3, voxels * item)
    image = whole.view(dtype).reshape(chunk)
    if piece.shape != chunk:
        image[...] = 0
    image[tuple(slice(0, n) for n in piece.shape)] = piece
    if item == 1:
        return whole.reshape(1, voxels)
    if dtype.names:
        planes = planes.reshape(item, voxels)
        np.copyto(planes, whole.reshape(voxels, item).T)
        return planes
    words, low = whole.view(f"<u{item}"), shifted.view(f"<u{item}")
    planes = planes.reshape(item, voxels)
    for i, plane in enumerate(planes):
        np.right_shift(words, 8 * i, out=low)
        np.copyto(plane, low, casting="unsafe")  # shift and cast are vectorised; a strided copy of bytes is not
    return planes


def _zlib(planes: Bytes, level: int) -> bytes:
    """One zlib stream (RFC 1950) of all planes.

    The lowest bytes of a micrograph are often noise that nothing compresses: such planes are stored. In the others,
    matches far back often only break up what is cheaper to code byte by byte: a window of two bytes (runs, else
    Huffman's code) is tried beside the full one. A sample of each plane decides, so a chunk has one stream. It
    holds fewer matches than the whole, so the short window must win clearly: how well ISA-L finds them also depends
    on the processor's instructions.
    """
    from isal import igzip_lib, isal_zlib

    def deflate(data: Bytes, window: int) -> bytes:
        made: bytes = igzip_lib.compress(
            data, level, igzip_lib.COMP_DEFLATE, igzip_lib.MEM_LEVEL_DEFAULT, hist_bits=window
        )
        return made

    noise, sizes = 0, np.zeros(2)
    for i, plane in enumerate(planes):
        sample = _sample(plane)
        tried = [len(deflate(sample, window)) for window in (_FULL, _RUNS)] if level else [sample.size]
        if noise == i and min(tried) > _WORTH * sample.size:
            noise += 1
        else:
            sizes += tried
    stream: list[bytes | memoryview] = [b"\x78\x01"]
    for plane in planes[:noise]:
        stream += _stored(plane)
    if noise < len(planes):
        stream.append(deflate(planes[noise:], _RUNS if sizes[1] < _CLEARLY * sizes[0] else _FULL))
    else:
        stream.append(b"\x01\x00\x00\xff\xff")  # an empty last block
    stream.append(isal_zlib.adler32(planes).to_bytes(4, "big"))
    return b"".join(stream)


_FULL, _RUNS = 15, 1  # logarithms of how far back a match may lie
_CLEARLY = 0.985  # of the size with the full window
_WORTH = 0.985  # of its size; a plane that stays larger is stored
_SAMPLE, _STRIPS = 16 << 10, 4  # bytes of a plane that are tried, and from how many places they come


def _sample(plane: Bytes) -> Bytes:
    if plane.size <= _SAMPLE:
        return plane
    strips = plane[: plane.size // _STRIPS * _STRIPS].reshape(_STRIPS, -1)
    return np.ascontiguousarray(strips[:, : _SAMPLE // _STRIPS])


def _stored(plane: Bytes) -> Iterator[bytes | memoryview]:
    """A plane as stored blocks (RFC 1951, 3.2.4): no last block, length, its complement, and the bytes."""
    for start in range(0, plane.size, 0xFFFF):
        part = plane[start : start + 0xFFFF]
        yield struct.pack("<BHH", 0, part.size, part.size ^ 0xFFFF)
        yield part.data
