"""Levels of a pyramid and how they are made."""

from __future__ import annotations

import numpy as np
import pytest

from neuropack.writers.ome_zarr import plan_grids
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


def shrink(plane: np.ndarray, step: tuple[int, int], *, labels: bool = False) -> list:
    """One plane as downsample takes it."""
    return downsample(plane[None], (1, *step), labels=labels)[0].tolist()


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_mean_rounds_half_up(dtype: str) -> None:
    block = np.array([[[1, 2], [2, 1]]], dtype)  # mean 1.5
    small = downsample(block, (1, 2, 2), labels=False)
    assert small.tolist() == [[[1.5 if dtype[0] == "f" else 2]]]
    assert small.dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8"])
def test_mean_of_negative_numbers_rounds_half_up_too(dtype: str) -> None:
    assert shrink(np.array([[-1, -2], [-2, -1]], dtype), (2, 2)) == [[-1]]
    assert shrink(np.array([[-3, -2], [-2, -2]], dtype), (2, 2)) == [[-2]]


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "i4"])
def test_mean_of_large_values_does_not_overflow(dtype: str) -> None:
    top = np.iinfo(dtype).max
    assert downsample(np.full((2, 2, 2), top, dtype), (2, 2, 2), labels=False).item() == top


def test_odd_end_is_the_mean_of_what_is_there() -> None:
    assert shrink(np.array([[2, 4, 10]], "u2"), (1, 2)) == [[3, 10]]
    assert shrink(np.array([[2], [4], [10]], "u2"), (2, 1)) == [[3], [10]]
    assert downsample(np.array([2, 4, 10], "u2").reshape(3, 1, 1), (2, 1, 1), labels=False).ravel().tolist() == [
        3,
        10,
    ]


@pytest.mark.parametrize("step", [(1, 1, 2), (1, 2, 2), (2, 2, 2), (2, 1, 1)])
def test_many_rows_and_channels(step: tuple[int, int, int]) -> None:
    block = np.random.default_rng(0).integers(0, 65535, (2, 4, 70, 38)).astype("u2")
    shape = [2, *(v for n, s in zip(block.shape[1:], step, strict=True) for v in (n // s, s))]
    want = np.floor(block.reshape(shape).mean((2, 4, 6)) + 0.5)
    np.testing.assert_array_equal(downsample(block, step, labels=False), want)


def test_labels_are_never_averaged() -> None:
    assert shrink(np.array([[5, 5, 0, 7], [5, 9, 0, 7]], "u4"), (2, 2), labels=True) == [[5, 7]]
    big = np.array([[614454277, 614454277], [0, 614454276]], "u4")
    assert shrink(big, (2, 2), labels=True) == [[614454277]]


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((160, 1472, 1472), (1.0, 0.5, 0.5)),
        ((33, 700, 5000), (2.0, 0.5, 0.5)),
        ((1, 30000, 30000), (1.0, 1.0, 1.0)),
        ((2000, 2000, 2000), (1.0, 1.0, 1.0)),
        ((7, 129, 90), (1.0, 0.1, 0.1)),
    ],
)
def test_shards_of_direct_levels_are_made_of_whole_blocks(shape: tuple, spacing: tuple) -> None:
    levels = plan_levels(shape, spacing)
    grids = plan_grids(levels)
    assert grids[0].direct
    for level, grid in zip(levels, grids, strict=True):
        assert all(s % c == 0 for s, c in zip(grid.shard, grid.chunk, strict=True))
        assert np.prod(grid.chunk) <= 2**19
        if grid.direct:
            for n, whole, mine, first, f in zip(
                level.shape, levels[0].shape, grid.shard, grids[0].shard, level.factor, strict=True
            ):
                assert mine * f == first or (first >= whole and mine >= n)
    if len(levels) > 1:  # reading level 0 again would cost as much as reading the raw file
        assert grids[1].direct
