"""The blocks of a labelling in a folder: a file for each, whole or not there, so that the work can go on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box
from neuropack.errors import InputError
from neuropack.whole import published

VOXELS, STRONG, FIRST, BOX, OPEN = 0, 1, 2, slice(3, 9), 9
"""Columns of the facts: see `neuropack.process.component_kernels.facts_of`."""
_PICTURE = 1024  # pixels of the longer side of a view from above, at most
_KEPT = 128 << 20  # bytes of blocks that are kept in memory
_GROUP = 1000  # files in one folder

Small = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int64]


class Part(NamedTuple):
    """What is kept of a block.

    Attributes:
        line: of each run (r,): z * height + y in the block.
        x: its first voxel in the block.
        length: voxels along x.
        number: of its object in the block, from 1 on.
        facts: of the objects (k, 10), as `neuropack.process.component_kernels.facts_of` gives them.
        left_out: how many objects that end in the block are too weak, and too small (2,).
        shown: the largest values along z of what is shown.
        linked: of the first planes along z, y and x, a bit for each voxel: it belongs with the one before it, which
            lies in another block. Empty where all that touch belong together.
        contacts: objects of the block that touch and are two, and over how many faces (k, 3).
    """

    line: Small
    x: Small
    length: Small
    number: Small
    facts: Rows
    left_out: Rows
    shown: npt.NDArray[np.float32]
    linked: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
    contacts: Rows = np.empty((0, 3), np.int64)

    def runs(self) -> Small:
        """First voxel and length of each run (r, 2)."""
        return np.column_stack([self.x, self.length])

    def nbytes(self) -> int:
        """Memory that it takes."""
        return 1000 + sum(array.nbytes for array in self)

    def begin(self, lines: int) -> Rows:
        """Where the runs of each line of the block begin, (lines + 1,)."""
        return np.searchsorted(self.line, np.arange(lines + 1)).astype(np.int64)


class BlockStore:
    """The blocks that tile an image, each in a file of its own.

    Attributes:
        shape: voxels of the image.
        step: voxels to a pixel of a view from above.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int], block: tuple[int, int, int]) -> None:
        self._folder, self.shape = folder, shape
        self._block = tuple(min(b, n) for b, n in zip(block, shape, strict=True))
        self._counts = tuple(-(-n // b) for n, b in zip(shape, self._block, strict=True))
        self.step = -(-max(shape[1:]) // _PICTURE)
        self._cache: OrderedDict[int, Part] = OrderedDict()
        self._held, self._lock = 0, Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def __len__(self) -> int:
        return int(np.prod(self._counts))

    def place(self, number: int) -> tuple[int, int, int]:
        """Which block along z, y, x it is."""
        z, y, x = np.unravel_index(number, self._counts)
        return int(z), int(y), int(x)

    def box(self, number: int) -> Box:
        """The voxels z, y, x of a block."""
        corner = (p * b for p, b in zip(self.place(number), self._block, strict=True))
        return tuple(slice(c, min(c + b, n)) for c, b, n in zip(corner, self._block, self.shape, strict=True))

    def touching(self, box: Box) -> Iterator[int]:
        """The blocks that a box (z, y, x) touches."""
        sides = (range(s.start // b, (s.stop - 1) // b + 1) for s, b in zip(box, self._block, strict=True))
        for place in product(*sides):
            yield int(np.ravel_multi_index(place, self._counts))

    def has(self, number: int) -> bool:
        """Whether a block is done."""
        return self._file(number).exists()

    def put(self, number: int, part: Part) -> None:
        """Keep what was found in a block.

        Raises:
            OutputError: it cannot be written.
        """
        with published(self._file(number), overwrite=True) as partial, partial.open("wb") as stream:
            np.savez(stream, **part._asdict())

    def get(self, number: int) -> Part:
        """What was found in a block.

        Raises:
            InputError: its file is damaged or gone.
        """
        with self._lock:
            if number in self._cache:
                self._cache.move_to_end(number)
                return self._cache[number]
        part = self._read(number)
        with self._lock:
            if number not in self._cache:
                self._cache[number] = part
                self._held += part.nbytes()
            while self._held > _KEPT and len(self._cache) > 1:
                _, gone = self._cache.popitem(last=False)
                self._held -= gone.nbytes()
        return part

    def facts(self) -> tuple[Rows, Rows, Rows]:
        """The facts of all objects, the first row of each block and the end of the last, and what was left out."""
        facts, first, left_out = [np.empty((0, 10), np.int64)], [0], np.zeros(2, np.int64)
        for number in range(len(self)):
            part = self.get(number)
            facts.append(part.facts)
            first.append(first[-1] + len(part.facts))
            left_out += part.left_out
        return np.concatenate(facts), np.array(first, np.int64), left_out

    def _file(self, number: int) -> Path:
        return self._folder / f"{number // _GROUP:06}" / f"{number % _GROUP:03}.npz"

    def _read(self, number: int) -> Part:
        file = self._file(number)
        try:
            with file.open("rb") as stream, np.load(stream) as found:
                return Part(**{name: found[name] for name in Part._fields})
        except Exception as error:  # numpy and zipfile raise what they like
            raise InputError(
                "a block of an interrupted run cannot be read", file=file, found=str(error), fix="remove it"
            ) from error
