"""Filters as conditions of SQL. Every value is bound; the names of columns come from a fixed list."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from neuropack.catalogue.columns import REAL, TEXT, WHOLE, Column
from neuropack.catalogue.held import BACK, FRONT, REGION, RELEASE, HeldTable
from neuropack.catalogue.query import Bound, Query
from neuropack.catalogue.trees import Forest
from neuropack.errors import UsageError

_SOMA = ("soma_ap_um", "soma_dv_um", "soma_lr_um")
_MOST_WORDS = 16
_FEW = 12
_NAMES = {TEXT: "a text", WHOLE: "a whole number", REAL: "a number"}


@dataclass
class Where:
    """Conditions that must all hold, and the values that stand for their question marks."""

    parts: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, part: str, *values: Any) -> None:
        """One more condition."""
        self.parts.append(part)
        self.values += values

    @property
    def sql(self) -> str:
        """The conditions as they stand behind a table, with WHERE."""
        return f" WHERE {' AND '.join(self.parts)}" if self.parts else ""


def column_of(held: HeldTable, name: str) -> Column:
    """A column by which can be searched.

    Raises:
        UsageError: there is none of this name.
    """
    column = RELEASE if name == "release" else held.table.by_name.get(name)
    if column is None or not column.searched:
        known = [RELEASE.name, *(one.name for one in held.table.columns if one.searched)]
        what = "has no such column" if column is None else "cannot be searched by this column"
        raise UsageError(f"the table {held.table.name} {what}", expected=", ".join(known), found=name[:60])
    return column


def conditions(held: HeldTable, forest: Forest, query: Query, *, without: str | None = None) -> Where:
    """The conditions of a query.

    Args:
        held: the table that is searched.
        forest: the regions.
        query: what is looked for.
        without: a column whose own values do not count.

    Raises:
        UsageError: a column or a region that is not there, or a value of another type.
    """
    where = Where()
    for name, values in query.equal.items():
        column = column_of(held, name)
        if name != without:
            _equal(where, held, column, values)
    for name, (low, high) in query.ranges.items():
        _range(where, held, column_of(held, name), low, high)
    if query.region is not None:
        if "region_id" not in held.table.by_name:
            raise UsageError(
                f"the table {held.table.name} has no regions", expected="neurons, neuron_regions, regions"
            )
        spans = forest.find(query.region)
        where.add(_any([f"{REGION} BETWEEN ? AND ?"] * len(spans)), *(n for span in spans for n in span))
    if query.box is not None:
        _box(where, held, query.box)
    words = (query.text or "").split()
    if len(words) > _MOST_WORDS:
        raise UsageError("the text has too many words", expected=f"{_MOST_WORDS} at most", found=str(len(words)))
    for word in words:
        _word(where, held, word.lower())
    return where


def _any(parts: list[str]) -> str:
    return f"({' OR '.join(parts)})" if parts else "FALSE"


def _in(where: Where, parts: list[str], name: str, numbers: list[Any], kind: str = "INT") -> None:
    """The condition that a column has one of some numbers: spans where these are few, else a list."""
    spans = _spans(numbers) if kind == "INT" else []
    if len(numbers) > _FEW and not 0 < len(spans) <= _FEW:  # in a chain of OR a list costs more than it saves
        parts.append(f"{name} IN (SELECT unnest(?::{kind}[]))")
        where.values.append(numbers)
        return
    for first, last in spans or [(number, number) for number in numbers]:
        parts.append(f"{name} BETWEEN ? AND ?")
        where.values += [first, last]


def _spans(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Whole numbers as the spans that have no gap."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def _equal(where: Where, held: HeldTable, column: Column, values: Iterable[str | float | None]) -> None:
    given = list(values)
    present = [value for value in given if value is not None]
    parts: list[str] = []
    if column.name == "id":
        for value in dict.fromkeys(present):
            first = held.place(str(value))
            last = held.place(str(value) + "\0") - 1
            if first <= last:
                parts.append("place BETWEEN ? AND ?")
                where.values += [first, last]
    elif column.kind == TEXT:
        codes = [held.texts[column.name].code(str(value)) for value in present]
        _in(where, parts, column.name, [code for code in codes if code is not None])
    else:
        kind = "BIGINT" if column.kind == WHOLE else "DOUBLE"
        _in(where, parts, column.name, [_number(column, value) for value in present], kind)
    if len(present) < len(given):
        parts.append(f"{column.name} IS NULL" if column.name != "id" else "FALSE")
    where.parts.append(_any(parts))


def _range(where: Where, held: HeldTable, column: Column, low: Bound, high: Bound) -> None:
    if column.name == "id":
        raise UsageError("a range of identifiers is not kept", fix="look for their text instead")
    if column.kind == TEXT:
        texts = held.texts[column.name]
        if low is not None:
            where.add(f"{column.name} >= ?", bisect.bisect_left(texts, str(low)))
        if high is not None:
            where.add(f"{column.name} < ?", bisect.bisect_right(texts, str(high)))
        return
    if low is not None:
        where.add(f"{column.name} >= ?", _number(column, low, whole=False))
    if high is not None:
        where.add(f"{column.name} <= ?", _number(column, high, whole=False))


def _number(column: Column, value: str | float, *, whole: bool = True) -> float | int:
    """A value for a column of numbers."""
    exactly = whole and column.kind == WHOLE
    try:
        number = int(value) if exactly else float(value)
        fits = number == float(value) and abs(number) < (1 << 63 if exactly else math.inf)
    except (ValueError, OverflowError, TypeError):
        fits = False
    if not fits or isinstance(value, bool):
        expected = f"{_NAMES[WHOLE if exactly else REAL]} for {column.name}"
        raise UsageError("a value does not fit its column", expected=expected, found=str(value)[:60])
    return number


def _box(where: Where, held: HeldTable, box: Any) -> None:
    if _SOMA[0] not in held.table.by_name:
        raise UsageError(f"the table {held.table.name} has no somata", expected="neurons")
    try:
        low, high = ([float(v) for v in corner] for corner in box)
        fits = len(low) == len(high) == len(_SOMA) and all(map(math.isfinite, low + high))
    except (TypeError, ValueError):
        fits = False
    if not fits or any(a > b for a, b in zip(low, high, strict=True)):
        expected = "two corners of three numbers, AP, DV and LR in um, each of the first at most that of the second"
        raise UsageError("this is no box", expected=expected, found=str(box)[:100])
    for name, first, last in zip(_SOMA, low, high, strict=True):
        where.add(f"{name} BETWEEN ? AND ?", first, last)


def _word(where: Where, held: HeldTable, word: str) -> None:
    """The condition that a word stands somewhere in the texts of a row."""
    parts: list[str] = []
    if (split := word.rfind("_")) >= 0:
        fronts = held.texts[FRONT].having(word[: split + 1], "ends")
        backs = held.texts[BACK].having(word[split + 1 :], "starts")
        if fronts and backs:
            both = Where()
            sides: list[str] = []
            for name, codes in ((FRONT, fronts), (BACK, backs)):
                some: list[str] = []
                _in(both, some, name, codes)
                sides.append(_any(some))
            parts.append(f"({' AND '.join(sides)})")
            where.values += both.values
    for name in (FRONT, BACK, RELEASE.name, *(c.name for c in held.table.columns if c.words and c.name != "id")):
        _in(where, parts, name, held.having(name, word))
    where.parts.append(_any(parts))
