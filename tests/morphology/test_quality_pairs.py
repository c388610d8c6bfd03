"""Two neurons of a stack: one that runs along another is found, one that crosses it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neuropack.morphology.quality_pairs import Overlaps, overlaps, shared_path
from neuropack.simulate.trees import grow
from neuropack.skeleton import Skeleton


def line(xyz: np.ndarray, radius: float = 0.5) -> Skeleton:
    ids = np.arange(1, len(xyz) + 1)
    return Skeleton(
        ids, np.full(len(xyz), 3), np.asarray(xyz, float), np.full(len(xyz), radius), np.r_[-1, ids[:-1]]
    )


def straight(start: tuple[float, float, float], way: tuple[float, float, float], length: int) -> Skeleton:
    return line(np.array(start) + np.arange(length + 1)[:, None] * np.array(way))


def test_a_neuron_that_goes_on_along_another_shares_its_path() -> None:
    own = straight((0, 0, 0), (1, 0, 0), 100)
    merged = line(np.r_[[[40, 60 - i, 0] for i in range(60)], [[40 + i, 0.2, 0] for i in range(40)]])
    ((a, b, flaw),) = overlaps([merged, own], 0.5, ["merged", "own"])
    assert (a, b, flaw.kind) == (0, 1, "shared-path")
    assert flaw.found.startswith("39") or flaw.found.startswith("40")
    assert "inside own" in flaw.found
    assert flaw.ids[0] in range(59, 66)


@pytest.mark.parametrize("angle", [90, 45, 20])
def test_neurons_that_cross_are_two(angle: float) -> None:
    way = np.cos(np.radians(angle)), np.sin(np.radians(angle)), 0.0
    crossing = straight((50 - 50 * way[0], -50 * way[1], 0), way, 100)
    assert overlaps([straight((0, 0, 0), (1, 0, 0), 100), crossing], 0.5) == []


def test_neurites_side_by_side_are_two() -> None:
    assert overlaps([straight((0, 0, 0), (1, 0, 0), 100), straight((0, 1.2, 0), (1, 0, 0), 100)], 0.5) == []


def test_one_neuron_twice_is_told_once() -> None:
    neuron = grow(np.random.default_rng(0), (300.0, 300.0, 100.0))
    again = replace(neuron, xyz=neuron.xyz + 0.1)
    other = grow(np.random.default_rng(1), (300.0, 300.0, 100.0))
    assert [(a, b, f.kind) for a, b, f in overlaps([neuron, other, again], 0.5)] == [(0, 2, "duplicate")]


def test_a_part_of_a_neuron_is_no_second_tracing_of_it() -> None:
    whole = straight((0, 0, 0), (1, 0, 0), 100)
    (found,) = overlaps([whole, straight((0, 0, 0), (1, 0, 0), 50)], 0.5)
    assert found[2].kind == "shared-path"


def test_coarse_voxels_want_a_longer_path() -> None:
    """At 100 um two neurons that meet for a few voxels may lie a cell apart."""
    a, b = straight((0, 0, 0), (50, 0, 0), 60), straight((0, 60, 0), (50, 0, 0), 10)
    assert overlaps([a, b], 100.0) == []
    assert len(overlaps([a, straight((0, 60, 0), (50, 0, 0), 40)], 100.0)) == 1


def test_no_path_is_overlooked_wherever_it_lies() -> None:
    """Near points share a cell of one of four grids, so the cells hide no pair."""
    random = np.random.default_rng(0)
    for i in range(300):
        way = random.normal(size=3) if i % 2 else np.eye(3)[i % 3]
        steps = [way / np.linalg.norm(way)]
        for _ in range(22):
            turned = steps[-1] + random.normal(0, 0.1, 3) * (i % 4 > 1)
            steps.append(turned / np.linalg.norm(turned))
        xyz = random.uniform(-50, 50, 3) + np.cumsum(steps, axis=0)
        aside = random.normal(size=3)
        aside *= 0.9 * random.uniform() / np.linalg.norm(aside)
        assert overlaps([line(xyz, 1.0), line(xyz + aside, 1.0)], 1.0), i


def test_few_of_many_simulated_neurons_share_anything() -> None:
    """As dense as no stack is: chance alone puts no two of them onto one path."""
    grown = [grow(np.random.default_rng(i), (300.0, 300.0, 120.0)) for i in range(60)]
    assert overlaps(grown, 0.5) == []


def test_a_thousand_copies_are_compared_along_the_list_only() -> None:
    one = straight((0, 0, 0), (1, 0, 0), 30)
    found = Overlaps(0.5)
    for i in range(1000):
        found.add(str(i), one)
    compared = []

    def read(name: str) -> Skeleton:
        compared.append(name)
        return one

    assert all(flaw.kind == "duplicate" for _, _, flaw in found.pairs(read))
    assert len(compared) < 20_000


@pytest.mark.parametrize("far", [1e12, 1e300])
def test_an_edge_to_the_moon(far: float) -> None:
    broken = line(np.array([[0, 0, 0], [far, 0, 0], [far, far, 0]], float))
    with np.errstate(over="ignore", invalid="ignore"):
        assert shared_path(broken, straight((0, 5, 0), (1, 0, 0), 30), 0.5) is None
        found = Overlaps(0.5)
        found.add("a", broken)
        found.add("b", straight((0, 5, 0), (1, 0, 0), 30))
        assert list(found.pairs({"a": broken}.get)) == []


def test_neurons_far_apart_share_nothing() -> None:
    assert overlaps([straight((0, 0, 0), (1, 0, 0), 30), straight((1000, 0, 0), (1, 0, 0), 30)], 0.5) == []
