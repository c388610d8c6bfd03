"""Tab-separated tables as BIDS writes them: a header line, ``n/a`` for a value that is not known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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
                cells = line.rstrip("\n").split("\t")
                if len(cells) != len(header):
                    raise InputError(
                        "a row does not fit the header",
                        file=path,
                        where=f"line {number}",
                        expected=f"{len(header)} cells",
                        found=f"{len(cells)} cells",
                    )
                yield number, dict(zip(header, cells, strict=True))
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
