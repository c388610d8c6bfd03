"""What stops a build before any pixel moves: told all at once, with the place in the study."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tiny_study import FIRST, STUDY, write_study

from neuropack.build import build
from neuropack.errors import InputError, OutputError
from neuropack.study import StudyError

LINE = STUDY[: STUDY.index("raw/a.ome.tif")].count("\n") + 1


def fails(tmp_path: Path, text: str = STUDY) -> str:
    study = tmp_path / "study"
    if not study.exists():
        write_study(study, text)
    with pytest.raises(StudyError) as caught:
        build(study, tmp_path / "release")
    assert caught.value.exit_code == 3
    assert not (tmp_path / "release").exists()
    return str(caught.value)


def test_a_damaged_raw_file(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    (study / "raw" / "a.ome.tif").write_bytes(b"this is text")
    (study / "raw" / "b.tif").write_bytes(b"")
    message = fails(tmp_path)
    assert f"study.yaml:{LINE}:13: {study / 'raw' / 'a.ome.tif'}: " in message
    assert "b.tif: is empty (0 bytes)" in message
    assert "2 problems in the study" in message


def test_no_time_of_acquisition(tmp_path: Path) -> None:
    message = fails(tmp_path, STUDY.replace('    start_time: "2025-02-03T10:15:00+01:00"\n', ""))
    assert "session_start: at this stack" in message
    assert "3 problems" in message


def test_no_voxel_size(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    tifffile.imwrite(study / "raw" / "flat.tif", np.zeros((30, 30), np.uint8))
    assert "write voxel_size_um: {z: , y: , x: }" in fails(tmp_path)


def test_axes_that_mean_nothing(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    tifffile.imwrite(
        study / "raw" / "flat.tif", np.zeros((3, 30, 30), np.uint8), photometric="minisblack", metadata=None
    )
    assert "write axes: and one letter" in fails(tmp_path)


def test_axes_that_do_not_fit(tmp_path: Path) -> None:
    assert "5 letters" in fails(tmp_path, STUDY.replace("chunk: 02", "chunk: 02, axes: TCZYX"))


def test_a_scene_that_is_not_there(tmp_path: Path) -> None:
    assert "write scene: and one of these names" in fails(
        tmp_path, STUDY.replace("chunk: 02", "chunk: 02, scene: P9")
    )


def test_the_wrong_number_of_channels(tmp_path: Path) -> None:
    text = STUDY.replace("{channels: [{excitation_nm: 488, emission_nm: 510}]}", "{}")
    message = fails(tmp_path, text)
    assert "1 channels" in message
    assert "2 described" in message


def test_labels_that_do_not_fit(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    tifffile.imwrite(
        study / "annotations" / "labels.tif", np.zeros((5, 40, 47), np.uint16), metadata={"axes": "ZYX"}
    )
    message = fails(tmp_path)
    assert "does not fit the stack" in message
    assert "1 x 5 x 40 x 48" in message


def test_labels_of_floating_point(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    tifffile.imwrite(study / "annotations" / "labels.tif", np.zeros((5, 40, 48), np.float32))
    assert "float32" in fails(tmp_path)


def test_labels_of_another_voxel_size(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    meta = {"axes": "ZYX", "spacing": 1.0, "unit": "um"}
    labels = np.zeros((5, 40, 48), np.uint16)
    tifffile.imwrite(study / "annotations" / "labels.tif", labels, imagej=True, resolution=(2, 2), metadata=meta)
    assert "has another voxel size along z" in fails(tmp_path)


def test_a_broken_skeleton(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    (study / "annotations" / "n2.swc").write_text("1 1 0 0 0 1 5\n", encoding="utf-8")
    assert "n2.swc: line 1: a parent does not exist" in fails(tmp_path)


def test_what_nobody_stated_becomes_a_note_and_is_never_invented(tmp_path: Path) -> None:
    text = STUDY.replace("{channels: [{excitation_nm: 488, emission_nm: 510}]}", "{channels: [{}]}")
    result = build(write_study(tmp_path / "study", text), tmp_path / "release")
    notes = [notes for stack, notes in result.notes.items() if stack != FIRST and notes]
    said = [f"channel channel_0: neither the file nor the study states its {x}" for x in ("excitation", "emission")]
    assert notes == [tuple(said)]
    assert said[0] in (tmp_path / "release" / "README.md").read_text(encoding="utf-8")
    document = json.loads((tmp_path / "release" / "metadata" / "neuropack.json").read_text(encoding="utf-8"))
    assert "excitation_nm" not in document["acquisitions"][2]["channels"][0]


def test_a_time_without_a_zone_is_utc_and_said_so(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", STUDY.replace('    start_time: "2025-02-03T10:15:00+01:00"\n', ""))
    xml = tifffile.tiffcomment(study / "raw" / "a.ome.tif")
    for name in ("a.ome.tif", "b.tif", "flat.tif"):
        tifffile.imwrite(
            study / "raw" / name,
            tifffile.imread(study / "raw" / "a.ome.tif"),
            description=xml.replace(
                "<Pixels", "<AcquisitionDate>2024-05-06T07:08:09</AcquisitionDate><Pixels"
            ).encode(),
            metadata=None,
            photometric="minisblack",
        )
    text = (study / "study.yaml").read_text(encoding="utf-8")
    text = text.replace(", acquisition: {channels: [{excitation_nm: 488, emission_nm: 510}]}", "")
    (study / "study.yaml").write_text(text, encoding="utf-8")
    result = build(study, tmp_path / "release")
    assert "the file states the acquisition's time without a zone: taken as UTC" in result.notes[FIRST]
    document = (tmp_path / "release" / "metadata" / "neuropack.json").read_text(encoding="utf-8")
    assert '"start_time": "2024-05-06T07:08:09+00:00"' in document
    assert "taken as UTC" in document


def test_an_instrument_that_differs_gets_an_id_of_its_own(tmp_path: Path) -> None:
    text = STUDY.replace("chunk: 02", "chunk: 02, instrument: {objective: {magnification: 63}}")
    build(write_study(tmp_path / "study", text), tmp_path / "release")
    document = (tmp_path / "release" / "metadata" / "neuropack.json").read_text(encoding="utf-8")
    assert '"instrument": "confocal-2"' in document


def test_a_release_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = write_study(tmp_path / "study")

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"the disk is full|No space left on device") as caught:
        build(study, tmp_path / "release")
    assert isinstance(caught.value, OutputError)
    assert not isinstance(caught.value, InputError)
    assert not (tmp_path / "release" / "manifest.tsv").exists()
