"""Boxes that overlap, cut into cells in which the same boxes lie; which boxes a box touches; where none lies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import numpy as np

from neuropack.axes import Box, box_shape, overlap

_RASTER = 512  # cells along an axis in which gaps are looked for


def cells(boxes: Sequence[Box]) -> Iterator[tuple[Box, list[int]]]:
    """Boxes in each of which the same of some boxes (z, y, x) lie, with their numbers; none where none lies."""
    yield from _cells(boxes, list(range(len(boxes))), ())


def _cells(boxes: Sequence[Box], members: list[int], lead: Box) -> Iterator[tuple[Box, list[int]]]:
    axis = len(lead)
    if axis == 3 or not members:
        if members:
            yield lead, members
        return
    if len(members) == 1:
        yield (*lead, *boxes[members[0]][axis:]), members
        return
    for low, high in pairwise(
        sorted({edge for m in members for edge in (boxes[m][axis].start, boxes[m][axis].stop)})
    ):
        here = [m for m in members if boxes[m][axis].start <= low and boxes[m][axis].stop >= high]
        yield from _cells(boxes, here, (*lead, slice(low, high)))


def covered_voxels(boxes: Sequence[Box]) -> int:
    """Voxels that lie in at least one of the boxes."""
    index, total = Index(boxes), 0
    for number, box in enumerate(boxes):  # what no earlier one has: only neighbours count, however many there are
        near = (overlap(boxes[other], box) for other in index.touching(box) if other < number)
        seen = cells([part for part in near if part])
        total += math.prod(box_shape(box)) - sum(math.prod(box_shape(cell)) for cell, _ in seen)
    return total


class Index:
    """Which of many boxes (z, y, x) a box touches: looked up in a grid, so that their number costs nothing."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        self._boxes = list(boxes)
        sizes = [box_shape(box) for box in boxes]
        self._step = tuple(int(n) for n in np.max(sizes, axis=0))  # so each lies in eight cells at most
        self._grid: dict[tuple[int, ...], list[int]] = {}
        for number, box in enumerate(boxes):
            for cell in self._touched(box):
                self._grid.setdefault(cell, []).append(number)

    def _touched(self, box: Box) -> Iterator[tuple[int, ...]]:
        sides = (range(s.start // n, -(-s.stop // n)) for s, n in zip(box, self._step, strict=True))
        return product(*sides)

    def touching(self, box: Box) -> list[int]:
        """Their numbers, rising."""
        found = {number for cell in self._touched(box) for number in self._grid.get(cell, ())}
        return sorted(
            n
            for n in found
            if all(a.start < b.stop and b.start < a.stop for a, b in zip(self._boxes[n], box, strict=True))
        )


def gaps(boxes: Sequence[Box], shape: Sequence[int]) -> list[tuple[slice, slice]]:
    """Rectangles (y, x) around places where no box lies at any depth, as large as half a tile edge or larger.

    Looked for in a raster of at most 512 cells along an axis; the uneven rim of a mosaic is none.
    """
    from scipy import ndimage

    step = [max(1, -(-n // _RASTER)) for n in shape[1:]]
    seen = np.zeros([-(-n // s) for n, s in zip(shape[1:], step, strict=True)], bool)
    for box in boxes:
        (y, x) = (slice(s.start // k, -(-s.stop // k)) for s, k in zip(box[1:], step, strict=True))
        seen[y, x] = True
    least = [
        max(1, int(np.median([b[axis].stop - b[axis].start for b in boxes])) // 2 // step[axis - 1])
        for axis in (1, 2)
    ]
    odd = [n - 1 + n % 2 for n in least]  # so that opening moves nothing; axis by axis, for these are large squares
    wide = ndimage.grey_opening((~seen).view(np.uint8), odd, mode="constant", cval=0)
    found, _ = ndimage.label(wide)
    return [
        (
            slice(y.start * step[0], min(y.stop * step[0], shape[1])),
            slice(x.start * step[1], min(x.stop * step[1], shape[2])),
        )
        for y, x in ndimage.find_objects(found)
    ]
