"""Sheets as they are to be written: which columns, what help above them, and the cells of every record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from neuropack.study.sheets.fill import Record, Records
from neuropack.study.sheets.layout import Column, Sheet, sheets
from neuropack.study.sheets.rows import HELP

_NEED = {
    "here": "NEEDED.",
    "defaults": "Needed here or in sheet defaults.",
    "file": "Needed where the raw file does not state it.",
}
VALUE = "value"


@dataclass(frozen=True)
class Page:
    """A sheet with its records.

    Attributes:
        sheet: which.
        columns: those that are written.
        records: of it, each value under the name of its column.
    """

    sheet: Sheet
    columns: tuple[Column, ...]
    records: Sequence[Record]

    def rows(self) -> list[list[Any]]:
        """The rows of the sheet, as they stand in it."""
        if self.sheet.form:
            return list(self._form())
        names = [column.name for column in self.columns]
        helps = [help_of(column, self.sheet) for column in self.columns]
        data = [[record.get(name) for name in names] for record in self.records]
        return [names, [f"{HELP} {helps[0]}", *helps[1:]], *data]

    def _form(self) -> Iterator[list[Any]]:
        records: Sequence[Record] = self.records or [{}]
        yield ["field", f"{HELP} what it is", *([VALUE] * len(records))]
        part = ""
        for column in self.columns:
            if len(column.path) > 1 and column.path[0] != part:
                part = column.path[0]
                yield [f"{HELP} {part}"]
            yield [column.name, help_of(column, self.sheet), *(record.get(column.name) for record in records)]


def pages_of(records: Records) -> list[Page]:
    """Every sheet: the columns that are shown, and those that a record has a value in."""
    found = []
    for sheet in sheets():
        filled = records.get(sheet.name, [])
        used = {name for record in filled for name in record}
        columns = tuple(c for c in sheet.columns if c.shown or c.name in used)
        if filled or any(c.shown for c in sheet.columns):
            found.append(Page(sheet, columns, filled))
    return found


def help_of(column: Column, sheet: Sheet) -> str:
    """What a person is to know of a column."""
    field = column.field
    said = [_NEED[column.need]] if column.need else []
    said.append(field.description)
    if column.refers and column.need is None and column.name != "instrument":
        said.append("Empty: for all." if column.name != "other_annotator" else "")
    if field.unit:
        said.append(f"Unit: {field.unit}.")
    if field.words:
        said.append(f"One of: {', '.join(field.words)}.")
    if field.matrix:
        said.append("Numbers of a row with blanks between them, rows with semicolons.")
    elif field.many:
        said.append("Several with semicolons between them.")
    if field.kind == "boolean":
        said.append("true or false.")
    if field.example is not None:
        said.append(f"Example: {_example(field.example)}")
    if sheet.inherits and not sheet.form and column.need is None and not column.refers:
        said.append("(Empty: as in the defaults.)")
    return " ".join(word for word in said if word)


def _example(value: Any) -> str:
    if isinstance(value, list):
        rows = [" ".join(map(_example, row)) if isinstance(row, list) else _example(row) for row in value]
        return "; ".join(rows)
    return value if isinstance(value, str) else json.dumps(value)
