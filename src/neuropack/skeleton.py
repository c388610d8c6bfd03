"""Neuron skeletons: trees of samples with a radius, in a named frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError

SOMA = 1
"""The type of the samples of a soma, as SWC has it."""


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A traced neuron.

    Attributes:
        id: identifiers (n,), int64, unique.
        type: SWC types (n,): 0 undefined, 1 soma, 2 axon, 3 basal, 4 apical dendrite, 5 fork, 6 end, 7+ custom.
        xyz: positions (n, 3), micrometre, in `frame`.
        radius: (n,), micrometre.
        parent: the parent's identifier (n,), -1 at a root.
        frame: the frame of the positions: ``stack`` is the corner of the image's first voxel, axes x, y, z.
        comments: what stands above the samples of its file, without the ``#``.
    """

    id: npt.NDArray[np.int64]
    type: npt.NDArray[np.int64]
    xyz: npt.NDArray[np.float64]
    radius: npt.NDArray[np.float64]
    parent: npt.NDArray[np.int64]
    frame: str = "stack"
    comments: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.id)

    def __repr__(self) -> str:
        roots = int((self.parent < 0).sum())
        return f"<Skeleton {len(self)} nodes, {roots} root(s), {self.length_um():.1f} um in {self.frame}>"

    def edges(self) -> npt.NDArray[np.int64]:
        """Pairs (child row, parent row), shape (m, 2)."""
        above = parent_rows(self.id, self.parent)
        child = np.flatnonzero(self.parent >= 0)
        return np.column_stack([child, above[child]])

    def soma(self) -> npt.NDArray[np.float64] | None:
        """The centre (3,) of the nodes of type soma; None where there is none."""
        nodes = self.xyz[self.type == SOMA]
        centre: npt.NDArray[np.float64] | None = nodes.mean(axis=0) if len(nodes) else None
        return centre

    def length_um(self) -> float:
        """Summed length of all edges, micrometre."""
        edges = self.edges()
        return float(np.linalg.norm(self.xyz[edges[:, 0]] - self.xyz[edges[:, 1]], axis=1).sum())


def see_trees(
    ids: npt.NDArray[np.int64], parents: npt.NDArray[np.int64], file: Path, where: Callable[[int], str]
) -> None:
    """See that rows make trees: each id once, each parent there, a root at the end of all ancestors.

    Args:
        ids, parents: (n,); a negative parent is none.
        file: they are from.
        where: names the place of a row in it.

    Raises:
        InputError: they do not.
    """
    above = parent_rows(ids, parents)
    for what, rows, name, values in (
        ("an id comes twice", repeated(ids), "id", ids),
        ("a parent does not exist", np.flatnonzero(above == ORPHAN), "parent", parents),
        ("is its own ancestor", rootless(above), "id", ids),
    ):
        if len(rows):
            at = int(rows[0])
            raise InputError(what, file=file, where=where(at), found=f"{name} {values[at]}")


ROOT, ORPHAN = -1, -2
"""In place of the row of a parent: there is none, and the one that is named does not exist."""


def repeated(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows whose identifier stands in a row above, ascending."""
    if _counted(ids):
        return np.empty(0, np.int64)
    order = np.argsort(ids, kind="stable")
    return np.sort(order[1:][ids[order[1:]] == ids[order[:-1]]])


def parent_rows(ids: npt.NDArray[np.int64], parents: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The row of each row's parent (n,): `ROOT` where it is negative, `ORPHAN` where there is no such id.

    Of rows with one identifier, the first is the parent.
    """
    if not len(ids):
        return np.empty(0, np.int64)
    if _counted(ids):
        known = (parents >= ids[0]) & (parents <= ids[-1])
        rows = np.where(known, parents, ids[0]) - ids[0]
    else:
        order = np.argsort(ids, kind="stable")
        at = np.searchsorted(ids, parents, sorter=order)
        rows = order[np.minimum(at, len(ids) - 1)]
        known = ids[rows] == parents
    rows[~known] = ORPHAN
    rows[parents < 0] = ROOT
    return np.asarray(rows, np.int64)


def _counted(ids: npt.NDArray[np.int64]) -> bool:
    """Whether the identifiers count up by one, as most files have them."""
    return len(ids) > 0 and int(ids[-1]) - int(ids[0]) == len(ids) - 1 and bool((np.diff(ids) == 1).all())


def root_rows(above: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The row of the root of each row of trees (n,).

    Args:
        above: as `parent_rows` gives them, without a ring.
    """
    top = np.where(above < 0, np.arange(len(above)), above)
    for _ in range(len(above).bit_length()):  # each round doubles how far up a row points
        top = top[top]
    return np.asarray(top, np.int64)


def rootless(above: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows whose ancestors never end, ascending.

    Args:
        above: as `parent_rows` gives them.
    """
    if (above < np.arange(len(above))).all():  # parents first, as the format wants it: there is no ring
        return np.empty(0, np.int64)
    for _ in range(len(above).bit_length()):  # each round doubles how far up a row points
        above = np.where(above < 0, above, above[above])
    return np.flatnonzero(above >= 0)
