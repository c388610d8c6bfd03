"""Decoded pixels beside the output, for raw units (a huge strip, a frame) that do not fit the memory as blocks.

A slab is decoded once, in the file's order, and written to a plain file in the canonical axes; blocks are then read
from there. The file is read and written, never mapped: mapped pages would count as memory of the process.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.axes import Array, Box, box_shape, overlap
from neuropack.engine.planning import cut
from neuropack.errors import InputError, OutputError, UnreadableError
from neuropack.volume import Volume
from neuropack.writers.sink import Missing


@dataclass(frozen=True)
class Spool:
    """A slab on the disk. Plain values that can be sent to another process.

    Attributes:
        path: of the file.
        slab: what it holds of the image.
        dtype: of the pixels.
        missing: what could not be decoded; zeros stand there.
    """

    path: Path
    slab: Box
    dtype: np.dtype[Any]
    missing: tuple[Missing, ...] = ()

    def read(self, box: Box, out: Array | None = None) -> Array:
        """The pixels of a box of the image that lies in the slab."""
        out = np.empty(box_shape(box), self.dtype) if out is None else out
        with self.path.open("rb", buffering=0) as file:
            for offset, rows in self._rows(box, out):
                view = rows.data.cast("B")
                file.seek(offset)
                if file.readinto(view) != len(view):
                    raise UnreadableError(
                        "the spooled pixels are gone", file=self.path, fix="run the command again"
                    )
        return out

    def missing_in(self, box: Box) -> list[Missing]:
        """What of a box could not be decoded."""
        found = []
        for one in self.missing:
            common = overlap(box, tuple(slice(a, b) for a, b in one.box))
            if common:
                found.append(Missing(tuple((s.start, s.stop) for s in common), one.reason))
        return found

    def _rows(self, box: Box, array: Array) -> Iterator[tuple[int, Array]]:
        """Where the rows of a box lie in the file, all of a plane at once where the box is as wide as the slab."""
        shape = box_shape(self.slab)
        start = [s.start - o.start for s, o in zip(box, self.slab, strict=True)]
        wide = array.shape[-1] == shape[-1]
        for index in product(*map(range, array.shape[:-2] if wide else array.shape[:-1])):
            place = [a + b for a, b in zip(start, index, strict=False)] + start[len(index) :]
            offset = int(np.ravel_multi_index(place, shape)) * self.dtype.itemsize
            yield offset, array[index]


def fill(
    volume: Volume, slab: Box, path: Path, *, piece: int, keep_going: bool, tick: Callable[[int], None]
) -> Spool:
    """Decode a slab to the disk.

    Args:
        volume: the image.
        slab: a box of it.
        path: of the file, which is replaced.
        piece: bytes to decode at a time.
        keep_going: put zeros where a raw unit cannot be decoded, and say so in the result.
        tick: called with the bytes of each piece.

    Raises:
        InputError: the source cannot be decoded.
        OutputError: there is no room.
    """
    spool, needed = Spool(path, slab, volume.dtype), math.prod(box_shape(slab)) * volume.dtype.itemsize
    path.unlink(missing_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise OutputError(
            "the disk has no room for the decoded pixels that this file needs beside the output",
            file=path.parent,
            expected=f"{needed / 1e9:.1f} GB",
            found=f"{free / 1e9:.1f} GB free",
            fix="make room, or allow more with --memory, so that fewer or none are needed",
        )
    missing: list[Missing] = []
    with path.open("wb", buffering=0) as file:
        os.truncate(file.fileno(), needed)  # holes are zeros

        def put(box: Box) -> None:
            for part, pixels in volume.stream(box, piece):
                for offset, rows in spool._rows(part, pixels):
                    data = np.ascontiguousarray(rows, volume.dtype).data.cast("B")
                    file.seek(offset)
                    while data:
                        data = data[file.write(data) :]
                tick(pixels.nbytes)
                del pixels  # or it would still be there while the next one is decoded

        def blank(box: Box) -> None:
            for row in cut(box, (*(1 for _ in box[1:]), box[-1].stop)):
                for offset, zeros in spool._rows(row, np.zeros(box_shape(row), volume.dtype)):
                    file.seek(offset)
                    file.write(zeros.data.cast("B"))

        if not keep_going:
            put(slab)
        else:
            for unit in volume.native_blocks():
                if common := overlap(unit, slab):
                    try:
                        put(common)
                    except UnreadableError:
                        raise
                    except InputError as error:
                        blank(common)  # rows of it may have come before the damage
                        missing.append(Missing.of(common, error))
    return Spool(path, slab, volume.dtype, tuple(missing))
