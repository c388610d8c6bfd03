"""Neurons of SWC files in a simulated stack: turned, scaled, put where the soma is to be, cut at the faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.simulate.trees import DIGITS
from neuropack.skeleton import ROOT, SOMA, Skeleton, parent_rows, root_rows
from neuropack.swc import read_swc

Floats = npt.NDArray[np.float64]

_MARGIN = 0.02  # of the stack's size that a neuron that fits keeps free on each side
_THINNEST_UM = 0.1
_UNMEASURED_UM = (1.0, 0.3)  # radius at the root and far from it, of a neuron whose radii nobody measured
_TAPER_UM = 80.0
_FEWEST = 2  # nodes that make a neuron


def swc_files(given: Path) -> list[Path]:
    """The SWC files that a path stands for: itself, or all of a folder, sorted.

    Raises:
        InputError: there are none.
    """
    if given.is_dir():
        found = sorted(p for p in given.rglob("*") if p.suffix.lower() == ".swc" and p.is_file())
    else:
        found = [given] if given.is_file() else []
    if not found:
        expected = "an SWC file, or a folder with some"
        raise InputError("there is no SWC file", file=given, expected=expected, found="none")
    return found


def load_neuron(path: Path) -> Skeleton:
    """The largest tree of an SWC file. Where all its neurites have one radius, nobody measured any: they taper.

    Raises:
        InputError: it cannot be read, or has no tree.
    """
    skeleton = read_swc(path)
    tree = root_rows(parent_rows(skeleton.id, skeleton.parent))
    size = np.bincount(tree) if len(tree) else np.zeros(1, np.int64)
    if size.max() < _FEWEST:
        raise InputError(
            "holds no neuron", file=path, expected="a tree of samples", found=f"{len(skeleton)} samples"
        )
    return _tapered(_only(skeleton, tree == int(size.argmax())))


def _tapered(skeleton: Skeleton) -> Skeleton:
    """A neuron whose radii were not measured, with radii that fall along the path from the root."""
    neurite = skeleton.type != SOMA
    if not neurite.any() or np.ptp(skeleton.radius[neurite]) > 0:
        return skeleton
    path = np.zeros(len(skeleton))
    for row, parent in enumerate(parent_rows(skeleton.id, skeleton.parent).tolist()):  # parents come first
        if parent >= 0:
            path[row] = path[parent] + np.linalg.norm(skeleton.xyz[row] - skeleton.xyz[parent])
    radius = _UNMEASURED_UM[1] + (_UNMEASURED_UM[0] - _UNMEASURED_UM[1]) * np.exp(-path / _TAPER_UM)
    return replace(skeleton, radius=np.where(neurite, radius, skeleton.radius))


def place_neuron(
    rng: np.random.Generator,
    skeleton: Skeleton,
    size_xyz: tuple[float, float, float],
    soma_um: Floats,
    *,
    scale: float = 1.0,
    fit: bool = False,
    rotate: bool = True,
) -> Skeleton:
    """Put a neuron into a stack.

    Args:
        rng: the rotation is drawn from it.
        skeleton: one tree, micrometre.
        size_xyz: of the stack.
        soma_um: where the soma (else the root) is to be. Where the neuron is made to fit, it moves as far from
            there as it must.
        scale: factor on its size, radii included. What then lies outside is cut off, with all that hangs on it.
        fit: make it smaller than that, as far as it must be to lie inside.
        rotate: turn it, evenly over all rotations; else it stays as it is.

    Returns:
        ids from 1, parents first, in the frame ``stack``.
    """
    size = np.asarray(size_xyz)
    turned = (skeleton.xyz - _centre(skeleton)) @ (_rotation(rng) if rotate else np.eye(3)).T
    factor = scale
    if fit:
        room = size * (1 - 2 * _MARGIN)
        factor = min(scale, float((room / np.maximum(np.ptp(turned, axis=0), 1e-9)).min()))
    xyz: Floats = np.asarray(turned * factor + soma_um, np.float64)
    if fit:
        low, high = size * _MARGIN, size * (1 - _MARGIN)
        xyz = xyz + np.maximum(low - xyz.min(axis=0), 0)
        xyz = xyz - np.maximum(xyz.max(axis=0) - high, 0)
    radius: Floats = np.asarray(np.maximum(skeleton.radius * factor, _THINNEST_UM), np.float64)
    places: Floats = np.asarray(np.round(xyz, DIGITS), np.float64)
    placed = Skeleton(skeleton.id, skeleton.type, places, np.round(radius, DIGITS), skeleton.parent, "stack")
    placed = _with_soma(placed, size)
    return _apart(_only(placed, _kept(placed, size)))


def _centre(skeleton: Skeleton) -> Floats:
    """The soma's centre, else the root."""
    soma = skeleton.soma()
    return soma if soma is not None else skeleton.xyz[int(np.flatnonzero(skeleton.parent < 0)[0])]


def _rotation(rng: np.random.Generator) -> Floats:
    """A rotation, even over all: that of a random unit quaternion (Shoemake 1992)."""
    w, x, y, z = (v := rng.normal(size=4)) / np.linalg.norm(v)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _with_soma(skeleton: Skeleton, size: Floats) -> Skeleton:
    """A tree with its root at its soma, where another root lies outside: the soma would be cut off with all."""
    soma = np.flatnonzero(skeleton.type == SOMA)
    above = parent_rows(skeleton.id, skeleton.parent)
    root = int(np.flatnonzero(above < 0)[0])
    if not len(soma) or skeleton.type[root] == SOMA or not _outside(skeleton, size)[root]:
        return skeleton
    parent = skeleton.parent.copy()
    row, child = int(soma[0]), -1
    while row >= 0:  # on the way up, who was the parent hangs on its child
        parent[row], child, row = child, int(skeleton.id[row]), int(above[row])
    return replace(skeleton, parent=parent)


def _outside(skeleton: Skeleton, size: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray(((skeleton.xyz < 0) | (skeleton.xyz >= size)).any(axis=1), bool)


def _kept(skeleton: Skeleton, size: Floats) -> npt.NDArray[np.bool_]:
    """The nodes inside the stack whose ancestors are all inside too; the root is kept in any case."""
    above = parent_rows(skeleton.id, skeleton.parent)
    cut: npt.NDArray[np.bool_] = _outside(skeleton, size) & (above >= 0)
    while (far := above >= 0).any():  # each round looks twice as far up
        cut = cut | (far & cut[above])
        above = np.where(far, above[above], -1)
    return ~cut


def _apart(skeleton: Skeleton) -> Skeleton:
    """A tree without nodes at the place of their parent; what hung on these hangs on that."""
    above = parent_rows(skeleton.id, skeleton.parent)
    same = (above >= 0) & (skeleton.xyz == skeleton.xyz[above]).all(axis=1)
    if not same.any():
        return skeleton
    stands = root_rows(np.where(same, above, ROOT))  # for each node, the one in its place
    parent = np.where(above >= 0, skeleton.id[stands[above]], -1)
    return _only(replace(skeleton, parent=parent), ~same)


def _depth(above: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many ancestors each node has."""
    depth, at = (above >= 0).astype(np.int64), above
    while (on := at >= 0).any():  # each round looks twice as far up
        depth = depth + np.where(on, depth[at], 0)
        at = np.where(on, at[at], -1)
    return depth


def _only(skeleton: Skeleton, kept: npt.NDArray[np.bool_]) -> Skeleton:
    """Some nodes of a tree, with ids that count from 1 and parents first."""
    above = parent_rows(skeleton.id, skeleton.parent)
    rows = np.flatnonzero(kept)
    if not (above < np.arange(len(above))).all():
        rows = rows[np.argsort(_depth(above)[rows], kind="stable")]
    number = np.zeros(len(above), np.int64)
    number[rows] = np.arange(1, len(rows) + 1)
    parent = np.where(above[rows] >= 0, number[above[rows]], -1)
    return Skeleton(
        number[rows], skeleton.type[rows], skeleton.xyz[rows], skeleton.radius[rows], parent, skeleton.frame
    )
