"""Flaws of one skeleton: each is found where it was put, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuropack.annotations.swc import read_swc_rows
from neuropack.errors import InputError
from neuropack.morphology.quality import LEVELS, outside, skeleton_flaws
from neuropack.morphology.quality_rows import swc_flaws
from neuropack.rules import load_rules
from neuropack.simulate.trees import grow
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc, write_swc

REAL = ("swc/Neuron.swc", "swc/simple.swc", "swc/custom_type.swc", "swc/undefined_type.swc")
DENDRITES = ("neuron/mapmanager-rr30a-s0-crop320.swc", "neuron/mapmanager-rr30a-s0-full.swc")


def line(xyz: np.ndarray, *, type: int = 3, radius: float | np.ndarray = 0.5) -> Skeleton:
    """An unbranched neurite through some places."""
    ids = np.arange(1, len(xyz) + 1)
    radii = np.broadcast_to(np.asarray(radius, float), len(xyz)).copy()
    return Skeleton(ids, np.full(len(xyz), type), np.asarray(xyz, float), radii, np.r_[-1, ids[:-1]])


def straight(*x: float) -> Skeleton:
    return line(np.column_stack([x, np.zeros(len(x)), np.zeros(len(x))]))


def kinds(skeleton: Skeleton) -> list[str]:
    return [flaw.kind for flaw in skeleton_flaws(skeleton)]


def jumping(skeleton: Skeleton) -> bool:
    return "jump" in kinds(skeleton)


def test_a_teleport_between_two_fine_runs_is_a_jump() -> None:
    x = np.r_[np.arange(50), 149 + np.arange(50)]
    (flaw,) = [f for f in skeleton_flaws(straight(*x)) if f.kind == "jump"]
    assert flaw.ids == (51,)
    assert flaw.where_um == (149, 0, 0)
    assert "100.0 um from node 50 to node 51" in flaw.found


def test_each_of_several_jumps_is_counted() -> None:
    x = np.cumsum(np.r_[np.ones(40), 80, np.ones(40), 200, np.ones(40)])
    (flaw,) = [f for f in skeleton_flaws(straight(*x)) if f.kind == "jump"]
    assert "200.0 um" in flaw.found
    assert "1 more" in flaw.found


@pytest.mark.parametrize("step", [10.0, 20.0, 120.0])
def test_coarse_and_even_sampling_is_no_jump(step: float) -> None:
    assert not jumping(straight(*np.arange(0, 60 * step, step)))


def test_a_sketch_of_three_points_is_no_jump() -> None:
    assert not jumping(line(np.array([[0, 0, 0], [1, 0, 0], [200, 0, 0]]), radius=3.0))


def test_uneven_sampling_is_no_jump() -> None:
    """Programs that drop the nodes of straight stretches leave steps of every length."""
    for seed in range(200):
        steps = np.random.default_rng(seed).lognormal(0, 1.0, 3000)
        assert not jumping(straight(*np.cumsum(steps)))


def test_a_thick_neurite_may_step_far() -> None:
    fine = np.r_[np.arange(60) / 10, 40]
    assert jumping(straight(*fine))
    thick = straight(*fine)
    assert not jumping(replace(thick, radius=np.full(len(thick), 4.0)))


def test_a_stem_may_begin_at_the_rim_of_its_soma() -> None:
    fine = straight(*np.r_[0, 12 + np.arange(60) / 10])
    assert jumping(fine)
    type_ = fine.type.copy()
    type_[0] = 1
    assert not jumping(replace(fine, type=type_))


def test_two_nodes_at_one_place() -> None:
    (flaw,) = [f for f in skeleton_flaws(straight(0, 1, 2, 2, 3)) if f.kind == "zero-length"]
    assert flaw.ids == (4,)
    assert flaw.found.startswith("1 of 4 edges")


def test_a_stem_that_begins_at_the_centre_of_the_soma_is_no_flaw() -> None:
    skeleton = straight(0, 0, 1, 2)
    assert "zero-length" in kinds(skeleton)
    assert kinds(replace(skeleton, type=np.array([1, 3, 3, 3]))) == []


def test_two_somata_and_one_drawn_as_a_contour() -> None:
    skeleton = straight(*range(12))
    contour = replace(skeleton, type=np.array([1] * 6 + [3] * 6))
    assert kinds(contour) == []
    apart = replace(skeleton, type=np.array([1, 1, 3, 3, 1, 3, 3, 3, 3, 3, 3, 3]))
    (flaw,) = skeleton_flaws(apart)
    assert (flaw.kind, flaw.ids) == ("several-somata", (5,))


def test_contours_at_two_depths_are_one_soma() -> None:
    ring = np.array([[np.cos(a), np.sin(a), 0] for a in np.linspace(0, 5, 6)])
    xyz = np.concatenate([ring, ring + np.array([0.1, 0, 2]), ring + np.array([20, 0, 0])])
    one = line(xyz[:12], type=1)
    one.parent[6] = -1
    assert kinds(one) == []
    two = line(xyz, type=1)
    two.parent[[6, 12]] = -1
    assert kinds(two) == ["several-somata"]


def test_a_part_that_hangs_on_nothing() -> None:
    skeleton = straight(*range(10))
    skeleton.parent[6] = -1
    (flaw,) = skeleton_flaws(skeleton)
    assert (flaw.kind, flaw.level) == ("several-trees", "info")
    skeleton.type[0] = 1
    (flaw,) = skeleton_flaws(skeleton)
    assert (flaw.kind, flaw.ids) == ("disconnected", (7,))
    assert "4 of 10 nodes" in flaw.found


@pytest.mark.parametrize("radius", [0.0, -1.0, np.nan, np.inf])
def test_a_radius_that_cannot_be(radius: float) -> None:
    skeleton = straight(*range(10))
    skeleton.radius[4] = radius
    (flaw,) = skeleton_flaws(skeleton)
    assert (flaw.kind, flaw.level, flaw.ids) == ("radius", "error", (5,))


def test_a_tip_may_taper_to_a_point() -> None:
    skeleton = straight(*range(10))
    skeleton.radius[-1] = 0
    assert kinds(skeleton) == []


def test_a_radius_that_is_the_same_everywhere() -> None:
    assert kinds(straight(*range(30))) == ["radius-constant"]
    soma = straight(*range(30))
    soma.type[0], soma.radius[0] = 1, 5.0
    assert kinds(soma) == ["radius-constant"]
    soma.radius[7] = 0.6
    assert kinds(soma) == []


def test_outside_says_what_the_coordinates_could_be() -> None:
    voxels = line(np.random.default_rng(0).uniform(0, 1, (50, 3)) * [300, 300, 60])
    (flaw,) = outside(voxels, (36.0, 36.0, 60.0), "the stack", (1.0, 0.12, 0.12))
    assert "nodes outside; they lie inside as voxels (unit: voxel)" in flaw.found
    assert not list(outside(voxels, (np.inf, 300, 60)))


def test_no_error_is_told_of_hundreds_of_simulated_neurons() -> None:
    for seed in range(150):
        assert kinds(grow(np.random.default_rng(seed), (400.0, 400.0, 200.0))) == [], seed


@pytest.mark.parametrize("name", REAL)
def test_real_neurons_are_clean(name: str, data_file: Callable[[str], Path]) -> None:
    assert swc_flaws(data_file(name))[1] == []


@pytest.mark.parametrize("name", DENDRITES)
def test_real_dendrites_have_remarks_that_are_true(name: str, data_file: Callable[[str], Path]) -> None:
    skeleton, flaws = swc_flaws(data_file(name))
    assert {f.kind: f.level for f in flaws} == {
        "zero-length": "warning",
        "several-trees": "info",
        "radius-constant": "warning",
    }
    assert skeleton is not None
    assert (skeleton.radius == 0.5).all()


@pytest.mark.parametrize(
    ("name", "kind", "at"),
    [
        ("repeated_id.swc", "repeated-id", 6),
        ("Neuron_missing_parents.swc", "parent", 40),
        ("multiple_somata.swc", "several-somata", 12),
    ],
)
def test_real_faults_are_told_once_with_their_line(
    name: str, kind: str, at: int, data_file: Callable[[str], Path]
) -> None:
    _, (flaw,) = swc_flaws(data_file(f"swc/{name}"))
    assert (flaw.kind, flaw.level, flaw.line) == (kind, "error", at)


@pytest.mark.parametrize(
    ("rows", "kinds"),
    [
        ("1 1 0 0 0 1 2\n2 3 1 0 0 1 1\n", ["cycle"]),
        ("1 1 0 0 0 1 1\n", ["cycle"]),
        ("1 1 0 0 0 1 -1\n2 3 1 0 0 1 9\n3 3 2 0 0 1 9\n", ["parent"]),
        ("1 1 0 0 0 1 -1\n1 3 1 0 0 1 9\n", ["repeated-id", "parent"]),
        ("1 1 0 0 0 1 -1\n2 3 one 0 0 1 1\n3 3 2 0 0 1 2\n", ["row"]),
        ("1 1 0 0 nan 1 -1\n", ["row"]),
        ("", ["row"]),
        ("# frame: stack; unit: pixel\n1 1 0 0 0 1 -1\n", ["row"]),
    ],
)
def test_rows_that_make_no_skeleton(rows: str, kinds: list[str], tmp_path: Path) -> None:
    file = tmp_path / "n.swc"
    file.write_text(rows)
    skeleton, flaws = swc_flaws(file)
    assert skeleton is None
    assert [f.kind for f in flaws] == kinds
    assert all(f.expected and f.found and f.fix for f in flaws)


def test_rows_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "n.swc"
    file.write_text("1 1 0 0 0 1 -1\n2 3 1 0 0 1 9\n3 3 2 0 0 1 9\n")
    _, (flaw,) = swc_flaws(file)
    assert read_swc_rows(file).count("missing-parent") == 2
    assert flaw.found == "parent 9, and 1 more row(s) like it"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        swc_flaws(tmp_path / "n.swc")


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    skeleton = straight(0, 1, 2, 2, 3)
    write_swc(tmp_path / "n.swc", skeleton, ["a comment", "another"])
    _, flaws = swc_flaws(tmp_path / "n.swc")
    (flaw,) = [f for f in flaws if f.kind == "zero-length"]
    assert flaw.line is not None
    assert (tmp_path / "n.swc").read_text().splitlines()[flaw.line - 1].startswith("4 ")
    assert len(read_swc(tmp_path / "n.swc")) == 5


def test_huge_coordinates_crash_nothing() -> None:
    skeleton = straight(*np.linspace(0, 1e308, 40))
    assert isinstance(kinds(skeleton), list)


def test_rules_have_the_levels_of_their_flaws() -> None:
    rules = {rule.id: rule.level for rule in load_rules()}
    named = {"row": "annotations.skeleton", "outside": "annotations.inside"}
    assert {kind: rules[named.get(kind, f"morphology.{kind}")] for kind in LEVELS} == LEVELS
