"""Neurons in another frame, and how much of each lies in which region."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.skeleton import Skeleton
from neuropack.space.annotation import right_of_midline
from neuropack.space.frames import CCF, EXTENT_UM
from neuropack.space.inverse import Inverse
from neuropack.space.transforms import Chain, Points, Transform, determinants

Lookup = Callable[[Points], npt.NDArray[np.integer]]
"""The region of points (n, 3) of the CCF, micrometre."""

AXON, DENDRITES = (2,), (3, 4)
_STEP = 1.0  # source unit over which the growth of a transform is measured
_AT_ONCE = 1 << 20  # pieces of edges


def map_skeleton(skeleton: Skeleton, transform: Transform) -> Skeleton:
    """A skeleton in the frame where a transform ends.

    A radius grows as the transform does at its node: by the cube root of the volume of a small cube there.

    Raises:
        UsageError: the skeleton is in another frame than the one where the transform begins.
    """
    if skeleton.frame != transform.source:
        raise UsageError(
            "the transform begins in another frame than that of the skeleton",
            expected=f"a transform from {skeleton.frame}",
            found=f"one from {transform.source} to {transform.target}",
            fix="take the transform in its other direction (--inverse), or the one that begins there",
        )
    growth = np.cbrt(np.abs(determinants(transform, skeleton.xyz, _STEP)))
    mapped = transform(skeleton.xyz)
    return replace(skeleton, xyz=mapped, radius=skeleton.radius * growth, frame=transform.target)


def compartment(types: npt.NDArray[np.int64]) -> npt.NDArray[np.str_]:
    """``axon``, ``dendrite`` or ``other`` for the SWC type of a node, which is that of the edge to its parent."""
    return np.select([np.isin(types, AXON), np.isin(types, DENDRITES)], ["axon", "dendrite"], "other")


def compartment_lengths(skeleton: Skeleton) -> dict[str, float]:
    """Length of axon, dendrite and other, in the unit of the skeleton."""
    edges = skeleton.edges()
    lengths = np.linalg.norm(skeleton.xyz[edges[:, 0]] - skeleton.xyz[edges[:, 1]], axis=1)
    names = compartment(skeleton.type[edges[:, 0]])
    return {name: float(lengths[names == name].sum()) for name in ("axon", "dendrite", "other")}


@dataclass(frozen=True)
class Outside:
    """How many points a transform takes out of the CCF, and whether the other direction would not.

    Attributes:
        count: of those outside.
        total: of all.
        inverse_inside: how many of all the inverse of the transform takes into the CCF.
    """

    count: int
    total: int
    inverse_inside: int

    @property
    def most(self) -> bool:
        """True where more than half lie outside."""
        return 2 * self.count > self.total


def outside_ccf(points: Points, transform: Transform) -> Outside | None:
    """Where a transform takes points (n, 3) of its source frame; None where its target is not the CCF."""
    if transform.target != CCF or not len(points):
        return None
    lost = len(points) - _inside_ccf(transform(points))
    return Outside(lost, len(points), _inside_ccf(placed(transform.inverse(), points)) if lost else 0)


def placed(way: Transform, points: Points) -> Points:
    """The images of points, nan for those that have none: far outside of the image a transform may fold."""
    for step in way.steps if isinstance(way, Chain) else (way,):
        points = step.found(points) if isinstance(step, Inverse) else step(points)
    return points


def _inside_ccf(points: Points) -> int:
    return int(((points >= 0) & (points <= EXTENT_UM)).all(axis=1).sum())


def lengths_by_region(
    skeleton: Skeleton, lookup: Lookup, step_um: float, types: tuple[int, ...] | None = None
) -> dict[tuple[int, str], float]:
    """Length of a neuron by region and hemisphere.

    Every edge is cut into equal pieces, and each piece counts for the region of its middle: at a border the error
    is half a piece at most.

    Args:
        skeleton: in the CCF, micrometre.
        lookup: tells regions; 0 outside of all.
        step_um: longest piece; half a voxel of the annotation is a good one.
        types: SWC types of the nodes at whose ends the edges count; all without it.

    Returns:
        Micrometre by (region, ``left`` or ``right``), sorted; they sum to the whole length.
    """
    found: dict[tuple[int, str], float] = {}
    edges = skeleton.edges()
    if types is not None:
        edges = edges[np.isin(skeleton.type[edges[:, 0]], types)]
    for middles, lengths in _pieces(skeleton.xyz[edges[:, 1]], skeleton.xyz[edges[:, 0]], step_um):
        regions, right = lookup(middles), right_of_midline(middles)
        keys, rows = np.unique(np.column_stack([regions.astype(np.int64), right]), axis=0, return_inverse=True)
        sums = np.bincount(rows.ravel(), lengths, len(keys))
        for (region, side), length in zip(keys.tolist(), sums.tolist(), strict=True):
            key = region, "right" if side else "left"
            found[key] = found.get(key, 0.0) + length
    return dict(sorted(found.items()))


def _pieces(starts: Points, ends: Points, step: float) -> Iterator[tuple[Points, Points]]:
    """Middle (n, 3) and length (n,) of the pieces of edges, so many at a time that memory stays bounded."""
    lengths = np.linalg.norm(ends - starts, axis=1)
    counts = np.maximum(1, np.ceil(lengths / step)).astype(np.int64)
    ends_at = np.cumsum(counts)
    first = 0
    while first < len(counts):
        done = ends_at[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends_at, done + _AT_ONCE, side="right")))
        n = counts[first:last]
        edge = np.repeat(np.arange(first, last), n)
        number = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
        share = (number + 0.5) / counts[edge]
        middles = starts[edge] + share[:, None] * (ends - starts)[edge]
        yield middles, lengths[edge] / counts[edge]
        first = last
