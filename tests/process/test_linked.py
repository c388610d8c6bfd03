"""Objects whose voxels are told to belong together: as a graph of all voxels has them, however they are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from known_network import linked
from neuropack.axes import Array
from neuropack.process.components import Components
from neuropack.process.linked import FULL, linked_components
from neuropack.volume import from_array

pytest.importorskip("numba")


BLOCKS = ((64, 256, 256), (4, 7, 16), (5, 64, 3))


def objects(values: Array, folder: Path, block: tuple[int, int, int], smallest: int = 1) -> Components:
    image = from_array(values.astype(np.float32), "CZYX", voxel_size_um=(2, 0.5, 0.5))
    return linked_components(image, 0.5, 0.5, folder, min_voxels=smallest, block=block, workers=2)


@pytest.fixture(scope="module")
def values() -> Array:
    made = np.random.default_rng(0).random((4, 11, 23, 37))
    made[1:] += 0.15  # enough links for objects of many sizes
    return made


@pytest.mark.parametrize("block", BLOCKS)
def test_objects_are_those_of_the_graph(values: Array, tmp_path: Path, block: tuple[int, int, int]) -> None:
    found = objects(values, tmp_path, block)
    wanted = linked(values[0] >= 0.5, values[1:] >= 0.5)
    np.testing.assert_array_equal(found.labels[0], wanted)
    np.testing.assert_array_equal(found.counts, np.bincount(wanted.ravel())[1:])
    sure = np.bincount(wanted.ravel(), np.where(wanted > 0, values[0], 0).ravel())[1:] / found.counts
    np.testing.assert_allclose(found.strong / (FULL * found.counts), sure, atol=0.005)
    one = int(found.counts.argmax())
    z, y, x = (np.flatnonzero((wanted == one + 1).any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    assert found.boxes[one].tolist() == [z[0], y[0], x[0], z[-1] + 1, y[-1] + 1, x[-1] + 1]


@pytest.mark.parametrize("smallest", [4, 30])
def test_small_ones_are_joined_to_the_same_whatever_the_blocks(
    values: Array, tmp_path: Path, smallest: int
) -> None:
    first, *others = (objects(values, tmp_path / str(n), block, smallest) for n, block in enumerate(BLOCKS))
    assert 1 < len(first.counts) < len(np.unique(linked(values[0] >= 0.5, values[1:] >= 0.5))) - 1
    assert first.counts.min() >= smallest
    for other in others:
        np.testing.assert_array_equal(other.labels[0], first.labels[0])
        np.testing.assert_array_equal(other.boxes, first.boxes)
        assert other.small == first.small


def test_a_small_one_goes_to_what_it_touches_most_and_one_alone_is_left_out(tmp_path: Path) -> None:
    wanted = np.zeros((1, 6, 12), int)
    wanted[0, :3, :3], wanted[0, :3, 6:9] = 1, 2
    wanted[0, :2, 3:6] = 3  # touches both at two faces
    wanted[0, 2, 4:6] = 4  # the second at one, the third at two
    wanted[0, 5, 11] = 5
    values = np.zeros((4, *wanted.shape))
    values[0] = wanted > 0
    for axis in range(3):
        here = (slice(None),) * axis + (slice(1, None),)
        values[1 + axis][here] = np.diff(wanted, axis=axis) == 0
    for block in ((1, 6, 12), (1, 2, 5)):
        found = objects(values, tmp_path / str(block), block, 7)
        labels = found.labels[0]
        assert found.counts.tolist() == [17, 9]  # of equals the first one takes it
        assert (labels[wanted == 2] == 2).all()
        assert (labels[(wanted == 1) | (wanted == 3) | (wanted == 4)] == 1).all()
        assert labels[0, 5, 11] == 0
        assert found.small == 1


def test_what_is_no_number_is_of_no_object(tmp_path: Path) -> None:
    values = np.full((4, 2, 3, 4), np.nan)
    assert len(objects(values, tmp_path, (1, 2, 3)).counts) == 0
    values[0], values[0, 0, 0, 0] = 1, np.inf
    assert objects(values, tmp_path / "links", (1, 2, 3)).counts.tolist() == [1] * 24  # no link is a number


def test_what_is_hardly_foreground_is_an_object_where_the_threshold_says_so(tmp_path: Path) -> None:
    values = np.zeros((4, 2, 3, 4))
    values[0, 0] = 1e-3
    image = from_array(values.astype(np.float32), "CZYX", voxel_size_um=(2, 0.5, 0.5))
    assert linked_components(image, 1e-3 / 2, 0.0, tmp_path).counts.tolist() == [12]
