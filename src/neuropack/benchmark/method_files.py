"""Files of methods, as a person writes them in YAML: each mistake with its place, all in one message."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from neuropack.benchmark.cases import SPLITS, TASKS
from neuropack.benchmark.leaks import SAID
from neuropack.benchmark.listed import ListError, given, is_mapping, loaded, text_of
from neuropack.benchmark.outside import NAME, PLACE, WORDS, Outside
from neuropack.study.records import suggestion, unknown_keys
from neuropack.study.yaml import Node, Problem

WHAT = "file of methods"
_FIELDS = ("name", "command", "tasks", "settings", "trained_on", "timeout_s", "about")
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")


def outside_listed(path: Path) -> list[Outside]:
    """The commands that a YAML file tells of: one, or several under the key ``methods``.

    Raises:
        ListError: with every mistake.
        InputError: it cannot be read.
    """
    problems: list[Problem] = []
    root = loaded(path, problems, WHAT)
    nodes = root.get("methods")
    entries = [root]
    if nodes is not None:
        unknown_keys(root, ("methods",), f"a {WHAT}", problems)
        entries = nodes.entries
        if not entries:
            problems.append(Problem(nodes.at, "there is no method", "a list", nodes.shown()))
    found = [_method(node, path.absolute().parent, problems) for node in entries]
    first: dict[str, Node] = {}
    for node in entries:
        name = given(node, "name")
        if name is not None and first.setdefault(name.text, name) is not name and name.text:
            problems.append(
                Problem(
                    name.at,
                    f"two methods have the name {name.text!r}",
                    found=f"it stands in {first[name.text].at.short()} already",
                    fix="give each a name of its own",
                )
            )
    if problems:
        raise ListError(path, problems, WHAT)
    return [one for one in found if one is not None]


def _method(node: Node, folder: Path, problems: list[Problem]) -> Outside | None:
    if not is_mapping(node, _FIELDS, "a method", problems):
        return None
    name = given(node, "name")
    if name is None:
        problems.append(Problem(node.at, "a method has no name", "the key name"))
    elif not NAME.fullmatch(name.text):
        problems.append(Problem(name.at, "is no name of a method", "letters, digits, . _ + and -", name.shown()))
    words = _command(node, problems)
    settings = _settings(node, problems)
    for key in dict.fromkeys(key for word in words for key in PLACE.findall(word)):
        if key not in WORDS and not all(key in one for one in settings or [{}]):
            command = node.items["command"]
            expected = f"{', '.join(WORDS)}, or a setting that every entry of settings has"
            problems.append(Problem(command.at, f"nothing fills {{{key}}}", expected, key))
    return Outside(
        name.text if name is not None else "",
        tuple(words),
        _tasks(node, problems),
        tuple(settings),
        tuple(_trained(one, folder, problems) for one in _mappings(node, "trained_on", problems)),
        folder,
        _limit(node, problems),
        text_of(node, "about", problems),
    )


def _command(node: Node, problems: list[Problem]) -> Sequence[str]:
    command = given(node, "command")
    words: list[str] = []
    if command is not None and command.entries:
        for one in command.entries:
            if one.value is None or isinstance(one.value, dict | list):
                problems.append(Problem(one.at, "a word of the command is no text", found=one.shown()))
        words = [one.text for one in command.entries]
        if not words[0] and command.entries[0].value == "":
            words = []
    elif command is not None and isinstance(command.value, str):
        try:
            words = shlex.split(command.value)
        except ValueError as error:
            problems.append(
                Problem(command.at, "the command cannot be cut into words", "closed quotes", str(error))
            )
            return []
    if not words:
        at = node.at if command is None else command.at
        problems.append(Problem(at, "a method has no command", 'command: [program, "{image}", "{output}"]'))
    return words


def _tasks(node: Node, problems: list[Problem]) -> tuple[str, ...]:
    tasks = given(node, "tasks")
    if tasks is None:
        return TASKS
    if not tasks.entries:
        problems.append(Problem(tasks.at, "tasks is no list", f"some of {', '.join(TASKS)}", tasks.shown()))
    _known(tasks.entries, TASKS, "there is no such task", problems)
    return tuple(one.text for one in tasks.entries)


def _settings(node: Node, problems: list[Problem]) -> list[dict[str, Any]]:
    entries = _mappings(node, "settings", problems)
    for one in entries:
        for key, value in one.items.items():
            if key in WORDS:
                expected = f"another name than {', '.join(WORDS)}"
                problems.append(Problem(value.key_at or value.at, f"a setting cannot be called {key!r}", expected))
    return [_plain(one) for one in entries]


def _limit(node: Node, problems: list[Problem]) -> float | None:
    limit = given(node, "timeout_s")
    if limit is None:
        return None
    value = limit.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        problems.append(Problem(limit.at, "timeout_s is no time", "seconds, above 0", limit.shown()))
        return None
    return float(value)


def _trained(node: Node, folder: Path, problems: list[Problem]) -> dict[str, Any]:
    """What a method was trained on; what is misspelt here would hide that it has seen the test data."""
    unknown_keys(node, SAID, "an entry of trained_on", problems)
    said = _plain(node)
    release, seed, subjects = (given(node, key) for key in ("release", "seed", "subjects"))
    if release is not None:
        path = folder / release.text
        if not isinstance(release.value, str) or not path.is_dir():
            fix = "give its manifest_sha256 in place of it, where it is not here"
            problems.append(Problem(release.at, "release is not there", "the folder of it", release.shown(), fix))
        said["release"] = str(path)
    for key in ("manifest_sha256", "sha256"):
        one = given(node, key)
        if one is not None and not _DIGEST.fullmatch(one.text):
            problems.append(Problem(one.at, f"{key} is no SHA-256", "64 hexadecimal digits", one.shown()))
    if seed is not None and (isinstance(seed.value, bool) or not isinstance(seed.value, int)):
        problems.append(Problem(seed.at, "seed is no whole number", found=seed.shown()))
    if subjects is not None and not subjects.entries:
        problems.append(Problem(subjects.at, "subjects is no list", "[sub-M1, ...]", subjects.shown()))
    for key in ("splits", "split"):
        one = given(node, key)
        if one is not None:
            _known(one.entries or [one], SPLITS, "there is no such split", problems)
    return said


def _known(nodes: Iterable[Node], known: Sequence[str], what: str, problems: list[Problem]) -> None:
    for one in nodes:
        if one.value not in known:
            problems.append(Problem(one.at, what, ", ".join(known), one.shown(), suggestion(one.text, known)))


def _mappings(node: Node, key: str, problems: list[Problem]) -> list[Node]:
    one = given(node, key)
    if one is None:
        return []
    wrong = [entry for entry in one.entries if not isinstance(entry.value, dict)]
    if not isinstance(one.value, list) or wrong:
        bad = (wrong or [one])[0]
        problems.append(Problem(bad.at, f"{key} is no list of mappings", "- {name: value}", bad.shown()))
        return []
    return one.entries


def _plain(node: Node) -> dict[str, Any]:
    return {key: _value(one) for key, one in node.items.items()}


def _value(node: Node) -> Any:
    if isinstance(node.value, dict):
        return _plain(node)
    return [_value(one) for one in node.value] if isinstance(node.value, list) else node.value
