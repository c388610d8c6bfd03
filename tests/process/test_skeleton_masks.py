"""Masks of skeletons: against brute force, and the same whatever the box."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from neuropack.axes import full_box
from neuropack.errors import InputError, UsageError
from neuropack.process.skeleton_masks import labels_of_skeletons, masks_of_skeletons
from neuropack.simulate.stack import stack
from neuropack.skeleton import Skeleton


def chain(xyz: list[list[float]], radius: list[float], parent: list[int] | None = None) -> Skeleton:
    n = len(xyz)
    return Skeleton(
        id=np.arange(1, n + 1),
        type=np.full(n, 2),
        xyz=np.array(xyz, float),
        radius=np.array(radius, float),
        parent=np.array(parent or [-1, *range(1, n)]),
    )


def along(skeleton: Skeleton, steps: int) -> np.ndarray:
    """Places z, y, x and the radius there (n, 4), along every edge and at the roots."""
    nodes = np.column_stack([skeleton.xyz[:, ::-1], skeleton.radius])
    pairs = [*skeleton.edges().tolist(), *([r, r] for r in np.flatnonzero(skeleton.parent < 0))]
    t = np.linspace(0, 1, steps)[:, None]
    return np.concatenate([nodes[a] * (1 - t) + nodes[b] * t for a, b in pairs])


def by_balls(skeleton: Skeleton, shape: tuple[int, ...], size: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Voxels in any of many balls along each edge, and those in none even where the balls are a little larger."""
    grid = np.meshgrid(*[(np.arange(n) + 0.5) * s for n, s in zip(shape, size, strict=True)], indexing="ij")
    inside, close = np.zeros(shape, bool), np.zeros(shape, bool)
    for *zyx, r in along(skeleton, 400):
        distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, zyx, strict=True)))
        inside |= distance <= r
        close |= distance <= r + 0.02
    return inside, ~close


SKELETONS = {
    "cone": chain([[2, 3, 2], [14, 9, 7]], [3.0, 0.5]),
    "ball in a ball": chain([[6, 6, 5], [7, 6, 5]], [4.0, 0.3]),
    "thicker at the far end": chain([[6, 6, 5], [7, 6, 5], [7, 8, 5]], [0.3, 4.0, 0.2]),
    "thin": chain([[0.3, 0.4, 1.1], [15.7, 11.3, 9.2]], [0.01, 0.01]),
    "one node": chain([[8, 6, 5]], [2.5]),
    "fork": chain([[2, 2, 2], [8, 6, 5], [14, 2, 8], [13, 11, 2]], [1.0, 0.8, 0.4, 1.2], [-1, 1, 2, 2]),
    "outside in part": chain([[-4, 6, 5], [30, 6, 5]], [2.0, 2.0]),
}


@pytest.mark.parametrize("name", SKELETONS)
@pytest.mark.parametrize("size", [(1.0, 0.5, 0.5), (0.4, 0.9, 0.7)])
def test_the_voxels_are_those_of_balls_along_the_edges(name: str, size: tuple[float, float, float]) -> None:
    shape = (11, 24, 32)
    inside, outside = by_balls(SKELETONS[name], shape, size)
    found = masks_of_skeletons({3: SKELETONS[name]}, shape, size).read(full_box(shape)) == 3
    assert (found | ~inside).all()
    axis = along(SKELETONS[name], 5000)[:, :3] / size
    for voxel in np.argwhere(found & outside):  # the axis crosses it, if only a corner of it
        assert np.abs(axis - voxel - 0.5).max(axis=1).min() <= 0.5 + 0.01
    at = np.floor(axis).astype(int)
    assert found[tuple(at[((at >= 0) & (at < shape)).all(axis=1)].T)].all()


@pytest.mark.parametrize("seed", [1, 2])
def test_the_centreline_is_never_broken(seed: int) -> None:
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    line = chain((rng.random((6, 3)) * [60, 50, 40]).tolist(), [0.0] * 6)
    mask = masks_of_skeletons({1: line}, (40, 50, 60), (1.0, 1.0, 1.0)).read(full_box((40, 50, 60)))
    assert ndimage.label(mask, np.ones((3, 3, 3)))[1] == 1
    for a, b in pairwise(line.xyz[:, ::-1]):
        at = np.floor(a + (b - a) * np.linspace(0, 1, 2000)[:, None]).astype(int)
        assert mask[tuple(at.T)].all()


def test_any_box_agrees_with_the_whole() -> None:
    made = stack(3, (40, 150, 170), (1.0, 0.5, 0.5), neurons=3)
    neurons = {5 * n + 2: s for n, s in enumerate(made.skeletons)}
    neurons[900] = chain([[-50, -50, -20], [140, 130, 70]], [0.1, 0.1])  # longer than a cell of the index
    masks = masks_of_skeletons(neurons, (40, 150, 170), (1.0, 0.5, 0.5))
    volume = labels_of_skeletons(neurons, (40, 150, 170), (1.0, 0.5, 0.5))
    whole = np.asarray(volume)[0]
    assert (volume.labels, volume.dtype) == (True, np.uint16)
    np.testing.assert_array_equal(whole, masks.read(full_box((40, 150, 170))))
    for box in [(slice(3, 9), slice(60, 131), slice(0, 170)), (slice(39, 40), slice(1, 2), slice(0, 65))]:
        np.testing.assert_array_equal(volume.read((slice(0, 1), *box))[0], whole[box])
        part = masks_of_skeletons(neurons, (40, 150, 170), (1.0, 0.5, 0.5), box)
        np.testing.assert_array_equal(part.read(box), whole[box])
        assert all((part.voxels[:, i] >= s.start).all() for i, s in enumerate(box))
    for block in volume.native_blocks():
        np.testing.assert_array_equal(volume.read(block)[0], whole[block[1:]])


def test_overlaps_are_kept_and_the_lowest_label_is_told() -> None:
    a, b = chain([[2, 5, 5], [9, 5, 5]], [2.0, 2.0]), chain([[5, 2, 5], [5, 9, 5]], [2.0, 2.0])
    masks = masks_of_skeletons({8: a, 4: b}, (10, 10, 10), (1.0, 1.0, 1.0))
    both = set(map(tuple, masks.of_object(8).tolist())) & set(map(tuple, masks.of_object(4).tolist()))
    dense = np.asarray(labels_of_skeletons({8: a, 4: b}, (10, 10, 10), (1.0, 1.0, 1.0)))[0]
    assert len(both) > 20
    assert {dense[v] for v in both} == {4}


def test_simulated_labels_are_met() -> None:
    made = stack(1)
    found = np.asarray(
        labels_of_skeletons({n + 1: s for n, s in enumerate(made.skeletons)}, (32, 192, 192), (2.0, 0.5, 0.5))
    )
    truth = np.asarray(made.labels)
    for label in range(1, 5):
        a, b = found == label, truth == label
        # Round cones reach a little further than the simulator's where a bouton or the soma tapers steeply, and
        # another neuron is told where two overlap.
        assert (a & b).sum() / (a | b).sum() > 0.93
        assert (b & (found == 0)).sum() < 0.005 * b.sum()  # corners that an axis touches


def test_another_skeleton_is_another_image() -> None:
    a = labels_of_skeletons({1: SKELETONS["cone"]}, (9, 9, 9), (1.0, 1.0, 1.0))
    b = labels_of_skeletons({1: SKELETONS["thin"]}, (9, 9, 9), (1.0, 1.0, 1.0))
    assert a.made_by != b.made_by


def test_what_cannot_be_filled_is_refused() -> None:
    lost = chain([[1, np.nan, 2]], [1.0])
    with pytest.raises(InputError, match="no place"):
        masks_of_skeletons({1: lost}, (4, 4, 4), (1.0, 1.0, 1.0))
    with pytest.raises(InputError, match="above 0"):
        masks_of_skeletons({0: SKELETONS["cone"]}, (4, 4, 4), (1.0, 1.0, 1.0))
    mapped = Skeleton(*(getattr(lost, n) for n in ("id", "type", "xyz", "radius", "parent")), frame="AllenCCFv3")
    with pytest.raises(UsageError, match="frame"):
        labels_of_skeletons({1: mapped}, (4, 4, 4), (1.0, 1.0, 1.0))
    unknown = chain([[1, 1, 2], [5, 5, 5]], [np.nan, -1.0])
    masks = masks_of_skeletons({1: unknown}, (9, 9, 9), (1.0, 1.0, 1.0))
    assert masks.voxels.tolist() == [[2, 1, 1], [2, 2, 2], [3, 2, 2], [3, 3, 3], [4, 3, 3], [4, 4, 4], [5, 5, 5]]


def test_a_line_along_faces_is_one_voxel_thick() -> None:
    line = chain([[1, 2, 3], [7, 2, 3], [7, 6, 3]], [0.0] * 3)
    masks = masks_of_skeletons({1: line}, (9, 9, 9), (1.0, 1.0, 1.0))
    wanted = [[3, 2, x] for x in range(1, 8)] + [[3, y, 7] for y in range(3, 7)]
    assert masks.voxels.tolist() == wanted
