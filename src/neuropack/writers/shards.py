"""Shard files of a Zarr v3 array, encoded chunk by chunk in threads.

zarr-python writes the array's metadata and can write its shards too, but it spends as much time moving chunks about
as compressing them. The layout (Zarr v3, "sharding_indexed") is small: the encoded chunks one after the other, then
the index of their offsets and lengths, then the checksum of the index. A chunk that lies beyond the border of the
array has nothing to hold and is marked absent; every other chunk is written, the empty ones too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np

from neuropack.axes import Array, Box

_ABSENT = 2**64 - 1
COMPRESSOR: Final = "zstd"
LEVEL: Final = 1  # of zstd, after a byte shuffle; each chunk is followed by its crc32c


@dataclass(frozen=True)
class ShardedArray:
    """Where the shards of an array go. All shapes are along the array's own axes.

    Attributes:
        folder: of the array.
        shape: of the array.
        chunk: of one chunk.
        shard: of one file, a multiple of the chunk.
        dtype: of the pixels, little-endian in the file.
    """

    folder: Path
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    dtype: np.dtype[Any]

    def path(self, index: tuple[int, ...]) -> Path:
        """The file of the shard at a place in the grid."""
        return self.folder.joinpath("c", *map(str, index))

    def write(self, box: Box, block: Array, pool: Executor) -> list[Path]:
        """Write every shard that a box covers, and return the files.

        Args:
            box: whole shards, or up to the border of the array.
            block: the pixels of the box.
            pool: threads that compress; the caller must not be one of them.
        """
        grid = [range(s.start // n, -(-s.stop // n)) for s, n in zip(box, self.shard, strict=True)]
        indices = list(product(*grid))
        pieces = [list(self._chunks(index, box, block)) for index in indices]
        encoded = pool.map(self._encode, [chunk for shard in pieces for _, chunk in shard], chunksize=4)
        files = []
        for index, shard in zip(indices, pieces, strict=True):
            files.append(self._assemble(index, [(number, next(encoded)) for number, _ in shard]))
        return files

    def _chunks(self, index: tuple[int, ...], box: Box, block: Array) -> Iterator[tuple[int, Array]]:
        """The chunks of a shard that lie inside the array, as views, with their number in the shard's index."""
        start = [i * s for i, s in zip(index, self.shard, strict=True)]
        stop = [min(a + s, n) for a, s, n in zip(start, self.shard, self.shape, strict=True)]
        per = [s // c for s, c in zip(self.shard, self.chunk, strict=True)]
        inside = [range(-(-(b - a) // c)) for a, b, c in zip(start, stop, self.chunk, strict=True)]
        for place in product(*inside):
            corner = [a + p * c for a, p, c in zip(start, place, self.chunk, strict=True)]
            view = tuple(
                slice(a - s.start, min(a + c, n) - s.start)
                for a, c, n, s in zip(corner, self.chunk, self.shape, box, strict=True)
            )
            yield int(np.ravel_multi_index(place, per)), block[view]

    def _encode(self, part: Array) -> bytes:
        import google_crc32c
        from numcodecs import blosc

        little = self.dtype.newbyteorder("<")
        if part.shape == self.chunk:
            chunk = np.ascontiguousarray(part, little)
        else:
            chunk = np.zeros(self.chunk, little)
            chunk[tuple(slice(n) for n in part.shape)] = part
        data: bytes = blosc.compress(chunk, COMPRESSOR.encode(), LEVEL, blosc.SHUFFLE)
        checksum: bytes = google_crc32c.value(data).to_bytes(4, "little")
        return data + checksum

    def _assemble(self, index: tuple[int, ...], chunks: list[tuple[int, bytes]]) -> Path:
        import google_crc32c

        count = int(np.prod([s // c for s, c in zip(self.shard, self.chunk, strict=True)]))
        table = np.full((count, 2), _ABSENT, "<u8")
        offset = 0
        for number, data in chunks:
            table[number] = offset, len(data)
            offset += len(data)
        head = table.tobytes()
        path = self.path(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        with temporary.open("wb", buffering=0) as out:
            _write_all(out.fileno(), [data for _, data in chunks])
            out.write(head + google_crc32c.value(head).to_bytes(4, "little"))
        temporary.replace(path)
        return path


def _write_all(handle: int, parts: list[bytes]) -> None:
    """Write many small pieces with few system calls."""
    if not hasattr(os, "writev"):  # Windows
        os.write(handle, b"".join(parts))
        return
    while parts:
        batch = parts[:512]
        written = os.writev(handle, batch)
        while batch and written >= len(batch[0]):
            written -= len(batch.pop(0))
        if written:  # a short write: the disk is filling, and the next call will say so
            batch[0] = batch[0][written:]
        parts = batch + parts[512:]
