"""Rows of a table of marks as they stand in its file, and exact numbers from their cells."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from neuropack.annotations.stated import Stated
from neuropack.errors import InputError
from neuropack.marks import Credit, MarkKind
from neuropack.table import MISSING, read_table

if TYPE_CHECKING:
    import pyarrow as pa

Ends = Literal["half-open", "inclusive"]
"""What the upper numbers of a box in voxels are: the first voxel behind it, or the last one inside."""

UNSTATED = Stated()
NOBODY = Credit()
LARGEST = 2**63 - 1
_EXACT = 2**53  # above it, a float may have lost digits of a whole number
_WHOLE = re.compile(r"[+-]?\d{1,25}(\.0*)?")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_MOST = 20_000_000  # rows of a Parquet file; a few bytes of it can promise billions


class Marks(NamedTuple):
    """What a file of marks holds.

    Attributes:
        table: of the columns of its kind, see `neuropack.marks.marks_schema`.
        kind: boxes, points or classes.
        notes: what a person should know of how it was read: what was rounded, numbered or left out.
    """

    table: pa.Table
    kind: MarkKind
    notes: tuple[str, ...] = ()


class HasPlaces(Protocol):
    """Records of a file, of which each has a place there that a message names."""

    @property
    def path(self) -> Path:
        """Of the file."""
        ...

    def place(self, row: int) -> str:
        """Where a record stands, such as ``line 5``."""
        ...


@dataclass(frozen=True)
class Rows:
    """A table.

    Attributes:
        path: of its file.
        names: of the columns, as they stand.
        columns: the cells of each: text, numbers, lists of numbers; None where nothing stands.
        places: where each row stands.
    """

    path: Path
    names: list[str]
    columns: list[list[Any]]
    places: list[str]

    def __len__(self) -> int:
        return len(self.places)

    def place(self, row: int) -> str:
        """Where a row stands in the file."""
        return self.places[row]

    def wrong(self, what: str, row: int, column: int, expected: str, fix: str | None = None) -> InputError:
        """The error of a cell."""
        found = self.columns[column][row]
        return InputError(
            what,
            file=self.path,
            where=f"{self.place(row)}, column {self.names[column]}",
            expected=expected,
            found="nothing" if found is None else str(found)[:80],
            fix=fix,
        )

    def numbers(self, column: int) -> list[int | float]:
        """Finite numbers, whole ones exact.

        Raises:
            InputError: a cell is none.
        """
        found: list[int | float] = []
        for row, cell in enumerate(self.columns[column]):
            try:
                found.append(number(cell))
            except ValueError as error:
                raise self.wrong("a coordinate is no number", row, column, str(error)) from None
        return found

    def texts(self, column: int) -> list[str | None]:
        """Text; a whole number as its digits."""
        return [as_text(cell) for cell in self.columns[column]]


def normal(name: str) -> str:
    """The name of a column in small letters, other characters as one underscore: ``X (µm)`` is ``x_um``."""
    letters = unicodedata.normalize("NFKC", name).casefold().replace("μ", "u")
    return re.sub(r"[^a-z0-9]+", "_", letters).strip("_")


def number(cell: object) -> int | float:
    """The number of a cell; a whole number written as text is exact whatever its size.

    Raises:
        ValueError: it is none, or not finite; says what was expected.
    """
    if isinstance(cell, str):
        if _WHOLE.fullmatch(cell):
            return int(cell.partition(".")[0])
        value: object = float(cell) if _NUMBER.fullmatch(cell) else None
    else:
        value = cell
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("a number with a decimal point")  # noqa: TRY004 - one kind for all that is no number
    try:
        finite = math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        finite = False
    if not finite:
        raise ValueError("a finite number")
    return value


def whole(cell: object) -> int:
    """The whole number of a cell, exact.

    Raises:
        ValueError: it is none, too large, or was kept as a float that may have lost digits.
    """
    value = number(cell)
    if isinstance(value, float):
        if value != math.floor(value):
            raise ValueError("a whole number")
        if abs(value) > _EXACT:
            raise ValueError("a whole number kept as one: a float above 2^53 may have lost digits")
        value = int(value)
    if abs(value) > LARGEST:
        raise ValueError(f"a whole number up to {LARGEST}")
    return value


def as_text(cell: object) -> str | None:
    """The text of a cell; whole numbers, also those that a program kept as floats, as their digits."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, float) and cell.is_integer() and abs(cell) <= _EXACT:
        return str(int(cell))
    return str(cell)


def read_rows(path: Path) -> Rows:
    """Read a CSV or TSV file, or Parquet, told by content.

    Raises:
        InputError: it is damaged, a row does not fit the header, or two columns have one name.
    """
    try:
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    rows = _from_parquet(path) if parquet else _from_text(path)
    twice = next((name for name in rows.names if rows.names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"has two columns {twice}", file=path, fix="name each column once")
    return rows


def _from_text(path: Path) -> Rows:
    table = read_table(path)
    width = len(table.header)
    if width == 1 and ";" in table.header[0]:
        raise InputError(
            "separates its cells by semicolons",
            file=path,
            where="line 1",
            expected="commas or tabs, and decimal points",
            fix="save it as CSV with commas",
        )
    cells: list[list[Any]] = [[] for _ in range(width)]
    for line, row in table.rows:
        if len(row) < width or any(cell.strip() for cell in row[width:]):
            raise InputError(
                "a row does not fit the header",
                file=path,
                where=f"line {line}",
                expected=f"{width} cells",
                found=f"{len(row)} cells",
            )
        for column, cell in zip(cells, row, strict=False):
            text = cell.strip()
            column.append(None if text in ("", MISSING) else text)
    named = [i for i, name in enumerate(table.header) if name.strip() or any(c is not None for c in cells[i])]
    names = [table.header[i].strip() for i in named]
    return Rows(path, names, [cells[i] for i in named], [f"line {line}" for line, _ in table.rows])


def _from_parquet(path: Path) -> Rows:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            if file.metadata.num_rows > _MOST:
                raise InputError(
                    "holds too many rows",
                    file=path,
                    expected=f"at most {_MOST:,}",
                    found=f"{file.metadata.num_rows:,}",
                )
            table = file.read()
        columns = [_cells(table.column(i)) for i in range(table.num_columns)]
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError("this Parquet file cannot be read: it is damaged", file=path, found=why) from error
    places = [f"row {i + 1}" for i in range(table.num_rows)]
    return Rows(path, [str(name) for name in table.column_names], columns, places)


def _cells(column: Any) -> list[Any]:
    """The cells of a column of Arrow. Text is taken as it stands; NaN of pandas is nothing only in text."""
    return [(cell or None) if isinstance(cell, str) else cell for cell in column.to_pylist()]
