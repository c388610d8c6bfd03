"""Label images as lists of voxels and as boxes, whatever the size of their blocks."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from blocked_images import SIZE, blocked

from neuropack.errors import InputError, UsageError
from neuropack.labels import LabelVolume
from neuropack.marks import Credit
from neuropack.process import sparse
from neuropack.process.label_boxes import boxes_of_labels, label_counts, table_of_boxes
from neuropack.process.sparse import sparse_labels
from neuropack.volume import Volume, from_array

LARGEST = 2**63 - 1


def image(seed: int = 0) -> np.ndarray:
    """Noise with ids of all sizes, and blocks of one label."""
    rng = np.random.default_rng(seed)
    ids = np.array([0, 0, 0, 0, 1, 7, 2**40, LARGEST], np.uint64)
    dense = ids[rng.integers(0, len(ids), (9, 21, 17))]
    dense[2:7, 3:15, :] = 7
    dense[4, :, 5:9] = 0
    return dense


def same(found: LabelVolume, dense: np.ndarray) -> None:
    wanted = LabelVolume.of_dense(dense, SIZE)
    assert found.shape == dense.shape
    for name in ("ids", "offsets", "voxels"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


@pytest.mark.parametrize("block", [(1, 21, 17), (4, 8, 8), (9, 21, 17), (3, 1, 5), (64, 64, 64)])
@pytest.mark.parametrize("at_once", [1 << 22, 40, 1])
def test_the_voxels_are_those_of_the_array(
    block: tuple[int, ...], at_once: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sparse, "_AT_ONCE", max(at_once, 4))
    volume = blocked(image(), block)
    same(sparse_labels(volume, tmp_path), image())
    assert (volume.pixels.decoded == 1).all()
    assert list(tmp_path.iterdir()) == []


def test_an_image_in_memory_is_read_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuropack.process.label_runs.pieces.__defaults__", (300,))
    sizes = []
    read = Volume.read
    monkeypatch.setattr(Volume, "read", lambda v, box, out=None: sizes.append(1) or read(v, box, out))
    same(sparse_labels(from_array(image(), "ZYX", voxel_size_um=SIZE)), image())
    assert len(sizes) > 9


def test_nothing_is_labelled() -> None:
    found = sparse_labels(blocked(np.zeros((3, 4, 5), np.uint8), (1, 4, 5)))
    assert (len(found), found.voxels.shape) == (0, (0, 3))
    assert boxes_of_labels(blocked(np.zeros((3, 4, 5), bool), (1, 4, 5))).boxes.shape == (0, 6)


def test_the_voxels_outlive_the_file_and_may_go() -> None:
    voxels = sparse_labels(blocked(image(), (4, 8, 8))).voxels
    gc.collect()
    assert int(voxels.sum()) > 0


@pytest.mark.parametrize(
    ("array", "error", "says"),
    [
        (np.where(image() == LARGEST, np.uint64(2**63), np.uint64(0)), InputError, "too large"),
        (-(image() == 7).astype(np.int8), InputError, "negative"),
        (image().astype(float), InputError, "whole numbers"),
        (np.zeros((2, 3, 4, 5), np.uint8), UsageError, "no single label image"),
    ],
)
def test_what_is_no_label_image_is_refused(array: np.ndarray, error: type[InputError], says: str) -> None:
    with pytest.raises(error, match=says):
        sparse_labels(blocked(array, array.shape, "CZYX"[-array.ndim :]))


def test_the_place_of_a_wrong_label_is_told() -> None:
    array = np.zeros((5, 6, 7), np.int64)
    array[4, 3, 2] = -9
    with pytest.raises(InputError, match="voxel z 4, y 3, x 2") as caught:
        sparse_labels(blocked(array, (2, 2, 2)))
    assert "found: -9" in str(caught.value)


@pytest.mark.parametrize("block", [(1, 21, 17), (4, 8, 8), (9, 21, 17)])
def test_boxes_are_those_of_the_voxels(block: tuple[int, ...]) -> None:
    volume = blocked(image(), block)
    ids, boxes, counts = boxes_of_labels(volume)
    wanted = LabelVolume.of_dense(image(), SIZE)
    np.testing.assert_array_equal(ids, wanted.ids)
    np.testing.assert_array_equal(boxes, wanted.boxes())
    np.testing.assert_array_equal(counts, wanted.counts)
    assert (volume.pixels.decoded == 1).all()
    assert label_counts(volume)[LARGEST] == int((image() == LARGEST).sum())


def test_the_box_of_a_bar_is_as_long_as_the_bar() -> None:
    array = np.zeros((3, 4, 9), np.uint8)
    array[1, 2, 3:8] = 5
    assert boxes_of_labels(blocked(array, (3, 4, 9))).boxes.tolist() == [[1, 2, 3, 2, 3, 8]]


def test_boxes_as_a_table() -> None:
    ids, boxes, _ = boxes_of_labels(blocked(image(), (4, 8, 8)))
    table = table_of_boxes(ids, boxes, Credit("AB", "model"))
    row = table.to_pylist()[-1]
    assert (row["box_id"], row["label"], row["annotator"]) == (f"label-{LARGEST}", LARGEST, "AB")
    assert [row[c] for c in ("z0", "y0", "x0", "z1", "y1", "x1")] == boxes[-1].tolist()


def test_progress_ends_at_all() -> None:
    told: list[tuple[str, int, int]] = []
    sparse_labels(blocked(image(), (4, 8, 8)), progress=lambda *what: told.append(what))
    for stage in ("reading labels", "ordering voxels"):
        last = [what for what in told if what[0] == stage][-1]
        assert last[1] == last[2]
