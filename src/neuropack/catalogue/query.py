"""Searching: filters, order and paging over the tables of releases."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neuropack.catalogue.tables import COLUMNS, tables_of
from neuropack.release import Release

Row = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """What is looked for.

    Attributes:
        equal: values that columns must have, each one of several.
        sort: the column to sort by; a minus in front turns the order round.
        limit: rows of a page.
        cursor: where the page begins, as the page before says.
    """

    equal: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sort: str = "id"
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True)
class Page:
    """A page of rows, how many there are in all, and the cursor of the next one."""

    items: list[Row]
    total: int
    next: str | None


class Catalogue:
    """The tables of releases, ready to be searched by any thread.

    Args:
        releases: by the name that rows carry in their column ``release``.
    """

    def __init__(self, releases: Mapping[str, Release]) -> None:
        import duckdb

        self._lock = threading.Lock()
        self._db = duckdb.connect(":memory:", config={"threads": 2})
        made = {name: tables_of(release) for name, release in releases.items()}
        for table in COLUMNS:
            parts = []
            for at, name in enumerate(made):
                self._db.register(f"{table}_{at}", made[name][table])
                parts.append(f"SELECT '{name}' AS release, * FROM {table}_{at}")  # noqa: S608
            self._db.execute(f"CREATE TABLE {table} AS {' UNION ALL '.join(parts)}")

    def search(self, table: str, query: Query) -> Page:
        """A page of a table."""
        where = " AND ".join(f"{column} IN ({', '.join('?' * len(v))})" for column, v in query.equal.items())
        values = [one for v in query.equal.values() for one in v]
        tail = f"FROM {table}" + (f" WHERE {where}" if where else "")
        begin = int(query.cursor or 0)
        with self._lock:
            db = self._db.cursor()
        total = db.execute(f"SELECT count(*) {tail}", values).fetchone()[0]  # type: ignore[index]
        order = f"{query.sort.removeprefix('-')} {'DESC' if query.sort.startswith('-') else 'ASC'} NULLS LAST, id"
        db.execute(f"SELECT * {tail} ORDER BY {order} LIMIT ? OFFSET ?", [*values, query.limit, begin])
        names = [one[0] for one in db.description or ()]
        items = [dict(zip(names, row, strict=True)) for row in db.fetchall()]
        end = begin + len(items)
        return Page(items, total, str(end) if end < total else None)

    def record(self, table: str, id_: str, release: str | None = None) -> Row | None:
        """The row of one thing."""
        equal = {"id": (id_,)} | ({"release": (release,)} if release else {})
        return next(iter(self.search(table, Query(equal=equal, limit=1)).items), None)
