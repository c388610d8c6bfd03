"""Points that a person gives: on the line, or as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.table import read_numbers


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
    """Points (n, 3) from the columns x, y and z of a CSV or TSV file with a header line.

    Raises:
        InputError: it cannot be read, lacks a column, or a cell is not a finite number.
    """
    return read_numbers(path, ("x", "y", "z"))[1]
