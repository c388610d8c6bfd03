"""From the ways of a front to the branches of neurons: the longest first, what it covers taken off the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.progress import Progress
from neuropack.trace import front_kernels as k
from neuropack.trace import way_kernels as w
from neuropack.trace.front import FARTHEST, STEPS, Front

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_LONGEST = 1 << 20  # voxels of one way
LARGEST_UM = 15.0
"""No neurite or soma has a larger radius."""
_SLACK, _SLACK_UM = 1.0, 0.25  # voxels and micrometre beyond what is bright
_FLAT, _RIDGE = 0.4, 0.8  # how much of a ridge counts as none, and as a whole one
_LEAPS = 4  # times that ends look ahead
_LEAP_UM = 7.0  # how far an end looks over other neurons
_LOOK_UM = 5.0  # of a branch tell its direction
_WORTH_UM = 8.0  # of a branch make a leap worth it
_SOMA = 1.5  # radii of a soma in which nothing branches
_MEETINGS = 1 << 16  # pairs of voxels of one block in which sources of one neuron meet


@dataclass(frozen=True)
class Pruning:
    """What is no branch.

    Attributes:
        shortest_um: a branch that reaches less far beyond what others cover is none.
        spur: nor one that does so by less than this many radii of the neurite that it leaves.
        wider: a branch covers so many times as far as it is bright around it.
        threshold, color_sigma, widest_um: with which the front grew.
        doubtful: a branch ends where the rest of its way is less sure than that.
    """

    shortest_um: float
    spur: float
    wider: float
    threshold: float
    color_sigma: float
    widest_um: tuple[float, float]
    doubtful: float


@dataclass(frozen=True, eq=False)
class Ways:
    """The voxels of all branches of all neurons.

    Attributes:
        voxels: their numbers in C order of the image (n,), ascending.
        edges: rows of `voxels` that lie next to each other on a branch (m, 2).
        sources: the row of each source that has a branch, by its number.
        leaps: rows of voxels to which a way leapt, over a place where other neurons run.
    """

    voxels: Ints
    edges: Ints
    sources: dict[int, int]
    leaps: Ints


def find_ways(
    front: Front,
    sources: Ints,
    source_radius: Floats,
    neuron: Ints,
    colors: Floats,
    pruning: Pruning,
    progress: Progress | None = None,
) -> Ways:
    """The branches of a front that has grown.

    Args:
        front: grown from `sources`.
        sources: z, y, x (n, 3), voxels.
        source_radius: of the somata, 0 where there is none (n,), micrometre: nothing branches inside of one.
        neuron: the neuron of each source (n,). Where two sources of one neuron meet, a way joins them.
        colors: of the sources (n, c).
        pruning: what is no branch.
        progress: told ends looked at.
    """
    finder = _Finder(front, colors, pruning)
    flat = np.ravel_multi_index(tuple(sources.T), tuple(front.shape.tolist())).astype(np.int64)
    slots = [front.locate(voxel) for voxel in flat.tolist()]
    mine = [
        slot >= 0 and front.owner[slot, at] == i and front.pred[slot, at] == k.ROOT
        for i, (slot, at) in enumerate(slots)
    ]
    for i in np.flatnonzero(mine).tolist():
        finder.cover(flat[i : i + 1], _SOMA * float(source_radius[i]))
    finder.join(neuron)
    for _ in range(_LEAPS):
        tips = finder.tips()
        for number, tip in enumerate(tips.tolist()):
            finder.branch(tip)
            if progress and number % 256 == 0:
                progress("finding branches", number, len(tips))
        if not finder.leap(neuron):
            break
    return finder.ways({i: int(flat[i]) for i in np.flatnonzero(mine).tolist()})


class _Finder:
    def __init__(self, front: Front, colors: Floats, pruning: Pruning) -> None:
        self._front, self._colors, self._pruning = front, colors, pruning
        self._place = (front.table, front.counts, front.shape)
        self._step = front.step
        self._out = np.empty(_LONGEST, np.int64)
        self._paths: list[Ints] = []
        self._looked: set[int] = set()  # ends that have looked ahead
        self._leaps: dict[int, int] = {}  # to a voxel, from the end of a branch
        self._landed: set[int] = set()  # of these, where a branch begins

    def radii(self, path: Ints) -> Floats:
        out = np.empty(len(path))
        values, owner = self._front.values, self._front.owner
        w.radii(path, *self._place, self._step, values, owner, self._colors, LARGEST_UM, out)
        return out

    def cover(self, path: Ints, least_um: float = 0.0) -> None:
        """Cover what is bright around a path: it is its own glow."""
        f, p = self._front, self._pruning
        reach = np.empty((len(path), 2))
        w.reaches(path, *self._place, self._step, f.values, f.owner, self._colors, p.threshold, LARGEST_UM, reach)
        reach = np.maximum(p.wider * reach, least_um) + _SLACK * self._step[[0, 2]] + _SLACK_UM
        w.cover(path, reach, *self._place, self._step, f.owner, f.marks)

    def trimmed(self, path: Ints) -> int:
        """How many voxels to take off the end of a way: so many that the rest is as sure as it can be.

        Each micrometre counts as its certainty less `doubtful`; what lies beyond the best sum is left out, so that
        a gap is crossed only where enough lies behind it.
        """
        f, p = self._front, self._pruning
        sure = np.empty(len(path))
        w.certainty(path, *self._place, f.values, f.owner, self._colors, p.threshold, p.color_sigma, sure)
        ridge = np.empty(len(path))
        w.ridges(path, *self._place, self._step, f.values, f.owner, self._colors, LARGEST_UM, ridge)
        sure *= np.clip((ridge - _FLAT) / (_RIDGE - _FLAT), 0.0, 1.0)
        gain = np.cumsum(((sure[:-1] - p.doubtful) * self.steps(path))[::-1])  # from the tree outwards
        return len(gain) - 1 - int(gain.argmax()) if gain.max(initial=0.0) > 0 else len(path)

    def way(self, start: int) -> tuple[Ints, int]:
        n, fresh = w.way_back(start, *self._place, STEPS, self._front.pred, self._front.marks, self._out)
        return self._out[:n].copy(), fresh

    def tips(self) -> Ints:
        """Where branches may end, the farthest from its source first."""
        f = self._front
        out = np.empty(int(np.prod(k.BLOCK)), np.int64)
        found, far = [], []
        for slot, corner in f.corners():
            n = k.ends(corner, slot, *self._place, STEPS, f.length, f.gap, f.owner, f.settled, out)
            found.append(out[:n].copy())
            z, y, x = np.unravel_index(out[:n], tuple(f.shape.tolist()))
            far.append(f.length[slot, ((z & 15) << 12) + ((y & 63) << 6) + (x & 63)])
        voxels, length = np.concatenate([*found, np.empty(0, np.int64)]), np.concatenate([*far, np.empty(0)])
        return voxels[np.lexsort((voxels, -length))]

    def branch(self, tip: int) -> None:
        """Take a branch in, if it is one."""
        if self._front.marks[self._front.locate(tip)]:
            return
        path, fresh = self.way(tip)
        if self.length(path[: fresh + 1]) < self._pruning.shortest_um:
            return
        off = self.trimmed(path)
        path, fresh = path[off:], fresh - off
        if fresh < 1 or self.length(path[: fresh + 1]) < self._pruning.shortest_um:
            return
        base = self.radii(path[min(fresh, len(path) - 1) :][:1])
        if self.length(path[: fresh + 1]) < self._pruning.spur * float(base[0]):
            return
        last = int(path[-1])
        if last in self._leaps and last not in self._landed:
            if self.length(path) < _WORTH_UM:
                return
            self._landed.add(last)
            self._paths.append(np.array([last, self._leaps[last]]))
        self._take(path)

    def leap(self, neuron: Ints) -> bool:
        """From ends at other neurons, look ahead for what goes on behind them, and let the front grow from there.

        What no branch covers is free again: a neuron of like colour may have come there first, and have had no use
        for it.

        Returns:
            Whether there is anything new.
        """
        f, p = self._front, self._pruning
        used = np.concatenate([path[1:] for path in self._paths]) if self._paths else np.empty(0, np.int64)
        inner = set(used.tolist())
        ends = []
        for path in self._paths:
            tip = int(path[0])
            if len(path) < 3 or tip in inner or tip in self._looked:
                continue
            self._looked.add(tip)
            near = np.empty(1, np.int64)
            w.neighbours(path[:1], *self._place, self._step, f.owner, f.settled, neuron, _LEAP_UM, near)
            if near[0] >= 0:
                ends.append(path)
        f.release()
        # what is free again may be of another neuron now, and is no place to land any more
        self._leaps = {voxel: tip for voxel, tip in self._leaps.items() if self._owner(voxel) >= 0}
        starts = []
        for path in ends:
            tip = int(path[0])
            back = path[: 1 + int(np.searchsorted(np.cumsum(self.steps(path)), _LOOK_UM))]
            two = np.column_stack(np.unravel_index(back[[0, -1]], tuple(f.shape.tolist()))) * self._step
            way = (two[0] - two[1]) / max(float(np.linalg.norm(two[0] - two[1])), 1e-9)
            voxel, far = w.ahead(
                *(tip, way, *self._place, self._step, f.values, f.owner, f.settled, self._colors),
                *(p.threshold, p.color_sigma, FARTHEST, _LEAP_UM),
            )
            if voxel >= 0:
                at = f.locate(tip)
                starts.append(
                    (float(f.dist[at]) + far, int(voxel), int(f.owner[at]), float(f.length[at]) + far, tip)
                )
        for _, voxel, _, _, tip in sorted(starts):
            self._leaps.setdefault(voxel, tip)
        fresh = [(voxel, source, cost, far) for cost, voxel, source, far, _ in sorted(starts)]
        return bool(fresh) and f.go_on(fresh, self._colors, p.threshold, p.widest_um, p.color_sigma) > 0

    def join(self, neuron: Ints) -> None:
        """Join the sources of each neuron where the ways to their meeting are cheapest; no ring is made."""
        f = self._front
        pairs, costs = np.empty((_MEETINGS, 2), np.int64), np.empty(_MEETINGS)
        found: dict[tuple[int, int], tuple[float, int, int]] = {}
        if len(np.unique(neuron)) == len(neuron):
            return
        for slot, corner in f.corners():
            n = k.meetings(corner, slot, *self._place, STEPS, f.dist, f.owner, f.settled, neuron, pairs, costs)
            for (a, b), cost in zip(pairs[:n].tolist(), costs[:n].tolist(), strict=True):
                one, other = sorted((self._owner(a), self._owner(b)))
                found[one, other] = min(found.get((one, other), (np.inf, 0, 0)), (cost, min(a, b), max(a, b)))
        group = list(range(len(neuron)))

        def top(i: int) -> int:
            while group[i] != i:
                i = group[i]
            return i

        for (one, other), (_, a, b) in sorted(found.items(), key=lambda item: (item[1], item[0])):
            if top(one) != top(other):
                group[top(one)] = top(other)
                for end in (a, b):
                    path, _ = self.way(end)
                    self._take(path)
                self._paths.append(np.array([a, b]))

    def ways(self, sources: dict[int, int]) -> Ways:
        every = np.concatenate([*self._paths, np.array(list(sources.values()), np.int64)])
        voxels = np.unique(every)
        pairs = [np.column_stack([p[:-1], p[1:]]) for p in self._paths if len(p) > 1]
        edges = np.searchsorted(voxels, np.concatenate([*pairs, np.empty((0, 2), np.int64)]))
        rows = np.searchsorted(voxels, np.array(list(sources.values()), np.int64))
        leaps = np.searchsorted(voxels, np.array(sorted(self._landed), np.int64))
        return Ways(voxels, edges, dict(zip(sources, rows.tolist(), strict=True)), leaps)

    def steps(self, path: Ints) -> Floats:
        """Lengths of the steps of a way, micrometre."""
        zyx = np.column_stack(np.unravel_index(path, tuple(self._front.shape.tolist()))) * self._step
        return np.asarray(np.linalg.norm(np.diff(zyx, axis=0), axis=1), np.float64)

    def length(self, path: Ints) -> float:
        """Length of a way, micrometre."""
        return float(self.steps(path).sum())

    def _take(self, path: Ints) -> None:
        self._paths.append(path)
        landed = int(path[-1]) in self._leaps
        self.cover(path if landed or len(path) == 1 else path[:-1])

    def _owner(self, voxel: int) -> int:
        return int(self._front.owner[self._front.locate(voxel)])
