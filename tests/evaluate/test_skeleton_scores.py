"""Lengths, distances, run length and forks of traces: by hand, of equal ones, and of none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropack.evaluate.agreement import Score
from neuropack.evaluate.diadem import Diadem, diadem_like
from neuropack.evaluate.lengths import length_scores, paired
from neuropack.evaluate.run_length import places_of, run_length_scores
from neuropack.evaluate.topology import trees_at
from neuropack.simulate.trees import grow
from neuropack.skeleton import Skeleton


def tree(*rows: tuple[float, float, int]) -> Skeleton:
    """Nodes (x, y, parent), counted from 1, in the plane z = 0."""
    n = len(rows)
    xyz = np.array([(x, y, 0.0) for x, y, _ in rows]).reshape(n, 3)
    parent = np.array([p for *_, p in rows], np.int64)
    return Skeleton(np.arange(1, n + 1), np.zeros(n, np.int64), xyz, np.zeros(n), parent)


def line(x0: float, x1: float, y: float) -> Skeleton:
    return tree((x0, y, -1), (x1, y, 1))


def values(scores: Iterable[Score]) -> dict[str, float | None]:
    return {one.measure: one.value for one in scores}


DOT = tree((5, 5, -1))
NOTHING = tree()
# A stem of 20 um that forks into two; one of these forks again.
FORKS = tree((0, 0, -1), (20, 0, 1), (40, 20, 2), (40, -20, 2), (60, 30, 3), (60, 10, 3))


def test_lines_apart_by_hand() -> None:
    """3 um apart along 100 um; then 40 um of the truth alone, up to 40 um away and 20 in the mean."""
    found = values(length_scores([line(0, 100, 0)], [line(0, 100, 3)], 2.0))
    assert (found["length_f1"], found["sd_um"], found["ssd_um"], found["ssd_fraction"]) == pytest.approx(
        (0, 3, 3, 1)
    )
    found = values(length_scores([line(0, 60, 0)], [line(0, 100, 0)], 2.0))
    assert found["length_precision"] == 1
    assert found["length_recall"] == pytest.approx(0.62, abs=0.01)
    assert found["sd_um"] == pytest.approx(0.4 * 20 / 2)
    assert found["ssd_um"] == pytest.approx((2 + 40) / 2 / 2, abs=0.2)  # the other direction has none
    assert found["ssd_fraction"] == pytest.approx(38 / 160, abs=0.01)


def test_neurons_count_together_whatever_file_they_are_in() -> None:
    whole = [line(0, 50, 0), line(0, 50, 30)]
    joined = [tree((0, 0, -1), (50, 0, 1), (0, 30, -1), (50, 30, 3))]
    assert values(length_scores(joined, whole))["length_f1"] == 1


@pytest.mark.parametrize("empty", [[], [DOT], [NOTHING]])
def test_one_side_without_cable(empty: list[Skeleton]) -> None:
    some = [line(0, 10, 0)]
    found = values(length_scores(empty, some))
    assert (found["length_precision"], found["length_recall"], found["length_f1"]) == (None, 0, 0)
    assert found["sd_um"] is found["ssd_um"] is found["ssd_fraction"] is None
    found = values(length_scores(some, empty))
    assert (found["length_precision"], found["length_recall"], found["length_f1"]) == (0, None, 0)
    scores = length_scores(empty, empty)
    assert set(values(scores).values()) == {None} and all(one.note for one in scores)


@given(st.integers(0, 30), st.floats(0.3, 5))
@settings(max_examples=15, deadline=None)
def test_a_neuron_scores_best_against_itself(seed: int, tolerance: float) -> None:
    one = grow(np.random.default_rng(seed), (60.0, 60.0, 40.0), np.array([30.0, 30, 20]))
    found = values(length_scores([one], [one], tolerance))
    assert (found["length_precision"], found["length_recall"], found["length_f1"]) == (1, 1, 1)
    assert found["ssd_um"] == found["ssd_fraction"] == 0
    assert found["sd_um"] == pytest.approx(0, abs=1e-9)
    forks = diadem_like(one, one, tolerance)
    assert forks.found == forks.total
    places = places_of([one], tolerance)
    assert places.lengths.sum() == pytest.approx(one.length_um()) and places.lengths.max() <= tolerance + 1e-9
    run = values(run_length_scores(places, np.ones(len(places.xyz), np.int64)))
    assert (run["erl_um"], run["erl_fraction"]) == pytest.approx((one.length_um(), 1))


ROOT2 = 2**0.5


def path(*xyz: tuple[float, float, float]) -> Skeleton:
    n = len(xyz)
    return Skeleton(np.arange(1, n + 1), np.zeros(n, int), np.array(xyz, float), np.ones(n), np.r_[-1, 1:n])


TWO = [path((0, 0, 0), (0, 1, 1), (1, 1, 0)), path((1, 1, 1), (1, 0, 0))]  # two edges of root 2, and one


@pytest.mark.parametrize(
    ("neurons", "segments", "erl"),
    [  # as the tests of funlib.evaluate have it
        (1, [10, 10, 10], 2 * ROOT2),
        (1, [10, 10, 20], 0.5 * ROOT2),
        (2, [10, 10, 30, 20, 40], 2 / 3 * 0.5 * ROOT2),
        (2, [10, 10, 10, 10, 10], 0),
        (1, [10, 10, 0], 0.5 * ROOT2),
        (1, [0, 0, 0], 0),
    ],
)
def test_run_length_as_funlib_has_it(neurons: int, segments: list[int], erl: float) -> None:
    found = values(run_length_scores(places_of(TWO[:neurons], 10.0), np.array(segments)))
    assert found["erl_um"] == pytest.approx(erl)
    wrong = sum(found[f"erl_{why}"] or 0 for why in ("omitted", "split", "merged"))
    assert 0 <= wrong <= 1 and (wrong == 0) == (found["erl_fraction"] == 1)


def test_a_touch_is_no_merge_where_a_part_is_asked_for() -> None:
    neurons = [line(0, 100, 0), line(0, 100, 10)]
    places = places_of(neurons, 1.0)
    segments = np.where(places.owner == 0, 1, 2)
    segments[(places.owner == 1) & (np.abs(places.xyz[:, 0] - 50) < 1.5)] = 1
    assert values(run_length_scores(places, segments))["erl_merged"] == 1
    found = values(run_length_scores(places, segments, 0.05))
    assert found["erl_merged"] == 0
    assert found["erl_split"] == pytest.approx(2 / 200)
    assert found["erl_um"] == pytest.approx((100**2 + 96**2 + 2**2) / 200)


def test_a_neuron_of_several_trees_is_followed_in_each() -> None:
    """Also where what was found leads across the gap: that is no merge."""
    two = tree((0, 0, -1), (30, 0, 1), (40, 0, -1), (60, 0, 3))
    places = places_of([two], 1.0)
    assert (np.diff(places.edges) != 0).all() and set(places.tree.tolist()) == {0, 1}
    for segments in (places.tree + 1, np.ones(len(places.xyz), np.int64)):
        found = values(run_length_scores(places, segments))
        assert (found["erl_um"], found["erl_fraction"]) == pytest.approx(((30**2 + 20**2) / 50, 1))


def test_places_lie_along_every_edge() -> None:
    places = places_of([FORKS, NOTHING, DOT, line(0, 3, 0)], 1.5)
    assert places.neurons == 4 and places.lengths.max() <= 1.5
    assert np.bincount(places.owner, minlength=4)[1:3].tolist() == [0, 1]
    lengths = np.bincount(places.owner[places.edges[:, 0]], places.lengths, 4)
    assert lengths == pytest.approx([FORKS.length_um(), 0, 0, 3])
    assert (places.owner[places.edges[:, 0]] == places.owner[places.edges[:, 1]]).all()


def test_nothing_has_no_run_length() -> None:
    for truth in ([], [DOT], [NOTHING]):
        places = places_of(truth, 1.0)
        assert set(values(run_length_scores(places, np.ones(len(places.xyz), int))).values()) == {None}


def test_the_tree_at_a_place_is_the_one_that_has_most_of_the_neuron() -> None:
    truth = [line(0, 50, 0), line(0, 50, 1)]
    traced = [tree((0, 0, -1), (28, 0, 1), (50, -1.5, 2)), line(0, 50, 1), line(60, 70, 0)]
    places = places_of(truth, 0.5)
    assert (trees_at(places.xyz, places.owner, traced) == places.owner + 1).all()
    assert set(trees_at(places.xyz, places.owner, [])) == {0}


@pytest.mark.parametrize(
    ("found", "weight"),
    [  # of 8: fork 3, fork 2, three tips
        (FORKS, 8),
        # the last fork and its tips are missing: the trace ends where it was
        (tree((0, 0, -1), (20, 0, 1), (40, 20, 2), (40, -20, 2)), 6),
        # one tip less: the trace leads through the fork
        (tree((0, 0, -1), (20, 0, 1), (40, 20, 2), (40, -20, 2), (60, 30, 3)), 7),
        # a branch too many is no loss
        (tree((0, 0, -1), (20, 0, 1), (40, 20, 2), (40, -20, 2), (60, 30, 3), (60, 10, 3), (20, 30, 2)), 8),
        # rooted at a tip: it is rooted anew
        (tree((60, 30, -1), (40, 20, 1), (60, 10, 2), (20, 0, 2), (40, -20, 4), (0, 0, 4)), 8),
        # the upper branch hangs on the end of the lower one: only its tips hang where they should, on its fork
        (tree((0, 0, -1), (20, 0, 1), (40, -20, 2), (80, -20, 3), (40, 20, 4), (60, 30, 5), (60, 10, 5)), 2),
        # in two trees: the first fork hangs on nothing
        (
            tree(
                (0, 0, -1), (5, 0, 1), (8, 0, -1), (20, 0, 3), (40, 20, 4), (40, -20, 4), (60, 30, 5), (60, 10, 5)
            ),
            5,
        ),
        # one way alone: it leads past both forks to a tip
        (tree((0, 0, -1), (20, 0, 1), (40, 20, 2), (60, 30, 3)), 6),
        (tree((0, 40, -1), (90, 40, 1)), 0),
        (DOT, 0),
        (NOTHING, 0),
    ],
)
def test_forks_and_tips_by_hand(found: Skeleton, weight: int) -> None:
    assert diadem_like(found, FORKS) == Diadem(weight, 8)


def test_a_soma_may_have_its_root_anywhere_in_it() -> None:
    moved = replace(FORKS, xyz=FORKS.xyz + np.where(np.arange(6) == 0, 4.0, 0.0)[:, None] * [0, 1, 0])
    thick = replace(FORKS, radius=np.where(np.arange(6) == 0, 5.0, 1.0))
    assert diadem_like(moved, thick).found == 8
    assert diadem_like(moved, FORKS).found < 8


def test_a_single_node_has_no_forks() -> None:
    assert diadem_like(FORKS, DOT) == Diadem(0, 0)


def test_neurons_are_paired_by_name_or_by_what_they_hold() -> None:
    truth = {"a": line(0, 50, 0), "b": line(0, 50, 30)}
    assert paired({"b": DOT, "x": line(0, 50, 0)}, truth) == {"a": None, "b": "b"}
    found = {"1": line(0, 50, 30), "2": line(0, 30, 0.5), "3": line(32, 50, 0.5)}
    assert paired(found, truth) == {"a": "2", "b": "1"}
    joined = tree((0, 0, -1), (50, 0, 1), (50, 30, 2), (10, 30, 3))
    assert paired({"1": joined, "2": DOT}, truth) == {"a": "1", "b": None}
    assert paired({"1": line(0, 9, 99)}, {"a": truth["a"]}) == {"a": "1"}
    assert paired({}, truth) == paired({"1": NOTHING, "2": NOTHING}, truth) == {"a": None, "b": None}
