"""Tab-separated tables as BIDS writes them: a header line, ``n/a`` for a value that is not known."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuropack.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MISSING = "n/a"


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows under `columns`; None and absent values become ``n/a``.

    Raises:
        ValueError: a value holds a tab or a line break, which TSV cannot carry.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(tsv_lines(columns, rows))


def tsv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of a table as `write_tsv` writes them, each with its line break.

    Raises:
        ValueError: a value holds a tab or a line break, which TSV cannot carry.
    """
    yield "\t".join(columns) + "\n"
    for row in rows:
        cells = [MISSING if row.get(c) is None else str(row[c]) for c in columns]
        for cell in cells:
            if any(ch in cell for ch in "\t\n\r"):
                raise ValueError(f"a table cell holds a tab or line break: {cell!r}")
        yield "\t".join(cells) + "\n"


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
    rows = []
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if len(cells) != len(header):
            raise InputError(
                "a row does not fit the header",
                file=path,
                where=f"line {number}",
                expected=f"{len(header)} cells",
                found=f"{len(cells)} cells",
            )
        rows.append(dict(zip(header, cells, strict=True)))
    return rows


def read_numbers(
    path: Path, columns: Sequence[str], name: str | None = None
) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    """Columns of numbers of a CSV or TSV file with a header line; its other columns are left aside.

    Args:
        path: of the file.
        columns: that hold finite numbers.
        name: a column with a name of its own for each row, where there has to be one.

    Returns:
        The names (n,), none without such a column; and the numbers (n, columns).

    Raises:
        InputError: it cannot be read, lacks a column, a cell is not a finite number, or a name comes twice.
    """
    import numpy as np

    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", file=path, found=str(error)) from error
    header = lines[0] if lines else ""
    rows = csv.reader(lines, delimiter="\t" if "\t" in header else ",")
    found = [word.strip() for word in next(rows, [])]
    wanted = [*([name] if name else []), *columns]
    missing = [column for column in wanted if column not in found]
    twice = [column for column in wanted if found.count(column) > 1]
    listed = f"{', '.join(wanted[:-1])} and {wanted[-1]}"
    if missing or twice:
        raise InputError(
            f"has no column {', '.join(missing)}" if missing else f"has two columns {twice[0]}",
            file=path,
            where="line 1",
            expected=f"a header line with {listed}, and others if need be",
            found=header[:100] or "an empty file",
        )
    places = [found.index(column) for column in columns]
    names: dict[str, None] = {}
    numbers = []
    for row in rows:
        if not row:
            continue
        where = f"line {rows.line_num}"
        try:
            values = [float(row[place]) for place in places]
            if not all(map(math.isfinite, values)):
                raise ValueError
        except (ValueError, IndexError):
            shown = ", ".join(row[place] if place < len(row) else "nothing" for place in places)
            expected = f"{', '.join(columns[:-1])} and {columns[-1]}"
            raise InputError(
                "a coordinate is no number", file=path, where=where, expected=expected, found=shown
            ) from None
        if name:
            word = row[found.index(name)].strip() if found.index(name) < len(row) else ""
            if not word or word in names:
                raise InputError("a row needs a name of its own", file=path, where=where, found=word or "no name")
            names[word] = None
        numbers.append(values)
    return tuple(names), np.array(numbers, np.float64).reshape(-1, len(columns))
