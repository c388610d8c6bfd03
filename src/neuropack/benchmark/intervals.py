"""How far a mean over images may lie from that over other images of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

LEAST_IMAGES: Final = 3
"""With fewer, resampling says nothing."""
_RESAMPLES = 2000
_PERCENT = (2.5, 97.5)


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float] | None:
    """The 95 % percentile interval of the mean by the bootstrap (Efron 1979); None of fewer than three images."""
    if len(values) < LEAST_IMAGES:
        return None
    found = np.asarray(values, np.float64)
    rows = np.random.default_rng(seed).integers(0, len(found), (_RESAMPLES, len(found)))
    low, high = np.percentile(found[rows].mean(axis=1), _PERCENT)
    return float(low), float(high)
