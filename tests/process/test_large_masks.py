"""Masks too large to be thinned as they are: thinned in coarser voxels, and said so."""

from __future__ import annotations

import numpy as np
import pytest

from neuropack.labels import LabelVolume
from neuropack.process.large_masks import skeletons_one_by_one
from neuropack.process.skeletonise import skeletons_of_masks

pytest.importorskip("skimage")

SIZE = (1.0, 0.25, 0.25)


def _labels() -> LabelVolume:
    mask = np.zeros((12, 80, 120), np.int64)
    mask[5:7, 30:38, 4:116] = 1
    mask[9, 60:64, 10:30] = 2
    return LabelVolume.of_dense(mask, SIZE)


def test_those_that_fit_are_thinned_as_ever() -> None:
    labels = _labels()
    wanted = skeletons_of_masks(labels).skeletons
    for one in skeletons_one_by_one(labels):
        assert one.coarser == (1, 1, 1)
        np.testing.assert_array_equal(one.skeleton.xyz, wanted[one.label].xyz)


def test_those_that_do_not_fit_are_thinned_in_coarser_voxels() -> None:
    told: list[tuple[int, int]] = []
    first, second = skeletons_one_by_one(_labels(), 3000, progress=lambda _, done, of: told.append((done, of)))
    assert first.coarser == (1, 2, 2)
    assert second.coarser == (1, 1, 1)
    fine = skeletons_of_masks(_labels()).skeletons[1]
    assert first.skeleton.length_um() == pytest.approx(fine.length_um(), rel=0.1)
    assert np.abs(first.skeleton.xyz.mean(axis=0) - fine.xyz.mean(axis=0)).max() < 0.3
    assert first.skeleton.radius.max() <= fine.radius.max() + 1.0
    assert told[-1] == (told[-1][1], told[-1][1])


def test_the_boxes_of_all_masks_are_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, asked = _labels(), []
    boxes = LabelVolume.boxes
    monkeypatch.setattr(LabelVolume, "boxes", lambda self: (asked.append(self), boxes(self))[1])
    assert len(list(skeletons_one_by_one(labels))) == 2
    assert len(asked) == 1


def test_a_mask_of_one_voxel_needs_the_least_box() -> None:
    labels = LabelVolume.of((9, 9, 9), SIZE, [(4, np.array([[3, 4, 5]]))])
    (one,) = skeletons_one_by_one(labels, 64)
    assert len(one.skeleton) == 1
