"""Fragments of cells to neurons: joined where they touch across cells, and over gaps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box
from neuropack.process.color_cells import Fragments, Places, merged
from neuropack.process.color_kernels import agglomerate
from neuropack.process.color_options import ColorOptions

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_NEAR = 24  # places around one that may be across a gap
_PRICE = 3.0  # log of the odds against a neurite that is not seen between two places
_FAR = 3.0  # the same for one that is as long as it may be
_LARGER = 8  # times as many voxels: what a mixture is between
_AHEAD = 1.0  # log of the odds for one where a tip heads straight for it


class Faces:
    """Voxels of the foreground on the faces of cells, a layer of cells after the other, and what touches what."""

    def __init__(self, shape: tuple[int, int, int], size: tuple[int, ...]) -> None:
        self._shape, self._size = shape, size
        self._layer = 0
        self._rows: list[tuple[Ints, Ints, Ints, Floats]] = []  # voxel, cell, fragment, brightness
        self._below: list[tuple[Ints, Ints, Ints, Floats]] = []
        self._found: list[tuple[Ints, Floats]] = []

    def add(
        self,
        key: tuple[int, ...],
        box: Box,
        labels: npt.NDArray[np.int32],
        bright: npt.NDArray[np.float32],
        start: int,
    ) -> None:
        """A cell of the lattice; cells come in C order."""
        if key[0] != self._layer:
            self._close()
            self._layer = key[0]
        edge = np.zeros(labels.shape, bool)
        for axis in range(3):
            low: list[int | slice] = [slice(None)] * 3
            high = low.copy()
            low[axis], high[axis] = 0, -1
            edge[tuple(low)] = edge[tuple(high)] = True
        z, y, x = np.nonzero(edge & (labels > 0))
        at = [i.astype(np.int64) + s.start for i, s in zip((z, y, x), box, strict=True)]
        flat = (at[0] * self._shape[1] + at[1]) * self._shape[2] + at[2]
        cell = np.full(len(flat), (key[0] << 42) + (key[1] << 21) + key[2], np.int64)
        self._rows.append(
            (flat, cell, labels[z, y, x].astype(np.int64) - 1 + start, bright[z, y, x].astype(np.float64))
        )

    def inside(self, pairs: Ints, saddles: Floats) -> None:
        """Fragments that touch within a cell (m, 2), and the brightness between them (m,)."""
        self._found.append((pairs, saddles))

    def contacts(self) -> tuple[Ints, Floats]:
        """Fragments that touch (m, 2), and the brightness between them (m,), when all cells are there."""
        self._close()
        if not self._found:
            return np.empty((0, 2), np.int64), np.empty(0)
        return merged(np.concatenate([p for p, _ in self._found]), np.concatenate([s for _, s in self._found]))

    def _close(self) -> None:
        """Find what touches in a layer of cells, and between it and the one before."""
        both = [np.concatenate(column) for column in zip(*self._below, *self._rows, strict=True)]
        if both:
            order = np.argsort(both[0])
            self._touching(*(column[order] for column in both))
        self._below, self._rows = self._rows, []

    def _touching(self, flat: Ints, cell: Ints, fragment: Ints, bright: Floats) -> None:
        _, height, width = self._shape
        y, x = flat // width % height, flat % width
        for step in range(14, 27):
            dz, dy, dx = step // 9 - 1, step // 3 % 3 - 1, step % 3 - 1
            inside = np.flatnonzero((y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width))
            target = flat[inside] + (dz * height + dy) * width + dx
            there = np.minimum(np.searchsorted(flat, target), max(len(flat) - 1, 0))
            hit = (flat[there] == target) & (cell[there] != cell[inside]) if len(flat) else np.zeros(0, bool)
            a, b = inside[hit], there[hit]
            if len(a):
                pairs = np.sort(np.column_stack([fragment[a], fragment[b]]), axis=1)
                self._found.append(merged(pairs, np.minimum(bright[a], bright[b])))


def neurons_of(
    fragments: Sequence[Fragments],
    places: Sequence[Places],
    contacts: tuple[Ints, Floats],
    channels: int,
    options: ColorOptions,
) -> npt.NDArray[np.uint32]:
    """The label of each fragment: 1, 2, 3 in the order of the first voxels of neurons, 0 where it is too small."""
    whole = Fragments(*(np.concatenate(column) for column in zip(*fragments, strict=True)))
    if not len(whole.voxels):
        return np.empty(0, np.uint32)
    pairs, saddles = contacts
    along = Places(*(np.concatenate(column) for column in zip(*places, strict=True)))
    rule = options.rule(channels)
    voxels, sums, peaks, soma = whole.voxels.copy(), whole.sums.copy(), whole.peaks.copy(), whole.soma.copy()
    zero = np.zeros(len(pairs))
    above = agglomerate(pairs, saddles, zero, voxels, sums, peaks, soma, rule, options.evidence)
    if options.gap_um > 0 and channels > 1:
        over, bonus = _gaps(along, above, options.gap_um)
        none = np.full(len(over), -1.0)
        again = agglomerate(above[over], none, bonus, voxels, sums, peaks, soma, rule, options.evidence)
        above = again[above]
    above = _mixed(above, pairs, voxels, sums, soma, options)
    return _numbered(above, whole, options.smallest)


def _gaps(along: Places, above: Ints, gap_um: float) -> tuple[Ints, Floats]:
    """Fragments that come near each other (m, 2), and what speaks for their being one, but for colours (m,).

    A tip that heads for the other one speaks for it, twice where both do.
    """
    from scipy.spatial import KDTree

    if len(along.places) < 2:
        return np.empty((0, 2), np.int64), np.empty(0)
    k = min(_NEAR + 1, len(along.places))
    _, near = KDTree(along.places).query(along.places, k=k, distance_upper_bound=gap_um)
    a = np.repeat(np.arange(len(near)), k)
    b = near.ravel()
    known = b < len(along.places)
    a, b = a[known], b[known]
    known = above[along.fragment[a]] != above[along.fragment[b]]
    a, b = a[known], b[known]
    way = along.places[b] - along.places[a]
    length = np.maximum(np.linalg.norm(way, axis=1), 1e-9)
    way /= length[:, None]
    ahead = [np.maximum((along.heads[one] * sign * way).sum(axis=1), 0) for one, sign in ((a, 1), (b, -1))]
    bonus = -_PRICE - _FAR * length / gap_um + _AHEAD * (ahead[0] + ahead[1])
    return np.column_stack([along.fragment[a], along.fragment[b]]), bonus


def _mixed(above: Ints, pairs: Ints, voxels: Ints, sums: Floats, soma: Ints, options: ColorOptions) -> Ints:
    """Give small pieces where the light of two neurons mixes to that neuron which gives them more of it.

    Such a piece touches two objects that are far larger, and its colour is a sum of theirs, to twice what colours
    vary and noise.
    """
    touching: dict[int, set[int]] = {}
    for a, b in np.unique(np.sort(above[pairs], axis=1), axis=0).tolist():
        if a != b:
            touching.setdefault(a, set()).add(b)
            touching.setdefault(b, set()).add(a)
    length = np.linalg.norm(sums, axis=1)
    units = sums / np.maximum(length, 1e-9)[:, None]
    goes = np.arange(len(above))
    for small, near in sorted(touching.items()):
        large = sorted(other for other in near if voxels[other] >= _LARGER * voxels[small])
        if soma[small] >= 0 or length[small] <= 0:
            continue
        noise = (voxels[small] + options.shot * length[small]) / length[small] ** 2
        best = 2 * np.sqrt(options.wide**2 + noise)
        for a, b in combinations(large, 2):
            parts, _, rank, _ = np.linalg.lstsq(units[[a, b]].T, units[small], rcond=None)
            rest = float(np.linalg.norm(parts @ units[[a, b]] - units[small]))
            if rank == 2 and parts.min() > 0 and rest < best:
                best, goes[small] = rest, a if parts[0] >= parts[1] else b
    while (goes[goes] != goes).any():  # to what a larger mixture went into
        goes = goes[goes]
    return goes[above]


def _numbered(above: Ints, fragments: Fragments, smallest: int) -> npt.NDArray[np.uint32]:
    objects, row = np.unique(above, return_inverse=True)
    voxels = np.zeros(len(objects), np.int64)
    np.add.at(voxels, row, fragments.voxels)
    first = np.full(len(objects), np.iinfo(np.int64).max)
    np.minimum.at(first, row, fragments.first)
    kept = np.flatnonzero(voxels >= smallest)
    labels = np.zeros(len(objects), np.uint32)
    labels[kept[np.argsort(first[kept])]] = np.arange(1, len(kept) + 1, dtype=np.uint32)
    return labels[row]
