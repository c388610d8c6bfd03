"""The lines of neurons for a picture: as many points as can be seen, whatever the number of nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from neuropack.page.atlas.records import Neuron
from neuropack.skeleton import Skeleton
from neuropack.space.frames import CCF, EXTENT_UM
from neuropack.space.mapping import AXON
from neuropack.space.outlines import VIEWS, ViewName
from neuropack.swc import read_swc

MOST_POINTS: Final = 1_500_000
"""Points of all lines in one view: what a picture may keep in memory."""
FINEST_UM: Final = 2.0
"""What is nearer to each other looks the same, also in a close-up."""
_SCATTERED = 0.25  # of all edges: a file whose branches do not stand one after another

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines in one view: points (n, 2), across and down in micrometre, and where a new line begins (n,)."""

    points: npt.NDArray[np.float32]
    begins: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A neuron as it is drawn.

    Attributes:
        neuron: which one.
        soma: AP, DV, LR, micrometre; None where it has none.
        axon, rest: its lines by view; the rest is dendrites and what has no type.
        beyond: how many of its nodes lie outside of the CCF.
    """

    neuron: Neuron
    soma: Points | None
    axon: dict[ViewName, Lines] = field(repr=False)
    rest: dict[ViewName, Lines] = field(repr=False)
    beyond: int = 0

    @property
    def size(self) -> int:
        """Points in all views."""
        return sum(len(lines.points) for part in (self.axon, self.rest) for lines in part.values())


def draw(
    neurons: Sequence[Neuron], cable_um: float, progress: Callable[[str, int, int], None] | None = None
) -> list[Drawn]:
    """The lines of neurons in all views. Skeletons are read one at a time.

    Args:
        neurons: with their skeletons.
        cable_um: length of all of them together: where it is great, lines get coarser, so that they fit
            `MOST_POINTS`.
        progress: told a name, bytes done, bytes in all.

    Raises:
        InputError: a skeleton cannot be read.
    """
    finest = max(FINEST_UM, cable_um / MOST_POINTS)
    sizes, done = [one.swc.stat().st_size for one in neurons], 0
    found = []
    for n, neuron in enumerate(neurons):
        skeleton = read_swc(neuron.swc, frame=CCF)
        edges = in_chains(skeleton)
        axon = np.isin(skeleton.type[edges[:, 0]], AXON)
        outside = (skeleton.xyz < 0) | (skeleton.xyz >= EXTENT_UM)
        found.append(
            Drawn(
                neuron=neuron,
                soma=skeleton.soma(),
                axon={
                    name: lines(skeleton.xyz, edges[axon], (view.across, view.down), finest)
                    for name, view in VIEWS.items()
                },
                rest={
                    name: lines(skeleton.xyz, edges[~axon], (view.across, view.down), finest)
                    for name, view in VIEWS.items()
                },
                beyond=int(outside.any(axis=1).sum()),
            )
        )
        if progress:
            done += sizes[n]
            progress("skeletons", done, sum(sizes))
    return found


def in_chains(skeleton: Skeleton) -> npt.NDArray[np.int64]:
    """The edges (child row, parent row), branch after branch, so that most begin where the one before ended."""
    edges = skeleton.edges()
    if np.count_nonzero(edges[1:, 1] != edges[:-1, 0]) <= _SCATTERED * len(edges):
        return edges
    children: dict[int, list[int]] = {}
    for child, parent in edges.tolist():
        children.setdefault(parent, []).append(child)
    roots = np.flatnonzero(skeleton.parent < 0).tolist()
    ahead = [(child, root) for root in roots for child in children.get(root, [])]
    ordered = []
    while ahead:
        edge = ahead.pop()
        ordered.append(edge)
        ahead += [(child, edge[0]) for child in children.get(edge[0], [])]
    return np.array(ordered, np.int64).reshape(-1, 2)


def lines(xyz: Points, edges: npt.NDArray[np.int64], axes: tuple[int, int], finest_um: float) -> Lines:
    """The lines of edges in one view, without points that are too near to the one before to be seen.

    Args:
        xyz: (n, 3).
        edges: (m, 2), rows of a child and its parent, as `in_chains` orders them.
        axes: which coordinates run across and down.
        finest_um: edge of a cell; of consecutive points in one cell the first is kept, and the end of a line.
    """
    fresh = np.ones(len(edges), np.bool_)
    fresh[1:] = edges[1:, 1] != edges[:-1, 0]
    at = np.arange(len(edges)) + np.cumsum(fresh)
    rows = np.empty(len(edges) + int(fresh.sum()), np.int64)
    begins = np.zeros(len(rows), np.bool_)
    rows[at] = edges[:, 0]
    rows[at[fresh] - 1] = edges[fresh, 1]
    begins[at[fresh] - 1] = True
    points = xyz[rows][:, list(axes)]
    cells = np.floor(points / finest_um)
    moved = np.ones(len(rows), np.bool_)
    moved[1:] = (cells[1:] != cells[:-1]).any(axis=1)
    ends = np.append(begins[1:], True)[: len(rows)]
    line = np.cumsum(begins) - 1
    leaves_its_cell = np.bincount(line, moved & ~begins) > 0  # a spine that does not is no line
    keep = (begins | moved | ends) & leaves_its_cell[line]
    return Lines(points[keep].astype(np.float32), begins[keep])
