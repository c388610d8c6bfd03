"""Patches: the same for all who ask for the same, near neurons, turned and lit as another experiment would be."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuropack.axes import box_shape
from neuropack.errors import InputError, UsageError
from neuropack.learn.augment import Augmentation, coarser, other_light, turned
from neuropack.learn.patches import Patch, Patches
from neuropack.learn.targets import Truth, of_truth

SIZE = (8, 32, 32)


def equal(one: Patch, other: Patch) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def test_a_patch_hangs_on_seed_epoch_and_index_alone(tiny_release: Path) -> None:
    patches = Patches([tiny_release], "train", size=SIZE, count=6, seed=3)
    first = [patches[i] for i in range(6)]
    again = pickle.loads(pickle.dumps(patches))  # noqa: S301 - what was made in the line itself
    assert all(equal(first[i], again[i]) for i in (5, 2, 0))
    assert not equal(first[0], first[1])
    patches.set_epoch(1)
    assert not equal(first[0], patches[0])
    assert equal(patches.patch(0, 4), first[4])
    assert not equal(Patches([tiny_release], "train", size=SIZE, count=6, seed=4)[0], first[0])
    assert {k: (v.shape, v.dtype.name) for k, v in first[0].items()} == {
        "features": ((6, *SIZE), "float32"),
        "target": ((6, *SIZE), "float32"),
        "weight": ((6, *SIZE), "float32"),
        "line": (SIZE, "uint8"),
    }
    assert all(array.flags.c_contiguous for array in first[0].values())


def test_without_augmentation_each_epoch_is_the_same(tiny_release: Path) -> None:
    patches = Patches([tiny_release], "validation", size=SIZE, count=4, augment=False)
    before = list(patches)
    patches.set_epoch(9)
    assert len(before) == 4
    assert all(equal(a, b) for a, b in zip(before, patches, strict=True))


def test_batches_hold_the_patches_in_order(tiny_release: Path) -> None:
    patches = Patches([tiny_release], "train", size=SIZE, count=5)
    batches = list(patches.batches(2))
    assert [len(b["line"]) for b in batches] == [2, 2, 1]
    np.testing.assert_array_equal(batches[1]["features"][1], patches[3]["features"])
    for one, other in zip(batches, patches.batches(2, threads=2), strict=True):
        assert equal(one, other)


def test_threads_stop_when_nobody_asks_any_more(tiny_release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patches = Patches([tiny_release], "train", size=SIZE, count=50)
    drawn = []
    draw = patches.patch
    monkeypatch.setattr(patches, "patch", lambda epoch, i: drawn.append(i) or draw(epoch, i))  # type: ignore[func-returns-value]
    batches = patches.batches(1, threads=2)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert len(drawn) <= 5


def test_patches_lie_near_neurons_as_often_as_is_said(tiny_release: Path) -> None:
    near, anywhere = (
        Patches([tiny_release], None, size=(4, 16, 16), count=60, augment=False, near=part) for part in (1.0, 0.0)
    )
    with_neuron = [sum(bool(p["target"][0].any()) for p in patches) for patches in (near, anywhere)]
    assert with_neuron[0] == 60
    assert with_neuron[1] < 50


def test_a_loader_with_workers_gives_the_same(tiny_release: Path) -> None:
    torch_data = pytest.importorskip("neuropack.learn.torch_data")
    from torch.utils.data import DataLoader

    patches = Patches([tiny_release], "train", size=SIZE, count=4)
    dataset = torch_data.PatchDataset(patches)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        loader = DataLoader(dataset, 2, num_workers=2, multiprocessing_context="fork", persistent_workers=True)
        for epoch in (0, 1):
            dataset.set_epoch(epoch)
            batches = list(loader)
            for i in range(4):
                for name, array in patches.patch(epoch, i).items():
                    got = batches[i // 2][name][i % 2].float().numpy()
                    np.testing.assert_allclose(got, array, atol=0 if name != "target" else 5e-4)
    with pytest.raises(IndexError):
        dataset[4]


def test_patches_that_cannot_be_drawn(tiny_release: Path) -> None:
    with pytest.raises(UsageError, match="smaller than a patch") as caught:
        Patches([tiny_release], "train", size=(24, 64, 64))
    assert (caught.value.expected, caught.value.found) == (
        "patches of at most 16 x 96 x 96 voxels (z, y, x)",
        "24 x 64 x 64",
    )
    for wrong in ({"count": 0}, {"seed": -1}, {"near": 1.5}, {"size": (0, 8, 8)}):
        with pytest.raises(UsageError, match="cannot be drawn"):
            Patches([tiny_release], "train", **{"size": SIZE, **wrong})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="cannot be drawn"):
        Patches([], "train")
    with pytest.raises(IndexError):
        Patches([tiny_release], "train", size=SIZE, count=2)[2]
    with pytest.raises(InputError, match="not a release"):
        Patches([tiny_release / "none"], "train")


def some_truth(shape: tuple[int, int, int], seed: int = 0) -> Truth:
    rng = np.random.default_rng(seed)
    line = rng.integers(0, 2, shape).astype(np.uint8)
    return Truth(rng.integers(0, 3, shape), rng.random(shape, np.float32), line.copy(), line, 1 - line)


def test_turns_keep_image_and_truth_together() -> None:
    known = some_truth((4, 6, 6))
    values = np.stack([known.labels, known.line]).astype(np.float32)
    seen = set()
    for seed in range(60):
        moved, told = turned(values, known, np.random.default_rng(seed), square=True)
        np.testing.assert_array_equal(moved[0], told.labels)
        np.testing.assert_array_equal(moved[1], told.line)
        np.testing.assert_array_equal(told.soma, told.line)
        np.testing.assert_array_equal(told.traced, 1 - told.line)
        seen.add(moved.tobytes())
        np.testing.assert_array_equal(np.sort(told.centerline, axis=None), np.sort(known.centerline, axis=None))
    assert len(seen) == 16  # z up or down, and eight in the plane


def test_voxels_that_are_not_square_are_not_turned_by_a_quarter() -> None:
    known = some_truth((2, 4, 4))
    made = {
        turned(known.labels[None].astype(np.float32), known, np.random.default_rng(s), square=False)[0].tobytes()
        for s in range(60)
    }
    assert len(made) == 8


def test_same_is_worked_out_after_the_turn() -> None:
    known = some_truth((3, 5, 5))
    flipped = replace(known, labels=np.ascontiguousarray(known.labels[:, :, ::-1]))
    assert not np.array_equal(of_truth(flipped).target[5], of_truth(known).target[5][:, :, ::-1])
    x = of_truth(flipped)
    labels = flipped.labels
    np.testing.assert_array_equal(
        x.target[5][:, :, 1:], (labels[:, :, 1:] == labels[:, :, :-1]) & (labels[:, :, 1:] > 0)
    )


def test_coarser_leaves_out_every_second_plane() -> None:
    known = some_truth((6, 4, 4))
    values, told = coarser(known.labels[None].astype(np.float32), known)
    np.testing.assert_array_equal(values[0], known.labels[[0, 2, 4]])
    for name in ("labels", "centerline", "soma", "line", "traced"):
        np.testing.assert_array_equal(getattr(told, name), getattr(known, name)[[0, 2, 4]])


def test_another_light_leaves_the_noise_as_it_is_and_each_neuron_to_be_seen() -> None:
    how = Augmentation(channels=1, dim=1, blur=1, shade=0)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        channels = int(rng.integers(1, 5))
        values = rng.standard_normal((channels, 16, 64, 64), np.float32)
        values[seed % channels, 8, 30:34, 30:34] += 40
        made = other_light(values, rng, how)
        dark = made[:, :6]
        np.testing.assert_allclose(dark.std(axis=(1, 2, 3)), 1, atol=0.04)
        np.testing.assert_allclose(dark.mean(axis=(1, 2, 3)), 0, atol=0.03)
        assert made[:, 8, 31:33, 31:33].mean(axis=(1, 2)).max() > 40 * 0.3 * 0.35


def test_augmentation_that_makes_no_sense() -> None:
    with pytest.raises(UsageError, match="cannot be augmented") as caught:
        Augmentation(dim=1.5)
    assert (caught.value.where, caught.value.expected) == ("dim", "0 to 1")
    with pytest.raises(UsageError, match="cannot be augmented"):
        Augmentation(haze=float("nan"))


def test_shade_is_slow_and_bounded() -> None:
    how = Augmentation(channels=0, dim=0, blur=0, shade=1, deepest_shade=0.5, haze=2.0)
    made = other_light(np.full((2, 8, 32, 32), 10, np.float32), np.random.default_rng(1), how)
    assert 5 <= made.min() < made.max() <= 12
    assert max(np.abs(np.diff(made, axis=a)).max() for a in (2, 3)) < 1


def test_coarse_patches_are_drawn_where_there_is_room(tiny_release: Path) -> None:
    how = Augmentation(channels=0, dim=0, blur=0, shade=0, coarse=1)
    flat = Patches([tiny_release], "train", size=(8, 32, 32), count=8, augment=how)
    assert not any(flat._place(np.random.default_rng(i))[3] for i in range(8))  # planes are 4 voxels apart already
    stack = flat.stacks[0]
    flat.stacks = [replace(stack, image=stack.image.with_voxel_size((1.0, 0.5, 0.5)))]
    boxes = [flat._place(np.random.default_rng(i)) for i in range(8)]
    assert all(coarse and box_shape(box) == (16, 32, 32) for _, _, box, coarse in boxes)
    assert flat[0]["features"].shape == (6, 8, 32, 32)
