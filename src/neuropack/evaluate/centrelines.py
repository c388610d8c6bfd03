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
Mask = npt.NDArray[np.bool_]
Voxels = tuple[npt.NDArray[np.int64], ...]
_MANY = 256  # parts of a block: more of them are thinned faster all at once than each in its box


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
            for box, part in _parts(mine):
                line = _line(part, box, inside)
                n = int((other[line] != 0).sum())
                for there, more in ((True, n), (False, len(line[0]) - n)):
                    self.masks[of_truth, there] = self.masks.get((of_truth, there), 0) + more
                for label, own in _objects(mine, part, box, inside, line) if self.each else ():
                    values = other[own]
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


def _parts(labels: Array) -> Iterator[tuple[Box, Mask]]:
    """Boxes of the labelled voxels that hang together, and which voxels of them these are; of many, all at once."""
    from scipy import ndimage

    numbered, n = ndimage.label(labels, np.ones((3, 3, 3)))
    if n > _MANY:
        yield tuple(slice(0, n) for n in labels.shape), labels != 0
        return
    for number, box in enumerate(ndimage.find_objects(numbered), 1):
        yield box, numbered[box] == number


def _objects(labels: Array, part: Mask, box: Box, core: Box, line: Voxels) -> Iterator[tuple[int, Voxels]]:
    """The objects in a part and their centrelines; where there is one alone, it is that of the part."""
    from scipy import ndimage

    names, numbers = np.unique(labels[box][part], return_inverse=True)
    if len(names) == 1:
        yield int(names[0]), line
        return
    numbered = np.zeros(part.shape, np.int32)
    numbered[part] = numbers + 1
    for number, inner in enumerate(ndimage.find_objects(numbered), 1):
        outer = tuple(slice(b.start + s.start, b.start + s.stop) for b, s in zip(box, inner, strict=True))
        yield int(names[number - 1]), _line(numbered[inner] == number, outer, core)


def _line(part: Mask, box: Box, core: Box) -> Voxels:
    """The voxels of a centreline that lie in the core of a block, as indices of the block."""
    from neuropack.thinning import thinned

    if any(s.stop <= c.start or s.start >= c.stop for s, c in zip(box, core, strict=True)):
        return (np.empty(0, np.int64),) * 3
    voxels = np.argwhere(thinned(np.pad(part, 1))) + [s.start - 1 for s in box]
    inside = np.all([(v >= c.start) & (v < c.stop) for v, c in zip(voxels.T, core, strict=True)], axis=0)
    return tuple(voxels[inside].T)
