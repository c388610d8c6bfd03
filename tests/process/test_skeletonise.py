"""Skeletons and somata of masks."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import KDTree

from neuropack import thinning
from neuropack.axes import full_box
from neuropack.errors import UsageError
from neuropack.labels import LabelVolume
from neuropack.process.skeleton_masks import masks_of_skeletons
from neuropack.process.skeletonise import skeletons_of_masks
from neuropack.simulate.stack import stack
from neuropack.skeleton import Skeleton
from neuropack.thinning import thinned

CUBE = (1.0, 1.0, 1.0)


def skeleton_of(mask: np.ndarray, size: tuple[float, float, float] = CUBE, smooth: bool = True) -> Skeleton:
    return skeletons_of_masks(LabelVolume.of_dense(mask.astype(np.uint8), size), smooth).skeletons[1]


def parts(skeleton: Skeleton) -> int:
    return int((skeleton.parent < 0).sum())


@pytest.mark.parametrize(
    "sides", [(2, 2, 20), (4, 4, 20), (20, 6, 6), (8, 40, 8), (2, 4, 4), (1, 1, 1), (1, 2, 2), (4, 4, 4), (3, 3, 9)]
)
def test_no_beam_is_lost(sides: tuple[int, int, int]) -> None:
    mask = np.zeros(np.add(sides, 2), bool)
    mask[1:-1, 1:-1, 1:-1] = True
    found = skeleton_of(mask)
    assert parts(found) == 1
    assert mask[tuple(np.floor(found.xyz[:, ::-1]).astype(int).T)].all()
    if max(sides) > 2 * sorted(sides)[1]:
        assert np.ptp(found.xyz, axis=0).max() >= max(sides) - sorted(sides)[1]


def test_scikit_image_still_loses_beams() -> None:
    """Where this fails, the guard is needed no longer."""
    from skimage.morphology import skeletonize

    mask = np.zeros((8, 8, 30), bool)
    mask[2:6, 2:6, 2:-2] = True
    assert not skeletonize(mask, method="lee").any()


@pytest.mark.parametrize("seed", range(6))
def test_every_part_has_one_tree(seed: int) -> None:
    """Blobs of smoothed noise: with holes, bridges, sheets and single voxels."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(24, 40, 40)), 1.0 + seed % 3)
    mask = noise > np.quantile(noise, 0.85)
    wanted, n = ndimage.label(np.pad(mask, 1), np.ones((3, 3, 3)))
    lines = thinned(np.pad(mask, 1), ndimage.distance_transform_edt(np.pad(mask, 1)))
    found, m = ndimage.label(lines, np.ones((3, 3, 3)))
    assert m == n
    assert set(np.unique(wanted[found > 0])) == set(range(1, n + 1))
    skeleton = skeleton_of(mask)
    assert parts(skeleton) == n
    assert len(skeleton.edges()) == len(skeleton) - n


def test_pieces_of_a_line_are_joined_through_the_middle() -> None:
    part = np.zeros((7, 9, 32), bool)
    part[1:6, 1:8, 1:31] = True
    pieces = np.zeros(part.shape, np.int32)
    pieces[3, 4, 3:8], pieces[3, 4, 14:16], pieces[3, 4, 24:28] = 4, 9, 2
    line = thinning._joined(part, pieces, ndimage.distance_transform_edt(part))
    assert np.argwhere(line).tolist() == [[3, 4, x] for x in range(3, 28)]


def test_a_ring_is_cut_where_it_is_thinnest() -> None:
    z, y, x = np.meshgrid(np.arange(9), np.arange(50), np.arange(50), indexing="ij")
    angle = np.arctan2(y - 25, x - 25)
    mask = np.hypot(np.hypot(y - 25, x - 25) - 18, z - 4) < 2.5 - 1.4 * np.cos(angle)
    found = skeleton_of(mask)
    tips = np.setdiff1d(found.id, found.parent)
    assert parts(found) == 1
    assert found.length_um() == pytest.approx(2 * np.pi * 18, rel=0.1)
    assert (np.abs(found.xyz[tips - 1, 1] - 25.5) < 12).all()
    assert (found.xyz[tips - 1, 0] > 25).all()  # the thin side


def test_bumps_make_no_twigs() -> None:
    mask = np.zeros((15, 15, 60), bool)
    mask[4:11, 4:11, 3:57] = True
    mask[11:13, 7, 20] = mask[7, 11:13, 40] = True
    found = skeleton_of(mask)
    assert len(np.setdiff1d(found.id, found.parent)) <= 2
    assert found.radius.max() == pytest.approx(3.5)
    assert np.median(found.radius) == pytest.approx(3.5)


def test_radii_and_places_are_micrometre() -> None:
    size = (2.0, 0.5, 0.25)
    mask = np.zeros((9, 11, 80), bool)
    mask[3:6, 3:8, 5:75] = True
    found = skeleton_of(mask, size, smooth=False)
    middle = np.abs(found.xyz[:, 0] - 10) < 3
    assert np.unique(found.xyz[middle, 1:], axis=0).tolist() == [[5.5 * 0.5, 4.5 * 2.0]]
    assert np.unique(found.radius[middle]).tolist() == [1.25]  # to the face in y, 2.5 voxels away
    np.testing.assert_allclose(found.xyz / size[::-1] % 1, 0.5)
    moved = skeleton_of(mask, size)
    np.testing.assert_array_equal(np.floor(moved.xyz / size[::-1]), np.floor(found.xyz / size[::-1]))


def test_simulated_neurons_come_back() -> None:
    shape, size = (40, 180, 180), (1.0, 0.5, 0.5)
    made = stack(4, shape, size, neurons=3)
    truth = {n + 1: s for n, s in enumerate(made.skeletons)}
    masks = masks_of_skeletons(truth, shape, size)
    found, unmoved = skeletons_of_masks(masks).skeletons, skeletons_of_masks(masks, smooth=False).skeletons
    for label, one in truth.items():
        derived = found[label]
        centres = unmoved[label].xyz
        np.testing.assert_array_equal(np.floor(derived.xyz / size[::-1]), np.floor(centres / size[::-1]))
        assert np.abs(derived.xyz - centres).max() > 0.1
        assert parts(derived) == 1
        assert derived.length_um() == pytest.approx(one.length_um(), rel=0.08)
        away = KDTree(derived.xyz).query(one.xyz)[0]
        assert np.quantile(away, 0.95) < 1.0
        assert KDTree(one.xyz).query(derived.xyz)[0].max() < 4.0
        root = derived.xyz[derived.parent < 0][0]
        assert derived.type[derived.parent < 0].tolist() == [1]
        assert np.linalg.norm(root - one.soma()) < 1.5


def test_the_mask_of_a_derived_skeleton_is_the_mask() -> None:
    shape, size = (40, 150, 150), (1.0, 0.5, 0.5)
    masks = masks_of_skeletons({1: stack(4, shape, size, neurons=1).skeletons[0]}, shape, size)
    back = masks_of_skeletons(skeletons_of_masks(masks).skeletons, shape, size)
    a, b = (m.read(full_box(shape)) > 0 for m in (masks, back))
    assert (a & b).sum() > 0.8 * b.sum()
    assert (a & ndimage.binary_dilation(b, np.ones((3, 3, 3)))).sum() > 0.99 * a.sum()


def test_what_is_too_large_is_told() -> None:
    mask = np.zeros((4, 30, 30), np.uint8)
    mask[1, 2, 3] = 1
    mask[2, 3:28, 5] = 2
    made = skeletons_of_masks(LabelVolume.of_dense(mask, CUBE), largest_box=100)
    assert list(made.skeletons) == [1]
    assert made.left_out == {2: "an object is too large to be looked at whole: 1 x 25 x 1 (z, y, x)"}
    empty = LabelVolume.of((3, 3, 3), CUBE, [(5, np.empty((0, 3)))])
    assert skeletons_of_masks(empty).left_out == {5: "has no voxels"}


def test_the_voxel_size_must_be_known() -> None:
    with pytest.raises(UsageError, match="voxel size"):
        skeletons_of_masks(LabelVolume.of_dense(np.ones((2, 2, 2), int), (None, 0.5, 0.5)))


def test_without_scikit_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.morphology", None)
    with pytest.raises(UsageError, match=r"scikit-image") as caught:
        skeleton_of(np.ones((2, 2, 2), bool))
    assert "pip install neuropack[derive]" in str(caught.value)
