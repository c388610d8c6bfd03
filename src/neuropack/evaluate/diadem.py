"""A score after the DIADEM metric: are the forks and tips of a neuron there, and do they hang together.

What differs from Gillette, Brown and Ascoli 2011 is said at `diadem_like`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuropack.evaluate.agreement import TOLERANCE_UM, Floats, Ints
from neuropack.skeleton import Skeleton

PATH_ERROR = 0.2
"""By which part of its length a way may differ."""


@dataclass(frozen=True)
class Diadem:
    """How much of a neuron is there, by weight.

    Attributes:
        found: weight of the nodes that have a match.
        total: weight of all; 0 where the neuron has neither a fork nor a tip below its roots.
    """

    found: int
    total: int


def diadem_like(found: Skeleton, truth: Skeleton, tolerance_um: float = TOLERANCE_UM) -> Diadem:
    """Match the forks and tips of a true neuron with those of a trace of it.

    Each fork and tip of the truth below its roots weighs as much as there are tips at or beyond it. It is found
    where a fork, tip or root of the trace lies within the tolerance, and one of its ancestors there lies within the
    tolerance of one of the true node's ancestors, the ways between differing by a fifth or twice the tolerance at
    most. Nearer nodes are tried first, each is taken once. A fork without such a node is found too where the trace
    leads, without a fork, from a match above it to one below it, by a way of the right length. Branches that the
    truth has not are no loss.

    The trace is rooted anew where it comes nearest to the roots of the truth, if that is within the tolerance and
    the radius of the root, for the root of a soma may lie anywhere in it.
    The tolerance is the same along all axes, which the original has apart.

    Args:
        found, truth: in one frame.
        tolerance_um: micrometre.
    """
    theirs = _Forks.of(truth, None, tolerance_um)
    targets = [n for n in range(len(theirs.xyz)) if theirs.up[n] >= 0]
    total = int(theirs.weight[targets].sum())
    if not len(found) or not total:
        return Diadem(0, total)
    mine = _Forks.of(found, truth, tolerance_um)
    matched = _matched(mine, theirs, targets, tolerance_um)
    gone_through = [n for n in targets if n not in matched and _continued(n, mine, theirs, matched, tolerance_um)]
    done = [n for n in targets if n in matched] + gone_through
    return Diadem(int(theirs.weight[done].sum()), total)


@dataclass(frozen=True, eq=False)
class _Forks:
    """Roots, forks and tips, parents before their children.

    Attributes:
        xyz: of them (n, 3).
        up: the next one towards the root (n,), -1 at a root.
        below: the next ones away from it.
        far: the way from the root (n,), micrometre.
        weight: tips at or beyond each (n,).
        slack: the radius of a root (n,), 0 of all others: a soma has its root anywhere in it.
        last: the last row of what hangs below each (n,): rows n to last[n] are its descendants.
    """

    xyz: Floats
    up: Ints
    below: list[list[int]]
    far: Floats
    weight: Ints
    slack: Floats
    last: Ints

    @classmethod
    def of(cls, skeleton: Skeleton, like: Skeleton | None, tolerance_um: float) -> _Forks:
        order, above, far = _walked(skeleton, like, tolerance_um)
        children = np.bincount(above[above >= 0], minlength=len(above))
        row_of = np.full(len(above), -1)
        rows: list[int] = []
        up: list[int] = []
        nearest = np.full(len(above), -1)  # the fork above each node, by its row
        for node in order:
            parent = int(above[node])
            before = -1 if parent < 0 else int(row_of[parent]) if row_of[parent] >= 0 else int(nearest[parent])
            nearest[node] = before
            if parent < 0 or children[node] != 1:
                row_of[node] = len(rows)
                rows.append(node)
                up.append(before)
        weight = np.array([children[node] == 0 for node in rows], np.int64)
        last = np.arange(len(rows))
        below: list[list[int]] = [[] for _ in rows]
        for row in range(len(rows) - 1, -1, -1):  # depth first, so that descendants follow
            if up[row] >= 0:
                weight[up[row]] += weight[row]
                last[up[row]] = max(last[up[row]], last[row])
                below[up[row]].insert(0, row)
        ups = np.array(up, np.int64)
        slack = np.where(ups < 0, _radius(skeleton, np.array(rows, np.int64)), 0.0)
        return cls(skeleton.xyz[rows], ups, below, far[rows], weight, slack, last)

    def above(self, row: int) -> list[int]:
        """Its ancestors, the nearest first."""
        found = []
        while (row := int(self.up[row])) >= 0:
            found.append(row)
        return found

    def leads(self, upper: int, lower: int) -> bool:
        """Whether one is an ancestor of the other."""
        return bool(upper < lower <= self.last[upper])


def _walked(skeleton: Skeleton, like: Skeleton | None, tolerance_um: float) -> tuple[list[int], Ints, Floats]:
    """All nodes depth first, the node before each (-1 at a root), and its way from there."""
    from scipy.spatial import KDTree

    edges = skeleton.edges()
    neighbours: list[list[int]] = [[] for _ in range(len(skeleton))]
    for child, parent in edges.tolist():
        neighbours[child].append(parent)
        neighbours[parent].append(child)
    starts: list[int] = []
    if like is not None:
        roots = np.flatnonzero(like.parent < 0)
        distance, nearest = KDTree(skeleton.xyz).query(like.xyz[roots])
        starts = nearest[distance <= tolerance_um + _radius(like, roots)].tolist()
    starts += np.flatnonzero(skeleton.parent < 0).tolist()
    above = np.full(len(skeleton), -2, np.int64)
    far, order = np.zeros(len(skeleton)), []
    for start in starts:
        if above[start] != -2:
            continue
        stack = [(start, -1)]
        while stack:
            node, before = stack.pop()
            above[node] = before
            if before >= 0:
                far[node] = far[before] + np.linalg.norm(skeleton.xyz[node] - skeleton.xyz[before])
            order.append(node)
            stack += [(n, node) for n in reversed(neighbours[node]) if n != before]
    return order, above, far


def _radius(skeleton: Skeleton, rows: Ints) -> Floats:
    """The radius of nodes, 0 where it is not known."""
    return np.where(skeleton.radius[rows] > 0, skeleton.radius[rows], 0.0)


def _matched(mine: _Forks, theirs: _Forks, targets: list[int], tolerance_um: float) -> dict[int, int]:
    """The node of the trace for each true node that has one; roots are matched by their place alone."""
    from scipy.spatial import KDTree

    near = KDTree(mine.xyz).query_ball_point(theirs.xyz, tolerance_um + theirs.slack, return_sorted=True)
    pairs = sorted(
        (float(np.linalg.norm(mine.xyz[t] - theirs.xyz[n])), n, t) for n in range(len(near)) for t in near[n]
    )
    matched: dict[int, int] = {}
    taken: set[int] = set()
    aims = set(targets)
    for _, n, t in pairs:
        if n in matched or t in taken:
            continue
        if n not in aims or _hangs(n, t, mine, theirs, near, tolerance_um):
            matched[n] = t
            taken.add(t)
    return matched


def _hangs(n: int, t: int, mine: _Forks, theirs: _Forks, near: list[list[int]], tolerance_um: float) -> bool:
    """Whether a node of the trace hangs on an ancestor as the true node does."""
    for ancestor in theirs.above(n):
        way = theirs.far[n] - theirs.far[ancestor]
        for upper in near[ancestor]:
            if mine.leads(upper, t) and _alike(mine.far[t] - mine.far[upper], way, tolerance_um):
                return True
    return False


def _continued(n: int, mine: _Forks, theirs: _Forks, matched: dict[int, int], tolerance_um: float) -> bool:
    """Whether the trace leads past a fork, from a match above it to one below it."""
    upper = next((a for a in theirs.above(n) if a in matched), None)
    if upper is None:
        return False
    queue = list(theirs.below[n])
    for lower in queue:  # grows as it goes
        if lower in matched:
            way = theirs.far[lower] - theirs.far[upper]
            one, other = matched[upper], matched[lower]
            if mine.leads(one, other) and _alike(mine.far[other] - mine.far[one], way, tolerance_um):
                return True
        else:
            queue += theirs.below[lower]
    return False


def _alike(way: float, true: float, tolerance_um: float) -> bool:
    return bool(abs(way - true) <= max(PATH_ERROR * true, 2 * tolerance_um))
