"""Grown neurons are valid trees inside their box, and the seed decides everything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuropack.errors import UsageError
from neuropack.simulate.trees import AXON, DENDRITE, SOMA, Habit, grow
from neuropack.swc import read_swc, write_swc

SIZE = (90.0, 80.0, 60.0)


@pytest.mark.parametrize("seed", range(5))
def test_a_neuron_is_one_tree_with_parents_before_children(seed: int) -> None:
    neuron = grow(np.random.default_rng(seed), SIZE)
    assert (neuron.parent[1:] < neuron.id[1:]).all()
    assert neuron.parent[0] == -1 and (neuron.parent[1:] >= 1).all()
    assert neuron.type[0] == SOMA and set(neuron.type[1:]) == {AXON, DENDRITE}


@pytest.mark.parametrize("seed", range(5))
def test_every_sample_lies_in_the_box(seed: int) -> None:
    neuron = grow(np.random.default_rng(seed), SIZE)
    assert (neuron.xyz >= 0).all() and (neuron.xyz < SIZE).all()


def test_neurites_taper_and_keep_a_smallest_radius() -> None:
    habit = Habit(bouton_every_um=1e12)
    neuron = grow(np.random.default_rng(3), SIZE, habit=habit)
    child, parent = neuron.edges().T
    assert (neuron.radius[child] <= neuron.radius[parent] + 0.001).all()
    assert neuron.radius.min() == habit.smallest_radius_um


def test_neurons_branch() -> None:
    neuron = grow(np.random.default_rng(1), SIZE)
    _, children = np.unique(neuron.parent[neuron.parent > 1], return_counts=True)
    assert (children == 2).sum() > 5 and children.max() == 2


def test_a_long_axon_does_not_branch_without_bound() -> None:
    habit = Habit(axon_length_um=250.0, dendrite_length_um=20.0)
    neuron = grow(np.random.default_rng(1), (400.0, 400.0, 400.0), habit=habit)
    assert 10 < (neuron.type == AXON).sum() < 1_500


def test_the_same_seed_grows_the_same_neuron() -> None:
    one, two, other = (grow(np.random.default_rng(s), SIZE) for s in (7, 7, 8))
    assert np.array_equal(one.xyz, two.xyz) and np.array_equal(one.radius, two.radius)
    assert one.xyz.shape != other.xyz.shape or not np.array_equal(one.xyz, other.xyz)


def test_an_swc_file_carries_a_neuron_without_loss(tmp_path: Path) -> None:
    neuron = grow(np.random.default_rng(2), SIZE)
    write_swc(tmp_path / "n.swc", neuron)
    again = read_swc(tmp_path / "n.swc")
    for field in ("id", "type", "xyz", "radius", "parent"):
        assert np.array_equal(getattr(neuron, field), getattr(again, field)), field


def test_a_box_smaller_than_a_soma_is_refused() -> None:
    with pytest.raises(UsageError, match="too small for a soma"):
        grow(np.random.default_rng(0), (90.0, 80.0, 1.0))
