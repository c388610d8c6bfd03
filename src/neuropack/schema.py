"""Check a document against the metadata schema, and say what is wrong in sentences.

The JSON Schema and the catalogue of fields are made from the LinkML modules and shipped beside them. What the
validator reports is turned into one problem per cause: a misspelt field is not a missing one too, and a wrong value
is not told twice because two keywords forbid it. References between records are left to the rules.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from itertools import groupby
from math import isfinite
from typing import Any

from neuropack.errors import NeuropackError, UsageError
from neuropack.resources import folder

Place = tuple[str | int, ...]
# Of several complaints about one value the first of these is the cause.
_CAUSES = ("type", "enum", "const", "pattern", "format", "minimum", "maximum", "minItems", "maxItems")


@dataclass(frozen=True)
class SchemaProblem:
    """One thing that is wrong in a document.

    Attributes:
        pointer: JSON pointer of the value; where a field is missing, of the record that lacks it.
        expected: what would have been right.
        found: what is there.
        fix: what to do.
    """

    pointer: str
    expected: str
    found: str
    fix: str


@cache
def json_schema() -> dict[str, Any]:
    """The JSON Schema of a `Document`, with every class under ``$defs``. Not to be changed."""
    return _load("neuropack.schema.json")


def schema_version() -> str:
    """The version of the schema, which a document states as ``schema_version``."""
    return str(_catalogue()["version"])


def classes() -> tuple[str, ...]:
    """Names of the classes, `Document` among them."""
    return tuple(_catalogue()["classes"])


def fields(class_name: str) -> Mapping[str, Mapping[str, Any]]:
    """What is to be known of each field of a class, in the order in which they are to be shown.

    Each entry has ``description``, ``required``, ``multivalued``, ``example``, ``kind`` (string, number, integer,
    enum, reference or record), ``range`` (the name of the type, enum or class) and ``type`` (what a value is, in
    words); where it applies also ``unit`` (UCUM), ``enum`` (each word with its meaning), ``pattern``, ``minimum``,
    ``maximum``, ``min_items``, ``max_items``, ``prefixes`` and ``matrix``.

    Raises:
        UsageError: there is no such class.
    """
    entry: Mapping[str, Mapping[str, Any]] = _class(class_name)["fields"]
    return entry


def conditions(class_name: str) -> tuple[Mapping[str, Any], ...]:
    """The rules of a class: where ``field`` is absent (or ``present``), ``then`` is needed and matches ``pattern``.

    Raises:
        UsageError: there is no such class.
    """
    return tuple(_class(class_name)["conditions"])


def describe(class_name: str) -> str:
    """What a class is, in a sentence."""
    return str(_class(class_name)["description"])


def validate(document: Any, class_name: str = "Document") -> list[SchemaProblem]:
    """Everything in a document that the schema forbids, in the order of the pointers; empty when it is valid.

    Args:
        document: the document as plain values (mappings, lists, text, numbers).
        class_name: the class that it is to be an instance of.

    Raises:
        UsageError: there is no such class.
    """
    _class(class_name)
    # JSON has no nan and infinity, but YAML and Python's json do, and nan is neither below nor above a limit.
    endless = {path: value for path, value in _walk(document) if isinstance(value, float) and not isfinite(value)}
    found = [(path, _not_finite(path, value, class_name)) for path, value in endless.items()]
    errors = sorted(_validator(class_name).iter_errors(document), key=lambda e: _sort_key(e.absolute_path))
    for _, group in groupby(errors, key=lambda e: _sort_key(e.absolute_path)):
        here = list(group)
        path: Place = tuple(here[0].absolute_path)
        if path not in endless:
            found += [(path + extra, problem) for extra, problem in _problems(here, path, class_name)]
    return [problem for _, problem in sorted(found, key=lambda item: _sort_key(item[0]))]


def _problems(errors: list[Any], path: Place, root: str) -> Iterator[tuple[Place, SchemaProblem]]:
    """The problems of one value, from all that the validator says of it."""
    value, cls = errors[0].instance, _class_at(root, path)
    if cls is not None and isinstance(value, Mapping) and not any(e.validator == "type" for e in errors):
        yield from _record_problems(errors, path, cls, value)
        return
    error = min(errors, key=lambda e: _CAUSES.index(e.validator) if e.validator in _CAUSES else len(_CAUSES))
    yield (), _value_problem(error, path, root)


def _record_problems(
    errors: list[Any], path: Place, cls: str, record: Mapping[str, Any]
) -> Iterator[tuple[Place, SchemaProblem]]:
    known = fields(cls)
    unknown = [str(name) for name in record if name not in known]
    absent = [name for name in known if name not in record]
    meant: dict[str, str] = {}
    for name in unknown:
        near = _nearest(name, [a for a in absent if a not in meant.values()]) or _nearest(name, known)
        if near:
            meant[name] = near
        listed = ", ".join(known)
        fix = f"did you mean {near}? rename it" if near in absent else "remove it"
        if near and near not in absent:
            fix = f"did you mean {near}? it is there already: remove this one"
        yield (
            (name,),
            SchemaProblem(
                pointer((*path, name)),
                f"a field of {cls}: {listed}" if not near else f"{near}: {known[near]['description']}",
                f"{name}, which {cls} does not have",
                fix,
            ),
        )
    # A field under a wrong name is not missing as well.
    missing = {
        name for e in errors if e.validator == "required" for name in e.validator_value if name not in record
    }
    missing -= set(meant.values())
    for name in (n for n in known if n in missing):
        if known[name]["required"]:
            yield (), _missing(path, cls, name)
        else:
            conditions = [c for c in _class(cls)["conditions"] if c["then"] == name and "pattern" not in c]
            causes = [c for c in conditions if (c["field"] in record) is c["present"]]
            if not all(c["field"] in meant.values() for c in causes):
                yield (), _needed(path, cls, name, causes)


def _missing(path: Place, cls: str, name: str) -> SchemaProblem:
    info = fields(cls)[name]
    return SchemaProblem(
        pointer(path),
        f"{cls} with {name}: {info['description']}",
        f"no {name}",
        f"add {name}{_example(name, info)}",
    )


def _needed(path: Place, cls: str, name: str, causes: list[Mapping[str, Any]]) -> SchemaProblem:
    """A field that is needed because of another one."""
    info = fields(cls)[name]
    others = [c["field"] for c in causes]
    stated = causes[0]["present"]
    fix = f"add {name}{_example(name, info)}" + (f", or remove {others[0]}" if stated else "")
    if not stated:
        fix = f"add {' and '.join(others)}, or {name}{_example(name, info)}"
    return SchemaProblem(
        pointer(path),
        causes[0]["description"].rstrip("."),
        f"{others[0]} without {name}" if stated else f"neither {' nor '.join([*others, name])}",
        fix,
    )


def _value_problem(error: Any, path: Place, root: str) -> SchemaProblem:
    value, kind = error.instance, error.validator
    cls, name, info = _field_at(root, path)
    where = pointer(path)
    if info is None:
        return SchemaProblem(
            where, f"a mapping with the fields of {cls}", _shown(value), f"write the fields of {cls}"
        )
    inside = next((i for i, part in enumerate(reversed(path)) if isinstance(part, str)), 0)  # of so many lists
    wanted = info["type"]
    if info["kind"] == "enum":
        wanted = "one of " + ", ".join(info["enum"])
    if inside < (2 if info.get("matrix") else info["multivalued"]):
        wanted = f"a list, each item {wanted}"
    if kind in ("minItems", "maxItems"):
        count = info["min_items"] if kind == "minItems" else info["max_items"]
        word = "at least" if kind == "minItems" else "at most"
        wanted = f"a list with {word} {count} item{'' if count == 1 else 's'}"
    if _conditional(error):
        condition = next(c for c in _class(cls)["conditions"] if c["then"] == name and "pattern" in c)
        wanted = condition["description"].rstrip(".")
        return SchemaProblem(
            where, wanted, f"{_shown(value)}, and no {condition['field']}", f"add {condition['field']}"
        )
    return SchemaProblem(
        where, f"{wanted} ({name}: {info['description'].rstrip('.')})", _shown(value), _fix(error, info)
    )


def _fix(error: Any, info: Mapping[str, Any]) -> str:
    value, kind = error.instance, error.validator
    example = info["example"]
    one = _plain(example[0] if isinstance(example, list) and not isinstance(value, list) else example)
    if value is None:
        fix = "write a value" if info["required"] else "leave the field out, or write a value"
    elif info["kind"] == "enum" and error.validator_value != "array" and not kind.endswith("Items"):
        near = _nearest(str(value), info["enum"])
        fix = f"did you mean {near}?" if near else f"write one of {', '.join(info['enum'])}"
    elif kind == "type":
        fix = _fix_type(value, error.validator_value, info) or f"write it like {one}"
    elif kind == "minItems":
        fix = f"add one, for example {_plain(example[0])}"
    elif kind == "maxItems":
        fix = "remove the surplus"
    elif kind in ("minimum", "maximum") and info.get("unit", "1") != "1":
        fix = f"check the value and its unit, which is {info['unit']}; an example is {one}"
    else:
        fix = f"write it like {one}"
    return fix


def _fix_type(value: Any, wanted: str, info: Mapping[str, Any]) -> str | None:
    if wanted == "array":
        return "write a list, also for a single value"
    if wanted == "object":
        return f"write the fields of {info['range']}: {_wanted(info['range'])}"
    if wanted == "string" and isinstance(value, date | int | float):
        return f"put it in quotes: '{value.isoformat() if isinstance(value, date) else value}'"
    if wanted in ("number", "integer") and isinstance(value, str):
        return "write a number without quotes" + (f", in {info['unit']}" if info.get("unit", "1") != "1" else "")
    return None


def _not_finite(path: Place, value: float, root: str) -> SchemaProblem:
    _, name, info = _field_at(root, path)
    wanted = info["type"] if info else "a number"
    return SchemaProblem(
        pointer(path), f"{wanted} ({name})", str(value), "write a finite number, or leave the field out"
    )


def _conditional(error: Any) -> bool:
    return "then" in error.absolute_schema_path and error.validator in ("pattern", "const")


def _example(name: str, info: Mapping[str, Any]) -> str:
    if info["kind"] == "record":
        return f", with the fields {_wanted(info['range'])}"
    return f", for example {name}: {_plain(info['example'])}"


def _wanted(class_name: str) -> str:
    """What a record cannot be without, and what it had better have than a reason why not."""
    better = {c["field"] for c in _class(class_name)["conditions"] if not c["present"]}
    return ", ".join(n for n, f in fields(class_name).items() if f["required"] or n in better)


def _class_at(root: str, path: Place) -> str | None:
    """Class of the record at a path; None where the path leaves what the schema knows."""
    cls: str | None = root
    for part in path:
        if isinstance(part, int):
            continue
        info = _class(cls)["fields"].get(part) if cls else None
        cls = info["range"] if info and info["kind"] == "record" else None
    return cls


def _field_at(root: str, path: Place) -> tuple[str, str, Mapping[str, Any] | None]:
    """Class, name and description of the field that a value belongs to; no field for the document itself."""
    names = [i for i, part in enumerate(path) if isinstance(part, str)]
    if not names:
        return root, "", None
    cls = _class_at(root, path[: names[-1]]) or root
    name = str(path[names[-1]])
    return cls, name, _class(cls)["fields"].get(name)


def _nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant."""
    folded = {w.lower().replace("_", "").replace("-", ""): w for w in words}
    key = word.lower().replace("_", "").replace("-", "").replace(" ", "")
    close = difflib.get_close_matches(key, folded, n=1, cutoff=0.7)
    return folded[close[0]] if close else None


def _shown(value: Any) -> str:
    """A value as it is named in a message."""
    match value:
        case None:
            text = "nothing (null)"
        case date():  # of which datetime is a subclass; YAML makes them of text without quotes
            text = f"the {'time' if isinstance(value, datetime) else 'date'} {value.isoformat()}, not text"
        case Mapping():
            text = f"a mapping with {', '.join(map(str, value)) or 'nothing in it'}"
        case str():
            text = f"'{value}'" if len(value) <= 80 else f"'{value[:77]}...' ({len(value)} characters)"
        case Sequence():
            text = f"a list of {len(value)} item{'' if len(value) == 1 else 's'}"
        case _:
            text = json.dumps(value) if isinstance(value, bool) else str(value)
    return text


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def pointer(path: Iterable[str | int]) -> str:
    """The JSON pointer (RFC 6901) of a path; empty for the whole document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _walk(value: Any, path: Place = ()) -> Iterator[tuple[Place, Any]]:
    yield path, value
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _walk(item, (*path, key))


def _sort_key(path: Iterable[str | int]) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, p, "") if isinstance(p, int) else (1, 0, str(p)) for p in path)


def _class(name: str | None) -> dict[str, Any]:
    known: dict[str, dict[str, Any]] = _catalogue()["classes"]
    if name not in known:
        near = _nearest(str(name), known)
        raise UsageError(
            f"the schema has no class {name}", fix=f"use {near}" if near else f"use one of {', '.join(known)}"
        )
    return known[name]


@cache
def _catalogue() -> dict[str, Any]:
    return _load("fields.json")


def _load(name: str) -> dict[str, Any]:
    path = folder("schema") / "generated" / name
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NeuropackError(
            "the metadata schema cannot be read", file=path, found=str(error), fix="install neuropack again"
        ) from error
    return data


@cache
def _validator(class_name: str) -> Any:
    import jsonschema

    checker = jsonschema.FormatChecker(formats=())

    # The patterns know the lengths of the months but not leap years.
    def exists(value: object) -> bool:
        return not isinstance(value, str) or bool(datetime.fromisoformat(value))

    for name in ("date", "date-time"):
        checker.checks(name, raises=ValueError)(exists)
    schema = {"$ref": f"#/$defs/{class_name}", "$defs": json_schema()["$defs"]}
    return jsonschema.Draft201909Validator(schema, format_checker=checker)
