"""Label volumes as lists of voxels."""

from __future__ import annotations

import numpy as np
import pytest

from neuropack.errors import InputError
from neuropack.labels import LabelVolume

SIZE = (2.0, 0.5, 0.5)


def test_a_voxel_may_belong_to_several_objects() -> None:
    labels = LabelVolume.of(
        (2, 3, 4), SIZE, [(9, np.array([[1, 2, 3], [0, 0, 1]])), (4, np.array([[1, 2, 3]] * 2))]
    )
    assert labels.ids.tolist() == [4, 9]
    assert labels.counts.tolist() == [1, 2]
    assert labels.of_object(9).tolist() == [[0, 0, 1], [1, 2, 3]]
    assert labels.of_object(5).shape == (0, 3)
    dense = labels.read((slice(0, 2), slice(0, 3), slice(0, 4)))
    assert (dense[1, 2, 3], dense[0, 0, 1], np.count_nonzero(dense)) == (4, 9, 2)
    assert labels.boxes().tolist() == [[1, 2, 3, 2, 3, 4], [0, 0, 1, 2, 3, 4]]


def test_dense_and_back() -> None:
    dense = np.random.default_rng(1).integers(0, 5, (6, 7, 8)) * ((2**63 - 1) // 5)
    labels = LabelVolume.of_dense(dense, SIZE)
    np.testing.assert_array_equal(labels.read((slice(0, 6), slice(0, 7), slice(0, 8))), dense)
    np.testing.assert_array_equal(labels.read((slice(2, 4), slice(1, 7), slice(3, 5))), dense[2:4, 1:7, 3:5])


@pytest.mark.parametrize(
    ("value", "kind", "says"), [(-3, np.int16, "negative"), (2**63, np.uint64, "too large"), (0.5, float, "whole")]
)
def test_values_that_are_no_labels(value: float, kind: type, says: str) -> None:
    dense = np.zeros((2, 2, 2), kind)
    dense[1, 0, 1] = value
    with pytest.raises(InputError, match=says):
        LabelVolume.of_dense(dense, SIZE)


@pytest.mark.parametrize(
    ("objects", "says"),
    [
        ([(0, np.zeros((1, 3)))], "id of its own"),
        ([(7, np.zeros((1, 3))), (7, np.ones((1, 3)))], "id of its own"),
        ([(7, np.array([[0, 0, 4]]))], "outside of the image"),
    ],
)
def test_objects_that_cannot_be(objects: list[tuple[int, np.ndarray]], says: str) -> None:
    with pytest.raises(InputError, match=says):
        LabelVolume.of((2, 3, 4), SIZE, objects)


def test_an_empty_object_has_an_empty_box() -> None:
    labels = LabelVolume.of((2, 3, 4), SIZE, [(1, np.empty((0, 3))), (2, np.array([[1, 1, 1]]))])
    assert labels.boxes().tolist() == [[0] * 6, [1, 1, 1, 2, 2, 2]]
