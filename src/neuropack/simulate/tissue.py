"""What the tissue does: colours that drift along a neurite, beads on it, specks that are no neuron, and vessels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neuropack.simulate.trees import DIGITS
from neuropack.skeleton import SOMA, Skeleton, parent_rows

Floats = npt.NDArray[np.float64]

_VESSEL_STEP_UM = 8.0
_VESSEL_TURN = 0.12
_LONGEST = 4  # a vessel that has gone so many times the diagonal of the stack ends inside of it


@dataclass(frozen=True)
class Tissue:
    """The tissue around the neurons and the fluorophores in them; none of it does anything by default.

    Attributes:
        drift: standard deviation of the logarithm of a fluorophore's brightness along a neurite.
        drift_um: path length after which that logarithm is correlated by 1/e with what it was.
        beads: height of the beads on neurites, as a part of the brightness.
        bead_um: path length from bead to bead.
        debris_per_mm3: specks that shine and are no neuron.
        debris_radius_um: smallest and largest.
        debris_brightness: smallest and largest, in units of a filled voxel of a neuron; each fluorophore has 0.4 to
            1 of what a speck has.
        vessels_per_mm3: blood vessels, tubes without haze.
        vessel_radius_um: smallest and largest.
        vessel_shade: part of the haze that is missing in a vessel.
    """

    drift: float = 0.0
    drift_um: float = 40.0
    beads: float = 0.0
    bead_um: float = 6.0
    debris_per_mm3: float = 0.0
    debris_radius_um: tuple[float, float] = (0.4, 1.2)
    debris_brightness: tuple[float, float] = (0.3, 1.5)
    vessels_per_mm3: float = 0.0
    vessel_radius_um: tuple[float, float] = (3.0, 7.0)
    vessel_shade: float = 0.8


@dataclass(frozen=True, eq=False)
class Scenery:
    """What one stack holds beside its neurons.

    Attributes:
        paint: brightness of each capsule of the neurons in each fluorophore, (capsules, fluorophores), relative to
            the neuron's colour; None where it is the same all over.
        debris: the specks as one skeleton of roots; None without any.
        debris_colors: their brightness, (specks, fluorophores).
        vessels: their centrelines.
        shade: see `Tissue.vessel_shade`.
    """

    paint: Floats | None = None
    debris: Skeleton | None = None
    debris_colors: Floats = field(default_factory=lambda: np.empty((0, 0)))
    vessels: tuple[Skeleton, ...] = ()
    shade: float = 0.0


def scenery(
    rng: np.random.Generator,
    skeletons: Sequence[Skeleton],
    size_xyz: tuple[float, float, float],
    fluorophores: int,
    tissue: Tissue,
) -> Scenery:
    """Draw the scenery of a stack.

    Args:
        rng: every choice is drawn from it.
        skeletons: the neurons.
        size_xyz: of the stack, micrometre.
        fluorophores: how many.
        tissue: how it is.
    """
    wear, specks, tubes = rng.spawn(3)
    paint = None
    if tissue.drift or tissue.beads:
        each = [_painted(wear, skeleton, fluorophores, tissue) for skeleton in skeletons]
        paint = np.concatenate(each) if each else np.empty((0, fluorophores))
    volume = math.prod(size_xyz) * 1e-9
    debris, colors = _debris(specks, round(tissue.debris_per_mm3 * volume), size_xyz, fluorophores, tissue)
    vessels = tuple(_vessel(tubes, size_xyz, tissue) for _ in range(round(tissue.vessels_per_mm3 * volume)))
    return Scenery(paint, debris, colors, vessels, tissue.vessel_shade)


def _painted(rng: np.random.Generator, skeleton: Skeleton, fluorophores: int, tissue: Tissue) -> Floats:
    """Brightness of each capsule of a neuron, in the order of `Capsules`: edges by their child, then roots.

    The drift is a stationary walk of Ornstein and Uhlenbeck along the path from the root, for each fluorophore its
    own; beads are the same for all, and the soma has none.
    """
    above = parent_rows(skeleton.id, skeleton.parent)
    steps = rng.standard_normal((len(skeleton), fluorophores))
    walk, path = np.zeros((len(skeleton), fluorophores)), np.zeros(len(skeleton))
    for row in _down(above):
        parent = int(above[row])
        if parent < 0:
            walk[row] = steps[row]
            continue
        length = float(np.linalg.norm(skeleton.xyz[row] - skeleton.xyz[parent]))
        kept = math.exp(-length / tissue.drift_um)
        walk[row] = kept * walk[parent] + math.sqrt(1 - kept * kept) * steps[row]
        path[row] = path[parent] + length
    beads = 1 + tissue.beads * np.sin(2 * np.pi * (path / tissue.bead_um + rng.random()))
    beads[skeleton.type == SOMA] = 1.0
    bright = np.exp(tissue.drift * walk - tissue.drift**2 / 2) * beads[:, None]
    return np.concatenate([bright[np.flatnonzero(above >= 0)], bright[np.flatnonzero(above < 0)]])


def _down(above: npt.NDArray[np.int64]) -> list[int]:
    """Rows so that a parent comes before its children."""
    if (above < np.arange(len(above))).all():
        return list(range(len(above)))
    children: dict[int, list[int]] = {}
    for row, parent in enumerate(above.tolist()):
        children.setdefault(parent if parent >= 0 else -1, []).append(row)
    order, waiting = [], children.get(-1, [])[::-1]
    while waiting:
        order.append(row := waiting.pop())
        waiting += children.get(row, [])[::-1]
    return order


def _debris(
    rng: np.random.Generator, count: int, size_xyz: tuple[float, float, float], fluorophores: int, tissue: Tissue
) -> tuple[Skeleton | None, Floats]:
    """Balls anywhere in the stack; lipofuscin and dirt shine in all channels, in some more than in others."""
    if not count:
        return None, np.empty((0, fluorophores))
    bright = rng.uniform(*tissue.debris_brightness, (count, 1)) * rng.uniform(0.4, 1.0, (count, fluorophores))
    return _balls(rng.random((count, 3)) * size_xyz, rng.uniform(*tissue.debris_radius_um, count)), bright


def _balls(xyz: Floats, radius: Floats) -> Skeleton:
    number = np.arange(1, len(xyz) + 1, dtype=np.int64)
    none = np.full(len(xyz), -1, np.int64)
    return Skeleton(number, np.zeros(len(xyz), np.int64), np.round(xyz, DIGITS), np.round(radius, DIGITS), none)


def _vessel(rng: np.random.Generator, size_xyz: tuple[float, float, float], tissue: Tissue) -> Skeleton:
    """A tube that bends slowly, from a point of the stack to both sides until it leaves the stack."""
    size, radius = np.asarray(size_xyz), float(rng.uniform(*tissue.vessel_radius_um))
    middle = size * rng.random(3)
    heading = _unit(rng.normal(size=3))
    halves = []
    for sign in (1.0, -1.0):
        at, way = middle, sign * heading
        course: list[Floats] = []
        most = math.ceil(_LONGEST * float(np.linalg.norm(size)) / _VESSEL_STEP_UM)
        while len(course) < most and ((at > -2 * radius) & (at < size + 2 * radius)).all():
            way = _unit(way + rng.normal(0, _VESSEL_TURN, 3))
            at = at + _VESSEL_STEP_UM * way
            course.append(at)
        halves.append(course)
    xyz = np.round([*halves[0][::-1], middle, *halves[1]], DIGITS)
    number = np.arange(1, len(xyz) + 1, dtype=np.int64)
    parent = np.where(number > 1, number - 1, -1).astype(np.int64)
    return Skeleton(number, np.zeros(len(xyz), np.int64), xyz, np.full(len(xyz), round(radius, DIGITS)), parent)


def _unit(vector: Floats) -> Floats:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
