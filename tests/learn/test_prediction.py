"""What a network says of an image is the same whatever the blocks, and becomes the neurons that it must."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from scipy import ndimage

from known_network import known_network, known_objects, random_network
from neuropack.axes import Array
from neuropack.errors import UsageError
from neuropack.learn import instances
from neuropack.learn.alignment import alignment_of, together
from neuropack.learn.devices import chosen_device, devices
from neuropack.learn.features import features
from neuropack.learn.inside import fused, inside
from neuropack.learn.instances import Rules, segment_prediction
from neuropack.learn.network import OUTPUTS, REACH, STRIDE
from neuropack.learn.prediction import Prediction, block_of, bytes_of, predict, room_of
from neuropack.learn.scale import binned, bins_of, repeated
from neuropack.learn.weights import Weights
from neuropack.process.noise_units import noise_units
from neuropack.simulate.stack import stack
from neuropack.volume import Volume, from_array

SIZE = (2.0, 0.5, 0.5)
MANY = 1 << 60


def image(shape: tuple[int, int, int], voxel_size_um: tuple[float, float, float] = SIZE) -> Volume:
    return from_array(stack(3, shape, SIZE, neurons=2).volume[:], "CZYX", voxel_size_um=voxel_size_um)


def weights(network: Any) -> Weights:
    data = save(dict(network.state_dict()))
    return Weights(network, {"name": "a test"}, hashlib.sha256(data).hexdigest(), Path("test.safetensors"))


def in_blocks(volume: Volume, network: Any, block: tuple[int, int, int], **how: Any) -> Prediction:
    """A prediction whose network sees blocks of a size."""
    from unittest.mock import patch

    with patch("neuropack.learn.prediction.block_of", return_value=block):
        return predict(volume, weights(network), **how)


@pytest.fixture(scope="module")
def small() -> Volume:
    return image((13, 46, 41))


def mirrored_whole(volume: Volume, network: Any, *turned: int) -> Array:
    """The network on the whole image and its mirror images, by nothing of what is tested.

    Args:
        volume: the image.
        network: of the test.
        turned: axes along which it is shown the other way round.
    """
    ends = [-(-n // s) * s - n for n, s in zip(volume.size_zyx, STRIDE, strict=True)]
    around = [(r + s, r + e + s) for r, s, e in zip(REACH, STRIDE, ends, strict=True)]
    wide = np.flip(np.pad(volume[:], [(0, 0), *around], mode="symmetric"), turned)
    seen = features(wide, noise_units(volume))[(slice(None), *(slice(s, -s) for s in STRIDE))]
    with torch.inference_mode():
        made = torch.sigmoid(network(torch.from_numpy(seen.copy())[None]))[0].numpy()
    return np.flip(made, turned)[
        (slice(None), *(slice(r, r + n) for r, n in zip(REACH, volume.size_zyx, strict=True)))
    ]


def test_probabilities_are_those_of_the_whole_image_whatever_the_blocks(small: Volume) -> None:
    network = random_network()
    wanted = mirrored_whole(small, network)
    assert wanted.std(axis=(1, 2, 3)).min() > 1e-3  # else any block would do
    for block in ((14, 48, 44), (8, 24, 32)):
        made = in_blocks(small, network, block).probabilities
        assert [c.name for c in made.channels] == list(OUTPUTS)
        np.testing.assert_allclose(made[:], wanted, atol=2e-6)
    box = (slice(1, 4), slice(3, 11), slice(5, 22), slice(30, 41))  # as a reader cuts it
    np.testing.assert_allclose(made[box], wanted[box], atol=2e-6)


def test_mirrored_it_is_the_mean_of_what_the_network_says_of_the_mirror_images(small: Volume) -> None:
    network = random_network()
    plain, y, x, both = (mirrored_whole(small, network, *axes) for axes in ((), (2,), (3,), (2, 3)))
    wanted = (plain + y + x + both) / 4
    for name, other in (("same_y", x), ("same_x", y)):  # bonds with the voxel before, which a mirror makes the next
        n = OUTPUTS.index(name)
        wanted[n] = (plain[n] + other[n]) / 2
    assert np.abs(wanted - plain).max(axis=(1, 2, 3)).min() > 1e-3  # else there was nothing to mirror
    for block in ((14, 48, 44), (8, 24, 32)):
        made = in_blocks(small, network, block, mirror=True)
        np.testing.assert_allclose(made.probabilities[:], wanted, atol=2e-6)
    box = (slice(1, 4), slice(3, 11), slice(5, 22), slice(30, 41))
    np.testing.assert_allclose(made.probabilities[box], wanted[box], atol=2e-6)
    assert made.record["mirror"] is True
    assert "mirror" not in in_blocks(small, network, (8, 24, 32)).record


def test_the_fused_network_is_the_network() -> None:
    network, batch = random_network(), torch.rand(1, 6, 4, 8, 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.inference_mode():
        torch.testing.assert_close(fused(network)(batch), network(batch), atol=1e-6, rtol=1e-6)
    assert all((network.state_dict()[name] == value).all() for name, value in before.items())


def test_inside_the_outputs_are_those_of_the_network() -> None:
    network, (z, y, x) = random_network(), REACH
    batch = torch.rand(1, 6, 2 * z + 4, 2 * y + 8, 2 * x + 12)
    with torch.inference_mode():
        wanted = network(batch)[..., z:-z, y:-y, x:-x]
        torch.testing.assert_close(inside(network, batch), wanted, atol=1e-6, rtol=1e-6)


def test_neurons_are_what_the_network_links(small: Volume, tmp_path: Path) -> None:
    inside, wanted = known_objects(small)
    found = []
    for block in ((14, 48, 44), (8, 24, 32)):
        looked = in_blocks(small, known_network(), block)
        made = segment_prediction(looked, small, tmp_path / str(block), Rules(same=0.5, min_voxels=1), workers=2)
        np.testing.assert_array_equal(made.labels[0], wanted)
        found.append(made)
    assert len(found[0].confidence) == wanted.max()
    assert found[0].found.boxes.tolist() == found[1].found.boxes.tolist()
    assert (found[0].labels[0] > 0).sum() == inside.sum() > 100


def test_what_touches_is_one_whatever_the_blocks(small: Volume, tmp_path: Path) -> None:
    inside, linked = known_objects(small)
    wanted, count = ndimage.label(inside, np.ones((3, 3, 3)))
    sizes = np.bincount(wanted.ravel())
    wanted[sizes[wanted] < 4] = 0
    assert 0 < count < linked.max()
    seen = in_blocks(small, known_network(), (14, 48, 44)).probabilities[:][0]
    for block in ((14, 48, 44), (8, 24, 32)):
        looked = in_blocks(small, known_network(), block)
        made = segment_prediction(looked, small, tmp_path / str(block), Rules(min_voxels=4))
        labels = made.labels[0]
        pairs = np.unique(np.stack([labels[wanted > 0], wanted[wanted > 0]]), axis=1)
        assert ((labels > 0) == (wanted > 0)).all()
        assert pairs.shape[1] == len(made.confidence) == len(np.unique(wanted)) - 1
        means = ndimage.mean(seen, labels, np.arange(1, labels.max() + 1))
        np.testing.assert_allclose(made.confidence, means, atol=0.005)


def test_channels_are_brought_onto_each_other_before_the_network_looks() -> None:
    one = image((24, 96, 96))[:].astype(np.float64).sum(axis=0)
    rng = np.random.default_rng(5)
    apart = np.stack([ndimage.shift(one, d, order=1, mode="nearest") for d in ((0, 0, 0), (1, 1, -2), (2, 3, -4))])
    volume = from_array(
        (apart + rng.normal(0, 3, apart.shape)).clip(0).astype(np.uint16), "CZYX", voxel_size_um=SIZE
    )
    lies, note = alignment_of(volume)
    assert lies is not None
    assert note is None
    np.testing.assert_allclose(lies["shift"], [(-1, -1, 2), (0, 0, 0), (1, 2, -2)], atol=0.1)
    together_ = together(volume, lies)
    inner = (slice(None), slice(4, -4), slice(8, -8), slice(8, -8))

    def alike(found: Array) -> float:
        return float(np.corrcoef(found[inner].reshape(3, -1)).min())

    assert alike(volume[:]) < 0.8
    assert alike(together_[:]) > 0.9
    plain, moved = (predict(v, weights(random_network())) for v in (volume, together_))
    assert moved.record["align"]["shift"] == lies["shift"]
    assert "align" not in plain.record  # blocks of the one are not gone on with by the other


def test_channels_that_share_nothing_are_looked_at_where_they_lie() -> None:
    rng = np.random.default_rng(0)
    noise = from_array(rng.normal(100, 5, (2, 24, 64, 64)).astype(np.uint16), "CZYX", voxel_size_um=SIZE)
    lies, note = alignment_of(noise)
    assert lies is None
    assert "share no structure" in str(note)
    assert together(noise, lies) is noise
    one = from_array(noise[:1], "CZYX", voxel_size_um=SIZE)
    assert alignment_of(one) == (None, None)


def test_an_interrupted_run_goes_on_where_it_was(small: Volume, tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    looked = in_blocks(small, known_network(), (14, 48, 16))
    with pytest.raises(KeyboardInterrupt):
        segment_prediction(looked, small, tmp_path, Rules(same=0.5, min_voxels=1), progress=stop)
    told: list[int] = []
    made = segment_prediction(
        looked, small, tmp_path, Rules(same=0.5, min_voxels=1), progress=lambda s, done, of: told.append(done)
    )
    assert told[0] > 0
    np.testing.assert_array_equal(made.labels[0], known_objects(small)[1])


@pytest.mark.parametrize("same", [None, 0.5])
def test_the_output_for_centrelines_has_the_share_that_is_asked_for(
    small: Volume, tmp_path: Path, same: float | None
) -> None:
    network = random_network()
    whole = in_blocks(small, network, (14, 48, 44)).seen[:].astype(np.float64)
    foreground, centreline = whole[0], whole[OUTPUTS.index("centerline")]
    for share, wanted in ((0.0, foreground), (0.3, foreground**0.7 * centreline**0.3), (1.0, centreline)):
        at = float(np.sort(wanted, axis=None)[wanted.size // 2 : wanted.size // 2 + 2].mean())
        rules = Rules(at, share, same, min_voxels=1)
        made = segment_prediction(in_blocks(small, network, (8, 24, 32)), small, tmp_path, rules)
        sure = np.abs(wanted - at) > 1e-6
        np.testing.assert_array_equal((made.labels[0] > 0)[sure], (wanted >= at)[sure])
        assert sure.mean() > 0.99
        assert made.found.labels.made_by.get("centerline", 0.0) == share


def test_blocks_of_other_rules_or_of_another_network_are_not_gone_on_with(small: Volume, tmp_path: Path) -> None:
    def found(network: Any, rules: Rules) -> int:
        made = segment_prediction(in_blocks(small, network, (14, 48, 44)), small, tmp_path, rules)
        return int((made.labels[0] > 0).sum())

    network, blind = known_network(), known_network()
    blind.head.bias.data[:] = -1e3
    most = found(network, Rules(min_voxels=1))
    assert found(network, Rules(threshold=1 - 1e-6, min_voxels=1)) < most
    assert found(network, Rules(min_voxels=1)) == most
    assert found(blind, Rules(min_voxels=1)) == 0


def test_a_ball_is_a_soma_of_its_neuron(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    z, y, x = np.ogrid[:24, :48, :48]
    ball = ((z - 11) * 1.0) ** 2 + ((y - 20) * 0.5) ** 2 + ((x - 24) * 0.5) ** 2 <= 5.0**2
    array = rng.normal(100, 3, (1, 24, 48, 48)) + 400 * ball
    array[0, 20:22, 40:42, 40:42] += 400  # as bright, but too small
    volume = from_array(array.astype(np.uint16), "CZYX", voxel_size_um=(1.0, 0.5, 0.5))
    made = segment_prediction(
        in_blocks(volume, known_network(), (24, 48, 24)), volume, tmp_path, Rules(soma_um=1.5)
    )
    (soma,) = made.somata
    assert soma.xyz == pytest.approx((12.25, 10.25, 11.5), abs=0.1)
    assert soma.radius_um == pytest.approx(5, rel=0.03)
    assert soma.confidence > 0.99
    assert soma.label == made.labels[0, 11, 20, 24] > 0


def test_the_neuron_of_what_reaches_through_a_large_image_is_looked_up_piece_by_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(instances, "_AT_ONCE", 2)
    side = 20_000
    labels = np.broadcast_to(np.arange(side, dtype=np.uint32)[:, None, None] // 9_000, (side,) * 3)
    voxels = np.array([[0, 0, 0], [9_000, side - 1, 5], [9_001, 0, 0], [side - 1] * 3], np.uint32)
    huge = from_array(labels[None], "CZYX", voxel_size_um=SIZE)
    assert instances._neuron_of(huge, voxels) == 1
    assert instances._neuron_of(huge, voxels[::3]) == 2
    assert instances._neuron_of(huge, voxels[1:]) == 1
    assert instances._neuron_of(huge, voxels[:1]) == 0


def test_fine_voxels_are_looked_at_in_bins_and_labels_come_back_as_fine(tmp_path: Path) -> None:
    volume = image((9, 44, 47), (1.0, 0.12, 0.12))
    assert bins_of(volume) == (1, 3, 3)
    looked = in_blocks(volume, known_network(), (10, 16, 16))
    assert looked.factor == (1, 3, 3)
    assert looked.image.shape == (3, 9, 15, 16)
    assert looked.image.voxel_size_um == pytest.approx((1.0, 0.36, 0.36))
    made = segment_prediction(looked, volume, tmp_path, Rules(same=0.5, min_voxels=1))
    _, wanted = known_objects(from_array(looked.image[:], "CZYX", voxel_size_um=looked.image.voxel_size_um))
    assert wanted.any()
    whole = wanted.repeat(3, axis=1).repeat(3, axis=2)[:, :44, :47]
    np.testing.assert_array_equal(made.labels[0], whole)
    np.testing.assert_array_equal(made.labels[0, 2:7, 5:23, 1:46], whole[2:7, 5:23, 1:46])
    assert made.labels.voxel_size_um == volume.voxel_size_um


def test_bins_are_means_and_leave_what_the_network_knows(small: Volume) -> None:
    assert binned(small, (1, 1, 1)) is small
    assert repeated(small, (1, 1, 1), small) is small
    for size, wanted in (((2, 0.5, 0.5), (1, 1, 1)), ((1, 0.2, 0.2), (1, 1, 1)), ((0.1, 0.1, 0.1), (10, 4, 4))):
        assert bins_of(small.with_voxel_size(size)) == wanted
    coarse = binned(replace(small, origin_um=(0.0, 0.0, 0.0)), (2, 1, 3))
    assert coarse.origin_um == (1.0, 0.0, 0.5)
    np.testing.assert_allclose(coarse[:, 0, 0, 0], small[:, :2, 0, :3].mean(axis=(1, 2)), rtol=1e-6)


def test_blocks_fit_into_the_memory_and_lie_on_the_lattice() -> None:
    for shape in ((1, 1, 1), (3, 50, 9000), (64, 512, 512), (20_000, 30_000, 40_000)):
        for room in (1 << 20, 1 << 28, 1 << 33):
            block = block_of(shape, room, MANY, 16)
            assert all(b % s == 0 and b > 0 for b, s in zip(block, STRIDE, strict=True))
            assert bytes_of(block, 16) <= room or all(b <= n for b, n in zip(block, (8, 32, 32), strict=True))
    assert np.prod(block_of((64, 512, 512), 1 << 31, MANY, 16)) > 2 * np.prod(
        block_of((64, 512, 512), 1 << 28, MANY, 16)
    )
    assert np.prod(block_of((64, 512, 512), 1 << 30, MANY, 32)) < np.prod(
        block_of((64, 512, 512), 1 << 30, MANY, 16)
    )


def test_on_a_gpu_the_memory_of_the_machine_is_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 36, 1 << 37))
    big = from_array(np.broadcast_to(np.uint16(0), (3, 2000, 3000, 3000)), "CZYX", voxel_size_um=SIZE)
    blocks = []
    for memory in (1 << 30, 1 << 33, 1 << 45):
        room, most = room_of(torch.device("cuda"), memory, big)
        blocks.append(block_of(big.size_zyx, room, most, 16))
        assert bytes_of(blocks[-1], 16) <= room == 1 << 35
        read = np.prod([b + 2 * r for b, r in zip(blocks[-1], REACH, strict=True)])
        assert read * 3 * (4 + 2) < 0.75 * memory  # its values, and as they are in the file, at the least
    assert np.prod(blocks[0]) < np.prod(blocks[1]) < np.prod(blocks[2])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told(small: Volume) -> None:
    assert chosen_device("auto") == torch.device("cpu")
    for name, what in (
        ("cuda", "no such GPU"),
        ("cuda:7", "no such GPU"),
        ("tpu", "no device"),
        ("mps", "no device"),
    ):
        with pytest.raises(UsageError, match=what):
            predict(small, weights(random_network()), device=name)
    with pytest.raises(UsageError, match="CUDA alone"):
        predict(small, weights(random_network()), precision="bfloat16")


def test_a_gpu_is_chosen_by_its_number_or_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert chosen_device("cpu") == torch.device("cpu")
    assert chosen_device("auto") == chosen_device("cuda") == torch.device("cuda", 0)
    assert chosen_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UsageError, match="no such GPU") as caught:
        chosen_device("cuda:2")
    assert "a number below 2" in str(caught.value)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert chosen_device("auto") == chosen_device("cuda") == torch.device("cuda", 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="cannot share one GPU"), devices("cuda:1"):
        pass
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UsageError, match="more processes than GPUs"), devices("cuda"):
        pass


@pytest.mark.parametrize(
    "rules",
    [
        *(Rules(threshold=0), Rules(same=1.5), Rules(soma=np.nan), Rules(min_voxels=0)),
        *(Rules(centerline=-0.1), Rules(centerline=1.1), Rules(centerline=np.nan)),
    ],
)
def test_rules_that_make_no_sense(small: Volume, tmp_path: Path, rules: Rules) -> None:
    with pytest.raises(UsageError):
        segment_prediction(in_blocks(small, known_network(), (8, 24, 32)), small, tmp_path, rules)


def test_a_constant_image_has_no_neurons(tmp_path: Path) -> None:
    flat = from_array(np.full((2, 6, 12, 12), 7, np.uint8), "CZYX", voxel_size_um=SIZE)
    made = segment_prediction(in_blocks(flat, known_network(), (6, 12, 12)), flat, tmp_path)
    assert not made.labels[0].any()
    assert made.somata == []
