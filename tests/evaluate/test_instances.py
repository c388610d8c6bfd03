"""Scores of instances, by hand and against scikit-image."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from neuropack.axes import Array
from neuropack.evaluate.instances import Overlaps


def scores(truth: Array, scored: Array) -> dict[str, float | None]:
    overlaps = Overlaps()
    for a, b in zip(truth, scored, strict=True):  # piece by piece
        overlaps.add(a, b)
    return {score.measure: score.value for score in overlaps.scores()}


def line(*runs: tuple[int, int]) -> npt.NDArray[np.int64]:
    return np.repeat([label for label, _ in runs], [n for _, n in runs])[None]


def test_equal_labels_score_best() -> None:
    labels = line((0, 5), (3, 4), (9, 2))
    found = scores(labels, 2 * labels)
    assert found == {"f1_50": 1, "average_f1": 1, "voi_split": 0, "voi_merge": 0, "rand_error": 0}


def test_a_split_and_a_merge_by_hand() -> None:
    split = scores(line((1, 8)), line((1, 6), (2, 2)))
    # IoU 6/8 and 2/8, matched one to one: the first; F1 = 2 / 3 up to 0.7, 0 above
    assert split["f1_50"] == pytest.approx(2 / 3)
    assert split["average_f1"] == pytest.approx(7 / 9 * 2 / 3)
    assert split["voi_split"] == pytest.approx(-(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)))
    assert split["voi_merge"] == 0
    # pairs: 36 + 4 of 64; precision 1, recall 40/64
    assert split["rand_error"] == pytest.approx(1 - 2 * (40 / 64) / (1 + 40 / 64))
    merge = scores(line((1, 6), (2, 2)), line((1, 8)))
    assert (merge["voi_split"], merge["voi_merge"]) == (split["voi_merge"], split["voi_split"])


def test_background_of_the_truth_counts_for_iou_alone() -> None:
    found = scores(line((0, 4), (1, 4)), line((7, 8)))
    assert (found["f1_50"], found["voi_split"], found["voi_merge"], found["rand_error"]) == (1, 0, 0, 0)


def test_nothing_is_no_score() -> None:
    found = scores(line((0, 4)), line((0, 4)))
    assert set(found.values()) == {None}
    missed = scores(line((1, 4)), line((0, 4)))
    assert (missed["f1_50"], missed["average_f1"], missed["voi_split"]) == (0, 0, 0)


def test_the_values_are_those_of_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    rng = np.random.default_rng(0)
    truth, scored = rng.integers(0, 4, (2, 500)), rng.integers(0, 5, (2, 500))
    found = scores(truth, scored)
    error, _, _ = metrics.adapted_rand_error(truth, scored, ignore_labels=[0])
    assert found["voi_split"] is not None and found["voi_merge"] is not None
    inside = truth > 0
    split, merge = metrics.variation_of_information(truth[inside], scored[inside])[::-1]
    assert {round(found["voi_split"], 9), round(found["voi_merge"], 9)} == {round(split, 9), round(merge, 9)}
    # scikit-image counts pairs of distinct voxels, here a voxel makes a pair with itself too
    assert found["rand_error"] == pytest.approx(error, abs=0.01)
