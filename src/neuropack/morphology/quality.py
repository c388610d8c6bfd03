"""Is a skeleton good enough to publish? What is wrong with it by itself, as values.

Each function looks for one kind of flaw and is silent where it is not sure. `LEVELS` says how bad each kind is;
the rules in validators/morphology.py and ``neuropack annotations check`` both go by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.annotations.plausible import contradiction
from neuropack.issue import Level
from neuropack.skeleton import SOMA, Skeleton

Rows = npt.NDArray[np.int64]
Points = npt.NDArray[np.float64]

LEVELS: dict[str, Level] = {
    "row": "error",
    "cycle": "error",
    "parent": "error",
    "repeated-id": "error",
    "outside": "warning",
    "jump": "warning",
    "zero-length": "warning",
    "several-somata": "error",
    "disconnected": "warning",
    "several-trees": "info",
    "radius": "error",
    "radius-constant": "warning",
    "duplicate": "warning",
    "shared-path": "warning",
    "labels": "error",
    "image": "warning",
    "half-voxel": "info",
}
"""How bad each kind of flaw is: an error makes a skeleton unfit to publish."""

JUMP_RADII, JUMP_STEPS, JUMP_GAP = 10.0, 10.0, 3.0
"""A jump is longer than this many radii and usual steps, and than this many times the longest step that is none."""
FEWEST_STEPS = 20
"""Edges that tell what a usual step of a tracing is."""
SOMA_REACH_UM = 40.0
"""A stem may begin this far from the one sample that stands for a soma."""
FEWEST_RADII = 20
"""Nodes that would not have the same radius by chance."""
_SHOWN = 5
_MOST_SOMATA = 100


@dataclass(frozen=True)
class Flaw:
    """Something wrong with a skeleton.

    Attributes:
        kind: a key of `LEVELS`.
        ids: of the nodes that it is about, at most a few; empty where it is about all of them.
        where_um: position of the first of them (x, y, z); None where it has none.
        expected, found: in words.
        fix: what a person can do.
        line: of the file, where it is about a row.
    """

    kind: str
    ids: tuple[int, ...]
    where_um: tuple[float, float, float] | None
    expected: str
    found: str
    fix: str
    line: int | None = None

    @property
    def level(self) -> Level:
        """How bad it is."""
        return LEVELS[self.kind]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        where = None if self.where_um is None else [round(v, 3) for v in self.where_um]
        told = {"expected": self.expected, "found": self.found, "fix": self.fix}
        return {
            "kind": self.kind,
            "level": self.level,
            "line": self.line,
            "ids": list(self.ids),
            "xyz_um": where,
        } | told


def skeleton_flaws(skeleton: Skeleton) -> Iterator[Flaw]:
    """All that is wrong with a skeleton by itself: tree, steps, soma and radii."""
    with np.errstate(over="ignore", invalid="ignore"):
        for look in (jumps, zero_length, several_somata, parts, radii):
            yield from look(skeleton)


def outside(
    skeleton: Skeleton,
    extent_um: npt.ArrayLike,
    what: str = "the image",
    voxel_um: tuple[float, float, float] | None = None,
) -> Iterator[Flaw]:
    """Nodes outside of the image, and what else the coordinates could be.

    Args:
        skeleton: in the frame of the image.
        extent_um: its lengths along x, y, z; infinite where it has none.
        what: the image is called.
        voxel_um: its voxels, z, y, x.
    """
    extent = np.asarray(extent_um, np.float64)
    out = np.flatnonzero(((skeleton.xyz < 0) | (skeleton.xyz > extent)).any(axis=1))
    if not len(out):
        return
    low, high = skeleton.xyz.min(axis=0), skeleton.xyz.max(axis=0)
    spans = ", ".join(f"{a} {lo:g} to {hi:g}" for a, lo, hi in zip("xyz", low, high, strict=True))
    expected = ", ".join(f"{a} 0 to {e:g}" for a, e in zip("xyz", extent, strict=True) if np.isfinite(e))
    found = f"{spans}; {len(out)} of {len(skeleton)} nodes outside"
    if voxel_um is not None and np.isfinite(voxel_um).all():
        with np.errstate(over="ignore"):
            other = contradiction(skeleton.xyz, extent, voxel_um) or ""
        found += "".join(other.partition("; ")[1:])
    fix = "correct unit, origin or the order of the axes"
    yield _flaw("outside", skeleton, out, f"{expected} um, as {what} has it", found, fix)


def jumps(skeleton: Skeleton) -> Iterator[Flaw]:
    """Edges that no neurite makes: far longer than the tracing's other steps, and than it is thick.

    Tracings are sampled coarsely, or closely in bends and coarsely between, and that is no flaw. A jump stands
    apart: nothing of the neuron lies between its length and that of all other steps.
    """
    edges, length = _edges(skeleton)
    real = length > 0
    if real.sum() < FEWEST_STEPS:
        return
    ordered = np.sort(length[real])
    usual = ordered[int(0.9 * (len(ordered) - 1))]
    soma = (skeleton.type[edges] == SOMA).any(axis=1)
    thick = np.maximum(skeleton.radius[edges].max(axis=1), 0) * JUMP_RADII
    reach = np.maximum(np.where(soma, np.maximum(thick, SOMA_REACH_UM), thick), JUMP_STEPS * usual)
    above = ordered[ordered >= usual]
    apart = np.flatnonzero(above[1:] > JUMP_GAP * above[:-1])
    if not len(apart):
        return
    far = np.flatnonzero((length > reach) & (length >= above[apart[0] + 1]))
    if len(far):
        far = far[np.argsort(-length[far], kind="stable")]
        child, parent = edges[far[0]]
        found = f"{length[far[0]]:.1f} um from node {skeleton.id[parent]} to node {skeleton.id[child]}"
        found += f", and {len(far) - 1} more such steps" if len(far) > 1 else ""
        fix = "trace the neurite between the two nodes, or cut the edge if they belong to two neurites"
        expected = f"steps of about {np.median(ordered):.2g} um, at most {above[apart[0]]:.3g}, as elsewhere in it"
        yield _flaw("jump", skeleton, edges[far, 0], expected, found, fix)


def zero_length(skeleton: Skeleton) -> Iterator[Flaw]:
    """Nodes that lie where their parent lies, but for the first one of a stem, which many programs put there."""
    edges, length = _edges(skeleton)
    stem = (skeleton.type[edges[:, 1]] == SOMA) & (skeleton.type[edges[:, 0]] != SOMA)
    same = edges[(length == 0) & ~stem, 0]
    if len(same):
        found = f"{len(same)} of {len(length)} edges of no length: {_nodes(skeleton, same)}"
        fix = "remove the second of two nodes at one place, and hang its children on the first"
        yield _flaw("zero-length", skeleton, same, "each node at a place of its own", found, fix)


def several_somata(skeleton: Skeleton) -> Iterator[Flaw]:
    """More than one soma. Nodes of type soma that hang together, such as a contour, are one."""
    somata = _somata(skeleton)
    if len(somata) > 1:
        places = "; ".join(", ".join(f"{v:.1f}" for v in skeleton.xyz[s].mean(axis=0)) for s in somata[:_SHOWN])
        found = f"{len(somata)} somata, at x, y, z {places}{'; ...' if len(somata) > _SHOWN else ''} um"
        fix = "split the file into one for each neuron, or correct the type of the nodes that are no soma"
        yield _flaw("several-somata", skeleton, np.array([s[0] for s in somata[1:]]), "one soma", found, fix)


def parts(skeleton: Skeleton) -> Iterator[Flaw]:
    """Trees that hang on nothing: beside the one with the soma, or several where there is no soma.

    A part with a soma of its own is another neuron, which `several_somata` tells.
    """
    root = roots(skeleton)
    trees, count = np.unique(root, return_counts=True)
    with_soma = np.unique(root[skeleton.type == SOMA])
    if len(with_soma):
        loose = np.setdiff1d(trees, with_soma)
        if len(loose):
            nodes = int(np.isin(root, loose).sum())
            found = f"{len(loose)} part(s) with {nodes} of {len(skeleton)} nodes hang on nothing: "
            found += f"roots are {_nodes(skeleton, loose)}"
            fix = "connect each part where it leaves the neuron, or take it out of the file"
            yield _flaw("disconnected", skeleton, loose, "every node connected to the soma", found, fix)
    elif len(trees) > 1:
        found = f"{len(trees)} separate trees of {count.min()} to {count.max()} nodes and no soma: "
        found += f"roots are {_nodes(skeleton, trees)}"
        fix = "nothing, if pieces of neurites were traced; else connect them, or split the file"
        yield _flaw("several-trees", skeleton, trees, "one tree, if it is one neuron", found, fix)


def radii(skeleton: Skeleton) -> Iterator[Flaw]:
    """Radii that cannot be, and a radius that is the same everywhere and so was not measured.

    A neurite may taper to a point: 0 at a tip is no flaw.
    """
    tip = ~np.isin(skeleton.id, skeleton.parent)
    point = (skeleton.radius == 0) & tip & (skeleton.parent >= 0)
    wrong = np.flatnonzero(~(np.isfinite(skeleton.radius) & (skeleton.radius > 0)) & ~point)
    if len(wrong):
        values = ", ".join(f"{v:g}" for v in np.unique(skeleton.radius[wrong])[:3])
        found = f"{values} at {len(wrong)} of {len(skeleton)} nodes: {_nodes(skeleton, wrong)}"
        fix = "measure the radius there, or take it from the neighbours and say so above the samples"
        yield _flaw("radius", skeleton, wrong, "a radius above 0", found, fix)
        return
    neurite = skeleton.radius[skeleton.type != SOMA]
    if len(neurite) >= FEWEST_RADII and (neurite == neurite[0]).all():
        found = f"{neurite[0]:g} um at all {len(neurite)} nodes of its neurites"
        fix = "measure the radii, or say in the metadata that they are no measurements"
        yield _flaw("radius-constant", skeleton, np.empty(0, np.int64), "radii as measured", found, fix)


def roots(skeleton: Skeleton) -> Rows:
    """The row of the root above each node (n,)."""
    return _tops(len(skeleton), skeleton.edges())


def _tops(n: int, edges: Rows) -> Rows:
    """The row at the top of each of n rows, over some edges from child to parent."""
    above = np.arange(n)
    above[edges[:, 0]] = edges[:, 1]
    for _ in range(n.bit_length()):  # each round doubles how far up a row points
        above = above[above]
    return above


def _edges(skeleton: Skeleton) -> tuple[Rows, Points]:
    edges = skeleton.edges()
    return edges, np.linalg.norm(skeleton.xyz[edges[:, 0]] - skeleton.xyz[edges[:, 1]], axis=1)


def _somata(skeleton: Skeleton) -> list[Rows]:
    """The rows of each soma. Contours at several depths of one soma lie above each other: they are one as well."""
    soma = skeleton.type == SOMA
    if not soma.any():
        return []
    edges = skeleton.edges()
    top = soma.copy()  # a node of a soma whose parent is none begins one
    inner = edges[soma[edges].all(axis=1)]
    top[inner[:, 0]] = False
    above = _tops(len(skeleton), inner)
    groups = [np.flatnonzero(soma & (above == t)) for t in np.flatnonzero(top)[:_MOST_SOMATA]]
    found = [g for g in groups if len(g) < 3]
    contours: list[Rows] = []
    for group in (g for g in groups if len(g) >= 3):
        for i, other in enumerate(contours):
            if _one_soma(skeleton.xyz[group], skeleton.xyz[other]):
                contours[i] = np.concatenate([other, group])
                break
        else:
            contours.append(group)
    return sorted(found + contours, key=lambda rows: int(rows[0]))


def _one_soma(a: Points, b: Points) -> bool:
    """Whether two contours overlap seen from above."""
    return bool((np.maximum(a.min(axis=0), b.min(axis=0)) < np.minimum(a.max(axis=0), b.max(axis=0)))[:2].all())


def _nodes(skeleton: Skeleton, rows: Rows) -> str:
    shown = ", ".join(map(str, skeleton.id[rows[:_SHOWN]].tolist()))
    return ("node " if len(rows) == 1 else "nodes ") + shown + (", ..." if len(rows) > _SHOWN else "")


def _flaw(kind: str, skeleton: Skeleton, rows: Rows, expected: str, found: str, fix: str) -> Flaw:
    ids = tuple(skeleton.id[rows[:_SHOWN]].tolist())
    x, y, z = skeleton.xyz[rows[0]].tolist() if len(rows) else (0.0, 0.0, 0.0)
    return Flaw(kind, ids, (x, y, z) if len(rows) else None, expected, found, fix)
