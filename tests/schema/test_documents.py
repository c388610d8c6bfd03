"""Example documents of every class: the valid ones pass, the invalid ones fail where their first line says."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from neuropack import model, schema

DATA = Path(__file__).parent / "data"
VALID = sorted(DATA.glob("*.valid*.yaml"))
INVALID = sorted(DATA.glob("*.invalid-*.yaml"))


def load(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def class_of(path: Path) -> str:
    return path.name.split(".")[0]


def model_of(name: str) -> type[model.ConfiguredBaseModel]:
    cls: type[model.ConfiguredBaseModel] = getattr(model, name)
    return cls


def test_every_class_has_examples() -> None:
    valid, invalid = Counter(map(class_of, VALID)), Counter(map(class_of, INVALID))
    assert set(valid) == set(invalid) == set(schema.classes())
    assert min(invalid.values()) >= 3


@pytest.mark.parametrize("path", VALID, ids=lambda p: p.stem)
def test_valid(path: Path) -> None:
    document = load(path)
    assert schema.validate(document, class_of(path)) == []
    assert model_of(class_of(path)).model_validate(document).to_dict() == document


@pytest.mark.parametrize("name", schema.classes())
def test_the_full_example_has_every_field(name: str) -> None:
    reasons = {f for f in schema.fields(name) if f.endswith("_absent_reason")}
    assert set(load(DATA / f"{name}.valid.yaml")) == set(schema.fields(name)) - reasons


@pytest.mark.parametrize("path", INVALID, ids=lambda p: p.stem)
def test_invalid(path: Path) -> None:
    document = load(path)
    before = copy.deepcopy(document)
    stated = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# pointer:").strip()
    problems = schema.validate(document, class_of(path))
    assert [p.pointer for p in problems] == [stated], problems
    problem = problems[0]
    assert problem.expected and problem.found and problem.fix
    assert "anyOf" not in str(problem) and "regex" not in str(problem)
    assert repr(document) == repr(before)  # nan is not equal to itself


@pytest.mark.parametrize("path", [p for p in INVALID if not p.stem.endswith("-null")], ids=lambda p: p.stem)
def test_the_model_refuses_it_too(path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        model_of(class_of(path)).model_validate(load(path))
    assert caught.value.error_count() in (1, 2)  # a misspelt field is an unknown and a missing one there


def test_none_in_the_model_is_a_field_that_is_not_given() -> None:
    document = load(DATA / "ImageStack.invalid-null.yaml")
    made = model.ImageStack.model_validate(document).to_dict()
    assert made == {k: v for k, v in document.items() if v is not None}
    assert schema.validate(made, "ImageStack") == []


@pytest.mark.parametrize("name", schema.classes())
def test_a_required_field_is_missed(name: str) -> None:
    full = load(DATA / f"{name}.valid.yaml")
    for field, info in schema.fields(name).items():
        if not info["required"]:
            continue
        document = {k: v for k, v in full.items() if k != field}
        problems = schema.validate(document, name)
        assert [p.pointer for p in problems] == [""]
        assert info["description"] in problems[0].expected
        assert problems[0].fix.startswith(f"add {field}")
        with pytest.raises(ValidationError, match=field):
            model_of(name).model_validate(document)


@pytest.mark.parametrize("name", schema.classes())
def test_an_unknown_field_is_refused(name: str) -> None:
    document = load(DATA / f"{name}.valid.yaml") | {"zzz": 1}
    assert [p.pointer for p in schema.validate(document, name)] == ["/zzz"]


@pytest.mark.parametrize("name", schema.classes())
def test_text_does_not_end_with_a_line_break(name: str) -> None:
    # Python's $ matches before it, so a pattern that ends in $ alone lets it through.
    full = load(DATA / f"{name}.valid.yaml")
    for field, info in schema.fields(name).items():
        if info["kind"] in ("string", "reference", "enum") and not info["multivalued"]:
            assert len(schema.validate(full | {field: full.get(field, "x") + "\n"}, name)) == 1, field
