"""Chunks of an HDF5 dataset, read past the library's lock and undone in bounded memory, several at a time.

HDF5 runs its filters in one thread, and its deflate filter makes room for whatever a stream expands to.
"""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.axes import Array, Box
from neuropack.bounded import inflate, unshuffle
from neuropack.hdf5_bounds import CHUNK_LIMIT, DEFLATE, FLETCHER, SHUFFLE, filters_of, stored_as_numpy
from neuropack.rules.decode import Chain, Step, fletcher32

if TYPE_CHECKING:
    import h5py

    from neuropack.rules.nwb_file import Dataset

KEPT = 64 * 2**20
"""Decoded bytes of the chunks of a dataset that are kept, for boxes whose borders lie inside chunks."""

_OVERHEAD = 2**16


class DatasetChunks:
    """The stored chunks of one chunked dataset of plain numbers.

    Args:
        file: open for reading; it stays open as long as this object is used.
        data: the dataset.

    Attributes:
        starts: first index of every stored chunk, sorted.
    """

    def __init__(self, file: h5py.File, data: Dataset) -> None:
        dataset = file[data.path]
        self._data, self._dataset = data, dataset
        self._chunk: tuple[int, ...] = dataset.chunks
        self._handle = file.id.get_vfd_handle()
        self._stored: dict[tuple[int, ...], tuple[int, int, int]] = {}
        dataset.id.chunk_iter(self._note)
        self.starts = sorted(self._stored)
        in_place = file.userblock_size == 0 and file.driver in ("sec2", "unix")  # else offsets are not the file's
        self._past_the_lock = in_place and hasattr(os, "pread")
        self._filters = _filters(dataset)
        self._kept: OrderedDict[tuple[int, ...], Array] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def chunk_bytes(self) -> int:
        """Decoded size of a chunk."""
        return math.prod(self._chunk) * self._data.dtype.itemsize

    def box(self, start: tuple[int, ...]) -> Box:
        """What a chunk covers of the dataset."""
        return tuple(slice(b, min(b + c, n)) for b, c, n in zip(start, self._chunk, self._data.shape, strict=True))

    def touched(self, box: Box) -> Iterator[tuple[int, ...]]:
        """The chunks that a box touches, in C order."""
        return product(
            *(range(s.start // c * c, s.stop, c) for s, c in zip(box, self._chunk, strict=True)),
        )

    def read(self, start: tuple[int, ...], *, keep: bool = False) -> Array | Exception:
        """Decode a chunk, as far as the dataset reaches; what cannot be decoded comes as the exception it caused.

        Args:
            start: its first index.
            keep: True where it may be asked for again soon.
        """
        if keep:
            with self._lock:
                if (known := self._kept.get(start)) is not None:
                    return known
        try:
            chunk = self._decode(start)
        except Exception as error:  # zlib's own errors, ValueError, OSError of HDF5, a huge chunk MemoryError
            return error
        found = chunk[tuple(slice(s.stop - s.start) for s in self.box(start))]
        if keep:
            with self._lock:
                self._kept[start] = found
                while len(self._kept) * self.chunk_bytes > KEPT and len(self._kept) > 1:
                    self._kept.popitem(last=False)
        return found

    def _note(self, chunk: Any) -> None:
        self._stored[chunk.chunk_offset] = (chunk.byte_offset, chunk.size, chunk.filter_mask)

    def _decode(self, start: tuple[int, ...]) -> Array:
        size = self.chunk_bytes
        if size > CHUNK_LIMIT:
            raise ValueError(f"a chunk of {size} bytes, where {CHUNK_LIMIT} are read at most")
        if start not in self._stored:
            raise ValueError("the chunk was never written")
        offset, length, skipped = self._stored[start]
        if length > 2 * size + _OVERHEAD:
            raise ValueError(f"{length} bytes are stored, where the chunk has {size}")
        if self._filters is None:
            return np.asarray(self._dataset[self.box(start)])
        if self._past_the_lock:
            data = os.pread(self._handle, length, offset)
        else:
            skipped, data = self._dataset.id.read_direct_chunk(start)
        if len(data) != length:
            raise ValueError(f"the file ends {length - len(data)} bytes before the chunk does")
        steps = tuple(step for place, step in enumerate(self._filters) if not skipped >> place & 1)
        return Chain(self._data.dtype, tuple(range(len(self._chunk))), steps).decode(data, self._chunk)


def _filters(dataset: h5py.Dataset) -> tuple[Step, ...] | None:
    """What undoes the filters of a dataset; None where the library has to, since one of them is not known here."""
    if not stored_as_numpy(dataset):
        return None
    steps: list[Step] = []
    for code, values in filters_of(dataset):
        if code == DEFLATE:
            steps.append(inflate)
        elif code == SHUFFLE:
            steps.append(_shuffled(values[0] if values else dataset.dtype.itemsize))
        elif code == FLETCHER:
            steps.append(fletcher32)
        else:
            return None
    return tuple(steps)


def _shuffled(size: int) -> Step:
    return lambda data, most: unshuffle(data, size) if size > 1 else data
