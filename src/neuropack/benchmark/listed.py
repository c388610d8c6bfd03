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

WHAT = "list of images"
_FIELDS = (
    *("name", "subject", "split", "image", "voxel_size_um"),
    *("labels", "skeletons", "somata", "origin"),
)


class ListError(StudyError):
    """Everything that is wrong with such a file, or a file of methods, each with its place."""

    def __init__(self, file: Path, problems: list[Problem], what: str = WHAT) -> None:
        self.about = what
        super().__init__(file, problems)


def data_listed(path: Path) -> Data:
    """The images that a file lists.

    Raises:
        ListError: with every mistake.
        InputError: it cannot be read.
    """
    problems: list[Problem] = []
    root = loaded(path, problems)
    if not is_mapping(root, ("name", "images"), "a benchmark", problems):
        raise ListError(path, problems)
    title = text_of(root, "name", problems)
    images = root.get("images")
    nodes = images.entries if images is not None else []
    if not nodes:
        at = root.at if images is None else images.at
        problems.append(Problem(at, "images are missing", "a list under the key images"))
    pairs = [(node, case) for node in nodes if (case := _case(node, path.parent, problems)) is not None]
    _see_names(pairs, problems)
    _see_subjects(pairs, problems)
    if problems:
        raise ListError(path, problems)
    cases = tuple(case for _, case in pairs)
    listed = path.read_bytes()
    return Data(
        name=title or path.parent.name,
        path=path.parent,
        digests=(hashlib.sha256(listed).hexdigest(),),
        content=_content(listed, cases),
        seed=None,
        cases=cases,
    )


def _see_names(pairs: Sequence[tuple[Node, Case]], problems: list[Problem]) -> None:
    first: dict[str, Node] = {}
    for node, case in pairs:
        at = given(node, "name") or node
        if first.setdefault(case.name, at) is not at:
            problems.append(
                Problem(
                    at.at,
                    f"two images have the name {case.name!r}",
                    found=f"it stands in {first[case.name].at.short()} already",
                    fix="give each a name of its own",
                )
            )


def _see_subjects(pairs: Sequence[tuple[Node, Case]], problems: list[Problem]) -> None:
    """See that no animal is in two splits."""
    first: dict[str, str] = {}
    for node, case in pairs:
        split = given(node, "split")
        if split is not None and split.value not in SPLITS:
            continue  # which is told of already
        if first.setdefault(case.subject, case.split) != case.split:
            problems.append(
                Problem(
                    (given(node, "subject") or node).at,
                    f"the subject {case.subject!r} is in two splits: methods would be tested on an animal that "
                    "they were tuned on",
                    "one split",
                    f"{first[case.subject]} and {case.split}",
                    "put all images of an animal into one split",
                )
            )


def _content(listed: bytes, cases: Sequence[Case]) -> str:
    """A digest of the list, and of the sizes of all files that it names: those that changed mostly differ in it."""
    found = hashlib.sha256(listed)
    for case in cases:
        for one in case.files():
            parts = sorted(one.rglob("*")) if one.is_dir() else [one]
            found.update(repr([part.stat().st_size for part in parts if part.is_file()]).encode())
    return found.hexdigest()


def loaded(path: Path, problems: list[Problem], what: str = WHAT) -> Node:
    """A YAML file.

    Raises:
        ListError: it is none.
        InputError: it cannot be read.
    """
    try:
        return load(path, problems)
    except StudyError as error:
        raise ListError(path, list(error.problems), what) from error
    except InputError as error:
        said = error.what.replace("a study", f"a {what}")
        expected = error.expected and error.expected.replace("a study", f"a {what}")
        raise InputError(
            said, file=path, expected=expected, found=error.found, fix="see docs/how-to/benchmark.md"
        ) from error


def is_mapping(node: Node, fields: Sequence[str], what: str, problems: list[Problem]) -> bool:
    """Whether it is one, its keys known; else it is noted."""
    if node.value is None:
        problems.append(Problem(node.at, f"{what} is a mapping", "keys and values", "nothing"))
    unknown_keys(node, fields, what, problems)
    return isinstance(node.value, dict)


def given(node: Node, key: str) -> Node | None:
    """What stands under a key; None where that is nothing, as where the key is left out."""
    one = node.get(key)
    return None if one is None or one.value is None else one


def text_of(node: Node, key: str, problems: list[Problem]) -> str:
    """The text under a key, as it was written; "" where there is none."""
    one = given(node, key)
    if one is not None and isinstance(one.value, dict | list):
        problems.append(Problem(one.at, f"{key} is no text", found=one.shown()))
    return one.text if one is not None else ""


def _case(node: Node, folder: Path, problems: list[Problem]) -> Case | None:
    if not is_mapping(node, _FIELDS, "an image", problems):
        return None
    image = _file(node, "image", folder, problems)
    if given(node, "image") is None:
        problems.append(Problem(node.at, "an image has no file", "the key image"))
    split = _word(node, "split", SPLITS, "test", problems)
    origin = _word(node, "origin", ("corner", "centre"), "corner", problems)
    size = _size(given(node, "voxel_size_um"), problems)
    truth = {key: _file(node, key, folder, problems) for key in ("labels", "skeletons", "somata")}
    name, subject = (text_of(node, key, problems) for key in ("name", "subject"))
    if image is None:
        return None
    name = name or image.name.partition(".")[0]
    if not name.strip(". ") or any(c in name for c in "/\\\n\t"):
        at = (given(node, "name") or node).at
        problems.append(Problem(at, "a name cannot be that of a folder", "letters, digits, - and _", name))
        return None
    lines = (truth["skeletons"],) if truth["skeletons"] else ()
    return Case(
        name,
        subject or name,
        split,
        image,
        size,
        truth["labels"],
        lines,
        truth["somata"],
        origin,  # type: ignore[arg-type]
    )


def _word(node: Node, key: str, known: tuple[str, ...], otherwise: str, problems: list[Problem]) -> str:
    one = given(node, key)
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
    one = given(node, key)
    if one is None:
        return None
    if not isinstance(one.value, str) or not one.value:
        problems.append(Problem(one.at, f"{key} is no path", "that of a file or folder", one.shown()))
        return None
    path = folder / one.text
    if not path.exists():
        problems.append(Problem(one.at, f"{key} is not there", "a file or folder beside this one", one.shown()))
        return None
    return path.absolute()
