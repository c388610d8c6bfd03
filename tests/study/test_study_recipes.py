"""Recipes: what a person writes, in a file, in a study or on the line, is checked with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuropack.errors import InputError, UsageError
from neuropack.process.preprocess.recipe import KEYS
from neuropack.process.preprocess.steps import STEPS
from neuropack.schema import fields
from neuropack.study.recipes import (
    RecipeError,
    described,
    load_recipe,
    recipe_named,
    recipe_of_stack,
    recipes_of,
    recipes_schema,
    shipped,
    task_of,
)
from neuropack.study.yaml import Node, Problem, load


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_recipes_are_good() -> None:
    assert set(shipped()) == {"confocal", "brainbow"}
    for name, path in shipped().items():
        recipe = load_recipe(path)
        assert recipe.name == name
        assert recipe == recipe_named(name)
        assert [task.step for task in recipe.tasks][-1] == "denoise"


def test_a_recipe_has_its_steps_in_order_with_all_their_parameters(tmp_path: Path) -> None:
    text = "steps:\n- align: {reference: 1}\n- denoise\n- unmix: {matrix: m.csv}\n"
    recipe = load_recipe(written(tmp_path, text))
    assert recipe.name == "recipe"
    assert [task.step for task in recipe.tasks] == ["align", "denoise", "unmix"]
    assert recipe.tasks[0].parameters["reference"] == 1
    assert recipe.tasks[0].parameters["stretch"] is True
    assert recipe.tasks[2].parameters["matrix"] == str(tmp_path.resolve() / "m.csv")


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("steps:\n- allign\n", "2:3", "did you mean 'align'"),
        ("steps:\n- denoise: {strenght: 1}\n", "2:13", "did you mean 'strength'"),
        ("steps:\n- denoise: {strength: much}\n", "2:23", "a number from 0.1 to 5"),
        ("steps:\n- denoise:\n    method: best\n", "3:13", "guided or gaussian or median"),
        ("steps:\n- flat-field\n", "2:3", "did you mean 'flat_field'"),
        ("steps:\n- align: {reference: 1.5}\n", "2:22", "a whole number"),
        ("steps:\n- align: {stretch: 2}\n", "2:20", "true or false"),
        ("steps:\n- align: {shift: [[0, 1]]}\n", "2:18", "a list of lists of numbers"),
        ("steps:\n- depth: {length_um: 3}\n", "2:22", "a list of numbers"),
        ("steps:\n- background: {size: 3}\n", "2:16", "has no parameters"),
        ("steps:\n- background: 3\n", "2:15", "are a mapping"),
        ("steps:\n- seams\n", "2:3", "needs to know the tiles"),
        ("steps:\n- seams: {tile: }\n", "2:10", "needs to know the tiles"),
        ("steps:\n- flat_field: {dark_image: d.tif}\n", "2:16", "a measured flat field only"),
        (f"steps:\n- denoise: {{strength: {10**400}}}\n", "2:23", "a number from 0.1 to 5"),
        (f"steps:\n- unmix: {{matrix: [[{10**400}]]}}\n", "2:19", "a list of lists of numbers"),
        ("steps:\n- align\n- align\n", "3:3", "comes twice"),
        ("steps:\n- noise_units\n- align\n", "2:3", "not the last step"),
        ("steps:\n- {align: , denoise: }\n", "2:3", "one step"),
        ("steps:\n  align:\n", "2:3", "has no steps"),
        ("stepps:\n- align\n", "1:1", "did you mean 'steps'"),
        ("- align\n", "1:1", "a recipe is a mapping"),
        ("steps: [\n", "2:1", "is not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, place: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    assert f"{path}:{place}: " in str(error.value)
    assert told in str(error.value)
    assert "in the recipe" in str(error.value)


def test_the_place_of_a_step_is_its_own_after_one_that_is_misspelt(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe(written(tmp_path, "steps:\n- allign\n- noise_units\n- unmix\n"))
    assert [(one.at.line, one.what) for one in error.value.problems] == [
        (2, "there is no step 'allign'"),
        (3, "noise_units is not the last step"),
    ]


def test_a_record_knows_files_by_their_content_and_not_by_their_place(tmp_path: Path) -> None:
    records = []
    for folder, text in (("a", "1 0\n0 1\n"), ("b", "1 0\n0 1\n"), ("c", "1 0.1\n0 1\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.csv").write_text(text, encoding="utf-8")
        records.append(load_recipe(written(tmp_path / folder, "steps:\n- unmix: {matrix: m.csv}\n")).record())
    assert records[0] == records[1] != records[2]
    assert str(tmp_path) not in str(records)
    (tmp_path / "a" / "m.csv").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        load_recipe(tmp_path / "a" / "recipe.yaml").record()


def test_a_recipe_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'brainbow'"):
        recipe_named("brainbw")
    with pytest.raises(InputError, match="no such file"):
        recipe_named(str(tmp_path / "a.yaml"))
    with pytest.raises(InputError, match="is empty"):
        load_recipe(written(tmp_path, "\n"))


def test_a_step_can_be_typed_on_the_line() -> None:
    assert task_of("denoise").parameters == {"method": "guided", "strength": 1.0}
    assert task_of("denoise=method: gaussian, strength: 0.7").parameters == {"method": "gaussian", "strength": 0.7}
    assert task_of("unmix={matrix: [[1, 0.1], [0, 1]]}").parameters["matrix"] == [[1, 0.1], [0, 1]]
    for text, told in (
        ("denoize", "did you mean 'denoise'"),
        ("denoise=strength:0.7", "has no value"),
        ("denoise=strength: [", "not a step"),
        ("denoise=7", "no value"),
        ("", "no step"),
        ("denoise=strength: " + "[" * 5000, "not a step"),
    ):
        with pytest.raises(UsageError, match=told):
            task_of(text)


def of_study(folder: Path, text: str) -> tuple[object, list[Problem]]:
    problems: list[Problem] = []
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    root = load(path)
    found = recipes_of(root, folder, problems)
    return recipe_of_stack(root.get("stack") or Node({}, root.at), found, folder, problems), problems


def test_a_stack_names_a_recipe_of_its_study_of_a_file_or_of_ours(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: theirs\nsteps: [background]\n", encoding="utf-8")
    for word, name in (("ours", "ours"), ("mine.yaml", "theirs"), ("confocal", "confocal")):
        made, problems = of_study(tmp_path, f"recipes: {{ours: [align]}}\nstack: {{preprocess: {word}}}\n")
        assert not problems
        assert getattr(made, "name", None) == name
    assert of_study(tmp_path, "stack: {}\n") == (None, [])


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("recipes: {ours: [alin]}\nstack: {}\n", "line 1, column 18", "did you mean 'align'"),
        ("recipes: [align]\n", "line 1, column 10", "a name, and a list of steps below"),
        ("recipes: {ours: [align]}\nstack: {preprocess: our}\n", "line 2, column 21", "did you mean 'ours'"),
        ("stack: {preprocess: bad.yaml}\n", "line 1, column 21", "no step"),
        ("stack: {preprocess: none.yaml}\n", "line 1, column 21", "no such file"),
    ],
)
def test_mistakes_of_a_study_have_their_places(tmp_path: Path, text: str, place: str, told: str) -> None:
    (tmp_path / "bad.yaml").write_text("steps: [allign]\n", encoding="utf-8")
    _, problems = of_study(tmp_path, text)
    assert len(problems) == 1
    line, column = (int(word.split()[-1]) for word in place.split(","))
    assert problems[0].told("f").startswith(f"f:{line}:{column}: ")
    assert told in problems[0].told("f")


def test_every_step_and_parameter_is_described_for_people_and_editors() -> None:
    text, schema = described(), recipes_schema()
    steps = schema["additionalProperties"]["items"]["anyOf"]
    for name, step in STEPS.items():
        assert f"{name}: {step.about}" in text
        assert step.activity in fields("Processing")["activity"]["enum"]
        (inner,) = [one["properties"][name] for one in steps if name in one.get("properties", {})]
        assert set(inner["properties"]) == set(step.parameters)
    assert set(KEYS) == {"name", "description", "steps"}


def test_the_schema_of_a_study_knows_recipes() -> None:
    import jsonschema

    from neuropack.study.json_schema import study_schema

    made = study_schema()
    part = {"$ref": "#/properties/recipes", **{k: made[k] for k in ("definitions", "properties")}}
    check = jsonschema.Draft7Validator(part)
    assert check.is_valid({"ours": ["align", {"denoise": {"strength": 1}}, {"background": None}]})
    assert not check.is_valid({"ours": ["allign"]})
    assert not check.is_valid({"ours": [{"denoise": {"strenght": 1}}]})
    assert not check.is_valid({"ours": [{"denoise": {"strength": 7}}]})
