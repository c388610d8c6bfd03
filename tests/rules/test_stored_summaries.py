"""What is stored beside the levels is compared with level 0, whatever its axes, shards and type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from neuropack.axes import Array
from neuropack.convert import convert
from neuropack.rules import ReleaseFiles, summaries
from neuropack.rules.decode import chain
from neuropack.rules.summaries import find_summaries
from neuropack.rules.zarr_array import ZarrArray
from neuropack.volume import from_array

IMAGE = "a.ome.zarr"


def release_of(root: Path, array: Array, axes: str, *, labels: bool = False, flat: bool = False) -> ReleaseFiles:
    source = root.parent / "source.bin"
    source.write_bytes(b"raw")
    size = (None if flat else 2.0, 0.5, 0.5)
    root.mkdir()
    convert(from_array(array, axes, path=source, voxel_size_um=size), [root / IMAGE], labels=labels)
    return ReleaseFiles(root)


CASES = [
    ("CZYX", (2, 66, 1100, 70), "u2"),
    ("TCZYX", (3, 2, 4, 40, 50), "i2"),
    ("CZYX", (1, 1, 40, 50), "f4"),
    ("CZYX", (2, 3, 40, 50), "?"),
]


@pytest.mark.parametrize(("axes", "shape", "dtype"), CASES)
def test_one_voxel_more_is_seen_in_all_three(tmp_path: Path, axes: str, shape: tuple[int, ...], dtype: str) -> None:
    whole = np.random.default_rng(1).normal(-20, 90, shape).astype(dtype)
    if dtype == "f4":
        whole[0, 0, 5] = np.nan
    if dtype == "?":
        whole[1, :2, 3] = whole[1, 2, :, 4] = whole[1, 2, 3, 4:] = False
    release = release_of(tmp_path / "r", whole, axes, flat=shape[-3] == 1)
    image = release.images[0]
    stored, problems = find_summaries(release, image)
    assert ([s.along for s in stored], problems) == (["z", "y", "x"], [])
    assert (release.pixels.summaries, release.pixels.zarr_failures) == ([], [])
    for summary in stored:
        array = zarr.open_array(tmp_path / "r" / summary.array.folder, mode="r+")
        array[-1, -1, -1] = ~array[-1, -1, -1] if dtype == "?" else array[-1, -1, -1] + 1
    found = ReleaseFiles(tmp_path / "r").pixels.summaries
    assert [f.file.split("/")[-5] for f in found] == ["z", "y", "x"]
    assert all(f.found.endswith("cells that differ: 1") for f in found)


def test_later_frames_are_not_in_the_projections(tmp_path: Path) -> None:
    whole = np.ones((2, 1, 3, 8, 8), "u1")
    whole[1] = 9
    release = release_of(tmp_path / "r", whole, "TCZYX")
    assert release.pixels.summaries == []
    assert zarr.open_array(tmp_path / "r" / IMAGE / "projections/z", mode="r")[...].max() == 1


@pytest.mark.parametrize("change", ["one more", "one less", "another order"])
def test_label_values(tmp_path: Path, change: str) -> None:
    whole = np.repeat(np.arange(40, dtype="u4") * 1000, 50).reshape(2, 20, 50)
    release = release_of(tmp_path / "r", whole, "ZYX", labels=True)
    assert (release.pixels.summaries, find_summaries(release, release.images[0])[1]) == ([], [])
    array = zarr.open_array(tmp_path / "r" / IMAGE / "label_values", mode="r")
    values = {"one more": [*array[...], 7], "one less": array[1:], "another order": array[...][::-1]}[change]
    new = np.array(values, "u4")
    zarr.open_group(tmp_path / "r" / IMAGE).create_array("label_values", data=new, chunks=(99,), overwrite=True)
    (found,) = ReleaseFiles(tmp_path / "r").pixels.summaries
    told = {"one more": "40 values; 7 in one", "one less": "38 values; 1000 in one", "another order": "not sorted"}
    assert told[change] in found.found


def test_more_labels_than_are_stored_are_not_collected(tmp_path: Path) -> None:
    whole = np.arange(64 * 64 * 4, dtype="u4").reshape(4, 64, 64)
    release_of(tmp_path / "r", whole, "ZYX", labels=True)
    group = zarr.open_group(tmp_path / "r" / IMAGE)
    group.create_array("label_values", data=np.array([1, 2], "u4"), chunks=(2,), overwrite=True)
    release = ReleaseFiles(tmp_path / "r")
    (summary,), _ = find_summaries(release, release.images[0])
    for z in range(4):
        summary.look("zyx", (slice(z, z + 1), slice(0, 64), slice(0, 64)), whole[z : z + 1])
    assert summary.seen.size == 64 * 64
    assert summary.compare(release) is not None


def test_a_summary_of_any_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = release_of(tmp_path / "r", np.ones((1, 2, 8, 8), "u1"), "CZYX")
    assert len(find_summaries(release, release.images[0])[0]) == 3
    monkeypatch.setattr(summaries, "LIMIT", 16)
    found, (problem,) = find_summaries(release, release.images[0])
    assert [s.along for s in found] == ["y", "x"]
    assert (problem.expected, problem.found) == ("at most 16 bytes", "64, in shards of [1, 8, 8]")


def test_nor_is_one_of_many_small_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release_of(tmp_path / "r", np.arange(64, dtype="u1").reshape(1, 8, 8), "ZYX", labels=True)
    group = zarr.open_group(tmp_path / "r" / IMAGE)
    group.create_array("label_values", data=np.arange(1, 64, dtype="u1"), chunks=(2,), overwrite=True)
    release = ReleaseFiles(tmp_path / "r")
    assert find_summaries(release, release.images[0])[1] == []
    monkeypatch.setattr(summaries, "LIMIT", 16)
    found, (problem,) = find_summaries(release, release.images[0])
    assert (found, problem.found) == ([], "63, in shards of [2]")


def test_boxes_may_begin_inside_a_cell() -> None:
    whole = np.random.default_rng(1).integers(0, 999, (2, 5, 11, 13)).astype("u2")
    array = ZarrArray(
        "x",
        (2, 5, 4),
        whole.dtype,
        (2, 5, 4),
        None,
        (),
        True,
        "c",
        "/",
        chain([{"name": "bytes"}], whole.dtype, 3),
        0,
    )
    summary = summaries.Summary(array, "y", {"z": 1, "y": 2, "x": 4})
    for y in (slice(0, 3), slice(3, 11)):
        for x in (slice(0, 5), slice(5, 6), slice(6, 13)):
            summary.look("czyx", (slice(0, 2), slice(0, 5), y, x), whole[:, :, y, x])
    wanted = np.maximum.reduceat(whole.max(axis=2), [0, 4, 8, 12], axis=2)
    np.testing.assert_array_equal(summary.seen, wanted)


def test_a_record_of_another_shape(tmp_path: Path) -> None:
    release_of(tmp_path / "r", np.ones((1, 2, 8, 8), "u1"), "CZYX")
    file = tmp_path / "r" / IMAGE / "zarr.json"
    file.write_text(file.read_text().replace('"projections": "projections"', '"projections": [1]'))
    release = ReleaseFiles(tmp_path / "r")
    found, (problem,) = find_summaries(release, release.images[0])
    assert (found, problem.found) == ([], "[1]")


def test_nothing_is_compared_where_level_0_is_damaged(tmp_path: Path) -> None:
    release_of(tmp_path / "r", np.ones((1, 2, 40, 40), "u1"), "CZYX")
    shard = tmp_path / "r" / IMAGE / "0/c/0/0/0/0"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    scan = ReleaseFiles(tmp_path / "r").pixels
    assert (len(scan.zarr_failures), scan.summaries) == (1, [])
    shard.unlink()
    scan = ReleaseFiles(tmp_path / "r").pixels
    assert (scan.zarr_failures, scan.summaries) == ([], [])
