"""The simulator: a release whose validation is clean, whose truth fits its pixels, and that says what it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import neuropack
from neuropack.build.simulated import simulate_release
from neuropack.cli import main
from neuropack.convert import convert
from neuropack.simulate.settings import Simulation
from neuropack.simulate.trees import grow
from neuropack.study.simulations import preset_named
from neuropack.swc import write_swc
from neuropack.table import read_tsv


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "tiny"
    assert main(["simulate", str(folder), "--preset", "tiny", "--seed", "4"]) == 0
    return folder


def test_the_release_is_clean(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(tiny / "release")]) == 0
    assert "clean: 0 errors, 0 warnings" in capsys.readouterr().out


def test_the_release_holds_what_was_simulated(tiny: Path) -> None:
    release = neuropack.open_release(tiny / "release")
    simulation = preset_named("tiny")
    assert len(release.stacks) == simulation.subjects
    for i, (name, stack) in enumerate(release.stacks.items()):
        made, _ = simulation.make(4, i, 0)
        assert np.array_equal(np.asarray(stack[...]), np.asarray(made.volume)), name
        assert stack.voxel_size_um == simulation.voxel_size_um
        skeletons = list((tiny / "annotations" / f"S{i + 1:02d}_01").glob("*.swc"))
        assert len(skeletons) == len(made.skeletons)
        labels = tiny / "release" / "derivatives" / "segmentation" / f"sub-S{i + 1:02d}" / "ses-01" / "micr"
        with neuropack.open_volume(next(labels.glob("*.ome.zarr"))) as image:
            assert np.array_equal(image[0], made.labels[0])


def test_the_truth_stands_in_tables(tiny: Path) -> None:
    folder = tiny / "release" / "derivatives" / "benchmark"
    splits = {row["participant_id"]: row["split"] for row in read_tsv(folder / "splits.tsv")}
    assert splits == {"sub-S01": "train", "sub-S02": "validation", "sub-S03": "test"}
    document = json.loads((tiny / "release" / "metadata" / "neuropack.json").read_text(encoding="utf-8"))
    tasks = ["semantic_segmentation", "instance_segmentation", "tracing", "detection"]
    assert [one["task"] for one in document["benchmarks"]] == tasks
    for one in document["benchmarks"]:
        said = {f"sub-{subject}": part["name"] for part in one["splits"] for subject in part["subjects"]}
        assert said == splits and one["metrics"]
    neurons = list(read_tsv(folder / "simulated_neurons.tsv"))
    assert [row["neuron_id"] for row in neurons] == [one["id"] for one in document["neurons"]]
    assert {row["image_stack"] for row in neurons} == {one["id"] for one in document["image_stacks"]}
    for row, one in zip(neurons, document["neurons"], strict=True):
        assert [float(row[f"soma_{a}_um"]) for a in "xyz"] == [one[f"soma_{a}"] for a in "xyz"]
        assert sum(map(int, row["copies"].split(","))) > 0
    channels = list(read_tsv(folder / "simulated_channels.tsv"))
    assert len(channels) == 9
    assert [channels[0][f"shift_{a}_um"] for a in "zyx"] == ["0.0", "0.5", "-0.5"]
    points = list((tiny / "release" / "derivatives" / "segmentation").rglob("*_points.tsv"))
    assert len(points) == 3 and all(row["class"] == "soma" for path in points for row in read_tsv(path))
    for table in folder.glob("s*.tsv"):
        if table.name.startswith(("splits", "simulated_")):
            described = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
            assert list(described) == list(next(iter(read_tsv(table))))


def test_overlaps_are_kept_as_lists(tmp_path: Path) -> None:
    own = replace(Simulation("crowd"), shape=(12, 60, 90), subjects=1, neurons=3)
    made = simulate_release(tmp_path, own, 1)
    (one,) = made.stacks
    labels, hidden = one.made.scene.labels((slice(0, 12), slice(0, 60), slice(0, 90)))
    (table,) = (made.release / "derivatives" / "benchmark" / "simulated_overlaps").glob("*.tsv")
    rows = {tuple(int(v) for v in row.values()) for row in read_tsv(table)}
    assert len(rows) > 5 and rows == {tuple(row) for row in hidden.tolist()}
    assert all(0 < label < labels[z, y, x] for z, y, x, label in rows)


def test_neurons_of_files_are_put_in_and_named(tmp_path: Path) -> None:
    (swc := tmp_path / "swc").mkdir()
    for seed, name in ((1, "a.swc"), (2, "b.swc")):
        write_swc(
            swc / name, grow(np.random.default_rng(seed), (60.0, 60.0, 60.0), None, preset_named("tiny").growth)
        )
    folder, options = tmp_path / "out", ["--shape", "16,64,64", "--subjects", "1", "--neurons", "3"]
    assert main(["simulate", str(folder), "--preset", "tiny", "--swc", str(swc), *options]) == 0
    rows = list(read_tsv(folder / "release" / "derivatives" / "benchmark" / "simulated_neurons.tsv"))
    assert len(rows) == 3 and {row["source"] for row in rows} <= {"a.swc", "b.swc"}
    for row, path in zip(rows, sorted((folder / "annotations" / "S01_01").glob("*.swc")), strict=True):
        assert f"# course from {row['source']}, turned, scaled and cut" in path.read_text(encoding="utf-8")
    said = json.loads((folder / "simulation.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in said["swc"]] == ["a.swc", "b.swc"]
    assert main(["validate", str(folder / "release")]) == 0


def test_everything_says_that_it_is_simulated(tiny: Path) -> None:
    release = tiny / "release"
    for name in ("README.md", "dataset_description.json", "metadata/datacite.json", "croissant.json"):
        assert "simulated" in (release / name).read_text(encoding="utf-8").lower(), name
    document = json.loads((release / "metadata" / "neuropack.json").read_text(encoding="utf-8"))
    assert document["dataset"]["abstract"].startswith("SIMULATED DATA")
    assert {one["provenance"] for one in document["annotations"]} == {"simulated"}
    assert all("Simulated" in one["description"] for one in document["subjects"])
    for path in release.rglob("*.swc"):
        assert path.read_text(encoding="utf-8").startswith("# SIMULATED")
    for path in (tiny / "raw").glob("*.ome.zarr"):
        assert "simulat" in (path / "zarr.json").read_text(encoding="utf-8")
    assert json.loads((release / "derivatives/benchmark/simulation.json").read_bytes())["simulated"] is True


def test_typed_again_it_changes_nothing_and_another_seed_is_refused(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.stat().st_mtime_ns for p in tiny.rglob("*") if p.is_file() and p.name != "manifest.tsv"}
    manifest = (tiny / "release" / "manifest.tsv").read_bytes()
    assert main(["simulate", str(tiny), "--preset", "tiny", "--seed", "4", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {one["status"] for one in said["stacks"]} == {"up to date"} and said["simulated"] is True
    assert [one["split"] for one in said["stacks"]] == ["train", "validation", "test"]
    after = {p: p.stat().st_mtime_ns for p in tiny.rglob("*") if p.is_file() and p.name != "manifest.tsv"}
    assert after == before and (tiny / "release" / "manifest.tsv").read_bytes() == manifest
    assert main(["simulate", str(tiny), "--preset", "tiny", "--seed", "5"]) == 2
    assert "another seed" in capsys.readouterr().err
    assert main(["build", str(tiny), str(tiny / "release")]) == 0  # its study is a study like any other
    assert (tiny / "release" / "manifest.tsv").read_bytes() == manifest


def test_what_is_missing_is_made_again(tiny: Path) -> None:
    manifest = (tiny / "release" / "manifest.tsv").read_bytes()
    victims = [tiny / "annotations" / "S02_01" / "n001.swc", tiny / "release" / "derivatives/benchmark/splits.tsv"]
    for victim in victims:
        victim.unlink()
    assert main(["simulate", str(tiny), "--preset", "tiny", "--seed", "4"]) == 0
    assert all(victim.exists() for victim in victims)
    assert (tiny / "release" / "manifest.tsv").read_bytes() == manifest


def test_neither_workers_nor_memory_change_a_voxel(tmp_path: Path) -> None:
    own = replace(preset_named("tiled"), shape=(9, 150, 170), neurons=2)
    (source := tmp_path / "simulation.json").write_text("{}", encoding="utf-8")
    found = []
    for workers, memory in ((1, 2**28), (3, 2**30)):
        made, _ = own.make(7, 0, 0)
        out = tmp_path / f"{workers}.ome.zarr"
        convert(replace(made.volume, path=source), [out], workers=workers, memory=memory)
        with neuropack.open_volume(out) as volume:
            found.append(np.asarray(volume))
    assert np.array_equal(*found)
    assert np.array_equal(found[0], np.asarray(own.make(7, 0, 0)[0].volume))
    assert not np.array_equal(found[0], np.asarray(own.make(8, 0, 0)[0].volume))
    assert not np.array_equal(found[0], np.asarray(own.make(7, 1, 0)[0].volume))


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    own = replace(preset_named("tiny"), subjects=1)

    def stop(stage: str, done: int, total: int) -> None:
        assert stage.startswith("simulating S01_01")
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_release(tmp_path, own, 4, progress=stop)
    assert list((tmp_path / "raw").glob("*.partial")) and not (tmp_path / "release").exists()
    made = simulate_release(tmp_path, own, 4)
    (stack,) = neuropack.open_release(made.release).stacks.values()
    assert np.array_equal(np.asarray(stack[...]), np.asarray(own.make(4, 0, 0)[0].volume))


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--preset", "tinny"], 2, "did you mean 'tiny'"),
        (["--shape", "8,64"], 2, "--shape is no shape"),
        (["--shape", "8,64,0"], 2, "--shape is no shape"),
        (["--shape", "100000,100000,1000000"], 2, "shape: a stack of 1e+16 voxels is too large"),
        (["--preset", "tiny", "--config", "x.yaml"], 2, "both say what to simulate"),
        (["--config", "none.yaml"], 3, "there is no such file"),
        (["--swc", "none.swc"], 3, "there is no SWC file"),
        (["--shape", "1,4,4", "--preset", "tiny"], 2, "too small for a soma"),
        (["--seed", "-1"], 2, "seed"),
        (["--neurons", "60000"], 2, "no room for so many neurons"),
    ],
)
def test_bad_input_is_told(
    tmp_path: Path, arguments: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", str(tmp_path / "out"), *arguments]) == status
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert main(["simulate", str(tmp_path)]) == 2
    assert "thesis.txt" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_mistake_in_a_file_is_told_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("neurons: 2\noptics:\n  photons: 3\n", encoding="utf-8")
    assert main(["simulate", str(tmp_path / "out"), "--config", str(tmp_path / "mine.yaml")]) == 3
    assert "mine.yaml:3:3: optics has no field 'photons'" in capsys.readouterr().err


def test_a_stack_without_neurons_and_of_one_channel(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "labelling: sparse_viral\nshape: [6, 40, 50]\nsubjects: 1\nneurons: 0\nfluorophores: [EYFP]\n",
        encoding="utf-8",
    )
    assert main(["simulate", str(tmp_path / "out"), "--config", str(tmp_path / "mine.yaml")]) == 0
    assert main(["validate", str(tmp_path / "out" / "release"), "--fail-on", "error"]) == 0


@pytest.mark.parametrize(("subjects", "neurons", "tasks"), [(1, 1, 0), (2, 0, 2)])
def test_a_benchmark_needs_a_test_and_the_truth(tmp_path: Path, subjects: int, neurons: int, tasks: int) -> None:
    own = replace(Simulation("small"), shape=(12, 32, 32), subjects=subjects, neurons=neurons)
    made = simulate_release(tmp_path / "made", own, 1)
    document = json.loads((made.release / "metadata" / "neuropack.json").read_text(encoding="utf-8"))
    assert len(document.get("benchmarks", ())) == tasks
    splits = [row["split"] for row in read_tsv(made.release / "derivatives" / "benchmark" / "splits.tsv")]
    assert splits == ["train", "test"][:subjects]
    assert main(["validate", str(made.release)]) == 0
