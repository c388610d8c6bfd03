"""A study from study.yaml (or sheets) to sheets, read back to see that it says the same."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from neuropack.errors import NeuropackError, UsageError
from neuropack.study import Study, checked_study, read_study, study_file
from neuropack.study.sheets import load_sheets
from neuropack.study.sheets.fill import records_of
from neuropack.study.sheets.save import NAMES, Kind, save
from neuropack.study.yaml import Problem


def to_sheets(path: Path, kind: Kind) -> Path:
    """Write the sheets of a study into its folder, and return their path.

    Args:
        path: study.yaml, sheets of the other kind, or the folder that holds them.
        kind: a workbook, or a folder of TSV files.

    Raises:
        StudyError: the study has mistakes.
        UsageError: the sheets are there already, or cannot hold what the study says.
        OutputError: they cannot be written.
    """
    path = study_file(path)
    problems: list[Problem] = []
    root = read_study(path, problems)
    study = checked_study(path, root, problems)

    def see(new: Path) -> None:
        problems: list[Problem] = []
        try:
            tree = load_sheets(new, problems)
            again = checked_study(path.parent / NAMES[kind], tree, problems)
        except NeuropackError as error:
            raise _differs(path, str(error)) from error
        if (found := _difference(_said(study), _said(again))) is not None:
            raise _differs(path, found)

    return save(records_of(root), path.parent, kind, see)


def _differs(path: Path, found: str) -> UsageError:
    fix = "change this in the study, or stay with the form that it has"
    return UsageError("sheets cannot hold all that this study says", file=path, found=found, fix=fix)


def _said(value: Any) -> Any:
    """What a study says, without where it says it."""
    if isinstance(value, Study):
        return {key: _said(getattr(value, key)) for key in ("dataset", "release", "stacks", "atlas")}
    if is_dataclass(value) and not isinstance(value, type):
        said = {f.name: _said(getattr(value, f.name)) for f in fields(value) if f.name not in ("at", "named")}
        return {**said, "named": sorted(getattr(value, "named", ()))}
    if isinstance(value, dict):
        return {key: _said(one) for key, one in value.items()}
    return [_said(one) for one in value] if isinstance(value, list | tuple) else value


def _difference(one: Any, other: Any, where: str = "") -> str | None:
    """The first thing that differs, in words."""
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(key, one.get(key), other.get(key)) for key in [*one, *(k for k in other if k not in one)]]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(one, other, strict=True))]
    else:
        return None if one == other else f"{where.strip('.')}: {str(one)[:60]!r}, read back as {str(other)[:60]!r}"
    found = (_difference(a, b, f"{where}.{key}") for key, a, b in pairs)
    return next((text for text in found if text is not None), None)
