"""Shard files of a Zarr v3 array, encoded chunk by chunk in threads.

zarr-python writes the array's metadata and can write its shards too, but it spends as much time moving chunks about
as compressing them. The layout (Zarr v3, "sharding_indexed") is small: the encoded chunks one after the other, then
the index of their offsets and lengths, then the checksum of the index. A chunk that lies beyond the border of the
array has nothing to hold and is marked absent; every other chunk is written, the empty ones too.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import chain, product
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.axes import Array, Box
from neuropack.errors import UsageError
from neuropack.writers.store import Store

if TYPE_CHECKING:
    from zarr.codecs import BloscCodec

_ABSENT = 2**64 - 1
_NAMES = ("zstd", "lz4", "lz4hc", "zlib")


@dataclass(frozen=True)
class Codec:
    """The compressor of a chunk: blosc, which the Zarr v3 core has, so that every reader has it."""

    name: str = "zstd"
    level: int = 1
    shuffle: bool = True

    def __post_init__(self) -> None:
        if self.name not in _NAMES or not 0 <= self.level <= 9:
            known = f"{', '.join(_NAMES)}; a level from 0 to 9 after a colon, such as zstd:1"
            raise UsageError("is not a codec", expected=known, found=f"{self.name}:{self.level}")

    @property
    def mode(self) -> str:
        """The filter in front, as blosc calls it."""
        return "shuffle" if self.shuffle else "noshuffle"

    def zarr(self) -> BloscCodec:
        """The same for zarr-python."""
        from zarr.codecs import BloscCname, BloscCodec, BloscShuffle

        return BloscCodec(cname=BloscCname(self.name), clevel=self.level, shuffle=BloscShuffle(self.mode))

    def encode(self, chunk: Array) -> bytes:
        """Compress a contiguous array."""
        from numcodecs import blosc

        mode = blosc.SHUFFLE if self.shuffle else blosc.NOSHUFFLE
        data: bytes = blosc.compress(chunk, self.name.encode(), self.level, mode)
        return data


@dataclass(frozen=True)
class ShardedArray:
    """Where the shards of an array go. All shapes are along the array's own axes.

    Attributes:
        store: of the image.
        name: of the array in the store.
        shape: of the array.
        chunk: of one chunk.
        shard: of one file, a multiple of the chunk.
        dtype: of the pixels, little-endian in the file.
        codec: of the chunks; each is followed by its crc32c.
        digests: True to take the SHA-256 of every file.
    """

    store: Store
    name: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    dtype: np.dtype[Any]
    codec: Codec
    digests: bool

    def key(self, index: tuple[int, ...]) -> str:
        """The file of the shard at a place in the grid."""
        return "/".join((self.name, "c", *map(str, index)))

    def write(self, box: Box, block: Array, pool: Executor | None) -> dict[str, tuple[int, str]]:
        """Write every shard that a box covers, and return bytes and digest of the files.

        Args:
            box: whole shards, or up to the border of the array.
            block: the pixels of the box.
            pool: threads that compress, the caller not being one of them; None: the caller does.
        """
        grid = [range(s.start // n, -(-s.stop // n)) for s, n in zip(box, self.shard, strict=True)]
        files: dict[str, tuple[int, str]] = {}
        for index in product(*grid):
            numbers, pieces = zip(*self._chunks(index, box, block), strict=True)
            encoded = pool.map(self._encode, pieces, chunksize=4) if pool else map(self._encode, pieces)
            parts = self._assemble(numbers, list(encoded))
            key = self.key(index)
            self.store.write(key, parts)
            files[key] = (sum(map(len, parts)), _digest(parts) if self.digests else "")
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

    def _encode(self, part: Array) -> tuple[bytes, bytes]:
        """A chunk, compressed, and its checksum."""
        import google_crc32c

        chunk = _buffer(self.chunk, self.dtype.newbyteorder("<"))
        if part.shape != self.chunk:
            chunk[...] = 0
        chunk[tuple(slice(n) for n in part.shape)] = part
        data = self.codec.encode(chunk)
        return data, google_crc32c.value(data).to_bytes(4, "little")

    def _assemble(self, numbers: tuple[int, ...], chunks: list[tuple[bytes, bytes]]) -> list[bytes]:
        """The parts of a shard file: the chunks, their index, its checksum."""
        import google_crc32c

        count = int(np.prod([s // c for s, c in zip(self.shard, self.chunk, strict=True)]))
        table = np.full((count, 2), _ABSENT, "<u8")
        sizes = np.array([len(data) + len(checksum) for data, checksum in chunks], np.uint64)
        table[list(numbers), 0] = np.cumsum(sizes) - sizes
        table[list(numbers), 1] = sizes
        head = table.tobytes()
        return [*chain(*chunks), head, google_crc32c.value(head).to_bytes(4, "little")]


_here = threading.local()


def _buffer(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Memory of this thread for a chunk, the same for every chunk."""
    held: Array | None = getattr(_here, "chunk", None)
    if held is None or held.shape != shape or held.dtype != dtype:
        held = _here.chunk = np.empty(shape, dtype)
    return held


def _digest(parts: list[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
