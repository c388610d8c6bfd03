"""Two neurons of one stack that run inside each other: a merge, or one neuron that was traced twice.

Neurites touch and cross everywhere in a dense stack, and that is no flaw. Two that share a path for many
micrometres are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neuropack.morphology.quality import Flaw, Points
from neuropack.skeleton import SOMA, Skeleton

SHARED_UM = 15.0
"""Two neurites that run inside each other for longer share a path; in coarse voxels, for ten of them."""
DUPLICATE = 0.8
"""The part of both lengths that makes two neurons one."""
_CLOSEST_UM, _WIDEST_UM = 0.1, 1.0
_CELL = 4.0  # in tolerances: with four grids, each pair of near points shares a cell of one of them
_CELLS_SHARED = 8  # of the four grids: the fewest that 10,000 paths of this length at random shared
_MIDDLE = 1 << 19  # cells to either side of 0
_MANY = 200  # shared cells that are compared without a closer look at them
_STRAIGHT = 0.5  # of a path that winds: the distance of its ends
_STEP_UM = 0.5
_LONGEST_STEPS, _MOST_POINTS = 2000, 2_000_000  # a broken file may hold an edge to the moon
_CROWD = 8  # neurons in one cell that are all compared; of more, neighbours in the list

Read = Callable[[str], Skeleton | None]


@dataclass
class Overlaps:
    """Finds the neurons of a stack that share a path. Add all of them, then ask for `pairs`.

    What is kept of a neuron is the list of cells that it runs through, so that thousands of neurons fit into
    memory; two are compared exactly only where they share cells. No cost grows with the square of their number.

    Args:
        voxel_um: the smallest side of a voxel; centrelines closer than this cannot be told apart.
    """

    voxel_um: float
    _names: list[str] = field(default_factory=list)
    _cells: list[npt.NDArray[np.int64]] = field(default_factory=list)

    @property
    def _tolerance(self) -> float:
        return max(_WIDEST_UM, self.voxel_um)

    def add(self, name: str, skeleton: Skeleton) -> None:
        """Note where a neuron runs."""
        points = _along(skeleton, self._tolerance).points
        size = _CELL * self._tolerance
        shifts = (np.arange(4) / 4)[:, None, None]
        with np.errstate(invalid="ignore"):
            cells = np.floor(np.clip(points / size, -1e15, 1e15)[None] + shifts).astype(np.int64)
        self._names.append(name)
        self._cells.append(np.unique(_packed(cells)))

    def pairs(self, read: Read) -> Iterator[tuple[str, str, Flaw]]:
        """Each two neurons that share a path, once: their names, and what is shared.

        Args:
            read: gives the skeleton of a name again; None where it cannot.
        """
        for a, b, boxes in self._candidates():
            one, other = read(self._names[a]), read(self._names[b])
            if one is not None and other is not None:
                flaw = shared_path(one, other, self.voxel_um, self._names[b].rsplit("/", 1)[-1], boxes)
                if flaw is not None:
                    yield self._names[a], self._names[b], flaw

    def _candidates(self) -> list[tuple[int, int, Points]]:
        """The neurons that share cells enough for a path of the length that counts, and where."""
        if len(self._names) < 2:
            return []
        owner = np.repeat(np.arange(len(self._cells)), [len(c) for c in self._cells])
        cells = np.concatenate(self._cells)
        order = np.argsort(cells, kind="stable")  # within a cell the owners ascend
        cells, owner = cells[order], owner[order]
        pairs, shared = [], []
        for apart in range(1, _CROWD):
            same = np.flatnonzero(cells[apart:] == cells[:-apart])
            pairs.append(owner[same] * len(self._names) + owner[same + apart])
            shared.append(cells[same])
        pair, cell = np.concatenate(pairs), np.concatenate(shared)
        order = np.argsort(pair, kind="stable")
        pair, cell = pair[order], cell[order]
        if not len(pair):
            return []
        first = np.flatnonzero(np.diff(pair, prepend=-1))
        last = np.append(first[1:], len(pair))
        least = max(2, int(_CELLS_SHARED * _shared_um(self.voxel_um) / (SHARED_UM * self._tolerance)))
        found = []
        for a, b in zip(first, last, strict=True):
            boxes = self._meeting(cell[a:b]) if b - a >= least else None
            if boxes is not None:
                found.append((*divmod(int(pair[a]), len(self._names)), boxes))
        return found

    def _meeting(self, cells: npt.NDArray[np.int64]) -> Points | None:
        """Boxes (k, 2, 3) around all shared cells; None where none of them is as long as a path that counts.

        Crossings share few cells at each place.
        """
        at, size = _unpacked(cells), _CELL * self._tolerance
        if len(cells) > _MANY:
            return np.array([[at.min(axis=0), at.max(axis=0) + 1]]) * size
        near = (np.abs(at[:, None] - at[None]) <= 1.25).all(axis=2)
        for _ in range(len(cells).bit_length()):
            near = np.matmul(near, near)
        groups = [at[row] for row in np.unique(near, axis=0)]
        spans = [float(np.linalg.norm(np.ptp(group, axis=0))) * size for group in groups]
        if max(spans) < _STRAIGHT * _shared_um(self.voxel_um):
            return None
        return np.array([[group.min(axis=0), group.max(axis=0) + 1] for group in groups]) * size


def shared_path(
    a: Skeleton, b: Skeleton, voxel_um: float, name: str = "another neuron", boxes: Points | None = None
) -> Flaw | None:
    """What two neurons of one stack share; None where they only touch, cross, or are apart.

    Args:
        a, b: in one frame.
        voxel_um: the smallest side of a voxel.
        name: of `b`, in the words of the flaw.
        boxes: (k, 2, 3) in which alone the two meet, where that is known.
    """
    from scipy.spatial import cKDTree

    reach = max(_WIDEST_UM, voxel_um)
    boxes = _common(a, b, reach) if boxes is None else boxes
    one, other = _along(a, _STEP_UM, boxes), _along(b, _STEP_UM, boxes)
    if not len(one.points) or not len(other.points):
        return None
    distance, nearest = cKDTree(other.points).query(one.points, distance_upper_bound=reach)
    inside = np.isfinite(distance)
    thin = np.minimum(one.radius[inside], other.radius[nearest[inside]])
    inside[inside] = distance[inside] <= np.maximum(np.clip(thin, _CLOSEST_UM, _WIDEST_UM), voxel_um)
    if one.share[inside].sum() < _shared_um(voxel_um):
        return None
    back, _ = cKDTree(one.points[inside]).query(other.points, distance_upper_bound=reach)
    whole = min(one.share[inside].sum() / one.length, other.share[np.isfinite(back)].sum() / other.length)
    if whole >= DUPLICATE:
        found = f"{whole:.0%} of its length runs inside {name}"
        fix = "keep one of the two, unless both are tracings of one neuron that are meant to be compared"
        return Flaw("duplicate", (), None, "each neuron once", found, fix)
    longest, at = _longest(a, one, inside)
    if longest < _shared_um(voxel_um):
        return None
    x, y, z = one.points[at].tolist()
    found = f"{longest:.1f} um in one piece run inside {name}, from x {x:.1f}, y {y:.1f}, z {z:.1f} um on"
    return Flaw(
        kind="shared-path",
        ids=(int(a.id[a.edges()[one.edge[at], 0]]),),
        where_um=(x, y, z),
        expected="neurites of two neurons that only touch or cross",
        found=found,
        fix="look at the two there: give the path to the neuron that it belongs to",
    )


def _shared_um(voxel_um: float) -> float:
    return max(SHARED_UM, 10 * voxel_um)


def _common(a: Skeleton, b: Skeleton, margin: float) -> Points:
    """The box (1, 2, 3) in which both lie."""
    low = np.maximum(a.xyz.min(axis=0), b.xyz.min(axis=0)) - margin
    return np.array([[low, np.minimum(a.xyz.max(axis=0), b.xyz.max(axis=0)) + margin]])


@dataclass(frozen=True)
class _Path:
    """Points along the edges of a neuron: positions, edge, radius, the length each stands for, and that of all."""

    points: Points
    edge: npt.NDArray[np.int64]
    radius: Points
    share: Points
    length: float


def _along(skeleton: Skeleton, step_um: float, boxes: Points | None = None) -> _Path:
    """Points along the edges, not of the soma, at most a step apart; of those that touch one of some boxes."""
    edges = skeleton.edges()
    keep = np.flatnonzero(~(skeleton.type[edges] == SOMA).any(axis=1))
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.linalg.norm(skeleton.xyz[edges[keep, 0]] - skeleton.xyz[edges[keep, 1]], axis=1)
        whole = float(length.sum())
        if boxes is not None:
            touch = _touching(skeleton.xyz[edges[keep, 0]], skeleton.xyz[edges[keep, 1]], boxes)
            keep, length = keep[touch], length[touch]
        number = np.clip(np.nan_to_num(np.ceil(length / step_um), posinf=1e18), 1, _LONGEST_STEPS).astype(np.int64)
    child, parent = edges[keep].T
    number = np.maximum(number // max(1, int(number.sum()) // _MOST_POINTS), 1)
    row = np.repeat(np.arange(len(keep)), number)
    first = np.cumsum(number) - number
    t = (np.arange(len(row)) - first[row] + 0.5) / number[row]
    points = skeleton.xyz[parent[row]] * (1 - t)[:, None] + skeleton.xyz[child[row]] * t[:, None]
    radius = skeleton.radius[parent[row]] * (1 - t) + skeleton.radius[child[row]] * t
    return _Path(points, keep[row], radius, (length / number)[row], whole)


def _touching(a: Points, b: Points, boxes: Points) -> npt.NDArray[np.bool_]:
    """Edges from `a` to `b` (n, 3) whose box touches one of some boxes."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    found = np.zeros(len(a), bool)
    for first, last in boxes:
        found |= ((high >= first) & (low <= last)).all(axis=1)
    return found


def _packed(cells: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """One number for each cell (x, y, z) of four grids (4, n, 3)."""
    x, y, z = np.moveaxis(np.clip(cells + _MIDDLE, 0, 2 * _MIDDLE - 1), -1, 0)
    packed: npt.NDArray[np.int64] = ((x * 2 * _MIDDLE + y) * 2 * _MIDDLE + z) * 4 + np.arange(4)[:, None]
    return packed


def _unpacked(packed: npt.NDArray[np.int64]) -> Points:
    """Where cells begin (n, 3), in cells."""
    rest, grid = np.divmod(packed, 4)
    rest, z = np.divmod(rest, 2 * _MIDDLE)
    x, y = np.divmod(rest, 2 * _MIDDLE)
    begins: Points = np.column_stack([x, y, z]) - _MIDDLE - (grid / 4)[:, None]
    return begins


def _longest(a: Skeleton, path: _Path, inside: npt.NDArray[np.bool_]) -> tuple[float, int]:
    """The longest path of points inside, along the tree: its length, and the row of one of its points."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges, edge = a.edges(), path.edge
    rows = np.flatnonzero(inside)
    first = np.searchsorted(edge, edge, side="left")
    last = np.searchsorted(edge, edge, side="right") - 1
    end = np.full(len(a), -1)  # the last point of the edge above each node: where its children go on
    end[edges[edge[last], 0]] = last
    begins = first == np.arange(len(edge))
    before = np.where(begins, end[edges[edge, 1]], np.arange(len(edge)) - 1)
    linked = inside & (before >= 0)
    linked[linked] = inside[before[linked]]
    i = np.flatnonzero(linked)
    size = len(edge)
    graph = coo_matrix((np.ones(len(i), np.int8), (i, before[i])), shape=(size, size))
    _, group = connected_components(graph, directed=False)
    total = np.bincount(group[rows], weights=path.share[rows])
    best = int(total.argmax())
    return float(total[best]), int(rows[group[rows] == best][0])


def overlaps(
    skeletons: Sequence[Skeleton], voxel_um: float, names: Sequence[str] = ()
) -> list[tuple[int, int, Flaw]]:
    """The pairs of skeletons of one stack that share a path: their positions in the list, and what is shared."""
    told = list(names) or [f"skeleton {i + 1}" for i in range(len(skeletons))]
    rows = {name: i for i, name in enumerate(told)}
    found = Overlaps(voxel_um)
    for name, skeleton in zip(told, skeletons, strict=True):
        found.add(name, skeleton)
    return [(rows[a], rows[b], flaw) for a, b, flaw in found.pairs(lambda name: skeletons[rows[name]])]
