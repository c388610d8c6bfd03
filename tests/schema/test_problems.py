"""What a person reads when a document is wrong."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from neuropack import schema
from neuropack.errors import UsageError
from neuropack.schema import SchemaProblem

DATA = Path(__file__).parent / "data"


def example(name: str, **changes: Any) -> Any:
    return YAML(typ="safe", pure=True).load((DATA / f"{name}.valid.yaml").read_text(encoding="utf-8")) | changes


def only(document: Any, name: str) -> SchemaProblem:
    (problem,) = schema.validate(document, name)
    return problem


def test_a_misspelt_field_is_one_problem_with_its_right_name() -> None:
    dataset = example("Dataset")
    dataset["titel"] = dataset.pop("title")
    assert only(dataset, "Dataset") == SchemaProblem(
        pointer="/titel",
        expected="title: Title of the dataset, in one line.",
        found="titel, which Dataset does not have",
        fix="did you mean title? rename it",
    )


def test_a_misspelt_field_does_not_raise_what_depends_on_it() -> None:
    neuron = example("Neuron")
    neuron["Soma-X"] = neuron.pop("soma_x")
    assert only(neuron, "Neuron").fix == "did you mean soma_x? rename it"


def test_two_misspelt_fields_are_two_problems() -> None:
    subject = example("Subject")
    subject["Sex"], subject["strane"] = subject.pop("sex"), subject.pop("strain")
    wanted = ["did you mean sex? rename it", "did you mean strain? rename it"]
    assert [p.fix for p in schema.validate(subject, "Subject")] == wanted


def test_a_second_spelling_of_a_given_field_is_to_be_removed() -> None:
    problem = only(example("Subject", weight=24.5), "Subject")
    assert (problem.pointer, problem.fix) == (
        "/weight",
        "did you mean weight_g? it is there already: remove this one",
    )


def test_a_missing_field_says_which_class_and_what_for() -> None:
    subject = example("Subject")
    del subject["sex"]
    assert only(subject, "Subject") == SchemaProblem(
        "", "Subject with sex: Sex of the animal.", "no sex", "add sex, for example sex: F"
    )


def test_a_missing_record_names_its_fields() -> None:
    instrument = example("Instrument")
    del instrument["objective"]
    fix = "add objective, with the fields magnification, numerical_aperture, immersion"
    assert only(instrument, "Instrument").fix == fix


def test_the_way_out_of_several_missing_fields_is_told_once() -> None:
    neuron = example("Neuron")
    for name in ("soma_y", "soma_z"):
        del neuron[name]
    problem = only(neuron, "Neuron")
    assert problem.expected == "A soma is given with all three coordinates and its space, or a reason why not"
    assert problem.found == "neither soma_y nor soma_z nor soma_absent_reason"
    assert problem.fix.startswith("add soma_y and soma_z, or soma_absent_reason, for example ")


def test_what_a_given_field_asks_for() -> None:
    registration = example("Registration")
    del registration["n_landmarks"]
    problem = only(registration, "Registration")
    assert problem.found == "landmark_error_um without n_landmarks"
    assert problem.fix == "add n_landmarks, for example n_landmarks: 24, or remove landmark_error_um"


def test_a_stack_without_spacing() -> None:
    stack = example("ImageStack")
    del stack["voxel_size_z_um"]
    problem = only(stack, "ImageStack")
    assert (problem.pointer, problem.found, problem.fix) == (
        "/axes",
        "'CZYX', and no voxel_size_z_um",
        "add voxel_size_z_um",
    )


@pytest.mark.parametrize(
    ("name", "field", "value", "found", "fix"),
    [
        ("Specimen", "hemisphere", "Left", "'Left'", "did you mean left?"),
        ("Specimen", "hemisphere", "port", "'port'", "write one of left, right, both, unknown"),
        ("Specimen", "hemisphere", 1, "1", "write one of left, right, both, unknown"),
        ("Specimen", "thickness_um", 0, "0", "check the value and its unit, which is um; an example is 300"),
        ("Specimen", "refractive_index", 3, "3", "write it like 1.48"),
        ("Subject", "weight_g", "24.5", "'24.5'", "write a number without quotes, in g"),
        ("Subject", "weight_g", True, "true", "write it like 24.5"),
        ("Subject", "weight_g", None, "nothing (null)", "leave the field out, or write a value"),
        ("Subject", "strain", None, "nothing (null)", "write a value"),
        ("Subject", "age", "P", "'P'", "write it like P56D"),
        ("Subject", "strain", {"name": "C57BL/6J"}, "a mapping with name", "write it like C57BL/6J"),
        (
            "Dataset",
            "date",
            dt.date(2025, 3, 14),
            "the date 2025-03-14, not text",
            "put it in quotes: '2025-03-14'",
        ),
        ("Dataset", "keywords", "mouse", "'mouse'", "write a list, also for a single value"),
        ("Dataset", "keywords", [], "a list of 0 items", "add one, for example Brainbow"),
        ("Dataset", "contact", "me", "'me'", "write the fields of Contact: name, email"),
        ("Dataset", "title", "x" * 200, f"'{'x' * 77}...' (200 characters)", None),
        ("ImageStack", "format_version", 0.5, "0.5", "put it in quotes: '0.5'"),
        ("ImageStack", "shape", [1] * 6, "a list of 6 items", "remove the surplus"),
        ("Neuron", "soma_x", float("inf"), "inf", "write a finite number, or leave the field out"),
    ],
)
def test_a_wrong_value(name: str, field: str, value: Any, found: str, fix: str | None) -> None:
    problem = only(example(name, **{field: value}), name)
    assert (problem.pointer, problem.found) == (f"/{field}", found)
    assert fix is None or problem.fix == fix
    assert f"{field}" in problem.expected


def test_a_wrong_word_is_answered_with_all_words() -> None:
    expected = "one of M, F, U, O (sex: Sex of the animal)"
    assert only(example("Subject", sex="male"), "Subject").expected == expected


def test_all_problems_come_at_once_in_order() -> None:
    document = example("Document")
    document["subjects"] = [*document["subjects"] * 11]
    for i in (10, 2):
        document["subjects"][i] = document["subjects"][i] | {"sex": "?"}
    del document["release"]
    pointers = [p.pointer for p in schema.validate(document)]
    assert pointers == ["", "/subjects/2/sex", "/subjects/10/sex"]


def test_pointers_escape() -> None:
    assert schema.pointer(("a/b", 3, "c~d")) == "/a~1b/3/c~0d"
    assert only(example("Subject", **{"a/b": 1}), "Subject").pointer == "/a~1b"


@pytest.mark.parametrize("document", [None, [], 3, "Subject"])
def test_something_that_is_no_record(document: Any) -> None:
    problem = only(document, "Subject")
    assert problem.expected == "a mapping with the fields of Subject"


def test_an_unknown_class() -> None:
    with pytest.raises(UsageError, match="no class Subjekt") as caught:
        schema.validate({}, "Subjekt")
    assert caught.value.fix == "use Subject"


def test_neither_linkml_nor_jsonschema_is_needed_to_import() -> None:
    code = (
        "import sys, neuropack.model, neuropack.schema as s; s.fields('Document');"
        "print([m for m in sys.modules if m.split('.')[0] in ('linkml', 'linkml_runtime', 'jsonschema')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
