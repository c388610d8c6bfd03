"""Recipes: steps in their order, each with its parameters, checked before anything is read."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuropack.process.preprocess.steps import STEPS, Parameter, digest_of

Keys = tuple[str | int, ...]
_LARGEST = sys.float_info.max
KEYS = {"name": "what it is called", "description": "what it is for", "steps": "what is done, in this order"}


@dataclass(frozen=True)
class Task:
    """A step with all its parameters."""

    step: str
    parameters: Mapping[str, Any]

    @property
    def files(self) -> dict[str, str]:
        """Its parameters that name a file."""
        known = STEPS[self.step].parameters
        return {
            key: value
            for key, value in self.parameters.items()
            if isinstance(value, str) and known[key].kind in ("file", "rows or file")
        }


@dataclass(frozen=True)
class Recipe:
    """Steps in their order."""

    name: str
    tasks: tuple[Task, ...]

    def with_task(self, task: Task) -> Recipe:
        """The same recipe with this step in place of its own of that name, else at the end."""
        names = [one.step for one in self.tasks]
        if task.step not in names:
            return Recipe(self.name, (*self.tasks, task))
        return Recipe(self.name, tuple(task if one.step == task.step else one for one in self.tasks))

    def record(self) -> list[dict[str, Any]]:
        """As plain data. Files are in it by name and content, not by their place on this machine.

        Raises:
            InputError: one of them cannot be read.
        """
        made = []
        for task in self.tasks:
            files = {k: {"name": Path(v).name, "sha256": digest_of(Path(v))} for k, v in task.files.items()}
            made.append({"step": task.step, "parameters": {**task.parameters, **files}})
        return made


@dataclass(frozen=True)
class Fault:
    """Something wrong in a recipe: the path of keys and positions to it; `key` where the key is what is wrong."""

    path: Keys
    what: str
    expected: str | None = None
    found: str | None = None
    fix: str | None = None
    key: bool = False


def checked_steps(name: str, data: Any, faults: list[Fault]) -> Recipe:
    """A recipe from plain data: a list whose entries are names of steps, or mappings of one name to its parameters.

    Args:
        name: of the recipe.
        data: the list.
        faults: where what is wrong is noted; paths begin at the list.
    """
    if not isinstance(data, list) or not data:
        example = "- align\n- denoise: {strength: 0.8}"
        fault = Fault((), "a recipe has no steps", "a list of steps", _shown(data), f"write it like {example!r}")
        faults.append(fault)
        return Recipe(name, ())
    tasks: list[Task] = []
    for at, entry in enumerate(data):
        task = _task(entry, at, faults)
        if task is None:
            continue
        if task.step in [one.step for one in tasks]:
            faults.append(Fault((at,), f"the step {task.step} comes twice", found=task.step, fix="keep one"))
        elif task.step == "noise_units" and at != len(data) - 1:
            fix = "write it at the end: others work on counts"
            faults.append(Fault((at,), "noise_units is not the last step", fix=fix))
        tasks.append(task)
    return Recipe(name, tuple(tasks))


def checked_task(name: str, given: Mapping[str, Any], at: Keys, faults: list[Fault]) -> Task | None:
    """A step with its parameters; None where there is no such step."""
    step = STEPS.get(name)
    if step is None:
        faults.append(Fault(at, f"there is no step {name!r}", found=name, fix=_near(name, STEPS), key=True))
        return None
    values = {key: parameter.default for key, parameter in step.parameters.items()}
    for key, value in given.items():
        parameter = step.parameters.get(key)
        if parameter is None:
            fix = _near(key, step.parameters) if step.parameters else f"{name} has no parameters: remove it"
            faults.append(
                Fault((*at, key), f"the step {name} has no parameter {key!r}", found=key, fix=fix, key=True)
            )
        elif value is not None:
            expected = _misfit(parameter, value)
            if expected:
                what = f"{key} of {name} does not fit"
                faults.append(Fault((*at, key), what, expected, _shown(value), f"{key}: {parameter.about}"))
            else:
                values[key] = int(value) if parameter.kind == "integer" else value
    if name == "seams" and given.get("tile") is None:
        faults.append(Fault(at, "the step seams needs to know the tiles", "tile: [y, x] in voxels", "none"))
    if name == "flat_field" and given.get("dark_image") is not None and given.get("flat") is None:
        what = "dark_image is used with a measured flat field only"
        faults.append(
            Fault((*at, "dark_image"), what, "flat beside it", "none", "give flat too, or dark", key=True)
        )
    return Task(name, values)


def _task(entry: Any, at: int, faults: list[Fault]) -> Task | None:
    """An entry of a list of steps."""
    if isinstance(entry, str):
        return checked_task(entry, {}, (at,), faults)
    if isinstance(entry, dict) and len(entry) == 1:
        ((name, given),) = entry.items()
        if given is None or isinstance(given, dict):
            return checked_task(str(name), given or {}, (at, name), faults)
        faults.append(
            Fault((at, name), f"the parameters of {name} are a mapping", "such as {strength: 0.8}", _shown(given))
        )
        return None
    expected = "the name of a step, or one name with its parameters"
    fix = "write a dash before each step" if isinstance(entry, dict) and entry else _near("", STEPS)
    faults.append(Fault((at,), "an entry of a recipe is one step", expected, _shown(entry), fix))
    return None


def _misfit(parameter: Parameter, value: Any) -> str | None:
    """What a parameter wants, where a value is not that."""
    limits = ""
    if parameter.minimum is not None or parameter.maximum is not None:
        low = f" from {parameter.minimum:g}" if parameter.minimum is not None else ""
        high = f" to {parameter.maximum:g}" if parameter.maximum is not None else ""
        limits = low + high
    wanted: str
    fits: bool
    match parameter.kind:
        case "number":
            wanted, fits = f"a number{limits}", _in_range(parameter, value)
        case "integer":
            wanted, fits = f"a whole number{limits}", _in_range(parameter, value) and value == int(value)
        case "boolean":
            wanted, fits = "true or false", isinstance(value, bool)
        case "word":
            wanted, fits = " or ".join(parameter.words), value in parameter.words
        case "file":
            wanted, fits = "the path of a file", isinstance(value, str) and bool(value)
        case "numbers":
            many = f"{parameter.count} numbers" if parameter.count else "a list of numbers"
            wanted, fits = many + limits, _row(parameter, value)
        case _:
            wanted = "a list of lists of numbers" + (", or a file" if parameter.kind == "rows or file" else "")
            fits = isinstance(value, list) and bool(value) and all(_row(parameter, row) for row in value)
            fits = fits or (parameter.kind == "rows or file" and isinstance(value, str) and bool(value))
    return None if fits else wanted


def _in_range(parameter: Parameter, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        return False
    low, high = parameter.minimum, parameter.maximum
    return (low is None or value >= low) and (high is None or value <= high)


def _row(parameter: Parameter, value: Any) -> bool:
    if not isinstance(value, list) or not value or not all(_in_range(parameter, one) for one in value):
        return False
    return parameter.count is None or len(value) == parameter.count


def _near(word: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(word.casefold().replace("-", "_"), known, 1)
    return f"did you mean {near[0]!r}?" if near else "one of: " + ", ".join(known)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping of " + ", ".join(map(str, value)) if value else "an empty mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a list of {len(value)}: {str(value)[:60]}" if value else "an empty list"
    return repr(value)[:80]
