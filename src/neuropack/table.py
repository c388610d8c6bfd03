"""Tables: tab-separated as BIDS writes them, with ``n/a`` for a value that is not known; and those of a person."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError

MISSING = "n/a"


def tsv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """The text of a table: rows under `columns`; None and absent values become ``n/a``.

    Raises:
        ValueError: a value holds a tab or a line break, which TSV cannot carry.
    """
    lines = ["\t".join(columns)]
    for row in rows:
        cells = [MISSING if row.get(c) is None else str(row[c]) for c in columns]
        for cell in cells:
            if any(ch in cell for ch in "\t\n\r"):
                raise ValueError(f"a table cell holds a tab or line break: {cell!r}")
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], missing: str = "") -> str:
    """The text of a table with commas, quoted where that is needed; None and absent values become `missing`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([missing if row.get(c) is None else row[c] for c in columns] for row in rows)
    return out.getvalue()


def read_tsv(path: Path) -> list[dict[str, str]]:
    """Rows of a TSV file as dictionaries of text; row i stands in line i + 2.

    Raises:
        InputError: the file is empty, not UTF-8, or a row has another number of cells than the header.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    return parse_tsv(data, path)


def stream_tsv(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The number of each line of a TSV file behind its header, and its row; one line in memory at a time.

    Args:
        path: of the file.
        columns: those that it must have; all others are in the rows too.

    Raises:
        InputError: as `read_tsv`; a column is missing, or comes twice.
    """
    number = 1
    try:
        with path.open(encoding="utf-8-sig", newline=None) as file:
            header = file.readline().rstrip("\n").split("\t")
            missing = [name for name in columns if name not in header]
            twice = sorted({name for name in header if header.count(name) > 1})
            if missing or twice:
                raise InputError(
                    f"has two columns {twice[0]}" if twice else f"has no column {', '.join(missing)}",
                    file=path,
                    where="line 1",
                    expected=", ".join(columns),
                    found="\t".join(header)[:200] or "an empty line",
                )
            for number, line in enumerate(file, 2):
                yield number, _row(header, line.rstrip("\n"), number, path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        where = f"behind line {number}"
        raise InputError("is not UTF-8 text", file=path, where=where, found=str(error)) from error


def parse_tsv(data: bytes, path: Path | str) -> list[dict[str, str]]:
    """Rows of a table as `read_tsv` gives them.

    Args:
        data: the content of the file.
        path: the name of the file, for messages.

    Raises:
        InputError: as `read_tsv`.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", file=path, found=str(error)) from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise InputError("is empty", file=path, expected="a header line")
    header = lines[0].split("\t")
    return [_row(header, line, number, path) for number, line in enumerate(lines[1:], 2)]


def _row(header: Sequence[str], line: str, number: int, path: Path | str) -> dict[str, str]:
    cells = line.split("\t")
    if len(cells) != len(header):
        raise InputError(
            "a row does not fit the header",
            file=path,
            where=f"line {number}",
            expected=f"{len(header)} cells",
            found=f"{len(cells)} cells",
        )
    return dict(zip(header, cells, strict=True))


@dataclass(frozen=True)
class TypedTable:
    """A CSV or TSV file with a header line.

    Attributes:
        path: of the file.
        mark: what stands between cells.
        header: names of the columns, as they stand.
        rows: (line, cells) of every row that is not empty.
    """

    path: Path
    mark: str
    header: list[str]
    rows: list[tuple[int, list[str]]]

    def numbers(self, *columns: str) -> npt.NDArray[np.float64]:
        """Finite numbers (n, columns).

        Raises:
            InputError: a column is not there, or there twice, or a cell is no such number.
        """
        places = self._places(columns)
        found = []
        for line, row in self.rows:
            try:
                values = [float(row[place]) for place in places]
                if not all(map(math.isfinite, values)):
                    raise ValueError
            except (ValueError, IndexError):
                shown = ", ".join(row[place] if place < len(row) else "nothing" for place in places)
                raise InputError(
                    "a coordinate is no number",
                    file=self.path,
                    where=f"line {line}",
                    expected=_listed(columns),
                    found=shown,
                ) from None
            found.append(values)
        return np.array(found, np.float64).reshape(-1, len(columns))

    def names(self, column: str) -> list[str]:
        """A name of its own for every row.

        Raises:
            InputError: the column is not there, or there twice, a cell is empty, or a name comes twice.
        """
        (place,) = self._places([column])
        names: dict[str, None] = {}
        for line, row in self.rows:
            name = row[place].strip() if place < len(row) else ""
            if not name or name in names:
                raise InputError(
                    "a row needs a name of its own",
                    file=self.path,
                    where=f"line {line}",
                    found=name or "no name",
                )
            names[name] = None
        return list(names)

    def with_numbers(self, columns: Sequence[str], values: npt.NDArray[np.float64]) -> str:
        """The text of the table with other numbers in some columns; every other cell stays as it is."""
        places, out = self._places(columns), io.StringIO()
        writer = csv.writer(out, delimiter=self.mark, lineterminator="\n")
        writer.writerow(self.header)
        for (_, row), numbers in zip(self.rows, values.tolist(), strict=True):
            cells = dict(zip(places, (f"{number:.3f}" for number in numbers), strict=True))
            writer.writerow([cells.get(place, cell) for place, cell in enumerate(row)])
        return out.getvalue()

    def has(self, *columns: str) -> bool:
        """Whether it has all of these columns."""
        return {word.strip() for word in self.header}.issuperset(columns)

    def with_columns(self, drop: Sequence[str], columns: Sequence[str], values: npt.NDArray[np.float64]) -> str:
        """The text of the table with some columns in the place of others; every other cell stays as it is."""
        gone = {place for place, word in enumerate(self.header) if word.strip() in (*drop, *columns)}
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self.mark, lineterminator="\n")
        new = [list(columns), *([f"{number:.3f}" for number in row] for row in values.tolist())]
        for row, cells in zip([self.header, *(row for _, row in self.rows)], new, strict=True):
            filled = row + [""] * (len(self.header) - len(row))
            kept = [[] if place in gone else [cell] for place, cell in enumerate(filled)]
            kept[min(gone)] = cells
            writer.writerow([cell for group in kept for cell in group])
        return out.getvalue()

    def _places(self, columns: Sequence[str]) -> list[int]:
        found = [word.strip() for word in self.header]
        missing = [column for column in columns if column not in found]
        twice = [column for column in columns if found.count(column) > 1]
        if missing or twice:
            raise InputError(
                f"has no column {', '.join(missing)}" if missing else f"has two columns {twice[0]}",
                file=self.path,
                where="line 1",
                expected=f"a header line with {_listed(columns)}, and others if need be",
                found=self.mark.join(self.header)[:100] or "an empty file",
            )
        return [found.index(column) for column in columns]


def _listed(columns: Sequence[str]) -> str:
    *front, last = columns
    return f"{', '.join(front)} and {last}" if front else last


def read_table(path: Path) -> TypedTable:
    """Read a CSV or TSV file that a person made.

    Raises:
        InputError: it cannot be read, or is no such file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", file=path, found=str(error)) from error
    mark = "\t" if "\t" in text.partition("\n")[0] else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    try:
        header = next(reader, [])
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise InputError("is not CSV", file=path, where=f"line {reader.line_num}", found=str(error)) from error
    return TypedTable(path, mark, header, rows)
