<<<<<<< HEAD
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
=======
"""Agreement of annotators, against values that can be worked out by hand or stand in the papers."""

from __future__ import annotations

import numpy as np
import pytest

from neuropack.errors import UsageError
from neuropack.evaluate.agreement import Measured, compare, summary
from neuropack.evaluate.agreement_classes import class_agreement, fleiss_kappa, pair_agreement
from neuropack.evaluate.agreement_marks import box_agreement, box_iou, point_agreement
from neuropack.evaluate.agreement_masks import mask_agreement
from neuropack.evaluate.agreement_skeletons import skeleton_agreement
from neuropack.simulate.stack import stack
from neuropack.skeleton import Skeleton


def line(xyz: list[list[float]], frame: str = "stack") -> Skeleton:
    n = len(xyz)
    places = np.array(xyz, float).reshape(-1, 3)
    return Skeleton(np.arange(1, n + 1), np.full(n, 2), places, np.ones(n), np.array([-1, *range(1, n)]), frame)


def values(found: list[Measured]) -> dict[str, float | None]:
    return {one.measure: one.value for one in found}


def test_masks() -> None:
    a, b = np.array([[0, 0, 0], [0, 0, 1], [5, 4, 3]]), np.array([[0, 0, 1], [5, 4, 3], [5, 4, 4], [9, 9, 9]])
    assert values(mask_agreement(a, b)) == {"IoU": 2 / 5, "Dice": 4 / 7}
    assert values(mask_agreement(b, a)) == values(mask_agreement(a, b))
    assert values(mask_agreement(a, a)) == {"IoU": 1, "Dice": 1}
    empty = mask_agreement(a, np.empty((0, 3)))
    assert values(empty) == {"IoU": None, "Dice": None}
    assert empty[0].reason == "the second mask is empty"


def test_parallel_lines() -> None:
    a = line([[0, 0, 0], [100, 0, 0]])
    near = values(skeleton_agreement(a, line([[0, 1.5, 0], [50, 1.5, 0], [50, 30, 0]]), 2.0))
    # Of A, the first half and what lies within 2 um of the end of the other's arm: sqrt(4 - 1.5^2) more.
    assert near["length precision"] == pytest.approx((50 + np.sqrt(4 - 2.25)) / 100, abs=0.005)
    # Of the other, its 50 um and of its arm from 1.5 to 2.
    assert near["length recall"] == pytest.approx((50 + 0.5) / 78.5, abs=0.005)
    far = values(skeleton_agreement(a, line([[0, 2.5, 0], [100, 2.5, 0]]), 2.0))
    assert (far["length F1"], far["mean distance"]) == (0.0, pytest.approx(2.5))
    assert far["distance 95 %"] == pytest.approx(2.5)


def test_how_edges_are_cut_does_not_matter() -> None:
    a = line([[0, 0, 0], [100, 0, 0]])
    for other in (line([[x, 1.99, 0] for x in range(0, 101, 4)]), line([[x / 10, 1.99, 0] for x in range(1001)])):
        assert values(skeleton_agreement(a, other, 2.0))["length F1"] == 1.0
        assert values(skeleton_agreement(other, a, 2.0))["length F1"] == 1.0


def test_skeletons_agree_with_themselves_and_both_ways_round() -> None:
    one, other = stack(1).skeletons[:2]
    assert list(values(skeleton_agreement(one, one)).values()) == pytest.approx([1, 1, 1, 0, 0], abs=1e-6)
    there, back = values(skeleton_agreement(one, other)), values(skeleton_agreement(other, one))
    assert there["length precision"] == back["length recall"]
    assert there["length F1"] == back["length F1"]
    moved = Skeleton(one.id, one.type, one.xyz + np.array([0, 0, 1.0]), one.radius, one.parent)
    assert values(skeleton_agreement(one, moved, 1.01))["length F1"] == 1.0
    assert values(skeleton_agreement(one, moved, 0.1))["length F1"] < 0.5


def test_a_skeleton_without_length_has_no_score() -> None:
    dot, a = line([[1, 2, 3]]), line([[0, 0, 0], [9, 0, 0]])
    for found in (skeleton_agreement(a, dot), skeleton_agreement(dot, dot)):
        assert {one.value for one in found} == {None}
        assert all(one.reason for one in found)
    with pytest.raises(UsageError, match="frames"):
        skeleton_agreement(a, line([[0, 0, 0], [1, 1, 1]], "AllenCCFv3"))
    with pytest.raises(UsageError, match="positive"):
        skeleton_agreement(a, a, 0.0)


def test_cohens_kappa_of_the_textbook() -> None:
    """The grant example: 20 both yes, 15 both no, 5 and 10 apart: p_o 0.7, p_e 0.5, kappa 0.4."""
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    found = values(pair_agreement(pairs))
    assert found["percent agreement"] == pytest.approx(0.7)
    assert found["Cohen's kappa"] == pytest.approx(0.4)
    assert found["prevalence of yes"] == pytest.approx(55 / 100)


def test_fleiss_kappa_of_the_textbook() -> None:
    """Fleiss 1971 as worked through on 10 subjects, 14 raters and 5 categories: 0.210."""
    counts = (
        """0 0 0 0 14|0 2 6 4 2|0 0 3 5 6|0 3 9 2 0|2 2 8 1 1|7 7 0 0 0|3 2 6 3 0|2 5 3 2 2|6 5 2 1 0|0 2 2 3 7"""
    )
    rows = [[str(k) for k, n in enumerate(row.split()) for _ in range(int(n))] for row in counts.split("|")]
    assert fleiss_kappa(rows).value == pytest.approx(0.210, abs=0.0005)


def test_one_class_alone_has_no_kappa() -> None:
    found = pair_agreement([("axon", "axon")] * 5)
    assert values(found)["percent agreement"] == 1
    assert values(found)["Cohen's kappa"] is None
    assert fleiss_kappa([["axon"] * 3] * 4).value is None
    assert values(pair_agreement([])) == {"percent agreement": None, "Cohen's kappa": None}


def test_classes_of_three() -> None:
    a = {"n1": "axon", "n2": "dendrite", "n3": "axon"}
    table = class_agreement({"A": a, "B": dict(a), "C": {"n1": "axon", "n2": "axon"}})
    rows = {(r["object"], r["annotator_a"], r["annotator_b"], r["measure"]): r for r in table.to_pylist()}
    assert rows["all", "A", "B", "Cohen's kappa"]["value"] == 1
    assert rows["all", "A", "C", "percent agreement"]["value"] == 0.5
    assert rows["n3", "A", "C", "classed by both"]["reason"] == "not classed by C"
    assert rows["all", "all", "all", "Fleiss' kappa"]["n"] == 2


def test_boxes() -> None:
    a = np.array([[0, 0, 0, 10, 10, 10], [20, 0, 0, 30, 10, 10]])
    b = np.array([[0, 0, 0, 10, 10, 8], [0, 0, 1, 10, 10, 10], [50, 0, 0, 60, 10, 10]])
    np.testing.assert_allclose(box_iou(a, b), [[0.8, 0.9, 0], [0, 0, 0]])
    found = values(box_agreement(a, b))
    assert found == {"precision": 0.5, "recall": 1 / 3, "F1": 0.4, "mean IoU": 0.9}
    assert list(values(box_agreement(a, a)).values()) == [1, 1, 1, 1]
    nothing = box_agreement(a, np.empty((0, 6), np.int64))
    assert values(nothing) == {"precision": None, "recall": None, "F1": None, "mean IoU": None}
    assert nothing[0].reason == "the second has no boxes"


def test_matching_is_the_best_there_is() -> None:
    """The nearest first would take the middle pair and leave two points alone."""
    a, b = np.array([[0, 0, 0], [1.9, 0, 0]]), np.array([[1.0, 0, 0], [3.7, 0, 0]])
    found = values(point_agreement(a, b, 2.0))
    assert (found["F1"], found["mean distance"]) == (1.0, pytest.approx(1.4))
    assert values(point_agreement(a, b, 1.5))["F1"] == 0.5
    assert values(point_agreement(a, a, 1.0))["F1"] == 1


@pytest.mark.parametrize("seed", range(4))
def test_matching_by_groups_is_matching_at_once(seed: int) -> None:
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    rng = np.random.default_rng(seed)
    a, b = rng.random((60, 3)) * 20, rng.random((50, 3)) * 20
    away = cdist(a, b)
    cost = np.where(away <= 3, away, 1e4)
    i, j = linear_sum_assignment(cost)
    good = away[i, j] <= 3
    found = values(point_agreement(a, b, 3.0))
    assert found["precision"] == good.sum() / 60
    assert found["mean distance"] == pytest.approx(away[i, j][good].mean())


def test_every_pair_and_what_it_comes_to() -> None:
    straight, bent = line([[0, 0, 0], [50, 0, 0]]), line([[0, 0, 0], [25, 0, 0], [25, 25, 0]])
    annotators = {
        "A": {"n1": straight, "n2": bent},
        "B": {"n1": straight, "n2": straight},
        "C": {"n1": straight},
    }
    table = compare(annotators, lambda a, b: skeleton_agreement(a, b, 2.0))
    assert table.column_names[:5] == ["object", "annotator_a", "annotator_b", "measure", "value"]
    assert sum(r["measure"] == "length F1" for r in table.to_pylist()) == 4
    by_name = {s.measure: s for s in summary(table)}
    f1 = by_name["length F1"]
    assert (f1.scored, f1.median, f1.worst_of) == (4, 1.0, ("n2", "A", "B"))
    assert f1.mean == pytest.approx((3 + f1.worst) / 4)
    assert by_name["mean distance"].worst_of == ("n2", "A", "B")
    lone = by_name["annotated by both"]
    assert (lone.scored, lone.without, lone.worst) == (0, 2, None)
    assert compare({"A": {}, "B": {}}, mask_agreement).num_rows == 0
>>>>>>> derive
