"""An SWC file as it was given: a skeleton where its rows make one, else what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from neuropack.annotations.swc import ProblemKind, SwcRows, read_swc_rows
from neuropack.errors import InputError
from neuropack.morphology.quality import Flaw, skeleton_flaws
from neuropack.skeleton import Skeleton
from neuropack.swc import parse_swc, read_swc

_ROWS: tuple[ProblemKind, ...] = ("no-rows", "not-a-row", "not-finite")
_TREE: tuple[tuple[str, tuple[ProblemKind, ...], str], ...] = (
    ("repeated-id", ("repeated-id",), "ids=drop (or ids=renumber)"),
    ("parent", ("missing-parent",), "parents=root (or parents=drop)"),
    ("cycle", ("self-parent", "cycle"), "cycles"),
)


def swc_flaws(path: Path) -> tuple[Skeleton | None, list[Flaw]]:
    """The skeleton in an SWC file, and all that is wrong with it by itself, with the lines of the file.

    Returns:
        The skeleton, None where the rows make none, and the flaws.

    Raises:
        InputError: the file cannot be read at all.
    """
    try:
        skeleton = read_swc(path)
    except InputError as error:
        return None, list(row_flaws(path, error))
    return skeleton, with_lines(path, skeleton, skeleton_flaws(skeleton))


def row_flaws(path: Path, error: InputError) -> Iterator[Flaw]:
    """Why the rows of a file make no skeleton: one flaw for each cause, the first rows of it named.

    Of a file with rows that are no rows, nothing else is told: what hangs on them is missing because of them.

    Args:
        path: of the file.
        error: that `read_swc` raised.

    Raises:
        InputError: the file cannot be read at all.
    """
    rows = read_swc_rows(path)
    wrong = [kind for kind in _ROWS if rows.count(kind)]
    told = False
    if wrong:
        yield _flaw(
            rows, "row", wrong, "correct the row, or leave it out (neuropack annotations convert --repair rows)"
        )
        return
    for kind, problems, repair in _TREE:
        found = [p for p in problems if rows.count(p)]
        if found and not (kind == "cycle" and rows.count("repeated-id")):  # of two rows, which one is the parent?
            fix = f"correct it in the program that traced it, or neuropack annotations convert --repair {repair}"
            yield _flaw(rows, kind, found, fix)
            told = True
    if not told:  # another unit than micrometre, for one
        expected = error.expected or "a skeleton as SWC has it"
        found_text = ", ".join(t for t in (error.what, error.found) if t)
        yield Flaw("row", (), None, expected, found_text, error.fix or "correct the file")


def with_lines(path: Path, skeleton: Skeleton, flaws: Iterable[Flaw]) -> list[Flaw]:
    """The flaws with the line of the file where their first node stands."""
    found = list(flaws)
    if not any(flaw.ids for flaw in found):
        return found
    line = dict(zip(skeleton.id.tolist(), parse_swc(path).line.tolist(), strict=False))
    return [replace(flaw, line=line.get(flaw.ids[0])) if flaw.ids else flaw for flaw in found]


def _flaw(rows: SwcRows, kind: str, problems: list[ProblemKind], fix: str) -> Flaw:
    first = min((p for p in rows.problems if p.kind in problems), key=lambda p: p.line)
    count = sum(rows.count(p) for p in problems)
    found = first.found + (f", and {count - 1} more row(s) like it" if count > 1 else "")
    return Flaw(kind, (), None, first.expected, found, fix, line=first.line or None)
