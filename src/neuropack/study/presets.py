"""Presets and recipes: files of YAML that ship with neuropack, and those of their form that somebody wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuropack.errors import InputError, UsageError
from neuropack.resources import folder
from neuropack.study.records import suggestion
from neuropack.study.yaml import Node, Problem, StudyError, load

HUGE = 1e9
"""The largest number where nobody says otherwise."""


def shipped_presets(kind: str) -> dict[str, Path]:
    """The presets of a folder of ``templates``, by name."""
    return {path.stem: path for path in sorted((folder("templates") / kind).glob("*.yaml"))}


def preset_file(word: str, known: Mapping[str, Path]) -> Path:
    """The file of a preset.

    Raises:
        UsageError: there is none of this name.
    """
    if word not in known:
        fix = suggestion(word, known)
        raise UsageError(f"there is no preset {word!r}", expected=", ".join(known), found=word, fix=fix)
    return known[word]


def preset_root(
    path: Path, known: Mapping[str, Path], what: str, fix: str, wrong: type[StudyError], problems: list[Problem]
) -> Node:
    """What stands in a file.

    Args:
        path: of the file.
        known: the presets that ship, to be named where there is no such file.
        what: it is, with its article.
        fix: what to do about a file that is empty or no text.
        wrong: the error of mistakes in it.
        problems: where mistakes are noted that do not keep the rest from being read.

    Raises:
        StudyError: of the class `wrong`: it is no YAML.
        InputError: it cannot be read.
    """
    if not path.is_file():
        expected = f"{what} in a file in .yaml; those that ship are {', '.join(known)}"
        raise InputError("there is no such file", file=path, expected=expected)
    try:
        return load(path, problems)
    except StudyError as error:
        raise wrong(path, list(error.problems)) from error
    except InputError as error:
        said = error.what.replace("a study", what)
        raise InputError(said, file=path, found=error.found, fix=fix) from error


def number(
    name: str, node: Node, limits: Mapping[str, tuple[float, float]], problems: list[Problem], *, whole: bool
) -> Any:
    """A number within its limits (0 to `HUGE`, where it has none); None where it is none, which is noted."""
    low, high = limits.get(name, (0, HUGE))
    value = node.value
    kind = "a whole number" if whole else "a number"
    wrong = isinstance(value, bool) or not isinstance(value, int if whole else int | float)
    if wrong or (isinstance(value, float) and not math.isfinite(value)):  # an int may be too large for a float
        problems.append(Problem(node.at, f"{name} is {kind}", f"{low:g} to {high:g}", node.shown()))
        return None
    if not low <= value <= high:
        problems.append(Problem(node.at, f"{name} is out of range", f"{low:g} to {high:g}", node.shown()))
        return None
    return value if whole else float(value)
