"""Levels of a pyramid and how they are made."""

from __future__ import annotations

import numpy as np
import pytest

from neuropack.writers.pyramid import downsample, plan_levels


def test_finer_axes_are_halved_first() -> None:
    levels = plan_levels((40, 2048, 2048), (2.0, 0.5, 0.5))
    assert [v.factor for v in levels] == [(1, 1, 1), (1, 2, 2), (1, 4, 4), (2, 8, 8), (4, 16, 16)]
    assert levels[-1].shape == (10, 128, 128)


def test_one_plane_is_halved_in_plane_only() -> None:
    assert [v.shape for v in plan_levels((1, 300, 500), (9.0, 1.0, 1.0))] == [
        (1, 300, 500),
        (1, 150, 250),
        (1, 75, 125),
    ]


def test_small_images_have_one_level() -> None:
    assert len(plan_levels((11, 128, 128), (6.0, 0.3, 0.3))) == 1


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "u8", "f4"])
def test_mean_rounds_half_up(dtype: str) -> None:
    block = np.array([[1, 2], [2, 1]], dtype)  # mean 1.5
    want = 1.5 if dtype == "f4" else 2
    assert downsample(block, (2, 2), labels=False).tolist() == [[want]]
    assert downsample(block, (2, 2), labels=False).dtype == np.dtype(dtype)


def test_mean_of_large_values_does_not_overflow() -> None:
    block = np.full((2, 2, 2), np.iinfo("u2").max, "u2")
    assert downsample(block, (2, 2, 2), labels=False).item() == 65535
    big = np.full((2, 2, 2), np.iinfo("u4").max, "u4")
    assert downsample(big, (2, 2, 2), labels=False).item() == np.iinfo("u4").max


def test_odd_end_is_the_mean_of_what_is_there() -> None:
    assert downsample(np.array([[2, 4, 10]], "u2"), (1, 2), labels=False).tolist() == [[3, 10]]


def test_labels_are_never_averaged() -> None:
    block = np.array([[5, 5, 0, 7], [5, 9, 0, 7]], "u4")
    assert downsample(block, (2, 2), labels=True).tolist() == [[5, 7]]
    big = np.array([[614454277, 614454277], [0, 614454276]], "u4")
    assert downsample(big, (2, 2), labels=True).tolist() == [[614454277]]
