"""From a cell to what study.yaml would hold, whatever a spreadsheet program made of what was typed; and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from neuropack.study.place import Cell
from neuropack.study.shape import Field
from neuropack.study.yaml import Node, Problem

NOTHING = "n/a"  # as in the tables of BIDS: no value, though the defaults have one
EXACT = 10**15  # a spreadsheet keeps fifteen digits of a number
ERRORS = ("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#GETTING_DATA", "#SPILL!", "#CALC!")
# Blanks of every kind, those that are never broken and those without a width among them.
BLANKS = " \t\r\n\u00a0\u2007\u202f\u200b\u2060\ufeff"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?\d+,\d+")
_ADDRESSES = {
    "Orcid": re.compile(r"^https?://(www\.)?orcid\.org/", re.I),
    "Doi": re.compile(r"^(https?://(dx\.)?doi\.org/|doi:)", re.I),
}
_AS_TEXT = "format the cell as text, and type it again"
Tell = Callable[[Problem], None]


@dataclass(frozen=True)
class Unusable:
    """A cell that holds no value: what is wrong with it and what to do."""

    what: str
    found: str
    fix: str


def blank(raw: Any) -> bool:
    """Whether nothing is in a cell."""
    return raw is None or (isinstance(raw, str) and not raw.strip(BLANKS))


def node_of(raw: Any, field: Field, at: Cell, tell: Tell) -> Node | None:
    """The value of a cell that is not blank; None where it has none, which is told.

    Args:
        raw: text, a number, a boolean, a date, or what cannot be used.
        field: what belongs there.
        at: its place.
        tell: takes the problem.
    """
    if isinstance(raw, str):
        raw = raw.strip(BLANKS)
    if raw in ERRORS:
        raw = Unusable("the cell holds an error", raw, "mend the formula, or type the value")
    if isinstance(raw, Unusable):
        tell(Problem(at, raw.what, "a value", raw.found, raw.fix))
        return None
    if raw == NOTHING:
        return Node(None, at, at, NOTHING)
    if not (field.many or field.matrix):
        return _one(raw, field, at, tell)
    parts = split(raw) if isinstance(raw, str) else [raw]
    if field.matrix:
        rows = [[_one(word, field, at, tell) for word in str(part).split()] for part in parts]
        return Node([Node([n for n in row if n is not None], at, at) for row in rows], at, at)
    return Node([n for n in (_one(part, field, at, tell) for part in parts) if n is not None], at, at)


def _one(raw: Any, field: Field, at: Cell, tell: Tell) -> Node | None:
    """A single value as YAML would have read it."""
    if isinstance(raw, date | time | timedelta):
        return _date(raw, field, at, tell)
    if field.kind in ("number", "integer"):
        return _number(raw, at, tell)
    text = _text(raw)
    if field.kind == "boolean":
        value = {"true": True, "yes": True, "false": False, "no": False}.get(text.casefold(), text)
        return Node(value, at, at, text)
    if type(raw) in (int, float) and abs(raw) >= EXACT:
        what = "a spreadsheet keeps fifteen digits of a number, and this has more"
        tell(Problem(at, what, "text", text, _AS_TEXT))
        return None
    if field.range in _ADDRESSES:
        text = _ADDRESSES[field.range].sub("", text)
    return Node(text, at, at, text)


def _text(raw: Any) -> str:
    """A value as a person would type it: 12 for 12.0."""
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, float):
        return str(int(raw)) if raw.is_integer() and abs(raw) < EXACT else repr(raw)
    return str(raw)


def _number(raw: Any, at: Cell, tell: Tell) -> Node | None:
    if isinstance(raw, str):
        if _COMMA.fullmatch(raw):
            point = raw.replace(",", ".")
            tell(Problem(at, "a number has a comma", "a decimal point", raw, f"write {point}"))
            return None
        if not _NUMBER.fullmatch(raw):
            return Node(raw, at, at, raw)  # the schema says what belongs there
        raw = int(raw) if re.fullmatch(r"[+-]?\d{1,300}", raw) else float(raw)
    if isinstance(raw, float) and raw.is_integer() and abs(raw) < EXACT:
        raw = int(raw)
    return Node(raw, at, at, _text(raw))


def _date(raw: date | time | timedelta, field: Field, at: Cell, tell: Tell) -> Node | None:
    """A cell that the spreadsheet program took for a date: only a day has all that is needed."""
    midnight = not isinstance(raw, datetime) or raw.time() == time()
    if field.range == "CalendarDate" and isinstance(raw, date) and midnight:
        text = raw.strftime("%Y-%m-%d") if raw.year >= 1000 else raw.isoformat()[:10]
        return Node(text, at, at, text)
    what = "the spreadsheet made a date or time of it"
    found = str(raw) if isinstance(raw, timedelta) else raw.isoformat()
    wanted = "a time with its zone, as text" if field.range == "ZonedDateTime" else field.range or field.kind
    tell(Problem(at, what, wanted, found, _AS_TEXT + (f", like {field.example}" if field.example else "")))
    return None


def split(text: str) -> list[str]:
    r"""The values of a cell: semicolons part them; ``\;`` is a semicolon of a value."""
    parts = re.split(r"(?<!\\);", text)
    return [part.replace(r"\;", ";").strip(BLANKS) for part in parts if part.strip(BLANKS)]


def joined(values: list[str]) -> str:
    """Values as they stand in one cell."""
    mark = " ; " if any(value.endswith("\\") for value in values) else "; "
    return mark.join(value.replace(";", r"\;") for value in values)


def raw_of(node: Node, field: Field) -> Any:
    """What a cell holds for a value: the reverse of `node_of`."""
    if node.value is None:
        return NOTHING
    if field.matrix:
        return "; ".join(" ".join(one.text for one in row.entries) for row in node.entries)
    if field.many:
        plain = [n for n in node.entries or [node] if not isinstance(n.value, dict)]
        if field.kind == "number" and len(plain) == 1 and not node.entries:
            return plain[0].value
        return joined([one.text.strip() for one in plain])
    if field.kind in ("number", "integer", "boolean") and not isinstance(node.value, str):
        return node.value
    return node.text.strip()
