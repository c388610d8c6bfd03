"""A simulated stack gives the same voxels however it is read, and its ground truth fits its pixels."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from neuropack import simulate
from neuropack.axes import Box
from neuropack.errors import UsageError
from neuropack.simulate.render import Scene
from neuropack.skeleton import Skeleton
from neuropack.volume import Volume

SHAPE = (10, 70, 90)
STEP = (2.0, 0.5, 0.5)


@pytest.fixture(scope="module")
def small() -> simulate.SimulatedStack:
    return simulate.stack(5, SHAPE, STEP, neurons=3)


def assemble(volume: Volume, block: tuple[int, ...]) -> np.ndarray:
    """Read a volume in blocks of a size, each alone."""
    out = np.zeros(volume.shape, volume.dtype)
    counts = [-(-n // b) for n, b in zip(volume.shape, block, strict=True)]
    for at in np.ndindex(*counts):
        box: Box = tuple(slice(i * b, min(n, (i + 1) * b)) for i, b, n in zip(at, block, volume.shape, strict=True))
        out[box] = volume.read(box)
    return out


@pytest.mark.parametrize("block", [(1, 3, 25, 33), (3, 10, 17, 90), (2, 1, 70, 64)])
def test_any_partition_into_blocks_gives_the_same_voxels(
    small: simulate.SimulatedStack, block: tuple[int, ...]
) -> None:
    assert np.array_equal(assemble(small.volume, block), np.asarray(small.volume))
    assert np.array_equal(assemble(small.labels, (1, *block[1:])), np.asarray(small.labels))


def test_a_stack_larger_than_one_block_agrees_with_its_native_blocks() -> None:
    volume = simulate.stack(1, (9, 20, 300), STEP, neurons=1).volume
    whole, seen = np.asarray(volume), np.zeros(volume.shape, int)
    for box in volume.native_blocks():
        seen[box] += 1
        assert np.array_equal(volume.read(box), whole[box])
    assert (seen == 1).all()
    assert len(list(volume.native_blocks())) > 1


def test_the_seed_fixes_every_voxel_in_another_process(small: simulate.SimulatedStack) -> None:
    code = (
        "import hashlib, numpy as np; from neuropack import simulate;"
        f"s = simulate.stack(5, {SHAPE}, {STEP}, neurons=3);"
        "print(hashlib.sha256(np.asarray(s.volume).tobytes() + np.asarray(s.labels).tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    here = hashlib.sha256(np.asarray(small.volume).tobytes() + np.asarray(small.labels).tobytes()).hexdigest()
    assert there == here


def test_seeds_channels_and_tiles_do_not_share_their_noise() -> None:
    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])

    one, other = (np.asarray(simulate.stack(seed, (8, 128, 128), STEP, neurons=0).volume) for seed in (1, 2))
    assert alike(one, other) < 0.3
    assert alike(one[0], one[1]) < 0.3
    tile = one[:, :4, :64, :64]
    for beside in (one[:, 4:, :64, :64], one[:, :4, 64:, :64], one[:, :4, :64, 64:]):
        assert alike(tile, beside) < 0.3


def test_each_tile_of_each_channel_has_its_own_stream_of_random_numbers() -> None:
    from neuropack.simulate.optics import noise_of_tile

    key = np.array([1, 2], np.uint64)
    first = {noise_of_tile(key, channel, tile).integers(2**62) for channel in range(4) for tile in range(4)}
    assert len(first) == 16
    assert noise_of_tile(key, 1, 2).integers(2**62) == noise_of_tile(key, 1, 2).integers(2**62)


def test_each_sample_carries_the_label_of_its_neuron_or_of_a_later_one(small: simulate.SimulatedStack) -> None:
    labels = small.labels[0]
    for number, skeleton in enumerate(small.skeletons, 1):
        at = np.floor(skeleton.xyz[:, ::-1] / STEP).astype(int)
        found = labels[tuple(at.T)]
        assert (found >= number).all()
        assert (found == number).mean() > 0.8


def test_overlaps_are_noted_with_the_label_that_was_replaced() -> None:
    crossing = [_rod((1.0, 16.0, 9.0), (40.0, 16.0, 9.0)), _rod((20.0, 2.0, 9.0), (20.0, 30.0, 9.0))]
    labels, hidden = Scene(crossing, STEP).labels((slice(0, 10), slice(0, 70), slice(0, 90)))
    assert len(hidden) > 0 and set(hidden[:, 3]) == {1}
    assert (labels[tuple(hidden[:, :3].T)] == 2).all()
    part, part_hidden = Scene(crossing, STEP).labels((slice(2, 6), slice(30, 40), slice(30, 60)))
    assert np.array_equal(part, labels[2:6, 30:40, 30:60])
    inside = (hidden[:, :3] >= [2, 30, 30]).all(axis=1) & (hidden[:, :3] < [6, 40, 60]).all(axis=1)
    assert np.array_equal(part_hidden, hidden[inside])


def test_a_neurite_thinner_than_a_voxel_is_not_broken() -> None:
    thin = _rod((2.0, 3.0, 1.1), (40.0, 30.0, 17.0), radius=0.05)
    labels, _ = Scene([thin], STEP).labels((slice(0, 10), slice(0, 70), slice(0, 90)))
    steps = np.linspace(0, 1, 2000)[:, None]
    on_axis = thin.xyz[0] + steps * (thin.xyz[1] - thin.xyz[0])
    at = np.floor(on_axis[:, ::-1] / STEP).astype(int)
    assert (labels[tuple(at.T)] == 1).all()


def test_coverage_falls_from_one_inside_to_zero_outside() -> None:
    ball = Skeleton(np.array([1]), np.array([1]), np.array([[20.0, 16.0, 10.0]]), np.array([5.0]), np.array([-1]))
    scene, box = Scene([ball], (1.0, 1.0, 1.0)), (slice(0, 20), slice(0, 32), slice(0, 40))
    ((_, pieces),) = scene.near(box)
    filled = scene.filled(pieces, box)
    assert filled.min() == 0 and filled.max() == 1
    assert filled.sum() == pytest.approx(4 / 3 * np.pi * 5**3, rel=0.02)


def test_neurons_are_brighter_than_what_is_around_them_in_the_channels_they_express() -> None:
    made = simulate.stack(5, SHAPE, STEP, neurons=3)
    image, labels = np.asarray(made.volume).astype(float), made.labels[0]
    for neuron, colour in enumerate(made.colors):
        for channel, brightness in enumerate(colour):
            inside, outside = image[channel][labels == neuron + 1].mean(), image[channel][labels == 0].mean()
            if brightness > 0.3:
                assert inside > 3 * outside, (neuron, channel)


def test_light_is_lost_with_depth_and_blue_loses_more() -> None:
    optics = simulate.Optics()
    blue, red = (optics.attenuation(range(50), 2.0, nm) for nm in (450.0, 600.0))
    assert (np.diff(blue) < 0).all()
    assert blue[-1] < red[-1] < 1


def test_the_blur_is_longer_along_z_and_keeps_the_light() -> None:
    from neuropack.simulate.optics import blur, halo_of

    sigma = (3.0, 1.0, 1.0)
    halo = halo_of([sigma])
    point = np.zeros([2 * h + 21 for h in halo], np.float32)
    point[tuple(n // 2 for n in point.shape)] = 1
    spread = blur(point, halo, sigma)
    assert spread.shape == (21, 21, 21)
    assert spread.sum() == pytest.approx(1)
    assert spread[13, 10, 10] > spread[10, 13, 10] > 0


def test_the_volume_states_its_channels_and_its_voxel_size(small: simulate.SimulatedStack) -> None:
    volume = small.volume
    assert (volume.axes, volume.shape, volume.dtype) == ("CZYX", (3, *SHAPE), np.uint16)
    assert volume.voxel_size_um == STEP
    assert [(c.name, c.excitation_nm, c.emission_nm) for c in volume.channels] == [
        ("mTagBFP2", 405, 450),
        ("EYFP", 514, 527),
        ("tdTomato", 561, 581),
    ]
    assert small.labels.shape == (1, *SHAPE) and small.labels.native_axes == "ZYX"


def test_given_skeletons_are_rendered_instead_of_grown_ones() -> None:
    rod = _rod((5.0, 10.0, 9.0), (40.0, 10.0, 9.0), radius=2.0)
    made = simulate.stack(0, SHAPE, STEP, skeletons=[rod])
    assert made.skeletons == (rod,)
    assert made.labels[0, 4, 20, 40] == 1


def test_every_neuron_expresses_something() -> None:
    from neuropack.simulate.colours import copy_numbers

    copies = copy_numbers(np.random.default_rng(0), 500, 3, mean=0.3)
    assert (copies.sum(axis=1) > 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "a seed is 0 or more"),
        ({"shape_zyx": (0, 5, 5)}, "needs voxels"),
        ({"voxel_size_um": (float("nan"), 1.0, 1.0)}, "voxel size is positive"),
        ({"neurons": 70000}, "16 bits"),
        ({"fluorophores": ()}, "at least one fluorophore"),
    ],
)
def test_impossible_stacks_are_refused(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"seed": 0, "shape_zyx": (4, 32, 32), "voxel_size_um": STEP, "neurons": 1}
    with pytest.raises(UsageError, match=message):
        simulate.stack(**{**good, **change})  # type: ignore[arg-type]


def _rod(start: tuple[float, ...], end: tuple[float, ...], radius: float = 1.0) -> Skeleton:
    return Skeleton(
        np.array([1, 2]), np.array([2, 2]), np.array([start, end]), np.array([radius, radius]), np.array([-1, 1])
    )
