"""The foreground: thresholds from a sample, the blur taken off, and images in which there is nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neuropack.errors import UsageError
from neuropack.process.components import components
from neuropack.process.foreground import foreground_mask, otsu_threshold, recipe_for, response_of
from neuropack.simulate.stack import SimulatedStack, stack
from neuropack.volume import Volume, from_array

pytest.importorskip("numba")

SIZE = (2.0, 0.5, 0.5)
Image = npt.NDArray[Any]


@pytest.fixture(scope="module")
def simulated() -> SimulatedStack:
    return stack(3, (24, 96, 96), SIZE, neurons=2)


def _volume(image: Image, **fields: Any) -> Volume:
    return from_array(image, "CZYX"[-image.ndim :], voxel_size_um=SIZE, **fields)


def _mask(volume: Volume, folder: Path, block: tuple[int, int, int] = (64, 256, 256), **how: Any) -> Image:
    recipe = recipe_for(volume, **how)
    assert recipe.low is not None
    assert recipe.high is not None
    found = components(response_of(volume, recipe), recipe.low, recipe.high, folder, min_voxels=8, block=block)
    mask: Image = found.labels[0] > 0
    return mask


def _f1(mask: Image, truth: Image) -> float:
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


def test_of_a_simulated_stack_it_finds_more_than_a_threshold_does(
    simulated: SimulatedStack, tmp_path: Path
) -> None:
    truth = simulated.labels[0] > 0
    tubes = _mask(simulated.volume, tmp_path / "tubeness")
    plain = _mask(simulated.volume, tmp_path / "otsu", method="otsu")
    assert _f1(tubes, truth) > 0.7
    assert (tubes & truth).sum() > (plain & truth).sum()


def test_the_mask_does_not_hang_on_the_blocks(simulated: SimulatedStack, tmp_path: Path) -> None:
    volume = _volume(simulated.volume[:])
    whole = _mask(volume, tmp_path)
    assert whole.any()
    np.testing.assert_array_equal(_mask(volume, tmp_path, block=(7, 50, 33)), whole)


def test_noise_alone_holds_next_to_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).poisson(100, (1, 24, 96, 96)).astype(np.uint16)
    assert _mask(_volume(noise), tmp_path).mean() < 1e-4


def test_the_gain_of_a_channel_decides_nothing(simulated: SimulatedStack, tmp_path: Path) -> None:
    image = simulated.volume[:].astype(np.float32)
    plain = _mask(_volume(image), tmp_path / "plain")
    image[1] = 16 * image[1] + 500
    np.testing.assert_array_equal(_mask(_volume(image), tmp_path / "loud"), plain)


def test_one_channel_of_five_is_taken(simulated: SimulatedStack, tmp_path: Path) -> None:
    one = simulated.volume[0:1]
    five = np.concatenate(
        [np.random.default_rng(c).poisson(50, one.shape).astype(np.uint16) for c in range(4)] + [one]
    )
    wanted = _mask(_volume(one), tmp_path / "one")
    np.testing.assert_array_equal(_mask(_volume(five), tmp_path / "five", channel=4), wanted)
    assert recipe_for(_volume(five)).channels == (0, 1, 2, 3, 4)


def test_a_plane_is_segmented_by_its_lines(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(100, 5, (1, 1, 80, 80)).astype(np.float32)
    image[0, 0, 40] += 200
    mask = _mask(from_array(image, "CZYX", voxel_size_um=(None, 0.5, 0.5)), tmp_path)
    assert mask[0, 40].all()
    assert mask.sum() < 4 * 80


@pytest.mark.parametrize("method", ["tubeness", "otsu"])
@pytest.mark.parametrize("fill", [0, 1000.5, np.nan])
def test_in_a_constant_image_there_is_no_threshold(method: Any, fill: float) -> None:
    recipe = recipe_for(_volume(np.full((2, 6, 20, 20), fill, np.float32)), method)
    assert (recipe.low, recipe.high) == (None, None)


@pytest.mark.parametrize("method", ["tubeness", "otsu"])
@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_no_number_is_background(
    method: Any, fill: float, simulated: SimulatedStack, tmp_path: Path
) -> None:
    image = simulated.volume[:].astype(np.float64)
    image[:, 12, 40:60, 40:60] = fill
    volume = _volume(image)
    mask = _mask(volume, tmp_path, method=method)
    assert mask.any()
    assert not mask[12, 40:60, 40:60].any()
    assert not foreground_mask(volume, recipe_for(volume, method))[0, 12, 40:60, 40:60].any()
    image[:, 12, 40:60, 40:60] = np.nan
    np.testing.assert_array_equal(mask, _mask(_volume(image), tmp_path / "nan", method=method))


def test_without_noise_a_threshold_of_otsu_takes_the_place_of_its_unit(tmp_path: Path) -> None:
    image = np.zeros((1, 12, 40, 40), np.uint8)
    image[0, 6, 20, 5:35] = 200
    recipe = recipe_for(_volume(image))
    assert recipe.low == recipe.high == pytest.approx(recipe.unit)
    mask = _mask(_volume(image), tmp_path)
    assert mask[6, 20, 6:34].all()
    assert not mask[:, :15].any()


def test_thresholds_that_are_given_are_taken(simulated: SimulatedStack) -> None:
    recipe = recipe_for(simulated.volume, low=3, high=30)
    assert recipe.low == pytest.approx(3 * recipe.unit)
    assert recipe.high == pytest.approx(30 * recipe.unit)
    assert recipe.stated == ("low", "high")
    assert recipe_for(simulated.volume, low=20).high == pytest.approx(20 * recipe.unit)
    faint = recipe_for(simulated.volume, high=3)
    assert faint.low == faint.high == pytest.approx(3 * recipe.unit)
    single = recipe_for(simulated.volume, "otsu", channel=0, low=150)
    assert (single.low, single.high, single.scales) == (150, 150, (1.0,))


def test_otsu_is_that_of_scikit_image() -> None:
    filters = pytest.importorskip("skimage.filters")
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(10, 2, 5000), rng.normal(40, 8, 500)])
    assert otsu_threshold(values) == pytest.approx(filters.threshold_otsu(values, nbins=4096), abs=0.05)
    assert otsu_threshold(np.array([])) is None
    assert otsu_threshold(np.full(9, 4)) is None
    assert otsu_threshold(np.array([0.0, 1.0])) is not None


def test_what_cannot_be_segmented_is_said(simulated: SimulatedStack) -> None:
    volume = _volume(np.zeros((2, 4, 8, 8), np.uint8))
    for how, message in (
        ({"channel": 2}, "no such channel"),
        ({"channel": -1}, "no such channel"),
        ({"low": 2.0, "high": 1.0}, "above the upper"),
        ({"low": np.nan}, "is no number"),
        ({"sigmas_um": [0.0]}, "positive length"),
    ):
        with pytest.raises(UsageError, match=message):
            recipe_for(volume, **how)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="holds labels"):
        recipe_for(_volume(np.zeros((2, 4, 8, 8), np.uint8), labels=True))
    with pytest.raises(UsageError, match="voxel size"):
        recipe_for(from_array(np.zeros((4, 8, 8)), "ZYX"))
    film = from_array(np.zeros((2, 1, 4, 8, 8)), "TCZYX", voxel_size_um=SIZE)
    with pytest.raises(UsageError, match="several time points"):
        recipe_for(film)


def test_the_mask_is_where_the_response_reaches_the_lower_threshold() -> None:
    volume = stack(3, (8, 48, 48), (2.0, 0.5, 0.5), 2).volume
    recipe = recipe_for(volume)
    mask, response = foreground_mask(volume, recipe), np.asarray(response_of(volume, recipe))[:1]
    assert mask.dtype == np.uint8 and mask.n_channels == 1
    assert recipe.low is not None
    np.testing.assert_array_equal(np.asarray(mask), response >= recipe.low)
    assert 0 < np.asarray(mask).mean() < 0.5
    nothing = from_array(np.full((1, 4, 20, 20), 7, np.uint8), "CZYX", voxel_size_um=(1.0, 1.0, 1.0))
    assert not np.asarray(foreground_mask(nothing, recipe_for(nothing))).any()
