"""`neuropack predict`: the folder of segment, with the neurons that a network finds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from known_network import known_network, known_objects, random_network, write_weights
from neuropack.annotations.mark_files import read_marks
from neuropack.cli import main, predicted
from neuropack.cli.derived import Image
from neuropack.errors import UsageError
from neuropack.readers import open_volume
from neuropack.simulate.stack import stack
from neuropack.swc import read_swc
from neuropack.table import read_tsv
from neuropack.volume import from_array
from neuropack.writers.ome_tiff import write_ome_tiff

pytest.importorskip("numba")
pytest.importorskip("skimage")

SIZE = (2.0, 0.5, 0.5)
FILES = {
    *("labels.ome.zarr", "boxes.tsv", "objects.tsv", "skeletons", "somata.tsv"),
    *("segmentation.json", "segmentation.png"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated neurons in three channels, the same as if their voxels were fine, and weights."""
    made = tmp_path_factory.mktemp("predict")
    voxels = stack(3, (12, 48, 48), SIZE, neurons=2).volume[:]
    write_ome_tiff(made / "neurons.ome.tif", from_array(voxels, "CZYX", voxel_size_um=SIZE))
    write_weights(made / "known.safetensors", known_network())
    return made


def run(folder: Path, out: Path, *more: object, image: str = "neurons.ome.tif") -> int:
    return main(["predict", *map(str, (folder / image, out, "--weights", folder / "known.safetensors", *more))])


def test_the_folder_holds_what_the_network_found(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found"
    assert run(folder, out, "--instances", "network", "--no-align", "--min-size", 1, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert {path.name for path in out.iterdir()} == FILES == {*report["outputs"], "segmentation.json"}
    with open_volume(folder / "neurons.ome.tif") as image, open_volume(out / "labels.ome.zarr") as labels:
        _, wanted = known_objects(from_array(image[:], "CZYX", voxel_size_um=SIZE))
        np.testing.assert_array_equal(labels[0], wanted)
    rows, boxes = read_tsv(out / "objects.tsv"), read_marks(out / "boxes.tsv").table.to_pylist()
    assert len(rows) == len(boxes) == report["counts"]["objects"] == wanted.max()
    longest = max(rows, key=lambda row: float(row["length_um"]))
    skeleton = read_swc(out / longest["skeleton"])
    z, y, x = np.floor(skeleton.xyz[:, ::-1] / SIZE).astype(int).T
    assert (wanted[z, y, x] == int(longest["label"])).all()
    assert 0.5 < float(longest["confidence"]) <= 1
    assert report["activity"] == "prediction"
    assert report["model"]["name"] == "known"
    assert report["identity"]["settings"]["weights"] == report["model"]["sha256"]
    assert report["network"]["precision"] == "float32"
    assert report["network"]["bins"] == [1, 1, 1]
    assert report["network"]["instances"] == "network"
    assert "align" not in report["network"]


def test_it_goes_on_after_an_interruption_and_says_when_all_is_there(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, image = predicted.Settings(), Image(folder / "neurons.ome.tif")

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "ordering voxels":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predicted.predict(image, tmp_path / "found", folder / "known.safetensors", settings, tell=stop)
    told: list[str] = []
    report = predicted.predict(
        *(image, tmp_path / "found", folder / "known.safetensors", settings),
        tell=lambda stage, done, of: told.append(f"{stage} {done}"),
    )
    assert report["status"] == "resumed"
    assert "finding objects 0" not in told
    assert run(folder, tmp_path / "found") == 0
    assert "up to date" in capsys.readouterr().out
    assert run(folder, tmp_path / "found", "--threshold", 0.7) == 2
    assert "other settings" in capsys.readouterr().err
    assert run(folder, tmp_path / "found", "--centerline", 0.3) == 2
    assert "other settings" in capsys.readouterr().err
    assert run(folder, tmp_path / "new", "--centerline", 1.5) == 2
    assert "centerline is no share" in capsys.readouterr().err
    other = write_weights(tmp_path / "other.safetensors", random_network(1))
    assert run(folder, tmp_path / "found", "--weights", other) == 2  # of another network: another result
    with pytest.raises(UsageError):
        predicted.predict(image, tmp_path / "x", folder / "known.safetensors", predicted.Settings(threshold=2))


def test_mirror_images_are_looked_at_too_where_it_is_asked_for(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--instances", "touch", "--no-align", "--json")
    assert run(folder, tmp_path / "plain", *more) == 0
    assert "mirror" not in json.loads(capsys.readouterr().out)["network"]
    assert run(folder, tmp_path / "mirrored", *more, "--mirror") == 0
    assert json.loads(capsys.readouterr().out)["network"]["mirror"] is True
    with (
        open_volume(tmp_path / "plain" / "labels.ome.zarr") as plain,
        open_volume(tmp_path / "mirrored" / "labels.ome.zarr") as mirrored,
    ):
        np.testing.assert_array_equal(mirrored[:], plain[:])  # it puts a threshold to the brightness of a voxel
    assert run(folder, tmp_path / "plain", *more, "--mirror") == 2  # another result lies there


def test_fine_voxels_are_told_and_come_back(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found"
    assert run(folder, out, "--voxel-size", "1,0.12,0.12", "--min-size", 9, "--instances", "touch") == 0
    assert "bins of 1 x 3 x 3" in capsys.readouterr().out
    with open_volume(out / "labels.ome.zarr") as labels:
        assert labels.size_zyx == (12, 48, 48)
        found = labels[0]
    rows = read_tsv(out / "objects.tsv")
    counts = np.bincount(found.ravel())[1:]
    assert [int(row["voxels"]) for row in rows] == counts.tolist()
    assert counts.min() >= 9 * 9  # nine bins of nine voxels
    for row in rows:
        middle = read_swc(out / row["skeleton"]).xyz[:, ::-1] / (1.0, 0.12, 0.12)
        z, y, x = np.floor(middle).astype(int).T
        assert (found[z, y, x] == int(row["label"])).mean() > 0.9
    assert run(folder, tmp_path / "same", "--voxel-size", "1,0.12,0.12", "--as-it-is") == 0
    assert "bins" not in capsys.readouterr().out
    assert run(folder, tmp_path / "coarse", "--voxel-size", "8,0.5,0.5") == 0
    assert "coarser than any" in capsys.readouterr().out


@pytest.mark.parametrize("size", [0.5, 0.12])
def test_a_plane_whose_thickness_nobody_states(folder: Path, tmp_path: Path, size: float) -> None:
    with open_volume(folder / "neurons.ome.tif") as image:
        voxels = image[:]
    deep = int(voxels.max(axis=(0, 2, 3)).argmax())
    voxels = np.tile(voxels[:, deep : deep + 1], (1, 1, 2, 2))  # enough of it for bins
    plane = from_array(voxels, "CZYX", voxel_size_um=(None, size, size))
    write_ome_tiff(tmp_path / "plane.ome.tif", plane)
    assert run(folder, tmp_path / "found", "--min-size", 9, image=str(tmp_path / "plane.ome.tif")) == 0
    assert all(float(row["length_um"]) >= 0 for row in read_tsv(tmp_path / "found" / "objects.tsv"))


def test_neurons_by_colour_in_the_foreground_of_the_network(folder: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path / "found", "--instances", "color", "--no-align", "--min-size", 30) == 0
    with (
        open_volume(folder / "neurons.ome.tif") as image,
        open_volume(tmp_path / "found/labels.ome.zarr") as labels,
    ):
        inside, _ = known_objects(from_array(image[:], "CZYX", voxel_size_um=SIZE))
        assert labels[0].any()
        assert not labels[0][~inside].any()


def test_neurons_are_told_apart_by_colour_where_there_is_any_and_channels_are_aligned(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, tmp_path / "colours", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["network"]["instances"] == "color"
    assert len(report["network"]["align"]["shift"]) == 3
    with open_volume(folder / "neurons.ome.tif") as image:
        one = from_array(image[:].max(axis=0, keepdims=True), "CZYX", voxel_size_um=SIZE)
    write_ome_tiff(tmp_path / "one.ome.tif", one)
    assert run(folder, tmp_path / "one", "--json", image=str(tmp_path / "one.ome.tif")) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["network"]["instances"] == "touch"
    assert "align" not in report["network"]


def test_nothing_found_is_status_1(folder: Path, tmp_path: Path) -> None:
    flat = from_array(np.full((1, 4, 12, 12), 5, np.uint8), "CZYX", voxel_size_um=SIZE)
    write_ome_tiff(tmp_path / "flat.ome.tif", flat)
    assert run(folder, tmp_path / "found", image=str(tmp_path / "flat.ome.tif")) == 1
    assert (tmp_path / "found" / "labels.ome.zarr").is_dir()


def test_without_weights_it_says_what_to_do(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuropack.learn.weights.shipped", lambda: tmp_path / "none.safetensors")
    assert main(["predict", str(folder / "neurons.ome.tif"), str(tmp_path / "found")]) == 3
    message = capsys.readouterr().err
    assert "no trained weights ship" in message
    assert "--weights" in message
    monkeypatch.setattr("neuropack.learn.weights.shipped", lambda: folder / "known.safetensors")
    assert main(["predict", str(folder / "neurons.ome.tif"), str(tmp_path / "found")]) == 0


SAID: dict[str, Callable[[dict[str, Any]], object]] = {  # what a file says that cannot be trusted
    "a list": lambda said: [],
    "no network": lambda said: said | {"network": "wide"},
    "about nothing": lambda said: said | {"about": [1]},
    "huge": lambda said: said | {"network": said["network"] | {"widths": [1 << 16] * 3}},  # some terabytes
}


@pytest.mark.parametrize("kind", ["cut", "empty", "text", "absent", "other", "narrow", *SAID])
def test_weights_that_are_none(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path, whole = tmp_path / "w.safetensors", folder / "known.safetensors"
    if kind == "cut":
        path.write_bytes(whole.read_bytes()[:-1000])
    elif kind in ("empty", "text"):
        path.write_text("" if kind == "empty" else "weights")
    elif kind == "other":
        save_file({"layer": torch.zeros(3)}, path)
    elif kind == "narrow":
        tensors = load_file(whole)
        tensors["head.weight"] = tensors["head.weight"][:3].clone()
        save_file(tensors, path)
    elif kind in SAID:
        with safe_open(whole, "pt") as file:
            said = json.loads(file.metadata()["neuropack"])
        save_file(load_file(whole), path, {"neuropack": json.dumps(SAID[kind](said))})
    assert run(folder, tmp_path / "found", "--weights", path) == 3
    message = capsys.readouterr().err
    assert path.name in message
    assert "Traceback" not in message
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--device", "cuda:9"), "no such GPU"),
        (("--device", "abacus"), "no device"),
        (("--precision", "bfloat16", "--device", "cpu"), "CUDA alone"),
        (("--threshold", "0"), "no probability"),
        (("--min-size", "0"), "1 voxel or more"),
        (("--memory", "lots"), "not a size"),
    ],
)
def test_a_wrong_line_is_told_before_anything_is_made(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], said: str
) -> None:
    assert run(folder, tmp_path / "found", *more) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_images_that_are_none_for_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    series = from_array(np.zeros((2, 1, 4, 12, 12), np.uint8), "TCZYX", voxel_size_um=SIZE)
    write_ome_tiff(tmp_path / "series.ome.tif", series)
    assert run(folder, tmp_path / "found", image=str(tmp_path / "series.ome.tif")) == 2
    assert "time series" in capsys.readouterr().err
    bare = from_array(np.zeros((1, 4, 12, 12), np.uint8), "CZYX")
    write_ome_tiff(tmp_path / "bare.ome.tif", bare)
    assert run(folder, tmp_path / "found", image=str(tmp_path / "bare.ome.tif")) == 2
    assert "voxel size" in capsys.readouterr().err
    one = from_array(np.zeros((1, 4, 12, 12), np.uint8), "CZYX", voxel_size_um=SIZE)
    write_ome_tiff(tmp_path / "one.ome.tif", one)
    assert run(folder, tmp_path / "found", "--instances", "color", image=str(tmp_path / "one.ome.tif")) == 2
    assert "colour needs several" in capsys.readouterr().err
    assert not (tmp_path / "found").exists()
