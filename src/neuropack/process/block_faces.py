"""The faces at which the objects of neighbouring blocks meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from neuropack.axes import box_shape
from neuropack.process.block_store import BlockStore, Rows
from neuropack.progress import Progress

Place = tuple[int, int, int]


def neighbours(
    store: BlockStore, first_of: Rows, before: Sequence[Place], progress: Progress | None = None
) -> Iterator[tuple[int, Faces, Faces, Place]]:
    """Blocks that lie side by side and both hold objects: the number of one, its faces, those of the other.

    Args:
        store: the blocks.
        first_of: the number of the first part of each.
        before: where the other may lie: steps z, y, x to blocks that come before it.
        progress: told blocks done and in all.

    Yields:
        with them, the step from the one to the other.
    """
    near: dict[Place, Faces] = {}
    for number in range(len(store)):
        place = store.place(number)
        mine = Faces.of(store, number, int(first_of[number]))
        for d in before:
            other = near.get((place[0] + d[0], place[1] + d[1], place[2] + d[2]))
            if mine is not None and other is not None:
                yield number, mine, other, d
        if mine is not None:
            near[place] = mine
        near.pop((place[0] - 1, place[1] - 1, place[2] - 1), None)
        if place[1:] == (0, 0):  # what lies more than a layer back is met by no block any more
            for past in [p for p in near if p[0] < place[0] - 1]:
                del near[past]
        if progress:
            progress("joining objects", number + 1, len(store))


class Faces:
    """The outer planes of a block, as the places and numbers of the objects on them."""

    def __init__(self, first: int, shape: tuple[int, int, int]) -> None:
        self.first, self._shape = first, shape
        self._planes: dict[tuple[int, int], tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]] = {}

    @classmethod
    def of(cls, store: BlockStore, number: int, first: int) -> Faces | None:
        """Those of a block; None where it has no object."""
        from neuropack.process import component_kernels as kernels

        part = store.get(number)
        if not len(part.number):
            return None
        depth, height, width = box_shape(store.box(number))
        made = cls(first, (depth, height, width))
        runs, begin = part.runs(), part.begin(depth * height)
        for axis, side in product(range(3), (-1, 1)):
            at = 0 if side < 0 else made._shape[axis] - 1
            plane = kernels.face_of(runs, begin, part.number, np.array(made._shape), axis, at)
            flat = np.flatnonzero(plane)
            made._planes[axis, side] = flat.astype(np.int32), plane.reshape(-1)[flat]
        return made

    def towards(self, d: tuple[int, int, int]) -> npt.NDArray[np.int32]:
        """The plane, edge or corner that looks in a direction, as a plane."""
        axis = next(a for a in range(3) if d[a])
        flat, numbers = self._planes[axis, d[axis]]
        rest = [a for a in range(3) if a != axis]
        plane = np.zeros((self._shape[rest[0]], self._shape[rest[1]]), np.int32)
        plane.reshape(-1)[flat] = numbers
        for i, a in enumerate(rest):
            if d[a]:
                plane = plane.take([0 if d[a] < 0 else self._shape[a] - 1], axis=i)
        return plane
