"""Recipes of preprocessing: of a study, of a file, or as they ship; each mistake with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuropack.errors import InputError, UsageError
from neuropack.process.preprocess.recipe import KEYS, Fault, Recipe, Task, checked_steps, checked_task
from neuropack.process.preprocess.steps import STEPS, Parameter, Step
from neuropack.study.presets import preset_root, shipped_presets
from neuropack.study.records import suggestion, unknown_keys
from neuropack.study.yaml import Node, Problem, StudyError

_SUFFIXES = (".yaml", ".yml")


class RecipeError(StudyError):
    """Everything that is wrong with a recipe, each with its place."""

    about = "recipe"


def shipped() -> dict[str, Path]:
    """The recipes that ship with neuropack, by name."""
    return shipped_presets("recipes")


def recipe_named(word: str) -> Recipe:
    """A recipe by its name, or by its file.

    Raises:
        UsageError: there is none of this name.
        RecipeError, InputError: the file cannot be used.
    """
    known = shipped()
    if word in known:
        return load_recipe(known[word])
    path = Path(word)
    if path.suffix.lower() in _SUFFIXES or path.is_file():
        return load_recipe(path)
    raise UsageError(
        f"there is no recipe {word!r}",
        expected=f"a file in .yaml, or one of: {', '.join(known)}",
        found=word,
        fix=suggestion(word, known),
    )


def load_recipe(path: Path) -> Recipe:
    """A recipe from a file of its own: a mapping with ``steps``, and ``name`` and ``description`` as it likes.

    Files that it names are relative to it.

    Raises:
        RecipeError: with every mistake.
        InputError: the file cannot be read.
    """
    problems: list[Problem] = []
    root = preset_root(path, shipped(), "a recipe", "write steps: and a list below it", RecipeError, problems)
    if isinstance(root.value, dict):
        unknown_keys(root, KEYS, "a recipe", problems)
        steps = root.get("steps") or Node(None, root.at)
        name = root.get("name")
        made = recipe_of(name.text if name is not None and name.text else path.stem, steps, path.parent, problems)
    else:
        example = "steps: and below it a list"
        problems.append(Problem(root.at, "a recipe is a mapping", example, root.shown()))
        made = Recipe(path.stem, ())
    if problems:
        raise RecipeError(path, problems)
    return made


def recipe_of(name: str, node: Node, base: Path, problems: list[Problem]) -> Recipe:
    """A recipe from its list of steps; mistakes are noted with their places."""
    faults: list[Fault] = []
    made = checked_steps(name, _plain(node), faults)
    problems += [_problem(node, fault) for fault in faults]
    return Recipe(made.name, tuple(_placed(task, base) for task in made.tasks))


def task_of(text: str) -> Task:
    """A step as it is typed on a line: ``denoise``, or ``denoise=method: gaussian, strength: 0.7``.

    Raises:
        UsageError: it is none.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    name, _, given = text.partition("=")
    inner = given.strip()
    try:
        values: Any = YAML(typ="safe", pure=True).load(inner if inner.startswith("{") else f"{{{inner}}}")
    except (YAMLError, ValueError, RecursionError) as error:
        raise UsageError(
            "--step is not a step with its parameters",
            expected="such as denoise='method: gaussian, strength: 0.7'",
            found=text[:200],
            fix="write a colon and a blank between a name and its value",
        ) from error
    faults: list[Fault] = []
    bare = [str(key) for key, value in values.items() if value is None]
    if bare:
        faults.append(
            Fault((), f"{bare[0]} of {name} has no value", f"{bare[0].split(':')[0]}: and a value", bare[0])
        )
    task = checked_task(name.strip(), {str(key): value for key, value in values.items()}, (), faults)
    if faults or task is None:
        one = faults[0]
        raise UsageError(f"--step {name}: {one.what}", expected=one.expected, found=one.found, fix=one.fix)
    return _placed(task, Path())


def recipes_of(root: Node, base: Path, problems: list[Problem]) -> dict[str, Recipe]:
    """The recipes that a study names, by name."""
    node = root.get("recipes")
    if node is None or node.value is None:
        return {}
    if not isinstance(node.value, dict):
        problems.append(Problem(node.at, "recipes is a mapping", "a name, and a list of steps below", node.shown()))
        return {}
    return {name: recipe_of(name, steps, base, problems) for name, steps in node.items.items()}


def recipe_of_stack(
    settings: Node, recipes: Mapping[str, Recipe], base: Path, problems: list[Problem]
) -> Recipe | None:
    """The recipe that a stack is to be preprocessed by; None without one."""
    node = settings.get("preprocess")
    if node is None or node.value is None or isinstance(node.value, dict | list):
        return None
    if node.text in recipes:
        return recipes[node.text]
    ours = shipped()
    path = ours.get(node.text, base / node.text)
    if path.suffix.lower() in _SUFFIXES:
        try:
            return load_recipe(path)
        except RecipeError as error:
            first = error.problems[0]
            what = f"{first.at.told(str(path))}: {first.what}"
            problems.append(Problem(node.at, what, first.expected, first.found, first.fix))
        except InputError as error:
            problems.append(Problem.of(error, node.at))
        return None
    known = [*recipes, *ours]
    problems.append(
        Problem(
            node.at,
            "there is no such recipe",
            f"a file in .yaml, or one of: {', '.join(known)}",
            node.shown(),
            suggestion(node.text, known),
        )
    )
    return None


def recipes_schema() -> dict[str, Any]:
    """The JSON Schema of ``recipes:`` in a study."""
    steps: list[dict[str, Any]] = [{"enum": list(STEPS)}]
    steps += [_step_schema(name, step) for name, step in STEPS.items()]
    listed = {"type": ["array", "null"], "items": {"anyOf": steps}, "minItems": 1}
    return {"type": ["object", "null"], "additionalProperties": listed}


def _step_schema(name: str, step: Step) -> dict[str, Any]:
    fields = {key: _parameter_schema(one) for key, one in step.parameters.items()}
    inner = {
        "description": step.about[:1].upper() + step.about[1:] + ".",
        "type": ["object", "null"],
        "properties": fields,
        "additionalProperties": False,
    }
    return {"type": "object", "properties": {name: inner}, "required": [name], "additionalProperties": False}


def _parameter_schema(one: Parameter) -> dict[str, Any]:
    limits: dict[str, Any] = {
        key: v for key, v in (("minimum", one.minimum), ("maximum", one.maximum)) if v is not None
    }
    number: dict[str, Any] = {"type": "number", **limits}
    row: dict[str, Any] = {"type": "array", "items": number}
    if one.count:
        row |= {"minItems": one.count, "maxItems": one.count}
    rows: dict[str, Any] = {"type": "array", "items": row}
    made: dict[str, Any] = {
        "number": {**number, "type": ["number", "null"]},
        "integer": {**limits, "type": ["integer", "null"]},
        "boolean": {"type": ["boolean", "null"]},
        "word": {"enum": [*one.words, None]},
        "numbers": {**row, "type": ["array", "null"]},
        "rows": {**rows, "type": ["array", "null"]},
        "file": {"type": ["string", "null"]},
        "rows or file": {"anyOf": [rows, {"type": ["string", "null"]}]},
    }[one.kind]
    return {"description": one.about[:1].upper() + one.about[1:] + ".", **made}


def _plain(node: Node) -> Any:
    """The data of a node without places."""
    if isinstance(node.value, dict):
        return {key: _plain(inner) for key, inner in node.items.items()}
    if isinstance(node.value, list):
        return [_plain(inner) for inner in node.entries]
    return node.value


def _problem(node: Node, fault: Fault) -> Problem:
    """A fault with the place of what it is about, or of the nearest thing around it."""
    at = node
    for end in range(len(fault.path), -1, -1):
        found = node.get(*fault.path[:end])
        if found is not None:
            at = found
            break
    place = at.key_at if fault.key and at.key_at is not None else at.at
    return Problem(place, fault.what, fault.expected, fault.found, fault.fix)


def _placed(task: Task, base: Path) -> Task:
    """A step whose files are found from anywhere."""
    files = {key: str((base / value).resolve()) for key, value in task.files.items()}
    return replace(task, parameters={**task.parameters, **files})


def described(names: Sequence[str] = tuple(STEPS)) -> str:
    """The steps and their parameters, as text."""
    lines = []
    for name in names:
        step = STEPS[name]
        lines.append(f"{name}: {step.about}")
        for key, one in step.parameters.items():
            default = "" if one.default is None else f" (default: {str(one.default).lower()})"
            lines.append(f"    {key}: {one.about}{default}")
    return "\n".join(lines)
