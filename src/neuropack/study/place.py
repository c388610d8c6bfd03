"""Where a person wrote something: a line of study.yaml, or a cell of a sheet."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """A place in a text file, counted from 1."""

    line: int
    column: int

    def told(self, file: str) -> str:
        """The place as a message names it."""
        return f"{file}:{self.line}:{self.column}"

    def short(self) -> str:
        """The place as another message about the same file names it."""
        return f"line {self.line}"

    def entry(self, key: str) -> str:
        """How a list gets an entry."""
        return f"write {key}: and below it an entry that starts with a dash"


class Cell(NamedTuple):
    """A cell of a sheet.

    Attributes:
        order: number of the sheet, so that problems are told sheet by sheet.
        row, column: counted from 1; of a TSV file the line, and the number of the cell in it.
        sheet: its name.
        tsv: whether the sheet is a TSV file in a folder, and not a sheet of a workbook.
    """

    order: int
    row: int
    column: int
    sheet: str
    tsv: bool = False

    def told(self, file: str) -> str:
        """The place as a message names it."""
        return f"{file}/{self.sheet}.tsv:{self.row}:{self.column}" if self.tsv else f"{file} {self.short()}"

    def short(self) -> str:
        """The place as another message about the same study names it."""
        if self.tsv:
            return f"{self.sheet}.tsv line {self.row}"
        plain = self.sheet.replace("_", "a").isalnum()
        return f"{self.sheet if plain else repr(self.sheet)}!{letters(self.column)}{self.row}"

    def entry(self, key: str) -> str:
        """How a list gets an entry."""
        return f"add a row to the sheet {key}"


def letters(column: int) -> str:
    """A column as spreadsheets name it: 1 is A, 27 is AA."""
    text = ""
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(ord("A") + rest) + text
    return text
