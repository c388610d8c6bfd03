"""Colours of neurons: found again in simulated stacks, the same whatever the blocks, none without signal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from blocked_images import SIZE, blocked

from neuropack.errors import InputError, UsageError
from neuropack.process import colours
from neuropack.process.colours import LabelColour, colour_along, colours_of_labels
from neuropack.simulate.stack import SimulatedStack, stack
from neuropack.skeleton import Skeleton
from neuropack.volume import from_array

LARGEST = 2**63 - 1


@pytest.fixture(scope="module")
def simulated() -> SimulatedStack:
    """Angles over six seeds, 24 neurons: median 1.1 degrees, 2.7 at most (`colours_of_labels`)."""
    return stack(0)


def angle(one: object, other: object) -> float:
    a, b = np.asarray(one, float), np.asarray(other, float)
    return float(np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))))


def painted(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An image of two channels with noise around 100, and three labels; the last is where nothing is."""
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 5, (2, 12, 30, 40))
    labels = np.zeros((12, 30, 40), np.int64)
    labels[2:6, 4:20, 3:9], labels[:, 22:26, 10:30], labels[8:11, 3:9, 20:36] = 7, 2, LARGEST
    image[:, labels == 7] += np.array([[60.0], [30.0]])
    image[:, labels == 2] += np.array([[0.0], [80.0]])
    image[:, 0:3, 0:3, 30:40] += 300.0  # a neuron that nobody labelled
    return np.clip(np.rint(image), 0, 1000), labels


def test_colours_of_simulated_neurons(simulated: SimulatedStack) -> None:
    found = colours_of_labels(simulated.volume, simulated.labels)
    labels = np.asarray(simulated.labels).reshape(-1)
    assert [one.label for one in found] == [1, 2, 3, 4]
    assert [one.voxels for one in found] == np.bincount(labels)[1:].tolist()
    angles = [angle(one.color, true) for one, true in zip(found, simulated.colors, strict=True)]
    assert np.median(angles) < 2
    assert max(angles) < 4
    assert all(max(one.color) == 1 and min(one.color) >= 0 and 0.9 < one.confidence <= 1 for one in found)


def test_colours_along_skeletons(simulated: SimulatedStack) -> None:
    for skeleton, true in list(zip(simulated.skeletons, simulated.colors, strict=True))[:2]:
        assert angle(colour_along(simulated.volume, skeleton, 5).color, true) < 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_every_type_of_pixel(dtype: type) -> None:
    image, labels = painted()
    image = np.clip(image, 0, 255)
    two, seven, nothing = colours_of_labels(
        from_array(image.astype(dtype), "CZYX"), from_array(labels.astype(np.uint64), "ZYX")
    )
    assert seven.color == pytest.approx((1.0, 0.5), abs=0.02)
    assert two.color == pytest.approx((0.0, 1.0), abs=0.02)
    assert nothing == LabelColour(LARGEST, (0.0, 0.0), 0.0, 3 * 6 * 16)
    assert min(two.confidence, seven.confidence) > 0.97


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("sample", [1 << 20, 500])
@pytest.mark.parametrize("block", [(1, 1, 30, 40), (2, 4, 7, 9), (1, 12, 30, 40), (2, 64, 64, 64)])
def test_blocks_do_not_matter(
    dtype: type, sample: int, block: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(colours, "_SAMPLE", sample)
    monkeypatch.setattr(colours, "_AT_ONCE", 100)
    image, labels = painted()
    if dtype is np.float32:
        image += np.random.default_rng(3).random(image.shape)  # or the medians are whole
    image = image.astype(dtype)
    volume = blocked(image, block, "CZYX")
    found = colours_of_labels(volume, blocked(labels, (5, 5, 5)))
    whole = colours_of_labels(from_array(image, "CZYX"), from_array(labels, "ZYX"))
    assert (volume.pixels.decoded == 1).all()
    for one, other in zip(found, whole, strict=True):
        assert (one.label, one.voxels) == (other.label, other.voxels)
        assert (*one.color, one.confidence) == pytest.approx((*other.color, other.confidence), rel=1e-12)


def test_an_image_in_memory_is_read_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    image, labels = painted()
    wanted = colours_of_labels(from_array(image, "CZYX"), from_array(labels, "ZYX"))
    monkeypatch.setattr(colours, "PIECE", 3000)
    told: list[tuple[str, int, int]] = []
    found = colours_of_labels(from_array(image, "CZYX"), from_array(labels, "ZYX"), lambda *what: told.append(what))
    assert [one.color for one in found] == [pytest.approx(one.color) for one in wanted]
    assert len(told) > 50
    assert told[-1][1:] == (labels.size, labels.size)


def test_the_confidence_falls_where_colours_are_mixed() -> None:
    labels = np.zeros((4, 20, 20), np.uint8)
    labels[:, 5:15, 5:15] = 1
    pure, mixed = np.zeros((2, 2, 4, 20, 20))
    pure[:, labels > 0] = 100.0
    mixed[0, :, 5:15, 5:10] = mixed[1, :, 5:15, 10:15] = 100.0
    of = [colours_of_labels(from_array(a, "CZYX"), from_array(labels, "ZYX"))[0] for a in (pure, mixed)]
    assert [one.color for one in of] == [(1.0, 1.0)] * 2
    assert [one.confidence for one in of] == pytest.approx([1.0, 0.5])  # cos^2 of 0 and of 45 degrees


def test_the_confidence_falls_with_the_signal() -> None:
    noise = np.random.default_rng(1).normal(100, 10, (2, 10, 40, 40))
    labels = np.zeros((10, 40, 40), np.uint8)
    labels[2:8, 10:30, 10:30] = 1
    found = []
    for signal in (200.0, 20.0, 10.0, 2.0):
        image = noise + signal * (labels > 0)
        found += colours_of_labels(from_array(image, "CZYX"), from_array(labels, "ZYX"))
    assert found[0].confidence > 0.98
    assert found[0].confidence > found[1].confidence > found[2].confidence > found[3].confidence == 0
    assert found[3].color == (0.0, 0.0)


def test_a_signal_as_large_as_the_noise() -> None:
    image = np.random.default_rng(1).normal(100, 10, (1, 20, 40, 40))
    image[:, :, 10:30, 10:30] += 10.0
    labels = np.zeros((20, 40, 40), np.uint8)
    labels[:, 10:30, 10:30] = 1
    (one,) = colours_of_labels(from_array(image, "CZYX"), from_array(labels, "ZYX"))
    assert one.confidence == pytest.approx(0.5, abs=0.05)  # of one channel the colour is always the same: c = 1


def test_neurons_without_a_label_are_no_background() -> None:
    rng = np.random.default_rng(1)
    image = np.stack([rng.normal(100, 5, (10, 40, 40)), rng.normal(300, 5, (10, 40, 40))])
    image[0, :, :12] += 200.0
    labels = np.zeros((10, 40, 40), np.uint8)
    labels[:, 20:, 20:] = 1
    image[:, :, 20:, 20:] += 20.0
    (one,) = colours_of_labels(from_array(image, "CZYX"), from_array(labels, "ZYX"))
    assert one.color == pytest.approx((1.0, 1.0), abs=0.03)


def test_of_a_time_series_the_first_frame() -> None:
    image, labels = painted()
    series = from_array(np.stack([image, image[::-1]]), "TCZYX")
    wanted = colours_of_labels(from_array(image, "CZYX"), from_array(labels, "ZYX"))
    assert colours_of_labels(series, from_array(labels, "ZYX")) == wanted


def test_a_plane_and_a_single_channel() -> None:
    image, labels = painted()
    found = colours_of_labels(from_array(image[0, 3], "YX"), from_array(labels[3], "YX"))
    assert [(one.label, one.color) for one in found] == [(2, (0.0,)), (7, (1.0,))]


def test_voxels_that_are_no_number_do_not_count() -> None:
    image, labels = painted()
    wanted = colours_of_labels(from_array(image, "CZYX"), from_array(labels, "ZYX"))
    image[0, 2:4, 4:20, 3:9], image[1, 11] = np.nan, np.inf
    found = colours_of_labels(from_array(image, "CZYX"), from_array(labels, "ZYX"))
    assert found[1].color == pytest.approx(wanted[1].color, abs=0.02)
    assert found[1].voxels == wanted[1].voxels // 2
    image[:] = np.nan
    assert {one.voxels for one in colours_of_labels(from_array(image, "CZYX"), from_array(labels, "ZYX"))} == {0}


def test_all_is_labelled_or_nothing() -> None:
    image = np.stack([np.full((3, 4, 5), 10), np.full((3, 4, 5), 5)])
    full, empty = np.ones((3, 4, 5), bool), np.zeros((3, 4, 5), bool)
    assert colours_of_labels(from_array(image, "CZYX"), from_array(empty, "ZYX")) == []
    (one,) = colours_of_labels(from_array(image, "CZYX"), from_array(full, "ZYX"))
    assert one.color == (1.0, 0.5)  # no background is known: it is 0


def test_what_does_not_fit_is_refused() -> None:
    image, labels = painted()
    volume = from_array(image, "CZYX")
    with pytest.raises(UsageError, match="not those of the image"):
        colours_of_labels(volume, from_array(labels[1:], "ZYX"))
    with pytest.raises(UsageError, match="no single label image"):
        colours_of_labels(volume, volume)
    with pytest.raises(InputError, match="whole numbers"):
        colours_of_labels(volume, from_array(labels.astype(float), "ZYX"))
    labels[4, 5, 6] = -1
    with pytest.raises(InputError, match="voxel z 4, y 5, x 6"):
        colours_of_labels(volume, blocked(labels, (2, 2, 2), path=Path("labels")))


def straight(x_um: float = 1.0) -> Skeleton:
    xyz = np.array([[x_um, 5.0, 11.0], [x_um + 17.0, 5.0, 11.0]])
    return Skeleton(np.array([1, 2]), np.array([2, 2]), xyz, np.array([1.0, 1.0]), np.array([-1, 1]))


def test_along_a_skeleton_only_what_is_near_is_read() -> None:
    image = np.random.default_rng(0).normal(100, 5, (3, 12, 300, 200))
    image[1, 5, 8:12, 2:36] += 80
    volume = blocked(image, (1, 4, 20, 20), "CZYX")
    found = colour_along(volume, straight(), 3)
    assert found.color == pytest.approx((0.0, 1.0, 0.0), abs=0.02)
    assert (found.label, found.voxels > 100) == (3, True)
    assert volume.pixels.decoded.max() == 1
    assert volume.pixels.decoded.mean() < 0.2
    raw = colour_along(from_array(image, "CZYX", voxel_size_um=SIZE), straight(), 3)
    assert raw.voxels == found.voxels
    assert raw.color == pytest.approx(found.color, abs=0.02)


def test_a_skeleton_beside_the_image() -> None:
    image, _ = painted()
    assert colour_along(blocked(image, (2, 4, 8, 8), "CZYX"), straight(500.0)).voxels == 0


def test_along_a_skeleton_the_size_of_a_voxel_must_be_known() -> None:
    image, _ = painted()
    with pytest.raises(UsageError, match="does not state its voxel size"):
        colour_along(from_array(image, "CZYX"), straight())
    with pytest.raises(UsageError, match="unknown thickness"):
        colour_along(from_array(image[:, 0], "CYX", voxel_size_um=(None, 0.5, 0.5)), straight())
    with pytest.raises(UsageError, match="frame"):
        colour_along(from_array(image, "CZYX", voxel_size_um=SIZE), replace(straight(), frame="AllenCCFv3"))
