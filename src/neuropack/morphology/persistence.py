"""The persistence diagram of a neuron: its branches as bars, from where each is born to where it ends.

The topological morphology descriptor (Kanari et al. 2018, Neuroinformatics 16: 3) on the length of the way from the
soma: at every fork the daughter that reaches farthest lives on, the others end there.
"""

from __future__ import annotations

import numpy as np

from neuropack.morphology.arbor import Floats, Ints, arbor
from neuropack.morphology.branches import Branches, branches
from neuropack.skeleton import Skeleton


def persistence_diagram(skeleton: Skeleton) -> Floats:
    """The bars of a skeleton.

    Returns:
        (n, 2), a bar for each tip: the way from the origin to the fork where the bar leaves another one (0 at the
        soma or root), and to the tip, micrometre. The bars cover every neurite once: their lengths sum up to that
        of all cable.

    Raises:
        InputError: the skeleton is empty, or its parents make no trees.
    """
    return bars(branches(arbor(skeleton)))


def bars(found: Branches) -> Floats:
    """As `persistence_diagram`, of branches."""
    if not len(found):
        return np.empty((0, 2))
    far = _farthest(found)
    # by fork, the daughter that reaches farthest first, of equal ones the first
    order = np.lexsort((np.arange(len(found)), -far, found.base))
    lives = np.append(True, found.base[order][1:] != found.base[order][:-1])
    ends = order[~lives | found.stem[order]]
    ends.sort()
    start = found.path_base[ends]
    return np.column_stack(
        [start, np.maximum(start, far[ends])]
    )  # a bar without length is none below 0 by rounding


def _farthest(found: Branches) -> Floats:
    """The longest way from the origin to a tip of the subtree of each branch (b,)."""
    count = found.arbor.below(_flags(found.head, len(found.arbor.up)))[found.head]
    start = np.arange(len(found))
    tables = [found.path_foot]  # maxima of 1, 2, 4 ... branches from each on
    while (width := 1 << (len(tables) - 1)) * 2 <= len(found):
        tables.append(np.maximum(tables[-1][:-width], tables[-1][width:]))
    level = np.frexp(count)[1] - 1
    far = np.empty(len(found))
    for number, table in enumerate(tables):
        at = np.flatnonzero(level == number)
        far[at] = np.maximum(table[start[at]], table[start[at] + count[at] - (1 << number)])
    return far


def _flags(places: Ints, size: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    flags = np.zeros(size, np.bool_)
    flags[places] = True
    return flags


def entropy(lengths: Floats) -> float | None:
    """Shannon entropy of the bars' parts of their sum, in nat; None without a bar that has a length."""
    parts = lengths[lengths > 0]
    if not len(parts):
        return None
    parts = parts / parts.sum()
    return float(-(parts * np.log(parts)).sum())
