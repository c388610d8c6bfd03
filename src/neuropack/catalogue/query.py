"""What is looked for in a table, what is found, and the cursors that lead from one page to the next."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neuropack.errors import UsageError

Row = dict[str, Any]
Bound = float | str | None
Span = tuple[Bound, Bound]
Place = tuple[float, float, float]

LARGEST_PAGE = 10_000
_CHECK = 12  # bytes of the digest in a cursor


@dataclass(frozen=True)
class Query:
    """What is looked for; all of it must hold.

    Attributes:
        equal: values that columns must have, each one of several; None for rows without a value.
        ranges: least and greatest value of columns, both inside; None for an open end.
        region: acronym, name or number of a region: somata (and whatever else has a region) in it, or in any part
            of it.
        box: two corners (AP, DV, LR) of the CCF between which somata lie, um.
        text: words, each of which must be found somewhere in the texts of a row; capitals do not matter.
        sort: the column to sort by; a minus in front turns the order round. Rows without a value come last.
        limit: rows of a page.
        cursor: where the page begins, as the page before says.
    """

    equal: Mapping[str, tuple[str | float | None, ...]] = field(default_factory=dict)
    ranges: Mapping[str, Span] = field(default_factory=dict)
    region: str | int | None = None
    box: tuple[Place, Place] | None = None
    text: str | None = None
    sort: str = "id"
    limit: int = 50
    cursor: str | None = None

    @property
    def column(self) -> str:
        """The column that it is sorted by."""
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        """Whether the greatest comes first."""
        return self.sort.startswith("-")


@dataclass(frozen=True)
class Page:
    """A page of rows, how many there are in all, and the cursor of the next one (None at the end)."""

    items: list[Row]
    total: int
    next: str | None


@dataclass(frozen=True)
class Mark:
    """The last row of a page.

    Attributes:
        value: of the column that the page is sorted by.
        id, release: of the row.
        nth: which of the rows with this id and release it is, from 0.
    """

    value: float | str | None
    id: str
    release: str
    nth: int = 0


def cursor_after(mark: Mark, query: Query, table: str) -> str:
    """The cursor of the page behind a row.

    It says where the page begins, and by a digest which query it is of. The digest is no secret: it finds typing
    errors and cursors of other queries. Whoever works one out gets a page that a query could have got as well.
    """
    body = json.dumps([mark.value, mark.id, mark.release, mark.nth], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_digest(body, query, table) + body).decode().rstrip("=")


def mark_of(cursor: str, query: Query, table: str) -> Mark:
    """The row that a page begins behind.

    Raises:
        UsageError: the cursor is none, or is of another query.
    """
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        body = data[_CHECK:]
        if data[:_CHECK] != _digest(body, query, table):
            raise ValueError("of another query")
        value, id_, release, nth = json.loads(body)
        if not (isinstance(id_, str) and isinstance(release, str) and type(nth) is int and 0 <= nth < 1 << 40):
            raise ValueError("of other types")
        if not (value is None or isinstance(value, str) or type(value) in (int, float)):
            raise ValueError("of another type")
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(
            "the cursor does not belong to this query",
            expected="the one that the page before gave, with the same filters and the same order",
            found=cursor[:60],
            fix="begin with the first page: leave the cursor out",
        ) from error
    return Mark(value, id_, release, nth)


def _digest(body: bytes, query: Query, table: str) -> bytes:
    said = [
        table,
        sorted((key, [str(v) for v in values]) for key, values in query.equal.items()),
        sorted((key, [str(v) for v in span]) for key, span in query.ranges.items()),
        str(query.region),
        str(query.box),
        (query.text or "").split(),
        query.sort,
    ]
    return hashlib.blake2b(
        body, digest_size=_CHECK, key=hashlib.sha256(json.dumps(said).encode()).digest()
    ).digest()
