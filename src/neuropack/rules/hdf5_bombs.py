"""Chunks of tables and texts in an HDF5 file that expand far beyond their size, found before they are read.

Its deflate filter makes room for whatever a stream expands to. Chunks of pixels need no such look: the rules undo
them in bounded memory by themselves (`neuropack.rules.hdf5_chunks`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from neuropack.rules.decode import Data, TooLargeError, inflate, unshuffle
from neuropack.rules.hdf5_chunks import CHUNK_LIMIT, DEFLATE, FLETCHER, SHUFFLE, filters_of

if TYPE_CHECKING:
    import h5py

RATIO = 1032
"""Bytes that one byte of a deflate stream expands to at most, https://zlib.net/zlib_tech.html."""
SLACK = 64 * 2**20
"""Bytes beyond its size that a chunk may expand to: as much as a check takes anyway."""
_NARROW = 16
_Filters = list[tuple[int, tuple[int, ...]]]


def bombs(datasets: Mapping[str, h5py.Dataset]) -> Iterator[tuple[str, str]]:
    """Path of each dataset with such a chunk, and what is wrong with the first of them."""
    for path, dataset in datasets.items():
        told = _bomb(dataset) if dataset.chunks is not None and _is_column(dataset) else None
        if told is not None:
            yield path, told


def _is_column(dataset: h5py.Dataset) -> bool:
    """True for columns of tables and for texts, and False for pixels."""
    return dataset.ndim <= 1 or dataset.shape[-1] <= _NARROW or dataset.dtype.kind not in "iufb"


def _bomb(dataset: h5py.Dataset) -> str | None:
    """What is wrong with the first chunk that expands too far."""
    filters = filters_of(dataset)
    codes = [code for code, _ in filters]
    if DEFLATE not in codes:
        return None
    over = [code for code in codes[codes.index(DEFLATE) :] if code not in (DEFLATE, SHUFFLE, FLETCHER)]
    if over:
        return f"a deflate stream inside of filter {over[0]}: what it expands to cannot be told"
    size = math.prod(dataset.chunks) * dataset.id.get_type().get_size()
    if size > CHUNK_LIMIT:
        return f"chunks of {size} bytes, where {CHUNK_LIMIT} are read at most"
    for start in _suspects(dataset, size, RATIO ** codes.count(DEFLATE)):
        skipped, data = dataset.id.read_direct_chunk(start)
        try:
            _undo(data, filters, skipped, size + SLACK)
        except TooLargeError:
            return f"the chunk at {list(start)} expands beyond its {size} bytes"
        except (ValueError, RuntimeError):
            continue  # damaged, and no bomb
    return None


def _undo(data: Data, filters: _Filters, skipped: int, most: int) -> None:
    """Undo the filters of a chunk, down to the last stream; checksums are not looked at."""
    done = [one for place, one in enumerate(filters) if not skipped >> place & 1]
    while any(code == DEFLATE for code, _ in done):
        code, values = done.pop()
        if code == DEFLATE:
            data = inflate(data, most)
        elif code == FLETCHER:
            data = data[:-4]
        elif values and 1 < values[0] <= len(data):
            data = unshuffle(data, values[0])


def _suspects(dataset: h5py.Dataset, size: int, ratio: int) -> list[tuple[int, ...]]:
    """The chunks that are stored in enough bytes to expand that far."""
    found: list[tuple[int, ...]] = []

    def look(chunk: Any) -> None:
        if chunk.size * ratio > size + SLACK:
            found.append(chunk.chunk_offset)

    dataset.id.chunk_iter(look)
    return found
