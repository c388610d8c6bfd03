"""What `neuropack init` writes: every key is a field, every comment the schema's, nothing is overwritten."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from neuropack import schema
from neuropack.errors import UsageError
from neuropack.study import StudyError, load_study
from neuropack.study.begin import FILES, begin, study_yaml

RAW = ("M01_LH_1.czi", "M01_LH_2.czi", "M01_RH.czi", "M02_LH.czi")


def filled(text: str) -> str:
    """The template with the example written into every field that has to be filled in."""
    return re.sub(r":  # example: (.*)$", r": \1", text, flags=re.M)


def uncommented(text: str) -> str:
    """The template with every optional field taken into use."""
    return re.sub(r"^( *)#(?=\w+:)", r"\1", text, flags=re.M)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    begin(tmp_path)
    for name in RAW:
        (tmp_path / "raw" / name).write_bytes(b"II")
    marks = tmp_path / "annotations" / "M01_LH_1"
    marks.mkdir(parents=True)
    (marks.parent / "M01_LH_1_labels.tif").write_bytes(b"II")
    (marks / "n1.swc").write_text("1 1 0 0 0 1 -1\n", encoding="utf-8")
    for name in ("M01_LH_1_boxes.csv", "M01_LH_1_spines.csv", "M01_LH_1_classes.tsv", "second/n1.swc"):
        (marks.parent / name).parent.mkdir(exist_ok=True)
        (marks.parent / name).write_bytes(b"")
    for name in ("atlas/annotation_25.nrrd", "atlas/structures.json", "registration/M01_LH_1.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_every_key_is_a_field(folder: Path) -> None:
    text = filled(uncommented(study_yaml()))
    assert "\n#release" not in text and "\n#atlas" not in text
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    study = load_study(folder)
    assert len(study.stacks) == 4
    assert study.stacks[0].scene == "P1"
    assert study.atlas is not None and (study.atlas.version, study.atlas.share) == ("2017", False)
    assert study.stacks[0].registration is not None
    (points,) = study.stacks[0].annotations["points"]
    assert (points.stated.unit, points.stated.order, points.stated.origin) == ("voxel", "zyx", "centre")
    (other,) = study.stacks[0].others
    assert (other.credit.annotator, len(other["skeletons"])) == ("Jane Doe", 1)
    assert study.release["changelog"][0]["changes"] == ["First release."]


def test_filled_in_it_is_a_study_with_inheritance(folder: Path) -> None:
    (folder / "study.yaml").write_text(filled(study_yaml()), encoding="utf-8")
    study = load_study(folder)
    assert [s["age"] for s in study.subjects] == ["P56D", "P90D"]
    assert [s.instrument["objective"]["magnification"] for s in study.stacks] == [25, 25, 63, 25]
    assert study.stacks[2].instrument["objective"]["immersion"] == "oil"  # said once, for all


def test_not_filled_in_it_names_every_empty_field(folder: Path) -> None:
    lines = study_yaml().splitlines()
    empty = [i for i, line in enumerate(lines, 1) if re.search(r"\w:  # example: ", line) and line[0] != "#"]
    with pytest.raises(StudyError) as caught:
        load_study(folder)
    assert [p.at[0] for p in caught.value.problems] == empty
    assert len(empty) == 11


def test_the_comments_are_the_schemas() -> None:
    text = " ".join(line.strip().removeprefix("# ") for line in study_yaml().splitlines())
    for group, name in (("Dataset", "title"), ("Specimen", "expansion_factor"), ("AcquisitionChannel", "gain")):
        assert schema.fields(group)[name]["description"] in text


def test_init_never_overwrites(tmp_path: Path) -> None:
    assert [p.relative_to(tmp_path).as_posix() for p in begin(tmp_path)] == list(FILES)
    (tmp_path / "study.yaml").write_text("mine", encoding="utf-8")
    (tmp_path / "README.md").unlink()
    with pytest.raises(UsageError, match=r"study\.yaml, raw/README\.md") as caught:
        begin(tmp_path)
    assert caught.value.exit_code == 2
    assert (tmp_path / "study.yaml").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "README.md").exists()


def test_init_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="is a file"):
        begin(tmp_path / "file")
