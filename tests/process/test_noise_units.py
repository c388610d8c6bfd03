"""Background and noise of channels, also where a detector cuts off what is dark."""

from __future__ import annotations

import numpy as np
import pytest

from neuropack.axes import Array
from neuropack.process.noise_units import background, noise_units
from neuropack.volume import Volume, from_array

SHAPE = (8, 120, 120)
RNG = np.random.default_rng(5)
BACKGROUNDS = {
    "far from zero": np.rint(RNG.normal(40, 6, SHAPE)),
    "cut off near its middle": np.rint(RNG.normal(1.5, 4, SHAPE)),
    "few photons": 2.0 * RNG.poisson(0.4, SHAPE),
    "a long tail": np.floor(RNG.exponential(5, SHAPE)),
}


def volume_of(pixels: Array) -> Volume:
    return from_array(pixels[None], "CZYX", voxel_size_um=(1, 0.5, 0.5))


def with_neurites(dark: Array) -> Array:
    """Six bright lines of three voxels, in a tenth of the voxels."""
    made = np.clip(dark, 0, 255)
    for at in range(10, 120, 20):
        made[2:6, at : at + 3] += 90
    return np.clip(made, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_the_noise_is_the_spread_of_the_background_as_it_is_shown(name: str) -> None:
    shown = np.clip(BACKGROUNDS[name], 0, 255)
    found = noise_units(volume_of(with_neurites(BACKGROUNDS[name])))
    assert found.noise[0] == pytest.approx(shown.std(), rel=0.2)
    assert abs(found.level[0] - np.median(shown)) <= shown.std()


def test_what_is_not_cut_off_is_as_it_was() -> None:
    pixels = with_neurites(BACKGROUNDS["far from zero"])
    found = noise_units(volume_of(pixels))
    assert (found.level[0], found.noise[0]) == background(pixels.ravel())


@pytest.mark.parametrize("size", [(8, 120, 120), (8, 3, 200)])
def test_a_drawing_has_hardly_any_noise(size: tuple[int, int, int]) -> None:
    """Nor has one whose planes are narrower than the squares."""
    pixels = np.zeros(size, np.uint8)
    pixels[2:4, 1:3, 10:90] = 200
    found = noise_units(volume_of(pixels))
    assert found.level[0] == 0
    assert found.noise[0] == pytest.approx(1 / 12**0.5)


def test_what_is_no_number_counts_for_nothing() -> None:
    pixels = np.clip(BACKGROUNDS["a long tail"], 0, 255).astype(np.float32)
    whole = noise_units(volume_of(pixels))
    pixels[:, :40] = np.nan
    pixels[:, 60, 60:70] = np.inf
    some = noise_units(volume_of(pixels))
    assert some.noise[0] == pytest.approx(whole.noise[0], rel=0.05)
