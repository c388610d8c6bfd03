"""A skeleton in walking order: every sample before its children, every subtree without a gap.

Sums over subtrees and over ancestors become differences of cumulative sums, whatever the shape of the tree: nothing
here loops over samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.skeleton import SOMA, Skeleton

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_FAR_UM = 1e9  # a kilometre; squares and cubes of what is below stay numbers


@dataclass(frozen=True, eq=False)
class Arbor:
    """The trees of a skeleton, samples in walking order.

    A tree that has a soma begins at it, wherever its file has the root. Type 1 further out, where a neurite lies
    between, is no soma.

    Attributes:
        up: place of the parent (n,), -1 at a root.
        size: samples of the subtree (n,), the sample itself with them.
        xyz: (n, 3), micrometre.
        radius: (n,), micrometre.
        type: SWC types (n,).
        soma: samples of the soma at which a tree begins (n,).
        origin: where neurites begin (n,): the soma, or the root of a tree without one.
        length: of the edge to the parent (n,), micrometre; 0 at an origin.
        path: length of the way from the origin (n,), micrometre.
    """

    up: Ints
    size: Ints
    xyz: Floats
    radius: Floats
    type: Ints
    soma: Bools
    origin: Bools
    length: Floats
    path: Floats

    @property
    def neurite(self) -> Ints:
        """Places of the samples of neurites: each has an edge to its parent."""
        return np.flatnonzero(~self.origin)

    @property
    def cable(self) -> Bools:
        """Samples at an end of an edge of a neurite (n,)."""
        at = ~self.origin
        at[self.up[self.neurite]] = True
        return at

    @property
    def tree(self) -> Ints:
        """Number of the tree of each sample (n,)."""
        return np.cumsum(self.up < 0) - 1

    def children(self) -> Ints:
        """Edges of neurites that leave each sample (n,)."""
        return np.bincount(self.up[self.neurite], minlength=len(self.up))

    def above(self, flag: Bools) -> Ints:
        """How many of a sample and its ancestors are flagged (n,)."""
        return _above(flag, self.size)

    def below(self, flag: Bools) -> Ints:
        """How many samples of each subtree are flagged (n,)."""
        sums = np.append(0, np.cumsum(flag))
        places = np.arange(len(flag))
        return np.asarray(sums[places + self.size] - sums[places], np.int64)


def arbor(skeleton: Skeleton) -> Arbor:
    """The trees of a skeleton in walking order.

    Raises:
        InputError: it has no samples, a parent does not exist, a sample is its own ancestor, or not a number of
            micrometre that could be.
    """
    if not ((np.abs(skeleton.xyz) < _FAR_UM).all() and (np.abs(skeleton.radius) < _FAR_UM).all()):
        raise InputError("a sample is beyond any brain", expected=f"micrometre, below {_FAR_UM:g}")
    rows, up, size = _from_soma(_parents(skeleton), skeleton.type == SOMA)
    xyz = np.asarray(skeleton.xyz, np.float64)[rows]
    kind = skeleton.type[rows]
    soma = _above(kind != SOMA, size) == 0
    origin = soma | (up < 0)
    length = np.linalg.norm(xyz - xyz[up], axis=1)
    length[origin] = 0.0
    return Arbor(
        up=up,
        size=size,
        xyz=xyz,
        radius=np.asarray(skeleton.radius, np.float64)[rows],
        type=kind,
        soma=soma,
        origin=origin,
        length=length,
        path=_summed(length, up),
    )


def _above(flag: Bools, size: Ints) -> Ints:
    steps = np.zeros(len(flag) + 1, np.int64)
    at = np.flatnonzero(flag)
    np.add.at(steps, at, 1)
    np.add.at(steps, at + size[at], -1)
    return np.cumsum(steps)[:-1]


def _parents(skeleton: Skeleton) -> Ints:
    """Row of each parent, -1 at a root."""
    if not len(skeleton):
        raise InputError("a skeleton holds no samples", expected="at least one")
    edges = skeleton.edges()
    lost = np.flatnonzero(skeleton.id[edges[:, 1]] != skeleton.parent[edges[:, 0]])
    if len(lost):
        row = edges[lost[0], 0]
        raise InputError(
            "a parent does not exist", where=f"sample {skeleton.id[row]}", found=f"parent {skeleton.parent[row]}"
        )
    up = np.full(len(skeleton), -1, np.int64)
    up[edges[:, 0]] = edges[:, 1]
    return up


def _from_soma(up: Ints, soma: Bools) -> tuple[Ints, Ints, Ints]:
    """Rows in walking order, places of their parents and sizes; trees that have a soma begin at it."""
    rows, above, size = _walk(up)
    begins = np.flatnonzero(above < 0)
    first = np.full(len(begins), len(up))  # of each tree the first sample of type soma, by row
    np.minimum.at(first, (np.cumsum(above < 0) - 1)[soma[rows]], rows[soma[rows]])
    turned = np.flatnonzero((first < len(up)) & ~soma[rows[begins]])
    if not len(turned):
        return rows, above, size
    up = up.copy()
    places = np.empty(len(up), np.int64)
    places[rows] = np.arange(len(up))
    for sample in first[turned]:
        at = places[sample]
        way = rows[np.flatnonzero((np.arange(len(up)) <= at) & (at < np.arange(len(up)) + size))]  # root first
        up[way[:-1]] = way[1:]
        up[sample] = -1
    return _walk(up)


def _walk(up: Ints) -> tuple[Ints, Ints, Ints]:
    """Rows in walking order, children in the order of their rows; places of their parents; sizes of subtrees.

    A walk around the trees enters and leaves every sample once. What follows what is a list, and how far each step
    is from the end of the list comes from doubling (Tarjan & Vishkin 1985, "An efficient parallel biconnectivity
    algorithm", SIAM J. Comput. 14).
    """
    n = len(up)
    parent = np.where(up < 0, n, up)
    by = np.argsort(parent, kind="stable")  # the children of a parent side by side
    begin = np.searchsorted(parent[by], np.arange(n))
    leaf = np.bincount(parent, minlength=n + 1)[:n] == 0
    after = np.empty(2 * n + 1, np.int64)  # 0.. enters a sample, n.. leaves it, 2n is the end
    after[:n] = np.where(leaf, np.arange(n) + n, by[np.minimum(begin, n - 1)])
    last = np.append(parent[by][1:] != parent[by][:-1], True)
    after[n + by] = np.where(last, n + parent[by], np.append(by[1:], 0))
    after[2 * n] = 2 * n
    left = np.ones(2 * n + 1, np.int64)
    left[2 * n] = 0
    for _ in range((2 * n).bit_length()):
        left += left[after]
        after = after[after]
    if (after != 2 * n).any():
        raise InputError("a sample is its own ancestor", found="a ring", expected="trees")
    rows = np.argsort(-left[:n])
    places = np.empty(n + 1, np.int64)
    places[rows], places[n] = np.arange(n), -1
    size = (left[:n] - left[n : 2 * n] + 1) // 2
    return rows, places[parent[rows]], size[rows]


def _summed(length: Floats, up: Ints) -> Floats:
    """Sum of a sample's own length and those of its ancestors. Doubling adds only positive numbers."""
    n = len(up)
    path, above = np.append(length, 0.0), np.append(np.where(up < 0, n, up), n)
    for _ in range(n.bit_length()):
        path += path[above]
        above = above[above]
    return path[:-1]
