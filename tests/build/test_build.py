"""A whole build: what lies in the release, and what a second build does."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_study import FIRST, SECOND, STUDY, THIRD, pixels, write_study

from neuropack import schema
from neuropack.build import MARKER, build, stacks
from neuropack.catalogue.files import FILES as CATALOGUE
from neuropack.errors import UsageError
from neuropack.manifest import files_below, read_manifest, sha256_of, write_manifest
from neuropack.readers import open_volume
from neuropack.table import read_tsv

Built = tuple[Path, Path]
MICR = "sub-M01/ses-01/micr"
AT_ROOT = ["dataset_description.json", "README.md", "participants.tsv", "participants.json"]
AT_ROOT += ["samples.tsv", "samples.json", ".bidsignore"]


# What is known of a release of another size, where its first three digits are others.
TELL_THE_SIZE = {"README.md", "metadata/manual.md", "metadata/datasheet.md", "metadata/datacite.json"}


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def edit(study: Path, old: str, new: str) -> None:
    text = (study / "study.yaml").read_text(encoding="utf-8")
    assert old in text
    (study / "study.yaml").write_text(text.replace(old, new), encoding="utf-8")


def times(root: Path) -> dict[str, int]:
    return {name: (root / name).stat().st_mtime_ns for name in files_below(root)}


def test_the_folders_are_those_of_bids(built: Built) -> None:
    outside = {n for n in files_below(built[1]) if ".zarr/" not in n}
    neuron = FIRST.removesuffix("_CONF")
    expected = {*AT_ROOT, "CHANGES", "LICENSE", "manifest.tsv", "croissant.json"}
    expected |= {f"metadata/{name}" for name in ("neuropack.json", "datacite.json", "manual.md", "datasheet.md")}
    expected |= {f"derivatives/{d}/{n}" for d in ("nwb", "segmentation", "morphology") for n in AT_ROOT}
    expected |= {f"{MICR}/{FIRST}.json", f"{MICR}/{SECOND}.json", f"sub-M02/ses-01/micr/{THIRD}.json"}
    expected |= {f"derivatives/nwb/{MICR}/{FIRST}.nwb", f"derivatives/nwb/{MICR}/{SECOND}.nwb"}
    expected |= {f"derivatives/nwb/sub-M02/ses-01/micr/{THIRD}.nwb", "derivatives/morphology/neurons.tsv"}
    expected |= {f"derivatives/morphology/{MICR}/{neuron}_desc-n{i}.swc" for i in (1, 2)}
    expected |= {"derivatives/segmentation/classes.tsv"}
    expected |= {f"derivatives/segmentation/{MICR}/{neuron}_desc-neurons_CONF.json"}
    expected |= {f"derivatives/segmentation/{MICR}/{neuron}_desc-neurons_objects.tsv"}
    viewer = f"derivatives/morphology/{MICR}/{neuron}_desc-neurons_skeletons"
    expected |= {f"{viewer}/{name}" for name in ("info", "segment_properties/info", "1", "7")}
    expected |= {"derivatives/morphology/neurons.parquet", *CATALOGUE.values()}
    assert outside == expected
    zarrs = {n.split(".ome.zarr/", maxsplit=1)[0] for n in files_below(built[1]) if ".zarr/" in n}
    images = {f"{MICR}/{FIRST}", f"{MICR}/{SECOND}", f"sub-M02/ses-01/micr/{THIRD}"}
    assert zarrs == images | {f"derivatives/segmentation/{MICR}/{neuron}_desc-neurons_CONF"}


@pytest.mark.parametrize("path", [f"{MICR}/{FIRST}.ome.zarr", f"derivatives/nwb/{MICR}/{FIRST}.nwb"])
def test_the_pixels_are_those_of_the_raw_file(built: Built, path: str) -> None:
    with open_volume(built[1] / path) as volume:
        assert (volume[...] == pixels((2, 5, 40, 48), 1)).all()


def test_the_study_goes_before_the_file_and_the_file_fills_in(built: Built) -> None:
    document = read_json(built[1] / "metadata" / "neuropack.json")
    first, second, third = document["image_stacks"]
    sources = {s["field"]: s["source"] for s in first["sources"]}
    assert sources["channels.0.name"] == sources["acquired"] == sources["instrument.model"] == "user"
    assert sources["channels.1.name"] == "file"
    assert sources["voxel_size_um.z"] == "file"
    assert {s["field"]: s["source"] for s in second["sources"]}["voxel_size_um.z"] == "user"
    assert (first["voxel_size_z_um"], second["voxel_size_z_um"]) == (2.0, 3.0)
    assert [c["name"] for c in document["acquisitions"][0]["channels"]] == ["yellow", "red"]
    assert document["acquisitions"][0]["channels"][0]["emission_nm"] == 530  # the middle of its band
    assert (third["axes"], third["shape"]) == ("CYX", [1, 30, 30])
    assert "voxel_size_z_um" not in third
    assert document["acquisitions"][2]["axis_z"] == "single_plane"
    with open_volume(built[1] / first["path"]) as volume:
        assert [c.name for c in volume.channels] == ["yellow", "red"]


def test_the_document_fits_the_schema_and_its_references_hold(built: Built) -> None:
    document = read_json(built[1] / "metadata" / "neuropack.json")
    assert schema.validate(document) == []
    known = {group: {r["id"] for r in records} for group, records in document.items() if isinstance(records, list)}
    assert {len(v) for v in (known["image_stacks"], known["acquisitions"])} == {3}
    for group, field, target in (
        ("specimens", "subject", "subjects"),
        ("labellings", "specimen", "specimens"),
        ("acquisitions", "instrument", "instruments"),
        ("image_stacks", "acquisition", "acquisitions"),
        ("neurons", "image_stack", "image_stacks"),
        ("annotations", "image_stack", "image_stacks"),
    ):
        assert {r[field] for r in document[group]} <= known[target], (group, field)
    labels = next(a for a in document["annotations"] if a["kind"] == "labels")
    assert [(e["value"], e["name"]) for e in labels["label_map"]] == [(7, "the seventh"), (9, "neuron 9")]
    assert labels["label_map"][0]["neuron"] in known["neurons"]
    files = set(files_below(built[1]))
    assert all(n["morphology"] in files for n in document["neurons"])
    assert document["neurons"][0]["soma_x"] == 1.0
    assert "soma_absent_reason" in document["neurons"][1]


def test_bids_and_nwb_tell_age_and_sex_in_their_own_ways(built: Built) -> None:
    rows = read_tsv(built[1] / "participants.tsv")
    assert [(r["participant_id"], r["species"], r["age"], r["sex"]) for r in rows] == [
        ("sub-M01", "mus musculus", "0.1533", "F"),
        ("sub-M02", "mus musculus", "0.1533", "n/a"),
    ]
    import h5py

    with h5py.File(built[1] / f"derivatives/nwb/sub-M02/ses-01/micr/{THIRD}.nwb") as file:
        subject = file["general/subject"]
        assert subject["sex"][()].decode() == "U"
        assert subject["age"][()].decode() == "P56D"
        assert subject["species"][()].decode() == "Mus musculus"
        assert file["session_start_time"][()].decode() == "2025-02-03T10:15:00+01:00"


def test_a_sidecar_has_two_pixel_sizes_for_a_plane(built: Built) -> None:
    flat = read_json(built[1] / f"sub-M02/ses-01/micr/{THIRD}.json")
    thick = read_json(built[1] / f"{MICR}/{SECOND}.json")
    assert flat["PixelSize"] == [0.25, 0.25]
    assert thick["PixelSize"] == [0.5, 0.5, 3.0]
    assert thick["PixelSizeUnits"] == "um"


def test_the_tables_describe_the_annotations(built: Built) -> None:
    rows = read_tsv(built[1] / "derivatives/morphology/neurons.tsv")
    assert [(r["n_nodes"], r["length_um"]) for r in rows] == [("2", "5.0"), ("2", "2.0")]
    assert all((built[1] / "derivatives/morphology" / r["swc"]).is_file() for r in rows)
    classes = read_tsv(built[1] / "derivatives/segmentation/classes.tsv")
    assert [(r["value"], r["name"]) for r in classes] == [("7", "the seventh"), ("9", "neuron 9")]


def test_every_tsv_column_that_bids_does_not_know_is_described(built: Built) -> None:
    for name, known in (
        ("participants", {"participant_id", "species", "age", "sex", "strain"}),
        ("samples", set()),
    ):
        columns = set(read_tsv(built[1] / f"{name}.tsv")[0])
        assert columns - known - {"sample_id", "participant_id", "sample_type"} <= set(
            read_json(built[1] / f"{name}.json")
        )


def test_the_manifest_lists_every_file_but_itself(built: Built) -> None:
    entries = read_manifest(built[1])
    assert list(entries) == sorted(set(files_below(built[1])) - {"manifest.tsv"})
    assert all(sha256_of(built[1] / name) == entry for name, entry in entries.items())


def test_nothing_in_a_release_tells_where_it_was_made(built: Built) -> None:
    here = str(built[0].parent).encode()
    assert [n for n in files_below(built[1]) if here in (built[1] / n).read_bytes()] == []


def test_two_builds_are_byte_for_byte_equal(built: Built, tmp_path: Path) -> None:
    shutil.copytree(built[0], tmp_path / "elsewhere")
    build(tmp_path / "elsewhere", tmp_path / "again")
    manifest = "manifest.tsv"
    assert (tmp_path / "again" / manifest).read_bytes() == (built[1] / manifest).read_bytes()


def test_a_second_build_changes_nothing(fresh: Built) -> None:
    study, release = fresh
    before, manifest = times(release), (release / "manifest.tsv").read_bytes()
    result = build(study, release)
    assert set(result.stacks.values()) == {"up to date"}
    after = times(release)
    assert {n for n in after if after[n] != before.get(n)} <= {"manifest.tsv"}
    assert (release / "manifest.tsv").read_bytes() == manifest
    assert not (release / MARKER).exists()


def test_a_changed_study_updates_what_it_touches(fresh: Built) -> None:
    study, release = fresh
    before = times(release)
    edit(study, "weight_g: 24.5", "weight_g: 25.5")
    result = build(study, release)
    assert result.stacks == {FIRST: "written", SECOND: "written", THIRD: "up to date"}
    changed = {n for n, t in times(release).items() if before.get(n) != t}
    nwb = {f"derivatives/nwb/{MICR}/{name}.nwb" for name in (FIRST, SECOND)}
    tables = {
        "participants.tsv",
        *(f"derivatives/{d}/participants.tsv" for d in ("nwb", "segmentation", "morphology")),
    }
    described = {"manifest.tsv", "croissant.json", "metadata/neuropack.json", *CATALOGUE.values()}
    assert nwb | tables | described <= changed
    assert changed - nwb - tables - described <= TELL_THE_SIZE
    assert write_manifest(release) == read_manifest(release)


def test_a_changed_voxel_size_replaces_the_image(fresh: Built) -> None:
    study, release = fresh
    edit(study, "voxel_size_um: {z: 3}", "voxel_size_um: {z: 4}")
    assert build(study, release).stacks[SECOND] == "written"
    with open_volume(release / MICR / f"{SECOND}.ome.zarr") as volume:
        assert volume.voxel_size_um[0] == 4
    assert [n for n in files_below(release) if re.search(r"partial|replaced|journal", n)] == []


def test_an_interrupted_build_continues(fresh: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, whole = fresh
    release, real, calls = tmp_path / "part", stacks.convert, []

    def stop(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(stacks, "convert", stop)
    with pytest.raises(KeyboardInterrupt):
        build(study, release)
    assert (release / MARKER).is_file()
    assert not (release / "manifest.tsv").exists()
    monkeypatch.undo()
    assert build(study, release).stacks == {FIRST: "up to date", SECOND: "written", THIRD: "written"}
    assert (release / "manifest.tsv").read_bytes() == (whole / "manifest.tsv").read_bytes()


def test_what_the_study_no_longer_has_is_never_deleted_silently(fresh: Built) -> None:
    study, release = fresh
    edit(study, "          - {file: raw/b.tif, chunk: 02, voxel_size_um: {z: 3}}\n", "")
    edit(study, "            skeletons: [annotations/*.swc]\n", "")
    edit(study, ", neuron: n1}", "}")
    before = times(release)
    with pytest.raises(UsageError, match="--prune") as caught:
        build(study, release)
    assert caught.value.exit_code == 2
    assert f"{MICR}/{SECOND}.ome.zarr" in str(caught.value)
    assert times(release) == before
    result = build(study, release, prune=True)
    assert f"derivatives/nwb/{MICR}/{SECOND}.nwb" in result.removed
    assert [n for n in files_below(release) if SECOND in n or n.endswith(".swc")] == []
    assert not (release / "derivatives/morphology").exists()
    assert not any(SECOND in name for name in read_manifest(release))


def test_a_conversion_that_was_given_up_leaves_nothing(fresh: Built) -> None:
    study, release = fresh
    for name in (f"{FIRST}.ome.zarr.partial", f".{FIRST}.ome.zarr.journal", f"{FIRST}.nwb.partial"):
        folder = release / "derivatives/nwb" / MICR if "nwb" in name else release / MICR
        (folder / name).write_text("{}", encoding="utf-8")
    build(study, release)
    assert [n for n in files_below(release) if "partial" in n or "journal" in n] == []
    assert read_manifest(release) == write_manifest(release)


def test_what_other_commands_put_into_a_release_stays(fresh: Built) -> None:
    study, release = fresh
    edit(study, "            labels: annotations/labels.tif\n", "")
    edit(study, "            skeletons: [annotations/*.swc]\n", "")
    edit(study, ", neuron: n1}", "}")
    for path in ("registration/registration.json", "segmentation/boxes.tsv"):
        (release / "derivatives" / path).parent.mkdir(exist_ok=True)
        (release / "derivatives" / path).write_text("{}\n", encoding="utf-8")
    build(study, release, prune=True)
    listed = read_manifest(release)
    assert {"derivatives/registration/registration.json", "derivatives/segmentation/boxes.tsv"} <= set(listed)
    assert not (release / "derivatives/morphology").exists()


def test_a_foreign_folder_is_left_alone(built: Built, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"not a release(.|\n)*thesis\.txt") as caught:
        build(built[0], tmp_path)
    assert caught.value.exit_code == 2
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="is a file"):
        build(built[0], tmp_path / "thesis.txt")


def test_the_release_of_another_dataset_is_left_alone(fresh: Built) -> None:
    study, release = fresh
    edit(study, "id: tiny", "id: other")
    with pytest.raises(UsageError, match="dataset tiny"):
        build(study, release)


def test_an_empty_folder_is_taken(built: Built, tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    assert build(built[0], tmp_path / "release").files == len(read_manifest(built[1]))


def test_the_template_filled_in_builds(tmp_path: Path) -> None:
    from neuropack.study.begin import begin

    begin(tmp_path / "study")
    path = tmp_path / "study" / "study.yaml"
    path.write_text(
        re.sub(r":  # example: (.*)$", r": \1", path.read_text(encoding="utf-8"), flags=re.M), encoding="utf-8"
    )
    raw = write_study(tmp_path / "tiny") / "raw" / "flat.tif"
    for name in ("M01_LH_1", "M01_LH_2", "M01_RH", "M02_LH"):
        shutil.copy(raw, tmp_path / "study" / "raw" / f"{name}.czi")
    result = build(tmp_path / "study", tmp_path / "release")
    assert len(result.stacks) == 4
    assert schema.validate(read_json(tmp_path / "release" / "metadata" / "neuropack.json")) == []
    assert result.notes[next(iter(result.stacks))] == ()


def test_progress_and_the_json_of_a_result(tmp_path: Path) -> None:
    text = STUDY[: STUDY.index("          - {file: raw/b.tif")]
    told: list[tuple[str, int, int]] = []
    study = write_study(tmp_path / "study", text)
    result = build(study, tmp_path / "release", progress=lambda *args: told.append(args))
    assert told[0][0].startswith(FIRST)
    assert any(done == total > 0 for _, done, total in told)
    assert result.to_dict()["stacks"] == [{"id": FIRST, "status": "written", "notes": []}]
    json.dumps(result.to_dict())
