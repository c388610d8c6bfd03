"""Random branching neurons: a soma, dendrites and an axon that fill a box, as trees of tapering samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.skeleton import Skeleton

Vector = npt.NDArray[np.float64]

SOMA, AXON, DENDRITE = 1, 2, 3
DIGITS = 3  # SWC files carry a thousandth of a micrometre: what is rendered is what is written
_MOST_SAMPLES = 200_000  # of one neuron


@dataclass(frozen=True)
class Habit:
    """How a neuron grows; lengths in micrometre.

    Attributes:
        soma_radius_um: smallest and largest radius of the soma.
        stems: smallest and largest number of dendrites that leave the soma; one axon comes on top.
        stem_radius_um: radius of a dendrite where it leaves the soma.
        axon_radius_um: radius of the axon where it leaves the soma.
        smallest_radius_um: no neurite is thinner.
        dendrite_length_um, axon_length_um: path length from the soma to a tip.
        step_um: distance of two samples.
        turn: standard deviation of the change of direction in one step, as a part of the step.
        branches_per_um: chance of a bifurcation in each micrometre of a stem.
        branching_decay: factor on that chance for each bifurcation on the way from the soma, so that long neurites
            do not multiply without bound.
        taper_per_um: part of the radius that is lost in each micrometre.
        bouton_every_um: mean distance of varicosities along the axon.
    """

    soma_radius_um: tuple[float, float] = (4.0, 6.0)
    stems: tuple[int, int] = (3, 5)
    stem_radius_um: float = 1.1
    axon_radius_um: float = 0.6
    smallest_radius_um: float = 0.25
    dendrite_length_um: float = 60.0
    axon_length_um: float = 140.0
    step_um: float = 2.0
    turn: float = 0.18
    branches_per_um: float = 0.04
    branching_decay: float = 0.75
    taper_per_um: float = 0.006
    bouton_every_um: float = 12.0


@dataclass
class _Tip:
    """A growing end: where it is, where it heads, how thick it is and how far it may still go."""

    parent: int
    type: int
    position: Vector
    direction: Vector
    radius: float
    left_um: float
    order: int = 0


def grow(
    rng: np.random.Generator,
    size_um: tuple[float, float, float],
    soma_um: Vector | None = None,
    habit: Habit | None = None,
) -> Skeleton:
    """Grow one neuron inside a box.

    Args:
        rng: every choice is drawn from it.
        size_um: lengths of the box along x, y, z.
        soma_um: place of the soma (x, y, z); drawn from the middle of the box where it is None.
        habit: how the neuron grows.

    Returns:
        A tree in the frame ``stack``, parents before children, all of it inside the box.

    Raises:
        UsageError: the box is too small for a soma, or the neuron would branch without end.
    """
    habit = habit or Habit()
    size = np.asarray(size_um, dtype=np.float64)
    radius = float(rng.uniform(*habit.soma_radius_um))
    if size.min() < radius:
        raise UsageError(
            "the simulated box is too small for a soma",
            expected=f"at least {radius:.1f} um along every axis",
            found=" x ".join(f"{v:g}" for v in size) + " um (x, y, z)",
            fix="simulate more voxels or larger ones",
        )
    soma = size * rng.uniform(0.25, 0.75, 3) if soma_um is None else np.asarray(soma_um, dtype=np.float64)
    rows: list[tuple[int, Vector, float, int]] = [(SOMA, soma, radius, -1)]
    for tip in _stems(rng, soma, radius, habit):
        _extend(rng, tip, rows, size, habit)
    return Skeleton(
        id=np.arange(1, len(rows) + 1, dtype=np.int64),
        type=np.array([r[0] for r in rows], dtype=np.int64),
        xyz=np.round([r[1] for r in rows], DIGITS),
        radius=np.round([r[2] for r in rows], DIGITS),
        parent=np.array([r[3] for r in rows], dtype=np.int64),
    )


def apart(rng: np.random.Generator, size_um: tuple[float, float, float], others: Sequence[Vector]) -> Vector:
    """A place (x, y, z) for a soma in the middle of a box: the loneliest of several that are drawn."""
    size = np.array(size_um)
    places = [size * rng.uniform(0.2, 0.8, 3) for _ in range(12)]
    if not others:
        return places[0]
    there = np.array(others)
    return max(places, key=lambda p: float(((p - there) ** 2).sum(axis=1).min()))


def _stems(rng: np.random.Generator, soma: Vector, radius: float, habit: Habit) -> list[_Tip]:
    count = int(rng.integers(habit.stems[0], habit.stems[1] + 1))
    around = _spread(rng, count + 1)
    stems = [
        _Tip(
            1,
            DENDRITE,
            soma + d * radius,
            d,
            habit.stem_radius_um * float(rng.uniform(0.8, 1.2)),
            habit.dendrite_length_um,
        )
        for d in around[:count]
    ]
    axon = around[count]
    return [*stems, _Tip(1, AXON, soma + axon * radius, axon, habit.axon_radius_um, habit.axon_length_um)]


def _spread(rng: np.random.Generator, count: int) -> list[Vector]:
    """Directions that point away from each other: each is the best of several candidates."""
    chosen: list[Vector] = []
    for _ in range(count):
        candidates = [_unit(rng.normal(size=3)) for _ in range(12)]
        chosen.append(min(candidates, key=lambda c: max((float(np.dot(c, o)) for o in chosen), default=0.0)))
    return chosen


def _extend(
    rng: np.random.Generator, first: _Tip, rows: list[tuple[int, Vector, float, int]], size: Vector, habit: Habit
) -> None:
    """Grow a stem to its ends, appending (type, position, radius, parent id) so that parents come first."""
    tips = [first]
    margin = np.minimum(4.0, size / 4)
    while tips:
        tip = tips.pop()
        while tip.left_um > 0:
            wall = np.where(tip.position < margin, 1.0, 0.0) - np.where(tip.position > size - margin, 1.0, 0.0)
            tip.direction = _unit(tip.direction + rng.normal(0, habit.turn, 3) + 0.5 * wall)
            tip.position = np.clip(tip.position + habit.step_um * tip.direction, 0.1 * margin, size - 0.1 * margin)
            tip.radius = max(habit.smallest_radius_um, tip.radius * (1 - habit.taper_per_um * habit.step_um))
            tip.left_um -= habit.step_um
            bouton = tip.type == AXON and rng.random() < habit.step_um / habit.bouton_every_um
            rows.append((tip.type, tip.position, tip.radius * (2.0 if bouton else 1.0), tip.parent))
            tip.parent = len(rows)
            if tip.parent > _MOST_SAMPLES:
                raise UsageError(
                    "a neuron that grows so branches without end",
                    expected=f"at most {_MOST_SAMPLES} samples",
                    fix="lower branches_per_um, branching_decay or the lengths, or raise step_um",
                )
            if rng.random() < habit.branches_per_um * habit.branching_decay**tip.order * habit.step_um:
                tips.append(_fork(rng, tip, habit))


def _fork(rng: np.random.Generator, tip: _Tip, habit: Habit) -> _Tip:
    """Split a tip: it goes on as one branch, the other is returned. Radii after Rall's 3/2 power law (1959)."""
    share = float(rng.uniform(0.35, 0.65))
    side = _unit(np.cross(tip.direction, rng.normal(size=3)))
    angle = float(rng.uniform(0.35, 0.7))
    ahead, apart = np.cos(angle) * tip.direction, np.sin(angle) * side
    other = _Tip(
        tip.parent,
        tip.type,
        tip.position,
        _unit(ahead - apart),
        max(habit.smallest_radius_um, tip.radius * (1 - share) ** (2 / 3)),
        tip.left_um * float(rng.uniform(0.6, 1.0)),
        tip.order + 1,
    )
    tip.order += 1
    tip.direction = _unit(ahead + apart)
    tip.radius = max(habit.smallest_radius_um, tip.radius * share ** (2 / 3))
    return other


def _unit(vector: Vector) -> Vector:
    return vector / max(float(np.sqrt((vector**2).sum())), 1e-12)
