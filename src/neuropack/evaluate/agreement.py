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
_TARGETS = 10  # of a tolerance: how far apart the points are that it is judged by; off by 0.2 % of it at most

Floats = npt.NDArray[np.float64]


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
    mine, theirs = _cable(a, tolerance_um), _cable(b, tolerance_um)
    lengths = (float(mine.lengths.sum()), float(theirs.lengths.sum()))
    if not all(lengths):
        note = "a skeleton without length" if any(lengths) else "no skeleton has any length"
        return [
            Score(name, None, sum(lengths), note) for name in ("length_precision", "length_recall", "length_f1")
        ]
    precision = float(theirs.lengths[_near(theirs.middles, mine.points, tolerance_um)].sum()) / lengths[1]
    recall = float(mine.lengths[_near(mine.middles, theirs.points, tolerance_um)].sum()) / lengths[0]
    both = precision + recall
    return [
        Score("length_precision", min(precision, 1.0), lengths[1]),
        Score("length_recall", min(recall, 1.0), lengths[0]),
        Score("length_f1", min(2 * precision * recall / both, 1.0) if both else 0.0, sum(lengths)),
    ]


@dataclass(frozen=True, eq=False)
class _Cable:
    """A skeleton in pieces: their middles (n, 3) and lengths (n,), and denser points (m, 3) along it."""

    middles: Floats
    lengths: Floats
    points: Floats


def _cable(skeleton: Skeleton, tolerance_um: float) -> _Cable:
    edges = skeleton.edges()
    start, end = skeleton.xyz[edges[:, 1]], skeleton.xyz[edges[:, 0]]
    middles, lengths = _along(start, end, tolerance_um / _PIECES)
    points, _ = _along(start, end, tolerance_um / _TARGETS)
    return _Cable(middles, lengths, np.concatenate([skeleton.xyz, points]))


def _along(start: Floats, end: Floats, step: float) -> tuple[Floats, Floats]:
    """The middles of equal pieces of edges, none longer than a step, and the length of each piece."""
    length = np.linalg.norm(end - start, axis=1)
    parts = np.maximum(1, np.ceil(length / step)).astype(np.int64)
    edge = np.repeat(np.arange(len(parts)), parts)
    at = (np.arange(len(edge)) - np.repeat(np.cumsum(parts) - parts, parts) + 0.5) / parts[edge]
    return start[edge] + at[:, None] * (end - start)[edge], length[edge] / parts[edge]


def _near(points: Floats, others: Floats, distance: float) -> npt.NDArray[np.bool_]:
    from scipy.spatial import KDTree

    # the targets lie up to half a step from the cable that they stand for
    reach = float(np.hypot(distance, distance / _TARGETS / 2))
    found, _ = KDTree(others).query(points, distance_upper_bound=reach)
    near: npt.NDArray[np.bool_] = np.isfinite(found)
    return near


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
    pairs = []
    for row, box in enumerate(a):
        low, high = np.maximum(box[:3], b[:, :3]), np.minimum(box[3:], b[:, 3:])
        common = np.clip(high - low, 0, None).prod(axis=1)
        union = np.prod(box[3:] - box[:3]) + (b[:, 3:] - b[:, :3]).prod(axis=1) - common
        alike = np.divide(common, union, out=np.zeros(len(b)), where=union > 0)
        pairs += [(row, int(other)) for other in np.flatnonzero(alike >= least_iou)]
    return [Score("box_f1", 2 * _matched(pairs, len(a), len(b)) / (len(a) + len(b)), len(a) + len(b))]


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
