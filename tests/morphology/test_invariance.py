"""What the features of a neuron must not depend on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from neuropack.morphology.arbor import arbor
from neuropack.morphology.branches import branches, strahler_order
from neuropack.morphology.definitions import DEFINITIONS, FEATURES
from neuropack.morphology.features import Value, Values, features
from neuropack.morphology.persistence import persistence_diagram
from neuropack.skeleton import Skeleton

ALONG_AXES = {n for n in FEATURES if n.split("_")[0] in ("width", "height", "depth")}
POWER = {"um": 1, "um2": 2, "um3": 3}


@st.composite
def neurons(draw: st.DrawFn) -> Skeleton:
    """Any forest of 2 to 60 samples in general position, thin and bushy ones; with a soma or without."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(2, 60))
    reach = draw(st.sampled_from([1, 2, 5, 60]))  # 1: a chain
    parent = np.array([-1, *(rng.integers(max(0, n - reach), n) for n in range(1, count))])
    parent[rng.random(count) < draw(st.sampled_from([0.0, 0.1]))] = -1
    kind = rng.integers(0, 6, count)
    kind[kind == 1] = 2
    if draw(st.booleans()):
        kind[0] = 1
    return Skeleton(
        id=np.arange(1, count + 1),
        type=kind,
        xyz=rng.normal(0, 30, (count, 3)),
        radius=rng.uniform(0.2, 2, count),
        parent=np.where(parent < 0, -1, parent + 1),
    )


def same(found: Values, wanted: Values, without: Collection[str] = ()) -> None:
    for name in FEATURES:
        if name not in without:
            assert close(found[name], wanted[name]), (name, found[name], wanted[name])


def close(found: Value, wanted: Value) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return bool(found == pytest.approx(wanted, rel=1e-6, abs=1e-9))


@given(neurons(), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_turning_changes_only_what_lies_along_an_axis(neuron: Skeleton, seed: int) -> None:
    turn = Rotation.random(rng=np.random.default_rng(seed))
    same(features(replace(neuron, xyz=turn.apply(neuron.xyz))), features(neuron), ALONG_AXES)


@given(neurons(), st.tuples(*[st.floats(-1e4, 1e4)] * 3))
@settings(deadline=None)
def test_moving_changes_nothing(neuron: Skeleton, by: tuple[float, float, float]) -> None:
    same(features(replace(neuron, xyz=neuron.xyz + by)), features(neuron))


@given(neurons(), st.floats(0.01, 100))
@settings(deadline=None)
def test_growing_multiplies_by_the_power_of_the_unit(neuron: Skeleton, scale: float) -> None:
    grown = replace(neuron, xyz=neuron.xyz * scale, radius=neuron.radius * scale)
    before, after = features(neuron), features(grown, 10 * scale)
    for one in DEFINITIONS:
        wanted = before[one.name]
        if wanted is not None:
            wanted *= scale ** POWER.get(one.unit, 0)
        assert close(after[one.name], wanted), (one.name, after[one.name], wanted)


@given(neurons(), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_numbers_and_order_of_samples_do_not_matter(neuron: Skeleton, seed: int) -> None:
    rng = np.random.default_rng(seed)
    fresh = rng.permutation(10 * len(neuron))[: len(neuron)] + 1
    parent = np.where(neuron.parent < 0, -1, fresh[neuron.parent - 1])
    renumbered = replace(neuron, id=fresh, parent=parent)
    assert features(renumbered) == features(neuron)
    order = rng.permutation(len(neuron))
    parts = {n: getattr(renumbered, n)[order] for n in ("id", "type", "xyz", "radius", "parent")}
    same(features(Skeleton(**parts)), features(neuron))


@given(neurons())
@settings(deadline=None)
def test_samples_in_the_middle_of_straight_edges_add_nothing(neuron: Skeleton) -> None:
    edges = neuron.edges()
    child, parent = edges[:, 0], edges[:, 1]
    fresh = len(neuron) + 1 + np.arange(len(edges))
    soma = neuron.type[parent] == 1
    begins = np.where(soma, neuron.radius[child], neuron.radius[parent])
    up = neuron.parent.copy()
    up[child] = fresh
    finer = Skeleton(
        id=np.append(neuron.id, fresh),
        type=np.append(neuron.type, neuron.type[child]),
        xyz=np.vstack([neuron.xyz, (neuron.xyz[child] + neuron.xyz[parent]) / 2]),
        radius=np.append(neuron.radius, (neuron.radius[child] + begins) / 2),
        parent=np.append(up, neuron.parent[child]),
    )
    by_sample = {n for n in FEATURES if n.startswith(("sholl", "mean_taper", "mean_rall", "mean_fractal"))}
    by_sample |= {"n_nodes", "soma_link_length_um", "mean_fragmentation", "mean_euclidean_distance_um"}
    by_sample |= {n for n in ALONG_AXES if "95" in n}
    same(features(finer), features(neuron), by_sample)
    assert features(finer)["total_length_um"] == pytest.approx(neuron.length_um())


@given(neurons(), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_sample_that_is_there_twice_changes_nothing(neuron: Skeleton, seed: int) -> None:
    rng = np.random.default_rng(seed)
    twice = np.flatnonzero((neuron.parent > 0) & (rng.random(len(neuron)) < 0.5))
    count = rng.integers(1, 4, len(twice))  # so many more of each, a chain
    rows = np.repeat(twice, count)
    fresh = len(neuron) + 1 + np.arange(len(rows))
    first = np.cumsum(count) - count
    before = fresh - 1
    before[first] = neuron.id[twice]
    ends = neuron.id.copy()  # whose children hang on the last of the chain
    ends[twice] = fresh[first + count - 1]
    parent = np.where(neuron.parent < 0, -1, ends[neuron.parent - 1])
    double = Skeleton(
        id=np.append(neuron.id, fresh),
        type=np.append(neuron.type, neuron.type[rows]),
        xyz=np.vstack([neuron.xyz, neuron.xyz[rows]]),
        radius=np.append(neuron.radius, neuron.radius[rows]),
        parent=np.append(parent, before),
    )
    same(features(double), features(neuron), {"n_nodes", *(n for n in ALONG_AXES if "95" in n)})
    bars = persistence_diagram(double)
    assert (bars[:, 0] <= bars[:, 1]).all()


@given(neurons())
@settings(deadline=None)
def test_bars_cover_the_cable_once_and_branches_agree_with_a_walk_by_hand(neuron: Skeleton) -> None:
    bars = persistence_diagram(neuron)
    assert (bars[:, 1] - bars[:, 0]).sum() == pytest.approx(neuron.length_um())
    assert len(bars) == features(neuron)["n_tips"]
    assert strahler_order(arbor(neuron)) == max(_strahler(neuron, n) for n in _stems(neuron) or [0])
    assert sorted(branches(arbor(neuron)).order.tolist()) == sorted(_orders(neuron))


def _children(neuron: Skeleton, id: int) -> list[int]:
    return neuron.id[neuron.parent == id].tolist()


def _stems(neuron: Skeleton) -> list[int]:
    return [child for root in neuron.id[neuron.parent < 0].tolist() for child in _children(neuron, root)]


def _strahler(neuron: Skeleton, id: int) -> int:
    if not id:
        return 0
    orders = sorted((_strahler(neuron, child) for child in _children(neuron, id)), reverse=True)
    if not orders:
        return 1
    return orders[0] + (len(orders) > 1 and orders[0] == orders[1])


def _orders(neuron: Skeleton) -> list[int]:
    """The order of every branch, found by following each."""
    ahead, found = [(stem, 0) for stem in _stems(neuron)], []
    while ahead:
        at, order = ahead.pop()
        found.append(order)
        while len(below := _children(neuron, at)) == 1:
            at = below[0]
        ahead += [(child, order + 1) for child in below]
    return found
