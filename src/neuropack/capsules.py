"""Skeletons as tapered capsules on a grid of voxels: which of them reach into a box.

Voxel i covers [i s, (i + 1) s) along an axis of voxel size s.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box
from neuropack.skeleton import Skeleton

Floats = npt.NDArray[np.float64]

_CELL = 64  # voxels: edge of a cell of the index, and the longest piece of a capsule that it knows


class Capsules:
    """The edges of skeletons, each a capsule between two balls; a root is a ball.

    Args:
        skeletons: in the frame ``stack``; the number of a neuron is its place in the sequence.
        voxel_size_um: (z, y, x).
        edge_um: how far beyond its radius a capsule matters.

    Attributes:
        neuron: of each capsule (n,).
        ends: z, y, x of one end, z, y, x of the other, their radii (n, 8), micrometre.
    """

    def __init__(
        self, skeletons: Sequence[Skeleton], voxel_size_um: tuple[float, float, float], edge_um: float = 0.0
    ) -> None:
        self.step, self._edge = voxel_size_um, edge_um
        ends = [_ends(s) for s in skeletons]
        self.ends = np.concatenate(ends) if ends else np.empty((0, 8))
        self.neuron = np.repeat(np.arange(len(ends)), [len(e) for e in ends])

    def near(self, box: Box) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pieces of capsules that may reach into a box: their rows in `windows`, and the capsule of each."""
        cells, members = self._index
        ranges = [range(s.start // _CELL, (s.stop - 1) // _CELL + 1) for s in box]
        low, high = (np.array([getattr(s, end) for s in box]) for end in ("start", "stop"))
        z, y, x = (np.arange(r.start, r.stop) for r in ranges)
        front = _key(z[:, None, None], y[:, None], x[[0]]).ravel() if len(x) else np.empty(0, np.int64)
        begin, end = np.searchsorted(cells, front), np.searchsorted(cells, front + len(x))
        found = [members[a:b] for a, b in zip(begin, end, strict=True) if b > a]
        rows = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
        first, last, capsule = self._pieces
        rows = rows[((first[rows] < high) & (last[rows] >= low)).all(axis=1)]
        return rows, capsule[rows]

    def window(self, piece: int, box: Box) -> tuple[Box, Box]:
        """The part of a box that a piece may touch, in voxels of the stack and of the box."""
        first, last, _ = self._pieces
        part = tuple(
            slice(max(s.start, int(a)), min(s.stop, int(b) + 1))
            for s, a, b in zip(box, first[piece], last[piece], strict=True)
        )
        return part, tuple(slice(p.start - s.start, p.stop - s.start) for p, s in zip(part, box, strict=True))

    def cells(self) -> list[Box]:
        """Boxes that tile the voxels which capsules may touch, in C order."""
        keys = np.unique(self._index[0])
        corners = np.column_stack(_unkeyed(keys)) * _CELL
        return [tuple(slice(c, c + _CELL) for c in corner) for corner in corners.tolist()]

    def centres(self, box: Box, origin: tuple[float, float, float]) -> tuple[Floats, Floats, Floats]:
        """z, y and x of the centres of the voxels of a box, from an origin; each along an axis of its own."""
        z, y, x = (
            np.asarray((np.arange(s.start, s.stop) + 0.5) * d, np.float64) - o
            for s, d, o in zip(box, self.step, origin, strict=True)
        )
        return z[:, None, None], y[:, None], x

    @cached_property
    def _pieces(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First and last voxel of pieces, and the capsule of each: the box of a long one is mostly empty."""
        size = np.asarray(self.step)
        near, far = self.ends[:, 0:3], self.ends[:, 3:6]
        reach = self.ends[:, 6:8].max(axis=1, initial=0, keepdims=True) + self._edge
        parts = np.maximum(1, np.ceil(np.abs((far - near) / size).max(axis=1, initial=0) / _CELL)).astype(np.int64)
        capsule = np.repeat(np.arange(len(parts)), parts)
        number = np.arange(len(capsule)) - np.repeat(np.cumsum(parts) - parts, parts)
        begin, end = (((number + k) / parts[capsule])[:, None] for k in (0, 1))
        a = near[capsule] + begin * (far - near)[capsule]
        b = np.where(end == 1, far[capsule], near[capsule] + end * (far - near)[capsule])
        reach = reach[capsule]
        first = np.floor((np.minimum(a, b) - reach) / size).astype(np.int64)
        last = np.floor((np.maximum(a, b) + reach) / size).astype(np.int64)
        return first, last, capsule

    @cached_property
    def _index(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Keys of cells, ascending, and a piece that touches each."""
        first, last, _ = self._pieces
        low, high = first // _CELL, last // _CELL
        counts = high - low + 1
        total = counts.prod(axis=1)
        piece = np.repeat(np.arange(len(total)), total)
        number = np.arange(len(piece)) - np.repeat(np.cumsum(total) - total, total)
        number, x = np.divmod(number, counts[piece, 2])
        z, y = np.divmod(number, counts[piece, 1])
        key = _key(z + low[piece, 0], y + low[piece, 1], x + low[piece, 2])
        order = np.argsort(key, kind="stable")
        return key[order], piece[order]


_SHIFT, _HALF = 21, 1 << 20  # bits for a cell along each axis; cells before the stack are negative


def _key(z: npt.NDArray[np.int64], y: npt.NDArray[np.int64], x: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    key: npt.NDArray[np.int64] = (((z + _HALF) << _SHIFT) + (y + _HALF) << _SHIFT) + (x + _HALF)
    return key


def _unkeyed(key: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
    mask = (1 << _SHIFT) - 1
    return (key >> 2 * _SHIFT) - _HALF, (key >> _SHIFT & mask) - _HALF, (key & mask) - _HALF


def _ends(skeleton: Skeleton) -> Floats:
    """Rows (z, y, x of one end, z, y, x of the other, their radii): every edge, and every root as a ball."""
    zyx, radius = skeleton.xyz[:, ::-1], skeleton.radius
    edges = skeleton.edges()
    roots = np.flatnonzero(skeleton.parent < 0)
    one, other = np.concatenate([edges[:, 0], roots]), np.concatenate([edges[:, 1], roots])
    return np.column_stack([zyx[one], zyx[other], radius[one], radius[other]])
