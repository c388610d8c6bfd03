"""From a stack to every frame of the atlas and back, through each kind of transform that a registration leaves."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from neuropack.space.fields import DisplacementField
from neuropack.space.frames import CCF, EXTENT_UM, FRAMES, between
from neuropack.space.grids import Grid
from neuropack.space.splines import BSpline
from neuropack.space.thin_plate import ThinPlate
from neuropack.space.transforms import Affine, Chain, Transform

POINTS = 100_000
WITHIN_UM = 0.1
HEIGHT_UM = 400.0  # of the waves, over some 8 mm: gentle
# a hemisphere in x, y, z of its stack, cut in the sagittal plane: x is AP backwards, y is DV, z runs to the left
STACK_UM = np.array([13_000.0, 7_500.0, 5_500.0])
SHRINKAGE = (0.93, 0.96, 1.05)


def to_brain() -> Affine:
    """Axes turned, tilted by some degrees, shrunk by other parts along each axis."""
    turn = np.array([[-1, 0, 0], [0, 1, 0], [0, 0, -1]]) * SHRINKAGE
    a, b = np.deg2rad(4), np.deg2rad(-7)
    tilt = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    linear = tilt @ turn
    middle = np.array([EXTENT_UM[0] / 2, EXTENT_UM[1] / 2, EXTENT_UM[2] / 4])
    return Affine("stack", "brain", np.column_stack([linear, middle - linear @ STACK_UM / 2]))


def waves(points: np.ndarray) -> np.ndarray:
    """Displacements of several 100 um that change slowly."""
    p, q, r = (points / 1300.0).T
    return HEIGHT_UM * np.stack([np.sin(q) * np.cos(r), np.cos(p) * np.sin(r), np.sin(p + q)], axis=-1)


def samples(spacing: float) -> tuple[Grid, tuple[int, int, int]]:
    shape = tuple(int(extent / spacing) + 9 for extent in EXTENT_UM)
    return Grid(np.full(3, -4 * spacing), np.full(3, spacing)), (shape[0], shape[1], shape[2])


def field() -> Transform:
    grid, shape = samples(100.0)
    at = grid.position(np.indices(shape).reshape(3, -1).T)
    return DisplacementField("brain", CCF, waves(at).reshape(*shape, 3).astype("f4"), grid)


def spline() -> Transform:
    """Its nodes reach so far beyond the brain that no point meets the border, where ITK's splines tear."""
    grid, shape = samples(600.0)
    at = grid.position(np.indices(shape).reshape(3, -1).T)
    return BSpline("brain", CCF, waves(at).reshape(*shape, 3), grid)


def plate() -> Transform:
    here = np.random.default_rng(4).uniform(0, EXTENT_UM, (40, 3))
    return ThinPlate("brain", CCF, here, here + waves(here))


MIDDLES = {"field": field, "spline": spline, "plate": plate}


@cache
def registration(kind: str) -> Chain:
    return to_brain().then(MIDDLES[kind]())


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", MIDDLES)
def test_from_the_stack_and_back(kind: str, frame: str) -> None:
    stack = np.random.default_rng(1).uniform(0, STACK_UM, (POINTS, 3))
    there = registration(kind).then(between(CCF, frame))
    back = between(frame, CCF).then(registration(kind).inverse())
    assert (there.source, there.target, back.source, back.target) == ("stack", frame, frame, "stack")
    moved = there(stack)
    assert np.linalg.norm(back(moved) - stack, axis=1).max() < WITHIN_UM
    np.testing.assert_allclose(there.inverse()(moved[:100]), stack[:100], rtol=0, atol=WITHIN_UM)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", MIDDLES)
def test_to_the_stack_and_back(kind: str, frame: str) -> None:
    # points in and around a hemisphere, named as the frame names them
    ccf = np.random.default_rng(2).uniform(0, (EXTENT_UM[0], EXTENT_UM[1], EXTENT_UM[2] / 2), (POINTS, 3))
    here = between(CCF, frame)(ccf)
    there = between(frame, CCF).then(registration(kind).inverse())
    again = there.inverse()(there(here))
    assert np.linalg.norm(between(frame, CCF)(again) - ccf, axis=1).max() < WITHIN_UM


@pytest.mark.parametrize("kind", MIDDLES)
def test_the_middle_really_bends(kind: str) -> None:
    stack = np.random.default_rng(3).uniform(0, STACK_UM, (1000, 3))
    bent = np.linalg.norm(registration(kind)(stack) - to_brain()(stack), axis=1)
    assert np.median(bent) > 200
    assert np.ptp(bent) > 200
