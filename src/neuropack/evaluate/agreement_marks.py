"""Agreement of two sets of boxes, or of points, of one image: which mean the same, and how well they meet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.evaluate.agreement import Measured

Floats = npt.NDArray[np.float64]
Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]

LEAST_IOU = 0.5


def box_agreement(
    a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], least_iou: float = LEAST_IOU
) -> list[Measured]:
    """Precision, recall and F1 of boxes (n, 6), half open z0, y0, x0, z1, y1, x1, and the mean IoU of matched ones.

    Boxes are matched one to one such that as many as possible overlap by `least_iou` and, among these, the sum of
    the overlaps is largest (the Hungarian method). Precision is the part of A that is matched, recall that of B.
    `n` is the number of boxes of both. Where one has no boxes there is no score.
    """
    overlaps = box_iou(a, b)
    rows, columns = _matched(np.where(overlaps >= least_iou, overlaps, 0.0))
    return _measured(len(a), len(b), overlaps[rows, columns], "mean IoU", least_iou, "boxes")


def point_agreement(a: Floats, b: Floats, tolerance_um: float) -> list[Measured]:
    """Precision, recall and F1 of points (n, 3), micrometre, and the mean distance of those that meet.

    Points are matched one to one such that as many as possible lie within the tolerance and, among these, the sum
    of the distances is smallest. `n` is the number of points of both. Where one has no points there is no score.
    """
    from scipy.spatial.distance import cdist

    away = cdist(a, b) if len(a) and len(b) else np.zeros((len(a), len(b)))
    rows, columns = _matched(np.where(away <= tolerance_um, 1 - 0.5 * away / tolerance_um, 0.0))
    return _measured(len(a), len(b), away[rows, columns], "mean distance", tolerance_um, "points")


def box_iou(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> Floats:
    """Intersection over union of each box of A (n, 6) with each of B (m, 6): (n, m)."""
    low = np.maximum(a[:, None, :3], b[None, :, :3])
    high = np.minimum(a[:, None, 3:], b[None, :, 3:])
    shared = np.maximum(high - low, 0).prod(axis=2).astype(np.float64)
    size_a, size_b = ((one[:, 3:] - one[:, :3]).prod(axis=1).astype(np.float64) for one in (a, b))
    union = size_a[:, None] + size_b[None] - shared
    found: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found


def _matched(worth: Floats) -> Pairs:
    """Rows and columns that belong together, none twice; a worth of 0 is no match, all others are 0 to 1."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    n, m = worth.shape
    near = np.nonzero(worth)
    graph = csr_matrix((np.ones(len(near[0])), (near[0], near[1] + n)), shape=(n + m, n + m))
    _, part = connected_components(graph, directed=False)
    rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for number in np.unique(part[near[0]]):  # groups that do not touch are matched apart: most are pairs
        mine, theirs = np.flatnonzero(part[:n] == number), np.flatnonzero(part[n:] == number)
        block = worth[np.ix_(mine, theirs)]
        many = min(block.shape) + 1.0  # one match more is worth more than all overlaps together
        i, j = linear_sum_assignment(np.where(block > 0, many + block, 0.0), maximize=True)
        good = block[i, j] > 0
        rows.append(mine[i[good]])
        columns.append(theirs[j[good]])
    return np.concatenate(rows), np.concatenate(columns)


def _measured(n_a: int, n_b: int, met: Floats, mean: str, tolerance: float, what: str) -> list[Measured]:
    n, hits = n_a + n_b, len(met)
    names = ("precision", "recall", "F1", mean)
    lack = [name for name, count in (("first", n_a), ("second", n_b)) if not count]
    if lack:
        reason = f"the {' and the '.join(lack)} has no {what}"
        return [Measured(name, None, n, tolerance, reason) for name in names]
    values = (hits / n_a, hits / n_b, 2 * hits / n, float(met.mean()) if hits else None)
    return [
        Measured(name, value, n, tolerance, None if value is not None else f"no {what} meet")
        for name, value in zip(names, values, strict=True)
    ]
