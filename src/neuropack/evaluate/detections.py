"""Scores of boxes, points and class labels against true ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from neuropack.evaluate import agreement
from neuropack.evaluate.agreement import TOLERANCE_UM, Floats, Score, box_overlaps
from neuropack.evaluate.voxels import ratio

IOUS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
"""Those of the mean average precision, as COCO has them."""


_CLASS = ("precision", "recall", "f1")


def box_scores(found: Floats, truth: Floats, confidence: Floats | None = None) -> list[Score]:
    """Average precision of boxes, and precision, recall and F1 at an IoU of 0.5.

    ``ap_50`` and ``ap_75`` are `average_precision` at IoU 0.5 and 0.75, ``ap_50_95`` the mean over `IOUS`.
    Classes of boxes are not looked at.

    Args:
        found: boxes (n, 6), z0, y0, x0, z1, y1, x1, half open.
        truth: boxes (m, 6).
        confidence: of the boxes found (n,); None: all are equal, and the curve has one point.
    """
    n = len(found) + len(truth)
    (f1,) = agreement.boxes(found, truth, IOUS[0])
    hits = (f1.value or 0.0) * n / 2
    return [
        *_averages(found, truth, confidence),
        ratio("box_precision", hits, len(found), "the prediction has no box"),
        ratio("box_recall", hits, len(truth), "the truth has no box"),
        f1,
    ]


def _averages(found: Floats, truth: Floats, confidence: Floats | None) -> list[Score]:
    n = len(found) + len(truth)
    if not len(truth):
        return [Score(name, None, n, "the truth has no box") for name in ("ap_50", "ap_75", "ap_50_95")]
    overlaps = _by_row(found, truth)
    sure = np.zeros(len(found)) if confidence is None else confidence
    averages = {t: average_precision(overlaps, len(truth), sure, t) for t in IOUS}
    return [
        Score("ap_50", averages[0.5], n),
        Score("ap_75", averages[0.75], n),
        Score("ap_50_95", sum(averages.values()) / len(averages), n),
    ]


def _by_row(found: Floats, truth: Floats) -> list[list[tuple[float, int]]]:
    """For each box, the true boxes that it has voxels in common with, the greatest IoU first."""
    overlaps: list[list[tuple[float, int]]] = [[] for _ in found]
    for row, other, alike in zip(*(column.tolist() for column in box_overlaps(found, truth)), strict=True):
        overlaps[row].append((alike, other))
    return [sorted(one, key=lambda pair: (-pair[0], pair[1])) for one in overlaps]


def average_precision(
    overlaps: Sequence[Sequence[tuple[float, int]]], truths: int, confidence: Floats, least_iou: float
) -> float:
    """Area under the curve of precision over recall.

    Boxes come by falling confidence; each takes the free true box that it has the greatest IoU with, if that is at
    least the threshold, else it is a false one. Boxes of one confidence make one point of the curve; among them the
    greatest IoU is first. Precision is made to fall: at each recall it is the greatest at that recall or above
    (Everingham et al. 2010, all points).

    Args:
        overlaps: of each box found, IoU and row of the true boxes, the greatest first.
        truths: how many true boxes there are, above 0.
        confidence: of the boxes found (n,).
        least_iou: the threshold.
    """
    n = len(overlaps)
    if not n:
        return 0.0
    best = np.array([one[0][0] if one else 0.0 for one in overlaps])
    order = np.lexsort((np.arange(n), -best, -confidence))
    hits, taken = np.zeros(n, bool), set[int]()
    for rank, row in enumerate(order.tolist()):
        free = next((other for iou, other in overlaps[row] if iou >= least_iou and other not in taken), None)
        if free is not None:
            hits[rank] = True
            taken.add(free)
    ends = np.flatnonzero(np.r_[np.diff(confidence[order]) != 0, True])
    true = np.cumsum(hits)[ends]
    precision = np.maximum.accumulate((true / (ends + 1))[::-1])[::-1]
    return float((np.diff(np.r_[0, true]) / truths * precision).sum())


def point_scores(found: Floats, truth: Floats, tolerance_um: float = TOLERANCE_UM) -> list[Score]:
    """Precision, recall and F1 of points (n, 3), micrometre, matched one to one within the tolerance."""
    (f1,) = agreement.points(found, truth, tolerance_um)
    hits = (f1.value or 0.0) * f1.n / 2
    return [
        ratio("point_precision", hits, len(found), "the prediction has no point"),
        ratio("point_recall", hits, len(truth), "the truth has no point"),
        f1,
    ]


def class_scores(
    found: Mapping[Hashable, str], truth: Mapping[Hashable, str]
) -> tuple[list[Score], dict[str, list[Score]]]:
    """Precision, recall and F1 of classes, macro and of each class; accuracy; Cohen's kappa.

    Over the objects of the truth. One that has no class in the prediction is missed by its class and counts for no
    other; one that only the prediction has is left out. A class that was never predicted has no precision, one that
    no object has no recall; the macro measures are means over the classes that have a value.

    Args:
        found, truth: the class of each object.

    Returns:
        over all, and by class.
    """
    pairs = [(truth[key], found.get(key)) for key in truth]
    said, true = Counter(b for _, b in pairs), Counter(a for a, _ in pairs)
    hits = Counter(a for a, b in pairs if a == b)
    by_class = {
        name: [
            ratio("precision", hits[name], said[name], "was never predicted"),
            ratio("recall", hits[name], true[name], "no object has this class"),
            Score("f1", 2 * hits[name] / (said[name] + true[name]), said[name] + true[name]),
        ]
        for name in sorted({name for pair in pairs for name in pair if name is not None})
    }
    (kappa, _) = agreement.classes(found, truth)
    whole = [
        *(_macro([one[at] for one in by_class.values()], name) for at, name in enumerate(_CLASS)),
        ratio("accuracy", hits.total(), len(pairs), "the truth has no object"),
        ratio("largest_class", max(true.values(), default=0), len(pairs), "the truth has no object"),
        kappa,
    ]
    return whole, by_class


def _macro(scores: Sequence[Score], name: str) -> Score:
    known = [score.value for score in scores if score.value is not None]
    return ratio(f"macro_{name}", sum(known), len(known), "no class has a value")
