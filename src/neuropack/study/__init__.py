"""A study: the folder that describes, in study.yaml or in sheets, what becomes a release, and is checked first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neuropack import schema
from neuropack.errors import UsageError
from neuropack.study.benchmarks import benchmarks_of, splits_of
from neuropack.study.inherit import Resolved, resolve
from neuropack.study.recipes import recipes_of
from neuropack.study.records import Record, record
from neuropack.study.registration import AtlasChoice, atlas_of
from neuropack.study.shape import FILLED_IN
from neuropack.study.sheets import FOLDER, WORKBOOK, load_sheets
from neuropack.study.stack import Stack, make_stack
from neuropack.study.yaml import Node, Place, Problem, StudyError, load

__all__ = ["FILE", "Stack", "Study", "StudyError", "load_study"]

FILE = "study.yaml"


@dataclass(frozen=True)
class Study:
    """A study that was found free of mistakes as far as it can be known without opening the raw files."""

    path: Path
    dataset: Record
    release: Record
    stacks: tuple[Stack, ...]
    atlas: AtlasChoice | None = None
    benchmarks: tuple[Record, ...] = ()

    @property
    def subjects(self) -> list[Record]:
        """One record per subject, in the study's order."""
        return list({s.subject["id"]: s.subject for s in self.stacks}.values())

    @property
    def specimens(self) -> list[Record]:
        """One record per specimen, in the study's order."""
        return list({s.specimen["id"]: s.specimen for s in self.stacks}.values())

    @property
    def labellings(self) -> list[Record]:
        """One record per labelled specimen."""
        return list({s.labelling["id"]: s.labelling for s in self.stacks if s.labelling is not None}.values())

    @property
    def splits(self) -> dict[str, str]:
        """The split of each subject that a benchmark names, in the study's order."""
        said = splits_of(self.benchmarks)
        return {subject["id"]: said[subject["id"]] for subject in self.subjects if subject["id"] in said}

    def __repr__(self) -> str:
        return f"<Study {self.path}: {len(self.subjects)} subject(s), {len(self.stacks)} stack(s)>"


def load_study(path: Path) -> Study:
    """Read and check a study.

    Args:
        path: study.yaml, a workbook, a folder of TSV files, or the folder that holds one of them.

    Raises:
        StudyError: with every mistake of the study, each with its place.
        UsageError: the folder holds more than one of them.
        InputError: the file cannot be read.
    """
    path = study_file(path)
    problems: list[Problem] = []
    root = read_study(path, problems)
    return checked_study(path, root, problems)


def study_file(path: Path) -> Path:
    """What a study is read from, where its folder is named: study.yaml, study.xlsx or sheets/.

    Raises:
        UsageError: more than one of them is there.
    """
    if not path.is_dir():
        return path
    found = [name for name in (FILE, WORKBOOK, FOLDER) if (path / name).exists()]
    if len(found) > 1:
        raise UsageError(
            "a study is read from one place, and here are several",
            file=path,
            found=", ".join(found),
            fix="name the one that is meant instead of the folder, or move the others away",
        )
    if not found and (path / "study.tsv").exists():  # the folder of the sheets itself
        return path
    return path / (found or [FILE])[0]


def read_study(path: Path, problems: list[Problem]) -> Node:
    """The tree of a study, as it is written.

    Args:
        path: study.yaml, a workbook, or a folder of TSV files.
        problems: where what cannot be understood is noted.
    """
    if path.is_dir() or path.suffix.lower() in (".xlsx", ".xlsm"):
        return load_sheets(path, problems)
    return load(path, problems)


def checked_study(path: Path, root: Node, problems: list[Problem]) -> Study:
    """The study that a tree describes.

    Args:
        path: what it was read from; files are relative to its folder.
        root: the tree.
        problems: what was found wrong with it so far.

    Raises:
        StudyError: with every mistake.
    """
    if not isinstance(root.value, dict):
        fix = "neuropack init DIR writes a study to fill in"
        raise StudyError(path, [Problem(root.at, "a study is a mapping", "keys and values", root.shown(), fix)])
    dataset = record("Dataset", root.get("dataset"), problems, at=root.at)
    release = _release(root, problems)
    stacks: list[Stack] = []
    ids: set[str] = set()
    taken: dict[str, Place] = {}
    spelt: dict[str, str] = {}
    told: set[str] = set()
    recipes = recipes_of(root, path.parent, problems)
    for found in resolve(root, problems):
        stack = make_stack(path.parent, found, problems, recipes)
        if stack is None:
            continue
        for name, at, fix in _names(stack, found):
            first = taken.setdefault(name, at)
            if first != at:
                problems.append(Problem(at, f"{name} comes twice", found=f"in {first.short()} already", fix=fix))
        if (problem := _spelling(stack, spelt, told)) is not None:
            problems.append(problem)
        if stack.id in ids:
            fix = "tell them apart with chunk:, acq: or session:"
            problems.append(Problem(stack.at, "another stack has this name already", found=stack.id, fix=fix))
        ids.add(stack.id)
        stacks.append(stack)
    atlas = atlas_of(root, path.parent, problems)
    subjects = root.get("subjects")
    known = [one.text for subject in (subjects.entries if subjects else []) if (one := subject.get("id"))]
    benchmarks = benchmarks_of(root, known, problems)
    problems += _newer(root)
    if problems:
        raise StudyError(path, problems)
    return Study(path, dataset, release, tuple(stacks), atlas, benchmarks)


def _release(root: Node, problems: list[Problem]) -> Record:
    """What the study says of the release itself: changelog and licences; the rest follows from the dataset."""
    node = root.get("release")
    for key in FILLED_IN["Release"]:
        if node is not None and (typed := node.get(key)) is not None:
            what, fix = f"release.{key} is not to be typed", "remove it: neuropack fills it in"
            problems.append(Problem(typed.key_at or typed.at, what, found=typed.shown(), fix=fix))
    given = {"manifest": "manifest.tsv"}
    return record("Release", node, problems, at=root.at, given=given, whole=False)


def _spelling(stack: Stack, spelt: dict[str, str], told: set[str]) -> Problem | None:
    """Two labels that a person or a file system takes for one, such as session 1 and session 01; told once."""
    parts = f"{stack.name}_{stack.suffix}".split("_")
    for end in range(1, len(parts) + 1):
        name = "_".join(parts[:end])
        first = spelt.setdefault(re.sub(r"-0+(?=[0-9])", "-", name.casefold()), name)
        if first != name:
            if name in told:
                return None
            told.add(name)
            what = f"{parts[end - 1]} is {first.split('_')[-1]} in another spelling"
            fix = "write both alike, or name them so that they cannot be confused"
            return Problem(stack.at, what, first, name, fix)
    return None


def _newer(root: Node) -> list[Problem]:
    """A problem where the study was written for a later schema than this."""
    node, ours = root.get("schema_version"), schema.schema_version()
    if node is None or node.value is None:
        return []
    parts = node.text.split(".")
    if not all(p.isdigit() for p in parts):
        return [Problem(node.at, "schema_version is no version", ours, node.shown(), f'write "{ours}"')]
    if [int(p) for p in parts[:2]] > [int(p) for p in ours.split(".")[:2]]:
        return [Problem(node.at, "the study is for a newer schema", ours, node.text, "update neuropack")]
    return []


def _names(stack: Stack, found: Resolved) -> Iterator[tuple[str, Place, str]]:
    """What may stand in one place of the study only, and what to do where it does not."""
    yield f"the subject {stack.subject['id']}", found.subject.at, "list its specimens together, under one subject"
    yield f"the specimen {stack.specimen['id']}", found.specimen.at, "list its stacks together, under one specimen"
    scene = f", scene {stack.scene}" if stack.scene else ""
    yield f"the image {stack.file}{scene}", found.settings.at, "name the file (or scene) that is meant here"
