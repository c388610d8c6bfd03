"""Agreement of annotators: numbers that can be worked out by hand, bounds, and what has no value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropack.errors import InputError
from neuropack.evaluate import agreement
from neuropack.evaluate.agreement import Score
from neuropack.evaluate.compared import (
    Compared,
    compare_classes,
    compare_labels,
    compare_traces,
    summed_up,
)
from neuropack.simulate.trees import grow
from neuropack.skeleton import Skeleton
from neuropack.volume import from_array


def line(*points: tuple[float, float, float]) -> Skeleton:
    n = len(points)
    ids = np.arange(1, n + 1)
    return Skeleton(ids, np.full(n, 3), np.array(points, float), np.ones(n), np.r_[-1, ids[:-1]])


def values(scores: list[Score]) -> dict[str, float | None]:
    return {one.measure: one.value for one in scores}


def test_a_trace_with_a_branch_missing() -> None:
    whole, half = line((0, 0, 0), (100, 0, 0)), line((0, 0, 0), (40, 0, 0))
    found = values(agreement.traces(whole, half, 2.0))
    assert found["length_precision"] == 1
    assert found["length_recall"] == pytest.approx(0.42, abs=0.005)  # 40 um, and 2 more within the tolerance
    swapped = values(agreement.traces(half, whole, 2.0))
    assert (swapped["length_precision"], swapped["length_recall"]) == (
        found["length_recall"],
        found["length_precision"],
    )
    assert swapped["length_f1"] == pytest.approx(found["length_f1"])


@pytest.mark.parametrize(("off", "f1"), [(1.95, 1.0), (2.05, 0.0)])
def test_the_tolerance_is_a_border(off: float, f1: float) -> None:
    one, other = line((0, 0, 0), (300, 0, 0)), line((0, off, 0), (300, off, 0))
    assert values(agreement.traces(one, other, 2.0))["length_f1"] == f1


def test_nodes_do_not_matter_only_where_the_cable_lies() -> None:
    sparse = line((0, 0, 0), (50, 30, 10))
    dense = line(*map(tuple, np.linspace((0, 0, 0), (50, 30, 10), 200)))
    assert values(agreement.traces(sparse, dense, 0.1))["length_f1"] == 1


@given(st.integers(0, 50), st.floats(0.2, 5))
@settings(max_examples=20, deadline=None)
def test_a_neuron_agrees_with_itself(seed: int, tolerance: float) -> None:
    tree = grow(np.random.default_rng(seed), (60.0, 60.0, 40.0), np.array([30.0, 30, 20]))
    assert set(values(agreement.traces(tree, tree, tolerance)).values()) == {1.0}
    moved = replace(tree, xyz=tree.xyz + 1e4)
    assert set(values(agreement.traces(tree, moved, tolerance)).values()) == {0.0}


def test_a_trace_without_length_has_no_score() -> None:
    dot = Skeleton(np.array([1]), np.array([1]), np.zeros((1, 3)), np.ones(1), np.array([-1]))
    for score in agreement.traces(dot, line((0, 0, 0), (1, 0, 0))):
        assert score.value is None and "without length" in score.note


def test_masks_by_hand() -> None:
    assert values(agreement.masks(6, 4, 2)) == {"iou": 0.25, "dice": 0.4}
    assert values(agreement.masks(5, 5, 5)) == {"iou": 1.0, "dice": 1.0}
    assert values(agreement.masks(0, 0, 0)) == {"iou": None, "dice": None}


def test_kappa_by_hand() -> None:
    """50 objects: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: p = 0.7, e = 0.5, kappa = 0.4."""
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    a, b = ({i: pair[end] for i, pair in enumerate(pairs)} for end in (0, 1))
    found = values(agreement.classes(a, b))
    assert found["kappa"] == pytest.approx(0.4) and found["class_agreement"] == pytest.approx(0.7)
    assert agreement.fleiss([a, a]).value == pytest.approx(1)


def test_fleiss_by_hand() -> None:
    """The example of the paper's method with 3 raters: two objects agreed on, two split 2 to 1."""
    said = [dict(enumerate("aaab")), dict(enumerate("aaba")), dict(enumerate("aabb"))]
    # counts: (3,0) (3,0) (1,2) (1,2) -> agreed (1 + 1 + 1/3 + 1/3) / 4 = 2/3; shares 8/12 and 4/12: chance 5/9
    assert agreement.fleiss(said).value == pytest.approx((2 / 3 - 5 / 9) / (4 / 9))


def test_one_class_for_all_has_no_kappa() -> None:
    (kappa, plain) = agreement.classes({1: "a", 2: "a"}, {1: "a", 2: "a"})
    assert kappa.value is None and "one class" in kappa.note
    assert plain.value == 1


def test_boxes_and_points_are_matched_one_to_one() -> None:
    a = np.array([[0, 0, 0, 4, 4, 4], [10, 0, 0, 14, 4, 4]], float)
    b = np.array([[0, 0, 0, 4, 4, 5], [0, 0, 0, 4, 4, 4], [20, 0, 0, 24, 4, 4]], float)
    assert values(agreement.boxes(a, b))["box_f1"] == pytest.approx(2 / 5)
    points = np.array([[0.0, 0, 0], [1, 0, 0]])
    assert values(agreement.points(points, points[:1], 2.0))["point_f1"] == pytest.approx(2 / 3)
    assert values(agreement.points(points, points + np.array([0, 5, 0]), 2.0))["point_f1"] == 0


def test_label_images_are_compared_block_by_block() -> None:
    a = np.zeros((4, 10, 10), np.uint64)
    a[1:3, 2:6, 2:6], a[0, 0, :5] = 2**40, 7
    b = a.copy()
    b[1, 2:6, 2:6], b[3] = 0, 9
    found = {
        (one.object, one.score.measure): one.score.value
        for one in compare_labels({"A": from_array(a, "ZYX"), "B": from_array(b, "ZYX")})
    }
    assert found[str(2**40), "iou"] == 0.5
    assert (found["7", "iou"], found["9", "iou"]) == (1, 0)
    with pytest.raises(InputError, match="not the same shape"):
        list(compare_labels({"A": from_array(a, "ZYX"), "B": from_array(b[:2], "ZYX")}))


def test_three_annotators_make_three_pairs() -> None:
    traced = line((0, 0, 0), (10, 0, 0))
    said = {who: {"n1": traced} for who in "ABC"} | {"D": {"n2": traced}}
    found = list(compare_traces(said))
    assert {(one.annotator_a, one.annotator_b) for one in found} == {("A", "B"), ("A", "C"), ("B", "C")}
    (f1,) = (one for one in summed_up(found) if one.measure == "length_f1")
    assert (f1.mean, f1.least, f1.n, f1.without) == (1, 1, 3, 0)
    classes = list(compare_classes({who: {1: "a", 2: "b"} for who in "ABC"}))
    assert [one.score.measure for one in classes].count("kappa") == 3
    assert classes[-1].score.measure == "fleiss_kappa"


def test_what_has_no_value_is_counted_and_not_scored() -> None:
    rows = [Compared("labels", "1", "A", "B", Score("iou", v, 1)) for v in (None, 0.5, 1.0)]
    (found,) = summed_up(rows)
    assert (found.mean, found.least, found.n, found.without) == (0.75, 0.5, 2, 1)
