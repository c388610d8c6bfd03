"""Images and their truth as a person lists them in a ``benchmark.yaml``: each mistake with its place."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuropack.benchmark.cases import SPLITS, Case, Data
from neuropack.errors import InputError
from neuropack.study.records import suggestion, unknown_keys
from neuropack.study.yaml import Node, Problem, StudyError, load

_FIELDS = (
    *("name", "subject", "split", "image", "voxel_size_um"),
    *("labels", "skeletons", "somata", "origin"),
)


class ListError(StudyError):
    """Everything that is wrong with such a file, or a file of methods, each with its place."""

    def __init__(self, file: Path, problems: list[Problem], what: str = "list of images") -> None:
        super().__init__(file, problems)
        self.what = self.what.replace("in the study", f"in the {what}")


def data_listed(path: Path) -> Data:
    """The images that a file lists.

    Raises:
        ListError: with every mistake.
        InputError: it cannot be read.
    """
    problems: list[Problem] = []
    root = loaded(path, problems)
    unknown_keys(root, ("name", "images"), "a benchmark", problems)
    images = root.get("images")
    if images is None or not images.entries:
        problems.append(Problem(root.at, "images are missing", "a list under the key images"))
    cases = [_case(node, path.parent, i, problems) for i, node in enumerate(images.entries if images else ())]
    names = [case.name for case in cases if case is not None]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(Problem(root.at, f"two images have the name {name!r}", fix="give each a name of its own"))
    if problems:
        raise ListError(path, problems)
    title = root.get("name")
    return Data(
        name=str(title.text) if title is not None and title.text else path.parent.name,
        path=path.parent,
        digests=(hashlib.sha256(path.read_bytes()).hexdigest(),),
        content=_content(path, [case for case in cases if case is not None]),
        seed=None,
        cases=tuple(case for case in cases if case is not None),
    )


def _content(path: Path, cases: Sequence[Case]) -> str:
    """A digest of the list, and of the sizes of all files that it names: those that changed mostly differ in it."""
    found = hashlib.sha256(path.read_bytes())
    for case in cases:
        for one in case.files():
            parts = sorted(one.rglob("*")) if one.is_dir() else [one]
            found.update(repr([part.stat().st_size for part in parts if part.is_file()]).encode())
    return found.hexdigest()


def loaded(path: Path, problems: list[Problem]) -> Node:
    """A YAML file.

    Raises:
        ListError: it is none.
        InputError: it cannot be read.
    """
    try:
        return load(path, problems)
    except StudyError as error:
        raise ListError(path, list(error.problems), "file") from error
    except InputError as error:
        what = error.what.replace("a study", "a benchmark")
        raise InputError(what, file=path, found=error.found, fix="see docs/how-to/benchmark.md") from error


def _case(node: Node, folder: Path, row: int, problems: list[Problem]) -> Case | None:
    before = len(problems)
    unknown_keys(node, _FIELDS, "an image", problems)
    if not isinstance(node.value, dict):
        return None
    image = _file(node, "image", folder, problems)
    if image is None and node.get("image") is None:
        problems.append(Problem(node.at, "an image has no file", "the key image"))
    split = _word(node, "split", SPLITS, "test", problems)
    origin = _word(node, "origin", ("corner", "centre"), "corner", problems)
    size = _size(node.get("voxel_size_um"), problems)
    truth = {key: _file(node, key, folder, problems) for key in ("labels", "skeletons", "somata")}
    if len(problems) > before or image is None:
        return None
    name = _text(node, "name") or image.name.partition(".")[0]
    if not name.strip(". ") or any(c in name for c in "/\\\n\t"):
        problems.append(Problem(node.at, "a name cannot be that of a folder", "letters, digits, - and _", name))
        return None
    subject = _text(node, "subject") or name
    lines = (truth["skeletons"],) if truth["skeletons"] else ()
    return Case(
        name,
        subject,
        split,
        image,
        size,
        truth["labels"],
        lines,
        truth["somata"],
        origin,  # type: ignore[arg-type]
    )


def _text(node: Node, key: str) -> str:
    one = node.get(key)
    return one.text if one is not None else ""


def _word(node: Node, key: str, known: tuple[str, ...], otherwise: str, problems: list[Problem]) -> str:
    one = node.get(key)
    if one is None:
        return otherwise
    if one.value not in known:
        problems.append(
            Problem(one.at, f"{key} has no such value", ", ".join(known), one.shown(), suggestion(one.text, known))
        )
        return otherwise
    return str(one.value)


def _size(node: Node | None, problems: list[Problem]) -> tuple[float, float, float] | None:
    if node is None:
        return None
    values: list[Any] = [one.value for one in node.entries]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < 1e9 for v in values)
    if len(values) != 3 or not numbers:
        problems.append(Problem(node.at, "is no voxel size", "[z, y, x] in micrometre", node.shown()))
        return None
    z, y, x = (float(v) for v in values)
    return z, y, x


def _file(node: Node, key: str, folder: Path, problems: list[Problem]) -> Path | None:
    one = node.get(key)
    if one is None:
        return None
    path = folder / one.text if isinstance(one.value, str) and one.text else None
    if path is None or not path.exists():
        problems.append(Problem(one.at, f"{key} is not there", "a file or folder beside this one", one.shown()))
        return None
    return path.absolute()
