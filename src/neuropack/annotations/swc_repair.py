"""Mending of SWC files, on request only: each change has a name that a person must say, and is told by line."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from neuropack.annotations.swc import SwcRows, ring_starts
from neuropack.errors import InputError, UsageError
from neuropack.skeleton import ORPHAN, ROOT, Skeleton, parent_rows, repeated
from neuropack.swc import MICROMETRE

Repair = Literal[
    "rows",
    "ids=drop",
    "ids=renumber",
    "parents=root",
    "parents=drop",
    "cycles",
    "roots=join",
    "roots=largest",
    "order",
]
REPAIRS: tuple[Repair, ...] = get_args(Repair)
"""What can be mended.

rows: leave out rows that are not seven finite numbers. ids=drop: leave out rows whose id stands above;
ids=renumber: number all rows from 1, and of several parents with one id take the nearest above. parents=root: rows
whose parent does not exist become roots; parents=drop: they go, with all that hangs on them. cycles: the first row
of a ring becomes a root. roots=join: hang each further root on the nearest node of the tree, which is that of the
soma, else the one with the most nodes; roots=largest: keep the tree with the most nodes. order: parents above their
children.
"""

_MOST_ROOTS = 20_000  # the distances between trees are looked up for each pair of them
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass
class _Work:
    """Rows under repair: `above` is the row of each row's parent, and what `told` says was done."""

    rows: SwcRows
    id: Rows
    type: Rows
    xyz: npt.NDArray[np.float64]
    radius: npt.NDArray[np.float64]
    parent: Rows
    line: Rows
    above: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    told: list[str] = field(default_factory=list)

    def keep(self, mask: Mask) -> None:
        """Leave out all other rows; what hung on them has no parent that exists."""
        if len(self.above):
            moved = np.where(mask, np.cumsum(mask) - 1, ORPHAN)
            self.above = np.where(self.above >= 0, moved[np.maximum(self.above, 0)], self.above)[mask]
        for name in ("id", "type", "xyz", "radius", "parent", "line"):
            setattr(self, name, getattr(self, name)[mask])

    def tell(self, what: str, lines: Rows) -> None:
        """Note a change of rows."""
        self.told.append(f"{what}: {_lines(lines)}")

    def refuse(self, what: str, lines: Rows, found: str, repairs: str) -> InputError:
        """The error of what is wrong and was not asked to be mended."""
        return InputError(
            what,
            file=self.rows.path,
            where=f"line {int(lines[0])}",
            found=f"{found}, {len(lines)} row(s) in all" if len(lines) > 1 else found,
            fix=f"correct the file, or ask for its repair: {repairs}",
        )


def repairs(words: Collection[str]) -> frozenset[Repair]:
    """See that words name repairs, and no two of one kind.

    Raises:
        UsageError: one does not, or two contradict each other.
    """
    known = {name: name for name in REPAIRS}
    unknown = [word for word in words if word not in known]
    kinds = [word.partition("=")[0] for word in dict.fromkeys(words)]
    twice = [kind for kind in kinds if kinds.count(kind) > 1]
    if unknown or twice:
        raise UsageError(
            "two repairs contradict each other" if twice and not unknown else "is no repair",
            expected=", ".join(REPAIRS),
            found=", ".join(unknown or sorted(words)),
            fix="name those that the file needs",
        )
    return frozenset(known[word] for word in words if word in known)


def repair(rows: SwcRows, which: Collection[str], frame: str | None = None) -> tuple[Skeleton, list[str]]:
    """Make a skeleton of rows, mending what was asked for and nothing else.

    Args:
        rows: as `neuropack.annotations.swc.read_swc_rows` gives them.
        which: words of `REPAIRS`.
        frame: of the positions, where it is not the one that the file states.

    Returns:
        The skeleton, and a sentence with line numbers for each kind of change.

    Raises:
        InputError: something is wrong that no skeleton may have and that was not asked to be mended, or nothing is
            left.
        UsageError: a word names no repair.
    """
    asked = repairs(which)
    work = _Work(rows, rows.id, rows.type, rows.xyz, rows.radius, rows.parent, rows.line)
    if rows.unit not in {None, *MICROMETRE}:
        raise InputError("is not in micrometre", file=rows.path, found=f"unit: {rows.unit}")
    _rows(work, asked)
    _ids(work, asked)
    _parents(work, asked)
    _cycles(work, asked)
    _roots(work, asked)
    if not len(work.id):
        raise InputError("holds no SWC samples", file=rows.path, expected="rows of seven numbers", found="none")
    _negative_ids(work)
    if "order" in asked:
        _order(work)
    parent = np.where(work.above >= 0, work.id[work.above], -1)
    made = Skeleton(
        work.id, work.type, work.xyz, work.radius, parent, frame or rows.frame or "stack", comments=rows.comments
    )
    return made, work.told


def _rows(work: _Work, asked: Collection[Repair]) -> None:
    rows = work.rows
    finite = np.isfinite(work.xyz).all(axis=1) & np.isfinite(work.radius)
    left_out = rows.count("not-a-row")
    if not left_out and finite.all():
        return
    wrong = np.array([row.line for row in rows.wrong], np.int64)
    if "rows" not in asked:
        raise work.refuse("not an SWC row", wrong, rows.wrong[0].text, "rows")
    more = rows.wrong_count - len(wrong)
    work.tell(f"left out {rows.wrong_count} row(s) that are not seven finite numbers", wrong)
    work.told[-1] += f" and {more} more" if more else ""
    work.keep(finite)


def _ids(work: _Work, asked: Collection[Repair]) -> None:
    twice = repeated(work.id)
    if len(twice) and not {"ids=drop", "ids=renumber"} & set(asked):
        lines = work.line[twice]
        raise work.refuse("an id comes twice", lines, f"id {work.id[twice[0]]}", "ids=drop or ids=renumber")
    if "ids=renumber" in asked:
        work.above = _nearest_above(work.id, work.parent) if len(twice) else parent_rows(work.id, work.parent)
        new = np.arange(1, len(work.id) + 1)
        changed = work.id != new
        if changed.any():
            work.tell(f"gave {int(changed.sum())} row(s) another id", work.line[changed])
            work.parent = np.where(work.above >= 0, work.above + 1, work.parent)
            work.id = new
        return
    if len(twice):
        work.tell(f"left out {len(twice)} row(s) whose id stands above", work.line[twice])
        mask = np.ones(len(work.id), bool)
        mask[twice] = False
        work.keep(mask)
    work.above = parent_rows(work.id, work.parent)


def _nearest_above(ids: Rows, parents: Rows) -> Rows:
    """As `parent_rows`, but of several rows with the id of the parent the last one above, else the first of all.

    In files that were put one behind the other, each row so keeps the parent that it had.
    """
    n = len(ids)
    names, rank = np.unique(ids, return_inverse=True)
    key = np.sort(rank * n + np.arange(n))
    wanted = np.minimum(np.searchsorted(names, parents), len(names) - 1)
    before = np.searchsorted(key, wanted * n + np.arange(n)) - 1
    first = np.searchsorted(key, wanted * n)
    place = np.where(before >= first, before, first)
    above = np.where(names[wanted] == parents, key[place] % n, ORPHAN)
    return np.where(parents < 0, ROOT, above)


def _parents(work: _Work, asked: Collection[Repair]) -> None:
    orphan = work.above == ORPHAN
    if not orphan.any():
        return
    lines = work.line[orphan]
    if "parents=root" in asked:
        work.tell(f"made {len(lines)} row(s) root(s), for their parents do not exist", lines)
        work.above = np.where(orphan, ROOT, work.above)
    elif "parents=drop" in asked:
        gone = orphan[_top(work.above)]
        work.tell(f"left out {int(gone.sum())} row(s) below a parent that does not exist", np.sort(work.line[gone]))
        work.keep(~gone)
    else:
        found = f"parent {work.parent[orphan][0]}"
        raise work.refuse("a parent does not exist", lines, found, "parents=root or parents=drop")


def _cycles(work: _Work, asked: Collection[Repair]) -> None:
    rings = ring_starts(work.above)
    if not len(rings):
        return
    if "cycles" not in asked:
        raise work.refuse("is its own ancestor", work.line[rings], f"id {work.id[rings[0]]}", "cycles")
    work.tell(f"made {len(rings)} row(s) root(s), which were their own ancestors", work.line[rings])
    work.above = work.above.copy()
    work.above[rings] = ROOT


def _roots(work: _Work, asked: Collection[Repair]) -> None:
    roots = np.flatnonzero(work.above == ROOT)
    if len(roots) < 2:
        return
    top = _top(work.above)
    if "roots=largest" in asked:
        largest = int(np.argmax(np.bincount(top, minlength=len(top))))
        gone = top != largest
        kept = f"left out {int(gone.sum())} row(s) that do not hang on the root in line {work.line[largest]}"
        work.tell(kept, work.line[gone])
        work.keep(~gone)
    elif "roots=join" in asked:
        _join(work, roots, top)


def _join(work: _Work, roots: Rows, top: Rows) -> None:
    """Hang each root but that of the soma, or of the largest tree, on the nearest node of what is joined so far."""
    from scipy.spatial import cKDTree

    if len(roots) > _MOST_ROOTS:
        raise work.refuse(
            "has too many roots to be joined", work.line[roots], f"{len(roots)} roots", "roots=largest"
        )
    by_tree = np.argsort(top, kind="stable")
    starts = np.searchsorted(top[by_tree], roots)
    ends = np.append(starts[1:], len(top))
    work.above = work.above.copy()
    near, distance = np.full(len(roots), -1, np.int64), np.full(len(roots), np.inf)
    is_soma = work.type[roots] == 1
    new, open_ = (
        int(np.argmax((ends - starts) * np.where(is_soma | ~is_soma.any(), 1, 0))),
        np.ones(len(roots), bool),
    )
    while True:
        open_[new] = False
        rest = np.flatnonzero(open_)
        if not len(rest):
            return
        members = by_tree[starts[new] : ends[new]]
        far, at = cKDTree(work.xyz[members]).query(work.xyz[roots[rest]])
        closer = far < distance[rest]
        distance[rest[closer]], near[rest[closer]] = far[closer], members[at[closer]]
        new = int(rest[np.argmin(distance[rest])])
        root, node = int(roots[new]), int(near[new])
        work.above[root] = node
        work.told.append(
            f"joined the root in line {work.line[root]} to the node in line {work.line[node]}, "
            f"{distance[new]:.3f} um away"
        )


def _negative_ids(work: _Work) -> None:
    """Another id for rows that others were joined to and whose own no parent could name: below 0 means none."""
    named = np.unique(work.above[work.above >= 0])
    bad = named[work.id[named] < 0]
    if len(bad):
        work.tell(f"gave {len(bad)} row(s) with an id below 0 another one, for others hang on them", work.line[bad])
        work.id = work.id.copy()
        work.id[bad] = max(int(work.id.max()), 0) + 1 + np.arange(len(bad))


def _order(work: _Work) -> None:
    """Each row in front of those that hang on it, branch by branch; nothing moves where that is so already."""
    n = len(work.id)
    if (work.above < np.arange(n)).all():
        return
    by_parent = np.argsort(work.above, kind="stable")
    starts = np.searchsorted(work.above[by_parent], np.arange(n + 1)).tolist()
    children = by_parent.tolist()
    stack = np.flatnonzero(work.above < 0).tolist()[::-1]
    order: list[int] = []
    while stack:
        row = stack.pop()
        order.append(row)
        stack.extend(reversed(children[starts[row] : starts[row + 1]]))
    new = np.array(order, np.int64)
    moved = new != np.arange(n)
    work.tell(f"moved {int(moved.sum())} row(s), so that parents stand above their children", work.line[new[moved]])
    place = np.empty(n, np.int64)
    place[new] = np.arange(n)
    work.above = np.where(work.above >= 0, place[work.above], work.above)[new]
    for name in ("id", "type", "xyz", "radius", "parent", "line"):
        setattr(work, name, getattr(work, name)[new])


def _top(above: Rows) -> Rows:
    """The row at the end of each row's ancestors; some row of the ring for those that have no end."""
    top = np.where(above < 0, np.arange(len(above)), above)
    for _ in range(len(above).bit_length()):
        top = top[top]
    return top


def _lines(lines: Rows) -> str:
    """Numbers of lines, runs of them as a range."""
    rows = np.sort(lines)
    breaks = np.flatnonzero(np.diff(rows) > 1) + 1
    runs = [(int(run[0]), int(run[-1])) for run in np.split(rows, breaks) if len(run)]
    shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return f"line{'s' if len(rows) > 1 else ''} {shown}"
