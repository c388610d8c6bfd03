"""Neuron skeletons: trees of samples with a radius, in a named frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError

_COLUMNS = 7


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
        order = np.argsort(self.id)
        child = np.flatnonzero(self.parent >= 0)
        at = np.searchsorted(self.id[order], self.parent[child])
        return np.column_stack([child, order[np.clip(at, 0, len(order) - 1)]])

    def soma(self) -> npt.NDArray[np.float64] | None:
        """The centre (3,) of the nodes of type soma; None where there is none."""
        nodes = self.xyz[self.type == 1]
        centre: npt.NDArray[np.float64] | None = nodes.mean(axis=0) if len(nodes) else None
        return centre

    def length_um(self) -> float:
        """Summed length of all edges, micrometre."""
        edges = self.edges()
        return float(np.linalg.norm(self.xyz[edges[:, 0]] - self.xyz[edges[:, 1]], axis=1).sum())


def read_swc(path: Path, frame: str = "stack") -> Skeleton:
    """Read an SWC file.

    Raises:
        InputError: a row is not seven numbers, an id comes twice, or a parent does not exist.
    """
    rows: list[list[float]] = []
    lines: list[int] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split("#", 1)[0].split()
        if not fields:
            continue
        try:
            row = [float(f) for f in fields[:_COLUMNS]]
        except ValueError:
            row = []
        numbers = len(row) == _COLUMNS and bool(np.isfinite(row).all())
        if not (numbers and all(row[i] == int(row[i]) for i in (0, 1, 6))):
            raise InputError(
                "not an SWC row",
                file=path,
                where=f"line {number}",
                expected="seven numbers: id type x y z radius parent; id, type and parent whole",
                found=line.strip()[:80],
            )
        rows.append(row)
        lines.append(number)
    if not rows:
        raise InputError("holds no SWC samples", file=path, expected="rows of seven numbers", found="none")
    table = np.array(rows)
    ids, parents = table[:, 0].astype(np.int64), table[:, 6].astype(np.int64)
    unique, first = np.unique(ids, return_index=True)
    if len(unique) < len(ids):
        at = int(np.setdiff1d(np.arange(len(ids)), first)[0])
        raise InputError("an id comes twice", file=path, where=f"line {lines[at]}", found=f"id {ids[at]}")
    orphan = np.flatnonzero((parents >= 0) & ~np.isin(parents, ids))
    if len(orphan):
        at = int(orphan[0])
        raise InputError(
            "a parent does not exist", file=path, where=f"line {lines[at]}", found=f"parent {parents[at]}"
        )
    ring = _cycle(ids, parents)
    if ring is not None:
        raise InputError("is its own ancestor", file=path, where=f"line {lines[ring]}", found=f"id {ids[ring]}")
    return Skeleton(
        id=ids,
        type=table[:, 1].astype(np.int64),
        xyz=table[:, 2:5],
        radius=table[:, 5],
        parent=parents,
        frame=frame,
    )


def _cycle(ids: npt.NDArray[np.int64], parents: npt.NDArray[np.int64]) -> int | None:
    """A row whose ancestors never end at a root, None where there is none."""
    order = np.argsort(ids)
    above = np.where(parents < 0, -1, order[np.clip(np.searchsorted(ids[order], parents), 0, len(ids) - 1)])
    for _ in range(len(ids).bit_length()):  # each round doubles how far up a row points
        above = np.where(above < 0, -1, above[above])
    stuck = np.flatnonzero(above >= 0)
    return int(stuck[0]) if len(stuck) else None


def swc_text(skeleton: Skeleton, comments: Iterable[str] = ()) -> str:
    """An SWC file in micrometre, positions to a thousandth; `comments` go on top, one line each."""
    head = [f"# {line}" for line in comments] + [
        f"# frame: {skeleton.frame}; unit: micrometer",
        "# id type x y z radius parent",
    ]
    columns: Iterable[tuple[Any, ...]] = zip(
        skeleton.id, skeleton.type, *skeleton.xyz.T, skeleton.radius, skeleton.parent, strict=True
    )
    rows = [f"{i} {t} {x:.3f} {y:.3f} {z:.3f} {r:.3f} {p}" for i, t, x, y, z, r, p in columns]
    return "\n".join(head + rows) + "\n"


def write_swc(path: Path, skeleton: Skeleton, comments: Iterable[str] = ()) -> None:
    """Write the file that `swc_text` makes."""
    path.write_text(swc_text(skeleton, comments), encoding="utf-8", newline="\n")
