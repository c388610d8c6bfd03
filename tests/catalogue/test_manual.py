"""The reference in the manual is that of the code."""

from __future__ import annotations

from pathlib import Path

from neuropack.catalogue.manual import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "catalogue.md"


def test_the_page_lists_the_tables_and_columns() -> None:
    """To bring it up to date, put `reference()` in the place of what stands from the first table on."""
    text = PAGE.read_text(encoding="utf-8")
    assert text[text.index("\n## ") :] == reference()
