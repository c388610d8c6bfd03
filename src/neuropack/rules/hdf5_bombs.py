"""Chunks of tables and texts in an HDF5 file that expand far beyond their size, found before they are read.

Its deflate filter makes room for whatever a stream expands to. Chunks of pixels need no such look: the rules undo
them in bounded memory by themselves (`neuropack.rules.hdf5_chunks`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from neuropack.rules.decode import TooLargeError, inflate

if TYPE_CHECKING:
    import h5py

RATIO = 1032
"""Bytes that one byte of a deflate stream expands to at most, https://zlib.net/zlib_tech.html."""
SLACK = 64 * 2**20
"""Bytes beyond its size that a chunk may expand to: as much as a check takes anyway."""
LARGEST = 2**30
_NARROW = 16


def bombs(datasets: Mapping[str, h5py.Dataset]) -> Iterator[tuple[str, str]]:
    """Path of each dataset with such a chunk, and what is wrong with the first of them."""
    for path, dataset in datasets.items():
        if dataset.chunks is None or dataset.compression != "gzip" or not _is_column(dataset):
            continue
        size = math.prod(dataset.chunks) * dataset.id.get_type().get_size()
        if size > LARGEST:
            yield path, f"chunks of {size} bytes, where {LARGEST} are read at most"
            continue
        for start in _suspects(dataset, size):
            skipped, data = dataset.id.read_direct_chunk(start)
            try:
                if not skipped:
                    inflate(data[:-4] if dataset.fletcher32 else data, size + SLACK)
            except TooLargeError:
                yield path, f"the chunk at {list(start)} expands beyond its {size} bytes"
                break
            except (ValueError, RuntimeError):
                continue  # damaged, and no bomb


def _is_column(dataset: h5py.Dataset) -> bool:
    """True for columns of tables and for texts, and False for pixels."""
    return dataset.ndim <= 1 or dataset.shape[-1] <= _NARROW or dataset.dtype.kind not in "iufb"


def _suspects(dataset: h5py.Dataset, size: int) -> list[tuple[int, ...]]:
    """The chunks that are stored in enough bytes to expand that far."""
    found: list[tuple[int, ...]] = []

    def look(chunk: Any) -> None:
        if chunk.size * RATIO > size + SLACK:
            found.append(chunk.chunk_offset)

    dataset.id.chunk_iter(look)
    return found
