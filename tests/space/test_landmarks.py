"""Transforms from landmarks, and what they say of each landmark."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropack.errors import InputError, UsageError
from neuropack.space.landmarks import fit
from neuropack.space.thin_plate import ThinPlate
from neuropack.space.transforms import Affine

KINDS = ("rigid", "similarity", "affine", "thin_plate")
RNG = np.random.default_rng(11)
MOVING = RNG.uniform(0, 1, (20, 3)) * [9000, 6000, 8000]


def rotation(rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else q[:, ::-1]


def known(kind: str, rng: np.random.Generator) -> Affine:
    linear = rotation(rng)
    if kind == "similarity":
        linear = linear * rng.uniform(0.5, 2)
    elif kind != "rigid":
        linear = linear @ np.diag(rng.uniform(0.5, 2, 3)) + rng.normal(0, 0.05, (3, 3))
    return Affine("stack", "atlas", np.column_stack([linear, rng.normal(0, 1000, 3)]))


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.integers(5, 30))
def test_a_known_transform_is_found_again(kind: str, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    truth = known(kind, rng)
    moving = rng.uniform(0, 1, (n, 3)) * [9000, 6000, 8000]
    result = fit(moving, truth(moving), kind, "stack", "atlas")
    elsewhere = rng.uniform(-1000, 10_000, (50, 3))
    np.testing.assert_allclose(result.transform(elsewhere), truth(elsewhere), atol=1e-5)
    assert (result.transform.source, result.transform.target) == ("stack", "atlas")
    assert result.residuals.max() < 1e-6
    assert result.outliers == ()


def test_rotation_by_hand() -> None:
    moving = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3.0]])
    fixed = np.array([[5, 5, 5], [5, 6, 5], [3, 5, 5], [5, 5, 8.0]])  # a quarter turn about the third axis
    matrix = fit(moving, fixed, "rigid", "a", "b").transform.matrix
    np.testing.assert_allclose(matrix, [[0, -1, 0, 5], [1, 0, 0, 5], [0, 0, 1, 5]], atol=1e-12)


@pytest.mark.parametrize("kind", ["rigid", "similarity"])
def test_nothing_is_mirrored(kind: str) -> None:
    result = fit(MOVING, MOVING * [1, 1, -1], kind, "a", "b")
    assert np.linalg.det(result.transform.matrix[:, :3]) > 0
    assert result.median > 500


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_outlier_is_named(kind: str) -> None:
    fixed = known(kind, RNG)(MOVING) + RNG.normal(0, 10, MOVING.shape)
    fixed[7] += [300, -400, 500]
    names = [f"Pt-{i}" for i in range(20)]
    result = fit(MOVING, fixed, kind, "stack", "atlas", names=names)
    assert result.outliers[0] == "Pt-7"
    assert int(result.leave_one_out.argmax()) == 7
    assert result.max == result.leave_one_out[7] > 500
    assert result.median < 250


@pytest.mark.parametrize(("kind", "smoothing"), [*((kind, 0.0) for kind in KINDS), ("thin_plate", 300.0)])
def test_leave_one_out_is_what_it_says(kind: str, smoothing: float) -> None:
    fixed = known(kind, RNG)(MOVING) + RNG.normal(0, 30, MOVING.shape)
    result = fit(MOVING, fixed, kind, "a", "b", smoothing=smoothing)
    for i in (0, 9, 19):
        rest = fit(np.delete(MOVING, i, 0), np.delete(fixed, i, 0), kind, "a", "b", smoothing=smoothing)
        error = np.linalg.norm(rest.transform(MOVING[i]) - fixed[i])
        assert result.leave_one_out[i] == pytest.approx(error, rel=1e-6)


def test_the_fewest_landmarks_leave_none_out() -> None:
    result = fit(MOVING[:4], MOVING[:4] + 1, "affine", "a", "b")
    assert np.isnan(result.leave_one_out).all()
    assert np.isnan([result.median, result.max]).all()
    result = fit(MOVING[:4], MOVING[:4] + 1, "thin_plate", "a", "b")
    assert np.isnan(result.leave_one_out).all()


LINE = np.arange(6.0)[:, None] * [1, 2, 3]
PLANE = np.array([[0, 0, 0], [1, 0, 1], [0, 1, 1], [1, 1, 2], [2, 3, 5.0]])


@pytest.mark.parametrize(
    ("moving", "kind", "says"),
    [
        (MOVING[:2], "rigid", "too few landmarks for rigid"),
        (MOVING[:3], "affine", "4 or more landmarks that do not lie in one plane"),
        (MOVING[:3], "thin_plate", "too few landmarks for thin_plate"),
        (LINE, "similarity", "3 or more landmarks that do not lie on one line"),
        (LINE, "rigid", "all lie on a line in the moving frame"),
        (PLANE, "affine", "all lie in a plane in the moving frame"),
        (PLANE + np.arange(5)[:, None] * 1e-5, "thin_plate", "all lie in a plane"),
        (np.ones((5, 3)), "rigid", "all lie at one point"),
        (MOVING[[0, 1, 2, 3, 4, 1]], "affine", "2 and 6"),
        (MOVING[[0, 1, 2, 3, 4, 1]] + np.eye(6, 3) * 1e-3, "thin_plate", "2 and 6"),
        (np.where(np.arange(20)[:, None] == 3, np.nan, MOVING), "affine", "found: 4"),
        (MOVING[:, :2], "affine", "do not form pairs"),
    ],
)
def test_landmarks_that_do_not_suffice(moving: np.ndarray, kind: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        fit(moving, moving, kind, "a", "b")


def test_flat_in_the_fixed_frame() -> None:
    with pytest.raises(InputError, match="in a plane in the fixed frame"):
        fit(MOVING, MOVING * [1, 1, 0], "affine", "a", "b")
    with pytest.raises(InputError, match="at one place in the fixed frame"):
        fit(MOVING, MOVING[[0, *range(19)]], "affine", "a", "b")


def test_an_unknown_kind() -> None:
    with pytest.raises(UsageError, match="rigid, similarity, affine, thin_plate"):
        fit(MOVING, MOVING, "projective", "a", "b")
    with pytest.raises(UsageError, match="only a thin-plate spline"):
        fit(MOVING, MOVING, "affine", "a", "b", smoothing=1.0)


def bent() -> ThinPlate:
    return ThinPlate("a", "b", MOVING, known("affine", RNG)(MOVING) + RNG.normal(0, 100, MOVING.shape))


def test_a_thin_plate_goes_through_its_landmarks_and_back() -> None:
    spline = bent()
    np.testing.assert_allclose(spline(spline.here), spline.there, atol=1e-6)
    points = np.random.default_rng(1).uniform(-1000, 10_000, (20_000, 3))
    assert np.abs(spline.inverse()(spline(points)) - points).max() < 0.01
    assert spline.inverse().inverse() is spline


def test_a_thin_plate_is_that_of_scipy() -> None:
    from scipy.interpolate import RBFInterpolator

    spline = bent()
    points = np.random.default_rng(2).uniform(-1000, 10_000, (100, 3))
    oracle = RBFInterpolator(spline.here, spline.there, kernel="linear", degree=1)
    np.testing.assert_allclose(spline(points), oracle(points), atol=1e-5)
    smooth = ThinPlate("a", "b", spline.here, spline.there, smoothing=500.0)
    oracle = RBFInterpolator(spline.here, spline.there, kernel="linear", degree=1, smoothing=500.0)
    np.testing.assert_allclose(smooth(points), oracle(points), atol=1e-5)


def test_much_smoothing_is_an_affine_map() -> None:
    spline = bent()
    affine = fit(spline.here, spline.there, "affine", "a", "b").transform
    smooth = fit(spline.here, spline.there, "thin_plate", "a", "b", smoothing=1e12).transform
    np.testing.assert_allclose(smooth(spline.here), affine(spline.here), atol=1e-3)


@pytest.mark.parametrize(
    ("here", "there", "smoothing", "says"),
    [
        (MOVING[:3], MOVING[:3], 0, "no thin-plate spline"),
        (PLANE, PLANE, 0, "no thin-plate spline"),
        (MOVING[[0, 1, 2, 3, 4, 4]], MOVING[:6], 0, "none twice"),
        (MOVING, MOVING[:5], 0, "20 and 5"),
        (MOVING[0], MOVING[0], 0, "are not landmarks"),
        (MOVING, MOVING, -1, "0 or more"),
    ],
)
def test_no_thin_plate(here: np.ndarray, there: np.ndarray, smoothing: float, says: str) -> None:
    with pytest.raises(InputError, match=says):
        ThinPlate("a", "b", here, there, smoothing)
