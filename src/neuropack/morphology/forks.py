"""Features of forks with two daughters, and of the thickness of branches."""

from __future__ import annotations

import numpy as np

from neuropack.morphology.arbor import Floats, Ints
from neuropack.morphology.branches import Branches

_RALL = 1.5
_HIGHEST_POWER = 5.0  # where L-Measure stops to look
_HALVINGS = 60  # of an interval: beyond the precision of a double


def fork_features(found: Branches, radii: bool) -> dict[str, float | None]:
    """Partition asymmetry, angles, taper and Rall's law.

    Args:
        found: the branches.
        radii: whether their radii say anything.
    """
    pairs = found.pairs()
    taper = _taper(found) if radii else {"mean_taper_burke": None, "mean_taper_hillman": None}
    power, ratio = _rall(found, pairs) if radii else (np.empty(0), np.empty(0))
    return {
        "mean_partition_asymmetry": _mean(_asymmetry(found.tips[pairs])),
        "mean_bifurcation_angle_local_deg": _mean(_angles(found, pairs, _first_apart(found))),
        "mean_bifurcation_angle_remote_deg": _mean(_angles(found, pairs, found.foot)),
        **taper,
        "mean_rall_power": _mean(power),
        "mean_rall_ratio": _mean(ratio),
    }


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _asymmetry(tips: Ints) -> Floats:
    """|a - b| / (a + b - 2) of tips (k, 2), 0 where both are 1."""
    apart, rest = np.abs(tips[:, 0] - tips[:, 1]), tips.sum(axis=1) - 2
    return np.asarray(apart / np.maximum(rest, 1))


def _first_apart(found: Branches) -> Ints:
    """Place of the first sample of each branch that is elsewhere than the one it leaves from; -1 without one."""
    xyz = found.arbor.xyz
    apart = (xyz[found.samples] != xyz[found.base[found.of]]).any(axis=1)
    none = len(xyz)
    first = np.full(len(found), none)
    np.minimum.at(first, found.of[apart], found.samples[apart])
    return np.where(first == none, -1, first)


def _angles(found: Branches, pairs: Ints, ends: Ints) -> Floats:
    """Degrees between the ways from forks to `ends` of their two daughters, of forks where both lead elsewhere."""
    xyz = found.arbor.xyz
    fork = xyz[found.base[pairs[:, 0]]]
    a, b = (xyz[ends[pairs[:, side]]] - fork for side in (0, 1))
    known = (ends[pairs] >= 0).all(axis=1) & a.any(axis=1) & b.any(axis=1)
    a, b = a[known], b[known]
    angles: Floats = np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(axis=1)))
    return angles


def _taper(found: Branches) -> dict[str, float | None]:
    """Burke's and Hillman's taper, of branches whose first and last own sample are apart."""
    walked = found.arbor
    after = walked.length[found.samples]  # summed, not taken from two ways, whose rounding would be a length
    after[found.begin] = 0.0
    way = found.sums(after)
    first, last = 2 * walked.radius[found.head], 2 * walked.radius[found.foot]
    apart, thick = way > 0, (way > 0) & (first > 0)
    return {
        "mean_taper_burke": _mean((first - last)[apart] / way[apart]),
        "mean_taper_hillman": _mean((first - last)[thick] / first[thick]),
    }


def _rall(found: Branches, pairs: Ints) -> tuple[Floats, Floats]:
    """Rall's power of the forks that have one up to the highest, and Rall's ratio of all with a diameter."""
    radius = found.arbor.radius
    fork, daughters = radius[found.base[pairs[:, 0]]], radius[found.head[pairs]]
    thick = (fork > 0) & (daughters > 0).all(axis=1)
    parts = daughters[thick] / fork[thick, None]
    ratio = (parts**_RALL).sum(axis=1)
    parts = parts[(parts < 1).all(axis=1)]
    low, high = np.zeros(len(parts)), np.full(len(parts), _HIGHEST_POWER)
    found_one = (parts**_HIGHEST_POWER).sum(axis=1) <= 1  # the sum falls from 2 at power 0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        more = (parts ** middle[:, None]).sum(axis=1) > 1
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return ((low + high) / 2)[found_one], ratio
