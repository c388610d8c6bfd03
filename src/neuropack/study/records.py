"""From what a person typed to a record of the model: the schema says which keys there are and what they hold."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from neuropack import schema
from neuropack.study.yaml import Node, Place, Problem

Record = dict[str, Any]


def suggestion(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """What to do about an unknown key or value: the nearest known one, else `otherwise`, else all of them."""
    known = list(known)
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(word.casefold(), folded, 1)
    return f"did you mean {folded[near[0]]!r}?" if near else otherwise or "one of: " + ", ".join(known)


def unknown_keys(node: Node, known: Iterable[str], what: str, problems: list[Problem]) -> None:
    """Note every key of a mapping that is not `known`; and the node itself where it is no mapping."""
    if node.value is None:
        return
    if not isinstance(node.value, dict):
        problems.append(Problem(node.at, f"{what} is a mapping", "keys and values", node.shown()))
        return
    known = list(known)
    for key, child in node.items.items():
        if key not in known:
            fix = suggestion(key, known)
            problems.append(Problem(child.key_at or child.at, f"{what} has no field {key!r}", found=key, fix=fix))


def record(
    name: str,
    node: Node | None,
    problems: list[Problem],
    *,
    at: Place,
    given: Record | None = None,
    whole: bool = True,
) -> Record:
    """The record of class `name` that a mapping describes.

    Args:
        name: a class of the schema, such as ``Subject``.
        node: what was typed; None for nothing.
        problems: where unknown keys, wrong values and missing fields are noted.
        at: the place to point at for a missing field where nothing was typed.
        given: fields that neuropack fills in itself.
        whole: whether every required field must be there by now; else the raw file may still give it.
    """
    label = name.lower()
    typed: Record = {}
    if node is not None and node.value is not None:
        if not isinstance(node.value, dict):
            unknown_keys(node, (), label, problems)
            return {}
        typed = _mapping(node, name, label, problems)
    full = typed | (given or {})
    for problem in schema.validate(full if whole else _completed(full, name), name):
        path = _path(problem.pointer)
        place = _empty(node, path, problem.found) or _nearest(node, path)
        what = f"{'.'.join([label, *map(str, path)])} does not fit the schema"
        problems.append(Problem(place or at, what, problem.expected, problem.found, problem.fix))
    return full


def _mapping(node: Node, name: str, label: str, problems: list[Problem]) -> Record:
    known = schema.fields(name)
    unknown_keys(node, known, label, problems)
    values = {k: _value(n, known[k], f"{label}.{k}", problems) for k, n in node.items.items() if k in known}
    return {k: v for k, v in values.items() if v is not None}


def _value(node: Node, info: Mapping[str, Any], label: str, problems: list[Problem]) -> Any:
    """Plain data of the types that the schema asks for: ``01`` stays text where text belongs."""
    if isinstance(node.value, list):
        return [_value(n, info, f"{label}.{i}", problems) for i, n in enumerate(node.entries)]
    if isinstance(node.value, dict):
        if info["kind"] == "record":
            return _mapping(node, info["range"], label, problems)
        return {k: n.text for k, n in node.items.items()}
    if node.value is not None and info["kind"] in ("string", "enum", "reference"):
        return node.text.strip()  # a block of text ends with a line break
    if info["kind"] == "number" and type(node.value) is int:
        return float(node.value)
    return node.value


def _completed(data: Any, name: str) -> Any:
    """A record with the schema's examples for all that is absent, so that only what is there is judged."""
    if not isinstance(data, dict):
        return data
    full = {field: info["example"] for field, info in schema.fields(name).items()}
    for field, value in data.items():
        info = schema.fields(name).get(field, {"kind": ""})
        if info["kind"] == "record":
            inner = info["range"]
            value = [_completed(v, inner) for v in value] if isinstance(value, list) else _completed(value, inner)  # noqa: PLW2901
        full[field] = value
    return full


def ordered(data: Any, name: str) -> Any:
    """A record with its fields in the schema's order, and so the records inside it."""
    if not isinstance(data, dict):
        return data
    known = schema.fields(name)
    full: Record = {}
    for field in [*(f for f in known if f in data), *(f for f in data if f not in known)]:
        value, info = data[field], known.get(field, {"kind": ""})
        if info["kind"] == "record":
            inner = info["range"]
            full[field] = [ordered(v, inner) for v in value] if isinstance(value, list) else ordered(value, inner)
        else:
            full[field] = value
    return full


def _path(pointer: str) -> tuple[str | int, ...]:
    parts = (p.replace("~1", "/").replace("~0", "~") for p in pointer.split("/")[1:])
    return tuple(int(p) if p.isdigit() else p for p in parts)


def _empty(node: Node | None, path: tuple[str | int, ...], found: str) -> Place | None:
    """The key or cell without a value that a message is about: the schema misses it, a person looks there."""
    for word in re.findall(r"\w+", found):
        above = node.get(*path) if node is not None else None
        if above is not None and word in above.blanks and word not in above.items:
            return above.blanks[word]
        child = above.get(word) if above is not None else None
        if child is not None and child.value is None:
            return child.key_at
    return None


def _nearest(node: Node | None, path: tuple[str | int, ...]) -> Place | None:
    """The place of what a path leads to, or of the last thing on the way there."""
    for end in range(len(path), -1, -1):
        found = node.get(*path[:end]) if node is not None else None
        if found is not None:
            return found.at
    return None
