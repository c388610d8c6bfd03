"""The JSON Schema of study.yaml takes every study that neuropack takes, and underlines what is misspelt."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML
from test_study_template import filled, uncommented
from two_animals import STUDY

from neuropack import schema
from neuropack.simulate.demo import write_raw
from neuropack.study import load_study
from neuropack.study.begin import FILES, begin, study_yaml
from neuropack.study.convert import to_sheets
from neuropack.study.json_schema import study_schema


@pytest.fixture(scope="module")
def validator() -> Any:
    made = study_schema()
    jsonschema.Draft7Validator.check_schema(made)
    return jsonschema.Draft7Validator(made)


def read(text: str) -> Any:
    """YAML as an editor sees it: a date without quotes is text to it."""
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(text), default=str))


def wrong(validator: Any, text: str) -> list[str]:
    """Where something is underlined."""
    return sorted({"/".join(map(str, error.absolute_path)) for error in validator.iter_errors(read(text))})


@pytest.mark.parametrize(
    "text",
    [STUDY, filled(study_yaml()), filled(uncommented(study_yaml()))],
    ids=["small", "template", "everything"],
)
def test_every_study_fits(validator: Any, text: str) -> None:
    assert wrong(validator, text) == []


def test_the_studies_of_other_tests_fit(validator: Any) -> None:
    tests = Path(__file__).parents[1]
    found = 0
    for path in tests.rglob("*.py"):
        for text in re.findall(r'^STUDY = """\\?\n(.*?)^"""', path.read_text(encoding="utf-8"), re.M | re.S):
            found += 1
            assert wrong(validator, text) == [], path
    assert found >= 2


def test_the_study_of_the_demonstration_fits_and_goes_into_sheets(validator: Any, tmp_path: Path) -> None:
    made = write_raw(tmp_path / "demo", seed=0)
    assert wrong(validator, made.study.read_text(encoding="utf-8")) == []
    study, again = load_study(made.study), load_study(to_sheets(made.study, "xlsx"))
    assert [(s.id, s.acquisition, s.annotation) for s in again.stacks] == [
        (s.id, s.acquisition, s.annotation) for s in study.stacks
    ]
    assert (again.dataset, again.labellings) == (study.dataset, study.labellings)


TYPOS = [
    ("  title: A tiny", "  titel: A tiny", "dataset"),
    ("    sex: F\n", "    sex: female\n", "subjects/0/sex"),
    ("    sex: F\n", "    sx: F\n", "subjects/0"),
    ("defaults:\n", "defualts:\n", ""),
    ("suffix: CONF", "suffix: CONFOCAL", "defaults/stack/suffix"),
    ("chunk: 02", "chunk: a2", "subjects/0/specimens/0/stacks/1/chunk"),
    ("          - file: raw/b.tif\n            chunk", "          - chunk", "subjects/0/specimens/0/stacks/1"),
    ("voxel_size_um: {z: 1}", "voxel_size_um: 1", "subjects/0/specimens/0/stacks/1/voxel_size_um"),
    ("magnification: 25", "magnification: '25'", "defaults/instrument/objective/magnification"),
    ("orcid: 0000-0002-1825-0097", "email: a@b.org", "dataset/creators/0"),
    ("keywords: [Brainbow]", "keywords: Brainbow", "dataset/keywords"),
    ("  title: A tiny study\n", "  title:\n", "dataset/title"),
    ("  title: A tiny study\n", "", "dataset"),
]


@pytest.mark.parametrize(("old", "new", "place"), TYPOS)
def test_a_typo_is_underlined(validator: Any, old: str, new: str, place: str) -> None:
    text = STUDY.replace(old, new, 1)
    assert text != STUDY
    assert place in wrong(validator, text)


def test_what_may_be_written_in_several_ways_may(validator: Any) -> None:
    stack = "          - {file: raw/d.tif}"
    for more in (
        "labels: a.tif",
        "labels: [a.tif, b.tif]",
        "points: {files: a.csv, unit: um}",
        "points: [{files: [a.csv]}, b.csv]",
        "derive: boxes",
        "scene: null",
        "registration: {landmarks: a.csv, kind: thin_plate}",
    ):
        assert wrong(validator, STUDY.replace(stack, stack[:-1] + f", {more}}}")) == [], more
    for more in ("points: {files: a.csv, unit: inch}", "labels: {unit: um}", "registration: {kind: elastic}"):
        assert wrong(validator, STUDY.replace(stack, stack[:-1] + f", {more}}}")) != [], more


def test_the_help_is_the_schemas() -> None:
    made = study_schema()
    sex = made["definitions"]["Subject"]["properties"]["sex"]
    assert sex["description"].startswith(schema.fields("Subject")["sex"]["description"])
    assert "- F: Female." in sex["description"]
    assert sex["examples"] == ["F"]


def test_init_puts_it_where_the_editor_looks(tmp_path: Path) -> None:
    begin(tmp_path)
    first = (tmp_path / "study.yaml").read_text(encoding="utf-8").splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert named == FILES[3]
    assert json.loads((tmp_path / named).read_text(encoding="utf-8")) == study_schema()
