"""A workbook of a spreadsheet program, read without trust: measured before it is opened, never calculated.

A workbook is a ZIP archive of XML. What is in it may be made to unpack without end, or to grow as entities; so its
sizes are looked at first, and every part is read once with a parser that knows no entities, counting, before the
library that makes values of it sees anything. Macros and links to other files are left alone.
"""

from __future__ import annotations

import lzma
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuropack.errors import InputError
from neuropack.study.place import letters
from neuropack.study.sheets.cells import Unusable
from neuropack.study.sheets.limits import MAX_BYTES, MAX_CELLS, MAX_COLUMNS, MAX_ELEMENTS, MAX_PARTS, MAX_ROWS
from neuropack.study.sheets.rows import Grid
from neuropack.study.yaml import Problem

MAX_DEPTH = 200  # of elements in each other
_RANGE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
# What zipfile raises for archives that are damaged, closed with a password, or packed in a way it does not know.
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, RuntimeError, EOFError, ValueError)
_SAVE = "open it in a spreadsheet program and save it as .xlsx"


def read_workbook(path: Path, problems: list[Problem]) -> list[Grid]:
    """Every sheet of a workbook.

    Args:
        path: of it.
        problems: where cells that are merged are noted.

    Raises:
        InputError: it cannot be read, is no workbook, or too large.
    """
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    parts = _looked_at(path)
    try:
        with warnings.catch_warnings(), ExitStack() as stack:
            warnings.simplefilter("ignore")  # of what neither values nor names hang on: styles, menus, headers
            file = stack.enter_context(path.open("rb"))  # openpyxl leaves one open that it cannot read
            formulas, values = (
                stack.enter_context(closing(load_workbook(file, read_only=True, data_only=only, keep_links=False)))
                for only in (False, True)
            )
            return list(_grids(path, formulas, values, parts, problems))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path, fix=_SAVE) from error
    except (*_BROKEN, InvalidFileException, SyntaxError, LookupError, TypeError, AttributeError) as error:
        found = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError("is not a workbook that can be read", file=path, found=found, fix=_SAVE) from error


def _grids(
    path: Path, formulas: Any, values: Any, parts: Mapping[str, _Part], problems: list[Problem]
) -> Iterator[Grid]:
    """The sheets of a workbook that was opened twice: as it was typed, and as it was calculated."""
    room = MAX_CELLS
    for order, sheet in enumerate(formulas.worksheets):
        part = parts[sheet._worksheet_path.lstrip("/")]
        if part.row > MAX_ROWS or part.column > MAX_COLUMNS:
            found = f"a value in column {letters(part.column)}, or in row {part.row}"
            expected = f"at most {MAX_ROWS} rows and {MAX_COLUMNS} columns"
            fix = "clear what lies outside of the table"
            raise InputError(
                "is too large for a study", file=path, where=sheet.title, expected=expected, found=found, fix=fix
            )
        calculated = values[sheet.title] if part.formulas else None
        grid = Grid(sheet.title, order, _cells(sheet, calculated, room))
        room -= len(grid.cells)
        if room < 0:
            raise InputError("holds too many cells for a study", file=path, expected=f"at most {MAX_CELLS}")
        _unmerged(grid, part.merged, problems)
        yield grid


def _cells(typed: Any, calculated: Any, room: int) -> dict[tuple[int, int], Any]:
    """What is not empty, up to one more than there is room for; of formulas the result."""
    found: dict[tuple[int, int], Any] = {}
    for cell in _filled(typed):
        found[cell.row, cell.column] = cell.value
        if cell.data_type == "f":
            fix = "open the file in a spreadsheet program and save it, or type the value"
            found[cell.row, cell.column] = Unusable("a formula was never calculated", str(cell.value)[:60], fix)
        if len(found) > room:
            return found
    results = _filled(calculated) if calculated is not None else ()
    return found | {(cell.row, cell.column): cell.value for cell in results if (cell.row, cell.column) in found}


def _filled(sheet: Any) -> Iterator[Any]:
    """The cells that hold something."""
    sheet.reset_dimensions()  # what the file says of its size is not believed
    for row in sheet.iter_rows(max_row=MAX_ROWS, max_col=MAX_COLUMNS):
        yield from (cell for cell in row if cell.value is not None)


def _unmerged(grid: Grid, ranges: list[str], problems: list[Problem]) -> None:
    """Note cells that are merged: only the first of them holds the value."""
    for where in ranges:
        if match := _RANGE.match(where):
            fix = "take the merge away, and write the value into each cell"
            at = grid.at(int(match[2]), _column(match[1]))
            problems.append(Problem(at, "cells are merged", "single cells", where, fix))


def _looked_at(path: Path) -> dict[str, _Part]:
    """Measure every part of a workbook.

    Raises:
        InputError: it is no workbook, or larger than a study can be.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException

    found: dict[str, _Part] = {}
    room = MAX_ELEMENTS
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            size = sum(part.file_size for part in parts)
            if len(parts) > MAX_PARTS or size > MAX_BYTES:
                raise InputError(
                    "is too large for a study",
                    file=path,
                    expected=f"at most {MAX_BYTES} bytes in {MAX_PARTS} parts",
                    found=f"{size} bytes in {len(parts)} parts",
                    fix="copy the values into a new workbook",
                )
            for part in parts:  # also those with other names: the workbook itself says which one holds what
                ours = part.filename.lower().endswith((".xml", ".rels"))
                try:
                    with archive.open(part) as file:
                        found[part.filename] = _counted(file, room, doctype=not ours)
                except (ParseError, DefusedXmlException):
                    if ours:
                        raise
                    continue  # a picture or the like, which no parser gets beyond this place
                room -= found[part.filename].elements
                if room < 0:
                    expected = f"at most {MAX_ELEMENTS} elements"
                    raise InputError("is too large for a study", file=path, where=part.filename, expected=expected)
    except OSError as error:
        fix = "neuropack init DIR --spreadsheet xlsx writes one to fill in"
        raise InputError(f"cannot be read: {error.strerror}", file=path, fix=fix) from error
    except DefusedXmlException as error:
        what, seen = "is not a workbook of a spreadsheet program", "XML with a document type or entities"
        raise InputError(what, file=path, found=seen, fix=_SAVE) from error
    except (*_BROKEN, ParseError) as error:
        raise InputError("is not a workbook", file=path, expected=".xlsx", found=str(error), fix=_SAVE) from error
    return found


@dataclass
class _Part:
    """What a part of a workbook was found to hold.

    Attributes:
        elements: how many.
        merged: ranges of cells that are merged; of very many the first, which are enough to refuse it.
        row, column: the farthest that hold a value.
        formulas: whether it has some.
    """

    elements: int = 0
    merged: list[str] = field(default_factory=list)
    row: int = 0
    column: int = 0
    formulas: bool = False


def _counted(file: Any, room: int, *, doctype: bool) -> _Part:
    """Read a part once; no further than to one element more than there is room for.

    Args:
        file: the part.
        room: elements that it may have.
        doctype: True where a document type may stand in it, as drawings have one; entities may not.
    """
    from defusedxml.ElementTree import iterparse

    part = _Part()
    above: list[Any] = []
    row = column = 0
    for event, element in iterparse(file, events=("start", "end"), forbid_dtd=not doctype):
        if event == "end":
            above.pop()
            element.clear()
            if above:
                above[-1].remove(element)
            continue
        above.append(element)
        part.elements += 1
        if part.elements > room or len(above) > MAX_DEPTH:
            part.elements = room + 1
            return part
        match element.tag.rpartition("}")[2]:
            case "row":  # a row or cell without its number is the next one
                row, column = int(element.get("r", row + 1)), 0
            case "c":
                here = _RANGE.match(element.get("r", ""))
                column = _column(here[1]) if here else column + 1
            case "v" | "is" | "f" as kind:
                part.formulas = part.formulas or kind == "f"
                part.row, part.column = max(part.row, row), max(part.column, column)
            case "mergeCell" if len(part.merged) < MAX_ROWS:
                part.merged.append(element.get("ref", ""))
    return part


def _column(letters: str) -> int:
    return sum((ord(letter) - ord("A") + 1) * 26**i for i, letter in enumerate(reversed(letters)))
