"""From what a person typed to a record of the model: the schema says which keys there are and what they hold."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from functools import cache
from typing import Any

from neuropack import resources
from neuropack.study.yaml import Node, Place, Problem

Record = dict[str, Any]


@cache
def json_schema() -> dict[str, Any]:
    """The JSON Schema made from schema/."""
    path = resources.folder("schema") / "generated" / "neuropack.schema.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _definition(spec: dict[str, Any]) -> dict[str, Any]:
    """A property's schema with its reference followed and its ``or null`` taken away."""
    for option in spec.get("anyOf", ()):
        if option.get("type") != "null":
            return _definition(option)
    if "$ref" in spec:
        found: dict[str, Any] = json_schema()["$defs"][spec["$ref"].rsplit("/", 1)[-1]]
        return found
    return spec


def _is(spec: dict[str, Any], name: str) -> bool:
    kinds = spec.get("type", ())
    return name == kinds or (not isinstance(kinds, str) and name in kinds)


def properties(name: str) -> dict[str, dict[str, Any]]:
    """The fields of a class of the schema, by name."""
    found: dict[str, dict[str, Any]] = json_schema()["$defs"][name]["properties"]
    return found


def suggestion(word: str, known: list[str]) -> str:
    """What to do about a key or value that is not known: the nearest one that is, or all of them."""
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]!r}?" if near else "one of: " + ", ".join(known)


def unknown_keys(node: Node, known: list[str], what: str, problems: list[Problem]) -> None:
    """Note every key of a mapping that is not `known`; and the node itself where it is no mapping."""
    if node.value is None:
        return
    if not isinstance(node.value, dict):
        problems.append(Problem(node.at, f"{what} is a mapping", "keys and values", node.shown()))
        return
    for key, child in node.items.items():
        if key not in known:
            fix = suggestion(key, known)
            problems.append(Problem(child.key_at or child.at, f"{what} has no field {key!r}", found=key, fix=fix))


def _plain(node: Node, spec: dict[str, Any], what: str, problems: list[Problem]) -> Any:
    """Plain data of the types that the schema asks for: ``01`` stays text where text belongs."""
    spec = _definition(spec)
    if isinstance(node.value, dict):
        known = spec.get("properties")
        if known is None:
            return {k: _plain(v, {}, what, problems) for k, v in node.items.items()}
        unknown_keys(node, list(known), what, problems)
        pairs = {k: _plain(v, known[k], f"{what}.{k}", problems) for k, v in node.items.items() if k in known}
        return {k: v for k, v in pairs.items() if v is not None}
    if isinstance(node.value, list):
        return [_plain(v, spec.get("items", {}), what, problems) for v in node.entries]
    if node.value is not None and (_is(spec, "string") or "enum" in spec):
        return node.text.strip()  # a block of text ends with a line break
    return node.value


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
        whole: whether a required field must be there by now; else the file may still give it.
    """
    label = name.lower()
    typed: Record = {}
    if node is not None and node.value is not None:
        if not isinstance(node.value, dict):
            unknown_keys(node, [], label, problems)
            return {}
        typed = _plain(node, {"$ref": f"#/$defs/{name}"}, label, problems)
    full = typed | (given or {})
    for path, message, expected, found in faults(name, full, whole=whole):
        where = _nearest(node, path)
        place = where.at if where is not None else at
        if node is not None and where is node and node.items:
            place = next(iter(node.items.values())).key_at or place
        problems.append(Problem(place, f"{'.'.join([label, *map(str, path)])} {message}", expected, found))
    return full


def _nearest(node: Node | None, path: tuple[str | int, ...]) -> Node | None:
    for end in range(len(path), -1, -1):
        found = node.get(*path[:end]) if node is not None else None
        if found is not None:
            return found
    return None


Fault = tuple[tuple[str | int, ...], str, str, str]


def faults(name: str, data: Record, *, whole: bool = True) -> list[Fault]:
    """What the schema says against a record: path, what, expected, found."""
    out: list[Fault] = []
    for error in sorted(_validator(name)(data), key=lambda e: [str(p) for p in e.absolute_path]):
        path = tuple(error.absolute_path)
        if error.validator == "required":
            missing = [k for k in error.validator_value if k not in error.instance]
            out += [((*path, k), "is missing", described(name, (*path, k)), "nothing") for k in missing if whole]
        elif error.validator != "additionalProperties":  # noted with its own place by unknown_keys
            out.append((path, *_sentence(error, described(name, path))))
    return list(dict.fromkeys(out))


def described(name: str, path: tuple[str | int, ...]) -> str:
    """The schema's description of a field, with its unit and an example where it has them."""
    spec: dict[str, Any] = {"$ref": f"#/$defs/{name}"}
    text = ""
    for step in path:
        inner = _definition(spec)
        spec = inner.get("items", {}) if isinstance(step, int) else inner.get("properties", {}).get(step, {})
        text = spec.get("description", text)
    return text or "a value"


def _sentence(error: Any, about: str) -> tuple[str, str, str]:
    found, wanted = json.dumps(error.instance, ensure_ascii=False)[:80], error.validator_value
    if error.validator == "enum":
        known = [str(v) for v in wanted if v is not None]
        return "is none of the known values", suggestion(str(error.instance), known), found
    sentences: dict[str, Callable[[], str]] = {
        "type": lambda: " or ".join(k for k in ([wanted] if isinstance(wanted, str) else wanted) if k != "null"),
        "pattern": lambda: about,
        "minimum": lambda: f"at least {wanted}",
        "exclusiveMinimum": lambda: f"more than {wanted}",
        "maximum": lambda: f"at most {wanted}",
        "maxLength": lambda: f"at most {wanted} characters",
        "minItems": lambda: f"at least {wanted} entries",
        "format": lambda: f"a {wanted}",
    }
    kinds = {"type": "is of the wrong type", "pattern": "has the wrong form", "format": "has the wrong form"}
    expected = sentences[error.validator]() if error.validator in sentences else str(error.message)
    return kinds.get(error.validator, "is out of range"), expected, found


@cache
def _validator(name: str) -> Callable[[Any], Any]:
    from jsonschema import Draft201909Validator

    schema = {k: v for k, v in json_schema().items() if k in ("$schema", "$defs")}
    checker: Callable[[Any], Any] = Draft201909Validator({**schema, "$ref": f"#/$defs/{name}"}).iter_errors
    return checker
