"""Turns at a crossing of two neurites, against bends and forks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from lines import away, drawn, volume

from neuropack.trace import Options, PathFinder
from neuropack.trace.crossings import false_turns
from neuropack.trace.search import Watch

SHAPE = (16, 96, 120)


def straight(*points: tuple[float, float]) -> np.ndarray:  # type: ignore[type-arg]
    """Straight lines from one point y, x to the next, in the middle plane."""
    at = np.array(points, np.float64)
    parts = [np.linspace(a, b, 200) for a, b in pairwise(at)]
    return np.column_stack([np.full(200 * len(parts), 8.0), np.concatenate(parts)])


def turns(image: np.ndarray, path: np.ndarray) -> int:  # type: ignore[type-arg]
    """How many turns at crossings a path is said to have."""
    finder = PathFinder(volume(image))
    model = finder._fine.model(path[0], path[-1], finder.options, Watch())
    bright = np.full(len(path), model.contrast)
    return len(false_turns(finder._fine.grid, model, path, bright))


LEVEL, UPRIGHT = straight((48, 5), (48, 115)), straight((5, 60), (90, 60))
CORNER = straight((48, 10), (48, 60), (10, 60))[::5]  # along one, then along the other


def test_a_turn_at_a_crossing_is_seen_and_bends_and_forks_are_none() -> None:
    assert turns(drawn([LEVEL, UPRIGHT], SHAPE), CORNER) == 1
    assert turns(drawn([CORNER], SHAPE), CORNER) == 0
    assert turns(drawn([LEVEL, straight((5, 60), (48, 60))], SHAPE), CORNER) == 0
    assert turns(drawn([UPRIGHT, straight((48, 5), (48, 60))], SHAPE), CORNER) == 0
    assert turns(drawn([LEVEL, UPRIGHT], SHAPE), LEVEL[::5]) == 0
    assert turns(drawn([LEVEL, UPRIGHT], SHAPE), CORNER[:12]) == 0


def test_a_longer_way_without_such_a_turn_is_taken() -> None:
    own = straight((20, 8), (20, 110), (80, 110), (80, 8))  # there and back
    cut = straight((12, 50), (90, 50))  # crosses both, and is shorter
    path = PathFinder(volume(drawn([own, cut], SHAPE))).find(own[0], own[-1])
    assert away(own, path.zyx).max() < 2
    assert path.length_um > 240
    assert path.notes == ()
    assert path.confidence > 0.85


def test_where_there_is_no_other_way_the_turn_is_told() -> None:
    image = drawn([LEVEL, UPRIGHT], SHAPE)
    for options in (Options(), Options(coarse_beyond=10, free_expansions=10)):
        path = PathFinder(volume(image), options).find((8, 48, 12), (8, 12, 60))
        assert path.confidence < 0.5
        assert any("cross" in note for note in path.notes)
