"""Neurons of SWC files in a simulated stack: turned, scaled, cut, and still trees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuropack.errors import InputError
from neuropack.simulate.placing import load_neuron, place_neuron, swc_files
from neuropack.simulate.trees import grow
from neuropack.skeleton import Skeleton
from neuropack.swc import write_swc

SIZE = (200.0, 150.0, 60.0)


@pytest.fixture(scope="module")
def neuron() -> Skeleton:
    return grow(np.random.default_rng(1), (300.0, 300.0, 300.0))


def parents_first(skeleton: Skeleton) -> bool:
    return bool(
        (skeleton.id == np.arange(1, len(skeleton) + 1)).all()
        and (skeleton.parent < skeleton.id).all()
        and (skeleton.parent == -1).sum() == 1
    )


def test_a_neuron_that_is_made_to_fit_keeps_its_shape(neuron: Skeleton) -> None:
    placed = place_neuron(np.random.default_rng(2), neuron, SIZE, np.array([190.0, 10.0, 5.0]), fit=True)
    assert len(placed) == len(neuron) and parents_first(placed)
    assert (placed.xyz >= 0).all() and (placed.xyz < SIZE).all()
    factor = placed.length_um() / neuron.length_um()
    assert factor < 1
    steps = [np.linalg.norm(s.xyz[s.edges()[:, 0]] - s.xyz[s.edges()[:, 1]], axis=1) for s in (placed, neuron)]
    assert np.allclose(steps[0], factor * steps[1], atol=0.002)  # a rotation and one factor
    assert not np.allclose(placed.xyz - placed.xyz[0], factor * (neuron.xyz - neuron.xyz[0]), atol=1)


def test_a_neuron_of_its_own_size_is_cut_at_the_faces(neuron: Skeleton) -> None:
    soma = np.array([100.0, 75.0, 30.0])
    placed = place_neuron(np.random.default_rng(2), neuron, SIZE, soma, rotate=False)
    assert np.allclose(placed.soma(), soma, atol=0.001)
    assert 10 < len(placed) < len(neuron) and parents_first(placed)
    assert (placed.xyz >= 0).all() and (placed.xyz < SIZE).all()
    there = neuron.xyz - neuron.xyz[0] + soma
    reached = [0]  # by hand: what hangs together with the soma inside of the stack
    for row in range(1, len(neuron)):
        if int(neuron.parent[row]) - 1 in reached and ((there[row] >= 0) & (there[row] < SIZE)).all():
            reached.append(row)
    assert len(placed) == len(reached)
    assert {tuple(p) for p in np.round(there[reached], 3)} == {tuple(p) for p in placed.xyz}


def test_a_branch_that_comes_back_into_the_stack_is_cut_too(tmp_path: Path) -> None:
    (path := tmp_path / "n.swc").write_text(
        "1 1 0 0 0 4 -1\n2 3 0 0 20 1 1\n3 3 0 0 40 1 2\n4 3 5 0 20 1 3\n5 3 9 0 20 2 4\n6 3 9 0 9 2 1\n",
        encoding="utf-8",
    )
    soma = np.array([90.0, 70.0, 30.0])
    placed = place_neuron(np.random.default_rng(0), load_neuron(path), SIZE, soma, rotate=False)
    assert placed.xyz.tolist() == [[90, 70, 30], [90, 70, 50], [99, 70, 39]]
    assert placed.parent.tolist() == [-1, 1, 1]


def test_the_seed_fixes_the_rotation(neuron: Skeleton) -> None:
    soma = np.array([100.0, 75.0, 30.0])
    one, same, other = (place_neuron(np.random.default_rng(s), neuron, SIZE, soma, scale=0.2) for s in (1, 1, 2))
    assert np.array_equal(one.xyz, same.xyz)
    assert not np.array_equal(one.xyz, other.xyz)


def test_the_largest_tree_of_a_file_is_taken_whatever_the_order_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "two.swc"
    path.write_text(
        "1 3 50 50 50 1 -1\n2 3 51 50 50 1 1\n9 3 3 0 0 0.5 8\n8 3 2 0 0 0.6 7\n7 1 0 0 0 2 -1\n", encoding="utf-8"
    )
    found = load_neuron(path)
    assert parents_first(found) and found.xyz[:, 0].tolist() == [0, 2, 3]


def test_nodes_at_one_place_become_one_and_unmeasured_radii_taper(tmp_path: Path) -> None:
    path = tmp_path / "n.swc"
    path.write_text(
        "1 1 0 0 0 4 -1\n2 3 5 0 0 1 1\n3 3 5 0 0 1 2\n4 3 5 0 0 1 3\n5 3 9 0 0 1 4\n6 3 5 9 0 1 2\n",
        encoding="utf-8",
    )
    loaded = load_neuron(path)
    assert np.ptp(loaded.radius[1:]) > 0 and loaded.radius[0] == 4
    placed = place_neuron(np.random.default_rng(0), loaded, SIZE, np.array([90.0, 70.0, 30.0]), rotate=False)
    assert placed.xyz.tolist() == [[90, 70, 30], [95, 70, 30], [99, 70, 30], [95, 79, 30]]
    assert placed.parent.tolist() == [-1, 1, 2, 2]


def test_files_of_a_folder_are_found_and_what_is_none_is_told(tmp_path: Path, neuron: Skeleton) -> None:
    with pytest.raises(InputError, match="there is no SWC file"):
        swc_files(tmp_path)
    with pytest.raises(InputError, match="there is no SWC file"):
        swc_files(tmp_path / "none.swc")
    for name in ("b.swc", "a.SWC"):
        write_swc(tmp_path / name, neuron)
    assert [p.name for p in swc_files(tmp_path)] == ["a.SWC", "b.swc"]
    (alone := tmp_path / "one.swc").write_text("1 1 0 0 0 4 -1\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no neuron"):
        load_neuron(alone)


def test_a_neuron_whose_root_is_the_far_end_of_its_axon_keeps_its_soma(tmp_path: Path) -> None:
    (path := tmp_path / "n.swc").write_text(
        "1 2 500 0 0 0.5 -1\n2 2 20 0 0 0.5 1\n3 2 5 0 0 0.5 2\n4 1 0 0 0 4 3\n5 3 0 9 0 1 4\n6 2 20 9 0 0.5 2\n",
        encoding="utf-8",
    )
    loaded, soma = load_neuron(path), np.array([90.0, 70.0, 30.0])
    placed = place_neuron(np.random.default_rng(0), loaded, SIZE, soma, rotate=False)
    assert parents_first(placed) and placed.type[0] == 1
    assert sorted(placed.xyz.tolist()) == [[90, 70, 30], [90, 79, 30], [95, 70, 30], [110, 70, 30], [110, 79, 30]]
    ends = {tuple(sorted(map(tuple, placed.xyz[edge].tolist()))) for edge in placed.edges()}
    assert ((90, 70, 30), (95, 70, 30)) in ends and ((110, 70, 30), (110, 79, 30)) in ends
    inside = place_neuron(np.random.default_rng(0), loaded, SIZE, soma, scale=0.1, rotate=False)
    assert len(inside) == 6 and inside.type[0] == 2  # its root lies in the stack, and stays
