"""How large a study may be in sheets: far more than a person types, and little enough for any machine."""

from __future__ import annotations

MAX_BYTES = 64 * 2**20  # of a workbook when it is unpacked, and of all TSV files together
MAX_ROWS = 20_000
MAX_COLUMNS = 500
MAX_CELLS = 200_000  # that hold something, in all sheets
MAX_ELEMENTS = 2_000_000  # of XML, in all parts of a workbook
MAX_PARTS = 2_000
