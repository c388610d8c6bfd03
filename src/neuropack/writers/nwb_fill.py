"""Long columns of an NWB file: pynwb makes them with no rows, and they are filled here, compressed in threads.

pynwb takes whole arrays and compresses in one thread; and it cannot allocate a compound column, or one that refers
to another table, without its values. An empty column costs it nothing, and HDF5 can lengthen that afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.axes import Array
from neuropack.writers.nwb_pixels import encode

_ROWS = 1 << 16  # of a chunk: half a megabyte of numbers, a megabyte of voxels
_GROUP = 32  # chunks that are in memory at a time
_LEVEL = 1


@dataclass(frozen=True)
class Column:
    """A column that is filled after pynwb has written the file.

    Attributes:
        path: of its dataset in the file.
        dtype: in the byte order of the file; may be compound.
        rows: how many there will be, above 0.
        values: gives those from a row up to another; called from several threads.
    """

    path: str
    dtype: np.dtype[Any]
    rows: int
    values: Callable[[int, int], Array]

    @property
    def chunk(self) -> int:
        """Rows of a chunk."""
        return min(self.rows, _ROWS)

    def empty(self) -> Any:
        """What pynwb gets: no row, and room for more."""
        from pynwb import H5DataIO

        return H5DataIO(
            np.empty(0, self.dtype), maxshape=(None,), chunks=(self.chunk,), compression="gzip", shuffle=True
        )


def fill(path: Path, columns: Iterable[Column], versions: tuple[str, str]) -> None:
    """Give the columns of a file their rows; the order decides the order in the file.

    Args:
        path: of the file.
        columns: of it.
        versions: of HDF5 that must be able to read it.
    """
    import h5py

    with h5py.File(path, "r+", libver=versions) as file, ThreadPoolExecutor(os.cpu_count()) as pool:
        for column in columns:
            dataset = file[column.path]
            dataset.resize((column.rows,))
            starts = range(0, column.rows, column.chunk)
            for first in range(0, len(starts), _GROUP):
                group = starts[first : first + _GROUP]
                for start, stream in zip(group, pool.map(partial(_stream, column), group), strict=True):
                    dataset.id.write_direct_chunk((start,), stream)


def _stream(column: Column, start: int) -> bytes:
    piece = column.values(start, min(start + column.chunk, column.rows))
    return encode(piece, (column.chunk,), column.dtype, _LEVEL)
