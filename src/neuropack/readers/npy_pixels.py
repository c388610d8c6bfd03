"""The values of a NumPy array, read box by box from where they lie: never the whole array, never a mapped page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from neuropack.axes import Array, Box, box_shape, full_box
from neuropack.errors import InputError
from neuropack.npy_header import ArrayHeader
from neuropack.readers.problems import Original, reading

_BAND_BYTES = 4 << 20  # read at a time where more lies in the file than is wanted
_UNIT_BYTES = 1 << 20  # of a native block
_NARROW = 4 << 10  # of rows longer than this, only the wanted columns are read; shorter ones are read whole


class Values(Protocol):
    """The bytes of an array file, from any thread."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    @property
    def sequential(self) -> bool:
        """True where what lies before a place must be decoded to come there."""
        ...

    def read_at(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset`; how many bytes there were."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class NpyPixels:
    """The pixels of one array.

    Args:
        original: the file, as it was when it was opened.
        header: how the array lies in it.
        values: its bytes.
        where: the array among several, for messages.
    """

    def __init__(self, original: Original, header: ArrayHeader, values: Values, where: str | None = None) -> None:
        self._original, self._header, self._values, self._where = original, header, values, where

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._original.path

    def check_ends(self) -> None:
        """That the file is as long as its header says.

        Raises:
            InputError: it is not.
        """
        self._need(self._header.start + self._header.nbytes)

    def _need(self, end: int) -> None:
        if end > self._values.size:
            raise InputError(
                "values are missing: the file is cut short",
                file=self.path,
                where=self._where,
                expected=f"{end:,} bytes",
                found=f"{self._values.size:,} bytes",
                fix="copy the file again from its source",
            )

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Read a box; of what lies between its rows, at most short rows.

        Raises:
            InputError: bytes of it are missing or damaged.
        """
        inside = self._in_file(box)
        last = sum((s.stop - 1) * step for s, step in zip(inside, _steps(self._header.file_shape), strict=True))
        self._need(self._header.start + (last + 1) * self._header.stored.itemsize)
        if out is None:
            out = np.empty(box_shape(box), self._header.dtype)
        target = out.T if self._header.fortran else out
        with self._original.unchanged(self._where), reading(self.path, "NPY", self._where):
            for place, offset, shape in _runs(self._header, inside):
                self._fill(target[place], offset, shape, inside)
        return out

    def _fill(self, target: Array, offset: int, shape: tuple[int, ...], inside: Box) -> None:
        """Read a run of values of a shape; what of its last axes is wanted goes to the array."""
        stored = self._header.stored
        straight = target.shape == shape and target.dtype == stored and target.flags.c_contiguous
        values = target if straight else np.empty(shape, stored if stored.kind != "b" else np.uint8)
        view = values.reshape(-1).view(np.uint8).data
        found = self._values.read_at(view, offset)
        if found < len(view):
            raise ValueError(f"The values end after {offset + found:,} bytes.")
        if not straight:
            rest = inside[len(inside) - len(shape) + 1 :]
            if values.shape[1:] != target.shape[1:]:
                values = values[(slice(None), *rest)]
            target[...] = values != 0 if stored.kind == "b" else values

    def _in_file(self, box: Box) -> Box:
        return box[::-1] if self._header.fortran else box

    def native_blocks(self) -> Iterator[Box]:
        """Boxes of some MiB in the order of the file; all of it where it must be decoded from its beginning."""
        whole = full_box(self._header.shape)
        if self._values.sequential:
            yield whole
        else:
            yield from self._bands(whole, _UNIT_BYTES)

    def _bands(self, box: Box, limit: int) -> Iterator[Box]:
        """The parts of a box to read one after the other, in the order of the file."""
        inside, shape = self._in_file(box), self._header.file_shape
        axis, inner = _axis_of(shape, self._header.stored.itemsize, limit)
        step = max(1, limit // inner)
        for at in np.ndindex(*box_shape(inside[:axis])):
            lead = tuple(slice(s.start + i, s.start + i + 1) for s, i in zip(inside, at, strict=False))
            for first in range(inside[axis].start, inside[axis].stop, step):
                part = slice(first, min(first + step, inside[axis].stop))
                yield self._in_file((*lead, part, *inside[axis + 1 :]))

    def stream(self, box: Box, limit: int) -> Iterator[tuple[Box, Array]]:
        """Read a box in pieces of at most about `limit` bytes, in the order of the file."""
        for part in self._bands(box, limit):
            yield part, self.read(part)

    def piece_bytes(self) -> int:
        """Memory that the smallest piece needs."""
        return 2 * _BAND_BYTES

    @property
    def cheap_parts(self) -> bool:
        """True where values lie in the file as they are."""
        return not self._values.sequential

    def close(self) -> None:
        """Close the file; a later box opens it again."""
        self._values.close()


def _steps(shape: tuple[int, ...]) -> list[int]:
    """How many values lie between neighbours along each axis."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def _axis_of(shape: tuple[int, ...], itemsize: int, limit: int) -> tuple[int, int]:
    """The slowest axis along which whole slices are at most `limit` bytes, and the bytes of a slice."""
    axis, inner = len(shape) - 1, itemsize
    while axis and inner * shape[axis] <= limit:
        inner *= shape[axis]
        axis -= 1
    return axis, inner


def _runs(header: ArrayHeader, box: Box) -> Iterator[tuple[tuple[slice | int, ...], int, tuple[int, ...]]]:
    """The runs of values that cover a box of the file.

    Yields:
        The place in the box, the offset of the first value in the file, and the shape of what lies there.
    """
    shape, item = header.file_shape, header.stored.itemsize
    axis, inner = len(shape) - 1, item
    whole = [box_shape((s,)) == (length,) for s, length in zip(box, shape, strict=True)]
    whole[-1] = whole[-1] or shape[-1] * item <= _NARROW
    while axis and whole[axis] and inner * shape[axis] <= _BAND_BYTES:
        inner *= shape[axis]
        axis -= 1
    steps, count = _steps(shape), max(1, _BAND_BYTES // inner)
    for at in np.ndindex(*box_shape(box[:axis])):
        before = sum((s.start + i) * step for s, i, step in zip(box, at, steps, strict=False))
        for first in range(box[axis].start, box[axis].stop, count):
            stop = min(first + count, box[axis].stop)
            place = (*at, slice(first - box[axis].start, stop - box[axis].start))
            offset = header.start + (before + first * steps[axis]) * item
            yield place, offset, (stop - first, *shape[axis + 1 :])
