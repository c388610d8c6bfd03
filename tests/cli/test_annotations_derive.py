"""``neuropack annotations derive``: a simulated stack and its labels, there and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from neuropack.cli import derived, main
from neuropack.readers import open_volume
from neuropack.simulate.stack import SimulatedStack, stack
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc, write_swc

SHAPE, SIZE = (24, 120, 120), (2.0, 0.5, 0.5)


@pytest.fixture(scope="module")
def made() -> SimulatedStack:
    return stack(3, SHAPE, SIZE, neurons=3)


@pytest.fixture
def folder(made: SimulatedStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stack, its labels, and its skeletons."""
    said = {"PhysicalSizeZ": 2.0, "PhysicalSizeY": 0.5, "PhysicalSizeX": 0.5}
    said |= {f"PhysicalSize{axis}Unit": "µm" for axis in "ZYX"}
    tifffile.imwrite(
        tmp_path / "stack.ome.tif", np.asarray(made.volume), metadata={"axes": "CZYX", **said}, ome=True
    )
    tifffile.imwrite(
        tmp_path / "labels.ome.tif", np.asarray(made.labels)[0], metadata={"axes": "ZYX", **said}, ome=True
    )
    (tmp_path / "traces").mkdir()
    for number, skeleton in enumerate(made.skeletons, 1):
        write_swc(tmp_path / "traces" / f"n{number}.swc", skeleton)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def derive(*words: str) -> int:
    return main(["annotations", "derive", *words])


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert derive(*words, "--json") == 0
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    return record


def rows(path: Path) -> list[dict[str, str]]:
    header, *lines = path.read_text().splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def test_boxes(folder: Path, made: SimulatedStack, capsys: pytest.CaptureFixture[str]) -> None:
    assert derive("boxes", "labels.ome.tif", "boxes.tsv", "--annotator", "AB", "--provenance", "manual") == 0
    dense = np.asarray(made.labels)[0]
    assert capsys.readouterr().out == f"boxes.tsv: 3 box(es) of {np.count_nonzero(dense)} voxels\n"
    for row in rows(folder / "boxes.tsv"):
        at = np.argwhere(dense == int(row["label"]))
        assert [int(row[c]) for c in ("z0", "y0", "x0")] == at.min(axis=0).tolist()
        assert [int(row[c]) for c in ("z1", "y1", "x1")] == (at.max(axis=0) + 1).tolist()
        assert (row["box_id"], row["annotator"]) == (f"label-{row['label']}", "AB")
    assert derive("boxes", "labels.ome.tif", "boxes.tsv") == 2
    assert derive("boxes", "labels.ome.tif", "boxes.tsv", "--overwrite") == 0
    assert rows(folder / "boxes.tsv")[0]["provenance"] == "model"
    assert derive("boxes", "stack.ome.tif", "other.tsv") == 2
    assert "no single label image" in capsys.readouterr().err


def test_masks(folder: Path, made: SimulatedStack, capsys: pytest.CaptureFixture[str]) -> None:
    record = told(capsys, "masks", "traces", "masks.ome.zarr", "--image", "stack.ome.tif")
    assert record["labels"] == {"n1": 1, "n2": 2, "n3": 3}
    assert rows(folder / "masks_labels.tsv") == [{"label": str(n), "neuron": f"n{n}"} for n in (1, 2, 3)]
    with open_volume(folder / "masks.ome.zarr") as volume:
        assert (volume.labels, volume.voxel_size_um) == (True, SIZE)
        found, truth = np.asarray(volume)[0], np.asarray(made.labels)[0]
    assert ((found > 0) & (truth > 0)).sum() / ((found > 0) | (truth > 0)).sum() > 0.9
    words = ("masks", "traces", "masks.ome.zarr", "--shape", "24,120,120", "--voxel-size", "2,0.5,0.5")
    assert told(capsys, *words)["status"] == "up to date"
    write_swc(folder / "traces" / "n3.swc", made.skeletons[0])
    assert derive(*words) == 2


def test_a_table_of_labels_that_says_something_else_is_kept(folder: Path) -> None:
    (folder / "masks_labels.tsv").write_text("label\tneuron\n1\tmine\n")
    assert derive("masks", "traces", "masks.ome.zarr", "--image", "stack.ome.tif") == 2
    assert not (folder / "masks.ome.zarr").exists()
    assert derive("masks", "traces", "masks.ome.zarr", "--image", "stack.ome.tif", "--overwrite") == 0
    assert "mine" not in (folder / "masks_labels.tsv").read_text()


def test_numbers_in_names_are_labels_where_all_have_one() -> None:
    assert derived.labels_of_names(dict.fromkeys(["label-8", "label-3"])) == {"label-8": 8, "label-3": 3}
    assert derived.labels_of_names(dict.fromkeys(["12", "7"])) == {"12": 12, "7": 7}
    for names in (["label-8", "n3"], ["8", "label-8"], ["0", "1"], ["n008", "n003"]):
        assert list(derived.labels_of_names(dict.fromkeys(names)).values()) == [1, 2]


def test_two_somata_in_one_object_have_names_of_their_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tifffile.TiffFile("labels.ome.tif") as file:
        dense, said = file.asarray(), file.ome_metadata
    dense[dense == 2] = 1
    tifffile.imwrite("merged.ome.tif", dense, description=said.encode(), metadata=None)
    record = told(capsys, "somata", "merged.ome.tif", "somata.tsv")
    names = [one["point_id"] for one in record["somata"]]
    assert names == ["soma-label-1", "soma-label-1-2", "soma-label-3"]


def test_what_does_not_glow_has_no_colour(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tifffile.TiffFile("stack.ome.tif") as file:
        pixels, said = file.asarray(), file.ome_metadata
    pixels[:] = np.random.default_rng(0).normal(200, 5, pixels.shape)
    tifffile.imwrite("dark.ome.tif", pixels, description=said.encode(), metadata=None)
    assert derive("colors", "labels.ome.tif", "colors.tsv", "--image", "dark.ome.tif") == 1
    assert "label-1: no signal" in capsys.readouterr().err
    assert [row["color_1"] for row in rows(folder / "colors.tsv")] == ["n/a"] * 3


def test_a_neuron_outside_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    far = Skeleton(np.array([1]), np.array([1]), np.array([[900.0, 5, 5]]), np.array([2.0]), np.array([-1]))
    write_swc(folder / "traces" / "n4.swc", far)
    assert derive("masks", "traces", "masks.ome.zarr", "--image", "stack.ome.tif") == 1
    assert "n4: lies outside of the image" in capsys.readouterr().err


def test_skeletons_and_masks_of_these(
    folder: Path, made: SimulatedStack, capsys: pytest.CaptureFixture[str]
) -> None:
    record = told(capsys, "skeletons", "labels.ome.tif", "derived")
    assert [one["file"] for one in record["neurons"]] == [f"label-{n}.swc" for n in (1, 2, 3)]
    for n, truth in enumerate(made.skeletons, 1):
        found = read_swc(folder / "derived" / f"label-{n}.swc")
        assert found.length_um() == pytest.approx(truth.length_um(), rel=0.15)
    back = told(capsys, "masks", "derived", "back.ome.zarr", "--image", "stack.ome.tif")
    assert back["labels"] == {"label-1": 1, "label-2": 2, "label-3": 3}
    assert derive("skeletons", "labels.ome.tif", "derived") == 2
    assert derive("skeletons", "labels.ome.tif", "small", "--memory", "200KB") == 2
    assert "too large" in capsys.readouterr().err


def test_what_is_too_large_is_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dense = tifffile.imread("labels.ome.tif")
    dense[0, 0, :9], dense[0, 0, 9:12] = 9, 0
    tifffile.imwrite("more.tif", dense, photometric="minisblack")
    words = ("skeletons", "more.tif", "some", "--memory", "200KB", "--axes", "ZYX", "--voxel-size", "2,0.5,0.5")
    assert derive(*words) == 1
    assert [path.name for path in (folder / "some").iterdir()] == ["label-9.swc"]
    assert "label 1: an object is too large" in capsys.readouterr().err


def test_the_voxel_size_must_be_known(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tifffile.imwrite("bare.tif", tifffile.imread("labels.ome.tif"), photometric="minisblack")
    assert derive("skeletons", "bare.tif", "out", "--axes", "ZYX") == 2
    assert "--voxel-size" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["labels.ome.tif", "traces"])
def test_somata(folder: Path, made: SimulatedStack, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = told(capsys, "somata", source, "somata.tsv")
    table = rows(folder / "somata.tsv")
    assert [row["point_id"] for row in table] == [one["point_id"] for one in record["somata"]]
    for row, truth in zip(table, made.skeletons, strict=True):
        away = np.linalg.norm([float(row[f"{a}_um"]) for a in "xyz"] - truth.soma())
        assert away < 1.5
        assert row["class"] == "soma"
        assert float(row["confidence"]) > 0.5
    assert derive("somata", source, "none.tsv", "--smallest", "nan") == 2


@pytest.mark.parametrize("source", ["labels.ome.tif", "traces"])
def test_colors(folder: Path, made: SimulatedStack, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = told(capsys, "colors", source, "colors.tsv", "--image", "stack.ome.tif")
    for row, one, truth in zip(rows(folder / "colors.tsv"), record["colors"], made.colors, strict=True):
        found = np.array([float(row[f"color_{c}"]) for c in (1, 2, 3)])
        np.testing.assert_allclose(found, one["color_vector"], atol=1e-4)
        assert np.degrees(np.arccos(found @ truth / np.linalg.norm(found) / np.linalg.norm(truth))) < 6
    assert derive("colors", source, "colors.csv", "--image", "stack.ome.tif") == 0
    assert (folder / "colors.csv").read_text().startswith("neuron,label,color_1,color_2,color_3,")
    assert derive("colors", source, "colors.parquet", "--image", "stack.ome.tif") == 2


@pytest.mark.parametrize(
    "words",
    [
        ("masks", "traces", "m.ome.zarr"),
        ("masks", "traces", "m.ome.zarr", "--shape", "4,4"),
        ("masks", "traces", "m.ome.zarr", "--shape", "4,4,4"),
        ("masks", "traces", "m.tif", "--image", "stack.ome.tif"),
        ("masks", "traces", "m.ome.zarr", "--image", "stack.ome.tif", "--shape", "4,4,4"),
        ("boxes", "labels.ome.tif", "boxes.png"),
    ],
)
def test_words_that_do_not_fit(folder: Path, words: tuple[str, ...]) -> None:
    before = sorted(folder.iterdir())
    assert derive(*words) == 2
    assert sorted(folder.iterdir()) == before
