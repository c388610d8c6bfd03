"""Skeletons from masks: thinned to lines, made a tree, pruned, with the radius at every node."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuropack.labels import LabelVolume
from neuropack.process.objects import LARGEST_BOX, Object, TooLargeError, object_of
from neuropack.process.somata import somata_of_object
from neuropack.progress import Progress
from neuropack.skeleton import SOMA, Skeleton
from neuropack.thinning import grid_graph, thinned

_ROUNDS = 10  # of smoothing
_HALF = 0.499  # of a voxel, which a node does not leave

Rows = npt.NDArray[np.int64]


class Derived(NamedTuple):
    """Skeletons of masks.

    Attributes:
        skeletons: by label.
        left_out: why an object has none, by label.
    """

    skeletons: dict[int, Skeleton]
    left_out: dict[int, str]


def skeletons_of_masks(
    labels: LabelVolume,
    smooth: bool = True,
    largest_box: int = LARGEST_BOX,
    progress: Progress | None = None,
) -> Derived:
    """A skeleton for each object: a tree for each of its parts.

    There is a node for each voxel of its line. The root is where the object is thickest; it has the type soma where
    `neuropack.process.somata` finds one there, all other nodes have the type undefined. Memory: about 60 bytes for
    each voxel of the box of an object.

    Args:
        labels: the masks, with their voxel size.
        smooth: let each node move inside of its voxel, so that a line is no staircase, which would be longer than
            the neurite by a sixth in voxels of 2 x 0.5 x 0.5 um. False: nodes lie at the centres of voxels.
        largest_box: voxels of the box of an object that is thinned; larger ones are left out, with the reason.
        progress: told voxels done and in all.

    Raises:
        UsageError: scikit-image is not installed, or the voxel size is not known.
    """
    made = Derived({}, {})
    for row, label in enumerate(labels.ids.tolist()):
        if labels.counts[row] == 0:
            made.left_out[label] = "has no voxels"
            continue
        try:
            made.skeletons[label] = skeleton_of_object(object_of(labels, row, largest_box), smooth)
        except TooLargeError as error:
            made.left_out[label] = f"{error.what}: {error.found}"
        if progress:
            progress("thinning masks", int(labels.offsets[row + 1]), len(labels.voxels))
    return made


def skeleton_of_object(one: Object, smooth: bool = True) -> Skeleton:
    """The skeleton of one mask; a tree for each part of it.

    Cycles are cut where they are thinnest, and twigs taken off that reach less than a voxel beyond the surface of
    the object where they leave it: they follow its bumps.

    Args:
        one: the mask.
        smooth: as `skeletons_of_masks`.

    Raises:
        UsageError: scikit-image is not installed.
    """
    voxels = np.argwhere(thinned(one.mask, one.distances))
    radius = one.radii(voxels)
    parent, length = _trees(voxels, radius, one.step)
    kept = _pruned(parent, length, radius + float(np.linalg.norm(one.step)))
    order = np.flatnonzero(kept)
    number = np.zeros(len(parent), np.int64)
    number[order] = np.arange(1, len(order) + 1)
    above = np.where(parent[order] < 0, -1, number[parent[order]])
    kind = np.zeros(len(order), np.int64)
    places = voxels[order].astype(np.float64)
    xyz = one.xyz(_smoothed(places, np.where(above < 0, -1, above - 1)) if smooth else places)
    for soma in somata_of_object(one, 0):
        away = np.linalg.norm(xyz - soma.xyz, axis=1)
        roots = np.flatnonzero((above < 0) & (away <= soma.radius_um))
        kind[roots] = SOMA
    return Skeleton(np.arange(1, len(order) + 1), kind, xyz, radius[order], above)


def _trees(
    voxels: Rows, radius: npt.NDArray[np.float64], step: npt.NDArray[np.float64]
) -> tuple[Rows, npt.NDArray[np.float64]]:
    """The parent of each voxel, -1 at a root, and its distance from there; parts are rooted where thickest."""
    from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

    thin = radius.max() / np.maximum(radius, 1e-9)
    tree = minimum_spanning_tree(grid_graph(voxels, step, thin))
    n, part = connected_components(tree, directed=False)
    parent = np.full(len(voxels), -1, np.int64)
    for number in range(n):
        mine = np.flatnonzero(part == number)
        root = int(mine[radius[mine].argmax()])
        order, before = breadth_first_order(tree, root, directed=False)
        parent[order[1:]] = before[order[1:]]
    length = np.linalg.norm((voxels - voxels[np.where(parent < 0, np.arange(len(voxels)), parent)]) * step, axis=1)
    return parent, length


def _smoothed(places: npt.NDArray[np.float64], above: Rows) -> npt.NDArray[np.float64]:
    """Nodes (n, 3) in voxels, each drawn to the mean of its neighbours as far as its voxel goes; tips stay."""
    child = np.flatnonzero(above >= 0)
    pairs = np.concatenate([np.column_stack([child, above[child]]), np.column_stack([above[child], child])])
    degree = np.bincount(pairs[:, 0], minlength=len(places))
    free = degree > 1
    moved = places.copy()
    for _ in range(_ROUNDS):
        total = np.zeros_like(places)
        np.add.at(total, pairs[:, 0], moved[pairs[:, 1]])
        mean = total[free] / degree[free, None]
        moved[free] = np.clip(0.5 * moved[free] + 0.5 * mean, places[free] - _HALF, places[free] + _HALF)
    return moved


def _pruned(parent: Rows, length: npt.NDArray[np.float64], shortest: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Which nodes stay where twigs no longer than the shortest at their base are taken off, again and again.

    Of several at one base the longest stays, so that a neurite keeps its end; at a root all may go.
    """
    kept = np.ones(len(parent), bool)
    while True:
        children = np.bincount(parent[kept & (parent >= 0)], minlength=len(parent))
        twigs: dict[int, list[tuple[float, list[int]]]] = {}
        for tip in np.flatnonzero(kept & (children == 0) & (parent >= 0)).tolist():
            nodes, at, far = [], tip, 0.0
            while parent[at] >= 0 and (at == tip or children[at] == 1):
                nodes.append(at)
                far += float(length[at])
                at = int(parent[at])
            twigs.setdefault(at, []).append((far, nodes))
        gone: list[int] = []
        for base, ends in twigs.items():
            short = sorted((end for end in ends if end[0] <= shortest[base]), key=lambda end: end[0])
            if parent[base] >= 0 and len(short) == children[base]:
                short.pop()
            gone += [node for _, nodes in short for node in nodes]
        if not gone:
            return kept
        kept[gone] = False
