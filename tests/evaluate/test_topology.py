"""Topology errors, counted by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from neuropack.evaluate.topology import TopologyErrors, topology_errors
from neuropack.skeleton import Skeleton


def tree(*rows: tuple[float, float, int]) -> Skeleton:
    """Nodes (x, y, parent), counted from 1, in the plane z = 0."""
    n = len(rows)
    xyz = np.array([(x, y, 0.0) for x, y, _ in rows])
    return Skeleton(
        np.arange(1, n + 1), np.zeros(n, np.int64), xyz, np.ones(n), np.array([p for *_, p in rows], np.int64)
    )


def line(x0: float, x1: float, y: float) -> Skeleton:
    return tree((x0, y, -1), (x1, y, 1))


# A stem of 20 um that forks into two branches of 20 um.
FORK = tree((0, 0, -1), (20, 0, 1), (40, 10, 2), (40, -10, 2))


def count(truth: Sequence[Skeleton], traced: Sequence[Skeleton]) -> dict[str, int]:
    found = topology_errors(truth, traced)
    return {name: getattr(found, name) for name in ("splits", "merges", "missing", "spurious", "unfound")}


NONE = {"splits": 0, "merges": 0, "missing": 0, "spurious": 0, "unfound": 0}


def test_a_neuron_has_no_errors_against_itself() -> None:
    assert topology_errors([FORK, line(0, 50, 30)], [FORK, line(0, 50, 30)]) == TopologyErrors(
        **NONE, neurons=2, trees=2, branches=4, traced_branches=4
    )


@pytest.mark.parametrize(
    ("truth", "traced", "wrong"),
    [
        # one neuron in two trees
        ([line(0, 50, 0)], [line(0, 22, 0), line(25, 50, 0)], {"splits": 1}),
        # the same, as two trees of one file
        ([line(0, 50, 0)], [tree((0, 0, -1), (22, 0, 1), (25, 0, -1), (50, 0, 3))], {"splits": 1}),
        # a neuron of two trees, found as it is
        ([tree((0, 0, -1), (20, 0, 1), (30, 0, -1), (50, 0, 3))], [line(0, 20, 0), line(30, 50, 0)], {}),
        # a piece that is too short to count
        ([line(0, 50, 0)], [line(0, 46, 0), line(48, 50, 0)], {}),
        # two neurons in one tree: across the 30 um between them lies no neuron
        ([line(0, 50, 0), line(0, 50, 30)], [tree((50, 0, -1), (0, 0, 1), (0, 30, 2), (50, 30, 3))], {"merges": 1}),
        # neurons 1 um apart, one traced nearer to the other for a stretch: no merge
        ([line(0, 50, 0), line(0, 50, 1)], [tree((0, 0, -1), (28, 0, 1), (50, 0.8, 2)), line(0, 50, 1)], {}),
        # a neuron that takes 20 um of another one behind their crossing
        (
            [line(0, 50, 0), line(0, 50, 10)],
            [tree((0, 0, -1), (25, 0, 1), (30, 10, 2), (50, 10, 3)), line(0, 29, 10)],
            {"merges": 1, "splits": 1},
        ),
        # one of the branches is lost
        ([FORK], [tree((0, 0, -1), (20, 0, 1), (40, 10, 2))], {"missing": 1}),
        # a third of a branch is lost: it is no missing branch
        ([line(0, 30, 0)], [line(0, 20, 0)], {}),
        # a branch where nothing is
        ([line(0, 40, 0)], [tree((0, 0, -1), (20, 0, 1), (40, 0, 2), (20, 15, 2))], {"spurious": 1}),
        # a twig that is too short to count
        ([line(0, 40, 0)], [tree((0, 0, -1), (20, 0, 1), (40, 0, 2), (20, 4.5, 2))], {}),
        # a trace that lies 1.9 um off is the same neurite, one that lies 2.3 um off is none
        ([line(0, 40, 0)], [line(0, 40, 1.9)], {}),
        ([line(0, 40, 0)], [line(0, 40, 2.3)], {"missing": 1, "spurious": 1, "unfound": 1}),
        ([line(0, 40, 0)], [], {"missing": 1, "unfound": 1}),
        ([], [line(0, 40, 0)], {"spurious": 1}),
        ([], [], {}),
    ],
)
def test_errors_by_hand(truth: list[Skeleton], traced: list[Skeleton], wrong: dict[str, int]) -> None:
    assert count(truth, traced) == NONE | wrong


def test_a_single_node_is_a_tree_without_branches() -> None:
    found = topology_errors([tree((0, 0, -1))], [tree((0, 0, -1))])
    assert found.branches == 0 and found.unfound == 1 and found.missing == 0
