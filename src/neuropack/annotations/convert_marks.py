"""One file of marks into another: what ``neuropack annotations convert`` does with boxes, points and classes."""

from __future__ import annotations

from pathlib import Path

from neuropack.annotations.mark_files import SUFFIXES, read_marks, write_marks
from neuropack.annotations.mark_rows import NOBODY, UNSTATED, Ends
from neuropack.annotations.stated import Stated
from neuropack.errors import UsageError
from neuropack.marks import Credit, MarkKind


def convert_marks(
    source: Path,
    out: Path,
    stated: Stated = UNSTATED,
    credit: Credit = NOBODY,
    *,
    kind: MarkKind | None = None,
    ends: Ends | None = None,
    overwrite: bool = False,
) -> list[str]:
    """Read marks of any program and write them as neuropack keeps them.

    Args:
        source: a file that `neuropack.annotations.mark_files.read_marks` reads.
        out: ends in .tsv, .csv, .parquet or, for boxes, .json.
        stated: what the source leaves open of its coordinates.
        credit: who made the marks, where the source does not say it.
        kind: of the marks, where the source holds several.
        ends: whether the upper voxels of boxes are inside of them.
        overwrite: replace a file.

    Returns:
        What a person should know of it: how many there are, what was rounded, numbered or left out.

    Raises:
        InputError: the source cannot be read.
        UsageError: something that is needed was not stated.
        OutputError: the file is there already, or cannot be written.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(
            "marks are not written to such a file",
            file=out,
            expected=", ".join(SUFFIXES),
            found=out.suffix or "no suffix",
        )
    marks = read_marks(source, kind, stated, credit, ends=ends)
    write_marks(out, marks.table, marks.kind, overwrite=overwrite)
    return [f"{marks.table.num_rows} {marks.kind}", *marks.notes]
