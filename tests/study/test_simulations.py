"""Presets of the simulator and files of their form: all are read, and each mistake is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuropack.errors import InputError, UsageError
from neuropack.simulate.settings import MOST_NEURONS, Simulation, split_of
from neuropack.study.simulations import SimulationError, load_simulation, preset_named, presets


def test_the_presets_differ_as_their_names_say() -> None:
    found = {name: preset_named(name) for name in presets()}
    assert sorted(found) == ["brainbow", "low-snr", "sparse", "thick", "tiled", "tiny"]
    assert len({repr(one) for one in found.values()}) == 6 and all(one.description for one in found.values())
    assert len(found["sparse"].fluorophores) == 1 and found["sparse"].labelling == "sparse_viral"
    assert len(found["brainbow"].fluorophores) == 3 and found["brainbow"].optics.mixing
    assert max(found, key=lambda n: found[n].neurons) == "brainbow"
    assert min(found, key=lambda n: found[n].optics.peak_photons) == "low-snr"
    depth = {name: one.size_xyz[2] / one.optics.attenuation_um for name, one in found.items()}
    assert max(depth, key=lambda n: depth[n]) == "thick"
    assert [name for name, one in found.items() if one.mosaic.grid != (1, 1)] == ["tiled"]
    assert all(one.subjects >= 3 for one in found.values())  # one for each split


def test_a_preset_that_is_misspelt_is_guessed() -> None:
    with pytest.raises(UsageError, match="did you mean 'brainbow'"):
        preset_named("brainbo")


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_says_what_differs(tmp_path: Path) -> None:
    text = (
        "shape: [8, 64, 64]\nneurons: 0\nfluorophores:\n  - EYFP\n"
        "  - {name: mine, excitation_nm: 640, emission_nm: 660, color: ff00ff}\n"
        "tissue: {debris_radius_um: [1, 2]}\noptics: {shift_um: [[0, 0, 0], [-1, 0, 0.5]]}\n"
        "traced: {fit: true}\nmosaic:\n"
    )
    found = load_simulation(written(tmp_path, text))
    assert (found.name, found.shape, found.neurons) == ("mine", (8, 64, 64), 0)
    assert [f.name for f in found.fluorophores] == ["EYFP", "mine"] and found.fluorophores[1].color == "FF00FF"
    assert found.optics.shift_um == ((0.0, 0.0, 0.0), (-1.0, 0.0, 0.5))
    assert found.tissue.debris_radius_um == (1.0, 2.0) and found.traced.fit
    assert found.mosaic == Simulation("x").mosaic


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("shap: [8, 64, 64]", "1:1: a simulation has no field 'shap'"),
        ("optics:\n  peak_photon: 3", "2:3: optics has no field 'peak_photon'"),
        ("optics: 3", "1:9: optics is a mapping"),
        ("shape: [8, 64]", "1:8: shape is a list of numbers"),
        ("shape: [8, 64, 0]", "1:16: shape is out of range"),
        ("shape: [8, 64, 1.5]", "1:16: shape is a whole number"),
        ("neurons: true", "1:10: neurons is a whole number"),
        ("neurons: 70000", "1:10: neurons is out of range"),
        ("copies: .nan", "1:9: copies is a number"),
        (f"copies: {10**400}", "1:9: copies is out of range"),
        (f"neurons: {10**400}", "1:10: neurons is out of range"),
        ("shape: [100000, 10000, 10000]", "1:8: a stack of 1e+13 voxels is too large"),
        ("optics: {}\nfluorophores: [EYFP, EYFP]", "2:15: a fluorophore is there twice"),
        (
            "fluorophores: [{name: '', excitation_nm: 400, emission_nm: 500, color: FF00FF}]",
            "1:16: the fluorophore has no name",
        ),
        ("voxel_size_um: [1, 0, 1]", "1:20: voxel_size_um is out of range"),
        ("growth: {soma_radius_um: [5, 4]}", "1:26: growth.soma_radius_um is from smallest to largest"),
        ("traced: {rotate: 1}", "1:18: traced.rotate is true or false"),
        ("optics: {shift_um: [[0, 0]]}", "1:21: optics.shift_um is a list of numbers"),
        ("optics: {shift_um: [[0, 0, 0]]}", "1:9: shift_um does not fit the channels"),
        ("optics: {mixing: 4}", "1:18: optics.mixing is a list of rows"),
        ("fluorophores: []", "1:15: fluorophores is a list"),
        ("fluorophores: [GFP]", "1:16: is no fluorophore that is known"),
        (
            "fluorophores: [{name: a, excitation_nm: 1, emission_nm: 500, color: zzz}]",
            "excitation_nm is a wavelength",
        ),
        ("fluorophores: [EYFP, EYFP]", "a fluorophore is there twice"),
        ("labelling: viral", "1:12: no such labelling"),
        ("description: [a]", "1:14: description is text"),
        ("- a", "1:1: a simulation is a mapping"),
        ("a: [", "is not YAML"),
        ("a: !!python/object:os.system x", "a YAML tag"),
        ("neurons: 1\nneurons: 2", "2:1: the key 'neurons' comes twice"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SimulationError) as error:
        load_simulation(written(tmp_path, text))
    assert told in str(error.value), str(error.value)
    assert "in the simulation" in str(error.value)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        load_simulation(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is empty"):
        load_simulation(written(tmp_path, ""))


def test_whole_subjects_are_in_splits() -> None:
    assert [split_of(0, 1)] == ["train"]
    assert [split_of(i, 2) for i in range(2)] == ["train", "test"]
    assert [split_of(i, 3) for i in range(3)] == ["train", "validation", "test"]
    many = [split_of(i, 20) for i in range(20)]
    assert [many.count(word) for word in ("train", "validation", "test")] == [12, 4, 4]


def test_a_larger_shape_has_as_many_neurons_as_keep_their_density() -> None:
    preset = preset_named("sparse")
    assert preset.of_shape((128, 256, 512)).neurons == 4 * preset.neurons
    assert preset.of_shape((8, 64, 64)).neurons == 1
    assert preset.of_shape((2048, 2048, 2048)).neurons == MOST_NEURONS
