"""Objects of an image are those of scipy's labelling of the whole, whatever the blocks, and numbered alike."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from neuropack.axes import Box
from neuropack.errors import InputError, UsageError
from neuropack.process.components import Components, components
from neuropack.volume import Volume, from_array

pytest.importorskip("numba")

Image = npt.NDArray[Any]


def _volume(image: Image) -> Volume:
    return from_array(image, "CZYX"[-image.ndim :], voxel_size_um=(1.0, 1.0, 1.0))


def _whole(image: Image, low: float, high: float, smallest: int) -> npt.NDArray[np.int64]:
    """The labelling by definition: scipy on the whole image, renumbered by first voxel."""
    found, n = ndimage.label((image >= low) & (image < np.inf), np.ones((3, 3, 3)))
    index = np.arange(n + 1)
    strong = ndimage.maximum(np.where(image < np.inf, image, 0), found, index) >= high
    large = np.bincount(found.ravel(), minlength=n + 1) >= smallest
    stays = strong & large & (index > 0)
    made = np.where(stays[found], found, 0)
    _, first, flat = np.unique(made, return_index=True, return_inverse=True)
    rank = np.zeros(len(first), np.int64)
    names = np.unique(made)
    order = [i for i in np.argsort(first) if names[i] != 0]
    rank[order] = np.arange(1, len(order) + 1)
    result: npt.NDArray[np.int64] = rank[flat].reshape(image.shape)
    return result


def _found(image: Image, low: float, high: float, **how: Any) -> Iterator[Components]:
    with tempfile.TemporaryDirectory() as folder:
        yield components(_volume(image), low, high, Path(folder), **how)


def _compare(image: Image, low: float, high: float, smallest: int, block: tuple[int, int, int]) -> None:
    image = image[0] if image.ndim == 4 else image
    wanted = _whole(image, low, high, smallest)
    for found in _found(image, low, high, min_voxels=smallest, block=block):
        labels = found.labels[0]
        np.testing.assert_array_equal(labels, wanted)
        n = int(wanted.max())
        np.testing.assert_array_equal(found.counts, np.bincount(wanted.ravel(), minlength=n + 1)[1:])
        np.testing.assert_array_equal(
            found.strong, np.bincount(wanted.ravel(), (image >= high).ravel(), minlength=n + 1)[1:]
        )
        boxes = [[s.start for s in b] + [s.stop for s in b] for b in ndimage.find_objects(wanted)]
        assert found.boxes.tolist() == boxes
        np.testing.assert_array_equal(found.drawn > 0, wanted.max(axis=0) > 0)


@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
    block=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
    share=st.floats(0.02, 0.6),
    smallest=st.integers(1, 6),
)
@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_the_labels_are_those_of_the_whole_image(
    seed: int, shape: tuple[int, int, int], block: tuple[int, int, int], share: float, smallest: int
) -> None:
    image = np.random.default_rng(seed).random(shape).astype(np.float32)
    _compare(image, 1 - share, 1 - share / 4, smallest, block)


@pytest.mark.parametrize("block", [(64, 256, 256), (7, 11, 13), (1, 40, 3), (20, 1, 1)])
def test_a_larger_image(block: tuple[int, int, int]) -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(3).random((20, 40, 45)), 0.7).astype(np.float32)
    _compare(image, 0.6, 0.66, 4, block)


@pytest.mark.slow
@pytest.mark.parametrize("block", [(64, 256, 256), (50, 70, 90), (128, 33, 64)])
def test_a_large_image(block: tuple[int, int, int]) -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(3).random((130, 260, 270)), 0.8).astype(np.float32)
    _compare(image, 0.6, 0.66, 8, block)


def test_a_weak_object_counts_if_it_is_strong_in_another_block() -> None:
    image = np.zeros((3, 4, 40), np.float32)
    image[1, 2, 2:38] = 1.0
    image[1, 2, 37] = 2.0
    image[0, 0, 5:9] = 1.0  # another one, that is strong nowhere
    for found in _found(image, 0.5, 1.5, block=(1, 2, 4)):
        assert np.argwhere(found.labels[0]).tolist() == [[1, 2, x] for x in range(2, 38)]
        assert (found.weak, found.small, found.strong.tolist()) == (1, 0, [1])


def test_any_box_of_the_labels_can_be_read_and_by_threads_too() -> None:
    image = np.random.default_rng(0).random((6, 20, 22)).astype(np.float32)
    wanted = _whole(image, 0.8, 0.95, 1)
    for found in _found(image, 0.8, 0.95, block=(4, 6, 8), workers=3):
        assert found.labels.dtype == np.uint32
        assert found.labels.labels
        for box in ((slice(0, 6), slice(0, 20), slice(0, 22)), (slice(3, 5), slice(5, 7), slice(1, 21))):
            np.testing.assert_array_equal(found.labels.read((slice(0, 1), *box))[0], wanted[box])
        for native in found.labels.native_blocks():
            np.testing.assert_array_equal(found.labels.read(native)[0], wanted[native[1:]])


class _Counting:
    """Pixels that fail at a block, once."""

    def __init__(self, image: Image, fails_at: int) -> None:
        self._image, self._fails_at, self.reads = image, fails_at, 0

    def read(self, box: Box, out: Image | None = None) -> Image:
        self.reads += 1
        if self.reads == self._fails_at:
            raise InputError("cannot be read")
        return self._image[box].copy()

    def native_blocks(self) -> Iterator[Box]:
        yield tuple(slice(0, n) for n in self._image.shape)

    def close(self) -> None:
        pass


def test_an_interrupted_pass_goes_on(tmp_path: Path) -> None:
    from dataclasses import replace

    image = np.random.default_rng(0).random((1, 6, 20, 22)).astype(np.float32)
    pixels = _Counting(image, fails_at=20)
    volume = replace(_volume(image), pixels=pixels)
    with pytest.raises(InputError, match="cannot be read"):
        components(volume, 0.8, 0.95, tmp_path, block=(2, 5, 11))
    found = components(volume, 0.8, 0.95, tmp_path, block=(2, 5, 11))
    assert pixels.reads == 25  # 24 blocks, and the one that failed
    np.testing.assert_array_equal(found.labels[0], _whole(image[0], 0.8, 0.95, 1))


def test_a_damaged_block_is_named(tmp_path: Path) -> None:
    volume = _volume(np.ones((4, 4, 4), np.float32))
    components(volume, 0.5, 0.5, tmp_path, block=(2, 4, 4))
    file = tmp_path / "2x4x4" / "000000" / "001.npz"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="interrupted run") as told:
        components(volume, 0.5, 0.5, tmp_path, block=(2, 4, 4))
    assert told.value.file == file


@pytest.mark.parametrize("fill", [0.0, np.nan, np.inf, -np.inf])
def test_where_there_is_nothing_there_are_no_objects(fill: float) -> None:
    for found in _found(np.full((5, 6, 7), fill, np.float32), 1.0, 2.0, block=(2, 3, 4)):
        assert not found.labels[0].any()
        assert len(found.counts) == len(found.boxes) == found.weak == 0


def test_all_of_an_image_is_one_object() -> None:
    for found in _found(np.ones((5, 6, 7), np.float32), 1.0, 1.0, block=(2, 3, 4)):
        assert (found.labels[0] == 1).all()
        assert found.boxes.tolist() == [[0, 0, 0, 5, 6, 7]]


def test_a_second_channel_is_shown_from_above() -> None:
    image = np.random.default_rng(0).random((2, 5, 9, 10)).astype(np.float32)
    image[1, 0, 0, 0] = np.nan
    for found in _found(image, 0.5, 0.9, block=(2, 4, 3)):
        assert found.shown is not None
        np.testing.assert_array_equal(found.shown, np.nan_to_num(image[1]).max(axis=0))
    long = np.zeros((2, 1, 3, 2500), np.float32)
    long[:, 0, 1, 7:2200] = 1.0
    for found in _found(long, 0.5, 0.9, block=(1, 2, 250)):
        assert found.step == 3
        assert found.shown is not None
        assert found.shown.shape == found.drawn.shape == (1, 834)
        np.testing.assert_array_equal(found.drawn[0], found.shown[0] > 0)
        assert found.drawn[0].sum() == 2200 // 3 + 1 - 7 // 3


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    volume = _volume(np.zeros((2, 3, 4), np.float32))
    for low, high in ((2.0, 1.0), (np.nan, 1.0), (0.0, np.inf)):
        with pytest.raises(UsageError, match="thresholds"):
            components(volume, low, high, tmp_path)
    for how in ({"min_voxels": 0}, {"block": (0, 1, 1)}):
        with pytest.raises(UsageError, match="1 voxel or more"):
            components(volume, 0.0, 1.0, tmp_path, **how)
    film = from_array(np.zeros((2, 1, 3, 4, 5)), "TCZYX", voxel_size_um=(1.0, 1.0, 1.0))
    with pytest.raises(UsageError, match="several time points"):
        components(film, 0.0, 1.0, tmp_path)
