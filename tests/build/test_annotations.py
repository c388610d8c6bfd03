"""Annotations of a study in its release: boxes, points, classes, arrays, other annotators, and what is derived."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from test_build import edit
from tiny_study import FIRST, STUDY, write_study

import neuropack
from neuropack.annotations.nwb import read_nwb_annotations
from neuropack.annotations.precomputed import read_precomputed_skeletons
from neuropack.build import annotations as of_a_build
from neuropack.build import build
from neuropack.build.derivatives import typed
from neuropack.errors import InputError
from neuropack.rules import check
from neuropack.study import StudyError
from neuropack.swc import read_swc
from neuropack.table import read_tsv

NAME = FIRST.removesuffix("_CONF")
FOLDER = "sub-M01/ses-01/micr"
MARKS = f"derivatives/segmentation/{FOLDER}/{NAME}_desc-neurons"
SWC = f"derivatives/morphology/{FOLDER}/{NAME}_desc"
MORE = """\
            boxes: {files: annotations/boxes.csv, unit: voxel, ends: inclusive}
            points: {files: annotations/points.csv, unit: voxel, order: zyx, origin: centre, annotator: Jane Doe}
            classes: annotations/classes.csv
            derive: [colors]
            other_annotators:
              - {annotator: Jane Doe, provenance: manual, skeletons: second/*.swc, labels: second/labels.tif,
                 classes: second/classes.csv}
"""
AT = "            labels: annotations/labels.tif\n"


def write_annotated(folder: Path) -> Path:
    """The tiny study with every kind of annotation."""
    study = write_study(folder, STUDY.replace(AT, AT + MORE).replace("[annotations/*.swc]", SKELETONS))
    marks, second = study / "annotations", study / "second"
    second.mkdir()
    (marks / "boxes.csv").write_text("name,z_min,y_min,x_min,z_max,y_max,x_max,neuron\na,1,2,4,2,8,19,n1\n")
    (marks / "points.csv").write_text("z,y,x,class,confidence\n1,2,3,spine,0.25\n4,39,47,bouton,\n")
    (marks / "classes.csv").write_text("object_kind,object_id,class\nneuron,n1,pyramidal\nlabel,7,pyramidal\n")
    (second / "classes.csv").write_text("object_kind,object_id,class\nneuron,n1,pyramidal\nlabel,7,basket\n")
    np.save(marks / "path.npy", np.array([[1.0, 2, 3, 0.5], [1, 4, 3, 0.5], [2, 6, 9, 0.25]]))
    (second / "n1.swc").write_text("1 1 1 2 3 1 -1\n2 2 4 6.5 3 1 1\n", encoding="utf-8")
    labels = tifffile.imread(marks / "labels.tif")
    labels[1:3, 2:4] = 0
    tifffile.imwrite(second / "labels.tif", labels)
    return study


SKELETONS = (
    "[annotations/*.swc, {files: annotations/path.npy, unit: voxel, origin: centre,"
    " columns: [z, y, x, radius], path: true}]"
)


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("annotated")
    study = write_annotated(folder / "study")
    build(study, folder / "release")
    return study, folder / "release"


@pytest.fixture
def opened(annotated: tuple[Path, Path]) -> Iterator[Any]:
    with neuropack.open_release(annotated[1]) as release:
        yield release.stacks[FIRST]


def document(release: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((release / "metadata/neuropack.json").read_text(encoding="utf-8"))
    return found


def test_boxes_are_half_open_and_know_their_neuron(opened: Any) -> None:
    (row,) = opened.boxes.to_pylist()
    assert [row[c] for c in ("z0", "y0", "x0", "z1", "y1", "x1")] == [1, 2, 4, 3, 9, 20]
    assert (row["neuron_id"], row["annotator"]) == (f"{NAME}_desc-n1", "Josiah Carberry")


def test_points_are_micrometre_from_the_corner(opened: Any) -> None:
    first, second = opened.points.to_pylist()
    assert [first[c] for c in ("x_um", "y_um", "z_um")] == [1.75, 1.25, 3.0]  # voxels of 0.5, 0.5, 2
    assert (first["annotator"], first["confidence"], second["confidence"]) == ("Jane Doe", 0.25, None)


def test_classes_name_neurons_as_the_release_does(opened: Any) -> None:
    assert [(r["object_kind"], r["object_id"], r["class"]) for r in opened.classes.to_pylist()] == [
        ("neuron", f"{NAME}_desc-n1", "pyramidal"),
        ("label", "7", "pyramidal"),
    ]


def test_skeletons_come_as_they_are_and_arrays_exactly(annotated: tuple[Path, Path]) -> None:
    study, release = annotated
    copied = (release / f"{SWC}-n2.swc").read_bytes()
    assert copied == (study / "annotations" / "n2.swc").read_bytes() and b"# no soma" in copied
    made = read_swc(release / f"{SWC}-path.swc")
    assert made.xyz.tolist() == [[1.75, 1.25, 3.0], [1.75, 2.25, 3.0], [4.75, 3.25, 5.0]]
    assert made.radius.tolist() == [0.25, 0.25, 0.125]
    assert made.parent.tolist() == [-1, *made.id.tolist()[:-1]]


def test_the_nwb_file_has_all_of_it_exactly(annotated: tuple[Path, Path], opened: Any) -> None:
    found = read_nwb_annotations(opened.nwb)
    for kind in ("boxes", "points", "classes"):
        assert getattr(found, kind).equals(getattr(opened, kind)), kind
    with neuropack.open_release(annotated[1]) as release:
        assert set(found.skeletons) == set(release.neurons)
        for name, skeleton in release.neurons.items():
            for field in ("id", "type", "xyz", "radius", "parent"):
                assert np.array_equal(getattr(found.skeletons[name], field), getattr(skeleton, field))
    labels = np.asarray(opened.labels)[0]
    assert np.array_equal(found.masks.read(tuple(slice(0, n) for n in labels.shape)), labels)


def test_viewers_get_the_skeletons(annotated: tuple[Path, Path]) -> None:
    found = read_precomputed_skeletons(annotated[1] / f"{SWC}-neurons_skeletons")
    assert sorted(len(one) for one in found.values()) == [2, 2, 3]


def test_the_table_of_neurons_is_there_with_types(annotated: tuple[Path, Path]) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(annotated[1] / "derivatives/morphology/neurons.parquet")
    rows = read_tsv(annotated[1] / "derivatives/morphology/neurons.tsv")
    assert table.column("neuron_id").to_pylist() == [row["neuron_id"] for row in rows]
    assert table.column("label").to_pylist() == [7, None, None]
    assert table.column("length_um").to_pylist() == [float(row["length_um"]) for row in rows]
    assert {row["annotator"] for row in rows} == {"Josiah Carberry"}


def test_what_is_derived_says_from_what(annotated: tuple[Path, Path]) -> None:
    full = document(annotated[1])
    objects = read_tsv(annotated[1] / f"{MARKS}_objects.tsv")
    assert [(r["label"], r["n_voxels"], r["neuron_id"]) for r in objects] == [
        ("7", "224", f"{NAME}_desc-n1"),
        ("9", "180", "n/a"),
    ]
    made = {out["path"]: r for r in full["processings"] for out in r["outputs"]}
    assert [i["path"] for i in made[f"{MARKS}_objects.tsv"]["inputs"]] == [f"{MARKS}_CONF.ome.zarr"]
    neuron = next(n for n in full["neurons"] if n["id"] == f"{NAME}_desc-n1")
    assert len(neuron["color_vector"]) == 2 and max(neuron["color_vector"]) <= 1


def test_viewers_get_the_names_of_labels(annotated: tuple[Path, Path]) -> None:
    node = json.loads((annotated[1] / f"{MARKS}_CONF.ome.zarr/zarr.json").read_text(encoding="utf-8"))
    found = node["attributes"]["ome"]["image-label"]
    assert found["properties"] == [
        {"label-value": 7, "name": "the seventh", "neuron": f"{NAME}_desc-n1"},
        {"label-value": 9, "name": "neuron 9"},
    ]
    assert [one["label-value"] for one in found["colors"]] == [7, 9]


def test_annotators_are_compared(annotated: tuple[Path, Path]) -> None:
    full = document(annotated[1])
    records = {r["id"]: r for r in full["annotations"]}
    traced = records[f"{NAME}_desc-n1-skeleton"]
    assert traced["agreement_annotators"] == ["Josiah Carberry", "Jane Doe"]
    assert 0.9 < traced["agreement"] <= 1 and "2 um" in traced["agreement_measure"]
    assert "agreement" not in records[f"{NAME}_desc-n2-skeleton"]
    rows = read_tsv(annotated[1] / f"{MARKS}_agreement.tsv")
    found = {(r["kind"], r["object"], r["measure"]): r["value"] for r in rows}
    assert float(found["labels", "7", "iou"]) == pytest.approx(160 / 224, abs=1e-6)
    other = records[f"{NAME}_desc-n1byJaneDoe-skeleton"]
    assert other["annotator"] == "Jane Doe" and (annotated[1] / other["path"]).is_file()


def test_the_release_is_clean(annotated: tuple[Path, Path]) -> None:
    report = check(annotated[1])
    assert report.clean, [str(i) for i in report.issues if i.level == "error"]


def test_a_second_build_derives_nothing(annotated: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    study, release = annotated
    before = {p: p.read_bytes() for p in release.rglob("*") if p.is_file()}

    def no(*_: object) -> None:
        raise AssertionError("the labels were read again")

    monkeypatch.setattr(of_a_build, "opened_labels", no)
    result = build(study, release)
    assert set(result.stacks.values()) == {"up to date"}
    assert {p: p.read_bytes() for p in release.rglob("*") if p.is_file()} == before


def test_other_labels_are_derived_from_anew(tmp_path: Path) -> None:
    study = write_annotated(tmp_path / "study")
    release = tmp_path / "release"
    build(study, release)
    labels = tifffile.imread(study / "annotations" / "labels.tif")
    labels[0, 0, 0] = 9
    tifffile.imwrite(study / "annotations" / "labels.tif", labels)
    build(study, release)
    assert read_tsv(release / f"{MARKS}_objects.tsv")[1]["n_voxels"] == "181"
    edit(study, "neuron: n1}", "neuron: n2}")
    build(study, release)
    assert read_tsv(release / f"{MARKS}_objects.tsv")[0]["neuron_id"] == f"{NAME}_desc-n2"
    assert check(release).clean


def test_an_annotator_who_has_another_name_now_has_it_everywhere(tmp_path: Path) -> None:
    study = write_annotated(tmp_path / "study")
    release = tmp_path / "release"
    build(study, release)
    edit(study, "Josiah Carberry", "Josiah S. Carberry")
    build(study, release)
    rows = read_tsv(release / f"{MARKS}_agreement.tsv")
    assert {row["annotator_a"] for row in rows} == {"Josiah S. Carberry"}
    assert {row["kind"] for row in rows} == {"skeletons", "labels", "classes"}
    (made,) = [p for p in document(release)["processings"] if p["id"].endswith("-agreement")]
    assert made["activity"] == "evaluation"
    assert [i["path"] for i in made["inputs"]] == [f"{MARKS}_CONF.ome.zarr", "JaneDoe/labels.tif"]


def test_annotators_who_share_no_object_are_compared_in_an_empty_table(tmp_path: Path) -> None:
    others = "            other_annotators: [{annotator: B, provenance: manual, skeletons: second/m.swc}]\n"
    study = write_study(tmp_path / "study", STUDY.replace(AT, AT + others))
    (study / "second").mkdir()
    (study / "second" / "m.swc").write_text("1 1 1 2 3 1 -1\n2 2 4 6.5 3 1 1\n", encoding="utf-8")
    release = tmp_path / "release"
    build(study, release)
    assert read_tsv(release / f"{MARKS}_agreement.tsv") == []
    assert check(release).clean


def test_a_file_that_is_not_copied_keeps_its_comments_once(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    edit(study, "skeletons: [annotations/*.swc]", "skeletons: [{files: annotations/*.swc, origin: corner}]")
    build(study, tmp_path / "release")
    text = (tmp_path / "release" / f"{SWC}-n2.swc").read_text(encoding="utf-8")
    assert text.count("no soma") == 1 and text.count("from n2.swc") == 1


def test_what_the_study_no_longer_has_goes(tmp_path: Path) -> None:
    study = write_annotated(tmp_path / "study")
    release = tmp_path / "release"
    build(study, release)
    edit(study, MORE, "")
    build(study, release, prune=True)
    assert sorted(p.name for p in (release / MARKS).parent.glob("*.tsv")) == [f"{NAME}_desc-neurons_objects.tsv"]
    assert not (release / f"{SWC}-n1byJaneDoe.swc").exists()
    assert check(release).clean


WRONG = [
    ("annotations/points.csv", "z,y,x\n1,2,nan\n", "line 2"),
    ("annotations/boxes.csv", "name,z_min,y_min,x_min,z_max,y_max,x_max\na,2,2,4,1,8,19\n", "line 2"),
    (
        "annotations/boxes.csv",
        "z_min,y_min,x_min,z_max,y_max,x_max,neuron\n1,2,4,2,8,19,paht\n",
        "did you mean 'path'",
    ),
    ("annotations/classes.csv", "object_kind,object_id,class\nneuron,nobody,x\n", "no skeleton of the stack has"),
    ("annotations/path.npy", b"\x93NUMPY\x01\x00", "path.npy"),
    ("second/labels.tif", None, "does not fit the stack"),
]


@pytest.mark.parametrize(("name", "content", "message"), WRONG)
def test_a_broken_file_is_told_with_the_line_of_the_study(
    tmp_path: Path, name: str, content: str | bytes | None, message: str
) -> None:
    study = write_annotated(tmp_path / "study")
    if content is None:
        tifffile.imwrite(study / name, np.zeros((5, 40, 47), np.uint16), metadata={"axes": "ZYX"})
    else:
        (study / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(StudyError) as caught:
        build(study, tmp_path / "release")
    told = str(caught.value)
    assert message in told and Path(name).name in told and "study.yaml:" in told
    assert not (tmp_path / "release").exists()


def test_traces_beside_the_stack_are_told(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    voxels = "1 1 40 30 4 1 -1\n2 2 47 39 4 1 1\n"  # x and y reach 24 and 20 um
    (study / "annotations" / "n1.swc").write_text(voxels, encoding="utf-8")
    notes = build(study, tmp_path / "release").notes[FIRST]
    assert any("n1.swc" in note and "voxel" in note for note in notes)


def test_areas_of_imagej_keep_their_overlaps(tmp_path: Path) -> None:
    """The label image can show one of them at a voxel; the masks in the NWB file hold both."""
    import roifile

    study = write_study(tmp_path / "study", STUDY.replace("labels: annotations/labels.tif", "labels: a/rois.zip"))
    edit(study, "value: 7, name: the seventh", "value: 1, name: the first")
    (study / "a").mkdir()
    for number, left in enumerate((4, 8)):
        corners = np.array([[left, 2], [left + 8, 2], [left + 8, 6], [left, 6]])
        roi = roifile.ImagejRoi.frompoints(corners, name=f"r{number}", z=2, position=2)  # counted from 0 here
        roi.tofile(study / "a" / "rois.zip")
    build(study, tmp_path / "release")
    with neuropack.open_release(tmp_path / "release") as release:
        one = release.stacks[FIRST]
        assert np.bincount(np.asarray(one.labels)[0, 2].ravel())[1:].tolist() == [32, 16]
        masks = read_nwb_annotations(one.nwb).masks
    assert [len(masks.of_object(label)) for label in (1, 2)] == [32, 32]
    assert [row["n_voxels"] for row in read_tsv(tmp_path / "release" / f"{MARKS}_objects.tsv")] == ["32", "32"]
    assert check(tmp_path / "release").clean


def test_a_row_of_neurons_has_its_types_back() -> None:
    row = {"neuron_id": "a", "label": "3", "length_um": "1.5", "confidence": "n/a", "annotator": "n/a"}
    assert typed(row) == {"neuron_id": "a", "label": 3, "length_um": 1.5, "confidence": None, "annotator": None}
    for column, text in (("label", "three"), ("n_nodes", "2.5"), ("length_um", "nan"), ("confidence", "much")):
        with pytest.raises(InputError, match="number") as caught:
            typed({"neuron_id": "a", column: text})
        assert caught.value.where == column
