"""The workbook of the Brain Image Library as a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from neuropack.describe.bil import FIRST_ROW, Row
from neuropack.describe.bil_sheets import SHEETS
from neuropack.errors import OutputError
from neuropack.whole import published

LONGEST = 32_767  # characters of a cell, https://support.microsoft.com/office/excel-specifications-and-limits
_NO_XML = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)  # https://www.w3.org/TR/xml/#charsets


def write_bil(sheets: Mapping[str, Sequence[Row]], path: Path) -> None:
    """Write the workbook beside its name and rename it.

    Every cell is text: none is taken for a formula, whatever it begins with.

    Raises:
        OutputError: it cannot be written, or a text is longer than a cell can hold.
    """
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    for name, layout in SHEETS.items():
        sheet = book.create_sheet(name)
        sheet.cell(1, 1).value = f"{name}: written by neuropack from the metadata of a release"
        for column, (title, field) in enumerate(layout.columns.items(), 1):
            sheet.cell(layout.header, column).value = title
            sheet.cell(FIRST_ROW - 1, column).value = "required" if field.required else "optional"
        for number, row in enumerate(sheets[name], FIRST_ROW):
            for column, title in enumerate(layout.columns, 1):
                text = _NO_XML.sub(" ", row.get(title, ""))
                if len(text) > LONGEST:
                    where, found = f"{name}, row {number}, {title}", f"{len(text)} characters"
                    raise OutputError(
                        "a text does not fit into a cell",
                        file=path,
                        where=where,
                        expected=f"at most {LONGEST} characters",
                        found=found,
                        fix="shorten it in study.yaml and build the release again",
                    )
                cell = sheet.cell(number, column)
                cell.value, cell.data_type = text or None, "s"
    with published(path, overwrite=True) as partial:
        book.save(partial)
