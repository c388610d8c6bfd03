"""What a pass has seen so far, in files beside its journal, so that a continued run has it whole.

A block is added here before the journal notes it. Adding it again after an interruption changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neuropack.axes import Array, Box
from neuropack.engine.journal import Journal
from neuropack.errors import UsageError
from neuropack.volume import Volume
from neuropack.writers.survey import Projections, lowest


class SeenProjections:
    """The maxima of the first time point."""

    def __init__(self, journal: Journal, volume: Volume) -> None:
        path = journal.path.with_suffix(".projections")
        empty = Projections.empty(volume.n_channels, volume.size_zyx, volume.dtype)
        arrays = empty.along_z, empty.along_y, empty.along_x
        size = sum(a.size for a in arrays)
        if journal.done and not (path.is_file() and path.stat().st_size == size * volume.dtype.itemsize):
            raise _gone(path)
        self._stored = np.memmap(path, volume.dtype, "r+" if journal.done else "w+", shape=(size,))
        if not journal.done:
            self._stored[...] = lowest(volume.dtype)
        ends = np.cumsum([a.size for a in arrays])[:-1]
        z, y, x = (v.reshape(a.shape) for v, a in zip(np.split(self._stored, ends), arrays, strict=True))
        self._views = Projections(z, y, x, empty.factor)

    def add(self, box: Box, part: Projections | None) -> None:
        """Take in a block, and see it to the disk."""
        if part is not None:
            self._views.add(box[-4:], part)
            self._stored.flush()

    def all(self) -> Projections:
        """A copy in memory; the file may go."""
        v = self._views
        return Projections(np.array(v.along_z), np.array(v.along_y), np.array(v.along_x), v.factor)


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
            raise _gone(self._path)
        self._known: Array = np.unique(np.fromfile(self._path, volume.dtype))

    def add(self, found: Sequence[Array]) -> None:
        """Take in the values of a block, as each output has them, and see those to the disk that are new."""
        values = np.unique(np.concatenate(found)) if found else self._known[:0]
        known = np.append(self._known, self._known[-1:])  # one more, for what is larger than all
        new = values[known[np.searchsorted(self._known, values)] != values] if self._known.size else values
        if new.size:
            with self._path.open("ab") as file:
                file.write(new.tobytes())
                file.flush()
                os.fsync(file.fileno())
            self._known = np.union1d(self._known, new)

    def all(self) -> Array:
        """Every value, sorted."""
        return self._known


def _gone(path: Path) -> UsageError:
    return UsageError(
        "a part of the unfinished conversion is gone",
        file=path,
        fix="add --overwrite to discard the rest of it and begin anew",
    )
