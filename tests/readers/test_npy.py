"""Arrays of NumPy as images: every layout voxel for voxel, nothing unpickled, no promise believed."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import assert_reads

from neuropack.convert import convert
from neuropack.errors import InputError, NeuropackError, UsageError
from neuropack.readers import open_volume, open_volumes

RNG = np.random.default_rng(4)
SHAPE = (5, 12, 9)


def image(dtype: str = "u2", shape: tuple[int, ...] = SHAPE) -> Any:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return RNG.normal(size=shape).astype(kind)
    return RNG.integers(0, 2 if kind.kind == "b" else 120, shape).astype(kind)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["|b1", "|u1", "<u2", ">u2", ">i4", "<i8", "<u8", "<f2", ">f4", "<f8"])
def test_every_type_and_order_of_memory(dtype: str, order: Any, tmp_path: Path) -> None:
    array = np.asarray(image(dtype), order=order)
    np.save(tmp_path / "a.npy", array)
    with open_volume(tmp_path / "a.npy", axes="ZYX") as volume:
        expected = array.astype("u1") if dtype == "|b1" else array.astype(array.dtype.newbyteorder("="))
        assert_reads(volume, expected[None])
        assert volume.format == "NPY"


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_archives(write: Callable[..., None], order: Any, tmp_path: Path) -> None:
    one, other = np.asarray(image(">u4"), order=order), image("u1", (3, 4))
    write(tmp_path / "a.npz", one=one, other=other, voxel_size=np.ones(3), n=np.float64(3))
    assert [v.scene for v in open_volumes(tmp_path / "a.npz")] == ["one", "other"]
    with open_volume(tmp_path / "a.npz", scene="one", axes="ZYX") as volume:
        assert_reads(volume, one.astype("u4")[None])
    with open_volume(tmp_path / "a.npz", scene="other", axes="XY") as volume:
        assert_reads(volume, other.T[None, None])


def test_rows_longer_than_a_band_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neuropack.readers import npy_pixels

    monkeypatch.setattr(npy_pixels, "_BAND_BYTES", 32)
    monkeypatch.setattr(npy_pixels, "_NARROW", 16)
    array = image("u2", (4, 7, 50))
    for write, name in ((np.save, "a.npy"), (np.savez_compressed, "a.npz")):
        write(tmp_path / name, array)
        with open_volume(tmp_path / name, axes="ZYX") as volume:
            assert_reads(volume, array[None])


def test_what_is_not_stated_stays_missing(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", image())
    with open_volume(tmp_path / "a.npy") as volume:
        assert volume.axis_map.unknown == "IJK"
        assert volume.voxel_size_um == (None, None, None)
        with pytest.raises(UsageError, match="what its axes mean"):
            volume.require_axes()
        with pytest.raises(UsageError, match="voxel size"):
            volume.require_voxel_size()


def test_to_ome_zarr_as_labels_and_back(tmp_path: Path) -> None:
    labels = image("u4") + np.uint32(614454277)
    np.savez_compressed(tmp_path / "a.npz", labels=labels)
    with open_volume(tmp_path / "a.npz", axes="ZYX", voxel_size_um=(2, 1, 1)) as volume:
        convert(volume, [tmp_path / "a.ome.zarr"], labels=True)
    with open_volume(tmp_path / "a.ome.zarr") as back:
        np.testing.assert_array_equal(np.asarray(back)[0], labels)


def test_floats_are_no_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", image("f4"))
    opened = open_volume(tmp_path / "a.npy", axes="ZYX", voxel_size_um=(2, 1, 1))
    with opened as volume, pytest.raises(UsageError, match="label"):
        convert(volume, [tmp_path / "a.ome.zarr"], labels=True)


def test_a_deflated_array_larger_than_the_memory_is_inflated_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuropack.readers import npz_members

    begun = []
    begin = npz_members.InflatedBytes._begin
    monkeypatch.setattr(npz_members.InflatedBytes, "_begin", lambda self: (begun.append(1), begin(self)))
    array = np.tile(image("u1", (1, 64, 64)), (200, 8, 16))
    np.savez_compressed(tmp_path / "a.npz", a=array)
    with open_volume(tmp_path / "a.npz", axes="ZYX", voxel_size_um=(1, 1, 1)) as volume:
        convert(volume, [tmp_path / "a.ome.zarr"], memory=256 << 20, workers=1)
    assert len(begun) == 1  # read in blocks, it would begin again and again
    with open_volume(tmp_path / "a.ome.zarr") as back:
        np.testing.assert_array_equal(np.asarray(back)[0], array)


# --- bad files --------------------------------------------------------------------------------------------


def saved(array: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, **options)
    return out.getvalue()


def with_header(text: str, data: bytes = b"", version: int = 1) -> bytes:
    width = "<H" if version == 1 else "<I"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(width, len(text)) + text.encode() + data


class Trap:
    """What a pickle must never do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("unpickled",)


BAD = {
    "objects": (saved(np.array([[Trap()]], object), allow_pickle=True), "never unpickled"),
    "records": (saved(np.zeros((2, 2), [("a", "u1"), ("b", "f4")])), "no plain numbers"),
    "complex": (saved(np.zeros((2, 2), complex)), "no plain numbers"),
    "text": (saved(np.array([["a"]])), "no plain numbers"),
    "one axis": (saved(np.zeros(4)), "is no image"),
    "no axes": (saved(np.zeros(())), "is no image"),
    "seven axes": (saved(np.zeros((1,) * 7)), "is no image"),
    "empty": (saved(np.zeros((3, 0, 2))), "is no image"),
    "cut short": (saved(np.zeros((3, 4)))[:-1], "cut short"),
    "cut in the header": (saved(np.zeros((3, 4)))[:20], "header is damaged"),
    "two arrays": (saved(np.zeros((3, 4))) * 2, "more bytes than its header"),
    "version": (b"\x93NUMPY\x09\x00" + b" " * 100, "header is damaged"),
    "promises": (
        with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000000)}"),
        "cut short",
    ),
    "negative": (with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 4)}"), "header is damaged"),
    "truth": (with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (True, 4)}"), "header is damaged"),
    "no keys": (with_header("{'descr': '<f8'}"), "header is damaged"),
    "a program": (with_header("__import__('os').abort()"), "header is damaged"),
    "nested": (with_header("(" * 9000), "header is damaged"),
    "long": (with_header(" " * 20000), "header is damaged"),
    "length": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", "header is damaged"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name: str, tmp_path: Path) -> None:
    data, message = BAD[name]
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(InputError, match=message):
        open_volumes(tmp_path / "a.npy")


@pytest.mark.parametrize("name", BAD)
def test_bad_arrays_in_an_archive(name: str, tmp_path: Path) -> None:
    data, message = BAD[name]
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good.npy", saved(image()))
        archive.writestr("bad.npy", data)
    if name in ("one axis", "no axes"):  # a voxel size, a name: no image, and no harm
        assert len(open_volumes(tmp_path / "a.npz")) == 1
        return
    with pytest.raises(InputError, match=message) as caught:
        open_volumes(tmp_path / "a.npz")
    assert caught.value.where == "array 'bad'"


def test_a_header_of_python_2(tmp_path: Path) -> None:
    array = image("u1", (2, 3))
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 3L), }"
    (tmp_path / "a.npy").write_bytes(with_header(text, array.tobytes()))
    with open_volume(tmp_path / "a.npy", axes="YX") as volume:
        np.testing.assert_array_equal(np.asarray(volume)[0, 0], array)


def test_a_cut_file_is_read_as_far_as_it_goes_where_that_is_wanted(tmp_path: Path) -> None:
    array = image("u1", (4, 5))
    (tmp_path / "a.npy").write_bytes(saved(array)[:-5])
    with open_volume(tmp_path / "a.npy", axes="YX", complete=False) as volume:
        np.testing.assert_array_equal(volume[0, 0, :3], array[:3])
        with pytest.raises(InputError, match="cut short"):
            volume[0, 0, 3:]


def archive(path: Path, *, method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    with zipfile.ZipFile(path, "w", method) as made:
        made.writestr("a.npy", saved(np.arange(400, dtype="u2").reshape(20, 20)))
    return bytearray(path.read_bytes())


def test_damage_in_a_stream_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    data = archive(path)
    for at in range(200, 300, 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
        with open_volume(path, axes="YX") as volume, pytest.raises(InputError, match="NPZ file cannot be read"):
            np.asarray(volume)


def test_an_archive_without_its_end(tmp_path: Path) -> None:
    data = archive(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(data[:-30])
    with pytest.raises(InputError, match="NPZ file cannot be read"):
        open_volumes(tmp_path / "a.npz")


def test_an_archive_that_promises_more_than_deflate_can(tmp_path: Path) -> None:
    data = archive(tmp_path / "a.npz")
    central = data.rindex(b"PK\x01\x02")
    data[central + 24 : central + 28] = struct.pack("<I", 0xF0000000)
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(InputError, match="cannot become 4,026,531,840"):
        open_volumes(tmp_path / "a.npz")


def test_other_methods_and_names_that_come_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    archive(path, method=zipfile.ZIP_BZIP2)
    with pytest.raises(InputError, match="packed in a way"):
        open_volumes(path)
    with zipfile.ZipFile(path, "w") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr("a.npy", saved(image()))
        made.writestr("a.npy", saved(image()))
    with pytest.raises(InputError, match="two arrays of one name"):
        open_volumes(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_gives_an_image_or_one_error(tmp_path: Path, data: st.DataObject) -> None:
    good = bytes(archive(tmp_path / "good.npz")) if data.draw(st.booleans()) else saved(np.zeros((3, 4, 5), "u1"))
    made = bytearray(good[: data.draw(st.integers(0, len(good)))] + data.draw(st.binary(max_size=20)))
    for _ in range(data.draw(st.integers(0, 4))):
        if made:
            made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.npy"
    path.write_bytes(made)
    try:
        for volume in open_volumes(path):
            with volume:
                if volume.nbytes < 1 << 20:
                    np.asarray(volume)
    except NeuropackError:
        pass


def test_a_real_file(data_file: Callable[[str], Path]) -> None:
    path = data_file("ccf/track.npy")
    with open_volume(path, axes="YX") as volume:
        np.testing.assert_array_equal(np.asarray(volume)[0, 0], np.load(path))
