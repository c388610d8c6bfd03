"""``neuropack evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from neuropack.cli import main
from neuropack.convert import convert
from neuropack.readers import open_volume
from neuropack.table import read_tsv

SIZE = (1.0, 0.5, 0.5)
TRACE = "1 1 0.5 0.25 0.5 1 -1\n2 3 9 0.25 0.5 1 1\n3 3 15 4 0.5 1 2\n4 3 15 0.25 0.5 1 2\n"
SHORT = "1 1 0.5 0.25 0.5 1 -1\n2 3 9 0.25 0.5 1 1\n3 3 15 4 0.5 1 2\n"


def tiff(path: Path, labels: np.ndarray, size: tuple[float, float, float] = SIZE) -> Path:
    z, y, x = size
    about = {"axes": "ZYX", "PhysicalSizeZ": z, "PhysicalSizeY": y, "PhysicalSizeX": x}
    tifffile.imwrite(path, labels, metadata=about, ome=True)
    return path


@pytest.fixture
def labels() -> np.ndarray:
    made = np.zeros((3, 12, 40), np.uint8)
    made[1, 2, 2:30], made[1, 8, 2:30] = 1, 2
    return made


@pytest.fixture
def folder(tmp_path: Path, labels: np.ndarray) -> Path:
    tiff(tmp_path / "truth.ome.tif", labels)
    found = labels.copy()
    found[1, 8, 14:17], found[1, 8, 17:] = 0, found[1, 8, 17:] // 2 * 3
    tiff(tmp_path / "found.ome.tif", found)
    np.save(tmp_path / "found.npy", found)
    tiff(tmp_path / "mask.ome.tif", (labels > 0).astype(np.uint8) * 255)
    tiff(tmp_path / "none.ome.tif", labels * 0)
    with open_volume(tmp_path / "found.ome.tif") as volume:
        convert(volume, [tmp_path / "found.ome.zarr"], labels=True)
    for name, text in (("truth", TRACE), ("short", SHORT)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "n1.swc").write_text(text, encoding="utf-8")
    header = "box_id,z0,y0,x0,z1,y1,x1,annotator,provenance,confidence\n"
    rows = ["a,0,0,0,4,4,4,me,manual,0.9\n", "b,0,0,9,4,4,13,me,manual,0.4\n"]
    (tmp_path / "boxes.csv").write_text(header + "".join(rows), encoding="utf-8")
    (tmp_path / "few.csv").write_text(header + rows[0], encoding="utf-8")
    (tmp_path / "no.csv").write_text(header, encoding="utf-8")
    for name, classes in (("classes", "aabb"), ("wrong", "abbb")):
        lines = "".join(f"neuron,n{i},{one}\n" for i, one in enumerate(classes))
        (tmp_path / f"{name}.csv").write_text(f"object_kind,object_id,class\n{lines}", encoding="utf-8")
    (tmp_path / "points.csv").write_text("point_id,x_um,y_um,z_um\np,1,1,1\n", encoding="utf-8")
    (tmp_path / "near.csv").write_text("point_id,x_um,y_um,z_um\np,1,4,1\n", encoding="utf-8")
    return tmp_path


def scored(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main(["evaluate", *map(str, words), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    told["values"] = {name: one["value"] for name, one in told["scores"].items()}
    return told


@pytest.mark.parametrize("name", ["found.ome.tif", "found.ome.zarr"])
def test_label_images(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    pytest.importorskip("skimage")
    told = scored(capsys, folder / name, folder / "truth.ome.tif")
    assert told["kind"] == "labels" and told["counts"] == {"true_objects": 2, "objects_found": 3}
    found = told["values"]
    assert found["precision"] == 1 and found["recall"] == pytest.approx(53 / 56, abs=1e-6)
    assert found["prevalence"] == pytest.approx(56 / (3 * 12 * 40), abs=1e-6)
    assert found["pq"] == pytest.approx(2 / 5, abs=1e-6)  # the larger piece is less than half of its line
    assert found["coverage"] == pytest.approx((1 + 25 / 28) / 2, abs=1e-6)
    assert {"cldice", "voi_split", "rand_error", "average_f1", "av_f1", "fisbe_s"} <= found.keys()
    assert told["scores"]["recall"] == {"value": found["recall"], "n": 56, "note": None}


def test_masks_have_no_scores_of_objects(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = scored(capsys, folder / "mask.ome.tif", tiff(folder / "copy.ome.tif", np.ones((3, 12, 40), np.uint8)))
    assert told["kind"] == "masks" and "pq" not in told["values"] and "cldice" in told["values"]
    told = scored(capsys, folder / "mask.ome.tif", folder / "truth.ome.tif", "--no-centrelines")
    assert "cldice" not in told["values"] and told["values"]["f1"] == 1
    assert any("single label" in note for note in told["notes"])


def test_an_empty_image_is_no_failure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = scored(capsys, folder / "none.ome.tif", folder / "truth.ome.tif")
    assert (told["values"]["recall"], told["values"]["precision"], told["values"]["cldice"]) == (0, None, None)
    assert "no centreline" in told["scores"]["cldice"]["note"]
    copy = tiff(folder / "copy.ome.tif", np.zeros((3, 12, 40), np.uint8))
    told = scored(capsys, folder / "none.ome.tif", copy)
    assert told["values"]["iou"] is None and told["values"]["accuracy"] == 1


def test_axes_and_voxel_size_of_an_array(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (folder / "found.npy", folder / "truth.ome.tif", "--axes", "ZYX")
    assert scored(capsys, *words, "--no-centrelines")["values"]["precision"] == 1
    words = (folder / "found.npy", folder / "truth", "--axes", "ZYX", "--voxel-size", "1,0.5,0.5")
    assert scored(capsys, *words)["kind"] == "run length"


def test_traces(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = scored(capsys, folder / "short", folder / "truth", "--tolerance", "0.5")
    assert told["kind"] == "skeletons" and told["tolerance_um"] == 0.5
    assert told["values"]["length_precision"] == 1 and 0.6 < told["values"]["length_recall"] < 0.9
    assert told["values"]["diadem_like"] == 0.75  # the fork weighs 2, its tips 1 each; one is missing
    assert told["counts"]["missing"] == 1
    told = scored(capsys, folder / "truth/n1.swc", folder / "truth")
    assert {told["values"][name] for name in ("length_f1", "erl_fraction", "diadem_like")} == {1}


def test_a_folder_in_which_a_tracer_left_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "nothing").mkdir()
    told = scored(capsys, folder / "nothing", folder / "truth")
    assert (told["values"]["length_recall"], told["values"]["length_f1"], told["values"]["erl_um"]) == (0, 0, 0)
    assert told["values"]["length_precision"] is None


def test_several_neurons_have_a_row_each(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    far = TRACE.replace(" 0.25 ", " 60.25 ").replace(" 4 ", " 64 ")
    (folder / "truth/n2.swc").write_text(far, encoding="utf-8")
    (folder / "short/n1.swc").rename(folder / "short/first.swc")
    told = scored(capsys, folder / "short", folder / "truth")
    assert told["objects"].keys() == {"n1 (first)", "n2"}
    assert told["objects"]["n2"]["diadem_like"]["value"] == 0
    assert told["values"]["diadem_like"] == pytest.approx(3 / 8)
    assert told["counts"]["unfound"] == 1


def test_run_length_of_labels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.zeros((2, 12, 40), np.uint8)
    labels[0, 0, :18] = 4  # the stem, to 9 um
    image = tiff(folder / "stem.ome.tif", labels)
    told = scored(capsys, image, folder / "truth")
    assert told["values"]["erl_omitted"] == pytest.approx(1 - 8.5 / 21.576, abs=0.04)
    assert told["notes"] == []
    (folder / "truth/n1.swc").write_text(TRACE.replace("15 4 0.5", "15 4 9"), encoding="utf-8")
    assert "outside of the image" in scored(capsys, image, folder / "truth")["notes"][0]


def test_tables(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boxes = scored(capsys, folder / "few.csv", folder / "boxes.csv")["values"]
    assert (boxes["ap_50"], boxes["box_precision"], boxes["box_recall"]) == (0.5, 1, 0.5)
    assert scored(capsys, folder / "no.csv", folder / "boxes.csv")["values"]["box_recall"] == 0
    points = (folder / "near.csv", folder / "points.csv")
    assert scored(capsys, *points)["values"]["point_f1"] == 0
    assert scored(capsys, *points, "--tolerance", "3.1")["values"]["point_f1"] == 1
    classes = scored(capsys, folder / "wrong.csv", folder / "classes.csv")
    assert classes["values"]["accuracy"] == 0.75 and classes["objects"]["a"]["recall"]["value"] == 0.5


def test_a_table_is_written_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "scores.tsv"
    command = ["evaluate", *(str(folder / name) for name in ("wrong.csv", "classes.csv")), "--out", str(out)]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "accuracy 0.75" in told and "a: precision 1, recall 0.5" in told
    rows = read_tsv(out)
    assert {"classes"} == {row["kind"] for row in rows} and {"n/a", "a", "b"} == {row["object"] for row in rows}
    assert main(command) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("truth", "truth"), 2, "is the truth itself"),
        (("truth", "truth.ome.tif"), 2, "cannot be compared with the truth"),
        (("found.ome.tif", "boxes.csv"), 2, "cannot be compared with the truth"),
        (("boxes.csv", "points.csv"), 2, "is of another kind than the truth"),
        (("short", "truth", "--tolerance", "0"), 2, "is no length"),
        (("short", "truth", "--tolerance", "nan"), 2, "is no length"),
        (("short", "truth", "--tolerance", "1e-6"), 2, "too much cable"),
        (("short", "truth", "--out", "scores.dat"), 2, "does not name a table"),
        (("channels.ome.tif", "truth.ome.tif"), 2, "is no single label image"),
        (("short", "truth", "--voxel-size", "1,1"), 2, "does not name a voxel size"),
        (("found.npy", "truth.ome.tif"), 2, "--axes"),
        (("found.npy", "truth", "--axes", "ZYX"), 2, "--voxel-size"),
        (("no.ome.tif", "truth.ome.tif"), 3, "no.ome.tif: cannot be read"),
        (("found.ome.tif", "no.ome.tif"), 3, "no.ome.tif: cannot be read"),
        (("small.ome.tif", "truth.ome.tif"), 3, "not the same shape"),
        (("coarse.ome.tif", "truth.ome.tif"), 3, "not the same voxel size"),
        (("real.ome.tif", "truth.ome.tif"), 3, "labels are whole numbers"),
        (("below.ome.tif", "truth.ome.tif"), 3, "a label that is negative"),
        (("atlas", "truth"), 3, "lies in another frame than the truth"),
        (("found.ome.tif", "atlas"), 3, "does not lie in the frame of the image"),
        (("twice.csv", "classes.csv"), 3, "an object has two classes"),
    ],
)
def test_what_cannot_be_scored(
    folder: Path,
    labels: np.ndarray,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    status: int,
    message: str,
) -> None:
    tiff(folder / "small.ome.tif", labels[:2])
    tiff(folder / "coarse.ome.tif", labels, (1.0, 1.0, 1.0))
    tiff(folder / "real.ome.tif", labels.astype(np.float32))
    tiff(folder / "below.ome.tif", labels.astype(np.int16) - 1)
    two = {"axes": "CZYX"}
    tifffile.imwrite(folder / "channels.ome.tif", np.stack([labels, labels]), metadata=two, ome=True)
    (folder / "atlas").mkdir()
    head = "# frame: AllenCCFv3; unit: micrometer\n"
    (folder / "atlas/n1.swc").write_text(head + TRACE, encoding="utf-8")
    twice = "object_kind,object_id,class\nneuron,n0,a\nneuron,n0,b\n"
    (folder / "twice.csv").write_text(twice, encoding="utf-8")
    files = [str(folder / word) if word[0].isalpha() and word not in ("ZYX", "nan") else word for word in words]
    assert main(["evaluate", *files]) == status
    told = capsys.readouterr()
    assert message in told.err and not told.out
