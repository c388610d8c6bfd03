"""Displacement fields, B-splines and their inverses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropack.errors import InputError, UsageError
from neuropack.space.fields import DisplacementField
from neuropack.space.grids import Grid
from neuropack.space.splines import BSpline, Sum
from neuropack.space.transforms import Affine, Chain

TILTED = np.array([[0, -1, 0], [0.96, 0, -0.28], [0.28, 0, 0.96]])


def wave(shape: tuple[int, int, int] = (12, 10, 14), height: float = 20.0) -> DisplacementField:
    """A smooth field of some 20 um on a grid of 50 x 60 x 70 um, turned against the axes."""
    i, j, k = np.indices(shape) / 4.0
    vectors = height * np.stack([np.sin(i + j), np.cos(j - k), np.sin(k)], axis=-1)
    return DisplacementField("brain", "atlas", vectors, Grid([100, -50, 7], [50, 60, 70], TILTED))


def linear_field() -> tuple[DisplacementField, Affine]:
    """A field that is an affine map within its grid, with samples of a grid that is turned."""
    matrix = np.array([[1.1, 0.02, 0, 5], [0, 0.9, 0.1, -3], [0.03, 0, 1.05, 1]])
    affine = Affine("brain", "atlas", matrix)
    grid = Grid([10, 20, 30], [5, 10, 20], TILTED)
    at = grid.position(np.indices((5, 4, 6)).reshape(3, -1).T)
    return DisplacementField("brain", "atlas", (affine(at) - at).reshape(5, 4, 6, 3), grid), affine


def test_a_linear_map_is_met_exactly_between_the_samples() -> None:
    field, affine = linear_field()
    points = field.grid.position(np.random.default_rng(1).uniform(0, 1, (5000, 3)) * [4, 3, 5])
    np.testing.assert_allclose(field(points), affine(points), atol=1e-9)


def test_by_hand() -> None:
    vectors = np.zeros((2, 2, 2, 3), np.float32)
    vectors[1, 0, 0], vectors[1, 1, 1] = (8, 0, 0), (0, 16, 0)
    field = DisplacementField("a", "b", vectors, Grid([0, 0, 0], [10, 10, 10]))
    # weights 1/4 * 3/4 * 1/2 and 1/4 * 1/4 * 1/2 at the two samples
    np.testing.assert_allclose(field([2.5, 2.5, 5]), [2.5 + 8 * 3 / 32, 2.5 + 16 / 32, 5])


def test_a_field_is_that_of_scipy() -> None:
    from scipy.ndimage import map_coordinates

    field = wave()
    index = np.random.default_rng(10).uniform(-3, 16, (2000, 3))
    expected = [map_coordinates(field.vectors[..., axis], index.T, order=1, mode="nearest") for axis in range(3)]
    at = field.grid.position(index)
    np.testing.assert_allclose(field(at) - at, np.transpose(expected), atol=1e-9)


def test_outside_the_nearest_displacement_holds() -> None:
    field = wave()
    corner = field.grid.position([11, 0, 13])
    out = field.grid.position([11 + 5, -3, 13 + 0.5])
    np.testing.assert_allclose(field(out) - out, field(corner) - corner, atol=1e-9)


def test_what_is_not_finite_stays_so() -> None:
    points = np.array([[np.nan, 1, 2], [np.inf, 1, 2], [100, -50, 7]])
    for transform in (wave(), wave().inverse()):
        out = transform(points)
        assert np.isfinite(out).all(axis=1).tolist() == [False, False, True]
    np.testing.assert_array_equal(wave().inverse()(points)[:2], points[:2])


def test_a_single_plane_and_no_points() -> None:
    flat = DisplacementField("a", "b", np.full((1, 1, 3, 3), 2.0), Grid([0, 0, 0], [1, 1, 1]))
    assert flat([5, 5, 5]).tolist() == [7, 7, 7]
    assert wave()(np.empty((0, 3))).shape == (0, 3)
    assert wave().inverse()(np.empty((0, 3))).shape == (0, 3)


def test_round_trip_of_a_field() -> None:
    field = wave()
    points = field.grid.position(np.random.default_rng(2).uniform(-2, 15, (100_000, 3)))
    assert np.linalg.norm(field.inverse()(field(points)) - points, axis=1).max() < 0.01
    assert np.linalg.norm(field(field.inverse()(points)) - points, axis=1).max() < 0.001
    assert field.inverse().inverse() is field
    assert (field.inverse().source, field.inverse().target) == ("atlas", "brain")


def test_round_trip_of_a_chain_with_a_field() -> None:
    chain = Chain((Affine("stack", "brain", np.diag([1.1, 0.9, 1.2]) @ np.eye(3, 4)), wave()))
    points = np.random.default_rng(3).uniform(-500, 1000, (100_000, 3))
    assert np.abs(chain.inverse()(chain(points)) - points).max() < 0.1


def test_gentle_fields_take_few_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    apply = DisplacementField.apply
    monkeypatch.setattr(DisplacementField, "apply", lambda self, points: calls.append(0) or apply(self, points))
    wave(height=2.0).inverse()(np.random.default_rng(9).uniform(0, 500, (100, 3)))
    assert len(calls) < 10


def test_steep_fields_need_newton() -> None:
    # a slope of 3 along x: the fixed point runs away from it
    i = np.arange(20.0)[:, None, None, None] * np.array([3.0, 0, 0])
    field = DisplacementField("a", "b", np.broadcast_to(i, (20, 2, 2, 3)), Grid([0, 0, 0], [1, 1, 1]))
    points = np.random.default_rng(4).uniform(0.5, 18, (500, 3))
    np.testing.assert_allclose(field.inverse()(field(points)), points, atol=1e-5)


def test_points_without_a_way_back_are_counted() -> None:
    # up to x = 10 nothing moves, then all by 20: no point comes to lie between 10 and 30
    spline = BSpline("a", "b", np.tile([20.0, 0, 0], (6, 6, 6, 1)), Grid([0, 0, 0], [10, 10, 10]))
    points = np.array([[15.0, 20, 20], [25.0, 20, 20], [45.0, 20, 20]])
    with pytest.raises(InputError, match="cannot be turned round") as caught:
        spline.inverse()(points)
    assert "2 of 3 points" in str(caught.value)
    assert "the worst image is off by 5.0" in str(caught.value)


def test_vectors_of_a_file_are_not_copied(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", wave().vectors)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    field = DisplacementField("a", "b", mapped, wave().grid)
    assert np.shares_memory(field.vectors, mapped)
    assert field != wave()
    assert DisplacementField("brain", "atlas", mapped, wave().grid) == wave()


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        (np.zeros((2, 2, 3)), "2 x 2 x 3 of float64"),
        (np.zeros((2, 2, 2, 2)), "2 x 2 x 2 x 2"),
        (np.zeros((0, 2, 2, 3)), "0 x 2"),
        (np.zeros((2, 2, 2, 3), int), "of int64"),
        (np.full((2, 2, 2, 3), np.nan), "8 vectors that are not finite"),
    ],
)
def test_no_field(vectors: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match=says):
        DisplacementField("a", "b", vectors, Grid([0, 0, 0], [1, 1, 1]))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([0, 0], [1, 1, 1]), "the origin of a grid"),
        (([0, 0, np.inf], [1, 1, 1]), "the origin of a grid"),
        (([0, 0, 0], [1, 1, 0]), "the spacing of a grid"),
        (([0, 0, 0], [1, -1, 1]), "the spacing of a grid"),
        (([0, 0, 0], [1, 1, 1], np.zeros((3, 3))), "the direction of a grid"),
        (([0, 0, 0], [1, 1, 1], np.eye(4)), "the direction of a grid"),
    ],
)
def test_no_grid(arguments: tuple, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Grid(*arguments)


def test_a_grid_from_the_corner_of_its_image() -> None:
    # ITK reads a stack of 2 x 3 x 4 um (z, y, x) with spacing 0.004 0.003 0.002 and its own origin
    grid = Grid([1, 2, 3], [0.004, 0.003, 0.002], np.diag([-1, 1, 1]))
    affine = grid.from_corner("stack", "LPS", (2, 3, 4), reverse=True)
    # the centre of voxel z, y, x = 5, 1, 0
    np.testing.assert_allclose(affine([11, 4.5, 2]), [1, 2 + 0.003, 3 + 5 * 0.002])
    same = grid.from_corner("stack", "LPS", (4, 3, 2), reverse=False)
    np.testing.assert_allclose(same([2, 4.5, 11]), affine([11, 4.5, 2]))


def bend() -> BSpline:
    rng = np.random.default_rng(5)
    return BSpline("brain", "atlas", rng.normal(0, 8, (7, 8, 9, 3)), Grid([-50, 3, 9], [50, 60, 70], TILTED))


def test_a_spline_by_hand() -> None:
    coefficients = np.zeros((5, 5, 5, 3))
    coefficients[2, 2, 2] = (216, 0, 0)
    spline = BSpline("a", "b", coefficients, Grid([0, 0, 0], [1, 1, 1]))
    # on the node: (4/6)^3; half way to the next: 23/48; a node further: 1/6
    np.testing.assert_allclose(spline([2, 2, 2]), [2 + 216 * (4 / 6) ** 3, 2, 2])
    np.testing.assert_allclose(spline([2.5, 2, 2]), [2.5 + 216 * (23 / 48) * (4 / 6) ** 2, 2, 2])
    np.testing.assert_allclose(spline([1, 1, 2]), [1 + 216 * (1 / 6) ** 2 * (4 / 6), 1, 2])
    assert spline([0.99, 2, 2]).tolist() == [0.99, 2, 2]
    assert spline([3, 2, 2]).tolist() == [3, 2, 2]


def test_a_spline_is_that_of_scipy() -> None:
    from scipy.ndimage import map_coordinates

    spline = bend()
    index = np.random.default_rng(6).uniform(1, 4.99, (300, 3))
    expected = [
        map_coordinates(spline.coefficients[..., axis], index.T, order=3, prefilter=False) for axis in range(3)
    ]
    at = spline.grid.position(index)
    np.testing.assert_allclose(spline(at) - at, np.transpose(expected), atol=1e-9)


def test_round_trip_of_a_spline() -> None:
    spline = bend()
    points = spline.grid.position(np.random.default_rng(7).uniform(1.5, 4.5, (20_000, 3)))
    assert np.abs(spline.inverse()(spline(points)) - points).max() < 0.01


def test_a_sum_adds_displacements() -> None:
    shift = Affine("brain", "atlas", np.column_stack([np.diag([1.2, 1, 1]), [5, 6, 7]]))
    total = Sum(shift, bend(), 50.0)
    points = bend().grid.position(np.random.default_rng(8).uniform(1.5, 4.5, (1000, 3)))
    np.testing.assert_allclose(total(points), shift(points) + bend()(points) - points)
    assert np.abs(total.inverse()(total(points)) - points).max() < 0.01
    with pytest.raises(UsageError, match="cannot be added"):
        Sum(Affine.identity("a", "b"), bend(), 50.0)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.25))
def test_any_gentle_field_has_a_way_back(seed: int, steepness: float) -> None:
    rng = np.random.default_rng(seed)
    spacing = rng.uniform(5, 100, 3)
    shape = tuple(rng.integers(2, 8, 3))
    vectors = rng.uniform(-1, 1, (*shape, 3)) * spacing.min() * steepness
    field = DisplacementField("a", "b", vectors, Grid(rng.uniform(-1000, 1000, 3), spacing))
    points = field.grid.position(rng.uniform(-1, 8, (200, 3)))
    assert np.abs(field(field.inverse()(points)) - points).max() < 0.01
