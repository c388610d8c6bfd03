"""From the voxels of branches to the nodes of skeletons: their places, radii, and how sure each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.skeleton import SOMA, Skeleton
from neuropack.trace import way_kernels as w
from neuropack.trace.branches import LARGEST_UM, Ways
from neuropack.trace.front import Front

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_ROUNDS = 4  # of smoothing along a branch
_CONTACT = 0.6  # of the confidence that is left where another neuron touches
_BEYOND_UM = 5.0  # of an end: another neuron that near may have taken what lies behind it
_UNSURE = 20.0  # squared standard deviations beyond which nothing is left of a confidence


@dataclass(eq=False)
class Cable:
    """Voxels of branches as trees; all arrays have a row for each.

    Attributes:
        xyz: micrometre.
        radius: micrometre.
        confidence: 0 to 1.
        parent: the row of the parent, -1 at a root, -2 where the voxel is left out.
        order: all rows that are there, parents first.
        source: the number of the seed that the voxel belongs to.
        contact: the number of the neuron that touches here, or -1.
        gap: above 0 where it is dark, or bright in another colour.
        bright: along the colour of the seed, in noises.
        blur: where it may be the blur of a brighter neurite; nowhere until somebody looks.
        stray: squared distance from the colour of the seed, in standard deviations.
        type: SWC types.
        meets: at an end, the number of another neuron whose voxels lie right beyond it, or -1.
    """

    xyz: Floats
    radius: Floats
    confidence: Floats
    parent: Ints
    order: Ints
    source: Ints
    contact: Ints
    gap: Floats
    bright: Floats
    blur: npt.NDArray[np.bool_]
    stray: Floats
    type: Ints
    meets: Ints

    def below_um(self) -> Floats:
        """The cable that hangs below each voxel, micrometre."""
        below, parent, xyz = np.zeros(len(self.parent)), self.parent.tolist(), self.xyz
        length = np.linalg.norm(xyz - xyz[np.maximum(self.parent, 0)], axis=1)
        for row in self.order[::-1].tolist():
            if parent[row] >= 0:
                below[parent[row]] += below[row] + length[row]
        return below


def cable_of(
    front: Front,
    ways: Ways,
    first: Sequence[int],
    neuron: Ints,
    colors: Floats,
    threshold: float,
    color_sigma: float,
) -> Cable:
    """Look at the voxels of all branches once more, and smooth along them what was seen.

    The confidence in a voxel is ``(1 - exp(-(s / t)^2 / 2)) exp(-d^2 / 2)`` of its brightness ``s`` with the
    threshold ``t``, and of the distance ``d`` of its colour from that of the seed in standard deviations; less
    where another neuron touches.

    Args:
        front, ways: what was found.
        first: sources in the order in which they may become roots.
        neuron: the neuron of each source.
        colors: of each source.
        threshold, color_sigma: with which the front grew.
    """
    n = len(ways.voxels)
    place = (front.table, front.counts, front.shape)
    seen, radius = np.empty((n, 7)), np.empty(n)
    w.looks(
        *(ways.voxels, *place, front.step, front.values, front.gap, front.owner, front.settled),
        *(neuron, colors, threshold, seen),
    )
    w.radii(ways.voxels, *place, front.step, front.values, front.owner, colors, LARGEST_UM, radius)
    seen[ways.leaps, 2] = 1.0  # what a way leapt over counts as dark
    parent, order = _parents(ways, [ways.sources[i] for i in first])
    bright = np.maximum(seen[:, 0], 0)
    stray = seen[:, 1] / (1 + (color_sigma * bright) ** 2)
    sure = (1 - np.exp(-0.5 * (bright / threshold) ** 2)) * np.exp(-0.5 * np.minimum(stray, _UNSURE))
    zyx = np.column_stack(np.unravel_index(ways.voxels, tuple(front.shape.tolist()))).astype(np.float64)
    zyx[:, 1:] += seen[:, 5:7]
    smooth = _smoothed(np.column_stack([zyx, np.log(radius), sure]), parent, still=3)
    meets = np.full(n, -1, np.int64)
    tips = np.flatnonzero((np.bincount(parent[parent >= 0], minlength=n) == 0) & (parent >= 0))
    found = np.empty(len(tips), np.int64)
    w.neighbours(ways.voxels[tips], *place, front.step, front.owner, front.settled, neuron, _BEYOND_UM, found)
    meets[tips] = found
    return Cable(
        xyz=np.ascontiguousarray(((smooth[:, :3] + 0.5) * front.step)[:, ::-1]),
        radius=np.exp(smooth[:, 3]),
        confidence=np.clip(smooth[:, 4] * np.where(seen[:, 4] >= 0, _CONTACT, 1.0), 0.0, 1.0),
        parent=parent,
        order=order,
        source=seen[:, 3].astype(np.int64),
        contact=seen[:, 4].astype(np.int64),
        gap=seen[:, 2],
        bright=bright,
        blur=np.zeros(n, np.bool_),
        stray=stray,
        type=np.zeros(n, np.int64),
        meets=meets,
    )


def _parents(ways: Ways, roots: Sequence[int]) -> tuple[Ints, Ints]:
    """The row of the parent of each voxel, -1 at a root, and all rows, parents first.

    A source becomes a root where no source before it is joined to it.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import breadth_first_order

    n = len(ways.voxels)
    a, b = ways.edges.T
    graph = csr_matrix((np.ones(2 * len(a), np.int8), (np.r_[a, b], np.r_[b, a])), shape=(n, n))
    parent, seen, orders = np.full(n, -1, np.int64), np.zeros(n, bool), [np.empty(0, np.int64)]
    for root in roots:
        if not seen[root]:
            order, before = breadth_first_order(graph, root, directed=False)
            seen[order] = True
            parent[order[1:]] = before[order[1:]]
            orders.append(order.astype(np.int64))
    return parent, np.concatenate(orders)


def _smoothed(values: Floats, parent: Ints, still: int) -> Floats:
    """Each row drawn to the mean of its neighbours in the tree; the first columns stay as they are at ends."""
    child = np.flatnonzero(parent >= 0)
    one, other = np.r_[child, parent[child]], np.r_[parent[child], child]
    degree = np.bincount(one, minlength=len(parent))[:, None]
    moves = np.repeat(degree > 0, values.shape[1], axis=1)
    moves[:, :still] = degree > 1
    out = values.copy()
    for _ in range(_ROUNDS):
        mean = np.empty_like(out)
        for column in range(out.shape[1]):
            mean[:, column] = np.bincount(one, out[other, column], len(parent))
        out = np.where(moves, 0.5 * out + 0.5 * mean / np.maximum(degree, 1), out)
    return out


def set_soma(cable: Cable, row: int, neuron_rows: Ints, xyz: tuple[float, float, float], radius: float) -> None:
    """Make the voxel of a seed the soma; what lies inside of it is left out, its branches hang at the centre.

    Where it is not the root, it hangs itself at the first voxel outside.
    """
    cable.xyz[row], cable.radius[row], cable.type[row] = xyz, radius, SOMA
    cable.confidence[row] = 1.0
    near = neuron_rows[np.linalg.norm(cable.xyz[neuron_rows] - xyz, axis=1) < radius]
    gone = np.zeros(len(cable.parent), bool)
    gone[near] = True
    gone[row] = False
    gone[cable.parent < 0] = False  # roots of other trees
    hangs = ~gone & (cable.parent >= 0)
    hangs &= gone[np.maximum(cable.parent, 0)]
    hangs[row] = False
    cable.parent[hangs] = row
    above = int(cable.parent[row])
    while above >= 0 and gone[above]:
        above = int(cable.parent[above])
    cable.parent[row] = above
    cable.parent[gone] = -2
    cable.order = cable.order[~gone[cable.order]]


def thinned(cable: Cable, node_um: float) -> npt.NDArray[np.bool_]:
    """Which voxels become nodes: roots, somata, forks, ends, and between them one about every `node_um`.

    Their parents and confidences are set to those of the way up to the next node that stays.
    """
    parent = cable.parent
    children = np.bincount(parent[parent >= 0], minlength=len(parent))
    kept: npt.NDArray[np.bool_] = (parent != -2) & ((parent == -1) | (children != 1) | (cable.type == SOMA))
    length = np.linalg.norm(cable.xyz - cable.xyz[np.maximum(parent, 0)], axis=1)
    far, up, least = np.zeros(len(parent)), parent.copy(), cable.confidence.copy()
    for row in cable.order.tolist():
        above = int(parent[row])
        if above < 0:
            continue
        far[row] = length[row]
        if not kept[above]:
            far[row] += far[above]
            up[row] = up[above]
            least[row] = min(least[row], least[above])
        if far[row] >= node_um:
            kept[row] = True
    cable.parent, cable.confidence = up, least
    return kept


def skeleton_of(cable: Cable, rows: Ints, comments: Sequence[str] = ()) -> tuple[Skeleton, Floats]:
    """Nodes as a skeleton with identifiers from 1, parents first, and the confidence in each.

    Args:
        cable: thinned.
        rows: of the nodes of one neuron, parents first.
        comments: of the skeleton.
    """
    number = np.zeros(len(cable.parent) + 1, np.int64)
    number[rows] = np.arange(1, len(rows) + 1)
    above = cable.parent[rows]
    made = Skeleton(
        id=number[rows],
        type=cable.type[rows],
        xyz=cable.xyz[rows],
        radius=cable.radius[rows],
        parent=np.where(above < 0, -1, number[above]),
        comments=tuple(comments),
    )
    return made, cable.confidence[rows]
