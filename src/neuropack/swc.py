"""SWC files: the only place that knows how their rows are written.

Both ways are streams: beside the arrays of a tree, a few megabytes of text are in memory at a time.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.skeleton import Skeleton, see_trees

_COLUMNS = 7
_WHOLE = (0, 1, 6)  # columns that hold whole numbers
_EXACT = 2.0**53  # above it, not every whole number is a float
_BLOCK = 1 << 22  # bytes of text that are parsed at a time
_LONGEST = 1 << 20  # bytes of a line; what is longer is no text
_MANY = 100_000  # rows that are written at a time
_MOST_WRONG = 1000  # wrong rows that are kept; the rest is counted
_FRAME = re.compile(r"frame: ([^;]+); unit: *(\S+)")  # as our own SWC files say it
_TITLE = "id type x y z radius parent"
MICROMETRE = ("micrometer", "micrometre", "um", "\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m")
"""How a comment of an SWC file may name the unit."""


@dataclass(frozen=True)
class WrongRow:
    """A row of an SWC file that is not seven finite numbers.

    Attributes:
        line: its number.
        text: what stands there.
        kind: not-a-row, which is left out; or not-finite, which stays: id, type and parent are in order.
    """

    line: int
    text: str
    kind: Literal["not-a-row", "not-finite"]


@dataclass(frozen=True, eq=False)
class SwcTable:
    """The rows of an SWC file as they stand; nothing is known yet of how they hang together.

    Attributes:
        path: of the file.
        id, type, parent: (n,), int64.
        xyz: (n, 3), float64.
        radius: (n,), float64.
        line: the number of the line of each row (n,), int64.
        comments: what stands above the rows, without the ``#``; not the two lines that neuropack writes.
        frame: that a comment states, None where none does.
        unit: that it states with it, such as ``micrometer``.
        wrong: rows that are not seven finite numbers, the first thousand.
        wrong_count: how many these are.
    """

    path: Path
    id: npt.NDArray[np.int64]
    type: npt.NDArray[np.int64]
    xyz: npt.NDArray[np.float64]
    radius: npt.NDArray[np.float64]
    parent: npt.NDArray[np.int64]
    line: npt.NDArray[np.int64]
    comments: tuple[str, ...] = ()
    frame: str | None = None
    unit: str | None = None
    wrong: tuple[WrongRow, ...] = ()
    wrong_count: int = 0

    def __len__(self) -> int:
        return len(self.id)


def read_swc(path: Path, frame: str | None = None, otherwise: str = "stack") -> Skeleton:
    """Read an SWC file.

    Args:
        path: of the file.
        frame: of its positions, whatever the file says.
        otherwise: the frame where neither `frame` nor a comment of the file names one.

    Raises:
        InputError: a row is not seven numbers, an id comes twice, or a parent does not exist.
    """
    table = parse_swc(path, strict=True)
    if table.unit not in {None, *MICROMETRE}:
        raise InputError(
            "is not in micrometre", file=path, expected="unit: micrometer", found=f"unit: {table.unit}"
        )
    if not len(table):
        raise InputError("holds no SWC samples", file=path, expected="rows of seven numbers", found="none")
    see_trees(table.id, table.parent, path, lambda row: f"line {table.line[row]}")
    return Skeleton(
        id=table.id,
        type=table.type,
        xyz=table.xyz,
        radius=table.radius,
        parent=table.parent,
        frame=frame or table.frame or otherwise,
        comments=table.comments,
    )


def parse_swc(path: Path, *, strict: bool = False) -> SwcTable:
    """The rows of an SWC file, as they stand.

    Args:
        path: of the file. Lines end with LF, CRLF or CR; a byte order mark, and comments in Latin-1, are read.
        strict: raise at the first row that is not seven finite numbers, instead of listing it.

    Raises:
        InputError: the file cannot be read, or has a line of more than a megabyte; a row is wrong (`strict`).
    """
    parts: list[tuple[npt.NDArray[Any], ...]] = []
    comments: list[str] = []
    wrong: list[WrongRow] = []
    count, in_head = 0, True
    for first, lines in _blocks_of_lines(path):
        skip = 0
        if in_head:
            skip, found = _comments_on_top(lines)
            comments += found
            in_head = skip == len(lines)
        *columns, bad = _parsed(lines[skip:], first + skip)
        if bad and strict:
            raise _not_a_row(path, bad[0])
        count += len(bad)
        wrong += bad[: _MOST_WRONG - len(wrong)]
        parts.append(tuple(columns))
    stated = [match for text in comments if (match := _FRAME.fullmatch(text.strip()))]
    kept = tuple(text for text in comments if text.strip() != _TITLE and not _FRAME.fullmatch(text.strip()))
    frame, unit = stated[-1].groups() if stated else (None, None)
    ids, types, xyz, radius, parents, line = _joined(parts)
    return SwcTable(
        path=path,
        id=ids,
        type=types,
        xyz=xyz,
        radius=radius,
        parent=parents,
        line=line,
        comments=kept,
        frame=frame and frame.strip(),
        unit=unit,
        wrong=tuple(wrong),
        wrong_count=count,
    )


def _joined(parts: list[tuple[npt.NDArray[Any], ...]]) -> list[npt.NDArray[Any]]:
    """Columns of one array each, and the memory of their parts given back one column after the other."""
    columns = [list(column) for column in zip(*parts, strict=True)]
    parts.clear()
    joined = []
    for column in columns:
        joined.append(np.concatenate(column))
        column.clear()
    return joined or list(_parsed([], 1)[:-1])


def _blocks_of_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number of a line, and the text of it and of some megabytes of lines behind it."""
    first, rest = 1, b""
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                data = rest + block
                end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1  # behind the last CR, an LF may come
                rest = data[end:]
                if end:
                    lines = _lines(data[:end], first)[:-1]
                    yield first, lines
                    first += len(lines)
                if len(rest) > _LONGEST:
                    break
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    if len(rest) > _LONGEST:
        raise InputError(
            "is not a text file",
            file=path,
            where=f"line {first}",
            expected="lines of seven numbers",
            found=f"a line of more than {_LONGEST} bytes, which begins with {rest[:16]!r}",
        )
    if rest:
        yield first, _lines(rest, first)


def _lines(data: bytes, first: int) -> list[str]:
    if first == 1:
        data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:  # names and micro signs of older programs
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _comments_on_top(lines: list[str]) -> tuple[int, list[str]]:
    """How many lines stand above the first row, and the comments among them."""
    found = []
    for number, line in enumerate(lines):
        text = line.lstrip()
        if text.startswith("#"):
            found.append(text[1:].removeprefix(" "))
        elif text:
            return number, found
    return len(lines), found


def _parsed(lines: list[str], first: int) -> tuple[Any, ...]:
    """Columns id, type, xyz, radius, parent and line of some lines, and the rows that are wrong."""
    kept = [line.partition("#")[0] for line in lines]
    numbers = np.arange(first, first + len(lines))
    if not all(kept) or any(map(str.isspace, kept)):
        numbers = np.array([n for n, line in zip(numbers, kept, strict=True) if line.strip()], np.int64)
        kept = [line for line in kept if line.strip()]
    table = _numbers(kept)
    if table is None:
        return _parsed_slowly(kept, [lines[n - first] for n in numbers], numbers)
    whole = [table[:, column].astype(np.int64) for column in _WHOLE]
    return whole[0], whole[1], table[:, 2:5].copy(), table[:, 5].copy(), whole[2], numbers, []


def _numbers(lines: list[str]) -> npt.NDArray[np.float64] | None:
    """Seven numbers a line (n, 7), at the speed of C; None where one is wrong, or is no exact float."""
    if not lines:
        return np.empty((0, _COLUMNS))
    try:
        table = np.loadtxt(lines, usecols=range(_COLUMNS), comments=None, ndmin=2)
    except ValueError:
        return None
    whole = table[:, _WHOLE]
    sound = np.isfinite(table).all() and (np.abs(whole) < _EXACT).all() and (whole == np.trunc(whole)).all()
    return table if sound and len(table) == len(lines) else None


def _parsed_slowly(kept: list[str], shown: list[str], numbers: npt.NDArray[np.int64]) -> tuple[Any, ...]:
    rows: list[tuple[tuple[int, ...], list[float], int]] = []
    wrong: list[WrongRow] = []
    for line, text, number in zip(kept, shown, numbers.tolist(), strict=True):
        fields = line.split()[:_COLUMNS]
        try:
            whole = tuple(_whole(fields[column]) for column in _WHOLE)
            real = [float(field) for field in fields[2:6]]
        except (ValueError, IndexError):
            wrong.append(WrongRow(number, _printable(text), "not-a-row"))
            continue
        rows.append((whole, real, number))
        if not np.isfinite(real).all():
            wrong.append(WrongRow(number, _printable(text), "not-finite"))
    whole_numbers = np.array([row[0] for row in rows], np.int64).reshape(-1, 3)
    real_numbers = np.array([row[1] for row in rows], np.float64).reshape(-1, 4)
    ids, types, parents = (np.ascontiguousarray(column) for column in whole_numbers.T)
    at = np.array([row[2] for row in rows], np.int64)
    return ids, types, real_numbers[:, :3].copy(), real_numbers[:, 3].copy(), parents, at, wrong


def _whole(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        value = float(text)
        if not value.is_integer():
            raise
        number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(text)
    return number


def _printable(text: str) -> str:
    return "".join(mark if mark.isprintable() else " " if mark == "\t" else "?" for mark in text.strip()[:80])


def _not_a_row(path: Path, row: WrongRow) -> InputError:
    fix = None
    if row.kind == "not-a-row" and any(mark in row.text for mark in ",;"):
        fix = "numbers stand apart by blanks or tabs, and have a point in front of their decimals"
    return InputError(
        "not an SWC row",
        file=path,
        where=f"line {row.line}",
        expected="seven numbers: id type x y z radius parent; id, type and parent whole",
        found=row.text,
        fix=fix,
    )


def swc_text(skeleton: Skeleton, comments: Iterable[str] = (), decimals: int | None = None) -> str:
    """An SWC file in micrometre.

    Args:
        skeleton: what it holds.
        comments: lines that go on top, above those that the skeleton has.
        decimals: of positions and radii; None writes each as the shortest text that reads back as the same number.
    """
    return "".join(_swc_blocks(skeleton, comments, decimals))


def write_swc(path: Path, skeleton: Skeleton, comments: Iterable[str] = (), decimals: int | None = None) -> None:
    """Write the file that `swc_text` makes, a part of it after the other."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for block in _swc_blocks(skeleton, comments, decimals):
            file.write(block)


def _swc_blocks(skeleton: Skeleton, comments: Iterable[str], decimals: int | None) -> Iterator[str]:
    above = [line for text in (*comments, *skeleton.comments) for line in re.split("\r\n|\r|\n", text)]
    head = [*above, f"frame: {skeleton.frame}; unit: micrometer", _TITLE]
    yield "".join(f"# {line}\n" for line in head)
    real = "%r" if decimals is None else f"%.{decimals}f"
    row = f"%d %d {real} {real} {real} {real} %d\n"
    columns = (skeleton.id, skeleton.type, *skeleton.xyz.T, skeleton.radius, skeleton.parent)
    for start in range(0, len(skeleton), _MANY):
        part = [column[start : start + _MANY].tolist() for column in columns]
        yield "".join(row % values for values in zip(*part, strict=True))
