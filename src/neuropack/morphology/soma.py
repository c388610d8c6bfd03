"""Surface and volume of a soma, which an SWC file draws as a sphere, as cylinders or as an outline."""

from __future__ import annotations

import numpy as np

from neuropack.morphology.arbor import Arbor, Floats, Ints

_OUTLINE = 4  # samples; three are the soma of NeuroMorpho.Org


def soma_surface_volume(arbor: Arbor) -> tuple[float, float] | None:
    """Surface (um2) and volume (um3) of the somata at which trees begin, summed.

    One sample is a sphere. An outline (see `is_outline`) is a sphere with the mean distance of its samples from
    their centre as radius. Other samples are truncated cones between neighbours, without the discs at their ends;
    the three samples of NeuroMorpho.Org make a cylinder with the surface of the sphere.

    Returns:
        None where there is no soma, or a radius that is needed is not positive.
    """
    places = np.flatnonzero(arbor.soma)
    if not len(places):
        return None
    tree = arbor.tree[places]
    parts = [_one(arbor, places[tree == number]) for number in np.unique(tree)]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return sum(surface for surface, _ in known), sum(volume for _, volume in known)


def _one(arbor: Arbor, places: Ints) -> tuple[float, float] | None:
    if len(places) == 1:
        return _sphere(float(arbor.radius[places[0]]))
    if is_outline(arbor, places):
        points = arbor.xyz[places]
        return _sphere(float(np.linalg.norm(points - points.mean(axis=0), axis=1).mean()))
    if (arbor.radius[places] <= 0).any():
        return None
    edges = places[1:]  # the first is the root
    surface, volume = frusta(
        np.linalg.norm(arbor.xyz[edges] - arbor.xyz[arbor.up[edges]], axis=1),
        arbor.radius[arbor.up[edges]],
        arbor.radius[edges],
    )
    return float(surface.sum()), float(volume.sum())


def is_outline(arbor: Arbor, places: Ints) -> bool:
    """Whether the samples of a soma go once around it: a chain of four or more that comes back to its beginning.

    Its ends are nearer to each other than its samples are to their centre on average, and its radii, which say
    nothing, are less than half of that.
    """
    chain = np.array_equal(arbor.up[places[1:]], places[:-1])
    if len(places) < _OUTLINE or not chain:
        return False
    points = arbor.xyz[places]
    mean = np.linalg.norm(points - points.mean(axis=0), axis=1).mean()
    gap = np.linalg.norm(points[0] - points[-1])
    return bool(gap < mean and arbor.radius[places].mean() < mean / 2)


def _sphere(radius: float) -> tuple[float, float] | None:
    return (4 * np.pi * radius**2, 4 / 3 * np.pi * radius**3) if radius > 0 else None


def frusta(length: Floats, first: Floats, last: Floats) -> tuple[Floats, Floats]:
    """Lateral surface and volume of truncated cones of a length between two radii."""
    surface = np.pi * (first + last) * np.hypot(first - last, length)
    volume = np.pi / 3 * length * (first**2 + first * last + last**2)
    return surface, volume
