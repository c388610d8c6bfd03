"""Expected run length: how far one can follow a true neuron, from a point of it, before the first error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.evaluate.agreement import Floats, Ints, Score
from neuropack.skeleton import Skeleton, parent_rows, root_rows


@dataclass(frozen=True, eq=False)
class Places:
    """Places along true neurons, between which nothing is looked at.

    Attributes:
        xyz: of the places (n, 3), micrometre.
        owner: the neuron of each (n,), from 0.
        tree: the tree of each (n,), from 0 over all neurons: a neuron may have several, with gaps between.
        edges: pairs of places that follow each other (m, 2).
        lengths: of the edges (m,), micrometre.
        neurons: how many there are.
    """

    xyz: Floats
    owner: Ints
    tree: Ints
    edges: Ints
    lengths: Floats
    neurons: int


def places_of(truth: Sequence[Skeleton], step_um: float) -> Places:
    """The nodes of true neurons, and places between them so that neighbours are a step apart at most."""
    xyz, owner, edges = [np.empty((0, 3))], [np.empty(0, np.int64)], [np.empty((0, 2), np.int64)]
    tree = [np.empty(0, np.int64)]
    first = trees = 0
    for number, skeleton in enumerate(truth):
        above = parent_rows(skeleton.id, skeleton.parent)
        child = np.flatnonzero(above >= 0)
        start, end = skeleton.xyz[above[child]], skeleton.xyz[child]
        parts = np.maximum(1, np.ceil(np.linalg.norm(end - start, axis=1) / step_um)).astype(np.int64)
        edge = np.repeat(np.arange(len(parts)), parts)  # of each piece
        nth = np.arange(len(edge)) - np.repeat(np.cumsum(parts) - parts, parts)
        last = nth == parts[edge] - 1
        between = np.flatnonzero(~last)
        at = (nth[between] + 1) / parts[edge[between]]
        new = start[edge[between]] + at[:, None] * (end - start)[edge[between]]
        upper = np.empty(len(edge), np.int64)  # the place at the far end of each piece
        upper[last] = child
        upper[between] = len(skeleton) + np.arange(len(between))
        lower = np.where(nth == 0, above[child][edge], np.r_[0, upper[:-1]] if len(edge) else upper)
        roots = _roots(above)
        tree.append(np.concatenate([roots, roots[child[edge[between]]]]) + trees)
        trees += int((above < 0).sum())
        xyz += [skeleton.xyz, new]
        owner.append(np.full(len(skeleton) + len(new), number))
        edges.append(np.column_stack([lower, upper]) + first)
        first += len(skeleton) + len(new)
    places, pairs = np.concatenate(xyz), np.concatenate(edges)
    lengths = np.linalg.norm(places[pairs[:, 1]] - places[pairs[:, 0]], axis=1)
    return Places(places, np.concatenate(owner), np.concatenate(tree), pairs, lengths, len(truth))


def _roots(above: Ints) -> Ints:
    """Of each row the number of its root among the roots (n,)."""
    number = np.cumsum(above < 0) - 1
    return np.asarray(number[root_rows(above)], np.int64)


def run_length_scores(
    places: Places, segments: npt.NDArray[np.integer[Any]], merge_part: float = 0.0
) -> list[Score]:
    """Expected run length of a segmentation along true neurons.

    An edge is omitted where one of its ends lies in no segment, split where they lie in two. A segment that has
    `merge_part` or more of the length of each of several neurons merges these: all their edges are wrong. The
    other edges are right. The run length of a tree is the sum, over the segments, of the squared length of its
    right edges in the segment, by its length; ``erl_um`` is the mean over the trees, weighted by their length
    (Januszewski et al. 2018, as funlib.evaluate computes it). ``erl_fraction`` is the part of what equal labels
    would reach. ``erl_omitted``, ``erl_split``, ``erl_merged`` are the parts of the length that are wrong, by why.

    Args:
        places: along the true neurons.
        segments: in which each place lies (n,), 0 for none.
        merge_part: see above; with 0 a single place is enough, as in funlib.evaluate.
    """
    tree = places.tree[places.edges[:, 0]]
    whole = np.bincount(tree, places.lengths)
    total = float(whole.sum())
    if not total:
        names = ("erl_um", "erl_fraction", "erl_omitted", "erl_split", "erl_merged")
        return [Score(name, None, 0, "the truth has no cable") for name in names]
    merged = _merged(places, segments, merge_part)[places.owner[places.edges[:, 0]]]
    a, b = segments[places.edges[:, 0]], segments[places.edges[:, 1]]
    omitted = ~merged & ((a == 0) | (b == 0))
    split = ~merged & ~omitted & (a != b)
    right = ~(merged | omitted | split)
    _, segment = np.unique(a[right], return_inverse=True)
    runs, rows = np.unique(np.column_stack([tree[right], segment]), axis=0, return_inverse=True)
    run = np.bincount(rows.ravel(), places.lengths[right], len(runs))
    erl = float((run**2).sum()) / total  # the lengths of the trees cancel out
    best = float((whole**2).sum()) / total
    parts = {"omitted": omitted, "split": split, "merged": merged}
    return [
        Score("erl_um", erl, total),
        Score("erl_fraction", erl / best, total),
        *(Score(f"erl_{name}", float(places.lengths[of].sum()) / total, total) for name, of in parts.items()),
    ]


def _merged(places: Places, segments: npt.NDArray[np.integer[Any]], merge_part: float) -> npt.NDArray[np.bool_]:
    """Which neurons share a segment with another one (neurons,)."""
    ends = places.edges.ravel()
    weight = np.bincount(ends, np.repeat(places.lengths, 2) / 2, len(segments))
    inside = np.flatnonzero(segments != 0)
    names, segment = np.unique(segments[inside], return_inverse=True)
    pairs, rows = np.unique(np.column_stack([segment, places.owner[inside]]), axis=0, return_inverse=True)
    whole = np.bincount(places.owner, weight, places.neurons)
    pairs = pairs[np.bincount(rows.ravel(), weight[inside], len(pairs)) >= merge_part * whole[pairs[:, 1]]]
    several = np.bincount(pairs[:, 0], minlength=len(names)) > 1
    found = np.zeros(places.neurons, bool)
    found[pairs[several[pairs[:, 0]], 1]] = True
    return found
