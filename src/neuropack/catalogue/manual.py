"""The reference of the tables as it stands in the manual, made from `neuropack.catalogue.columns`."""

from __future__ import annotations

from collections.abc import Iterator

from neuropack.catalogue.columns import TABLES, Column


def reference() -> str:
    """The tables and their columns, Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    for table in TABLES.values():
        yield from (
            "",
            f"## {table.name}",
            "",
            table.text,
            "",
            "| column | type | unit | search | |",
            "|---|---|---|---|---|",
        )
        for one in table.columns:
            yield f"| `{one.name}` | {one.kind} | {one.unit} | {_search(one)} | {one.text} |"


def _search(column: Column) -> str:
    if not column.searched:
        return ""
    return "filter, words" if column.words else "filter"
