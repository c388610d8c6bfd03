"""Which axis order do points stand in? Told from the regions and hemispheres that they are said to lie in.

A wrong order, a mirrored axis or millimetres for micrometres leave a file that every program reads. What gives them
away is that points and statements agree better in another order. An accusation is made only where they agree far
better (`accused`); the thresholds were set by false alarms counted in the real annotation, with points at borders,
few points and regions that were partly wrong (docs/explanation/coordinates.md has the figures).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from neuropack.skeleton import Skeleton
from neuropack.space.annotation import VOID, Annotation, right_of_midline
from neuropack.space.orders import ORDERS, STATED, Order, Points
from neuropack.space.structures import Structures

LARGEST_MM: Final = 14.0
"""The CCF is 13.2 mm long: coordinates that all stay below this are millimetres."""

FEWEST: Final = 4
"""So many more points must agree with the accused order than with the stated one."""
_ENOUGH, _FAR_BETTER = 0.5, 2.0  # share of the points that must agree; and how many times that of the stated order
_LENGTH_ENOUGH, _LENGTH_REGIONS, _LENGTH_SHARE = 0.6, 3, 0.05
_BRAIN_LITTLE, _BRAIN_MOST = 0.5, 0.9
_AROUND = np.array(sorted(product((0.0, -1.0, 1.0), repeat=3), key=lambda step: np.abs(step).sum()))
_MOST = 4096  # points that are looked up for each order; more change nothing


@dataclass(frozen=True)
class Fit:
    """How well points agree, in one order, with what is stated of them.

    Attributes:
        order: the order.
        agrees: for each point or, of lengths, None.
        fraction: of the points, or of the length, that agrees.
        mirror_told: whether anything stated tells left from right; regions alone do not.
    """

    order: Order
    fraction: float
    agrees: npt.NDArray[np.bool_] | None = None
    mirror_told: bool = True

    def __str__(self) -> str:
        """The order in words, and what cannot be told."""
        return str(self.order) + ("" if self.mirror_told else ", left and right untold")


def looks_like_mm(points: Points) -> bool:
    """Whether points (n, 3) that should be micrometres of the CCF are all within 14 of the origin.

    A cube of 14 micrometres in the anterior superior left corner holds no tissue, so there is nothing to confuse.
    """
    return bool(len(points)) and bool((np.abs(points) < LARGEST_MM).all())


def kin(structures: Structures, region: int) -> frozenset[int]:
    """The ids with which a region agrees: itself, its parts, and what it is a part of, but for the root.

    Neurons are named by the coarse region or by its layer as it comes. The root agrees with everything, which is
    no evidence. An id that is not in the tree agrees with itself alone.
    """
    if region not in structures:
        return frozenset({region})
    above = {one.id for one in structures.ancestors(region) if one.parent is not None}
    return frozenset({region} | above | {one.id for one in structures.descendants(region)})


def fitting_orders(
    points_um: Points,
    ids: Sequence[int],
    annotation: Annotation,
    structures: Structures,
    sides: Sequence[str | None] | None = None,
) -> list[Fit]:
    """How well points agree with their stated regions and hemispheres in each of the 48 orders.

    Args:
        points_um: (n, 3), said to be AP, DV, LR in micrometre.
        ids: the region each is stated to lie in; 0 where none is.
        annotation, structures: the atlas.
        sides: ``left`` or ``right`` as stated for each; None where nothing is.

    Returns:
        The best first; of those that fit alike the simplest mistake comes first, the stated order before all.
        A point about which nothing is stated is left out; one stated to be in the root too. The stated order has
        the benefit of the doubt: there a point agrees that lies within a voxel of its region.
    """
    stated = np.asarray(ids, np.int64)
    said = np.array([{"left": -1, "right": 1}.get(str(s), 0) for s in (sides or [None] * len(stated))])
    roots = [one.id for one in structures if one.parent is None]
    named = (stated != VOID) & ~np.isin(stated, roots)
    rows = np.flatnonzero((named | (said != 0)) & np.isfinite(points_um).all(axis=1))
    if len(rows) > _MOST:
        rows = rows[np.linspace(0, len(rows) - 1, _MOST).astype(np.intp)]
    points, stated, said, named = points_um[rows], stated[rows], said[rows], named[rows]
    relatives = {int(id): np.array(sorted(kin(structures, int(id)))) for id in np.unique(stated[named])}
    members = {id: np.flatnonzero(named & (stated == id)) for id in relatives}
    fits = []
    for order in ORDERS:
        placed = order.to_ccf(points)
        agrees = ~named
        for step in _AROUND if order.stated else _AROUND[:1]:
            found = annotation.lookup(placed + step * annotation.resolution_um)
            for id, at in members.items():
                agrees[at] |= np.isin(found[at], relatives[id])
        agrees &= (said == 0) | (right_of_midline(placed) == (said > 0))
        fraction = float(agrees.mean()) if len(agrees) else 0.0
        fits.append(Fit(order, fraction, agrees, bool((said != 0).any())))
    return _sorted(fits)


def sample_along(skeleton: Skeleton) -> Points:
    """Points (n, 3) along the edges of a skeleton, an equal length apart, as many as a distribution needs.

    However long the edges are, their number is bounded.
    """
    edges = skeleton.edges()
    starts, ends = skeleton.xyz[edges[:, 1]], skeleton.xyz[edges[:, 0]]
    ends_at = np.cumsum(np.linalg.norm(ends - starts, axis=1))
    if not len(ends_at) or not 0 < ends_at[-1] < np.inf:
        return np.empty((0, 3))
    at = (np.arange(_MOST) + 0.5) / _MOST * ends_at[-1]
    edge = np.minimum(np.searchsorted(ends_at, at), len(edges) - 1)
    lengths = np.diff(ends_at, prepend=0.0)[edge]
    share = np.clip((at - (ends_at[edge] - lengths)) / np.where(lengths > 0, lengths, 1.0), 0, 1)
    points: Points = starts[edge] + share[:, None] * (ends - starts)[edge]
    return points


def fitting_lengths(
    points_um: Points,
    stated: Mapping[tuple[int, str], float],
    annotation: Annotation,
    orders: Sequence[Order] = ORDERS,
) -> list[Fit]:
    """How well the length of a neuron by region and hemisphere agrees with a stated one in each of the 48 orders.

    Args:
        points_um: (n, 3), an equal length apart along the neuron (`sample_along`).
        stated: length by region and hemisphere, as `neuropack.space.mapping.lengths_by_region` gives it.
        annotation: the labels.
        orders: these alone, the simplest first.

    Returns:
        The best first. The fraction is what the two distributions have in common.
    """
    wanted = float(sum(stated.values()))
    if not len(points_um) or wanted <= 0:
        return [Fit(order, 0.0) for order in orders]
    fits = []
    for order in orders:
        placed = order.to_ccf(points_um)
        right, common = right_of_midline(placed), 0.0
        for side, there in (("left", ~right), ("right", right)):
            ids, counts = np.unique(annotation.lookup(placed[there]), return_counts=True)
            for id, n in zip(ids.tolist(), counts.tolist(), strict=True):
                common += min(n / len(points_um), stated.get((id, side), 0.0) / wanted)
        fits.append(Fit(order, float(common)))
    return _sorted(fits)


def fitting_brain(points_um: Points, annotation: Annotation) -> list[Fit]:
    """Which fraction of points lies in the brain in each of the 48 orders: weak evidence.

    Returns:
        The best first.
    """
    step = max(1, len(points_um) // _MOST)
    part = points_um[::step]
    fits = []
    for order in ORDERS:
        inside = annotation.lookup(order.to_ccf(part)) != VOID
        fits.append(Fit(order, float(inside.mean()) if len(inside) else 0.0, inside, mirror_told=False))
    return _sorted(fits)


def accused(fits: Sequence[Fit]) -> Fit | None:
    """The order in which points stand instead of the stated one; None where that is not clear.

    At least half of the points agree with it, at most half as many with the stated order, and it gains four points
    or more. With regions alone an order and its mirror image fit alike: the one that is not mirrored is named.
    """
    best, stated = fits[0], _stated(fits)
    if best.order.stated or best.agrees is None or stated.agrees is None:
        return None
    gained = int(best.agrees.sum()) - int(stated.agrees.sum())
    if best.fraction < _ENOUGH or best.fraction < _FAR_BETTER * stated.fraction or gained < FEWEST:
        return None
    return best


def beyond_doubt(stated: Fit) -> bool:
    """Whether points agree with the stated order so well that none of the others can be accused."""
    return stated.fraction * _FAR_BETTER > 1


def accused_by_lengths(fits: Sequence[Fit], stated: Mapping[tuple[int, str], float]) -> Fit | None:
    """As `accused`, for lengths: a neuron must have a twentieth of its length in each of three regions or more."""
    best, now, whole = fits[0], _stated(fits), sum(stated.values())
    if whole <= 0 or sum(length >= _LENGTH_SHARE * whole for length in stated.values()) < _LENGTH_REGIONS:
        return None
    if best.order.stated or best.fraction < _LENGTH_ENOUGH or best.fraction < _FAR_BETTER * now.fraction:
        return None
    return best


def accused_by_brain(fits: Sequence[Fit]) -> list[Fit]:
    """The orders in which points would lie in the brain, where in the stated order most of them do not."""
    if _stated(fits).fraction >= _BRAIN_LITTLE:
        return []
    return [fit for fit in fits if fit.fraction >= _BRAIN_MOST]


def _stated(fits: Sequence[Fit]) -> Fit:
    return next(fit for fit in fits if fit.order == STATED)


def _sorted(fits: list[Fit]) -> list[Fit]:
    """The best first; fits come with the simplest order first, and sorting keeps that among equals."""
    return sorted(fits, key=lambda fit: -fit.fraction)
