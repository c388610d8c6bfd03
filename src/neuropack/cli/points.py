"""Points that a person gives: on the line, or as a table."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, UsageError

_COLUMNS = ("x", "y", "z")


def given(words: Sequence[str]) -> npt.NDArray[np.float64]:
    """Points (n, 3) written as ``x,y,z`` each.

    Raises:
        UsageError: one is not three numbers.
    """
    points = []
    for word in words:
        try:
            x, y, z = (float(part) for part in word.split(","))
            if not all(map(math.isfinite, (x, y, z))):
                raise ValueError
        except ValueError:
            raise UsageError(
                "is no point", expected="three numbers X,Y,Z without blanks, such as 5400,2500,3000", found=word
            ) from None
        points.append((x, y, z))
    return np.array(points, np.float64).reshape(-1, 3)


def read_points(path: Path) -> npt.NDArray[np.float64]:
    """Points (n, 3) from the columns x, y and z of a CSV or TSV file with a header line; others are left aside.

    Raises:
        InputError: it cannot be read, lacks a column, or a cell is not a finite number.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", file=path, found=str(error)) from error
    lines = text.splitlines()
    header = lines[0] if lines else ""
    rows = csv.reader(lines, delimiter="\t" if "\t" in header else ",")
    names = [name.strip() for name in next(rows, [])]
    twice = [column for column in _COLUMNS if names.count(column) > 1]
    missing = [column for column in _COLUMNS if column not in names]
    if missing or twice:
        raise InputError(
            f"has no column {', '.join(missing)}" if missing else f"has two columns {twice[0]}",
            file=path,
            where="line 1",
            expected="a header line with x, y and z, and others if need be",
            found=header[:100] or "an empty file",
        )
    places = [names.index(column) for column in _COLUMNS]
    points = []
    for row in rows:
        if not row:
            continue
        try:
            point = [float(row[place]) for place in places]
            if not all(map(math.isfinite, point)):
                raise ValueError
        except (ValueError, IndexError):
            shown = ", ".join(row[place] if place < len(row) else "nothing" for place in places)
            where = f"line {rows.line_num}"
            raise InputError(
                "a coordinate is no number", file=path, where=where, expected="x, y and z", found=shown
            ) from None
        points.append(point)
    return np.array(points, np.float64).reshape(-1, 3)
