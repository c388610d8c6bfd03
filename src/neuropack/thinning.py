"""Masks thinned to lines one voxel wide, with as many parts as the mask has."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError

Mask = npt.NDArray[np.bool_]
Voxels = npt.NDArray[np.int64]

_ALL = np.ones((3, 3, 3))
STEPS = [s for s in product((-1, 0, 1), repeat=3) if s > (0, 0, 0)]
"""Half of the 26 neighbours of a voxel: each pair of neighbours once."""


def thinned(mask: Mask, distance: npt.NDArray[np.float64] | None = None) -> Mask:
    """The lines of a mask (z, y, x), after Lee, Kashyap and Chu 1994, with every part of it told by one line.

    scikit-image's thinning leaves nothing of beams of an even square width (its issue 3757). Parts of the mask
    that it lost, or broke, are joined by the paths that keep farthest from the border.

    Args:
        mask: with a voxel of background around it.
        distance: to the background, micrometre; None: in voxels, and only where a part was lost or broke, which
            are few.

    Raises:
        UsageError: scikit-image is not installed.
    """
    try:
        from skimage.morphology import skeletonize
    except ImportError as error:
        raise UsageError(
            "thinning needs scikit-image", expected="the extra derive", fix="pip install neuropack[derive]"
        ) from error
    from scipy import ndimage

    lines: Mask = np.asarray(skeletonize(mask, method="lee")).astype(bool) & mask  # type: ignore[no-untyped-call]
    parts, n = ndimage.label(mask, _ALL)
    pieces, _ = ndimage.label(lines, _ALL)
    at = np.argwhere(lines)
    pairs = np.unique(np.column_stack([parts[tuple(at.T)], pieces[tuple(at.T)]]), axis=0)
    of_part = np.bincount(pairs[:, 0], minlength=n + 1)
    boxes = ndimage.find_objects(parts)
    for part in np.flatnonzero(of_part[1:] != 1) + 1:
        box = boxes[part - 1]
        mine = parts[box] == part
        deep = distance[box] if distance is not None else _depth(mine)
        lines[box] |= _joined(mine, pieces[box], deep)
    return lines


def _depth(part: Mask) -> npt.NDArray[np.float64]:
    """Of each voxel of a part in its box, to the nearest voxel that is none of it; other parts are never nearer."""
    from scipy import ndimage

    found: npt.NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(part, 1))
    return found[1:-1, 1:-1, 1:-1]


def _joined(part: Mask, pieces: npt.NDArray[np.int32], distance: npt.NDArray[np.float64]) -> Mask:
    """Voxels that make one line of the pieces of a part; where there are none, a line between its far ends."""
    from scipy.sparse.csgraph import dijkstra

    voxels = np.argwhere(part)
    which, deep = pieces[tuple(voxels.T)], distance[tuple(voxels.T)]
    graph = grid_graph(voxels, cost=(deep.max() / deep) ** 2)  # thin places cost more: a path keeps to the middle
    line = np.zeros(len(voxels), bool)
    if not which.any():
        plain = grid_graph(voxels)
        start = int(dijkstra(plain, indices=int(deep.argmax())).argmax())
        end = int(dijkstra(plain, indices=start).argmax())
        _, before = dijkstra(graph, indices=start, return_predecessors=True)
        line[_path(before, end)] = True
    else:
        line[which == which[which > 0][0]] = True
    while (rest := (which > 0) & ~line).any():
        cost, before, _ = dijkstra(graph, indices=np.flatnonzero(line), min_only=True, return_predecessors=True)
        near = int(np.where(rest, cost, np.inf).argmin())
        line[_path(before, near)] = True
        line |= which == which[near]
    made: Mask = np.zeros(part.shape, bool)
    made[tuple(voxels[line].T)] = True
    return made


def _path(before: npt.NDArray[np.int32], end: int) -> list[int]:
    path = []
    while end >= 0:  # -9999 before the first
        path.append(end)
        end = int(before[end])
    return path


def grid_graph(
    voxels: Voxels, step: npt.NDArray[np.float64] | None = None, cost: npt.NDArray[np.float64] | None = None
) -> Any:
    """The graph of voxels and their 26 neighbours: a sparse symmetric matrix (n, n).

    Args:
        voxels: z, y, x (n, 3), in C order.
        step: size of a voxel (3,); 1 where it is left out.
        cost: of a step at each voxel (n,), on top of its length.

    Returns:
        The length of the step between two voxels, times the mean of their costs.
    """
    from scipy.sparse import csr_matrix

    low = voxels.min(axis=0) - 1
    shape = tuple(voxels.max(axis=0) - low + 2)
    flat = np.ravel_multi_index(tuple((voxels - low).T), shape)
    steps = np.array(STEPS)
    wanted = flat + (steps @ [shape[1] * shape[2], shape[2], 1])[:, None]
    at = np.minimum(np.searchsorted(flat, wanted), len(flat) - 1)
    which, one = np.nonzero(flat[at] == wanted)
    other = at[which, one]
    weights = np.linalg.norm(steps * (1.0 if step is None else step), axis=1)[which]
    if cost is not None:
        weights = weights * ((cost[one] + cost[other]) / 2)
    half = csr_matrix((weights, (one, other)), shape=(len(flat), len(flat)))
    return half + half.T
