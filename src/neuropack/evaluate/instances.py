"""How well a labelling of voxels tells objects apart: scores from the voxels that two labellings share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array
from neuropack.evaluate.agreement import Score
from neuropack.evaluate.voxels import Confusion, ratio

THRESHOLDS = tuple(round(0.1 * i, 1) for i in range(1, 10))
"""Those of the average F1."""


@dataclass
class Overlaps:
    """Voxels that each pair of objects shares, gathered piece by piece.

    Attributes:
        pairs: voxels by (label of the truth, label that is scored); 0 is background.
    """

    pairs: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, truth: Array, scored: Array) -> None:
        """Add the labels of the same voxels, two arrays of one shape."""
        mine, theirs = truth.ravel(), scored.ravel()
        at = np.flatnonzero((mine != 0) | (theirs != 0))
        if len(at) < mine.size:
            self.pairs[0, 0] = self.pairs.get((0, 0), 0) + mine.size - len(at)
        for pair, n in counted(mine[at], theirs[at]).items():
            self.pairs[pair] = self.pairs.get(pair, 0) + n

    def labels(self, side: int) -> set[int]:
        """The objects of the truth (side 0), or those that are scored (1)."""
        return {pair[side] for pair in self.pairs if pair[side]}

    def foreground(self) -> Confusion:
        """Voxels by whether they are labelled, whatever the label."""
        found = {(False, False): 0, (False, True): 0, (True, False): 0, (True, True): 0}
        for (a, b), n in self.pairs.items():
            found[a != 0, b != 0] += n
        return Confusion(found[True, True], found[False, True], found[True, False], found[False, False])

    def panoptic(self) -> list[Score]:
        """Panoptic quality (Kirillov et al. 2019, equation 1): objects matched where their IoU is above 0.5.

        ``pq`` is the sum of the IoU of the matches by TP + FP/2 + FN/2; it is ``sq``, their mean IoU, times ``rq``,
        the F1. At an IoU above 0.5 an object has one match at most. Without a match there is no ``sq``.
        """
        n = sum(len(self.labels(side)) for side in (0, 1))
        if not n:
            return [Score(name, None, 0, "neither has an object") for name in ("pq", "sq", "rq")]
        alike = [iou for iou in self._matched() if iou > 0.5]
        quality = ratio("sq", sum(alike), len(alike), "no object has a match")
        return [Score("pq", 2 * sum(alike) / n, n), quality, Score("rq", 2 * len(alike) / n, n)]

    def scores(self, thresholds: Sequence[float] = THRESHOLDS) -> list[Score]:
        """All measures.

        ``f1_50`` and ``average_f1``: objects matched one to one, the greatest IoU first, at an IoU of 0.5 at least,
        and the mean over `thresholds`. ``voi_split`` and ``voi_merge``: bits, the conditional entropies H(scored |
        truth) and H(truth | scored) over the voxels where the truth is no background (Meila 2007). ``rand_error``:
        1 less the harmonic mean of the precision and the recall of pairs of voxels, over the same voxels
        (Arganda-Carreras et al. 2015). What is not labelled there counts as one object more.
        """
        n = sum(len(self.labels(side)) for side in (0, 1))
        alike = self._matched()
        f1 = {t: 2 * sum(iou >= t for iou in alike) / n if n else None for t in {*thresholds, 0.5}}
        mean = sum(f1[t] or 0.0 for t in thresholds) / len(thresholds) if n else None
        note = "" if n else "neither has an object"
        return [Score("f1_50", f1[0.5], n, note), Score("average_f1", mean, n, note), *self._entropies()]

    def _matched(self) -> list[float]:
        """The IoU of the pairs of objects that are matched, the greatest first."""
        sizes: list[dict[int, int]] = [{}, {}]
        for pair, n in self.pairs.items():
            for side in (0, 1):
                sizes[side][pair[side]] = sizes[side].get(pair[side], 0) + n
        ranked = sorted((-n / (sizes[0][a] + sizes[1][b] - n), a, b) for (a, b), n in self.pairs.items() if a and b)
        taken: tuple[set[int], set[int]] = (set(), set())
        found = []
        for negative, a, b in ranked:
            if a not in taken[0] and b not in taken[1]:
                taken[0].add(a)
                taken[1].add(b)
                found.append(-negative)
        return found

    def _entropies(self) -> list[Score]:
        inside = [(pair, n) for pair, n in self.pairs.items() if pair[0]]
        total = sum(n for _, n in inside)
        names = ("voi_split", "voi_merge", "rand_error")
        if not total:
            return [Score(name, None, 0, "the truth has no object") for name in names]
        joint = np.array([n for _, n in inside]) / total
        truth, scored = (_marginal([pair[side] for pair, _ in inside], joint) for side in (0, 1))
        split = float((joint * np.log2(truth / joint)).sum())
        merge = float((joint * np.log2(scored / joint)).sum())
        squares = float((joint**2).sum())
        recall, precision = (squares / float((joint * part).sum()) for part in (truth, scored))
        error = 1 - 2 * precision * recall / (precision + recall)
        return [Score(name, value, total) for name, value in zip(names, (split, merge, error), strict=True)]


def counted(mine: Array, theirs: Array) -> dict[tuple[int, int], int]:
    """How often each pair of values comes in two lists of labels (n,)."""
    if not len(mine):
        return {}
    small = 1 << 31
    if max(int(mine.max()), int(theirs.max())) < small:
        keys, counts = np.unique((mine.astype(np.int64) << 31) | theirs.astype(np.int64), return_counts=True)
        pairs = zip((keys >> 31).tolist(), (keys & (small - 1)).tolist(), strict=True)
    else:
        a, rows = np.unique(mine, return_inverse=True)
        b, columns = np.unique(theirs, return_inverse=True)
        keys, counts = np.unique(rows * len(b) + columns, return_counts=True)
        pairs = zip(a[keys // len(b)].tolist(), b[keys % len(b)].tolist(), strict=True)
    return dict(zip(pairs, counts.tolist(), strict=True))


def _marginal(labels: list[int], joint: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """For each pair, the share of the whole object on one side of it."""
    _, rows = np.unique(labels, return_inverse=True)
    whole = np.asarray(np.bincount(rows, joint), np.float64)
    return whole[rows]
