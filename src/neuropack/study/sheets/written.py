"""A workbook to fill in: frozen headers, help under each, menus, and colours for what is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuropack import resources
from neuropack.errors import UsageError
from neuropack.study.place import letters
from neuropack.study.shape import Field
from neuropack.study.sheets.layout import Column
from neuropack.study.sheets.pages import Page

ROWS = 2000  # as many as have menus; more may be filled in
COLUMNS = 26  # the same of a form
_WIDTHS = {1: 44, 2: 80}  # letters, of the columns of a form
SPARE = 4  # columns of a form that are made ready; the style of a line as a whole would fill it with cells
MAX_TEXT = 32_767  # characters of a cell, by the limits of the format
_FILLS = {"here": "F8CBAD", "defaults": "FFF2CC", "file": "DDEBF7", None: "EDEDED"}


def about_text(pages: Sequence[Page]) -> str:
    """What a person is to know of the sheets."""
    text = (resources.folder("templates") / "study" / "sheets.md").read_text(encoding="utf-8")
    listed = "\n".join(f"- {page.sheet.name}: {page.sheet.about}" for page in pages)
    return f"{text}\nThe sheets:\n\n{listed}\n"


def write_workbook(path: Path, pages: Sequence[Page]) -> None:
    """Write a workbook.

    Raises:
        UsageError: a value cannot stand in a cell.
    """
    from openpyxl import Workbook
    from openpyxl.styles import Alignment

    book = Workbook()
    about = book.active
    about.title = "README"
    about.column_dimensions["A"].width = 110
    for paragraph in about_text(pages).split("\n\n"):
        about.append([paragraph])
    for (cell,) in about.iter_rows():
        cell.alignment = Alignment(wrap_text=True, vertical="top")
    menus = _Menus(book)
    for page in pages:
        _Sheet(book.create_sheet(page.sheet.name), page).write(menus)
    menus.last()
    book.save(path)


class _Menus:
    """The words of all menus, on a sheet that is hidden: in the cell itself there is room for 255 letters only."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.sheet = book.create_sheet("lists")
        self.ranges: dict[tuple[str, ...], str] = {}

    def words(self, words: Sequence[str]) -> str:
        """The range that holds these words."""
        key = tuple(words)
        if key not in self.ranges:
            column = len(self.ranges) + 1
            for row, word in enumerate(words, 1):
                _put(self.sheet.cell(row, column), word)
            name = letters(column)
            self.ranges[key] = f"lists!${name}$1:${name}${len(words)}"
        return self.ranges[key]

    def last(self) -> None:
        """Put the sheet behind all others, out of sight."""
        self.book.move_sheet(self.sheet, len(self.book.sheetnames))
        self.sheet.sheet_state = "hidden"


class _Sheet:
    """A sheet that is being written."""

    def __init__(self, sheet: Any, page: Page) -> None:
        self.sheet, self.page = sheet, page

    def write(self, menus: _Menus) -> None:
        for row, cells in enumerate(self.page.rows(), 1):
            for column, raw in enumerate(cells, 1):
                if raw is not None:
                    _put(self.sheet.cell(row, column), raw)
        if self.page.sheet.form:
            self._form(menus)
        else:
            self._table(menus)

    def _table(self, menus: _Menus) -> None:
        for number, column in enumerate(self.page.columns, 1):
            name = letters(number)
            self._head(self.sheet.cell(1, number), column)
            self._help(self.sheet.cell(2, number))
            size = self.sheet.column_dimensions[name]
            size.width = max(18, min(34, len(column.name) + 6))
            size.number_format = _format(column.field)
            last = max(ROWS, len(self.page.records) + 500)
            for row in range(3, len(self.page.records) + 3):
                self.sheet.cell(row, number).number_format = _format(column.field)
            self._check(column, f"{name}3:{name}{last}", menus)
        self.sheet.row_dimensions[2].height = 135
        self.sheet.freeze_panes = self.sheet.cell(3, max(2, len(self.page.sheet.address) + 1))

    def _form(self, menus: _Menus) -> None:
        from openpyxl.styles import Alignment, Font

        lines = {column.name: column for column in self.page.columns}
        for name, width in (
            ("A", 36),
            ("B", 70),
            *((letters(n), 40) for n in range(3, len(self.page.records) + 3)),
        ):
            self.sheet.column_dimensions[name].width = width
        for cell in self.sheet[1]:
            cell.font = Font(bold=True)
        for row in range(2, self.sheet.max_row + 1):
            head = self.sheet.cell(row, 1)
            column = lines.get(str(head.value))
            if column is None:
                head.font = Font(bold=True, size=14)
                continue
            self._head(head, column)
            self._help(self.sheet.cell(row, 2))
            for number in range(3, len(self.page.records or [{}]) + 3 + SPARE * bool(self.page.sheet.address)):
                cell = self.sheet.cell(row, number)
                cell.number_format = _format(column.field)
                cell.alignment = Alignment(wrap_text=True, vertical="top", horizontal="left")
            # not every program finds the height of a line that is folded
            texts = {cell.column: str(cell.value or "") for cell in self.sheet[row]}
            folded = max(-(-len(text) // _WIDTHS.get(n, 40)) for n, text in texts.items())
            self.sheet.row_dimensions[row].height = 15 * min(max(folded, 1), 10)
            self._check(column, f"C{row}:{letters(COLUMNS)}{row}", menus)
        self.sheet.freeze_panes = "C2"

    def _head(self, cell: Any, column: Column) -> None:
        from openpyxl.styles import Alignment, Font, PatternFill

        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor=_FILLS[column.need])
        cell.alignment = Alignment(vertical="top")

    def _help(self, cell: Any) -> None:
        from openpyxl.styles import Alignment, Font

        cell.font = Font(italic=True, size=9, color="595959")
        cell.alignment = Alignment(wrap_text=True, vertical="top")

    def _check(self, column: Column, where: str, menus: _Menus) -> None:
        """A menu or a limit; a warning only, since n/a and formulas are right as well."""
        from openpyxl.worksheet.datavalidation import DataValidation

        limits = _limits(column, menus)
        if limits is None:
            return
        check = DataValidation(**limits, allow_blank=True, showErrorMessage=True, errorStyle="warning")
        check.errorTitle, check.error = column.name[:32], "This is not what belongs here. See the help."
        self.sheet.add_data_validation(check)
        check.add(where)


def _limits(column: Column, menus: _Menus) -> dict[str, Any] | None:
    """What is offered or allowed in a cell, in the words of the format."""
    field = column.field
    made: dict[str, Any] | None = None
    if column.refers and column.name != "kind":
        sheet, place = MENUS[column.name]
        made = {"type": "list", "formula1": f"{sheet}!${place}$3:${place}${ROWS}"}
    elif field.many or field.matrix:
        made = None
    elif field.words or field.kind == "boolean":
        made = {"type": "list", "formula1": menus.words(list(field.words) or ["true", "false"])}
    elif field.kind in ("number", "integer"):
        least, most = (-1e12 if field.minimum is None else field.minimum), (field.maximum or 1e15)
        kind = "decimal" if field.kind == "number" else "whole"
        made = {"type": kind, "operator": "between", "formula1": f"{least:.15g}", "formula2": f"{most:.15g}"}
    elif field.range == "CalendarDate":
        made = {"type": "date", "operator": "greaterThan", "formula1": "1"}
    return made


# Where the menu of a column that refers to another sheet is.
MENUS = {
    "subject": ("subjects", "A"),
    "specimen": ("specimens", "B"),
    "stack": ("stacks", "D"),
    "instrument": ("instruments", "A"),
    "other_annotator": ("other_annotators", "D"),
    "benchmark": ("benchmarks", "A"),
}


def _format(field: Field) -> str:
    """The number format of a column: text stays what was typed, and a day is shown as it is stored."""
    if field.range == "CalendarDate":
        return "yyyy-mm-dd"
    plain = field.kind in ("number", "integer", "boolean") and not (field.many or field.matrix)
    return "General" if plain else "@"


def _put(cell: Any, raw: Any) -> None:
    """Write a value; text stays text, also where it looks like a formula."""
    from openpyxl.utils.exceptions import IllegalCharacterError

    if isinstance(raw, str) and len(raw) > MAX_TEXT:
        found = f"{len(raw)} characters in {cell.parent.title}"
        raise UsageError("a text is too long for a cell", expected=f"at most {MAX_TEXT}", found=found)
    if isinstance(raw, float) and float(f"{raw:.16g}") != raw:
        raw = repr(raw)  # openpyxl writes sixteen digits of a number, and this one needs more
    try:
        cell.value = raw
    except IllegalCharacterError:
        what = "a text holds a control character, which a workbook cannot"
        raise UsageError(what, found=f"{raw[:60]!r} in {cell.parent.title}", fix="remove it") from None
    if isinstance(raw, str):
        cell.data_type = "s"
