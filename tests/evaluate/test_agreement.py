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
