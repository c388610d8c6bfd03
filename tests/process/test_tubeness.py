"""Tubeness against derivatives by scipy, eigenvalues by LAPACK and scikit-image's sato; and the same by blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neuropack.errors import UsageError
from neuropack.process.tubeness import tubeness, tubeness_image
from neuropack.volume import from_array

pytest.importorskip("numba")


def _noise(shape: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.float32]:
    from scipy import ndimage

    made: Any = ndimage.gaussian_filter(np.random.default_rng(seed).normal(100, 50, shape), 1)
    return made.astype(np.float32)


def _reference(image: npt.NDArray[Any], sigma: tuple[float, ...]) -> npt.NDArray[np.float64]:
    from scipy import ndimage

    hessian = np.zeros((*image.shape, 3, 3))
    for i in range(3):
        for j in range(3):
            order = [(a == i) + (a == j) for a in range(3)]
            bent = ndimage.gaussian_filter(image.astype(float), sigma, order=order, truncate=8)
            hessian[..., i, j] = bent * sigma[i] * sigma[j]
    low, middle, _ = np.moveaxis(np.linalg.eigvalsh(hessian), -1, 0)
    made: npt.NDArray[np.float64] = np.sqrt(np.maximum(-low, 0) * np.maximum(-middle, 0))
    return made


@pytest.mark.parametrize("sigma", [(1.0, 1.0, 1.0), (0.9, 2.0, 1.5), (2.5, 2.5, 2.5)])
def test_it_is_what_scipy_and_lapack_say_up_to_the_border(sigma: tuple[float, float, float]) -> None:
    image = _noise((12, 17, 21))
    wanted = _reference(image, sigma)
    assert np.abs(tubeness(image, sigma) - wanted).max() < 0.01 * wanted.max()


def test_it_agrees_with_sato_away_from_the_border() -> None:
    filters = pytest.importorskip("skimage.filters")
    image, inside = _noise((40, 40, 40)), (slice(12, -12),) * 3
    wanted = filters.sato(image, sigmas=[2.0], black_ridges=False)  # at its border it mirrors twice
    assert np.abs(tubeness(image, 2.0) - wanted)[inside].max() < 0.005 * wanted[inside].max()


def test_a_tube_shines_on_its_axis_with_a_quarter_of_its_brightness() -> None:
    z, y, _ = np.mgrid[:25, :25, :12].astype(float)
    found = tubeness(1000 * np.exp(-((z - 12) ** 2 + (y - 11) ** 2) / (2 * 2.0**2)), 2.0)
    assert np.unravel_index(found[:, :, 6].argmax(), (25, 25)) == (12, 11)
    assert found.max() == pytest.approx(250, rel=0.01)


@pytest.mark.parametrize("case", ["dark tube", "bright sheet", "constant"])
def test_what_is_no_bright_tube_is_dark(case: str) -> None:
    z, y, _ = np.mgrid[:25, :25, :12].astype(float)
    image = {
        "dark tube": 1000 - 1000 * np.exp(-((z - 12) ** 2 + (y - 12) ** 2) / 8),
        "bright sheet": 1000 * np.exp(-((z - 12) ** 2) / 8),
        "constant": np.full((25, 25, 12), 40_000.3),
    }[case]
    found = tubeness(image, 2.0)[12]
    assert found.max() < (250 if case == "dark tube" else 0.1)
    assert found[12, 6] < 0.1
    assert case != "constant" or not found.any()


def test_the_largest_of_several_scales_counts() -> None:
    image = _noise((10, 20, 20))
    single = [tubeness(image, s) for s in (1.0, 2.0)]
    np.testing.assert_array_equal(tubeness(image, [1.0, (2.0, 2.0, 2.0)]), np.maximum(*single))


def test_around_a_voxel_that_is_not_a_number_it_is_0() -> None:
    image = _noise((12, 40, 40))
    image[6, 20, 20] = np.nan
    image[6, 20, 30] = np.inf
    found = tubeness(image, 1.0)
    assert np.isfinite(found).all()
    assert not found[6, 17:24, 17:34].any()
    np.testing.assert_array_equal(found[:, :10, :10], tubeness(_noise((12, 40, 40)), 1.0)[:, :10, :10])


def test_a_plane_shows_its_lines() -> None:
    image = np.zeros((1, 30, 30))
    image[0, 15] = 1000
    found = tubeness(image, 1.5)
    assert found[0, 15].min() > 100
    assert found[0, [8, 22]].max() < 1


def test_a_voxel_has_the_same_tubeness_whatever_box_it_is_read_with() -> None:
    image = (_noise((1, 30, 45, 50)) * 100).astype(np.uint16)
    volume = from_array(image, "CZYX", voxel_size_um=(1.0, 0.5, 0.5))
    made = tubeness_image(volume, [0.6, 1.1])
    whole = made[0]
    np.testing.assert_array_equal(whole, tubeness(image[0], [(0.6, 1.2, 1.2), (1.1, 2.2, 2.2)]))
    for box in ((slice(3, 4), slice(7, 31), slice(11, 12)), (slice(0, 30), slice(40, 45), slice(0, 37))):
        np.testing.assert_array_equal(made[(0, *box)], whole[box])
    assert made.made_by["tubeness"]["sigmas_um"] == [0.6, 1.1]
    assert made.dtype == np.float32


def test_a_channel_of_several_is_taken() -> None:
    image = np.stack([_noise((6, 12, 12), seed) for seed in range(3)])
    volume = from_array(image, "CZYX", voxel_size_um=(1.0, 1.0, 1.0))
    made = tubeness_image(volume, [1.0], channel=2)
    assert made.shape == (1, 6, 12, 12)
    np.testing.assert_array_equal(made[0], tubeness(image[2], 1.0))


def test_what_cannot_be_done_is_said() -> None:
    volume = from_array(np.zeros((2, 4, 8, 8)), "CZYX", voxel_size_um=(1.0, 1.0, 1.0))
    for sigma in (0.0, -1.0, (1.0, np.nan, 1.0), []):
        with pytest.raises(UsageError, match="positive"):
            tubeness(np.zeros((4, 8, 8)), sigma)
    for sigmas in ([], [0.0], [np.nan], [np.inf]):
        with pytest.raises(UsageError, match="positive length"):
            tubeness_image(volume, sigmas)
    with pytest.raises(UsageError, match="no such channel"):
        tubeness_image(volume, [1.0], channel=2)
    with pytest.raises(UsageError, match="voxel size"):
        tubeness_image(from_array(np.zeros((1, 4, 8, 8)), "CZYX"), [1.0])
