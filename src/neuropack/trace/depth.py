"""Where traced cable turns and runs along z through what may be the blur of a brighter neurite.

The blur of a microscope is longest along z. The light of a bright neurite fades above and below it for micrometres,
and where two neurites pass over each other their blur meets: a front climbs from one to the other, or goes up and
ends where the noise begins. Such a hook turns from the way before it into the axis of the microscope, and is much
darker than what it leaves or comes to. A neurite that truly runs along z seldom does both at once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.trace.nodes import Cable

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_WINDOW_UM = 3.0  # of way that a direction is taken from
_STEEP = 0.85  # cosine of the angle to z: up to 32 degrees are along it
_TURN = 0.87  # cosine: a turn of more than 30 degrees
_LEAST_UM, _LEAST_PLANES = 4.0, 3.0  # along z: a shorter run is none
_DARK = 0.5  # of the brightness beside the run: what is left in its middle at most
_LEFT = 0.4  # of the confidence


def mark_blur(cable: Cable, z_um: float) -> None:
    """Note in `cable.blur` the rows of such runs, and lower the confidence in them.

    Args:
        cable: with its somata, before it is thinned.
        z_um: distance of the planes.
    """
    xyz, parent = cable.xyz, cable.parent
    before, far = _way_up(xyz, parent, _WINDOW_UM)
    rise = np.abs(xyz[:, 2] - xyz[before, 2])
    steep = (far >= _WINDOW_UM) & (rise >= _STEEP * np.linalg.norm(xyz - xyz[before], axis=1)) & (parent >= 0)
    run, runs = np.full(len(parent), -1, np.int64), list[list[int]]()
    for row in cable.order[steep[cable.order]].tolist():
        if run[parent[row]] < 0:
            run[row] = len(runs)
            runs.append([])
        else:
            run[row] = run[parent[row]]
        runs[run[row]].append(row)
    children = np.bincount(parent[parent >= 0], minlength=len(parent))
    behind: dict[int, float] = {}
    for row in np.flatnonzero((run < 0) & (run[before] >= 0)).tolist():
        number = int(run[before[row]])
        behind[number] = max(behind.get(number, 0.0), float(cable.bright[row]))
    for number, rows in enumerate(runs):
        foot = int(before[rows[0]])
        if far[foot] < 0.5 * _WINDOW_UM:  # nothing before it: at a root or a soma
            continue
        deepest = rows[int(np.abs(xyz[rows, 2] - xyz[foot, 2]).argmax())]
        along = xyz[deepest] - xyz[foot]
        beside = max(float(cable.bright[_between(parent, foot, int(before[foot]))].max()), behind.get(number, 0.0))
        if (
            abs(along[2]) >= max(_LEAST_UM, _LEAST_PLANES * z_um)
            and _cosine(xyz[foot] - xyz[before[foot]], along) < _TURN
            and np.median(cable.bright[rows]) < _DARK * beside
        ):
            way = _between(parent, rows[0], foot)[:-1]
            fork = next((n for n, row in enumerate(way) if n and children[row] > 1), len(way))
            marked = np.array([*way[:fork], *rows[1:]])
            cable.blur[marked] = True
            cable.confidence[marked] *= _LEFT


def _way_up(xyz: Floats, parent: Ints, length: float) -> tuple[Ints, Floats]:
    """For each row the first row above it that is so far away along the way, or the root; and how far that is."""
    step = np.linalg.norm(xyz - xyz[np.maximum(parent, 0)], axis=1)
    at, far = np.arange(len(parent)), np.zeros(len(parent))
    going = np.flatnonzero(parent >= 0)
    while len(going):
        far[going] += step[at[going]]
        at[going] = parent[at[going]]
        going = going[(far[going] < length) & (parent[at[going]] >= 0)]
    return at, far


def _between(parent: Ints, row: int, above: int) -> list[int]:
    """The rows from one up to another, both of them."""
    rows = [row]
    while rows[-1] != above:
        rows.append(int(parent[rows[-1]]))
    return rows


def _cosine(one: Floats, other: Floats) -> float:
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))
