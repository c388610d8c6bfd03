"""Arrays of Zarr v3 and their chunks, read from their metadata alone and with suspicion.

Sources: Zarr v3 core and its sharding codec.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.axes import Box
from neuropack.rules.decode import CODECS, Chain, chain
from neuropack.rules.rule import Finding

if TYPE_CHECKING:
    from neuropack.rules.release_files import ReleaseFiles

SHARD_LIMIT = 4 * 2**30
"""Decoded bytes of the largest shard that is read: a small file may claim any size."""

GRID_LIMIT = 10**7
"""Shards of the largest level that is gone through, for the same reason."""

NOT_THERE = 2**64 - 1
"""Offset and length of a chunk that was left out of its shard."""

BROKEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""What reading a document of the wrong shape raises."""

_KNOWN = CODECS | {"sharding_indexed"}


@dataclass(frozen=True)
class ZarrArray:
    """One level of an image.

    Attributes:
        folder: path relative to the release.
        shape, dtype: of the level.
        shard: shape of what one file holds (a shard, or a chunk where the array is not sharded).
        chunk: shape of a chunk inside a shard; None where the array is not sharded.
        index_codecs: names of the codecs of a shard's index; `index_at_end`: where it stands.
        prefix, separator: how the grid position becomes a file name.
        chain: how a chunk is encoded.
        fill: what a chunk that was left out reads as.
    """

    folder: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    shard: tuple[int, ...]
    chunk: tuple[int, ...] | None
    index_codecs: tuple[str, ...]
    index_at_end: bool
    prefix: str
    separator: str
    chain: Chain
    fill: Any

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of shards along each axis."""
        return tuple(-(-n // s) for n, s in zip(self.shape, self.shard, strict=True))

    def shards(self) -> Iterator[tuple[str, Box]]:
        """File and box of every shard, in C order."""
        for at in itertools.product(*(range(n) for n in self.grid)):
            yield self.file_of(at), self.box_of(at)

    def files(self) -> Iterator[str]:
        """File of every shard, in C order."""
        start = f"{self.folder}/{self.prefix and self.prefix + self.separator}"
        names = itertools.product(*([str(i) for i in range(n)] for n in self.grid))
        return map(start.__add__, map(self.separator.join, names))

    def place(self, number: int) -> tuple[int, ...]:
        """The place in the grid of a shard, counted in C order."""
        at = []
        for n in reversed(self.grid):
            number, i = divmod(number, n)
            at.append(i)
        return tuple(reversed(at))

    def file_of(self, at: tuple[int, ...]) -> str:
        """File of the shard at a place in the grid."""
        return f"{self.folder}/{self.separator.join([*filter(None, [self.prefix]), *map(str, at)])}"

    def box_of(self, at: tuple[int, ...]) -> Box:
        """What the shard at a place in the grid covers of the array."""
        start = [i * s for i, s in zip(at, self.shard, strict=True)]
        return tuple(slice(b, min(b + s, n)) for b, s, n in zip(start, self.shard, self.shape, strict=True))

    @property
    def bytes(self) -> int:
        """Decoded size."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def shard_bytes(self) -> int:
        """Decoded size of a shard."""
        return math.prod(self.shard) * self.dtype.itemsize

    @property
    def chunk_grid(self) -> tuple[int, ...]:
        """Number of chunks along each axis of a shard."""
        return tuple(s // c for s, c in zip(self.shard, self.chunk or self.shard, strict=True))

    @property
    def index_bytes(self) -> int:
        """Size of the index of a shard."""
        return 16 * math.prod(self.chunk_grid) + 4 * len(self.index_codecs[1:])

    def chunks_in(self, box: Box) -> int:
        """Number of chunks in the box of a shard."""
        chunk = self.chunk or self.shard
        return math.prod(-(-(s.stop - s.start) // c) for s, c in zip(box, chunk, strict=True))

    def chunks_left_out(self, file: Path, box: Box) -> int | None:
        """How many chunks of a box the index of its shard marks as absent; None where it cannot be understood.

        A chunk that is absent reads back as the fill value, without an error. One beyond the border of the array
        has nothing to hold, and writers leave it out.
        """
        if self.chunk is None:
            return None
        size = self.index_bytes
        with file.open("rb") as shard:
            shard.seek(max(file.stat().st_size - size, 0) if self.index_at_end else 0)
            index = shard.read(size)
        if len(index) < size:
            return None
        inside = tuple(slice(-(-(s.stop - s.start) // c)) for s, c in zip(box, self.chunk, strict=True))
        numbers = np.frombuffer(index[: 16 * math.prod(self.chunk_grid)], "<u8").reshape(*self.chunk_grid, 2)
        return int((numbers == NOT_THERE).all(axis=-1)[inside].sum())


def read_array(release: ReleaseFiles, folder: str, ndim: int) -> tuple[ZarrArray | None, Finding | None]:
    """An array of an image, or what is wrong with its metadata; neither where another rule tells."""
    meta = release.json(folder + "/zarr.json")
    if meta is None:
        return None, None
    try:
        array = parse_array(folder, meta.data)
    except BROKEN as error:
        return None, Finding(
            meta.where(),
            "a Zarr v3 array of plain numbers in a regular grid",
            f"{type(error).__name__}: {error}",
            "write the image again",
        )
    problem = None
    if len(array.shape) != ndim:
        problem = (f"{ndim} dimensions, as the image has axes", f"{len(array.shape)}", "shape")
    elif array.dtype.itemsize * math.prod(array.shard) > SHARD_LIMIT:
        problem = (f"shards of at most {SHARD_LIMIT} bytes", f"shape {list(array.shard)}", "chunk_grid")
    elif math.prod(array.grid) > GRID_LIMIT:
        problem = (f"at most {GRID_LIMIT} shards", f"{math.prod(array.grid)}", "shape")
    if problem:
        return None, Finding(meta.where(problem[2]), problem[0], problem[1], "write the image again")
    return array, None


def parse_array(folder: str, data: dict[str, Any]) -> ZarrArray:
    """The array that a zarr.json describes.

    Raises:
        KeyError, TypeError, ValueError and the like: the document is no such array.
    """
    if data["zarr_format"] != 3 or data["node_type"] != "array":
        raise ValueError("neither zarr_format 3 nor node_type array")
    dtype = np.dtype(str(data["data_type"]))
    if dtype.kind not in "uifb":
        raise ValueError(f"data_type {dtype} is no number")
    if data["chunk_grid"]["name"] != "regular":
        raise ValueError("chunk_grid is not regular")
    encoding = data["chunk_key_encoding"]
    separator = encoding.get("configuration", {}).get("separator", "/" if encoding["name"] == "default" else ".")
    if encoding["name"] not in ("default", "v2") or separator not in ("/", "."):
        raise ValueError("chunk_key_encoding is neither default nor v2")
    codecs = data["codecs"]
    shape, shard = _lengths(data["shape"], 0), _lengths(data["chunk_grid"]["configuration"]["chunk_shape"], 1)
    chunk, at_end = None, True
    index: tuple[str, ...] = ()
    inside: list[dict[str, Any]] = []
    if codecs[0]["name"] == "sharding_indexed":
        inner = codecs[0]["configuration"]
        chunk = _lengths(inner["chunk_shape"], 1)
        index = tuple(c["name"] for c in inner["index_codecs"])
        at_end = inner.get("index_location", "end") == "end"
        inside = [*inner["codecs"], *inner["index_codecs"]]
        if len(chunk) != len(shard) or any(s % c for s, c in zip(shard, chunk, strict=True)):
            raise ValueError(f"chunks of {chunk} do not fill shards of {shard}")
    if unknown := sorted({c["name"] for c in [*codecs, *inside]} - _KNOWN):
        raise ValueError(f"codecs {', '.join(unknown)}: not among {', '.join(sorted(_KNOWN))}")
    if len(shape) != len(shard):
        raise ValueError(f"shape {shape} and chunk shape {shard} differ in length")
    if chunk is not None:
        if index not in (("bytes",), ("bytes", "crc32c")) or len(codecs) > 1:
            raise ValueError("shards whose index is not little-endian numbers, or that are encoded once more")
        if (inner["index_codecs"][0].get("configuration") or {}).get("endian", "little") != "little":
            raise ValueError("shards whose index is not little-endian numbers")
        codecs = inner["codecs"]
    prefix = "c" if encoding["name"] == "default" else ""
    steps, fill = chain(codecs, dtype, len(shape)), _fill(data.get("fill_value", 0), dtype)
    return ZarrArray(folder, shape, dtype, shard, chunk, index, at_end, prefix, separator, steps, fill)


def _fill(value: Any, dtype: np.dtype[Any]) -> Any:
    """What a chunk that was left out reads as; a float may be spelt, or be its bits in hexadecimal digits."""
    if isinstance(value, str) and value.startswith("0x"):
        return np.array(int(value, 16), f"u{dtype.itemsize}").view(dtype)[()]
    return np.array(float(value) if dtype.kind == "f" else value).astype(dtype, casting="unsafe")[()]


def _lengths(values: Any, least: int) -> tuple[int, ...]:
    lengths = tuple(values)
    if not all(type(n) is int and n >= least for n in lengths):
        raise ValueError(f"{short(values)} are no lengths")
    return lengths


def short(value: object) -> str:
    """A value for a message."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else text[:200] + " ..."
