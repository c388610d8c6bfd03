"""Agreement between annotators of one object: how alike two or more annotations of it are.

Every measure is 1 for equal annotations. Where one cannot be formed (a skeleton without length, a mask without
voxels on either side, classes that are all one) there is no value, and a note says why; it is not scored 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from neuropack.skeleton import Skeleton

TOLERANCE_UM: Final = 2.0
"""How far apart two traces of one neurite may lie, micrometre (the usual 2 um of SSD and of length scores)."""
LEAST_IOU: Final = 0.5
_PIECES = 4  # of a tolerance: cable is judged in pieces of that length at most
_NEAREST = 4  # points whose edges are looked at for the nearest one
_TARGETS = 10  # of a tolerance: how far apart the points are that it is judged by; off by 0.2 % of it at most

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """One measure.

    Attributes:
        measure: its name, such as ``length_f1``.
        value: from 0 to 1 (kappa from -1); None where it cannot be formed.
        n: what it is over: micrometre of cable, voxels, or objects.
        note: why there is no value.
    """

    measure: str
    value: float | None
    n: float
    note: str = ""


def traces(a: Skeleton, b: Skeleton, tolerance_um: float = TOLERANCE_UM) -> list[Score]:
    """Length precision, recall and F1 of two traces of one neuron.

    Precision is the part of b's cable that lies within the tolerance of a's, recall the part of a's within the
    tolerance of b's; F1, their harmonic mean, is the same either way.

    Args:
        a, b: in one frame.
        tolerance_um: micrometre.
    """
    mine, theirs = cable([a], tolerance_um), cable([b], tolerance_um)
    lengths = (mine.length_um, theirs.length_um)
    if not all(lengths):
        note = "a skeleton without length" if any(lengths) else "no skeleton has any length"
        return [
            Score(name, None, sum(lengths), note) for name in ("length_precision", "length_recall", "length_f1")
        ]
    precision = theirs.near_um(mine, tolerance_um) / lengths[1]
    recall = mine.near_um(theirs, tolerance_um) / lengths[0]
    return [
        Score("length_precision", precision, lengths[1]),
        Score("length_recall", recall, lengths[0]),
        Score("length_f1", harmonic(precision, recall), sum(lengths)),
    ]


def harmonic(precision: float, recall: float) -> float:
    """The harmonic mean of two parts; 0 where both are."""
    both = precision + recall
    return min(2 * precision * recall / both, 1.0) if both else 0.0


@dataclass(frozen=True, eq=False)
class Cable:
    """The cable of skeletons: in pieces that are judged, and in denser points that others are judged by.

    Attributes:
        middles: of the pieces (n, 3).
        lengths: of the pieces (n,).
        points: along the cable, and the nodes (m, 3).
        starts, ends: of the edge that each point lies on (m, 3); a node is an edge of its own.
    """

    middles: Floats
    lengths: Floats
    points: Floats
    starts: Floats
    ends: Floats

    @property
    def length_um(self) -> float:
        """Of all of it."""
        return float(self.lengths.sum())

    def near_um(self, other: Cable, distance: float) -> float:
        """How much of it lies within a distance of other cable, micrometre; no more than there is."""
        from scipy.spatial import KDTree

        # the points lie up to half a step from the cable that they stand for
        reach = float(np.hypot(distance, distance / _TARGETS / 2))
        found, _ = KDTree(other.points).query(self.middles, distance_upper_bound=reach)
        return min(float(self.lengths[np.isfinite(found)].sum()), self.length_um)

    def distances(self, other: Cable) -> Floats:
        """From the middle of each piece to other cable, micrometre (n,)."""
        from scipy.spatial import KDTree

        least = np.full(len(self.middles), np.inf)
        k = min(_NEAREST, len(other.points))
        _, rows = KDTree(other.points).query(self.middles, k=k)
        for row in np.asarray(rows).reshape(len(self.middles), k).T:
            along, start = other.ends[row] - other.starts[row], self.middles - other.starts[row]
            whole = (along * along).sum(axis=1)
            at = np.divide((start * along).sum(axis=1), whole, out=np.zeros(len(whole)), where=whole > 0)
            least = np.minimum(least, np.linalg.norm(start - np.clip(at, 0, 1)[:, None] * along, axis=1))
        return least


def cable(skeletons: Sequence[Skeleton], tolerance_um: float) -> Cable:
    """The cable of skeletons, cut as finely as a tolerance wants it."""
    starts, ends, nodes = [np.empty((0, 3))], [np.empty((0, 3))], [np.empty((0, 3))]
    for skeleton in skeletons:
        edges = skeleton.edges()
        starts.append(skeleton.xyz[edges[:, 1]])
        ends.append(skeleton.xyz[edges[:, 0]])
        nodes.append(skeleton.xyz)
    start, end, node = np.concatenate(starts), np.concatenate(ends), np.concatenate(nodes)
    middles, lengths, _ = _along(start, end, tolerance_um / _PIECES)
    points, _, edge = _along(start, end, tolerance_um / _TARGETS)
    return Cable(
        middles,
        lengths,
        np.concatenate([node, points]),
        np.concatenate([node, start[edge]]),
        np.concatenate([node, end[edge]]),
    )


def _along(start: Floats, end: Floats, step: float) -> tuple[Floats, Floats, Ints]:
    """The middles of equal pieces of edges, none longer than a step, the length of each, and its edge."""
    length = np.linalg.norm(end - start, axis=1)
    parts = np.maximum(1, np.ceil(length / step)).astype(np.int64)
    edge = np.repeat(np.arange(len(parts)), parts)
    at = (np.arange(len(edge)) - np.repeat(np.cumsum(parts) - parts, parts) + 0.5) / parts[edge]
    return start[edge] + at[:, None] * (end - start)[edge], length[edge] / parts[edge], edge


def masks(a: int, b: int, both: int) -> list[Score]:
    """IoU and Dice of two masks, from the voxels of each and of both."""
    union = a + b - both
    if not union:
        return [Score(name, None, 0, "neither has a voxel") for name in ("iou", "dice")]
    return [Score("iou", both / union, union), Score("dice", 2 * both / (a + b), union)]


def classes(a: Mapping[Hashable, str], b: Mapping[Hashable, str]) -> list[Score]:
    """Cohen's kappa and the plain agreement of two sets of class labels, over the objects that both labelled.

    Kappa = (p - e) / (1 - e) with p the part on which they agree and e what chance would give (Cohen 1960).
    """
    common = [key for key in a if key in b]
    n = len(common)
    if not n:
        return [Score(name, None, 0, "no object has a class from both") for name in ("kappa", "class_agreement")]
    agreed = sum(a[key] == b[key] for key in common) / n
    mine, theirs = (Counter(said[key] for key in common) for said in (a, b))
    chance = sum(mine[name] * theirs[name] for name in mine) / n**2
    kappa = None if chance == 1 else (agreed - chance) / (1 - chance)
    note = "" if kappa is not None else "all objects have one class: chance alone would agree"
    return [Score("kappa", kappa, n, note), Score("class_agreement", agreed, n)]


def fleiss(said: Sequence[Mapping[Hashable, str]]) -> Score:
    """Fleiss' kappa of several annotators, over the objects that all of them labelled (Fleiss 1971)."""
    common = [key for key in said[0] if all(key in one for one in said)]
    if not common:
        return Score("fleiss_kappa", None, 0, "no object has a class from all")
    names = sorted({one[key] for one in said for key in common})
    counts = np.array([[sum(one[key] == name for one in said) for name in names] for key in common], np.float64)
    raters, n = len(said), len(common)
    agreed = float(((counts**2).sum(axis=1) - raters).sum() / (n * raters * (raters - 1)))
    chance = float(((counts.sum(axis=0) / (n * raters)) ** 2).sum())
    if chance == 1:
        return Score("fleiss_kappa", None, n, "all objects have one class: chance alone would agree")
    return Score("fleiss_kappa", (agreed - chance) / (1 - chance), n)


def boxes(a: Floats, b: Floats, least_iou: float = LEAST_IOU) -> list[Score]:
    """F1 of two sets of boxes (n, 6), each box matched to one of the others with at least this IoU at most."""
    if not len(a) + len(b):
        return [Score("box_f1", None, 0, "neither has a box")]
    rows, others, alike = box_overlaps(a, b)
    pairs = [(int(rows[at]), int(others[at])) for at in np.flatnonzero(alike >= least_iou)]
    return [Score("box_f1", 2 * _matched(pairs, len(a), len(b)) / (len(a) + len(b)), len(a) + len(b))]


def box_overlaps(a: Floats, b: Floats) -> tuple[Ints, Ints, Floats]:
    """Which boxes (n, 6) and others (m, 6), half open, have voxels in common, and their IoU.

    Returns:
        rows of a, rows of b, and IoU of each such pair (k,), in the order of a.
    """
    order = np.argsort(b[:, 0], kind="stable")
    sorted_b = b[order]
    longest = float((b[:, 3] - b[:, 0]).max(initial=0))
    first = np.searchsorted(sorted_b[:, 0], a[:, 0] - longest, "left")  # all that begin before have ended
    end = np.searchsorted(sorted_b[:, 0], a[:, 3], "left")
    found: list[tuple[Ints, Ints, Floats]] = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    for row, box in enumerate(a):
        near = sorted_b[first[row] : end[row]]
        common = np.clip(np.minimum(box[3:], near[:, 3:]) - np.maximum(box[:3], near[:, :3]), 0, None).prod(axis=1)
        at = np.flatnonzero(common)
        union = np.prod(box[3:] - box[:3]) + (near[at, 3:] - near[at, :3]).prod(axis=1) - common[at]
        found.append((np.full(len(at), row), order[first[row] + at], common[at] / union))
    rows, others, alike = (np.concatenate(column) for column in zip(*found, strict=True))
    return rows, others, alike


def points(a: Floats, b: Floats, tolerance_um: float = TOLERANCE_UM) -> list[Score]:
    """F1 of two sets of points (n, 3), each matched to one of the others within the tolerance at most."""
    from scipy.spatial import KDTree

    if not len(a) + len(b):
        return [Score("point_f1", None, 0, "neither has a point")]
    if not len(a) or not len(b):
        return [Score("point_f1", 0.0, len(a) + len(b))]
    found = KDTree(a).query_ball_tree(KDTree(b), tolerance_um)
    pairs = [(row, other) for row, others in enumerate(found) for other in others]
    return [Score("point_f1", 2 * _matched(pairs, len(a), len(b)) / (len(a) + len(b)), len(a) + len(b))]


def _matched(pairs: Sequence[tuple[int, int]], n: int, m: int) -> int:
    """How many can be matched one to one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if not pairs:
        return 0
    rows, columns = zip(*pairs, strict=True)
    graph = coo_array((np.ones(len(pairs), np.int8), (rows, columns)), shape=(n, m)).tocsr()
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())
