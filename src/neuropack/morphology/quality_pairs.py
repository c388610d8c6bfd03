"""Two neurons of one stack that run inside each other: a merge, or one neuron that was traced twice.

Neurites touch and cross everywhere in a dense stack, and that is no flaw. Two that share a path for many
micrometres are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neuropack.morphology.quality import SOMA, Flaw, Points
from neuropack.skeleton import Skeleton

SHARED_UM = 15.0
"""Two neurites that run inside each other for longer share a path; in coarse voxels, for ten of them."""
DUPLICATE = 0.8
"""The part of both lengths that makes two neurons one."""
_CLOSEST_UM, _WIDEST_UM = 0.1, 1.0
_CELL = 4.0  # in tolerances: with four grids, each pair of near points shares a cell of one of them
_CELLS_SHARED = 8  # of the four grids: the fewest that 10,000 paths of this length at random shared
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
    _cells: list[npt.NDArray[np.uint64]] = field(default_factory=list)

    @property
    def _tolerance(self) -> float:
        return max(_WIDEST_UM, self.voxel_um)

    def add(self, name: str, skeleton: Skeleton) -> None:
        """Note where a neuron runs."""
        points, _, _ = _along(skeleton, self._tolerance)
        size = _CELL * self._tolerance
        shifts = (np.arange(4) / 4)[:, None, None]
        with np.errstate(invalid="ignore"):
            cells = np.floor(np.clip(points / size, -1e15, 1e15)[None] + shifts).astype(np.int64)
        self._names.append(name)
        self._cells.append(np.unique(_hashed(cells, np.arange(4)[:, None])))

    def pairs(self, read: Read) -> Iterator[tuple[str, str, Flaw]]:
        """Each two neurons that share a path, once: their names, and what is shared.

        Args:
            read: gives the skeleton of a name again; None where it cannot.
        """
        for a, b in self._candidates():
            one, other = read(self._names[a]), read(self._names[b])
            if one is not None and other is not None:
                flaw = shared_path(one, other, self.voxel_um, self._names[b])
                if flaw is not None:
                    yield self._names[a], self._names[b], flaw

    def _candidates(self) -> list[tuple[int, int]]:
        """The neurons that share cells enough for a path of the length that counts."""
        if len(self._names) < 2:
            return []
        owner = np.repeat(np.arange(len(self._cells)), [len(c) for c in self._cells])
        cells = np.concatenate(self._cells)
        order = np.argsort(cells, kind="stable")  # within a cell the owners ascend
        cells, owner = cells[order], owner[order]
        found = []
        for apart in range(1, _CROWD):
            same = np.flatnonzero(cells[apart:] == cells[:-apart])
            found.append(owner[same] * len(self._names) + owner[same + apart])
        pair, count = np.unique(np.concatenate(found), return_counts=True)
        least = max(2, int(_CELLS_SHARED * _shared_um(self.voxel_um) / (SHARED_UM * self._tolerance)))
        return [divmod(int(p), len(self._names)) for p in pair[count >= least]]


def shared_path(a: Skeleton, b: Skeleton, voxel_um: float, name: str = "another neuron") -> Flaw | None:
    """What two neurons of one stack share; None where they only touch, cross, or are apart.

    Args:
        a, b: in one frame.
        voxel_um: the smallest side of a voxel.
        name: of `b`, in the words of the flaw.
    """
    from scipy.spatial import cKDTree

    points, edge, radius = _along(a, _STEP_UM)
    others, _, their_radius = _along(b, _STEP_UM)
    if not len(points) or not len(others):
        return None
    reach = max(_WIDEST_UM, voxel_um)
    distance, nearest = cKDTree(others).query(points, distance_upper_bound=reach)
    inside = np.isfinite(distance)
    thin = np.minimum(radius[inside], their_radius[nearest[inside]])
    inside[inside] = distance[inside] <= np.maximum(np.clip(thin, _CLOSEST_UM, _WIDEST_UM), voxel_um)
    if not inside.any():
        return None
    back, _ = cKDTree(points[inside]).query(others, distance_upper_bound=reach)
    whole = min(float(inside.mean()), float(np.isfinite(back).mean()))
    if whole >= DUPLICATE:
        found = f"{whole:.0%} of its length runs inside {name}"
        fix = "keep one of the two, unless both are tracings of one neuron that are meant to be compared"
        return Flaw("duplicate", (), None, "each neuron once", found, fix)
    longest, at = _longest(a, edge, inside)
    if longest < _shared_um(voxel_um):
        return None
    x, y, z = points[at].tolist()
    found = f"{longest:.1f} um in one piece run inside {name}, from x {x:.1f}, y {y:.1f}, z {z:.1f} um on"
    return Flaw(
        kind="shared-path",
        ids=(int(a.id[a.edges()[edge[at], 0]]),),
        where_um=(x, y, z),
        expected="neurites of two neurons that only touch or cross",
        found=found,
        fix="look at the two there: give the path to the neuron that it belongs to",
    )


def _shared_um(voxel_um: float) -> float:
    return max(SHARED_UM, 10 * voxel_um)


def _along(skeleton: Skeleton, step_um: float) -> tuple[Points, npt.NDArray[np.int64], Points]:
    """Points along the edges, not of the soma, at most a step apart: positions, edge, radius."""
    edges = skeleton.edges()
    keep = np.flatnonzero(~(skeleton.type[edges] == SOMA).any(axis=1))
    child, parent = edges[keep].T
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.linalg.norm(skeleton.xyz[child] - skeleton.xyz[parent], axis=1)
        number = np.clip(np.nan_to_num(np.ceil(length / step_um), posinf=1e18), 1, _LONGEST_STEPS).astype(np.int64)
    number = np.maximum(number // max(1, int(number.sum()) // _MOST_POINTS), 1)
    row = np.repeat(np.arange(len(keep)), number)
    first = np.cumsum(number) - number
    t = ((np.arange(len(row)) - first[row] + 0.5) / number[row])[:, None]
    points = skeleton.xyz[parent[row]] * (1 - t) + skeleton.xyz[child[row]] * t
    radius = skeleton.radius[parent[row]] * (1 - t[:, 0]) + skeleton.radius[child[row]] * t[:, 0]
    return points, keep[row], radius


def _hashed(cells: npt.NDArray[np.int64], grid: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """One number for each cell of a grid. Two cells of one number only cost a comparison."""
    x, y, z = np.moveaxis(cells.astype(np.uint64), -1, 0)
    primes = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5], np.uint64)
    mixed: npt.NDArray[np.uint64] = (
        x * primes[0] ^ y * primes[1] ^ z * primes[2] ^ grid.astype(np.uint64) * primes[3]
    )
    return mixed ^ (mixed >> np.uint64(29))


def _longest(a: Skeleton, edge: npt.NDArray[np.int64], inside: npt.NDArray[np.bool_]) -> tuple[float, int]:
    """The longest path of points inside, along the tree: its length, and the row of one of its points."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = a.edges()
    length = np.linalg.norm(a.xyz[edges[:, 0]] - a.xyz[edges[:, 1]], axis=1)
    number = np.bincount(edge, minlength=len(edges))
    share = np.where(number > 0, length / np.maximum(number, 1), 0.0)[edge]
    rows = np.flatnonzero(inside)
    if not len(rows):
        return 0.0, 0
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
    total = np.bincount(group[rows], weights=share[rows])
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
