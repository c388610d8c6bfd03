"""The intensities of each channel as a small drawing, from what the conversion counted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from neuropack.page.facts import Record, inner, number, records
from neuropack.writers.survey import EXACT, PER_DOUBLING

WIDTH, HEIGHT = 120, 28  # of the drawing; its unit is about a pixel
_LARGEST = 2.0**64  # a value, or a count, that is still drawn


@dataclass(frozen=True)
class Histogram:
    """One channel: the outline of the drawing (SVG path), its ends, and the share of saturated voxels in percent.

    `path` is empty where there is nothing to be drawn: a single value, or floating point in a narrow range.
    """

    path: str
    low: float
    high: float
    saturated: float


def histograms(record: Record) -> list[Histogram | None]:
    """One for each channel; None where the record of a conversion has no statistics that make sense."""
    return [_histogram(row) for row in records(record, "statistics")]


def _histogram(row: Record) -> Histogram | None:
    low, high, saturated, voxels = (number(row.get(k)) for k in ("minimum", "maximum", "saturated", "voxels"))
    if low is None or high is None or saturated is None or not voxels:
        return None
    rows = inner(row, "histogram").get("bins")
    rows = rows if isinstance(rows, list) else []
    pairs = [(number(r[0]), number(r[1])) for r in rows if isinstance(r, list) and len(r) == 2]
    bins = sorted((e, n) for e, n in pairs if e is not None and n is not None and abs(e) < _LARGEST and n > 0)
    sane = -_LARGEST < low < high < _LARGEST and sum(n for _, n in bins) < _LARGEST
    return Histogram(
        _outline(bins, low, high) if sane and len(bins) > 1 else "", low, high, 100 * saturated / voxels
    )


def _outline(bins: list[tuple[float, float]], low: float, high: float) -> str:
    """Columns of equal width from the smallest to the largest value, their heights the logarithm of the counts."""
    ends, total = [low], [0.0]
    for edge, count in bins:  # a bin spreads over its width, which is more than a column for large values
        begin, end = (edge, edge + _width(edge)) if edge >= 0 else (edge - _width(edge), edge)
        ends += [max(begin, ends[-1]), max(end, ends[-1])]
        total += [total[-1], total[-1] + count]
    edges = np.linspace(low, max(high, ends[-1]), WIDTH // 2 + 1)
    counts = np.diff(np.interp(edges, ends, total))
    heights = np.log1p(counts)
    if not heights.any():  # the bins are not those of this range
        return ""
    tops = HEIGHT * (1 - heights / heights.max())
    steps = "".join(f"V{top:.1f}h2" for top in tops)
    return f"M0 {HEIGHT}{steps}V{HEIGHT}z"


def _width(edge: float) -> float:
    """Of the bin that begins with this value, see `neuropack.writers.survey.Statistics`."""
    size = abs(edge)
    return 1.0 if size < EXACT else 2.0 ** math.floor(math.log2(size)) / PER_DOUBLING
