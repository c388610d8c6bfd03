"""A folder of slices: order, tokens in names, and slices that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from neuropack.errors import InputError
from neuropack.readers import tiff_folder
from neuropack.readers.tiff_folder import natural
from neuropack.volume import Volume


def slice_of(number: int, shape: tuple[int, ...] = (16, 18)) -> Any:
    return np.full(shape, number, "u2")


def fill(folder: Path, names: list[str], **options: Any) -> None:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        tifffile.imwrite(folder / name, slice_of(number), **options)


def one(folder: Path) -> Volume:
    assert tiff_folder.sniff(b"", folder)
    (volume,) = tiff_folder.open_file(folder)
    return volume


def test_slices_in_natural_order_are_a_z_stack(tmp_path: Path) -> None:
    names = [f"slice {n}.tif" for n in (1, 2, 9, 10, 100)]
    fill(tmp_path, names, resolution=(2e4, 4e4), resolutionunit="CENTIMETER")
    (tmp_path / "notes.txt").write_text("not a slice", encoding="utf-8")
    (tmp_path / "._slice 1.tif").write_bytes(b"II*\0 litter of an operating system")
    (tmp_path / "sub").mkdir()
    with one(tmp_path) as volume:
        assert (volume.format, volume.axes, volume.shape) == ("TIFF folder", "CZYX", (1, 5, 16, 18))
        assert (volume.path, volume.scene, volume.native_axes) == (tmp_path, None, "ZYX")
        assert volume.voxel_size_um == (None, 0.25, 0.5)
        assert volume[0, :, 3, 4].tolist() == [0, 1, 2, 3, 4]
        assert [p.name for p in volume.pixels.files] == names  # type: ignore[attr-defined]
        assert len(list(volume.pixels.native_blocks())) == 5


@pytest.mark.parametrize(
    ("pattern", "start"),
    [
        ("a_C{c:03}_Z{z:03}.tif", 1),
        ("a_C{c:03}Z{z:03}.tif", 0),
        ("z{z}_t4 ch0{c}.tif", 8),
        ("img-z{z}-c{c}.tiff", 0),
    ],
)
def test_tokens_in_the_names_are_dimensions(pattern: str, start: int, tmp_path: Path) -> None:
    for c in range(2):
        for z in range(start, start + 4):
            tifffile.imwrite(tmp_path / pattern.format(c=c, z=z), slice_of(10 * c + z))
    with one(tmp_path) as volume:
        assert (volume.axes, volume.shape) == ("CZYX", (2, 4, 16, 18))
        assert volume[:, :, 0, 0].tolist() == [[10 * c + z for z in range(start, start + 4)] for c in range(2)]


def test_time_and_rgb(tmp_path: Path) -> None:
    for t in range(3):
        for z in range(2):
            image = np.stack([slice_of(100 * s + 10 * t + z) for s in range(3)], axis=-1)
            tifffile.imwrite(tmp_path / f"x_t{t}_z{z}.tif", image, photometric="rgb")
    with one(tmp_path) as volume:
        assert (volume.axes, volume.shape) == ("TCZYX", (3, 3, 2, 16, 18))
        assert volume[2, 1, 1, 5, 5] == 121
        assert [c.color for c in volume.channels] == ["FF0000", "00FF00", "0000FF"]


def test_channels_without_z_tokens_are_stacks_in_order(tmp_path: Path) -> None:
    fill(tmp_path, ["c1_001.tif", "c1_002.tif", "c1_003.tif", "c2_001.tif", "c2_002.tif", "c2_003.tif"])
    with one(tmp_path) as volume:
        assert volume[:, :, 0, 0].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("names", "message", "named"),
    [
        (["c1_z1.tif", "c1_z2.tif", "c2_z1.tif"], "a slice is missing", "C=2 Z=2"),
        (["c1_1.tif", "c1_2.tif", "c2_1.tif", "c2_2.tif", "c3_1.tif"], "a slice is missing", "C=3"),
        (["z1_a.tif", "z1_b.tif", "z2_a.tif", "z2_b.tif"], "same numbers", "z1_a.tif, z1_b.tif"),
        (["z1.tif", "z2.tif", "overview.tif"], "name of a slice differs", "overview.tif"),
    ],
)
def test_names_that_do_not_fit(names: list[str], message: str, named: str, tmp_path: Path) -> None:
    fill(tmp_path, names)
    with pytest.raises(InputError, match=message) as caught:
        tiff_folder.open_file(tmp_path)
    assert named in str(caught.value)


@pytest.mark.parametrize("odd", ["1.tif", "3.tif"])
@pytest.mark.parametrize("image", [slice_of(0, (16, 19)), slice_of(0).astype("u1"), np.zeros((3, 16, 18), "u2")])
def test_the_odd_slice_is_named(odd: str, image: Any, tmp_path: Path) -> None:
    fill(tmp_path, ["1.tif", "2.tif", "3.tif"])
    tifffile.imwrite(tmp_path / odd, image, photometric="minisblack")
    with pytest.raises(InputError, match="differs from the others") as caught:
        tiff_folder.open_file(tmp_path)
    assert caught.value.file == tmp_path / odd


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"truncate": True}, {"compression": "zlib"}])
def test_stacks_are_no_slices(options: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, np.zeros((5, 16, 18), "u1"), **options)
    with pytest.raises(InputError, match="stacks, not slices"):
        tiff_folder.open_file(tmp_path)


def test_a_damaged_slice_is_named(tmp_path: Path) -> None:
    fill(tmp_path, ["1.tif", "2.tif", "3.tif"])
    (tmp_path / "2.tif").write_bytes((tmp_path / "2.tif").read_bytes()[:40])
    with pytest.raises(InputError) as caught:
        tiff_folder.open_file(tmp_path)
    assert caught.value.file == tmp_path / "2.tif"


def test_other_folders_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text", encoding="utf-8")
    assert not tiff_folder.sniff(b"", tmp_path)
    assert not tiff_folder.sniff(b"text", tmp_path / "a.txt")
    with pytest.raises(InputError, match="holds no TIFF file"):
        tiff_folder.open_file(tmp_path)


def test_a_folder_with_an_ome_set_is_the_set(tmp_path: Path, data_file: Any) -> None:
    folder = data_file("ome-tiff/companion")
    with one(folder) as volume:
        assert (volume.format, volume.shape) == ("OME-TIFF", (3, 5, 24, 18))
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tifffile.imwrite(tmp_path / "stranger.tif", slice_of(0))
    with pytest.raises(InputError, match="do not belong") as caught:
        tiff_folder.open_file(tmp_path)
    assert "stranger.tif" in str(caught.value)


def test_single_plane_ome_files_are_slices(tmp_path: Path) -> None:
    metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    for z in range(3):
        tifffile.imwrite(tmp_path / f"{z}.ome.tif", slice_of(z), metadata=metadata)
    with one(tmp_path) as volume:
        assert (volume.shape, volume.voxel_size_um) == ((1, 3, 16, 18), (None, 0.25, 0.5))
        assert volume[0, :, 0, 0].tolist() == [0, 1, 2]


def test_a_single_file_is_opened_as_itself(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 16, 18), "u1"), imagej=True, metadata={"axes": "ZYX"})
    with one(tmp_path) as volume:
        assert (volume.format, volume.shape) == ("ImageJ TIFF", (1, 5, 16, 18))


def test_natural_order() -> None:
    names = ["a10", "a9", "A1", "b", "a", "10", "9", "a1x", "a01"]
    assert sorted(names, key=natural) == ["9", "10", "A1", "a01", "a1x", "a9", "a10", "a", "b"]
