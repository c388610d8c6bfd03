"""What a network is to say, against what is worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from neuropack.axes import full_box
from neuropack.learn.network import OUTPUTS
from neuropack.learn.stacks import TrainingStack, stacks_of
from neuropack.learn.targets import targets
from neuropack.process.noise_units import NoiseUnits
from neuropack.skeleton import Skeleton
from neuropack.volume import from_array

STEP = (2.0, 0.5, 0.5)
SHAPE = (6, 20, 24)


def stack_of(labels: npt.NDArray[np.integer], *skeletons: Skeleton, somata: list[list[float]]) -> TrainingStack:
    image = from_array(np.zeros((1, *labels.shape), np.uint16), "CZYX", voxel_size_um=STEP)
    truth = from_array(labels[None], "CZYX", voxel_size_um=STEP)
    units = NoiseUnits(np.zeros(1), np.ones(1))
    return TrainingStack("s", "a", "train", image, truth, skeletons, np.array(somata).reshape(-1, 4), units)


def skeleton(*xyz: tuple[float, float, float]) -> Skeleton:
    n = len(xyz)
    return Skeleton(
        np.arange(1, n + 1), np.full(n, 3), np.array(xyz), np.full(n, 0.4), np.arange(n) - (np.arange(n) == 0)
    )


def centres(shape: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    return (np.moveaxis(np.indices(shape), 0, -1) + 0.5) * STEP


def test_distances_are_those_of_the_analytic_line() -> None:
    a, b = np.array([3.1, 2.2, 1.3]), np.array([8.4, 7.7, 9.9])  # z, y, x
    labels = np.ones(SHAPE, np.uint16)
    made = targets(labels, stack_of(labels, skeleton(tuple(a[::-1]), tuple(b[::-1])), somata=[]), full_box(SHAPE))
    t = np.clip((centres(SHAPE) - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    distance = np.linalg.norm(centres(SHAPE) - (a + t[..., None] * (b - a)), axis=-1)
    expected = np.exp(-(distance**2))
    np.testing.assert_allclose(made.target[1], np.where(distance < 3, expected, 0), atol=1e-5)
    assert (made.target[1][distance > 3.001] == 0).all()
    along = np.floor((a + np.linspace(0, 1, 20_001)[:, None] * (b - a)) / STEP).astype(int)
    crossed = np.zeros(SHAPE, bool)
    crossed[tuple(along.T)] = True
    assert (made.line[crossed] == 1).all()
    assert made.line.sum() - crossed.sum() <= 2  # corners that 20,000 points may miss


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_line_along_an_axis_crosses_one_row(axis: int) -> None:
    low, high = np.array([3.0, 2.25, 2.25]), np.array([3.0, 2.25, 2.25])  # centre of voxel 1, 4, 4
    high[axis] += 3 * STEP[axis]
    labels = np.ones(SHAPE, np.uint16)
    made = targets(
        labels, stack_of(labels, skeleton(tuple(low[::-1]), tuple(high[::-1])), somata=[]), full_box(SHAPE)
    )
    expected = np.zeros(SHAPE, np.uint8)
    row: list[int | slice] = [1, 4, 4]
    first = int(low[axis] / STEP[axis])
    row[axis] = slice(first, first + 4)
    expected[tuple(row)] = 1
    np.testing.assert_array_equal(made.line, expected)


def test_a_box_is_told_what_the_whole_is(tiny_release: Path) -> None:
    (stack,) = stacks_of(tiny_release, "train")
    labels = np.asarray(stack.labels)[0]
    whole = targets(labels, stack, full_box(labels.shape))
    box = (slice(3, 13), slice(17, 60), slice(30, 95))
    part = targets(labels[box], stack, box)
    np.testing.assert_allclose(part.target[:3], whole.target[(slice(0, 3), *box)], atol=1e-6)
    np.testing.assert_array_equal(part.line, whole.line[box])
    inner = (slice(None), slice(1, None), slice(1, None), slice(1, None))
    np.testing.assert_array_equal(part.target[3:][inner], whole.target[(slice(3, 6), *box)][inner])
    np.testing.assert_array_equal(part.weight[3:][inner], whole.weight[(slice(3, 6), *box)][inner])
    assert whole.target[2].sum() > 100
    assert (labels[whole.target[2] == 1] > 0).all()
    assert (labels[whole.line == 1] > 0).all()


def test_somata_are_balls_within_the_labels() -> None:
    labels = np.zeros(SHAPE, np.uint16)
    labels[:, :, :12] = 4
    somata = [[6.0, 5.0, 6.0, 2.0]]
    line = skeleton((6.0, 5.0, 6.0), (1.0, 5.0, 6.0))
    made = targets(labels, stack_of(labels, line, somata=somata), full_box(SHAPE))
    inside = np.linalg.norm(centres(SHAPE) - [6.0, 5.0, 6.0], axis=-1) <= 2
    np.testing.assert_array_equal(made.target[2] == 1, inside & (labels > 0))


def test_same_is_asked_only_where_a_neuron_is() -> None:
    labels = np.zeros((2, 3, 4), np.uint16)
    labels[0, 1] = [0, 5, 5, 6]
    labels[1, 1] = [0, 5, 6, 0]
    made = targets(labels, stack_of(labels, somata=[]), full_box(labels.shape))
    z, y, x = (OUTPUTS.index(f"same_{a}") for a in "zyx")
    assert made.target[x, 0, 1].tolist() == [0, 0, 1, 0]
    assert made.weight[x, 0, 1].tolist() == [0, 1, 1, 1]
    assert made.target[z, 1, 1].tolist() == [0, 1, 0, 0]
    assert made.weight[z, 1, 1].tolist() == [0, 1, 1, 1]
    assert not made.weight[z, 0].any()
    assert made.target[y].sum() == 0
    assert made.weight[y, 0].tolist() == [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1]]
    assert made.target[0].tolist() == (labels > 0).tolist()


def test_without_skeletons_nothing_is_asked_of_lines_and_somata() -> None:
    labels = np.ones(SHAPE, np.uint16)
    made = targets(labels, stack_of(labels, somata=[]), full_box(SHAPE))
    assert made.weight[0].all()
    assert not made.weight[1:3].any()


def test_nothing_is_asked_of_lines_in_labels_without_a_skeleton() -> None:
    labels = np.ones(SHAPE, np.uint16)
    labels[:, :5] = 2
    stack = replace(stack_of(labels, skeleton((1, 1, 1), (5, 5, 5)), somata=[]), untraced=np.array([2, 9]))
    made = targets(labels, stack, full_box(SHAPE))
    for output in (1, 2):
        np.testing.assert_array_equal(made.weight[output], labels == 1)
    assert made.weight[0].all()


def test_labels_of_another_box_are_refused() -> None:
    labels = np.ones(SHAPE, np.uint16)
    with pytest.raises(ValueError, match="for a box of"):
        targets(labels[1:], stack_of(labels, somata=[]), full_box(SHAPE))
