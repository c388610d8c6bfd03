"""Settings of trainings: presets and files are read, each mistake is told with its place; and the shipped model."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from neuropack.errors import InputError, UsageError
from neuropack.learn.settings import Losses, SettingsError, TrainSettings, load_settings, preset_named, presets
from neuropack.resources import folder
from neuropack.study import simulations

sys.path.append(str(Path(__file__).resolve().parents[1] / "models"))
import make_model


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_presets_are_read() -> None:
    found = {name: preset_named(name) for name in presets()}
    assert sorted(found) == ["neurites", "tiny"] and all(one.description for one in found.values())
    assert found["tiny"].steps < found["neurites"].steps
    with pytest.raises(UsageError, match="did you mean 'neurites'"):
        preset_named("neurite")


def test_what_is_written_is_read_as_the_same(tmp_path: Path) -> None:
    for one in (preset_named("tiny"), replace(TrainSettings(), name="ü: 'x'", losses=Losses(skeleton=0.25))):
        assert load_settings(written(tmp_path, one.to_yaml())) == one


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("step: 3", "1:1: a training has no field 'step'"),
        ("steps: 0", "1:8: steps is out of range"),
        ("steps: 2.5", "1:8: steps is a whole number"),
        ("batch: true", "1:8: batch is a whole number"),
        ("learning_rate: .inf", "1:16: learning_rate is a number"),
        ("patch: [16, 64]", "1:8: patch is a list of three"),
        ("patch: [15, 64, 64]", "1:8: patch does not fit the network"),
        ("widths: [8, x, 8]", "1:13: widths is a whole number"),
        ("augment: 1", "1:10: augment is true or false"),
        ("precision: half", "1:12: precision is a word"),
        ("description: [a]", "1:14: description is a word"),
        ("losses:\n  dices: 1", "2:3: losses has no field 'dices'"),
        ("losses:\n  dice: -1", "2:9: losses.dice is out of range"),
        ("losses: 3", "1:9: losses is a mapping"),
        ("- steps", "1:1: settings are a mapping"),
        ("steps: [", "is not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(written(tmp_path, text))
    assert told in str(caught.value) and "in the settings" in str(caught.value)


def test_a_file_that_is_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        load_settings(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is empty"):
        load_settings(written(tmp_path, ""))


def test_the_model_is_trained_on_other_stacks_than_those_of_the_tests() -> None:
    training = [simulations.load_simulation(p) for p in sorted((folder("templates") / "learn/simulate").glob("*"))]
    shipped = [simulations.load_simulation(path) for path in simulations.presets().values()]
    assert len(training) >= 8 and {len(one.fluorophores) for one in training} == {1, 2, 3, 4}
    for one in training:
        assert one.subjects >= 3  # one for the validation
        for other in shipped:
            assert one.voxel_size_um != other.voxel_size_um, (one.name, other.name)
            assert one.optics.peak_photons != other.optics.peak_photons
            assert one.growth != other.growth and one.growth.soma_radius_um != other.growth.soma_radius_um
            assert one.growth.stem_radius_um != other.growth.stem_radius_um
            assert one.tissue != other.tissue and one.optics != other.optics
    assert min(one.optics.peak_photons for one in training) <= 6
    assert max(one.optics.peak_photons for one in training) >= 150


def test_make_model_simulates_each_with_a_seed_of_its_own_and_trains_on_all(tmp_path: Path) -> None:
    *simulate, train = make_model.commands(tmp_path, options=("--steps", "3"))
    seeds = [line[line.index("--seed") + 1] for line in simulate]
    assert len(set(seeds)) == len(seeds) and min(map(int, seeds)) > 1000  # tests begin at 0
    assert train[1:-5] == [f"{line[1]}/release" for line in simulate]
    assert train[-5:] == [str(tmp_path / "model"), "--preset", "neurites", "--steps", "3"]
