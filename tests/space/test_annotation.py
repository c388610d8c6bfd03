"""Look-ups, borders and hemispheres, against slow loops and scipy."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import small_atlas

from neuropack.errors import InputError, UsageError
from neuropack.space import annotation as module
from neuropack.space.annotation import Annotation, hemisphere
from neuropack.space.label_files import read_labels

HERE = Path("small")


@pytest.fixture(scope="module")
def small() -> Annotation:
    return Annotation(small_atlas.labels(), HERE)


def slow_lookup(labels: np.ndarray, resolution: float, point: np.ndarray) -> int:
    voxel = [math.floor(value / resolution) for value in point]
    if any(not 0 <= at < length for at, length in zip(voxel, labels.shape, strict=True)):
        return 0
    return int(labels[voxel[0], voxel[1], voxel[2]])


def slow_border(labels: np.ndarray, resolution: float, point: np.ndarray) -> float:
    """By every voxel of another label."""
    other = np.argwhere(labels != slow_lookup(labels, resolution, point)) * resolution
    gaps = np.maximum(np.maximum(other - point, point - other - resolution), 0)
    return float(np.sqrt((gaps**2).sum(1)).min())


@pytest.mark.parametrize("order", ["C", "F", "mirrored"])
def test_lookup_is_that_of_a_slow_loop(order: str) -> None:
    labels = small_atlas.labels()
    stored = labels[:, :, ::-1].copy()[:, :, ::-1] if order == "mirrored" else np.array(labels, order=order)
    points = small_atlas.random_points(3000)
    found = Annotation(stored, HERE).lookup(points)
    assert found.tolist() == [slow_lookup(labels, 200, point) for point in points]
    assert {0, small_atlas.LARGEST} < set(found.tolist())


def test_lookup_at_the_faces(small: Annotation) -> None:
    inside = [(0, 0, 0), (np.nextafter(13200, 0), np.nextafter(8000, 0), np.nextafter(11400, 0))]
    outside = [(13200, 0, 0), (0, 8000, 0), (0, 0, 11400), (-1e-9, 0, 0), (math.nan, 1, 1), (math.inf, 1, 1)]
    assert small.inside(inside).all()
    assert not small.inside(outside).any()
    assert small.lookup(outside).tolist() == [0] * len(outside)
    assert small.lookup(np.empty((0, 3))).shape == (0,)
    assert Annotation(np.full((66, 40, 57), 7), HERE).lookup([*outside, *inside]).tolist() == [0] * 6 + [7] * 2
    # the upper face of a voxel belongs to the next one: floor, not round
    at = np.array([[200 * 33 - 1e-6, 200 * 20 + 1, 200 * 5 + 1], [200 * 33, 200 * 20 + 1, 200 * 5 + 1]])
    assert small.lookup(at).tolist() == [small.labels[32, 20, 5], small_atlas.LARGEST]


def test_more_points_than_are_done_at_once(small: Annotation, monkeypatch: pytest.MonkeyPatch) -> None:
    points = small_atlas.random_points(1000)
    whole = small.lookup(points)
    monkeypatch.setattr(module, "_AT_ONCE", 37)
    assert (small.lookup(points) == whole).all()


@pytest.mark.parametrize("window", [1 << 21, 500])
def test_border_is_that_of_a_slow_loop(small: Annotation, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WINDOW", window)
    points = small_atlas.random_points(300)
    inside = small.inside(points)
    found = small.border_um(points)
    assert np.isnan(found[~inside]).all()
    wanted = [slow_border(small.labels, 200, point) for point in points[inside]]
    assert found[inside] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("near", "at_once"), [(1, 1 << 14), (2, 7), (5, 100)])
def test_border_does_not_depend_on_how_it_is_found(
    near: int, at_once: int, small: Annotation, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = small_atlas.random_points(2000, seed=4)
    wanted = small.border_um(points)
    monkeypatch.setattr(module, "_BALL", module._ball(near))
    monkeypatch.setattr(module, "_NEAR", near)
    monkeypatch.setattr(module, "_NEAR_AT_ONCE", at_once)
    told: list[int] = []
    found = small.border_um(points, lambda name, done, total: told.append(done))
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    assert told == sorted(told)


@pytest.mark.parametrize("share", [0.05, 0.01, 0.003])
def test_border_among_scattered_voxels(share: float) -> None:
    # the nearest one is often not the first that the search meets
    labels = np.where(np.random.default_rng(6).random(small_atlas.SHAPE) < share, 33, 997).astype("u4")
    volume = Annotation(labels, HERE)
    points = small_atlas.random_points(600, seed=7)
    points = points[volume.inside(points)]
    assert volume.border_um(points) == pytest.approx([slow_border(labels, 200, p) for p in points], abs=1e-6)


def test_border_far_away() -> None:
    labels = np.zeros((66, 40, 57), "u4")
    labels[60, 35, 50] = 997
    volume = Annotation(labels, HERE)
    points = np.array([[100.0, 100, 100], [12100, 7100, 10100], [5000, 7900, 300]])
    assert volume.border_um(points) == pytest.approx([slow_border(labels, 200, point) for point in points])
    labels[:] = 997
    assert np.isnan(volume.border_um(points)).all()


def test_border_agrees_with_a_distance_transform() -> None:
    # scipy measures between centres; with each voxel cut into 5, at most half a diagonal of a part from a face
    from scipy import ndimage

    labels = small_atlas.labels()[20:44, 10:30, 0:20]
    whole = np.zeros((66, 40, 57), "u4")
    whole[20:44, 10:30, 0:20] = labels
    fine = whole[18:46, 8:32, 0:22].repeat(5, 0).repeat(5, 1).repeat(5, 2)
    random = np.random.default_rng(3)
    picks = random.integers((50, 50, 0), (90, 70, 80), (60, 3))
    points = (picks + 0.5) * 40 + (18 * 200, 8 * 200, 0)
    volume = Annotation(whole, HERE)
    found = volume.border_um(points)
    for label in np.unique(volume.lookup(points)):
        distance = ndimage.distance_transform_edt(fine == label, sampling=40)
        for pick, ours in zip(picks, found, strict=True):
            if fine[tuple(pick)] == label:
                assert abs(distance[tuple(pick)] - ours) <= 20 * math.sqrt(3) + 1e-6


def test_hemispheres_of_both_sides(small: Annotation) -> None:
    points = np.array([[5000.0, 4000, 1100], [5000, 4000, 11400 - 1100], [0, 0, 5699.999], [0, 0, 5700]])
    assert hemisphere(points) == ["left", "right", "left", "right"]


def test_ids(small: Annotation) -> None:
    assert small.ids == {997, 821, 33, 302, small_atlas.LARGEST}
    assert Annotation(small.labels[:, :, ::-1], HERE).ids == small.ids
    assert small.ids_every(2000) <= small.ids
    corners = np.zeros((66, 40, 57), "u4")
    corners[0, 0, 0], corners[-1, -1, -1] = 7, 8
    assert Annotation(corners, HERE).ids == {7, 8}


def test_what_is_no_volume_or_no_points(small: Annotation) -> None:
    with pytest.raises(InputError, match="no volume of the CCF"):
        Annotation(np.zeros((66, 40, 58), "u4"), HERE)
    with pytest.raises(InputError, match="another order"):
        Annotation(np.zeros((114, 80, 132), "u4"), HERE)
    with pytest.raises(UsageError, match="not points"):
        small.lookup([1.0, 2.0, 3.0])


def test_every_voxel_of_the_real_annotation(data_file: Callable[[str], Path]) -> None:
    import nrrd

    path = data_file("ccf/annotation_100.nrrd")
    theirs, _ = nrrd.read(str(path))
    volume = Annotation(read_labels(path), path)
    assert volume.resolution_um == 100
    centres = (np.indices(theirs.shape).reshape(3, -1).T + 0.5) * 100
    assert (volume.lookup(centres) == theirs.reshape(-1)).all()
    assert volume.ids == set(np.unique(theirs).tolist()) - {0}


def test_borders_of_the_real_annotation(data_file: Callable[[str], Path]) -> None:
    volume = Annotation(read_labels(data_file("ccf/annotation_100.nrrd")), HERE)
    points = small_atlas.random_points(40, seed=5)
    points = points[volume.inside(points)]
    assert volume.border_um(points) == pytest.approx([slow_border(volume.labels, 100, p) for p in points], abs=1e-6)
