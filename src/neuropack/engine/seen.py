"""What a pass has seen so far, in files beside its journal, so that a continued run has it whole.

A block is added here before the journal notes it. Adding it again after an interruption changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import FileIO

import numpy as np

from neuropack.axes import Array, Box
from neuropack.engine.journal import Journal, gone
from neuropack.volume import Volume
from neuropack.writers.summaries import union
from neuropack.writers.survey import Projections


class SeenProjections:
    """The maxima of the first time point. The file is written and never mapped: a full disk is then an error."""

    def __init__(self, journal: Journal, volume: Volume) -> None:
        self._path = journal.path.with_suffix(".projections")
        self._all = Projections.empty(volume.n_channels, volume.size_zyx, volume.dtype)
        self._arrays = self._all.along_z, self._all.along_y, self._all.along_x
        if not journal.done:
            self._path.write_bytes(b"".join(array.tobytes() for array in self._arrays))
            return
        with self._path.open("rb") as file:
            for array in self._arrays:
                if file.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:
                    raise gone(self._path)

    def add(self, box: Box, part: Projections | None) -> None:
        """Take in a block, and see it to the disk."""
        if part is None:
            return
        self._all.add(box[-4:], part)
        c, (z, y) = box[-4], (
            slice(s.start // f, -(-s.stop // f)) for s, f in zip(box[-3:-1], self._all.factor, strict=False)
        )  # fmt: skip
        with self._path.open("r+b", buffering=0) as file:
            begin = 0
            for array, rows in zip(self._arrays, (y, z, z), strict=True):
                for k in range(c.start, c.stop):
                    file.seek(begin + (k * array.shape[1] + rows.start) * array.strides[1])
                    write_all(file, array[k, rows])
                begin += array.nbytes
            os.fsync(file.fileno())

    def all(self) -> Projections:
        """The maxima."""
        return self._all


def write_all(file: FileIO, array: Array) -> None:
    """Write contiguous pixels to an unbuffered file, which may take them in parts."""
    left = array.reshape(-1).view(np.uint8).data
    while left:
        left = left[file.write(left) :]


class SeenLabels:
    """The values of a label image. Each is appended to a file once, so that millions cost no more than that."""

    def __init__(self, journal: Journal, volume: Volume) -> None:
        self._path, item = journal.path.with_suffix(".labels"), volume.dtype.itemsize
        if not journal.done:
            self._path.write_bytes(b"")
        elif self._path.is_file():
            whole = self._path.stat().st_size // item * item  # the interruption may have torn the last one
            os.truncate(self._path, whole)
        else:
            raise gone(self._path)
        self._known = union(np.fromfile(self._path, volume.dtype))

    def add(self, found: Sequence[Array]) -> None:
        """Take in the values of a block, as each output has them, and see those to the disk that are new."""
        values = union(self._known[:0], *found)
        known = np.append(self._known, self._known[-1:])  # one more, for what is larger than all
        new = values[known[np.searchsorted(self._known, values)] != values] if self._known.size else values
        if new.size:
            with self._path.open("ab") as file:
                file.write(new.tobytes())
                file.flush()
                os.fsync(file.fileno())
            self._known = union(self._known, new)

    def all(self) -> Array:
        """Every value, sorted."""
        return self._known
