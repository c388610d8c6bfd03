"""Somata of skeletons and of masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neuropack.labels import LabelVolume
from neuropack.process.skeleton_masks import masks_of_skeletons
from neuropack.process.somata import soma_of_skeleton, somata_of_masks
from neuropack.simulate.stack import stack
from neuropack.skeleton import Skeleton

SHAPE, SIZE = (48, 200, 200), (2.0, 0.5, 0.5)


def without_types(skeleton: Skeleton) -> Skeleton:
    return replace(skeleton, type=np.zeros_like(skeleton.type))


def axon(skeleton: Skeleton) -> Skeleton:
    """What an axon looks like without its soma: boutons and all."""
    mine = skeleton.type == 2
    parent = np.where(np.isin(skeleton.parent, skeleton.id[mine]), skeleton.parent, -1)
    return Skeleton(*(v[mine] for v in (skeleton.id, skeleton.type, skeleton.xyz, skeleton.radius, parent)))


@pytest.fixture(scope="module")
def neurons() -> dict[int, Skeleton]:
    return {n + 1: s for n, s in enumerate(stack(11, SHAPE, SIZE, neurons=5).skeletons)}


def test_masks_have_their_somata_and_no_other(neurons: dict[int, Skeleton]) -> None:
    found, left_out = somata_of_masks(masks_of_skeletons(neurons, SHAPE, SIZE))
    assert left_out == {}
    assert [soma.label for soma in found] == list(neurons)
    for soma in found:
        truth = neurons[soma.label]
        assert np.linalg.norm(np.array(soma.xyz) - truth.soma()) < 1.5
        assert soma.radius_um == pytest.approx(truth.radius[0], rel=0.25)
        assert 0.5 < soma.confidence < 1


def test_axons_have_none(neurons: dict[int, Skeleton]) -> None:
    axons = {n: axon(s) for n, s in neurons.items()}
    assert somata_of_masks(masks_of_skeletons(axons, SHAPE, SIZE))[0] == []
    assert [soma_of_skeleton(without_types(s)) for s in axons.values()] == [None] * 5


def test_a_thick_dendrite_is_no_soma() -> None:
    xyz = np.column_stack([np.linspace(10, 90, 30), np.full(30, 50.0), np.full(30, 48.0)])
    dendrite = Skeleton(np.arange(1, 31), np.full(30, 3), xyz, np.linspace(3.5, 2.2, 30), np.arange(30))
    dendrite.parent[0] = -1
    assert somata_of_masks(masks_of_skeletons({1: dendrite}, SHAPE, SIZE))[0] == []
    assert soma_of_skeleton(dendrite) is None


def test_two_neurons_in_one_object_are_seen(neurons: dict[int, Skeleton]) -> None:
    masks = masks_of_skeletons(neurons, SHAPE, SIZE)
    merged = LabelVolume.of(SHAPE, SIZE, [(9, np.concatenate([masks.of_object(1), masks.of_object(2)]))])
    found, _ = somata_of_masks(merged)
    assert len(found) == 2
    truth = [neurons[n].soma() for n in (1, 2)]
    assert all(min(np.linalg.norm(np.array(s.xyz) - t) for s in found) < 1.5 for t in truth)


def test_a_ball_is_a_soma_of_which_we_are_not_sure() -> None:
    z, y, x = np.ogrid[:21, :21, :21]
    ball = ((z - 10) ** 2 + (y - 10) ** 2 + (x - 10) ** 2 <= 36).astype(np.uint8)
    (soma,), _ = somata_of_masks(LabelVolume.of_dense(ball, (1.0, 1.0, 1.0)))
    assert (soma.xyz, soma.confidence) == ((10.5, 10.5, 10.5), 0.5)
    assert soma.radius_um == pytest.approx(6, abs=0.7)
    assert somata_of_masks(LabelVolume.of_dense(ball, (0.1, 0.1, 0.1)))[0] == []  # a bouton


def test_skeletons_have_theirs(neurons: dict[int, Skeleton]) -> None:
    for label, neuron in neurons.items():
        told, guessed = soma_of_skeleton(neuron, label), soma_of_skeleton(without_types(neuron), label)
        assert told is not None
        assert guessed is not None
        assert told.xyz == guessed.xyz
        assert (told.confidence, told.radius_um) == (1.0, guessed.radius_um)
        assert 0.5 < guessed.confidence < 1
        unknown = replace(without_types(neuron), radius=np.full(len(neuron), -1.0))
        assert soma_of_skeleton(unknown) is None
