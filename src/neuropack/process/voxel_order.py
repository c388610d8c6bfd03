"""The voxels of many objects, and places beside them, in the order of the image: found in any box at once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box
from neuropack.labels import LabelVolume

Flat = npt.NDArray[np.int64]

_AT_ONCE = 1 << 22  # voxels that are put in order at a time
_SAMPLES = 2048  # places beside an object
_DIRECTIONS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0), (0.7, 0.7), (-0.7, 0.7), (0.7, -0.7), (-0.7, -0.7)])


class Placed(NamedTuple):
    """Voxels in C order of the image.

    Attributes:
        shape: of the image, z, y, x.
        flat: their numbers in C order (n,), ascending.
        who: twice the row of the object, and 1 more for a place beside it (n,).
    """

    shape: tuple[int, int, int]
    flat: Flat
    who: Flat

    def within(self, box: Box) -> tuple[Flat, Flat]:
        """The places (m,) in a box (z, y, x), as numbers in its own C order, and whose they are."""
        z, y, x = box
        _, height, width = self.shape
        lines = (np.arange(z.start, z.stop)[:, None] * height + np.arange(y.start, y.stop)).ravel() * width
        if len(lines) and self._empty(int(lines[0]) + x.start, int(lines[-1]) + x.stop):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        begin = np.searchsorted(self.flat, lines + x.start)
        count = np.searchsorted(self.flat, lines + x.stop) - begin
        at = np.repeat(begin - (np.cumsum(count) - count), count) + np.arange(count.sum())
        line = np.repeat(np.arange(len(lines)), count)
        inside = self.flat[at] - lines[line] - x.start + line * (x.stop - x.start)
        return inside, self.who[at]

    def _empty(self, first: int, stop: int) -> bool:
        low, high = np.searchsorted(self.flat, [first, stop])
        return bool(low == high)


def placed(labels: LabelVolume, beside_um: float, folder: Path | None = None) -> Placed:
    """The voxels of objects, and places beside them, in the order of the image.

    Left out are voxels of several objects, for nobody knows whose light they show. The places beside an object lie
    `beside_um` from some of its voxels in the plane, in eight directions, and in no object; 2,048 at most.

    Memory: 4 million voxels in work, or those of one plane; the result is mapped from files without a name.

    Args:
        labels: with their voxel size along y and x.
        beside_um: micrometre.
        folder: for temporary files, 16 bytes for each voxel; None: the system's own.
    """
    size = labels.voxel_size_um[1] or 1.0, labels.voxel_size_um[2] or 1.0
    shifts = np.rint(_DIRECTIONS * beside_um / size).astype(np.int64)
    with tempfile.TemporaryFile(dir=folder) as flats, tempfile.TemporaryFile(dir=folder) as whose:
        total = 0
        for start, stop in _slabs(labels):
            flat, who = _slab(labels, start, stop, shifts)
            flats.write(flat.tobytes())
            whose.write(who.tobytes())
            total += len(flat)
        return Placed(labels.shape, _mapped(flats, total), _mapped(whose, total))


def _mapped(file: IO[bytes], n: int) -> Flat:
    file.flush()
    return np.memmap(file, np.int64, "r", shape=(n,)) if n else np.empty(0, np.int64)


def _slabs(labels: LabelVolume) -> Iterator[tuple[int, int]]:
    """Ranges of planes that hold about `_AT_ONCE` voxels together."""
    counts = np.zeros(labels.shape[0], np.int64)
    for first in range(0, len(labels.voxels), _AT_ONCE):
        counts += np.bincount(labels.voxels[first : first + _AT_ONCE, 0], minlength=len(counts))
    start, held = 0, 0
    for z, count in enumerate(counts.tolist()):
        if held and held + count > _AT_ONCE:
            yield start, z
            start, held = z, 0
        held += count
    if held:
        yield start, labels.shape[0]


def _slab(labels: LabelVolume, start: int, stop: int, shifts: Flat) -> tuple[Flat, Flat]:
    """The places of a slab, in order."""
    mine, beside = [np.empty((0, 2), np.int64)], [np.empty((0, 2), np.int64)]
    for row in range(len(labels)):
        rows = labels.planes(row, start, stop)
        if rows.start == rows.stop:
            continue
        voxels = labels.voxels[rows].astype(np.int64)
        mine.append(np.column_stack([_flat(voxels, labels.shape), np.full(len(voxels), 2 * row)]))
        first = int(labels.offsets[row])
        step = max(1, -(-int(labels.counts[row]) // _SAMPLES))
        number = np.arange(rows.start, rows.stop) - first
        chosen = number % step == 0
        places = voxels[chosen]
        places[:, 1:] += shifts[number[chosen] // step % len(shifts)]
        places = places[((places >= 0) & (places < labels.shape)).all(axis=1)]
        beside.append(np.column_stack([_flat(places, labels.shape), np.full(len(places), 2 * row + 1)]))
    inside, outside = np.concatenate(mine), np.concatenate(beside)
    taken, times = np.unique(inside[:, 0], return_counts=True)
    inside = inside[np.isin(inside[:, 0], taken[times == 1])]
    outside = outside[~np.isin(outside[:, 0], taken)]
    both = np.concatenate([inside, outside])
    both = both[np.argsort(both[:, 0], kind="stable")]
    return np.ascontiguousarray(both[:, 0]), np.ascontiguousarray(both[:, 1])


def _flat(voxels: npt.NDArray[np.int64], shape: tuple[int, int, int]) -> Flat:
    flat: Flat = (voxels[:, 0] * shape[1] + voxels[:, 1]) * shape[2] + voxels[:, 2]
    return flat
