"""Sholl analysis: how many neurites cross spheres around the origin (Sholl 1953, J. Anat. 87: 387)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from neuropack.errors import UsageError
from neuropack.morphology.arbor import Arbor, Floats, Ints, arbor
from neuropack.skeleton import Skeleton

STEP_UM = 10.0
_MOST_SPHERES = 1_000_000


@dataclass(frozen=True, eq=False)
class Profile:
    """A Sholl profile.

    Attributes:
        radii_um: of the spheres (n,): the step, twice the step, and so on to the outermost that is reached.
        crossings: edges that cross each sphere (n,).
    """

    radii_um: Floats
    crossings: Ints


def sholl_profile(skeleton: Skeleton, step_um: float = STEP_UM) -> Profile:
    """The Sholl profile of a skeleton around its origin.

    Args:
        skeleton: the neuron.
        step_um: distance of the spheres.

    Raises:
        UsageError: the step is not a positive number, or makes more than a million spheres.
        InputError: the skeleton is empty, or its parents make no trees.
    """
    walked = arbor(skeleton)
    return profile(walked, distances(walked, centre(skeleton, walked)), step_um)


def centre(skeleton: Skeleton, walked: Arbor) -> Floats:
    """The origin (3,) of straight distances: the soma, or the root of the longest tree where there is none."""
    soma = skeleton.soma()
    if soma is not None:
        return soma
    cable = np.bincount(walked.tree, walked.length)
    return np.asarray(walked.xyz[np.flatnonzero(walked.up < 0)[int(cable.argmax())]])


def distances(walked: Arbor, origin: Floats) -> Floats:
    """Straight distance of each sample from the origin (n,), micrometre."""
    return np.asarray(np.linalg.norm(walked.xyz - origin, axis=1))


def profile(walked: Arbor, distance: Floats, step_um: float) -> Profile:
    """The Sholl profile of an arbor whose samples have these distances from the origin.

    An edge crosses the spheres with one of its ends within and the other one outside or on them, so that a sample
    on a sphere is counted once.

    Raises:
        UsageError: as `sholl_profile`.
    """
    checked_step(step_um)
    child = walked.neurite
    ends = distance[np.stack([child, walked.up[child]])]
    far = float(ends.max()) if ends.size else 0.0
    if far / step_um > _MOST_SPHERES:
        raise UsageError(
            "the step of the Sholl analysis makes too many spheres",
            expected=f"at least {far / _MOST_SPHERES:g} um",
            found=f"{step_um:g}",
        )
    inner, outer = np.floor(ends.min(axis=0) / step_um), np.floor(ends.max(axis=0) / step_um)
    spheres = int(far // step_um)
    change = np.zeros(spheres + 2, np.int64)
    np.add.at(change, inner.astype(np.int64), 1)
    np.add.at(change, outer.astype(np.int64), -1)
    return Profile(step_um * np.arange(1, spheres + 1, dtype=np.float64), np.cumsum(change)[:spheres])


def checked_step(step_um: float) -> float:
    """The distance of two spheres, where it can be one.

    Raises:
        UsageError: it is not a positive number.
    """
    if not (math.isfinite(step_um) and step_um > 0):
        raise UsageError(
            "the step of the Sholl analysis is no distance",
            expected="a positive number of micrometre",
            found=f"{step_um:g}",
        )
    return step_um
