"""Shards of a Zarr array, decoded chunk by chunk in bounded memory. Source: Zarr v3 core, "sharding_indexed"."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape, overlap, relative
from neuropack.rules.decode import crc32c
from neuropack.rules.zarr_array import NOT_THERE, ZarrArray

_OVERHEAD = 2**20


def read_shard(array: ZarrArray, path: Path) -> bytes:
    """The bytes of a shard file.

    Raises:
        ValueError: it is far larger than a shard of this array can be.
        OSError: it cannot be read.
    """
    most = 2 * array.shard_bytes + _OVERHEAD
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"the file is larger than {most} bytes, where a shard decodes to {array.shard_bytes}")
    return data


def decode_shard(array: ZarrArray, data: bytes, box: Box) -> Array:
    """The pixels of a shard, as far as the array reaches.

    Args:
        array: that the shard is of.
        data: its file.
        box: what it covers of the array.

    Raises:
        ValueError, RuntimeError: it does not decode.
    """
    block = np.empty(box_shape(box), array.dtype)
    if array.chunk is None:
        block[...] = array.chain.decode(data, array.shard)[tuple(slice(n) for n in block.shape)]
        return block
    size = array.index_bytes
    index = parse_index(array, data[-size:] if array.index_at_end else data[:size])
    stored = memoryview(data)
    for place, part in _inside(array, box):
        offset, length = (int(n) for n in index[place])
        if offset == length == NOT_THERE:
            block[part] = array.fill
            continue
        if offset + length > len(data):
            raise ValueError(f"the index names bytes {offset}:{offset + length} of {len(data)}")
        chunk = array.chain.decode(stored[offset : offset + length], array.chunk)
        block[part] = chunk[tuple(slice(s.stop - s.start) for s in part)]
    return block


def read_box(array: ZarrArray, root: Path, box: Box) -> Array:
    """The pixels of any box, of which only the chunks that it touches are decoded.

    Raises:
        ValueError, RuntimeError, OSError: they do not decode, or a file is not there. A note names the file.
    """
    block = np.empty(box_shape(box), array.dtype)
    grid = product(*(range(s.start // n, -(-s.stop // n)) for s, n in zip(box, array.shard, strict=True)))
    for at in grid:
        whole, name = array.box_of(at), array.file_of(at)
        try:
            with (root / name).open("rb") as file:
                for part, chunk in _chunks(array, file, whole, box):
                    both = overlap(part, box)
                    if both is not None:
                        block[relative(both, box)] = chunk[relative(both, part)]
        except Exception as error:
            error.add_note(name)
            raise
    return block


def parse_index(array: ZarrArray, data: bytes) -> npt.NDArray[np.uint64]:
    """Offset and length of every chunk of a shard (shape of the grid of its chunks, 2).

    Raises:
        ValueError: it is too short, or its checksum is of other bytes.
    """
    if len(data) != array.index_bytes:
        raise ValueError(f"a file of {len(data)} bytes, shorter than the index of its chunks")
    content = crc32c(data, len(data)) if array.index_codecs[1:] else data
    return np.frombuffer(content, "<u8").reshape(*array.chunk_grid, 2)


def _chunks(array: ZarrArray, file: IO[bytes], whole: Box, box: Box) -> Iterator[tuple[Box, Array]]:
    """The chunks of a shard that a box touches, each with where it lies in the array."""
    size = file.seek(0, 2)
    if array.chunk is None:
        file.seek(0)
        data = file.read(2 * array.shard_bytes + _OVERHEAD)
        yield whole, array.chain.decode(data, array.shard)[tuple(slice(s.stop - s.start) for s in whole)]
        return
    file.seek(max(size - array.index_bytes, 0) if array.index_at_end else 0)
    index = parse_index(array, file.read(array.index_bytes))
    most = 2 * math.prod(array.chunk) * array.dtype.itemsize + _OVERHEAD
    for place, inner in _inside(array, whole):
        part = tuple(slice(w.start + s.start, w.start + s.stop) for w, s in zip(whole, inner, strict=True))
        if overlap(part, box) is None:
            continue
        offset, length = (int(n) for n in index[place])
        if offset == length == NOT_THERE:
            yield part, np.full(box_shape(part), array.fill, array.dtype)
            continue
        if offset + length > size or length > most:
            raise ValueError(f"the index names bytes {offset}:{offset + length} of {size}")
        file.seek(offset)
        chunk = array.chain.decode(file.read(length), array.chunk)
        yield part, chunk[tuple(slice(n) for n in box_shape(part))]


def _inside(array: ZarrArray, box: Box) -> Iterator[tuple[tuple[int, ...], Box]]:
    """The chunks of a shard that reach into the array: place in the grid, and where they lie in its block."""
    chunk, shape = array.chunk or array.shard, box_shape(box)
    for place in product(*(range(-(-n // c)) for n, c in zip(shape, chunk, strict=True))):
        yield place, tuple(slice(p * c, min((p + 1) * c, n)) for p, c, n in zip(place, chunk, shape, strict=True))
