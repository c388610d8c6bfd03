"""What reading a dataset or an attribute of an HDF5 file may cost, known before it is read.

HDF5 makes room for whatever a file says. Its deflate filter grows with the stream; the sizes of other filters
stand in the file; and thousands of texts may be one text, stored once and pointed at thousands of times. What is
looked at here are the stored bytes, which are undone in bounded memory. Chunks of pixels need no such look where
whoever reads them undoes them by himself (`neuropack.rules.hdf5_chunks`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neuropack.bounded import Data, TooLargeError, inflate, unshuffle

if TYPE_CHECKING:
    import h5py

DEFLATE, SHUFFLE, FLETCHER = 1, 2, 3
"""Codes of the filters that are undone, https://docs.hdfgroup.org/hdf5/develop/group___h5_z.html."""
CHUNK_LIMIT = 2**30
"""Decoded bytes of the largest chunk that is read: a small file may claim any size."""
TEXT_LIMIT = 2**30
"""Bytes of all the texts of a dataset that are read at most."""
MOST_CHUNKS = 10**8
"""Chunks of a dataset that are looked for; the chunks of 400 GB are a million."""
RATIO = 1032
"""Bytes that one byte of a deflate stream expands to at most, https://zlib.net/zlib_tech.html."""
SLACK = 64 * 2**20
"""Bytes beyond its size that a chunk may expand to: as much as a check takes anyway."""

_NAMES = {4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle"}
_NAMES |= {32015: "zstd", 32026: "blosc2"}
_NARROW = 16
_PIECE = 2**20
_ATTRIBUTE = 2**16
_Filters = list[tuple[int, tuple[int, ...]]]


def filters_of(dataset: h5py.Dataset) -> _Filters:
    """Code and values of each filter of a dataset, in the order in which they were done."""
    created = dataset.id.get_create_plist()
    found = (created.get_filter(place) for place in range(created.get_nfilters()))
    return [(code, tuple(values)) for code, _, values, _ in found]


def foreign_filter(dataset: h5py.Dataset) -> str | None:
    """The first filter, in words, that is none of deflate, shuffle and fletcher32; None where there is none."""
    codes = [code for code, _ in filters_of(dataset)] if dataset.chunks is not None else []
    other = next((code for code in codes if code not in (DEFLATE, SHUFFLE, FLETCHER)), None)
    return None if other is None else f"filter {other}" + (f" ({_NAMES[other]})" if other in _NAMES else "")


def too_large(dataset: h5py.Dataset, *, pixels: bool = False) -> str | None:
    """What would take more memory than its size, in words; None where nothing does, or where bytes are damaged.

    Only filters that `foreign_filter` does not name are looked into.

    Args:
        dataset: a column of a table, texts, or pixels.
        pixels: True to look into chunks of pixels too, which HDF5 is to undo.
    """
    if dataset.shape is None:
        return None
    if dataset.chunks is not None and (told := _chunks(dataset, pixels)) is not None:
        return told
    return _texts(dataset) if _is_text(dataset) and dataset.size else None


def stored_as_numpy(dataset: h5py.Dataset) -> bool:
    """Whether the numbers of the file are in a form that NumPy has too, so that no conversion is needed."""
    from h5py import h5t

    return bool(h5t.py_create(dataset.dtype, logical=True).equal(dataset.id.get_type()))


def attribute(item: Any, name: str) -> Any:
    """The value of an attribute of a group or dataset; None for an absent one, and for lists that may be large.

    A list of texts may be one text, pointed at thousands of times; a single value may hold such a list.
    """
    from h5py import h5a, h5t

    key = name.encode("utf-8", "surrogateescape")
    if not h5a.exists(item.id, key):
        return None
    found = h5a.open(item.id, key)
    kind = found.get_type()
    text = isinstance(kind, h5t.TypeStringID) and kind.is_variable_str()
    if found.shape is None or (text and math.prod(found.shape) != 1):
        return None
    if isinstance(kind, h5t.TypeCompoundID | h5t.TypeArrayID | h5t.TypeVlenID):
        return None
    if math.prod(found.shape) * kind.get_size() > _ATTRIBUTE:  # its storage size raises where there is none
        return None
    return item.attrs[name]


def _is_column(dataset: h5py.Dataset) -> bool:
    """True for columns of tables and for texts, and False for pixels."""
    return dataset.ndim <= 1 or dataset.shape[-1] <= _NARROW or dataset.dtype.kind not in "iufb"


def _is_text(dataset: h5py.Dataset) -> bool:
    """True for texts that may be of any length."""
    from h5py import h5t

    kind = dataset.id.get_type()
    return isinstance(kind, h5t.TypeStringID) and kind.is_variable_str()


def _chunks(dataset: h5py.Dataset, pixels: bool) -> str | None:
    """What is wrong with the number of chunks, their size, or the first one that expands too far."""
    claimed = math.prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
    if claimed > MOST_CHUNKS:
        return f"{claimed} chunks, where {MOST_CHUNKS} are looked for at most"
    filters = filters_of(dataset)
    times = [code for code, _ in filters].count(DEFLATE)
    if not pixels and not _is_column(dataset) and stored_as_numpy(dataset):
        return None  # whoever reads pixels undoes their chunks
    size = _chunk_bytes(dataset)
    if size > CHUNK_LIMIT:
        return f"chunks of {size} bytes, where {CHUNK_LIMIT} are read at most"
    for start in _suspects(dataset, size, RATIO**times) if times else ():
        skipped, data = dataset.id.read_direct_chunk(start)
        try:
            _undo(data, filters, skipped, size + SLACK)
        except TooLargeError:
            return f"the chunk at {list(start)} expands beyond its {size} bytes"
        except (ValueError, RuntimeError):
            continue  # damaged, and no bomb
    return None


def _chunk_bytes(dataset: h5py.Dataset) -> int:
    return int(math.prod(dataset.chunks) * max(dataset.id.get_type().get_size(), _pointer(dataset)))


def _pointer(dataset: h5py.Dataset) -> int:
    """Bytes of a text of any length where it is pointed at: its length, and an address and a number in the heap."""
    return 8 + int(dataset.file.id.get_create_plist().get_sizes()[0]) if _is_text(dataset) else 0


def _undo(data: Data, filters: _Filters, skipped: int, most: int) -> Data:
    """Undo the filters of a chunk, down to the last stream; checksums are not looked at."""
    done = [one for place, one in enumerate(filters) if not skipped >> place & 1]
    while done:
        code, values = done.pop()
        if code == DEFLATE:
            data = inflate(data, most)
        elif code == FLETCHER:
            data = data[:-4]
        elif code == SHUFFLE and values and 1 < values[0] <= len(data):
            data = unshuffle(data, values[0])
    return data


def _suspects(dataset: h5py.Dataset, size: int, ratio: int) -> list[tuple[int, ...]]:
    """The chunks that are stored in enough bytes to expand that far."""
    found: list[tuple[int, ...]] = []

    def look(chunk: Any) -> None:
        if chunk.size * ratio > size + SLACK:
            found.append(chunk.chunk_offset)

    dataset.id.chunk_iter(look)
    return found


def _texts(dataset: h5py.Dataset) -> str | None:
    """What is wrong with the lengths of texts: each takes its own place in the file, unless it was forged."""
    most = min(dataset.file.id.get_filesize(), TEXT_LIMIT)
    total = 0
    for lengths in _lengths(dataset):
        total += int(lengths.sum(dtype=np.uint64))
        if total > most:
            return f"texts of {total} bytes or more, where the file has {dataset.file.id.get_filesize()}"
    return None


def _lengths(dataset: h5py.Dataset) -> Iterator[npt.NDArray[np.unsignedinteger]]:
    """The lengths of the texts as they are stored, some thousands at a time."""
    size = _pointer(dataset)
    if dataset.chunks is not None:
        filters, starts = filters_of(dataset), list[tuple[int, ...]]()
        dataset.id.chunk_iter(lambda chunk: starts.append(chunk.chunk_offset))
        for start in starts:
            skipped, data = dataset.id.read_direct_chunk(start)
            try:  # what comes of a filter before the last may be longer than the chunk
                yield _heads(_undo(data, filters, skipped, _chunk_bytes(dataset) + SLACK), size)
            except (ValueError, RuntimeError):
                continue  # damaged: HDF5 refuses it as well
        return
    begin, rows = dataset.id.get_offset(), min(dataset.size, dataset.id.get_storage_size() // size)
    if begin is None:  # some few in the header of the dataset, which is not to be had, or none at all
        for row in range(rows):
            at = tuple(int(i) for i in np.unravel_index(row, dataset.shape)) if dataset.shape else ()
            yield np.array([len(dataset[at])], np.uint64)
        return
    with Path(dataset.file.filename).open("rb") as file:
        file.seek(begin)
        left = rows * size
        while left > 0 and (data := file.read(min(left, _PIECE // size * size))):
            left -= len(data)
            yield _heads(data, size)


def _heads(data: Data, size: int) -> npt.NDArray[np.uint32]:
    view = np.frombuffer(data, np.uint8)
    return view[: len(view) // size * size].reshape(-1, size)[:, :4].copy().view("<u4")
