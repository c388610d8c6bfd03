"""Agreement of two skeletons of one neuron: how much of the length of each runs beside the other."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.evaluate.agreement import Measured
from neuropack.skeleton import Skeleton

Floats = npt.NDArray[np.float64]

TOLERANCE_UM = 2.0
_MEASURES = ("length precision", "length recall", "length F1", "mean distance", "distance 95 %")


def skeleton_agreement(a: Skeleton, b: Skeleton, tolerance_um: float = TOLERANCE_UM) -> list[Measured]:
    """How far two tracings of one neuron run together.

    Edges are cut into steps of a quarter of the tolerance at most, each told by its middle. A step agrees where
    that lies within the tolerance of an edge of the other skeleton. Length precision is the part of the length of A
    that agrees, length recall that of B, F1 their harmonic mean; no tracing is taken for the truth. The distances
    are from the steps of each skeleton to the other, all together, weighted by length, in micrometre. `n` is the
    length of both, micrometre. A skeleton without length has no score.

    Raises:
        UsageError: the tolerance is not positive, or the two lie in different frames.
    """
    if not 0 < tolerance_um < math.inf:
        raise UsageError("a tolerance is positive", expected="micrometre", found=str(tolerance_um))
    if a.frame != b.frame:
        raise UsageError(
            "two skeletons lie in different frames",
            expected=a.frame,
            found=b.frame,
            fix="map one of them (neuropack map)",
        )
    total = a.length_um() + b.length_um()
    lack = [name for name, one in (("first", a), ("second", b)) if one.length_um() == 0]
    if lack:
        reason = f"the {' and the '.join(lack)} skeleton has no length"
        return [Measured(name, None, round(total), tolerance_um, reason) for name in _MEASURES]
    from_a, length_a = _distances(a, b, tolerance_um)
    from_b, length_b = _distances(b, a, tolerance_um)
    precision = float(length_a[from_a <= tolerance_um].sum() / length_a.sum())
    recall = float(length_b[from_b <= tolerance_um].sum() / length_b.sum())
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    away, weight = np.concatenate([from_a, from_b]), np.concatenate([length_a, length_b])
    values = (precision, recall, f1, float((away * weight).sum() / weight.sum()), _quantile(away, weight, 0.95))
    return [Measured(name, v, round(total), tolerance_um) for name, v in zip(_MEASURES, values, strict=True)]


def _distances(one: Skeleton, other: Skeleton, tolerance_um: float) -> tuple[Floats, Floats]:
    """From each step of a skeleton to the nearest edge of another, micrometre, and the length of the step.

    The nearest of the other's steps is looked for, then the edges of it and of its neighbours are gone by exactly.
    """
    from scipy.spatial import KDTree

    step = tolerance_um / 4
    middles, lengths, _ = _steps(one, step)
    targets, _, edge = _steps(other, step)
    near = KDTree(targets).query(middles, k=min(4, len(targets)))[1].reshape(len(middles), -1)
    ends = other.xyz[other.edges()]
    found = np.full(len(middles), np.inf)
    for column in near.T:
        start, stop = ends[edge[column], 0], ends[edge[column], 1]
        along = stop - start
        squared = np.maximum((along * along).sum(axis=1), 1e-30)
        t = np.clip(((middles - start) * along).sum(axis=1) / squared, 0.0, 1.0)
        found = np.minimum(found, np.linalg.norm(middles - start - t[:, None] * along, axis=1))
    return found, lengths


def _steps(skeleton: Skeleton, step: float) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """The middles of steps along all edges, their lengths, and the edge of each."""
    edges = skeleton.edges()
    start, stop = skeleton.xyz[edges[:, 0]], skeleton.xyz[edges[:, 1]]
    lengths = np.linalg.norm(stop - start, axis=1)
    count = np.where(lengths > 0, np.maximum(1, np.ceil(lengths / step)), 0).astype(np.int64)
    edge = np.repeat(np.arange(len(edges)), count)
    number = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    part = ((number + 0.5) / count[edge])[:, None]
    return start[edge] * (1 - part) + stop[edge] * part, lengths[edge] / count[edge], edge


def _quantile(values: Floats, weights: Floats, q: float) -> float:
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(share, q)])
