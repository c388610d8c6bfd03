"""Sheets as a folder of TSV files, as spreadsheet programs save and open them: quoted where a cell needs it."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from neuropack.errors import InputError
from neuropack.study.place import Cell
from neuropack.study.sheets.limits import MAX_BYTES, MAX_CELLS, MAX_COLUMNS, MAX_ROWS
from neuropack.study.sheets.rows import Grid
from neuropack.study.yaml import Problem, StudyError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_folder(folder: Path) -> Iterator[Grid]:
    """Every TSV file of a folder.

    Raises:
        InputError: one cannot be read, is no UTF-8 text, or is too large.
        StudyError: one is no TSV, with its line.
    """
    room, cells = MAX_BYTES, 0
    for order, path in enumerate(sorted(folder.glob("*.tsv"))):
        data = _bytes(path, room)
        room -= len(data)
        grid = Grid(path.stem, order, dict(_cells(folder, path, order, _text(path, data))), tsv=True)
        cells += len(grid.cells)
        if cells > MAX_CELLS:
            raise InputError("holds too many cells for a study", file=folder, expected=f"at most {MAX_CELLS}")
        yield grid


def _bytes(path: Path, room: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(room + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    if len(data) > room:
        raise InputError("is too large for a study", file=path, expected=f"at most {MAX_BYTES} bytes in all sheets")
    return data


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        fix = "save it as tab-separated text in UTF-8"
        raise InputError("is not UTF-8 text", file=path, found=str(error), fix=fix) from error


def _cells(folder: Path, path: Path, order: int, text: str) -> Iterator[tuple[tuple[int, int], str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    line = 1
    try:
        for row in reader:
            filled = [(column, cell) for column, cell in enumerate(row, 1) if cell]
            if filled and (line > MAX_ROWS or filled[-1][0] > MAX_COLUMNS):
                expected = f"at most {MAX_ROWS} lines and {MAX_COLUMNS} columns"
                raise InputError("is too large for a study", file=path, where=f"line {line}", expected=expected)
            yield from (((line, column), cell) for column, cell in filled)
            line = reader.line_num + 1
    except csv.Error as error:
        fix = "a cell that begins with a quotation mark ends with one, and has those inside doubled"
        at = Cell(order, line, 1, path.stem, tsv=True)
        raise StudyError(folder, [Problem(at, "is not TSV", found=str(error), fix=fix)]) from error


def text_of(rows: Iterable[Sequence[Any]]) -> str:
    """The text of a sheet."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerows([_word(raw) for raw in row] for row in rows)
    return out.getvalue()


def _word(raw: Any) -> str:
    if raw is None:
        return ""
    return str(raw).lower() if isinstance(raw, bool) else str(raw)
