"""Voxel scores of a mask: from how many voxels are in both, in one of two, and in none."""

from __future__ import annotations

from dataclasses import dataclass

from neuropack.evaluate.agreement import Score, masks

NAMES = ("iou", "dice", "precision", "recall", "f1", "accuracy", "prevalence")


@dataclass(frozen=True)
class Confusion:
    """Voxels of a mask and of the true one.

    Attributes:
        tp: in both.
        fp: in the mask alone.
        fn: in the true one alone.
        tn: in neither.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    def scores(self) -> list[Score]:
        """All measures of `NAMES`.

        IoU = TP / (TP + FP + FN); Dice and F1 = 2 TP / (2 TP + FP + FN) are one number by two names; precision =
        TP / (TP + FP); recall = TP / (TP + FN); accuracy = (TP + TN) / all. Prevalence, the part of all voxels that
        the truth has, stands beside it: a mask without a voxel is right at all others. What has nothing to divide
        by has no value.
        """
        voxels = self.tp + self.fp + self.fn + self.tn
        overlaps = masks(self.tp + self.fp, self.tp + self.fn, self.tp)
        dice = overlaps[1]
        return [
            *overlaps,
            ratio("precision", self.tp, self.tp + self.fp, "the prediction has no voxel"),
            ratio("recall", self.tp, self.tp + self.fn, "the truth has no voxel"),
            Score("f1", dice.value, dice.n, dice.note),
            ratio("accuracy", self.tp + self.tn, voxels, "there is no voxel"),
            ratio("prevalence", self.tp + self.fn, voxels, "there is no voxel"),
        ]


def ratio(measure: str, part: float, whole: float, note: str) -> Score:
    """A part of a whole; without a value, and with a note, where there is no whole."""
    return Score(measure, part / whole, whole) if whole else Score(measure, None, 0, note)
