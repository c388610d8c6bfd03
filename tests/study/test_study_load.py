"""Inheritance, names, and the mistakes of a study, each with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from neuropack.study import StudyError, load_study

Write = Callable[[str], Path]


def test_the_nearest_wins_and_mappings_merge(write_study: Write, study_text: str) -> None:
    first, second, third = load_study(write_study(study_text)).stacks
    assert first.subject["strain"] == "C57BL/6J"
    assert (first.subject["age"], third.subject["age"]) == ("P56D", "P90D")
    assert (first.specimen["hemisphere"], third.specimen["hemisphere"]) == ("left", "right")
    assert first.instrument == {
        "manufacturer": "Zeiss",
        "objective": {"magnification": 25.0, "immersion": "oil", "numerical_aperture": 0.8},
    }
    assert second.instrument["objective"]["immersion"] == "water"
    assert "numerical_aperture" not in third.instrument["objective"]  # M01's defaults are not M02's
    assert first.voxel_size_um == (2, 0.5, 0.5)
    assert second.voxel_size_um == (1, 0.5, 0.5)


def test_names_are_those_of_bids(write_study: Write, study_text: str) -> None:
    study = load_study(write_study(study_text))
    assert [s.id for s in study.stacks] == [
        "sub-M01_ses-01_sample-LH_acq-25x_chunk-01_CONF",
        "sub-M01_ses-01_sample-LH_acq-25x_chunk-02_CONF",
        "sub-M02_ses-01_sample-LH_CONF",
    ]
    stack = study.stacks[0]
    assert stack.image == f"sub-M01/ses-01/micr/{stack.id}.ome.zarr"
    assert stack.nwb == f"derivatives/nwb/sub-M01/ses-01/micr/{stack.id}.nwb"
    assert stack.specimen["id"] == "M01-LH"
    assert [s["id"] for s in study.subjects] == ["M01", "M02"]
    assert repr(study).endswith("2 subject(s), 3 stack(s)>")


def test_without_a_session_there_is_no_session_folder(write_study: Write, study_text: str) -> None:
    stack = load_study(write_study(study_text.replace("session: 01, ", ""))).stacks[0]
    assert stack.image == "sub-M01/micr/sub-M01_sample-LH_acq-25x_chunk-01_CONF.ome.zarr"


def test_a_date_and_a_session_stay_what_was_typed(write_study: Write, study_text: str) -> None:
    study = load_study(write_study(study_text))
    assert study.dataset["date"] == "2025-03-14"
    assert study.stacks[0].session == "01"


def test_a_whole_number_is_a_number_where_the_schema_has_numbers(write_study: Write, study_text: str) -> None:
    assert isinstance(load_study(write_study(study_text)).stacks[0].acquisition["voxel_size_z_um"], float)


def test_what_a_stack_says_shortly_goes_before_the_defaults(write_study: Write, study_text: str) -> None:
    text = study_text.replace(
        "  stack: {suffix", '  acquisition: {start_time: "2025-01-01T00:00:00Z", bit_depth: 12}\n  stack: {suffix'
    ).replace("chunk: 01\n", 'chunk: 01\n            session_start: "2025-02-02T00:00:00Z"\n')
    first, second, _ = load_study(write_study(text)).stacks
    assert first.acquisition["start_time"] == "2025-02-02T00:00:00Z"
    assert second.acquisition["start_time"] == "2025-01-01T00:00:00Z"
    assert first.acquisition["bit_depth"] == 12


def test_skeletons_are_paths_or_patterns(write_study: Write, study_text: str) -> None:
    more = "chunk: 01\n            annotation: {annotator: A, provenance: manual}\n"
    more += "            skeletons: ['swc/*.swc']\n"
    path = write_study(study_text.replace("chunk: 01\n", more))
    (path.parent / "swc").mkdir()
    for name in ("n2.swc", "n_1.swc"):
        (path.parent / "swc" / name).write_text("1 1 0 0 0 1 -1\n", encoding="utf-8")
    stack = load_study(path).stacks[0]
    (source,) = stack.annotations["skeletons"]
    assert [p.name for p in source.files] == ["n2.swc", "n_1.swc"]
    assert stack.neuron("n_1") == f"{stack.name}_desc-n1"


WRONG = [
    # (what is replaced, by what, line:column of the message, part of the message)
    ("    sex: F\n", "    sex: female\n", "24:10", "subject.sex does not fit the schema"),
    ("    sex: F\n", "", "23:5", "no sex"),
    ("    sex: F\n", "    sex:\n", "24:5", "no sex"),
    ("    sex: F\n", "    sex: F\n    straim: x\n", "25:5", "did you mean 'strain'?"),
    ("age: P56D", "age: 56 days", "18:46", "ISO 8601"),
    ("hemisphere: left", "hemispere: left", "19:73", "did you mean 'hemisphere'?"),
    ("  stack: {suffix: CONF", "  stak: {suffix: CONF", "21:3", "did you mean 'stack'?"),
    ("suffix: CONF", "suffix: CONFOCAL", "21:19", "did you mean 'CONF'?"),
    ("suffix: CONF, ", "", "32:13", "suffix is no BIDS name of a technique"),
    ("acq: 25x", "acq: 25-x", "30:24", "letters and digits"),
    ("chunk: 01", "chunk: a1", "33:20", "digits"),
    ("raw/b.tif", "raw/c.tif", "34:19", "file does not exist"),
    ("          - {file: raw/d.tif}", "          - {chunk: 03}", "45:13", "the stack has no file"),
    ("            chunk: 02\n", "            chunk: 01\n", "34:13", "another stack has this name already"),
    ("id: M02", "id: M01", "38:5", "comes twice"),
    ("  - id: M02", "  - id: M-2", "38:9", "it becomes sub-M-2"),
    ("  - id: M02\n    sex: M", "  - sex: M", "38:5", "the subject has no id"),
    ("voxel_size_um: {z: 1}", "voxel_size_um: {z: thin}", "36:32", "acquisition.voxel_size_z_um"),
    ("voxel_size_um: {z: 1}", "voxel_size_um: {z: -1}", "36:32", "acquisition.voxel_size_z_um"),
    ("magnification: 25", "magnification: big", "20:64", "instrument.objective.magnification"),
    ("magnification: 25", "magnify: 25", "20:49", "instrument.objective has no field 'magnify'"),
    (
        "            chunk: 02",
        "            chunk: 02\n            labels: no.tif",
        "36:21",
        "no labels are there",
    ),
    (
        "            chunk: 02",
        "            chunk: 02\n            skeletons: no/*.swc",
        "36:24",
        "no skeletons are there",
    ),
    (
        "            chunk: 02",
        "            chunk: 02\n            labels: raw/a.tif",
        "34:13",
        "annotation.annotator",
    ),
    ("  title: A tiny study\n", "", "3:3", "no title"),
    ("keywords: [Brainbow]", "keywords: Brainbow", "13:13", "dataset.keywords"),
    ("date: 2025-03-14", "date: 2025-02-30", "14:9", "dataset.date"),
    ("defaults:\n", "defualts:\n", "17:1", "did you mean 'defaults'?"),
    ("subjects:\n", "subjects: []\nnothing:\n", "22:11", "the study has no subjects"),
    ('schema_version: "0.1.0"', 'schema_version: "99.0.0"', "1:17", "the study is for a newer schema"),
    ('schema_version: "0.1.0"', "schema_version: new", "1:17", "schema_version is no version"),
    ("orcid: 0000-0002-1825-0097", "orcid: 0000", "9:14", "dataset.creators.0.orcid"),
    ("voxel_size_um: {z: 1}", "voxel_size_um: 1,2,3", "36:28", "voxel_size_um is a mapping"),
    ("voxel_size_um: {z: 1}", "voxel_size_um: {depth: 1}", "36:29", "voxel_size_um has no field 'depth'"),
    ("voxel_size_um: {z: 2, y", "voxel_size_um: {zz: 2, y", "21:54", "voxel_size_um has no field 'zz'"),
    ("chunk: 02", "labels: [raw/a.tif, raw/b.tif]", "35:21", "a stack has one label image"),
    (
        "  subject: {species",
        "  labelling: brainbow\n  subject: {species",
        "18:14",
        "labelling in the defaults is a mapping",
    ),
    ("raw/b.tif", "raw/a.tif", "34:13", "raw/a.tif comes twice"),
    ("chunk: 02", "chunk: 1", "34:13", "chunk-1 is chunk-01 in another spelling"),
    ("chunk: 02", "session: 1", "34:13", "ses-1 is ses-01 in another spelling"),
    ("id: M02", "id: m01", "45:13", "sub-m01 is sub-M01 in another spelling"),
    ("defaults:\n", "release: {version: 2.0.0}\ndefaults:\n", "17:11", "release.version is not to be typed"),
    ("license: {spdx: ODC-By-1.0", "license: ODC-By-1.0\n  x: {y: 1", "12:12", "the fields of License: spdx, uri"),
]


@pytest.mark.parametrize(("old", "new", "place", "message"), WRONG)
def test_a_mistake_is_told_with_its_place(
    write_study: Write, study_text: str, old: str, new: str, place: str, message: str
) -> None:
    assert study_text.count(old) >= 1
    with pytest.raises(StudyError) as caught:
        load_study(write_study(study_text.replace(old, new, 1)))
    blocks = str(caught.value).split("\n" + str(caught.value.file))
    assert any(f"{place}: " in b and message in b for b in blocks), str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [("id: M02", "id: M-2"), ("acq: 25x", "acq: 25-x"), ("id: LH", "id: L_H"), ("M02", "m01")],
)
def test_one_mistake_is_one_message(write_study: Write, study_text: str, old: str, new: str) -> None:
    with pytest.raises(StudyError, match="1 problem in the study"):
        load_study(write_study(study_text.replace(old, new, 1)))


def test_all_mistakes_come_at_once(write_study: Write, study_text: str) -> None:
    text = study_text
    for old, new in (
        ("sex: F", "sex: X"),
        ("sex: M\n", "sex: M\n    sex: F\n"),
        ("acq: 25x", "acq: 25-x"),
        ("raw/b.tif", "raw/c.tif"),
    ):
        text = text.replace(old, new)
    with pytest.raises(StudyError, match="4 problems in the study") as caught:
        load_study(write_study(text))
    assert [p.at[0] for p in caught.value.problems] == [24, 30, 34, 40]


def test_an_animal_without_tissue_is_looked_at_all_the_same(write_study: Write, study_text: str) -> None:
    text = study_text[: study_text.index("    specimens:\n      - id: LH\n        hemisphere: right")]
    with pytest.raises(StudyError, match="2 problems in the study") as caught:
        load_study(write_study(text.replace("sex: M", "sex: male") + "    specimens: []\n"))
    assert [p.what.split(" does")[0] for p in caught.value.problems] == [
        "subject.sex",
        "the subject has no specimens",
    ]


def test_a_study_that_is_a_list_is_one_problem(write_study: Write) -> None:
    with pytest.raises(StudyError, match="1 problem in the study"):
        load_study(write_study("- a\n- b\n"))


def test_a_wrong_version_is_one_problem(write_study: Write, study_text: str) -> None:
    with pytest.raises(StudyError, match="1 problem in the study"):
        load_study(write_study(study_text.replace("version: 1.0.0", "version: 1.0")))


def test_a_mistake_in_the_defaults_is_told_once(write_study: Write, study_text: str) -> None:
    with pytest.raises(StudyError) as caught:
        load_study(write_study(study_text.replace("specimen_type: block", "specimen_type: blok")))
    (problem,) = caught.value.problems
    assert problem.at[0] == 19
    assert problem.fix == "did you mean block?"


def test_the_folder_stands_for_its_study_yaml(write_study: Write, study_text: str) -> None:
    path = write_study(study_text)
    assert load_study(path.parent).path == path
