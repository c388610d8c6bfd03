"""Stacks to learn from: their truth, and splits that hold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuropack.errors import InputError
from neuropack.learn.sources import described
from neuropack.learn.stacks import check_splits, identity, matches, splits_of, stacks_of
from neuropack.release import BENCHMARK, METADATA, SPLITS, open_release
from neuropack.volume import Volume, from_array


@pytest.fixture
def copy(tiny_release: Path, tmp_path: Path) -> Path:
    """A release that a test may damage."""
    return Path(shutil.copytree(tiny_release, tmp_path / "release"))


def edit(release: Path, **changes: Any) -> None:
    path = release / METADATA
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def set_splits(release: Path, *rows: tuple[str, str]) -> None:
    (release / SPLITS).write_text("participant_id\tsplit\n" + "".join(f"{a}\t{b}\n" for a, b in rows))


def test_a_split_gives_its_stacks_with_all_that_is_known(tiny_release: Path) -> None:
    (stack,) = stacks_of(tiny_release, "validation")
    assert (stack.split, stack.subject) == ("validation", "simulation seed 1/S02")
    assert stack.image.shape == (3, 16, 96, 96)
    assert stack.labels.shape == (1, 16, 96, 96)
    assert len(stack.skeletons) == 2
    roots = np.array([[*s.xyz[0], s.radius[0]] for s in stack.skeletons])
    np.testing.assert_allclose(stack.somata, roots)
    assert len(stack.units.level) == 3
    assert len(stack.untraced) == 0
    assert [s.split for s in stacks_of(tiny_release, None)] == ["train", "validation", "test"]


def test_neurons_without_a_skeleton_are_told_by_their_label(copy: Path) -> None:
    neurons = json.loads((copy / METADATA).read_text())["neurons"]
    lost = next(n for n in neurons if "S01" in n["image_stack"] and n["id"].endswith("n002"))
    del lost["morphology"]
    edit(copy, neurons=neurons)
    (stack,) = stacks_of(copy, "train")
    assert (len(stack.skeletons), stack.untraced.tolist()) == (1, [2])


def test_the_labels_lie_on_the_skeletons(tiny_release: Path) -> None:
    (stack,) = stacks_of(tiny_release, "train")
    at = np.floor(np.concatenate([s.xyz for s in stack.skeletons])[:, ::-1] / stack.voxel_size_um).astype(int)
    at = at[(at < stack.size_zyx).all(axis=1)]
    assert (np.asarray(stack.labels)[0][tuple(at.T)] > 0).all()


def test_splits_may_come_from_a_benchmark_of_the_metadata(copy: Path) -> None:
    (copy / SPLITS).unlink()
    splits = [{"name": "train", "subjects": ["S01", "S02"]}, {"name": "test", "subjects": ["S03"]}]
    edit(copy, benchmarks=[{"id": "b", "task": "tracing", "splits": splits}])
    assert splits_of(open_release(copy)) == {"S01": "train", "S02": "train", "S03": "test"}


def test_without_splits_only_all_stacks_can_be_had(copy: Path) -> None:
    (copy / SPLITS).unlink()
    edit(copy, benchmarks=[])
    with pytest.raises(InputError, match="has no splits"):
        stacks_of(copy, "train")
    assert {s.split for s in stacks_of(copy, None)} == {""}


def test_no_split_of_that_name(copy: Path) -> None:
    set_splits(copy, ("sub-S01", "train"))
    with pytest.raises(InputError, match="has no split test") as caught:
        stacks_of(copy, "test")
    assert caught.value.found == "train"


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([("sub-S01", "train"), ("sub-S01", "test")], "in two splits"),
        ([("sub-S01", "practice")], "unknown name"),
        ([("sub-S09", "train")], "does not have"),
    ],
)
def test_splits_that_do_not_hold(copy: Path, rows: list[tuple[str, str]], complaint: str) -> None:
    set_splits(copy, *rows)
    with pytest.raises(InputError, match=complaint):
        splits_of(open_release(copy))


def test_splits_without_their_columns(copy: Path) -> None:
    (copy / SPLITS).write_text("subject\tpart\nsub-S01\ttrain\n")
    with pytest.raises(InputError, match="lacks a column"):
        check_splits([copy])


def test_one_animal_in_two_releases_stays_in_its_split(tiny_release: Path, copy: Path) -> None:
    check_splits([tiny_release, copy])
    set_splits(copy, ("sub-S01", "validation"), ("sub-S02", "validation"))
    with pytest.raises(InputError, match="in two splits") as caught:
        check_splits([tiny_release, copy])
    assert caught.value.where == "subject simulation seed 1/S01"


def test_animals_are_told_apart_by_seed_else_by_dataset(copy: Path) -> None:
    simulation = copy / "derivatives/benchmark/simulation.json"
    simulation.write_text('{"seed": 7}')
    assert identity(open_release(copy)) == "simulation seed 7"
    simulation.write_text('{"seed": "se')
    with pytest.raises(InputError, match="does not say what was simulated"):
        check_splits([copy])
    simulation.unlink()
    assert identity(open_release(copy)) == "simulated-tiny-1"


def test_stacks_without_labels_are_left_out_and_none_is_refused(copy: Path) -> None:
    annotations = json.loads((copy / METADATA).read_text())["annotations"]
    edit(copy, annotations=[a for a in annotations if a["kind"] != "labels" or "S01" not in a["image_stack"]])
    assert len(stacks_of(copy, None)) == 2
    with pytest.raises(InputError, match="no labelled stack"):
        stacks_of(copy, "train")


def volume(*shape: int, um: float = 1.0, dtype: str = "u2") -> Volume:
    return from_array(np.zeros(shape, dtype), "CZYX", voxel_size_um=(um, um, um))


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (volume(1, 4, 5, 7), "do not match their image"),
        (volume(2, 4, 5, 6), "do not match their image"),
        (volume(1, 4, 5, 6, um=1.1), "do not match their image"),
        (volume(1, 4, 5, 6, dtype="f4"), "whole numbers"),
    ],
)
def test_labels_of_another_image(labels: Volume, complaint: str) -> None:
    matches(volume(3, 4, 5, 6), volume(1, 4, 5, 6))
    with pytest.raises(InputError, match=complaint):
        matches(volume(3, 4, 5, 6), labels)


def test_what_was_learnt_from_is_described_by_its_labelled_stacks(copy: Path) -> None:
    (before,) = described([copy])
    assert before["seed"] == 1
    assert before["stacks"] == before["subjects"] == {"train": 1, "validation": 1, "test": 1}
    annotations = json.loads((copy / METADATA).read_text())["annotations"]
    edit(copy, annotations=[a for a in annotations if a["kind"] != "labels" or "S01" not in a["image_stack"]])
    (after,) = described([copy])
    assert after["subjects"]["train"] == 1
    assert after["stacks"] == {"train": 0, "validation": 1, "test": 1}  # nothing is learnt from it


def test_the_record_of_a_simulation_may_be_damaged(copy: Path) -> None:
    (copy / BENCHMARK / "simulation.json").write_text("{}")
    with pytest.raises(InputError, match="does not say what was simulated"):
        described([copy])
