"""Colours of simulated Brainbow neurons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from blocked_images import blocked

from neuropack.errors import InputError, UsageError
from neuropack.labels import LabelVolume
from neuropack.process import voxel_order
from neuropack.process.colours import Colour, colours_of_labels, colours_of_skeletons
from neuropack.process.sparse import sparse_labels
from neuropack.simulate.stack import SimulatedStack, stack

SIZE = (2.0, 0.5, 0.5)


@pytest.fixture(scope="module")
def made() -> SimulatedStack:
    return stack(3, (24, 160, 160), SIZE, neurons=4)


@pytest.fixture(scope="module")
def labels(made: SimulatedStack) -> LabelVolume:
    return sparse_labels(made.labels)


def angle(colour: Colour, truth: np.ndarray) -> float:
    assert colour.vector is not None
    a = np.array(colour.vector)
    return float(np.degrees(np.arccos(a @ truth / np.linalg.norm(a) / np.linalg.norm(truth))))


def test_the_colours_are_those_that_were_drawn(made: SimulatedStack, labels: LabelVolume) -> None:
    by_mask = colours_of_labels(made.volume, labels)
    by_skeleton = colours_of_skeletons(made.volume, {n + 1: s for n, s in enumerate(made.skeletons)})
    for found in (by_mask, by_skeleton):
        assert [colour.label for colour in found] == [1, 2, 3, 4]
        for colour in found:
            assert angle(colour, made.colors[colour.label - 1]) < 5
            assert max(colour.vector) == 1
            assert min(colour.vector) >= 0
            assert colour.confidence > 0.95
            assert colour.spread < 0.2


@pytest.mark.parametrize("block", [(1, 1, 160, 160), (3, 8, 32, 64), (1, 24, 160, 160)])
def test_blocks_do_not_matter(
    block: tuple[int, ...], made: SimulatedStack, labels: LabelVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = colours_of_labels(made.volume, labels)
    volume = blocked(np.asarray(made.volume), block, "CZYX")
    monkeypatch.setattr(voxel_order, "_AT_ONCE", 3000)
    for a, b in zip(colours_of_labels(volume, labels), wanted, strict=True):
        np.testing.assert_allclose(a.vector, b.vector)
        np.testing.assert_allclose([a.spread, a.confidence, a.voxels], [b.spread, b.confidence, b.voxels])
    assert volume.pixels.decoded.max() == 1


def test_the_gain_of_a_channel_does_not_count(made: SimulatedStack, labels: LabelVolume) -> None:
    pixels = np.asarray(made.volume).astype(np.float32) * np.array([1, 5, 0.2], np.float32)[:, None, None, None]
    volume = blocked(pixels, (3, 24, 64, 64), "CZYX")
    for a, b in zip(colours_of_labels(volume, labels), colours_of_labels(made.volume, labels), strict=True):
        np.testing.assert_allclose(a.vector, b.vector, atol=1e-4)
    counts = colours_of_labels(volume, labels, in_noise=False)
    assert max(angle(c, made.colors[c.label - 1] * [1, 5, 0.2]) for c in counts) < 6


def test_two_hues_in_one_object_are_seen(made: SimulatedStack, labels: LabelVolume) -> None:
    one, other = max(
        ((a, b) for a in range(4) for b in range(a)),
        key=lambda ab: np.linalg.norm(made.colors[ab[0]] - made.colors[ab[1]]),
    )
    both = np.concatenate([labels.of_object(one + 1), labels.of_object(other + 1)])
    (merged,) = colours_of_labels(made.volume, LabelVolume.of(labels.shape, SIZE, [(7, both)]))
    apart = colours_of_labels(made.volume, labels)
    assert merged.confidence < 0.85 < min(colour.confidence for colour in apart)
    assert merged.spread > 2 * max(colour.spread for colour in apart)


def test_voxels_of_several_objects_are_left_out(made: SimulatedStack, labels: LabelVolume) -> None:
    a, b = labels.of_object(1), labels.of_object(2)
    shared = LabelVolume.of(labels.shape, SIZE, [(1, a), (2, np.concatenate([a[:100], b]))])
    found = colours_of_labels(made.volume, shared)
    assert [colour.voxels for colour in found] == [len(a) - 100, len(b)]


def test_a_neuron_that_does_not_glow_has_no_colour(made: SimulatedStack) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(100, 5, (2, 10, 40, 40)).astype(np.float32)
    mask = np.zeros((10, 40, 40), np.uint8)
    mask[4:6, 10:20, 10:20] = 1
    noise[:, mask > 0] -= 20
    (found,) = colours_of_labels(blocked(noise, (2, 5, 40, 40), "CZYX"), LabelVolume.of_dense(mask, SIZE))
    assert (found.vector, found.confidence) == (None, 0.0)
    empty = LabelVolume.of((10, 40, 40), SIZE, [(1, np.argwhere(mask)), (2, np.empty((0, 3)))])
    assert colours_of_labels(blocked(noise, (2, 5, 40, 40), "CZYX"), empty)[1].vector is None


def test_what_does_not_fit_is_refused(made: SimulatedStack, labels: LabelVolume) -> None:
    with pytest.raises(UsageError, match="do not belong"):
        colours_of_labels(made.volume, replace(labels, shape=(25, 160, 160)))
    everywhere = LabelVolume.of_dense(np.ones(labels.shape, int), SIZE)
    with pytest.raises(UsageError, match="no background"):
        colours_of_labels(made.volume, everywhere)
    flat = blocked(np.full((2, *labels.shape), 9, np.uint8), (2, 24, 160, 160), "CZYX")
    with pytest.raises(InputError, match="no noise"):
        colours_of_labels(flat, labels)
    nothing = LabelVolume.of(labels.shape, SIZE, [])
    assert colours_of_labels(made.volume, nothing) == []
