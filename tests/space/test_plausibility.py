"""Axis orders told from regions: the mistake is named, what is right is not accused, in the real annotation too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_atlas import needs_table

from neuropack.simulate.atlas import simulated_atlas
from neuropack.skeleton import Skeleton
from neuropack.space.annotation import Annotation
from neuropack.space.atlas import Atlas, open_atlas
from neuropack.space.orders import ORDERS, STATED, Order, exact_order
from neuropack.space.plausibility import (
    accused,
    accused_by_brain,
    accused_by_lengths,
    beyond_doubt,
    fitting_brain,
    fitting_lengths,
    fitting_orders,
    kin,
    looks_like_mm,
    sample_along,
)

LEGACY = Order((2, 1, 0), (False, False, False))


@pytest.fixture
def real(data_file: Callable[[str], Path]) -> Atlas:
    needs_table()
    return open_atlas(data_file("ccf/annotation_100.nrrd"))


def points_in(atlas: Atlas, count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    voxels = np.argwhere(atlas.annotation.labels > 0)
    return (voxels[random.integers(len(voxels), size=count)] + random.random((count, 3))) * 100


def test_there_are_48_orders_and_the_stated_one_is_first() -> None:
    assert len(set(ORDERS)) == 48
    assert ORDERS[0] == STATED
    assert str(STATED) == "the stated order"


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_an_order_there_and_back(order: Order) -> None:
    points = np.array([[1000.0, 2000, 3000], [7000, 500, 9000]])
    assert np.array_equal(order.to_ccf(order.from_ccf(points)), points)
    assert exact_order(order.from_ccf(points), points, 0.01) == order


def test_mistakes_have_names() -> None:
    assert str(LEGACY) == "axes 1 and 3 exchanged (the legacy MouseLight order)"
    assert str(Order((0, 2, 1), (False,) * 3)) == "axes 2 and 3 exchanged"
    assert str(Order((0, 1, 2), (False, False, True))) == "left and right exchanged (BrainGlobe's asr)"
    assert str(Order((2, 0, 1), (False,) * 3)) == "axes in the order DV, LR, AP"


def test_points_that_are_another_neuron_are_in_no_order() -> None:
    points = np.random.default_rng(0).uniform(0, 8000, (5, 3))
    assert exact_order(points + 3, points, 0.1) is None


@pytest.mark.parametrize("order", [LEGACY, Order((0, 2, 1), (False,) * 3), Order((1, 2, 0), (False, True, False))])
def test_the_mistake_is_named(order: Order, real: Atlas) -> None:
    points = points_in(real, 30, 1)
    ids = real.annotation.lookup(points).tolist()
    sides = ["right" if lr >= 5700 else "left" for lr in points[:, 2]]
    found = accused(fitting_orders(order.from_ccf(points), ids, real.annotation, real.structures, sides))
    assert found is not None
    assert (found.order, found.mirror_told) == (order, True)


def test_regions_alone_do_not_tell_left_from_right(real: Atlas) -> None:
    points = points_in(real, 30, 1)
    ids = real.annotation.lookup(points).tolist()
    found = accused(fitting_orders(LEGACY.from_ccf(points), ids, real.annotation, real.structures))
    assert found is not None
    assert found.order in (LEGACY, LEGACY.mirrored())
    assert "left and right untold" in str(found)


@pytest.mark.parametrize("count", [4, 10, 40])
@pytest.mark.parametrize("off_um", [0, 100, 200])
def test_what_is_right_is_not_accused(count: int, off_um: int, real: Atlas) -> None:
    for seed in range(8):
        points = points_in(real, count, seed)
        meant = points + np.random.default_rng(seed).normal(0, off_um, points.shape)
        ids = real.annotation.lookup(meant).tolist()
        assert accused(fitting_orders(points, ids, real.annotation, real.structures)) is None


def test_the_legacy_order_lies_inside_the_volume(real: Atlas) -> None:
    """But for the last 1.8 mm of the hindbrain: the volume is longer than it is wide."""
    points = points_in(real, 500, 2)
    assert real.annotation.inside(LEGACY.from_ccf(points[points[:, 0] < 11_400])).all()


def test_three_points_accuse_nobody(real: Atlas) -> None:
    points = points_in(real, 3, 4)
    ids = real.annotation.lookup(points).tolist()
    assert accused(fitting_orders(LEGACY.from_ccf(points), ids, real.annotation, real.structures)) is None


def test_the_root_is_no_evidence(real: Atlas) -> None:
    fits = fitting_orders(points_in(real, 9, 4), [997] * 9, real.annotation, real.structures)
    assert accused(fits) is None
    assert len(fits[0].agrees if fits[0].agrees is not None else [0]) == 0


def test_kin_are_parts_and_what_it_is_a_part_of(real: Atlas) -> None:
    related = kin(real.structures, 385)  # VISp
    assert {385, 821, 669, 315} <= related  # its layer 2/3, VIS, isocortex
    assert 997 not in related
    assert 382 not in related  # CA1


def test_lengths_name_the_order() -> None:
    annotation = Annotation(simulated_atlas(100.0).labels, Path("simulated"))
    xyz = np.array([[2500.0, 3000, 3000], [6500, 1500, 2500], [9000, 4500, 3500]])
    neuron = Skeleton(np.arange(3), np.array([1, 2, 2]), xyz, np.ones(3), np.array([-1, 0, 1]))
    points = sample_along(neuron)
    ids, counts = np.unique(annotation.lookup(points), return_counts=True)
    stated = {(int(i), "left"): float(n) for i, n in zip(ids, counts, strict=True)}
    assert accused_by_lengths(fitting_lengths(points, stated, annotation), stated) is None
    (now,) = fitting_lengths(points, stated, annotation, (STATED,))
    assert now.fraction == pytest.approx(1)
    assert beyond_doubt(now)
    wrong = LEGACY.from_ccf(points)
    found = accused_by_lengths(fitting_lengths(wrong, stated, annotation), stated)
    assert found is not None
    assert found.order == LEGACY
    assert not beyond_doubt(next(fit for fit in fitting_lengths(wrong, stated, annotation) if fit.order.stated))


def test_endless_edges_are_sampled_all_the_same() -> None:
    xyz = np.array([[0.0, 0, 0], [1e12, 0, 0]])
    neuron = Skeleton(np.arange(2), np.array([1, 2]), xyz, np.ones(2), np.array([-1, 0]))
    assert sample_along(neuron).shape == (4096, 3)


def test_a_brain_is_weak_evidence() -> None:
    annotation = Annotation(simulated_atlas(200.0).labels, Path("simulated"))
    points = np.array([7800.0, 4300, 2500]) + np.random.default_rng(0).uniform(-300, 300, (50, 3))
    assert accused_by_brain(fitting_brain(points, annotation)) == []
    orders = accused_by_brain(fitting_brain(Order((1, 2, 0), (False,) * 3).from_ccf(points), annotation))
    assert orders
    assert not any(fit.order.stated or fit.mirror_told for fit in orders)


def test_millimetres() -> None:
    assert looks_like_mm(np.array([[5.0, 2, 9], [13.1, 7, 11]]))
    assert not looks_like_mm(np.array([[5.0, 2, 9], [1300, 7, 11]]))
    assert not looks_like_mm(np.empty((0, 3)))


def test_points_at_borders_have_a_voxel_of_grace(real: Atlas) -> None:
    """Ten points at borders, 100 um off: by look-up alone another order would fit far better."""
    labels, random = real.annotation.labels, np.random.default_rng(118)
    edge = np.zeros(labels.shape, bool)
    edge[:, :, :-1] = labels[:, :, :-1] != labels[:, :, 1:]
    voxels = np.argwhere(edge & (labels > 0))
    points = (voxels[random.integers(len(voxels), size=10)] + random.random((10, 3))) * 100
    ids = real.annotation.lookup(points + random.normal(0, 100, points.shape)).tolist()
    assert accused(fitting_orders(points, ids, real.annotation, real.structures)) is None
