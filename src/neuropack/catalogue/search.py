"""Searching: pages, counts and facets of the tables of releases."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuropack.address import Address, place
from neuropack.catalogue.columns import REAL, REALS, TABLES, TEXT, WHOLES
from neuropack.catalogue.conditions import Where, column_of, conditions
from neuropack.catalogue.held import HeldTable, hold
from neuropack.catalogue.query import LARGEST_PAGE, Mark, Page, Query, Row, cursor_after, mark_of
from neuropack.errors import NeuropackError, UsageError
from neuropack.release import Release

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

TIME_LIMIT_S = 10.0
MOST_VALUES = 100
_KEPT_COUNTS = 1024
_THREADS = 2


class StoppedError(NeuropackError):
    """A search that was cancelled, or took longer than it may."""


class Stop:
    """A way to end searches from another thread: give it to them, and call `now`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[duckdb.DuckDBPyConnection] = set()
        self.called = False

    def now(self) -> None:
        """End every search that has it, and those that begin later."""
        with self._lock:
            self.called = True
            for cursor in self._running:
                cursor.interrupt()

    @contextmanager
    def watching(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """While a cursor is at work, it can be ended."""
        with self._lock:
            self._running.add(cursor)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(cursor)


class Catalogue:
    """The tables of releases, ready to be searched by any thread.

    Args:
        releases: by the name that rows carry in their column ``release``; of one somewhere else its URL.
        cache: where tables are kept that a release does not have; the user's cache folder if it is left out.
        time_limit_s: how long a search may take.

    Raises:
        InputError: a release, or its catalogue, cannot be read.
        OutputError: the cache cannot be written.
    """

    def __init__(
        self,
        releases: Mapping[str, Release | str],
        *,
        cache: Path | None = None,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> None:
        from neuropack.catalogue.kept import tables_of_release
        from neuropack.catalogue.remote import tables_at

        places = {name: place(one) if isinstance(one, str) else one.path for name, one in releases.items()}
        made = {
            name: tables_at(one, cache) if isinstance(one, Address) else tables_of_release(one, cache)
            for name, one in places.items()
        }
        self._open(made, time_limit_s)

    @classmethod
    def of_tables(
        cls, tables: Mapping[str, Mapping[str, pa.Table]], *, time_limit_s: float = TIME_LIMIT_S
    ) -> Catalogue:
        """A catalogue of tables that are there already, by release and name."""
        made = cls.__new__(cls)
        made._open(tables, time_limit_s)
        return made

    def _open(self, tables: Mapping[str, Mapping[str, pa.Table]], time_limit_s: float) -> None:
        import duckdb

        self._time_limit_s = time_limit_s
        self._lock = threading.Lock()
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._db = duckdb.connect(":memory:", config={"threads": _THREADS, "autoload_known_extensions": False})
        self._held, self._forest = hold(self._db, tables)
        for setting in ("enable_external_access = false", "lock_configuration = true"):
            self._db.execute(f"SET {setting}")

    def forget(self) -> None:
        """Forget how many rows earlier searches have found: for measurements."""
        with self._lock:
            self._counts.clear()

    def close(self) -> None:
        """Give the memory back."""
        self._db.close()

    def search(self, table: str, query: Query, *, stop: Stop | None = None) -> Page:
        """A page of a table.

        Raises:
            UsageError: a table, a column or a region that is not there, a value that does not fit its column, or a
                cursor of another query.
            StoppedError: it took longer than it may, or was stopped.
        """
        held = self._table(table)
        column_of(held, query.column)
        if not 0 <= query.limit <= LARGEST_PAGE:
            raise UsageError("no such page", expected=f"0 to {LARGEST_PAGE} rows", found=str(query.limit))
        where = conditions(held, self._forest, query)
        with self._cursor(stop) as db:
            total = self._total(db, held, where)
            places = _places(db, held, where, query)
        more = len(places) > query.limit
        items = _rows(held, places[: query.limit])
        following = (
            cursor_after(_mark(held, query, places[query.limit - 1]), query, table) if more and items else None
        )
        return Page(items, total, following)

    def record(self, table: str, id_: str, release: str | None = None) -> Row | None:
        """The row of one thing; None where there is none."""
        held = self._table(table)
        place = held.place(id_, release or "")
        if place >= len(held):
            return None
        found, of = held.key(place)
        return next(iter(_rows(held, [place])), None) if found == id_ and release in (None, of) else None

    def facets(
        self, table: str, query: Query, columns: Sequence[str], *, most: int = MOST_VALUES, stop: Stop | None = None
    ) -> dict[str, list[tuple[str | int | None, int]]]:
        """How many rows there are of each value of columns, the most frequent first.

        The values that `query` wants of a column do not count for that column itself: so one sees what else there
        is to choose.

        Args:
            table: that is searched.
            query: what is looked for; order, limit and cursor do not matter.
            columns: of texts or whole numbers.
            most: values of a column, the rarest are left out.
            stop: a way to end it.

        Raises:
            UsageError, StoppedError: as `search`.
        """
        held = self._table(table)
        for name in columns:
            if column_of(held, name).kind == REAL or name == "id":
                raise UsageError("values of this column are not counted", found=name, fix="give a range of it")
        shared = [name for name in dict.fromkeys(columns) if name not in query.equal]
        groups = [shared, *([name] for name in dict.fromkeys(columns) if name in query.equal)]
        found: dict[str, list[tuple[str | int | None, int]]] = {name: [] for name in columns}
        with self._cursor(stop) as db:
            for names in filter(None, groups):
                where = conditions(held, self._forest, query, without=names[0])
                for at, value, count in _counted(db, held, where, names, most):
                    texts = held.texts.get(names[at])
                    shown = value if value is None or texts is None else texts[value]
                    found[names[at]].append((shown, count))
        return found

    def spans(
        self, table: str, query: Query, columns: Sequence[str], *, stop: Stop | None = None
    ) -> dict[str, tuple[float | None, float | None]]:
        """Least and greatest value of columns of numbers, among the rows that fit; None where there is none.

        Raises:
            UsageError, StoppedError: as `search`.
        """
        held = self._table(table)
        for name in columns:
            if column_of(held, name).kind == TEXT:
                raise UsageError("the column holds no numbers", found=name)
        if not columns:
            return {}
        where = conditions(held, self._forest, query)
        wanted = ", ".join(f"min({name}), max({name})" for name in columns)
        with self._cursor(stop) as db:
            row = db.execute(f"SELECT {wanted} FROM {held.table.name}{where.sql}", where.values).fetchone() or ()  # noqa: S608
        return {name: (row[2 * at], row[2 * at + 1]) for at, name in enumerate(columns)}

    def _table(self, name: str) -> HeldTable:
        if name not in self._held:
            raise UsageError("there is no such table", expected=", ".join(TABLES), found=name[:60])
        return self._held[name]

    @contextmanager
    def _cursor(self, stop: Stop | None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of its own, ended when its time is over."""
        import duckdb

        with self._lock:
            cursor = self._db.cursor()
        own = stop or Stop()
        timer = threading.Timer(self._time_limit_s, cursor.interrupt)
        timer.daemon = True
        timer.start()
        try:
            with own.watching(cursor):
                if own.called:
                    raise StoppedError("the search was stopped")
                yield cursor
        except duckdb.InterruptException as error:
            what = "was stopped" if own.called else f"took longer than {self._time_limit_s:g} s"
            raise StoppedError(f"the search {what}", fix="ask for less: more filters, fewer columns") from error
        finally:
            timer.cancel()
            cursor.close()

    def _total(self, db: duckdb.DuckDBPyConnection, held: HeldTable, where: Where) -> int:
        """How many rows fit; kept, for each page of a search asks for it."""
        key = (held.table.name, json.dumps([where.sql, where.values]))
        with self._lock:
            if key in self._counts:
                self._counts.move_to_end(key)
                return self._counts[key]
        row = db.execute(f"SELECT count(*) FROM {held.table.name}{where.sql}", where.values).fetchone()  # noqa: S608
        total = int(row[0]) if row else 0
        with self._lock:
            self._counts[key] = total
            if len(self._counts) > _KEPT_COUNTS:
                self._counts.popitem(last=False)
        return total


def _places(db: duckdb.DuckDBPyConnection, held: HeldTable, where: Where, query: Query) -> list[int]:
    """Where the rows of a page lie, and one more."""
    name, turn = query.column, "DESC" if query.descending else "ASC"
    here = Where(list(where.parts), list(where.values))
    if query.cursor is not None:
        _after(here, held, query, mark_of(query.cursor, query, held.table.name))
    order = f"place {turn}" if name == "id" else f"{name} {turn} NULLS LAST, place"
    db.execute(
        f"SELECT place FROM {held.table.name}{here.sql} ORDER BY {order} LIMIT ?",  # noqa: S608
        [*here.values, query.limit + 1],
    )
    return [row[0] for row in db.fetchall()]


def _counted(
    db: duckdb.DuckDBPyConnection, held: HeldTable, where: Where, names: Sequence[str], most: int
) -> list[tuple[int, int | None, int]]:
    """Which of some columns, a value of it (the code of a text), and how many rows have it: one pass for all."""
    parts = [
        f"(SELECT {at} AS which, {name}::BIGINT AS value, count(*) AS n FROM hit GROUP BY {name} "  # noqa: S608
        "ORDER BY n DESC, value LIMIT ?)"
        for at, name in enumerate(names)
    ]
    hit = f"SELECT {', '.join(names)} FROM {held.table.name}{where.sql}"  # noqa: S608
    all_parts = " UNION ALL ".join(parts)
    query = f"SELECT * FROM (WITH hit AS MATERIALIZED ({hit}) {all_parts}) ORDER BY which, n DESC, value"  # noqa: S608
    db.execute(query, [*where.values, *([most] * len(names))])
    return db.fetchall()


def _after(where: Where, held: HeldTable, query: Query, mark: Mark) -> None:
    """Begin behind a row. It need not be there any more."""
    name, value = query.column, mark.value
    place = held.place(mark.id, mark.release) + mark.nth
    there = place < len(held) and held.key(place) == (mark.id, mark.release)
    beyond = ("place < ?" if name == "id" and query.descending else "place > ?", place if there else place - 1)
    if name == "id" and query.descending and not there:
        beyond = ("place < ?", place)
    if name == "id":
        where.add(*beyond)
        return
    if value is None:
        where.add(f"({name} IS NULL AND {beyond[0]})", beyond[1])
        return
    texts = held.texts.get(name)
    if (texts is None) == isinstance(value, str):
        raise UsageError("the cursor does not belong to this query", found=str(query.cursor)[:60])
    sign = "<" if query.descending else ">"
    if texts is not None:
        code = texts.code(str(value))
        if code is None:  # of a text that is gone: the one that would follow it
            at = _rank(texts, str(value))
            where.add(f"({name} {'<' if query.descending else '>='} ? OR {name} IS NULL)", at)
            return
        value = code
    where.add(f"({name} {sign} ? OR {name} IS NULL OR ({name} = ? AND {beyond[0]}))", value, value, beyond[1])


def _rank(texts: Sequence[str], text: str) -> int:
    import bisect

    return bisect.bisect_left(texts, text)


def _mark(held: HeldTable, query: Query, place: int) -> Mark:
    """What a cursor keeps of a row."""
    id_, release = held.key(place)
    value = None if query.column == "id" else held.rows[query.column][place].as_py()
    return Mark(value, id_, release, place - held.place(id_, release))


def _rows(held: HeldTable, places: Sequence[int]) -> list[Row]:
    """Rows as they are given out: lists of numbers are lists."""
    rows: list[dict[str, Any]] = held.rows.take(list(places)).to_pylist() if places else []
    lists = [one.name for one in held.table.columns if one.kind in (REALS, WHOLES)]
    for row in rows:
        for name in lists:
            row[name] = json.loads(row[name]) if row[name] is not None else None
    return rows
