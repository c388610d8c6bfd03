"""clDice of masks, and FISBe's scores of instances: how far the centreline of each side lies in the other one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.evaluate.agreement import Score, harmonic
from neuropack.evaluate.instances import THRESHOLDS, counted
from neuropack.evaluate.voxels import ratio

Counts = dict[tuple[int, int], int]


@dataclass
class Centrelines:
    """Voxels of centrelines by what lies there on the other side, gathered block by block.

    The foreground of each side is thinned as one mask, and each object for itself (`neuropack.thinning`).

    Attributes:
        each: whether objects are told apart; else only the foreground is thinned.
        truth: of the true objects, by (true label, label that is scored); 0 is background.
        scored: of the objects that are scored, by (label that is scored, true label).
        masks: of the foreground, by (is it of the truth, does it lie in the foreground of the other side).
    """

    each: bool = True
    truth: Counts = field(default_factory=dict)
    scored: Counts = field(default_factory=dict)
    masks: dict[tuple[bool, bool], int] = field(default_factory=dict)

    def add(self, truth: Array, scored: Array, core: Box | None = None) -> None:
        """Add a block of both sides (z, y, x).

        Args:
            truth, scored: labels of the same voxels.
            core: the part of them whose centrelines are counted; what lies around it is the context, which thinning
                needs as far as objects are thick. None: all.

        Raises:
            UsageError: scikit-image is not installed.
        """
        inside = core or tuple(slice(0, n) for n in truth.shape)
        for of_truth, mine, other, found in (
            (True, truth, scored, self.truth),
            (False, scored, truth, self.scored),
        ):
            if not mine[inside].any():
                continue
            for _, voxels in _lines((mine != 0).view(np.uint8), inside):
                n = int((other[voxels] != 0).sum())
                for there, more in ((True, n), (False, len(voxels[0]) - n)):
                    self.masks[of_truth, there] = self.masks.get((of_truth, there), 0) + more
            for label, voxels in _lines(mine, inside) if self.each else ():
                values = other[voxels]
                for pair, more in counted(np.full(len(values), label, np.int64), values).items():
                    found[pair] = found.get(pair, 0) + more

    def cldice(self) -> list[Score]:
        """clDice of the foreground (Shit et al. 2021), and the two parts that it is the harmonic mean of.

        ``cl_precision`` is the part of the prediction's centreline that lies in the true mask, ``cl_recall`` the
        part of the true centreline that lies in the prediction. Without a centreline on a side there is no value.
        """
        lengths = [sum(self.masks.get((side, there), 0) for there in (False, True)) for side in (False, True)]
        precision = ratio(
            "cl_precision", self.masks.get((False, True), 0), lengths[0], "the prediction has no centreline"
        )
        recall = ratio("cl_recall", self.masks.get((True, True), 0), lengths[1], "the truth has no centreline")
        if precision.value is None or recall.value is None:
            notes = [one.note for one in (precision, recall) if one.note]
            return [precision, recall, Score("cldice", None, sum(lengths), "; ".join(notes))]
        return [precision, recall, Score("cldice", harmonic(precision.value, recall.value), sum(lengths))]


def fisbe(images: Sequence[Centrelines], thresholds: Sequence[float] = THRESHOLDS) -> list[Score]:
    """The scores of FISBe (Mais et al. 2024) over images: ``av_f1``, ``coverage`` and ``fisbe_s``, their mean.

    Each pair of a true and a found object has a clDice. Pairs are matched one to one, the greatest first. At each
    threshold those above it are true positives; F1 is that of the objects of all images, and ``av_f1`` its mean
    over the thresholds. Each found object is given to the true object, or the background, in which most of its
    centreline lies; ``coverage`` is the mean, over the true objects of all images, of the part of their centreline
    that lies in the objects given to them.
    """
    alike: list[float] = []
    covered: list[float] = []
    objects = 0
    for image in images:
        sizes = [_sizes(image.truth), _sizes(image.scored)]
        objects += sum(map(len, sizes))
        alike += _matched(image, *sizes)
        covered += _covered(image, *sizes)
    if not objects:
        return [Score(name, None, 0, "neither has an object") for name in ("av_f1", "coverage", "fisbe_s")]
    f1 = sum(2 * sum(one > least for one in alike) / objects for least in thresholds) / len(thresholds)
    coverage = ratio("coverage", sum(covered), len(covered), "the truth has no object")
    both = None if coverage.value is None else 0.5 * f1 + 0.5 * coverage.value
    return [Score("av_f1", f1, objects), coverage, Score("fisbe_s", both, objects, coverage.note)]


def _sizes(lines: Counts) -> dict[int, int]:
    """Voxels of the centreline of each object."""
    sizes: dict[int, int] = {}
    for (label, _), n in lines.items():
        sizes[label] = sizes.get(label, 0) + n
    return sizes


def _matched(image: Centrelines, truth: dict[int, int], scored: dict[int, int]) -> list[float]:
    """The clDice of the objects that are matched, one to one, the greatest first."""
    ranked = []
    for (a, b), n in image.truth.items():
        if b and (back := image.scored.get((b, a), 0)):
            ranked.append((-harmonic(back / scored[b], n / truth[a]), a, b))
    taken: tuple[set[int], set[int]] = (set(), set())
    found = []
    for negative, a, b in sorted(ranked):
        if a not in taken[0] and b not in taken[1]:
            taken[0].add(a)
            taken[1].add(b)
            found.append(-negative)
    return found


def _covered(image: Centrelines, truth: dict[int, int], scored: dict[int, int]) -> list[float]:
    """Of each true object, the part of its centreline in the objects that are given to it."""
    best: dict[int, tuple[int, int]] = dict.fromkeys(scored, (0, 0))
    for (b, a), n in image.scored.items():
        best[b] = min(best[b], (-n, a))  # of equal ones the lowest label, and the background before all
    covered = dict.fromkeys(truth, 0)
    for b, (_, a) in best.items():
        if a in covered:
            covered[a] += image.truth.get((a, b), 0)
    return [n / truth[a] for a, n in covered.items()]


def _lines(labels: Array, core: Box) -> Iterator[tuple[int, tuple[npt.NDArray[np.int64], ...]]]:
    """The voxels of the centreline of each object, those in the core of a block; as indices of the block."""
    from scipy import ndimage

    from neuropack.thinning import thinned

    at = np.nonzero(labels)
    names, numbers = np.unique(labels[at], return_inverse=True)
    numbered = np.zeros(labels.shape, np.int32)
    numbered[at] = numbers + 1
    low = np.array([s.start for s in core])
    high = np.array([s.stop for s in core])
    for number, box in enumerate(ndimage.find_objects(numbered), 1):
        if any(s.stop <= a or s.start >= b for s, a, b in zip(box, low, high, strict=True)):
            continue
        mask = np.pad(numbered[box] == number, 1)
        voxels = np.argwhere(thinned(mask)) + [s.start - 1 for s in box]
        voxels = voxels[((voxels >= low) & (voxels < high)).all(axis=1)]
        yield int(names[number - 1]), tuple(voxels.T)
