"""The branches of an arbor: from the soma, the root or a fork to the next fork or tip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuropack.morphology.arbor import Arbor, Bools, Floats, Ints


@dataclass(frozen=True, eq=False)
class Branches:
    """The branches in walking order; a branch comes before those that it gives rise to.

    Attributes:
        arbor: whose they are.
        samples: places of the samples of neurites (m,), branch after branch.
        of: the branch of each of these samples (m,).
        begin: where the samples of each branch begin in `samples` (b,).
        base: place of the sample that a branch leaves from (b,): soma, root or fork.
        head: place of its first own sample (b,).
        foot: place of its last sample (b,): a fork or a tip.
        fork: whether it ends at a fork (b,); else at a tip.
        length: along the branch (b,), micrometre.
        order: forks between it and the origin (b,); 0 for stems.
        tips: tips of the subtree that it leads to (b,).
    """

    arbor: Arbor
    samples: Ints
    of: Ints
    begin: Ints
    base: Ints
    head: Ints
    foot: Ints
    fork: Bools
    length: Floats
    order: Ints
    tips: Ints

    def __len__(self) -> int:
        return len(self.begin)

    @property
    def stem(self) -> Bools:
        """Branches that leave the soma, or the root of a tree without one (b,)."""
        return self.arbor.origin[self.base]

    @property
    def path_base(self) -> Floats:
        """Way from the origin to where each branch leaves (b,), micrometre."""
        return self.arbor.path[self.base]

    @property
    def path_foot(self) -> Floats:
        """Way from the origin to the end of each branch (b,), micrometre."""
        return self.arbor.path[self.foot]

    def sums(self, values: Floats | Ints | Bools) -> Floats:
        """Sum over the samples of each branch (b,) of `values` (m,)."""
        return np.bincount(self.of, values, minlength=len(self)).astype(np.float64)  # of no samples: whole

    def pairs(self) -> Ints:
        """The two daughters of every fork that has exactly two, (k, 2), by number of branch."""
        daughters = np.flatnonzero(~self.stem)
        two = self.arbor.children()[self.base[daughters]] == 2
        daughters = daughters[two]
        pairs: Ints = daughters[np.argsort(self.base[daughters], kind="stable")].reshape(-1, 2)
        return pairs


def branches(arbor: Arbor) -> Branches:
    """The branches of an arbor. In walking order the samples of a branch follow each other."""
    children = arbor.children()
    fork = ~arbor.origin & (children >= 2)
    samples = arbor.neurite
    up = arbor.up[samples]
    heads = arbor.origin[up] | fork[up]
    of, begin = np.cumsum(heads) - 1, np.flatnonzero(heads)
    head = samples[begin]
    foot = samples[np.append(begin[1:], len(samples)) - 1] if len(begin) else samples
    base = arbor.up[head]
    return Branches(
        arbor=arbor,
        samples=samples,
        of=of,
        begin=begin,
        base=base,
        head=head,
        foot=foot,
        fork=fork[foot],
        length=np.bincount(of, arbor.length[samples], minlength=len(begin)).astype(np.float64),
        order=arbor.above(fork)[base],
        tips=arbor.below(~arbor.origin & (children == 0))[head],
    )


def strahler_order(arbor: Arbor) -> int:
    """The highest Horton-Strahler order; 0 where there is no neurite.

    Cut all paths that lead to one tip only: they have order 1, and what is left has its own tips one order higher
    (Strahler 1952, Geol. Soc. Am. Bull. 63: 1117). Each round at least halves the tips.
    """
    left, order = ~arbor.origin, 0
    while left.any():
        order += 1
        held = np.bincount(arbor.up[np.flatnonzero(left)], minlength=len(left)) > 0
        left = left & (arbor.below(left & ~held) > 1)
    return order
