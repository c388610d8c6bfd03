"""Stacks that are registered to the atlas: what a release says of them and of where their neurons lie."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tiny_study import FIRST, STUDY, write_study
from zarr import create_array

from neuropack.build import build, registration
from neuropack.manifest import files_below
from neuropack.readers import open_volume
from neuropack.release import open_release
from neuropack.rules import check
from neuropack.simulate.atlas import simulated_atlas
from neuropack.space.annotation import Annotation
from neuropack.space.atlas import Atlas, Version, open_atlas
from neuropack.space.atlas_files import annotation_bytes, structures_text
from neuropack.space.fields import DisplacementField
from neuropack.space.formats.registration import read_registration, write_registration
from neuropack.space.grids import Grid
from neuropack.space.structure_files import read_structures
from neuropack.space.transforms import Affine, Transform
from neuropack.study import StudyError, load_study
from neuropack.swc import read_swc
from neuropack.table import read_tsv

ATLAS = """\
atlas: {annotation: atlas/annotation.nrrd, structures: atlas/structures.json, version: simulated, share: true}
subjects:
"""
BY_LANDMARKS = "            registration: {landmarks: landmarks.csv}\n"
BY_TRANSFORM = "            registration: {transform: place.json, qc_status: limited}\n"
AT = "            labels: annotations/labels.tif\n"
TEXT = STUDY.replace("subjects:\n", ATLAS, 1)
MICR = "sub-M01/ses-01/micr"
IN_CCF = "sub-M01_ses-01_sample-LH_acq-25x_space-AllenCCFv3_chunk-01_desc-registered_CONF"
XFM = f"derivatives/registration/{MICR}/{FIRST}_from-stack_to-AllenCCFv3_mode-points_xfm.json"
SWC = f"derivatives/morphology/{MICR}/sub-M01_ses-01_sample-LH_acq-25x_space-AllenCCFv3_chunk-01_desc-n1.swc"
# x, y, z to LR, AP, DV; 30 times larger, so that a stack of 24 um reaches across regions
PLACE = Affine("stack", "AllenCCFv3", np.array([[0, 30, 0, 5000], [0, 0, 30, 1500], [30, 0, 0, 3300.0]]))


@pytest.fixture(scope="module")
def atlas_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("atlas")
    made = simulated_atlas(100.0)
    (folder / "annotation.nrrd").write_bytes(annotation_bytes(made.labels))
    (folder / "structures.json").write_text(json.dumps(made.structures), encoding="utf-8")
    return folder


def study_of(folder: Path, atlas: Path, how: str = BY_LANDMARKS, text: str = TEXT) -> Path:
    study = write_study(folder / "study", text.replace(AT, how + AT, 1))
    (study / "atlas").symlink_to(atlas)
    write_landmarks(study, PLACE)
    write_registration(study / "place.json", PLACE, {"stack": "xyz"})
    return study


def write_landmarks(study: Path, transform: Transform, count: int = 8) -> None:
    points = np.random.default_rng(0).uniform(0, 20, (count, 3))
    with (study / "landmarks.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "x", "y", "z", "fixed_x", "fixed_y", "fixed_z"])
        writer.writerows([i, *a, *b] for i, (a, b) in enumerate(zip(points, transform(points), strict=True)))


def document(release: Path) -> Any:
    return json.loads((release / "metadata" / "neuropack.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, atlas_folder: Path) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("registered")
    study = study_of(root, atlas_folder)
    build(study, root / "release")
    return study, root / "release"


def test_the_release_is_clean(registered: tuple[Path, Path]) -> None:
    report = check(registered[1])
    assert [issue.rule for issue in report.issues if issue.level == "error"] == []


def test_the_transform_and_its_landmarks(registered: tuple[Path, Path]) -> None:
    release = registered[1]
    transform = read_registration(release / XFM)
    points = np.random.default_rng(1).uniform(0, 20, (50, 3))
    assert np.abs(transform(points) - PLACE(points)).max() < 1e-6
    rows = read_tsv(release / f"derivatives/registration/{MICR}/{FIRST}_landmarks.tsv")
    assert len(rows) == 8 and all(float(row["residual_um"]) < 0.001 for row in rows)
    (quality,) = read_tsv(release / "derivatives/registration/quality.tsv")
    assert (quality["image_stack"], quality["n_landmarks"], quality["qc_status"]) == (FIRST, "8", "not_assessed")
    (record,) = document(release)["registrations"]
    assert record["transforms"][0]["path"] == XFM
    assert record["transforms"][0]["type"] == "affine"
    assert (record["annotation_version"], record["n_landmarks"]) == ("simulated", 8)


def test_the_skeleton_in_the_ccf_is_the_mapped_one(registered: tuple[Path, Path]) -> None:
    study, release = registered
    there = read_swc(release / SWC, frame="AllenCCFv3")
    assert np.abs(there.xyz - PLACE(read_swc(study / "annotations" / "n1.swc").xyz)).max() <= 0.0005 + 1e-9
    assert there.radius.tolist() == [30.0, 30.0]


def test_a_neuron_has_its_region_and_its_lengths(registered: tuple[Path, Path], atlas_folder: Path) -> None:
    release = registered[1]
    atlas = open_atlas(atlas_folder / "annotation.nrrd", version="simulated")
    soma = PLACE([1.0, 2.0, 3.0])
    (expected,) = atlas.annotation.lookup(soma[None])
    first, second = document(release)["neurons"]
    assert [first[f"soma_{a}"] for a in "xyz"] == pytest.approx(soma, abs=0.001)
    assert (first["soma_space"], first["region_id"], first["hemisphere"]) == ("AllenCCFv3", expected, "left")
    assert second["region_absent_reason"] == "the skeleton has no node of type soma"
    rows = read_tsv(release / "derivatives/morphology/neurons.tsv")
    axon = float(np.linalg.norm([3, 4, 0])) * 30
    assert float(rows[0]["axon_length_um"]) == pytest.approx(axon, abs=0.001)
    assert (rows[0]["dendrite_length_um"], float(rows[1]["dendrite_length_um"])) == ("0.0", 60.0)
    assert (rows[0]["soma_region_id"], rows[0]["soma_hemisphere"]) == (str(expected), "left")
    assert float(rows[0]["soma_border_um"]) > 0
    assert rows[1]["soma_ap_um"] == rows[1]["soma_region"] == "n/a"
    lengths = read_tsv(release / "derivatives/morphology/regions.tsv")
    names = {row["neuron_id"] for row in lengths}
    for neuron, length in zip(sorted(names), (axon, 60.0), strict=True):
        mine = [row for row in lengths if row["neuron_id"] == neuron]
        assert sum(float(row["length_um"]) for row in mine) == pytest.approx(length, abs=0.01)
        assert {row["hemisphere"] for row in mine} == {"left"}


def test_the_nwb_file_says_where_the_somata_lie(registered: tuple[Path, Path]) -> None:
    with h5py.File(registered[1] / f"derivatives/nwb/{MICR}/{FIRST}.nwb") as file:
        table = file["general/localization/somata_ccf"]
        assert [float(table[a][0]) for a in "xyz"] == pytest.approx(PLACE([1.0, 2.0, 3.0]), abs=0.001)
        assert len(table["x"]) == 1  # the other neuron has no soma
        assert table["localized_entity"][0] == 0
        assert table["brain_region"][0].decode().startswith("sim")
        assert "8 landmarks" in table.attrs["method"]
        assert table["space"].attrs["neurodata_type"] == "AllenCCFv3Space"
        assert len(file["processing/ophys/neurons/neuron_id"]) == 2


def test_python_reads_what_is_registered(registered: tuple[Path, Path]) -> None:
    release = open_release(registered[1])
    (neuron, _), transform = release.neurons_ccf, release.transforms[FIRST]
    assert list(release.transforms) == [FIRST]
    there, here = release.neurons_ccf[neuron], release.neurons[neuron]
    assert (there.frame, here.frame) == ("AllenCCFv3", "stack")
    assert np.abs(there.xyz - transform(here.xyz)).max() < 0.001
    assert release.tables["regions"][0]["neuron_id"] == neuron
    assert release.tables["quality"][0]["image_stack"] == FIRST


def test_a_stack_that_is_not_registered_has_no_coordinates_in_the_ccf(registered: tuple[Path, Path]) -> None:
    files = [name for name in files_below(registered[1]) if "chunk-02" in name]
    assert files and not [name for name in files if "registration" in name or "AllenCCFv3" in name]
    with h5py.File(next(registered[1].rglob("*chunk-02_CONF.nwb"))) as file:
        assert "localization" not in file["general"]
        assert "ndx-anatomical-localization" not in file["specifications"]


def test_a_shared_atlas_lies_in_the_release(registered: tuple[Path, Path], atlas_folder: Path) -> None:
    copy = registered[1] / "derivatives" / "registration" / "atlas"
    mine, theirs = (open_atlas(f / "annotation.nrrd", version="simulated") for f in (copy, atlas_folder))
    assert np.array_equal(mine.annotation.labels, theirs.annotation.labels)
    assert list(mine.structures) == list(theirs.structures)
    assert structures_text(read_structures(copy / "structures.csv")) == structures_text(theirs.structures)


def test_an_atlas_of_somebody_else_stays_out_of_the_release(tmp_path: Path, atlas_folder: Path) -> None:
    study = study_of(tmp_path, atlas_folder, text=TEXT.replace(", share: true", ""))
    build(study, tmp_path / "release")
    assert not (tmp_path / "release" / "derivatives" / "registration" / "atlas").exists()
    assert document(tmp_path / "release")["registrations"][0]["annotation_version"] == "simulated"


def test_without_an_annotation_the_regions_have_a_reason(
    tmp_path: Path, atlas_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROPACK_CACHE", str(tmp_path / "cache"))
    study = study_of(tmp_path, atlas_folder, text=STUDY)
    result = build(study, tmp_path / "release")
    full = document(tmp_path / "release")
    assert full["registrations"][0]["annotation_absent_reason"] == "no annotation of the atlas was at hand"
    assert full["neurons"][0]["region_absent_reason"] == "no annotation of the atlas was at hand"
    assert any("regions were not looked up" in note for note in result.notes[FIRST])
    assert not (tmp_path / "release" / "derivatives" / "morphology" / "regions.tsv").exists()
    assert check(tmp_path / "release").clean


def test_a_second_build_writes_nothing(registered: tuple[Path, Path]) -> None:
    study, release = registered
    before = {name: (release / name).stat().st_mtime_ns for name in files_below(release)}
    result = build(study, release)
    after = {name: (release / name).stat().st_mtime_ns for name in files_below(release)}
    assert set(result.stacks.values()) == {"up to date"}
    assert {name for name in before if before[name] != after[name]} <= {"manifest.tsv"}


def test_other_landmarks_change_what_hangs_on_them(tmp_path: Path, atlas_folder: Path) -> None:
    study = study_of(tmp_path, atlas_folder)
    build(study, tmp_path / "release")
    moved = Affine("stack", "AllenCCFv3", PLACE.matrix + [[0, 0, 0, 100.0]] * 3)
    write_landmarks(study, moved)
    build(study, tmp_path / "release")
    assert check(tmp_path / "release").clean
    soma = document(tmp_path / "release")["neurons"][0]
    assert [soma[f"soma_{a}"] for a in "xyz"] == pytest.approx(moved([1.0, 2.0, 3.0]), abs=0.001)
    with h5py.File(tmp_path / "release" / f"derivatives/nwb/{MICR}/{FIRST}.nwb") as file:
        assert float(file["general/localization/somata_ccf/x"][0]) == pytest.approx(soma["soma_x"])


def test_a_registration_that_is_taken_back_leaves_nothing(tmp_path: Path, atlas_folder: Path) -> None:
    study = study_of(tmp_path, atlas_folder)
    build(study, tmp_path / "release")
    (study / "study.yaml").write_text(STUDY, encoding="utf-8")
    build(study, tmp_path / "release", prune=True)
    names = [name for name in files_below(tmp_path / "release") if not name.startswith("metadata/catalogue/")]
    assert not [name for name in names if "registration" in name or "AllenCCFv3" in name or "regions" in name]
    assert check(tmp_path / "release").clean


def test_a_transform_that_somebody_made(tmp_path: Path, atlas_folder: Path) -> None:
    study = study_of(tmp_path, atlas_folder, BY_TRANSFORM)
    grid = Grid(np.zeros(3), np.full(3, 10.0))
    vectors = np.random.default_rng(0).normal(0, 1, (4, 4, 4, 3))
    field = DisplacementField("stack", "warped", vectors, grid)
    whole = field.then(Affine("warped", "AllenCCFv3", PLACE.matrix))
    write_registration(study / "place.json", whole, {"stack": "xyz", "warped": "xyz"})
    build(study, tmp_path / "release")
    release = tmp_path / "release"
    points = np.random.default_rng(1).uniform(0, 20, (50, 3))
    assert np.array_equal(read_registration(release / XFM)(points), whole(points))
    assert (release / XFM).with_name(Path(XFM).stem + "_field-1.npy").is_file()
    (record,) = document(release)["registrations"]
    assert (record["transforms"][0]["type"], record["qc_status"]) == ("sequence", "limited")
    assert "n_landmarks" not in record
    assert check(release).clean


def test_landmarks_beside_a_transform_test_it(tmp_path: Path, atlas_folder: Path) -> None:
    how = "            registration: {transform: place.json, landmarks: landmarks.csv}\n"
    study = study_of(tmp_path, atlas_folder, how)
    matrix = PLACE.matrix.copy()
    matrix[1, 3] += 7
    write_landmarks(study, Affine("stack", "AllenCCFv3", matrix))
    build(study, tmp_path / "release")
    (record,) = document(tmp_path / "release")["registrations"]
    assert record["landmark_error_um"] == pytest.approx(7.0)
    (quality,) = read_tsv(tmp_path / "release" / "derivatives/registration/quality.tsv")
    assert (quality["residual_median_um"], quality["leave_one_out_median_um"]) == ("7.000", "n/a")


def fails(study: Path) -> str:
    with pytest.raises(StudyError) as caught:
        build(study, study.parent / "release")
    assert not (study.parent / "release").exists()
    return str(caught.value)


def test_what_is_wrong_with_a_registration_is_told_before_any_pixel_moves(
    tmp_path: Path, atlas_folder: Path
) -> None:
    study = study_of(tmp_path, atlas_folder, BY_TRANSFORM)
    write_registration(study / "place.json", PLACE.inverse(), {"stack": "xyz"})
    message = fails(study)
    assert "place.json: maps between other frames" in message and "AllenCCFv3 to stack" in message
    (study / "place.json").write_text("{}", encoding="utf-8")
    assert "is no transform that neuropack reads" in fails(study)


def test_landmarks_of_bigwarp_count_from_the_centre_of_the_first_voxel(tmp_path: Path, atlas_folder: Path) -> None:
    how = (
        "            registration: {transform: bigwarp.csv, fixed_voxel_size_um: [25, 25, 25],"
        ' moving_frame: "xyz:um:centre"}\n'
    )
    study = study_of(tmp_path, atlas_folder, how)
    here = np.random.default_rng(0).uniform(0, 20, (8, 3))
    rows = [
        f'"p{i}","true",{",".join(map(repr, (*(a - (0.25, 0.25, 1)).tolist(), *(b - 12.5).tolist())))}'
        for i, (a, b) in enumerate(zip(here, PLACE(here), strict=True))
    ]
    (study / "bigwarp.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    build(study, tmp_path / "release")
    assert np.abs(read_registration(tmp_path / "release" / XFM)(here) - PLACE(here)).max() < 1e-6


def test_what_a_file_of_another_program_does_not_say_is_asked_for(tmp_path: Path, atlas_folder: Path) -> None:
    study = study_of(tmp_path, atlas_folder, BY_TRANSFORM)
    matrix = "\n".join(["Transform: AffineTransform_double_3_3", "Parameters: 1 0 0 0 1 0 0 0 1 0 0 0"])
    text = f"#Insight Transform File V1.0\n#Transform 0\n{matrix}\nFixedParameters: 0 0 0\n"
    (study / "place.json").write_text(text, encoding="utf-8")
    message = fails(study)
    assert "does not say how the" in message and "--" not in message and "_frame" in message


def test_too_few_landmarks(tmp_path: Path, atlas_folder: Path) -> None:
    study = study_of(tmp_path, atlas_folder)
    write_landmarks(study, PLACE, 3)
    message = fails(study)
    assert "landmarks.csv: too few landmarks for affine" in message and "found: 3" in message


def test_labels_that_the_tree_lacks(tmp_path: Path, atlas_folder: Path) -> None:
    study = study_of(tmp_path, atlas_folder)
    rows = json.loads((study / "atlas" / "structures.json").read_text(encoding="utf-8"))
    (study / "atlas").unlink()
    (study / "atlas").mkdir()
    (study / "atlas" / "annotation.nrrd").write_bytes((atlas_folder / "annotation.nrrd").read_bytes())
    kept = [row for row in rows if not 11 <= row["id"] <= 15]
    (study / "atlas" / "structures.json").write_text(json.dumps(kept), encoding="utf-8")
    assert "has labels that the tree of structures lacks" in fails(study)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("{kind: affine}", "neither a transform nor landmarks"),
        ("{landmarks: absent.csv}", "landmarks does not exist"),
        ("{landmarks: landmarks.csv, kind: afine}", "did you mean 'affine'"),
        ("{landmarks: landmarks.csv, qc_status: good}", "qc_status has another value"),
        ("{landmarks: landmarks.csv, image_um: none}", "image_um is no length"),
        ("{landmark: landmarks.csv}", "did you mean 'landmarks'"),
        ("{landmarks: landmarks.csv, fixed_frame: LPS}", "fixed_frame does not say how coordinates lie"),
        ("{landmarks: landmarks.csv, fixed_voxel_size_um: 25}", "fixed_voxel_size_um is three lengths"),
        ("landmarks.csv", "registration is a mapping"),
    ],
)
def test_what_a_study_may_say_of_a_registration(tmp_path: Path, atlas_folder: Path, how: str, told: str) -> None:
    study = study_of(tmp_path, atlas_folder, f"            registration: {how}\n")
    with pytest.raises(StudyError) as caught:
        load_study(study)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("annotation: atlas/annotation.nrrd", "annotation: nowhere.nrrd", "annotation does not exist"),
        ("share: true", "share: perhaps", "share is yes or no"),
        ("version: simulated", "verison: simulated", "did you mean 'version'"),
    ],
)
def test_what_a_study_may_say_of_its_atlas(
    tmp_path: Path, atlas_folder: Path, old: str, new: str, told: str
) -> None:
    study = study_of(tmp_path, atlas_folder, text=TEXT.replace(old, new))
    with pytest.raises(StudyError) as caught:
        load_study(study)
    assert told in str(caught.value)


def test_the_stack_itself_in_the_ccf(tmp_path: Path, atlas_folder: Path) -> None:
    how = "            registration: {landmarks: landmarks.csv, image_um: 100}\n"
    study = study_of(tmp_path, atlas_folder, how)
    release = tmp_path / "release"
    build(study, release)
    name = f"derivatives/registration/{MICR}/{IN_CCF}.ome.zarr"
    with open_volume(release / name) as image:
        corner = [float(v or 0) - 50 for v in image.origin_um]
        assert (image.frame, image.voxel_size_um, image.dtype) == ("AllenCCFv3", (100.0,) * 3, np.uint16)
        # 0.5 um voxels are 15 um in the CCF, planes of 2 um 60: the stack reaches from 3300 to 4020 along LR
        assert corner == pytest.approx([5000, 1500, 3300], abs=100)
        assert image.size_zyx[2] == pytest.approx(8, abs=1)
        middle = image[:, image.size_zyx[0] // 2, image.size_zyx[1] // 2, image.size_zyx[2] // 2]
    assert abs(float(middle.mean()) - 2000) < 700  # of noise from 0 to 4000
    sidecar = json.loads((release / name.replace(".ome.zarr", ".json")).read_text(encoding="utf-8"))
    assert "mouse_ccf" in sidecar["SpatialReference"]
    assert (sidecar["PixelSize"], sidecar["FirstVoxelCornerAPDVLR"]) == ([100.0] * 3, corner)
    assert sidecar["Manufacturer"] == "Zeiss"
    processings = {p["id"]: p for p in document(release)["processings"]}
    assert processings[f"{FIRST}-in-ccf"]["outputs"][0]["path"] == name
    report = check(release)
    assert [issue for issue in report.issues if issue.level == "error"] == []
    before = {name: (release / name).stat().st_mtime_ns for name in files_below(release)}
    build(study, release)
    after = {name: (release / name).stat().st_mtime_ns for name in files_below(release)}
    assert {name for name in before if before[name] != after[name]} <= {"manifest.tsv"}
    write_landmarks(study, Affine("stack", "AllenCCFv3", PLACE.matrix + [[0, 0, 0, 1000.0]] * 3))
    build(study, release)
    with open_volume(release / name) as image:
        assert [float(v or 0) - 50 for v in image.origin_um] == pytest.approx([6000, 2500, 4300], abs=100)
    assert check(release).clean


def test_the_atlas_may_be_one_of_brainglobe_in_a_folder(
    tmp_path: Path, atlas_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since release 3 its labels are no file, and still have a digest."""
    zarr = tmp_path / "atlas" / "labels.zarr"
    labels = open_atlas(atlas_folder / "annotation.nrrd", version="simulated").annotation.labels
    create_array(zarr, shape=labels.shape, chunks=(66, 40, 57), dtype=labels.dtype)[...] = labels
    used = replace(load_study(study_of(tmp_path, atlas_folder)), atlas=None)
    opened = Atlas(
        Annotation(labels, zarr), read_structures(atlas_folder / "structures.json"), Version("3", "user")
    )
    monkeypatch.setattr(registration, "open_atlas", lambda *_, **__: opened)
    monkeypatch.setattr(registration, "cache_folder", lambda: tmp_path)
    found = registration.used_atlas(used)
    assert found is not None and len(found.digest) == 64 and not found.copy
