"""A table brought up to date by a fresh one: cells that both know take the fresh value, all else stays."""

from __future__ import annotations

from collections.abc import Sequence

from neuropack.errors import InputError
from neuropack.table import MISSING, parse_tsv, tsv_text


def merged(old: str, fresh: str, keys: Sequence[str]) -> str | None:
    """The old table with what the fresh one says.

    Args:
        old: its text; empty for none.
        fresh: the text of the other.
        keys: the columns by which rows are matched.

    Returns:
        The text: rows and columns of the old one in its order, those that it lacks behind them. None where the old
        one cannot be read, or has two rows of one key.
    """
    new = parse_tsv(fresh.encode(), "fresh")
    if not old.strip():
        return fresh
    try:
        rows = parse_tsv(old.encode(), "old")
    except InputError:
        return None
    header = old.split("\n", 1)[0].rstrip("\r").removeprefix("\ufeff").split("\t")
    if len(set(header)) < len(header):
        return None
    columns = [*header, *(key for key in keys if key not in header)]
    wanted = {tuple(row[key] for key in keys): row for row in new}
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        key = tuple(row.get(name, MISSING) for name in keys)
        if key in seen:
            return None
        seen.add(key)
        row.update({name: value for name, value in wanted.get(key, {}).items() if name in columns})
    added = [row for key, row in wanted.items() if key not in seen]
    return tsv_text(columns, [*rows, *added])
