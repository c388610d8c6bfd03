"""SWC files with all their faults: every row that can be read, and what is wrong with them as values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from neuropack.skeleton import ORPHAN, ROOT, parent_rows, repeated, rootless
from neuropack.swc import SwcTable, parse_swc

ProblemKind = Literal[
    "no-rows",
    "not-a-row",
    "not-finite",
    "negative-radius",
    "unknown-type",
    "repeated-id",
    "self-parent",
    "missing-parent",
    "cycle",
    "order",
    "several-roots",
]
_MOST = 1000  # problems of one kind that are listed; the rest is counted
_SHOWN = 5  # lines that one problem names
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SwcProblem:
    """What is wrong with a row, or with the tree.

    Attributes:
        kind: of the problem.
        line: where it is; 0 where the file has no rows.
        expected, found: in words.
    """

    kind: ProblemKind
    line: int
    expected: str
    found: str


@dataclass(frozen=True, eq=False)
class SwcRows(SwcTable):
    """The rows of an SWC file, the wrong ones too, and what is wrong.

    Attributes:
        problems: by kind, and by line within a kind; at most a thousand of each.
        counts: how many there are of each kind, all of them.
    """

    problems: tuple[SwcProblem, ...] = ()
    counts: tuple[tuple[ProblemKind, int], ...] = ()

    def count(self, kind: ProblemKind) -> int:
        """How many problems of a kind there are."""
        return dict(self.counts).get(kind, 0)


def read_swc_rows(path: Path) -> SwcRows:
    """Read an SWC file, whatever is wrong with its rows or its tree.

    Rows that are not seven numbers are left out, all others are there: NaN positions, ids that come twice, parents
    that do not exist.

    Raises:
        InputError: the file cannot be read at all.
    """
    table = parse_swc(path)
    problems: list[SwcProblem] = []
    counts: dict[ProblemKind, int] = {}
    for kind, count, found in _problems(table):
        if count:
            counts[kind] = count
            problems += islice(found, _MOST)
    columns = {field.name: getattr(table, field.name) for field in fields(table)}
    return SwcRows(**columns, problems=tuple(problems), counts=tuple(counts.items()))


_Found = tuple[ProblemKind, int, Iterator[SwcProblem]]


def _problems(table: SwcTable) -> Iterator[_Found]:
    """Each kind of problem, how many there are, and what they are."""
    finite = np.isfinite(table.xyz).all(axis=1) & np.isfinite(table.radius)
    listed = (row for row in table.wrong if row.kind == "not-a-row")
    left_out = table.wrong_count - int((~finite).sum())
    row_of = "seven numbers: id type x y z radius parent"
    yield "not-a-row", left_out, (SwcProblem("not-a-row", row.line, row_of, row.text) for row in listed)
    if not len(table):
        yield "no-rows", 1, iter([SwcProblem("no-rows", 0, "rows of seven numbers", "none")])
        return

    def at(kind: ProblemKind, where: npt.NDArray[np.bool_] | Rows, expected: str, found: str) -> _Found:
        """Problems of rows, given as a mask or by number; `found` is filled in from the columns of the row."""
        rows = np.flatnonzero(where) if where.dtype == bool else where
        lines = (SwcProblem(kind, int(table.line[r]), expected, found.format(**_values(table, r))) for r in rows)
        return kind, len(rows), lines

    yield at("not-finite", ~finite, "finite numbers", "{x:g} {y:g} {z:g}, radius {radius:g}")
    yield at("negative-radius", table.radius < 0, "a radius of 0 or more", "{radius:g}")
    yield at("unknown-type", table.type < 0, "0 to 6, or a custom type from 7 on", "type {type}")
    yield at("repeated-id", repeated(table.id), "each id once", "id {id} again")
    above = parent_rows(table.id, table.parent)
    itself = (table.parent >= 0) & (table.parent == table.id)
    yield at("self-parent", itself, "another row as parent, or -1", "id {id} is its own parent")
    yield at("missing-parent", above == ORPHAN, "a parent that is there, or -1", "parent {parent}")
    rings = ring_starts(above)
    rings = rings[above[rings] != rings]  # one row alone is its own parent
    yield at("cycle", rings, "a root at the end of its ancestors", "id {id} is its own ancestor")
    late = (above > np.arange(len(table))) & (above >= 0)
    yield at("order", late, "parents above their children", "parent {parent} stands below id {id}")
    yield _several_roots(table, above)


def _values(table: SwcTable, row: int) -> dict[str, float]:
    x, y, z = table.xyz[row].tolist()
    names = ("id", "type", "radius", "parent")
    return {"x": x, "y": y, "z": z, **{name: getattr(table, name)[row].item() for name in names}}


def ring_starts(above: Rows) -> Rows:
    """The first row of each ring of parents, ascending.

    Args:
        above: the row of each row's parent, as `neuropack.skeleton.parent_rows` gives it.
    """
    stuck = rootless(above)
    if not len(stuck):
        return stuck
    jump = np.where(above < 0, np.arange(len(above)), above)
    rounds = range(len(above).bit_length())
    far = jump
    for _ in rounds:  # far enough up, every row below a ring has come to it
        far = far[far]
    first = np.arange(len(above))
    for _ in rounds:  # the least row within 1, 2, 4, ... steps; in a ring, of all of it
        first = np.minimum(first, first[jump])
        jump = jump[jump]
    return np.unique(first[np.unique(far[stuck])])


def _several_roots(table: SwcTable, above: Rows) -> _Found:
    lines = table.line[above == ROOT].tolist()
    if len(lines) < 2:
        return "several-roots", 0, iter(())
    shown = ", ".join(map(str, lines[:_SHOWN])) + (", ..." if len(lines) > _SHOWN else "")
    found = f"{len(lines)} roots: lines {shown}"
    return "several-roots", 1, iter([SwcProblem("several-roots", lines[1], "one root", found)])
