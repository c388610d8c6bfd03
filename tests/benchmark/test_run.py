"""Benchmarks as a whole: tuned on one split, tested on another; what is kept, said and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tubes

from neuropack.benchmark import work
from neuropack.benchmark.contest import Wanted
from neuropack.benchmark.run import Benchmark, benchmark
from neuropack.errors import InputError, NeuropackError, UsageError

SPLITS = ("train", "validation", "test", "test", "test")


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    tubes.SEEN.clear()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tubes.folder(tmp_path_factory.mktemp("data") / "tubes", SPLITS)


def run(data: Path, *methods: str, task: str = "foreground", out: Path | None = None, **more: Any) -> Benchmark:
    again = more.pop("overwrite", False)
    return benchmark(Wanted((data,), task, methods, **more), out, overwrite=again, alone=False)


def test_settings_are_chosen_on_the_validation_split_and_scored_on_the_test_split(data: Path) -> None:
    (row,) = run(data, "tubes:TUNED").rows
    assert row["settings"] == {"least": 150.0}
    assert (row["settings_tried"], row["tuned_on"], row["images"]) == (3, 1, 3)
    assert [one["image"] for one in row["per_image"]] == ["tube 2", "tube 3", "tube 4"]
    assert row["f1"] == row["iou"] == row["precision"] == row["recall"] == row["accuracy"] == row["cldice"] == 1
    assert row["interval"]["f1"] == [1, 1]
    seen = {n: {least for name, least in tubes.SEEN if name == f"image-{n}.ome.zarr"} for n in range(5)}
    assert seen == {0: set(), 1: {90, 150, 400}, 2: {150}, 3: {150}, 4: {150}}


def test_settings_are_chosen_by_the_score_that_is_named(data: Path) -> None:
    (row,) = run(data, "tubes:TUNED", choose_by="recall").rows
    assert (row["settings"], row["chosen_by"]) == ({"least": 90.0}, "recall")  # everything is found with it
    with pytest.raises(UsageError, match="cannot be chosen by"):
        run(data, "tubes:TUNED", choose_by="prevalence")


def test_defaults_are_taken_where_nobody_wants_them_tuned(data: Path) -> None:
    (row,) = run(data, "tubes:TUNED", tune=False).rows
    assert (row["settings"], row["settings_tried"], row["tuned_on"]) == ({"least": 90.0}, 1, 0)
    assert any("not tuned" in note for note in row["notes"])
    assert row["precision"] < 0.2


def test_what_has_no_value_is_counted_and_never_scored_0(data: Path) -> None:
    settings = {"least": 400.0}
    tubes.NOTHING = tubes.method(settings)  # type: ignore[attr-defined]
    (row,) = run(data, "tubes:NOTHING").rows
    assert row["recall"] == 0
    assert row["precision"] is None
    assert row["cldice"] is None
    assert row["without"]["precision"] == 3


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("instances", {"f1": 1.0, "fisbe_s": 1.0, "pq": 1.0, "voi_split": 0.0, "precision": None}),
        ("tracing", {"precision": 1.0, "splits": 0, "merges": 0, "spurious": 0, "unfound": 0, "iou": None}),
        ("somata", {"f1": 1.0, "precision": 1.0, "recall": 1.0, "accuracy": None}),
    ],
)
def test_every_task_has_its_scores(data: Path, task: str, expected: dict[str, Any]) -> None:
    (row,) = run(data, "tubes:ONE", task=task).rows
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert row["images"] == 3


def test_results_are_told_in_three_forms_with_pictures(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = run(data, "tubes:ONE,tubes:OTHER", out=out)
    assert made.status == "written"
    assert tubes.rows((out / "results.json").read_text(encoding="utf-8")) == json.loads(json.dumps(made.rows))
    text = (out / "results.md").read_text(encoding="utf-8")
    assert "Settings are chosen" not in text  # there is one for each
    assert "| a \\| &lt;b> |" in text
    page = (out / "results.html").read_text(encoding="utf-8")
    assert "a | &lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count("data:image/png;base64,") == 4
    assert sorted(p.name for p in out.iterdir()) == [
        *("benchmark.json", "pictures", "results.html", "results.json", "results.md"),
    ]
    (row, _) = made.rows
    assert (out / row["pictures"]["worst"]["file"]).read_bytes().startswith(b"\x89PNG")
    assert row["seconds"] > 0
    assert row["machine"]["cores"] >= 1


def test_a_second_run_does_nothing_and_another_one_is_refused(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(data, "tubes:ONE", out=out)
    tubes.SEEN.clear()
    again = run(data, "tubes:ONE", out=out)
    assert (again.status, again.rows, tubes.SEEN) == ("up to date", json.loads(json.dumps(first.rows)), [])
    with pytest.raises(UsageError, match="other methods, data or settings"):
        run(data, "tubes:ONE", out=out, tolerance_um=3.0)
    assert run(data, "tubes:ONE", out=out, tolerance_um=3.0, overwrite=True).status == "written"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(UsageError, match="is no benchmark"):
        run(data, "tubes:ONE", out=tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "letter.txt").exists()


def test_images_that_are_done_are_kept_over_an_interruption(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real = tmp_path / "out", work.run_here

    def interrupted(method: Any, job: work.Job, *rest: Any) -> None:
        if job.case.name == "tube 3":
            raise KeyboardInterrupt
        real(method, job, *rest)

    monkeypatch.setattr(work, "run_here", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(data, "tubes:ONE", out=out)
    assert not out.exists()
    monkeypatch.undo()
    tubes.SEEN.clear()
    assert run(data, "tubes:ONE", out=out).status == "resumed"
    assert [name for name, _ in tubes.SEEN] == ["image-3.ome.zarr", "image-4.ome.zarr"]
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("methods", "task", "words"),
    [
        (("otzu",), "foreground", "did you mean 'otsu'"),
        (("tubes:ONE,tubes:ONE",), "foreground", "comes twice"),
        (("tubes:NO_METHOD",), "foreground", "is no method"),
        (("no.such:thing",), "foreground", "cannot be imported"),
        (("soma",), "foreground", "does not do this task"),
        (("color",), "foreground", "wants 2 channels"),
        (("otsu",), "somatas", "did you mean 'somata'"),
        (("otsu",), "classification", "for this task"),
        ((), "foreground", "no method is named"),
        (("lda,lda",), "classification", "comes twice"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_run(
    data: Path, methods: tuple[str, ...], task: str, words: str
) -> None:
    with pytest.raises(NeuropackError) as caught:
        run(data, *methods, task=task)
    assert words in str(caught.value)


def test_one_animal_in_two_splits_is_refused(tmp_path: Path) -> None:
    data = tubes.folder(tmp_path / "leak", ("validation", "test"), subject="M1")
    with pytest.raises(InputError, match="in two splits") as caught:
        run(data, "tubes:ONE")
    assert "validation and test" in str(caught.value)


def test_data_without_a_test_split_or_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no test split"):
        run(tubes.folder(tmp_path / "a", ("train",)), "tubes:ONE")
    data = tubes.folder(tmp_path / "b")
    text = (data / "benchmark.yaml").read_text(encoding="utf-8").replace("    labels: labels-0.ome.zarr\n", "")
    (data / "benchmark.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="no truth of the kind"):
        run(data, "tubes:ONE")
    (row,) = run(data, "tubes:ONE", task="tracing").rows
    assert row["interval"]["f1"] is None
    assert any("no interval" in note for note in row["notes"])
    assert not any("not tuned" in note for note in row["notes"])  # there is nothing to tune
    (row,) = run(data, "tubes:TUNED", task="tracing").rows
    assert any("there is no validation image" in note for note in row["notes"])


def test_what_counts_from_centres_is_moved_by_half_a_voxel(tmp_path: Path) -> None:
    from neuropack.benchmark.cases import data_at

    data = tubes.folder(tmp_path / "a")
    file = data / "benchmark.yaml"
    (corner,) = data_at(data).cases
    file.write_text(file.read_text(encoding="utf-8") + "    origin: centre\n", encoding="utf-8")
    (centre,) = data_at(data).cases
    (one,), (other,) = corner.neurons.values(), centre.neurons.values()
    assert np.allclose(other.xyz - one.xyz, [0.25, 0.25, 0.5])
    assert np.allclose(centre.places - corner.places, [0.25, 0.25, 0.5])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("split: test", "split: tset", "did you mean 'test'"),
        ("image: image-0.ome.zarr", "image: gone.tif", "image is not there"),
        ("    subject:", "    animal:", "has no field 'animal'"),
        ("name: tube 0", "name: a/b", "cannot be that of a folder"),
        ("    split: test", "    voxel_size_um: [1, 0]", "is no voxel size"),
        ("    skeletons: tube-0.swc", "    skeletons: [tube-0.swc]", "skeletons is no path"),
        ("subject: animal 0", "subject: [animal 0]", "subject is no text"),
        ("  - name: tube 0", "  -\n  - name: tube 0", "an image is a mapping"),
        ("name: tubes", "name: {a: b}", "name is no text"),
        ("images:", "pictures:", "images are missing"),
        ("images:", "images: [", "benchmark.yaml:"),
    ],
)
def test_mistakes_in_a_list_of_images_have_their_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    from neuropack.benchmark.cases import data_at

    file = tubes.folder(tmp_path / "a") / "benchmark.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        data_at(file.parent)
    assert words in str(caught.value)
    assert "benchmark.yaml:" in str(caught.value)


def test_all_mistakes_of_a_list_of_images_are_told_together(tmp_path: Path) -> None:
    from neuropack.benchmark.cases import data_at

    file = tubes.folder(tmp_path / "a", ("train", "validation", "test", "test")) / "benchmark.yaml"
    text = file.read_text(encoding="utf-8")
    for old, new in (
        ("name: tube 1", "name: tube 0"),
        ("animal 3", "animal 1"),
        ("labels: labels-1.ome.zarr", "labels: gone.tif"),
    ):
        text = text.replace(old, new, 1)
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="3 problems in the list of images") as caught:
        data_at(file.parent)
    said = str(caught.value)
    assert "benchmark.yaml:10:11: two images have the name 'tube 0'" in said
    assert "benchmark.yaml:25:14: the subject 'animal 1' is in two splits" in said
    assert "benchmark.yaml:14:13: labels is not there" in said


def test_what_is_said_to_be_nothing_is_left_out(tmp_path: Path) -> None:
    from neuropack.benchmark.cases import data_at

    file = tubes.folder(tmp_path / "a") / "benchmark.yaml"
    text = file.read_text(encoding="utf-8").replace("labels: labels-0.ome.zarr", "labels:")
    file.write_text(text.replace("subject: animal 0", "subject: null"), encoding="utf-8")
    (case,) = data_at(file.parent).cases
    assert (case.labels, case.subject) == (None, "tube 0")


def test_images_of_another_version_of_ome_zarr_are_written_anew(data: Path, tmp_path: Path) -> None:
    import zarr

    from neuropack.benchmark.cases import data_at
    from neuropack.benchmark.handed import handed, is_promised

    (case, *_) = data_at(data).cases
    assert handed(case, tmp_path) is case
    with case.opened() as image:
        voxels = image[:]
    old = tmp_path / "old.ome.zarr"
    group = zarr.open_group(old, mode="w", zarr_format=2)
    group.create_array("full", data=voxels[0])
    scale = {"type": "scale", "scale": list(tubes.SIZE_UM)}
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    level = {"path": "full", "coordinateTransformations": [scale]}
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [level]}]
    made = handed(replace(case, image=old), tmp_path / "images")
    assert not is_promised(old)
    assert is_promised(made.image)
    with made.opened() as image:
        assert np.array_equal(image[:], voxels)
        assert image.voxel_size_um == tubes.SIZE_UM


def test_truth_and_sizes_are_read_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neuropack import annotations, readers

    real_skeletons, real_volume = annotations.read_skeletons, readers.open_volume
    read: list[str] = []

    def skeletons(path: Path, *rest: Any, **more: Any) -> Any:
        read.append(path.name)
        return real_skeletons(path, *rest, **more)

    def volume(path: Path, *rest: Any, **more: Any) -> Any:
        read.append(path.name)
        return real_volume(path, *rest, **more)

    monkeypatch.setattr(annotations, "read_skeletons", skeletons)
    monkeypatch.setattr(readers, "open_volume", volume)
    run(data, "tubes:ONE,tubes:OTHER", task="tracing", tune=False)
    assert read.count("tube-2.swc") == 1
    assert read.count("image-2.ome.zarr") == 1 + 2 * 2  # before all; then by each method, and for its picture


def test_images_that_settings_are_tried_on_are_looked_at_before_anything_is_run(tmp_path: Path) -> None:
    from neuropack.volume import from_array

    data = tubes.folder(tmp_path / "a", ("validation", "test"))
    twice = from_array(np.ones((2, 1, *tubes.SHAPE), np.uint16), "TCZYX", voxel_size_um=tubes.SIZE_UM)
    tubes.write(data / "twice.ome.zarr", twice)
    file = data / "benchmark.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("image-0.ome.zarr", "twice.ome.zarr", 1), encoding="utf-8")
    with pytest.raises(NeuropackError, match="is a time series"):
        run(data, "tubes:TUNED")
    assert not tubes.SEEN
    assert run(data, "tubes:TUNED", tune=False).rows[0]["images"] == 1
