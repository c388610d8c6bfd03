"""Label volumes as lists of voxels and as arrays: written, read and drawn without a difference."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import assert_reads

from neuropack.axes import full_box
from neuropack.convert import convert
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.labels import LabelVolume
from neuropack.readers import open_volume
from neuropack.readers.voxel_lists import as_volume, read_voxel_lists
from neuropack.volume import from_array
from neuropack.writers.label_arrays import write_label_array, write_voxel_lists

SHAPE = (4, 6, 5)


def same(a: LabelVolume, b: LabelVolume) -> bool:
    arrays = [(a.ids, b.ids), (a.offsets, b.offsets), (a.voxels, b.voxels)]
    return (a.shape, a.voxel_size_um) == (b.shape, b.voxel_size_um) and all(
        x.dtype == y.dtype and np.array_equal(x, y) for x, y in arrays
    )


voxels = st.lists(st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), max_size=30).map(
    lambda found: np.array(found).reshape(-1, 3)
)
volumes = st.builds(
    lambda objects, size: LabelVolume.of(SHAPE, size, objects.items()),
    st.dictionaries(st.one_of(st.integers(1, 9), st.integers(2**32, 2**63 - 1)), voxels, max_size=5),
    st.tuples(*[st.one_of(st.none(), st.floats(1e-3, 1e3))] * 3),
)


@settings(max_examples=60, deadline=None)
@given(volumes)
def test_lists_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, labels: LabelVolume) -> None:
    path = tmp_path_factory.mktemp("lists") / "a.npz"
    write_voxel_lists(path, labels)
    assert same(read_voxel_lists(path), labels)
    with open_volume(path) as volume:
        assert volume.labels
        assert volume.format == "NPZ voxel lists"
        expected = labels.read(full_box(SHAPE))
        np.testing.assert_array_equal(np.asarray(volume)[0], expected)
        write_label_array(path.with_name("a.npy"), volume)
    found = np.load(path.with_name("a.npy"))
    assert found.dtype == volume.dtype
    np.testing.assert_array_equal(found, expected)


def test_any_box_is_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    dense = rng.integers(0, 4, (7, 12, 9)) * rng.integers(0, 2, (7, 12, 9))
    labels = LabelVolume.of_dense(dense, (2, 1, 1))
    assert_reads(as_volume(labels, tmp_path / "a"), dense[None].astype("u1"))


def test_overlaps_are_kept_and_the_lowest_id_is_drawn(tmp_path: Path) -> None:
    labels = LabelVolume.of(SHAPE, (1, 1, 1), [(7, np.array([[0, 0, 0]])), (3, np.array([[0, 0, 0], [1, 1, 1]]))])
    write_voxel_lists(tmp_path / "a.npz", labels)
    back = read_voxel_lists(tmp_path / "a.npz")
    assert (len(back.of_object(7)), len(back.of_object(3))) == (1, 2)
    assert as_volume(back, tmp_path / "a.npz")[0, 0, 0, 0] == 3


def test_lists_become_ome_zarr(tmp_path: Path) -> None:
    labels = LabelVolume.of_dense(np.arange(120).reshape(SHAPE), (2, 0.5, 0.5))
    write_voxel_lists(tmp_path / "a.npz", labels)
    with open_volume(tmp_path / "a.npz") as volume:
        convert(volume, [tmp_path / "a.ome.zarr"], labels=True)
    with open_volume(tmp_path / "a.ome.zarr") as back:
        assert back.voxel_size_um == (2, 0.5, 0.5)
        np.testing.assert_array_equal(np.asarray(back)[0].ravel(), np.arange(120))
        write_label_array(tmp_path / "back.npy", back)
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy").ravel(), np.arange(120))


def test_time_is_kept_and_values_above_32_bits(tmp_path: Path) -> None:
    array = np.arange(48, dtype="u8").reshape(2, 2, 3, 4) + np.uint64(2**63)
    write_label_array(tmp_path / "a.npy", from_array(array, "TZYX"))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array)
    with pytest.raises(OutputError, match="is there already"):
        write_label_array(tmp_path / "a.npy", from_array(array, "TZYX"))


@pytest.mark.parametrize(
    ("array", "axes"), [(np.zeros((2, 3, 4), "f4"), "ZYX"), (np.zeros((2, 3, 4), "u1"), "CYX")]
)
def test_what_is_no_label_image(array: Any, axes: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no label image"):
        write_label_array(tmp_path / "a.npy", from_array(array, axes))
    assert not list(tmp_path.iterdir())


def arrays() -> dict[str, Any]:
    return {
        "neuropack_voxel_lists": np.array([1]),
        "shape": np.array([2, 3, 4]),
        "voxel_size_um": np.ones(3),
        "ids": np.array([1, 5]),
        "offsets": np.array([0, 1, 3]),
        "voxels": np.array([[0, 0, 0], [0, 0, 1], [1, 2, 3]], "u4"),
    }


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("voxels", np.array([[0, 0, 0], [0, 0, 1], [1, 2, 4]], "u4"), "outside of the image"),
        ("voxels", np.array([[0, 0, 0], [1, 2, 3], [0, 0, 1]], "u4"), "not in order"),
        ("voxels", np.zeros((3, 2), "u4"), "shape is none"),
        ("voxels", np.zeros((3, 3), "i8"), "other types"),
        ("ids", np.array([5, 1]), "above 0, ascending"),
        ("ids", np.array([0, 1]), "above 0, ascending"),
        ("offsets", np.array([0, 1, 4]), "do not cut the voxels"),
        ("offsets", np.array([0, 4, 3]), "do not cut the voxels"),
        ("shape", np.array([2, 3, 0]), "shape is none"),
        ("shape", np.array([2**40, 2**40, 2]), "shape is none"),
        ("ids", np.array([1, 5], object), "never unpickled"),
    ],
)
def test_lists_that_contradict_each_other(name: str, value: Any, why: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for key, array in (arrays() | {name: value}).items():
            out = io.BytesIO()
            np.save(out, array, allow_pickle=True)
            archive.writestr(f"{key}.npy", out.getvalue())
    with pytest.raises(InputError, match=why):
        read_voxel_lists(tmp_path / "a.npz")


def test_good_lists_of_another_writer(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays())
    assert read_voxel_lists(tmp_path / "a.npz").of_object(5).tolist() == [[0, 0, 1], [1, 2, 3]]
    np.savez(tmp_path / "b.npz", ids=np.array([1]))
    with pytest.raises(InputError, match="no file of voxel lists"):
        read_voxel_lists(tmp_path / "b.npz")
