"""Features of small trees, worked out by hand, and what must not change them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from neuropack.errors import InputError, UsageError
from neuropack.morphology.definitions import DEFINITIONS, FEATURES, SUMMARY_COLUMNS, markdown
from neuropack.morphology.features import features
from neuropack.morphology.persistence import persistence_diagram
from neuropack.morphology.sholl import sholl_profile
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc


def tree(*rows: Sequence[float]) -> Skeleton:
    """A skeleton of rows: id, type, x, y, z, radius, parent."""
    table = np.array(rows, float)
    whole = table[:, [0, 1, 6]].astype(np.int64)
    return Skeleton(whole[:, 0], whole[:, 1], table[:, 2:5], table[:, 5], whole[:, 2])


def y_shape() -> Skeleton:
    """A dendrite that forks into a bent and a straight arm, and an axon with a right angle."""
    return tree(
        (1, 1, 0, 0, 0, 5, -1),
        (2, 3, 0, 10, 0, 2, 1),
        (3, 3, 0, 20, 0, 2, 2),
        (4, 3, 3, 24, 0, 1, 3),
        (5, 3, 3, 29, 0, 0.5, 4),
        (6, 3, -3, 24, 0, 1, 3),
        (7, 2, 0, -10, 0, 1, 1),
        (8, 2, 0, -10, 10, 1, 7),
    )


BENT = math.sqrt(90)  # from the fork to the tip of the bent arm, 10 um along it
PI = math.pi
BY_HAND = {
    "n_nodes": 8,
    "n_trees": 1,
    "n_stems": 2,
    "n_bifurcations": 1,
    "n_multifurcations": 0,
    "n_branches": 4,
    "n_tips": 3,
    "soma_surface_um2": 100 * PI,
    "soma_volume_um3": 500 / 3 * PI,
    "width_um": 6,
    "height_um": 39,
    "depth_um": 10,
    # of eight samples the ranks 0.175 and 6.825, counted from 0
    "width_95_um": 3 + 2.475,
    "height_95_um": 24 + 0.825 * 5 + 10,
    "depth_95_um": 8.25,
    "total_length_um": 55,
    "axon_length_um": 20,
    "dendrite_length_um": 35,
    "basal_length_um": 35,
    "apical_length_um": 0,
    "other_length_um": 0,
    "soma_link_length_um": 20,
    "total_surface_um2": PI * (40 + 40 + 2 * 3 * math.sqrt(26) + 1.5 * math.sqrt(25.25) + 20 + 20),
    "total_volume_um3": PI * (40 + 40 + 2 * 35 / 3 + 8.75 / 3 + 10 + 10),
    "mean_diameter_um": (4 * 20 + 3 * 10 + 1.5 * 5 + 2 * 20) / 55,
    "max_euclidean_distance_um": math.sqrt(9 + 29**2),
    "mean_euclidean_distance_um": (
        5 * 10 + 15 * 10 + 2 * math.hypot(1.5, 22) * 5 + math.hypot(3, 26.5) * 5 + 5 * 10 + math.sqrt(125) * 10
    )
    / 55,
    "max_path_distance_um": 30,
    "mean_path_distance_um": (5 * 10 + 15 * 10 + 2 * 22.5 * 5 + 27.5 * 5 + 5 * 10 + 15 * 10) / 55,
    "max_branch_order": 1,
    "max_strahler_order": 2,
    "mean_contraction": (1 + BENT / 10 + 1 + math.sqrt(200) / 20) / 4,
    "mean_fragmentation": 7 / 4,
    "mean_partition_asymmetry": 0,
    "mean_bifurcation_angle_local_deg": math.degrees(math.acos(7 / 25)),
    "mean_bifurcation_angle_remote_deg": math.degrees(math.acos(27 / (5 * BENT))),
    "mean_taper_burke": (0 + (2 - 1) / 5 + 0) / 3,
    "mean_taper_hillman": (0 + (2 - 1) / 2 + 0) / 3,
    "mean_rall_power": 1,  # 4 = 2 + 2
    "mean_rall_ratio": 2 * 0.5**1.5,
    "mean_fractal_dimension": (1 + math.log(2) / math.log(BENT / 5) + 2) / 3,
    "sholl_step_um": 10,
    "sholl_max_crossings": 2,
    "sholl_radius_of_max_um": 10,
    "persistence_longest_bar_um": 30,
    "persistence_mean_bar_um": 55 / 3,
    "persistence_entropy": -sum(p * math.log(p) for p in (30 / 55, 20 / 55, 5 / 55)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_y_shape_has_the_numbers_of_paper_and_pencil(name: str) -> None:
    assert features(y_shape())[name] == pytest.approx(BY_HAND[name], rel=1e-12, abs=1e-12)


def test_no_feature_is_left_unchecked() -> None:
    elsewhere = {n for n in FEATURES if n.startswith(("extent_pca", "convex_hull"))}  # in the tests below
    assert set(BY_HAND) | elsewhere == set(FEATURES)
    assert len(FEATURES) == len(set(FEATURES))
    assert set(SUMMARY_COLUMNS) < set(FEATURES)
    assert tuple(features(y_shape())) == FEATURES


def test_the_unit_of_a_feature_is_in_its_key() -> None:
    endings = {"um": "_um", "um2": "_um2", "um3": "_um3", "deg": "_deg"}
    for one in DEFINITIONS:
        ends = [unit for unit, ending in endings.items() if one.name.endswith(ending)]
        assert ends == ([one.unit] if one.unit in endings else []), one.name


def test_hull_and_extents_of_a_corner() -> None:
    # three arms of 6 um along the axes, from a root that is no soma
    found = features(
        tree((1, 3, 0, 0, 0, 1, -1), (2, 3, 6, 0, 0, 1, 1), (3, 3, 0, 6, 0, 1, 1), (4, 3, 0, 0, 6, 1, 1))
    )
    assert found["convex_hull_volume_um3"] == pytest.approx(36)
    assert found["convex_hull_area_um2"] == pytest.approx(3 * 18 + 18 * math.sqrt(3))
    assert (found["n_stems"], found["n_bifurcations"], found["n_tips"]) == (3, 0, 3)


def test_principal_extents_of_a_cross_that_is_turned() -> None:
    # arms of 10 and of 4 um at right angles, in the plane of (1, 1, 0) and z
    a, z = np.array([1, 1, 0]) / math.sqrt(2), np.array([0, 0, 1])
    ends = [10 * a, -10 * a, 4 * z, -4 * z]
    rows = [(1, 3, 0, 0, 0, 1, -1), *((n + 2, 3, *end, 1, 1) for n, end in enumerate(ends))]
    found = features(tree(*rows))
    assert [found[f"extent_pca{n}_um"] for n in (1, 2, 3)] == pytest.approx([20, 8, 0])
    assert found["convex_hull_volume_um3"] is None  # all in a plane


def test_partition_asymmetry_and_orders_of_a_comb() -> None:
    # forks with 3 | 1, 2 | 1 and 1 | 1 tips
    spine = [(n, 3, 0, 10 * n, 0, 1, n - 1 if n > 1 else -1) for n in range(1, 5)]
    teeth = [(10 + n, 3, 5, 10 * n, 0, 1, n) for n in (2, 3, 4)]
    last = (20, 3, 0, 50, 0, 1, 4)
    found = features(tree(*spine, *teeth, last))
    assert found["mean_partition_asymmetry"] == pytest.approx((1 + 1 + 0) / 3)
    assert (found["max_branch_order"], found["max_strahler_order"]) == (3, 2)
    bars = persistence_diagram(tree(*spine, *teeth, last))
    assert sorted(bars.tolist()) == [[0, 40], [10, 15], [20, 25], [30, 35]]


def test_a_perfect_binary_tree_has_its_depth_as_order() -> None:
    rows = [(n, 3, n % 7, n % 5, n, 1, n // 2 if n > 1 else -1) for n in range(1, 64)]
    found = features(tree(*rows))
    assert (found["n_stems"], found["n_tips"]) == (2, 32)
    assert (found["max_strahler_order"], found["max_branch_order"]) == (5, 4)


def test_a_fork_of_three_is_no_pair() -> None:
    found = features(
        tree(
            (1, 1, 0, 0, 0, 5, -1),
            (2, 3, 0, 10, 0, 2, 1),
            (3, 3, 0, 20, 0, 2, 2),
            (4, 3, 5, 20, 0, 2, 2),
            (5, 3, -5, 20, 0, 2, 2),
        )
    )
    assert (found["n_bifurcations"], found["n_multifurcations"], found["n_branches"]) == (1, 1, 4)
    assert found["mean_partition_asymmetry"] is None
    assert found["mean_bifurcation_angle_local_deg"] is None
    assert found["mean_rall_ratio"] is None


def test_one_sample_has_no_neurites() -> None:
    found = features(tree((1, 1, 3, 4, 5, 2, -1)))
    assert {k: v for k, v in found.items() if v} == {
        "n_nodes": 1,
        "n_trees": 1,
        "soma_surface_um2": pytest.approx(16 * PI),
        "soma_volume_um3": pytest.approx(32 / 3 * PI),
        "sholl_step_um": 10,
    }
    zeros = {k for k, v in found.items() if v == 0}
    assert "total_length_um" in zeros
    for one in DEFINITIONS:
        assert (found[one.name] is None) <= bool(one.undefined), f"{one.name} may be None, and says not when"
    assert features(tree((1, 3, 3, 4, 5, 2, -1)))["soma_surface_um2"] is None


def test_samples_at_one_place_are_no_cable() -> None:
    found = features(tree((1, 1, 0, 0, 0, 5, -1), (2, 3, 0, 0, 0, 1, 1), (3, 3, 0, 0, 0, 1, 2)))
    assert found["total_length_um"] == 0
    assert found["mean_contraction"] is None
    assert found["mean_fragmentation"] == 0
    assert found["mean_path_distance_um"] is None
    assert found["persistence_entropy"] is None


def test_an_edge_without_length_changes_nothing_but_samples() -> None:
    plain = y_shape()
    rows = [*zip(plain.id, plain.type, *plain.xyz.T, plain.radius, plain.parent, strict=True)]
    rows[3] = (*rows[3][:6], 9)  # the bent arm now begins at a second sample at the fork
    rows.append((9, 3, 0, 20, 0, 1, 3))
    found, before = features(tree(*rows)), features(plain)
    skipped = {"n_nodes", "width_95_um", "height_95_um", "depth_95_um", "mean_taper_burke", "mean_taper_hillman"}
    skipped |= {"total_surface_um2", "total_volume_um3", "mean_diameter_um"}  # the arm begins thinner
    for name in set(FEATURES) - skipped:
        assert found[name] == pytest.approx(before[name]), name


def test_without_a_soma_the_root_is_the_origin() -> None:
    found = features(tree((1, 3, 100, 0, 0, 1, -1), (2, 3, 103, 4, 0, 2, 1), (3, 3, 106, 8, 0, 2, 2)))
    assert found["max_euclidean_distance_um"] == pytest.approx(10)
    assert (found["n_stems"], found["n_bifurcations"], found["n_tips"]) == (1, 0, 1)
    assert found["soma_link_length_um"] == 0
    assert found["mean_diameter_um"] == pytest.approx((3 + 4) / 2)  # the root is a sample of the neurite


def test_several_trees_are_summed_and_share_one_origin() -> None:
    pieces = tree(
        (1, 3, 0, 0, 0, 1, -1),
        (2, 3, 3, 4, 0, 1, 1),
        (3, 3, 100, 0, 0, 1, -1),
        (4, 3, 110, 0, 0, 1, 3),
        (5, 3, 0, 50, 0, 1, -1),
    )
    found = features(pieces)
    assert (found["n_trees"], found["n_stems"], found["n_tips"]) == (3, 2, 2)
    assert found["total_length_um"] == pytest.approx(15)
    assert found["max_path_distance_um"] == pytest.approx(10)
    # from the root of the longest tree at x = 100
    assert found["max_euclidean_distance_um"] == pytest.approx(math.hypot(100, 0))


def test_a_tree_that_is_stored_from_a_tip_begins_at_its_soma() -> None:
    plain = y_shape()
    turned = tree(
        (5, 3, 3, 29, 0, 0.5, -1),
        (4, 3, 3, 24, 0, 1, 5),
        (3, 3, 0, 20, 0, 2, 4),
        (6, 3, -3, 24, 0, 1, 3),
        (2, 3, 0, 10, 0, 2, 3),
        (1, 1, 0, 0, 0, 5, 2),
        (7, 2, 0, -10, 0, 1, 1),
        (8, 2, 0, -10, 10, 1, 7),
    )
    assert features(turned) == pytest.approx(features(plain))


def test_type_1_at_the_end_of_a_neurite_is_no_second_soma() -> None:
    found = features(tree((1, 1, 0, 0, 0, 5, -1), (2, 3, 0, 10, 0, 1, 1), (3, 1, 0, 20, 0, 1, 2)))
    assert found["total_length_um"] == pytest.approx(20)
    assert found["soma_surface_um2"] == pytest.approx(100 * PI)
    assert (found["n_branches"], found["other_length_um"]) == (1, pytest.approx(10))


def test_soma_of_three_samples_has_the_surface_of_the_sphere() -> None:
    # http://neuromorpho.org/SomaFormat.html
    found = features(tree((1, 1, 0, 0, 0, 7, -1), (2, 1, 0, -7, 0, 7, 1), (3, 1, 0, 7, 0, 7, 1)))
    assert found["soma_surface_um2"] == pytest.approx(4 * PI * 49)
    assert found["soma_volume_um3"] == pytest.approx(2 * PI * 343)
    assert found["total_length_um"] == 0


def test_soma_that_is_an_outline_is_a_sphere() -> None:
    angles = np.arange(12) * PI / 6
    ring = [(n + 1, 1, 6 * math.cos(a), 6 * math.sin(a), 0, 0.1, n or -1) for n, a in enumerate(angles)]
    found = features(tree(*ring, (20, 3, 20, 0, 0, 1, 1)))
    assert found["soma_surface_um2"] == pytest.approx(4 * PI * 36)
    assert found["soma_volume_um3"] == pytest.approx(4 / 3 * PI * 216)
    assert found["total_length_um"] == pytest.approx(14)  # from the sample of the outline that it leaves
    assert found["max_euclidean_distance_um"] == pytest.approx(20)  # from the centre
    stack = [(n + 1, 1, 0, n, 0, 3, n or -1) for n in range(6)]
    assert features(tree(*stack))["soma_surface_um2"] == pytest.approx(6 * PI * 5)


def test_a_soma_of_cylinders_needs_all_its_radii() -> None:
    found = features(tree((1, 1, 0, 0, 0, 2, -1), (2, 1, 0, 4, 0, 0, 1), (3, 3, 0, 10, 0, 1, 2)))
    assert (found["soma_surface_um2"], found["soma_volume_um3"]) == (None, None)


def test_a_daughter_without_length_makes_no_angle() -> None:
    found = features(
        tree(
            (1, 1, 0, 0, 0, 2, -1),
            (2, 3, 0, 10, 0, 1, 1),
            (3, 3, 0, 10, 0, 1, 2),  # at the fork
            (4, 3, 10, 10, 0, 1, 2),
            (5, 3, 20, 10, 0, 1, 4),
            (6, 3, 10, 20, 0, 1, 4),
        )
    )
    assert found["n_bifurcations"] == 2
    assert found["mean_bifurcation_angle_local_deg"] == pytest.approx(90)
    assert found["mean_bifurcation_angle_remote_deg"] == pytest.approx(90)


@pytest.mark.parametrize(("radius", "power"), [(0.5, 1.0), (0.99, None), (1.5, None), (0.0, None)])
def test_rall_power_of_daughters_with_half_the_diameter_and_with_almost_all(
    radius: float, power: float | None
) -> None:
    daughters = [(3, 3, 5, 20, 0, radius, 2), (4, 3, -5, 20, 0, radius, 2)]
    found = features(tree((1, 1, 0, 0, 0, 5, -1), (2, 3, 0, 10, 0, 1, 1), *daughters))
    assert found["mean_rall_power"] == (power if power is None else pytest.approx(power))
    assert found["mean_rall_ratio"] == (pytest.approx(2 * radius**1.5) if radius else None)


def test_twigs_without_length_make_bars_without_length() -> None:
    rng = np.random.default_rng(0)
    spine = np.cumsum(rng.uniform(0, 1, (200, 3)), axis=0)
    rows = [(n + 1, 3, *at, 1, n or -1) for n, at in enumerate(spine)]
    twigs = [(n + 500, 3, *spine[n], 1, n + 1) for n in range(1, 199)]
    bars = persistence_diagram(tree(*rows, *twigs))
    assert len(bars) == 199
    assert (bars[:, 1] >= bars[:, 0]).all()


@pytest.mark.parametrize("seed", range(5))
def test_what_lies_in_a_plane_has_no_hull_however_it_is_turned(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plane = rng.normal(0, 100, (60, 2)) @ rng.normal(0, 1, (2, 3)) + 1e5  # so far out its numbers are rounded
    rows = [(n + 1, 3, *at, 1, n or -1) for n, at in enumerate(plane)]
    assert features(tree(*rows))["convex_hull_volume_um3"] is None


@pytest.mark.parametrize("radii", [(0, 0), (-1, 2)])
def test_radii_that_say_nothing_give_none(radii: tuple[float, float]) -> None:
    found = features(tree((1, 1, 0, 0, 0, 0, -1), (2, 3, 0, 10, 0, radii[0], 1), (3, 3, 0, 20, 0, radii[1], 2)))
    names = ("soma_surface_um2", "total_surface_um2", "total_volume_um3", "mean_diameter_um", "mean_taper_burke")
    assert [found[name] for name in names] == [None] * 5
    assert found["total_length_um"] == 20


def test_sholl_counts_a_sample_on_a_sphere_once() -> None:
    line = tree((1, 1, 0, 0, 0, 1, -1), *((n + 1, 3, 10 * n, 0, 0, 1, n) for n in range(1, 6)))
    found = sholl_profile(line)
    assert found.radii_um.tolist() == [10, 20, 30, 40, 50]
    assert found.crossings.tolist() == [1, 1, 1, 1, 1]
    assert sholl_profile(line, 25).crossings.tolist() == [1, 1]


def test_sholl_counts_each_way_through_a_sphere() -> None:
    there_and_back = tree(
        (1, 1, 0, 0, 0, 1, -1), (2, 3, 15, 0, 0, 1, 1), (3, 3, 5, 1, 0, 1, 2), (4, 3, 25, 0, 0, 1, 3)
    )
    assert sholl_profile(there_and_back).crossings.tolist() == [3, 1]


@pytest.mark.parametrize("step", [0.0, -1.0, math.nan, math.inf, 1e-9])
def test_a_step_that_makes_no_spheres_is_refused(step: float) -> None:
    with pytest.raises(UsageError, match="step of the Sholl analysis"):
        features(y_shape(), step)


def test_what_is_no_tree_is_refused() -> None:
    with pytest.raises(InputError, match="its own ancestor"):
        features(tree((1, 3, 0, 0, 0, 1, -1), (2, 3, 0, 0, 0, 1, 3), (3, 3, 0, 0, 0, 1, 2)))
    with pytest.raises(InputError, match="a parent does not exist"):
        features(tree((1, 3, 0, 0, 0, 1, -1), (2, 3, 0, 0, 0, 1, 7)))
    with pytest.raises(InputError, match="beyond any brain"):
        features(tree((1, 3, 0, 0, 0, 1, -1), (2, 3, 1e200, 0, 0, 1, 1)))
    with pytest.raises(InputError, match="holds no samples"):
        features(Skeleton(*(np.empty(0, np.int64),) * 2, np.empty((0, 3)), np.empty(0), np.empty(0, np.int64)))


def test_real_simple_tree(data_file: Callable[[str], Path]) -> None:
    found = features(read_swc(data_file("swc/simple.swc")))
    assert (found["total_length_um"], found["axon_length_um"], found["basal_length_um"]) == (31, 15, 16)
    assert [found[f"extent_pca{n}_um"] for n in (1, 2, 3)] == pytest.approx([11, 9, 0])
    assert found["mean_bifurcation_angle_local_deg"] == pytest.approx(180)


def test_real_neuron(data_file: Callable[[str], Path]) -> None:
    skeleton = read_swc(data_file("swc/Neuron.swc"))
    found = features(skeleton)
    # the numbers that NeuroM 4.0.6 prints for its own file; the gate compares all of them
    assert (found["n_stems"], found["n_branches"], found["n_bifurcations"]) == (4, 84, 40)
    assert found["total_length_um"] == pytest.approx(840.68521, abs=1e-4)
    soma = np.linalg.norm(np.diff(skeleton.xyz[:3], axis=0), axis=1).sum()
    assert found["total_length_um"] == pytest.approx(skeleton.length_um() - soma)


def test_the_manual_has_the_table_of_the_code() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "features.md"
    # python -c "from neuropack.morphology.definitions import markdown; print(markdown())"
    assert f"\n{markdown()}\n" in page.read_text(encoding="utf-8")
