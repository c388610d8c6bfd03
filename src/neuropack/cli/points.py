"""Points that a person gives on the line."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError


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
