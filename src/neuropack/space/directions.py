"""Is a transform used the right way round, and can it be turned back? Landmarks and neurons tell.

A transform of images holds the map of the fixed points to the moving ones. Used for points as it is, it puts every
neuron somewhere: nothing but a pair of points that belong together shows that it is the wrong place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from neuropack.errors import NeuropackError
from neuropack.space.transforms import Points, Transform, determinants

FEWEST: Final = 3
"""Landmarks below which no direction is told."""
_SMALL_UM, _FAR_BETTER = 10.0, 3.0  # what a transform and its inverse differ by at least, and how many times
_STEP_UM = 1.0


@dataclass(frozen=True)
class Direction:
    """How far landmarks lie from where a transform puts them, and from where its inverse does.

    Attributes:
        forward_um: median distance; NaN without landmarks.
        backward_um: the same of the inverse; None where it cannot be turned round there.
    """

    forward_um: float
    backward_um: float | None

    @property
    def exchanged(self) -> bool:
        """Whether the inverse fits far better: the transform is one of images, or was written the wrong way."""
        far = self.forward_um > _SMALL_UM
        return far and self.backward_um is not None and self.backward_um * _FAR_BETTER < self.forward_um


def direction(transform: Transform, moving: Points, fixed: Points) -> Direction:
    """Compare both ways of a transform at landmarks.

    Args:
        transform: said to take moving points to fixed ones.
        moving, fixed: (n, 3), in the units of the frames.
    """
    if len(moving) < FEWEST:
        return Direction(float("nan"), None)
    return Direction(_median(transform, moving, fixed), _backward(transform, moving, fixed))


def _backward(transform: Transform, moving: Points, fixed: Points) -> float | None:
    try:
        return _median(transform.inverse(), moving, fixed)
    except NeuropackError:  # it has no inverse there, so it was not used that way
        return None


def _median(transform: Transform, here: Points, there: Points) -> float:
    return float(np.median(np.linalg.norm(transform(here) - there, axis=1)))


def round_trip(transform: Transform, points: Points) -> float:
    """The largest distance of points (n, 3) from what comes back of them, in the unit of the source frame.

    Raises:
        InputError: the transform folds at some of them.
        UsageError: it has no inverse.
    """
    if not len(points):
        return 0.0
    return float(np.linalg.norm(transform.inverse()(transform(points)) - points, axis=1).max())


def folded(transform: Transform, points: Points) -> int:
    """At how many points (n, 3) a transform turns space inside out, against most of the others.

    That is where the determinant of its derivative has another sign than at most points, or is none.
    """
    if not len(points):
        return 0
    return int((~(determinants(transform, points, _STEP_UM) > 0)).sum())
