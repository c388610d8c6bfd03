"""Errors in how traced trees hang together: splits, merges, missing and spurious branches.

Cable is laid along all edges in pieces of at most half a micrometre. Each piece of a traced tree is *of* the true
neuron that passes nearest to it, if that is within the tolerance. The neuron that most of a tree is of has the
first say: a piece within the tolerance of it is of no other one, though that may pass nearer where neurons touch.

- A traced tree *holds* a true neuron where at least `least_um` of it are of that neuron.
- Splits: for each true neuron, the traced trees that hold it, less the trees of that length that it has itself.
- Merges: for each traced tree, the true neurons that it holds, less one.
- A branch is a chain of edges between two of root, fork and tip. A true branch of at least `least_um` is *missing*
  where less than half of its length lies within the tolerance of any traced tree. A traced branch of that
  length is *spurious* where less than half of its length lies within the tolerance of any true neuron.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.evaluate.agreement import TOLERANCE_UM
from neuropack.skeleton import Skeleton, parent_rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_PIECE_UM = 0.5
LEAST_UM = 5.0


@dataclass(frozen=True)
class TopologyErrors:
    """How many errors there are.

    Attributes:
        splits, merges, missing, spurious: see the module.
        neurons, trees: true neurons, and traced trees.
        branches, traced_branches: those of at least the least length.
        unfound: true neurons that no traced tree holds; they are no split.
    """

    splits: int
    merges: int
    missing: int
    spurious: int
    neurons: int
    trees: int
    branches: int
    traced_branches: int
    unfound: int


def topology_errors(
    truth: Sequence[Skeleton],
    traced: Sequence[Skeleton],
    tolerance_um: float = TOLERANCE_UM,
    least_um: float = LEAST_UM,
) -> TopologyErrors:
    """Compare all traced neurons of an image with all true ones.

    Args:
        truth: each one neuron, in one frame with the traced ones.
        traced: each tree of each skeleton counts for itself.
        tolerance_um: how far apart two traces of one neurite may lie.
        least_um: what is shorter is not counted.
    """
    true, found = _cable(truth, by_tree=False), _cable(traced, by_tree=True)
    held_by = _nearest(true, found, tolerance_um)
    of = _nearest(found, true, tolerance_um)
    first = _holds(of, found, true.owners).argmax(axis=0) if true.owners else np.empty(0, np.int64)
    for neuron in range(true.owners):
        mine = np.flatnonzero(first[found.owner] == neuron)
        near = _nearest(found.part(mine), true.part(np.flatnonzero(true.owner == neuron)), tolerance_um) >= 0
        of[mine[near]] = neuron
    holds = _holds(of, found, true.owners)
    several = (holds >= least_um).sum(axis=1), (holds >= least_um).sum(axis=0)
    own = np.array([_trees(one, least_um) for one in truth], np.int64)
    missing, branches = _lost(true, held_by >= 0, least_um)
    spurious, traced_branches = _lost(found, of >= 0, least_um)
    return TopologyErrors(
        splits=int(np.maximum(several[0] - own, 0).sum()),
        merges=int(np.maximum(several[1] - 1, 0).sum()),
        missing=missing,
        spurious=spurious,
        neurons=true.owners,
        trees=found.owners,
        branches=branches,
        traced_branches=traced_branches,
        unfound=int((several[0] == 0).sum()),
    )


def _trees(neuron: Skeleton, least_um: float) -> int:
    """How many trees of at least the least length a neuron has; one at least."""
    cable = _cable([neuron], by_tree=True)
    return max(1, int((np.bincount(cable.owner, cable.length, cable.owners) >= least_um).sum()))


def _holds(of: Ints, found: _Cable, neurons: int) -> Floats:
    """Micrometres of each traced tree that are of each true neuron (neurons, trees)."""
    holds = np.zeros((neurons, found.owners))
    np.add.at(holds, (of[of >= 0], found.owner[of >= 0]), found.length[of >= 0])
    return holds


@dataclass(frozen=True, eq=False)
class _Cable:
    """Pieces of cable: their middles (n, 3), lengths, the tree or neuron of each, and its branch."""

    middle: Floats
    length: Floats
    owner: Ints
    branch: Ints
    owners: int
    branches: int

    def part(self, rows: Ints) -> _Cable:
        """Some of the pieces."""
        columns = (self.middle[rows], self.length[rows], self.owner[rows], self.branch[rows])
        return _Cable(*columns, self.owners, self.branches)


def _cable(skeletons: Sequence[Skeleton], *, by_tree: bool) -> _Cable:
    parts: list[tuple[Floats, Floats, Ints, Ints]] = []
    owners = branches = 0
    for skeleton in skeletons:
        above = parent_rows(skeleton.id, skeleton.parent)
        tree, branch = _trees_and_branches(above)
        child = np.flatnonzero(above >= 0)
        a, b = skeleton.xyz[above[child]], skeleton.xyz[child]
        length = np.linalg.norm(b - a, axis=1)
        n = np.maximum(1, np.ceil(length / _PIECE_UM)).astype(np.int64)
        edge = np.repeat(np.arange(len(child)), n)
        at = (np.arange(len(edge)) - np.repeat(np.cumsum(n) - n, n) + 0.5) / n[edge]
        owner = owners + tree[child] if by_tree else np.full(len(child), owners)
        parts.append(
            (
                a[edge] + at[:, None] * (b - a)[edge],
                length[edge] / n[edge],
                owner[edge],
                branches + branch[child][edge],
            )
        )
        owners += int(tree.max(initial=-1)) + 1 if by_tree else 1
        branches += int(branch.max(initial=-1)) + 1
    none = (np.empty((0, 3)), np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
    middle, lengths, owner, branch = (np.concatenate([none[i], *(p[i] for p in parts)]) for i in range(4))
    return _Cable(middle, lengths, owner.astype(np.int64), branch.astype(np.int64), owners, branches)


def _trees_and_branches(above: Ints) -> tuple[Ints, Ints]:
    """The tree of each node, and the branch of the edge above it (-1 at a root)."""
    children = np.bincount(above[above >= 0], minlength=len(above))
    below: list[list[int]] = [[] for _ in above]
    for node, up in enumerate(above.tolist()):
        if up >= 0:
            below[up].append(node)
    tree, branch = np.full(len(above), -1, np.int64), np.full(len(above), -1, np.int64)
    branches = 0
    for number, root in enumerate(np.flatnonzero(above < 0).tolist()):
        stack = [root]
        while stack:
            node = stack.pop()
            tree[node] = number
            up = int(above[node])
            if up >= 0 and above[up] >= 0 and children[up] == 1:
                branch[node] = branch[up]
            elif up >= 0:
                branch[node] = branches
                branches += 1
            stack += below[node]
    return tree, branch


def trees_at(xyz: Floats, owner: Ints, traced: Sequence[Skeleton], tolerance_um: float = TOLERANCE_UM) -> Ints:
    """The traced tree at each place of true neurons, from 1; 0 where none is near enough.

    The tree that is nearest, but where the tree that has most places of the neuron is within the tolerance, that.

    Args:
        xyz: of the places (n, 3), micrometre.
        owner: the neuron of each (n,), from 0.
        traced: each tree of each skeleton counts for itself.
        tolerance_um: how far apart two traces of one neurite may lie.
    """
    found = _cable(traced, by_tree=True)
    tree = _nearest_to(xyz, found, tolerance_um)
    for neuron in np.unique(owner):
        mine = np.flatnonzero(owner == neuron)
        held = tree[mine][tree[mine] >= 0]
        if len(held):
            first = int(np.bincount(held).argmax())
            near = _nearest_to(xyz[mine], found.part(np.flatnonzero(found.owner == first)), tolerance_um) >= 0
            tree[mine[near]] = first
    return tree + 1


def _nearest(pieces: _Cable, others: _Cable, tolerance_um: float) -> Ints:
    """The owner of the piece of the others that lies nearest to each piece, -1 where none is near enough."""
    return _nearest_to(pieces.middle, others, tolerance_um)


def _nearest_to(points: Floats, others: _Cable, tolerance_um: float) -> Ints:
    from scipy.spatial import KDTree

    if not len(others.middle) or not len(points):
        return np.full(len(points), -1, np.int64)
    # a point of the cable lies up to half a piece from a middle
    reach = float(np.hypot(tolerance_um, _PIECE_UM / 2))
    _, row = KDTree(others.middle).query(points, distance_upper_bound=reach)
    return np.where(row < len(others.owner), others.owner[np.minimum(row, len(others.owner) - 1)], -1)


def _lost(cable: _Cable, found: npt.NDArray[np.bool_], least_um: float) -> tuple[int, int]:
    """Branches of at least the least length of which less than half is found, and all of that length."""
    whole = np.bincount(cable.branch, cable.length, cable.branches)
    part = np.bincount(cable.branch[found], cable.length[found], cable.branches)
    long = whole >= least_um
    return int((long & (part < 0.5 * whole)).sum()), int(long.sum())
