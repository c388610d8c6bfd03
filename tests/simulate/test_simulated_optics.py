"""What a simulated microscope does to its image beside blur and noise: each thing shows where it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from neuropack import simulate
from neuropack.errors import UsageError
from neuropack.simulate import Optics

SHAPE, STEP = (8, 64, 80), (2.0, 0.5, 0.5)


def clean(**optics: object) -> np.ndarray:
    made = simulate.stack(5, SHAPE, STEP, 3, optics=Optics(**optics))  # type: ignore[arg-type]
    return np.asarray(made.clean).astype(np.float64)


def test_a_channel_is_shifted_by_whole_voxels() -> None:
    moved = clean(shift_um=((0, 0, 0), (0, 1.0, -2.0), (0, 0, 0)), background_photons=0)
    still = clean(background_photons=0)
    assert np.array_equal(moved[0], still[0])
    assert np.allclose(moved[1, :, 12:-10, 10:-14], still[1, :, 10:-12, 14:-10], atol=1e-3)


def test_a_channel_is_stretched_about_the_centre() -> None:
    from scipy.ndimage import zoom

    moved, still = clean(scale=(1, 1.2, 1), background_photons=0)[1], clean(background_photons=0)[1]
    grown = zoom(still, 1.2, order=1, grid_mode=True, mode="nearest")
    z, y, x = ((g - n) // 2 for g, n in zip(grown.shape, SHAPE, strict=True))
    part = grown[z : z + SHAPE[0], y : y + SHAPE[1], x : x + SHAPE[2]]
    assert np.corrcoef(part.ravel(), moved.ravel())[0, 1] > np.corrcoef(still.ravel(), moved.ravel())[0, 1] + 0.05


def test_fluorophores_leak_into_channels() -> None:
    matrix = ((1.0, 0.2, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    one = simulate.stack(5, SHAPE, STEP, 3, optics=Optics(mixing=matrix))
    assert np.array_equal(one.colors, simulate.stack(5, SHAPE, STEP, 3).colors)
    mixed, pure = clean(mixing=matrix, attenuation_um=1e9), clean(attenuation_um=1e9)
    leaked = (mixed - pure)[0]
    assert np.array_equal(mixed[1:], pure[1:])
    assert abs(leaked.sum() / (0.2 * (pure[1] - pure[1].min()).sum()) - 1) < 0.5
    assert leaked.min() > -1e-3


def test_vignetting_and_stripes_multiply_the_light() -> None:
    pure = clean() - 100
    ratio = (clean(vignetting=0.4) - 100) / pure
    assert np.allclose(ratio[0, 0], ratio[2, 5])
    assert np.isclose(ratio[0, 0, 0, 0], 0.6, atol=0.02)
    assert np.isclose(ratio[0, 0, 32, 40], 1, atol=0.01)
    ratio = (clean(stripes=0.1) - 100) / pure
    assert np.allclose(ratio, ratio[:1, :, :1, :1])
    assert 0.03 < np.log(ratio[0, :, 0, 0]).std() < 0.3


def test_the_clean_image_is_what_the_noise_is_added_to() -> None:
    made = simulate.stack(5, SHAPE, STEP, 3)
    noise = np.asarray(made.volume) - np.asarray(made.clean).astype(np.float64)
    assert made.clean.dtype == np.float32
    assert abs(np.median(noise)) < 15
    assert abs(noise[np.asarray(made.clean) > 1000].mean()) < 10


@pytest.mark.parametrize(
    "optics",
    [
        {"shift_um": ((0, 0, 0),)},
        {"shift_um": ((0, 0), (0, 0), (0, 0))},
        {"scale": (1.0, 1.0)},
        {"mixing": ((1, 0), (0, 1))},
        {"mixing": ((1, 0, 0), (0, 1, 0), (0, 0, np.nan))},
        {"mixing": ((1, 0, 0), (0, 1), (0, 0, 1, 0))},
        {"vignetting": 1.0},
        {"stripes": -0.1},
    ],
)
def test_what_does_not_fit_the_channels_is_refused(optics: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        simulate.stack(5, SHAPE, STEP, 1, optics=Optics(**optics))  # type: ignore[arg-type]
