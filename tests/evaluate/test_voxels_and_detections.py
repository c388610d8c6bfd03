"""Scores of masks, boxes, points and classes: by hand, of equal ones, and of none."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from neuropack.evaluate.agreement import Score, box_overlaps
from neuropack.evaluate.detections import box_scores, class_scores, point_scores
from neuropack.evaluate.instances import Overlaps, counted
from neuropack.evaluate.voxels import NAMES, Confusion


def values(scores: Iterable[Score]) -> dict[str, float | None]:
    return {one.measure: one.value for one in scores}


def box(z: float, y: float, x: float, side: float = 4) -> list[float]:
    return [z, y, x, z + side, y + side, x + side]


NONE = np.empty((0, 6))


def test_a_mask_by_hand() -> None:
    """6 in both, 2 in the prediction alone, 3 in the truth alone, 89 in none."""
    found = values(Confusion(6, 2, 3, 89).scores())
    assert found == pytest.approx(
        {
            "iou": 6 / 11,
            "dice": 12 / 17,
            "precision": 6 / 8,
            "recall": 6 / 9,
            "f1": 12 / 17,
            "accuracy": 0.95,
            "prevalence": 0.09,
        }
    )
    assert tuple(found) == NAMES


@pytest.mark.parametrize(
    ("voxels", "expected"),
    [
        ((1, 0, 0, 0), dict.fromkeys(NAMES, 1.0)),  # one voxel, and all of the image
        ((0, 0, 0, 8), {**dict.fromkeys(NAMES[:5]), "accuracy": 1.0, "prevalence": 0.0}),
        ((0, 3, 0, 5), {"precision": 0.0, "recall": None, "f1": 0.0, "iou": 0.0, "accuracy": 5 / 8}),
        ((0, 0, 3, 5), {"precision": None, "recall": 0.0, "f1": 0.0, "iou": 0.0, "prevalence": 3 / 8}),
        ((0, 0, 0, 0), dict.fromkeys(NAMES)),
    ],
)
def test_masks_that_are_empty_or_whole(
    voxels: tuple[int, int, int, int], expected: dict[str, float | None]
) -> None:
    scores = Confusion(*voxels).scores()
    found = values(scores)
    assert {name: found[name] for name in expected} == expected
    assert all(bool(one.note) == (one.value is None) for one in scores)


def test_panoptic_quality_by_hand() -> None:
    """One match of IoU 3/4, one true object missed, one false one."""
    overlaps = Overlaps()
    overlaps.add(np.array([1, 1, 1, 1, 2, 2, 0]), np.array([9, 9, 9, 0, 0, 0, 4]))
    assert values(overlaps.panoptic()) == {"pq": 2 * 0.75 / 4, "sq": 0.75, "rq": 0.5}
    half = Overlaps()  # an IoU of just 0.5 is no match
    half.add(np.array([1, 1]), np.array([1, 0]))
    assert values(half.panoptic()) == {"pq": 0, "sq": None, "rq": 0}
    assert values(Overlaps().panoptic()) == dict.fromkeys(("pq", "sq", "rq"))


@pytest.mark.parametrize("large", [1, 2**40, 2**62])
def test_labels_of_any_size_are_counted(large: int) -> None:
    mine, theirs = np.array([1, 1, large + 1, 1], np.uint64), np.array([0, 3, large, large], np.int64)
    found = counted(mine, theirs)
    assert found == {(1, 0): 1, (1, 3): 1, (large + 1, large): 1, (1, large): 1}


def test_average_precision_by_hand() -> None:
    """Sure to unsure: right, false, right; 3 true boxes: 1/3 at precision 1 and 1/3 at 2/3."""
    truth = np.array([box(0, 0, 0), box(0, 0, 20), box(0, 0, 40)])
    found = np.array([box(0, 0, 20), box(0, 30, 0), box(0, 0, 0)])
    scores = values(box_scores(found, truth, np.array([0.9, 0.5, 0.1])))
    assert scores["ap_50"] == pytest.approx(1 / 3 + 2 / 9)
    assert (scores["box_precision"], scores["box_recall"]) == pytest.approx((2 / 3, 2 / 3))
    # without confidence there is one point: recall 2/3 at precision 2/3
    assert values(box_scores(found, truth))["ap_50"] == pytest.approx(4 / 9)


def test_precision_is_made_to_fall() -> None:
    """False, right, right: the greatest precision from the first right one on is 2/3."""
    truth = np.array([box(0, 0, 0), box(0, 0, 20)])
    found = np.array([box(0, 30, 0), box(0, 0, 20), box(0, 0, 0)])
    assert values(box_scores(found, truth, np.array([0.9, 0.5, 0.1])))["ap_50"] == pytest.approx(2 / 3)


def test_a_true_box_is_found_once_and_the_surer_has_it() -> None:
    truth, found = np.array([box(0, 0, 0)]), np.array([box(0, 0, 0), box(0, 0, 0.5)])
    assert values(box_scores(found, truth, np.array([0.2, 0.9])))["ap_50"] == 1  # the false one comes behind
    assert values(box_scores(found, truth, np.array([0.2, 0.9])))["ap_50_95"] == pytest.approx((6 + 4 * 0.5) / 10)


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        (NONE, NONE, dict.fromkeys(("ap_50", "ap_50_95", "box_precision", "box_recall", "box_f1"))),
        (NONE, np.array([box(0, 0, 0)]), {"ap_50": 0, "box_precision": None, "box_recall": 0, "box_f1": 0}),
        (np.array([box(0, 0, 0)]), NONE, {"ap_50": None, "box_precision": 0, "box_recall": None, "box_f1": 0}),
        (np.array([box(0, 0, 0)]),) * 2 + ({"ap_50": 1, "ap_75": 1, "ap_50_95": 1, "box_f1": 1},),
    ],
)
def test_boxes_that_are_none_or_equal(
    found: np.ndarray, truth: np.ndarray, expected: dict[str, float | None]
) -> None:
    scores = values(box_scores(found, truth))
    assert {name: scores[name] for name in expected} == expected


def test_overlaps_of_boxes_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    low = rng.integers(0, 30, (2, 60, 3))
    a, b = (np.hstack([one, one + rng.integers(0, 12, one.shape)]).astype(float) for one in low)
    plain = {}
    for i, p in enumerate(a):
        for j, q in enumerate(b):
            common = np.clip(np.minimum(p[3:], q[3:]) - np.maximum(p[:3], q[:3]), 0, None).prod()
            if common:
                plain[i, j] = common / ((p[3:] - p[:3]).prod() + (q[3:] - q[:3]).prod() - common)
    rows, others, alike = box_overlaps(a, b)
    assert dict(zip(zip(rows.tolist(), others.tolist(), strict=True), alike, strict=True)) == pytest.approx(plain)


def test_points_by_hand() -> None:
    truth = np.array([[0.0, 0, 0], [10, 0, 0]])
    found = np.array([[0.0, 1.5, 0], [0, 0, 1.5], [10, 0, 3]])
    assert values(point_scores(found, truth, 2.0)) == pytest.approx(
        {"point_precision": 1 / 3, "point_recall": 1 / 2, "point_f1": 2 / 5}
    )
    assert set(values(point_scores(truth, truth)).values()) == {1.0}
    none = np.empty((0, 3))
    assert values(point_scores(none, truth)) == {"point_precision": None, "point_recall": 0, "point_f1": 0}
    assert set(values(point_scores(none, none)).values()) == {None}


def test_an_object_without_a_class_is_missed_and_one_too_many_is_left_out() -> None:
    whole, by_class = class_scores({1: "a", 2: "b", 9: "c"}, {1: "a", 2: "b", 3: "b"})
    assert values(by_class["b"]) == pytest.approx({"precision": 1, "recall": 0.5, "f1": 2 / 3})
    assert "c" not in by_class
    found = values(whole)
    assert found["accuracy"] == pytest.approx(2 / 3) and found["largest_class"] == pytest.approx(2 / 3)
    assert found["macro_recall"] == pytest.approx(0.75)


def test_classes_that_are_none_or_equal() -> None:
    said = {1: "a", 2: "b"}
    whole, _ = class_scores(said, said)
    assert set(values(whole).values()) == {1.0, 0.5}  # 0.5: the largest class
    assert set(values(class_scores({}, {})[0]).values()) == {None}
    missed = values(class_scores({}, said)[0])
    assert (missed["macro_precision"], missed["macro_recall"], missed["accuracy"]) == (None, 0, 0)
