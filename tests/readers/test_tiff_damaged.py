"""Files that are not what they seem: one clear error, never zeros."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from neuropack.axes import full_box
from neuropack.errors import InputError
from neuropack.readers import open_volumes, tiff

NOISE = np.random.default_rng(3).integers(0, 2**16, (6, 64, 50)).astype("u2")
WAYS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "ImageJ": {"imagej": True},
    "OME": {"ome": True},
    "strips": {"rowsperstrip": 5, "contiguous": False, "metadata": None},
    "deflate": {"compression": "zlib", "rowsperstrip": 16},
    "LZW": {"compression": "lzw"},
    "tiles": {"tile": (16, 16)},
    "zstd tiles": {"tile": (16, 16), "compression": "zstd", "bigtiff": True},
}


def write(path: Path, way: str) -> bytes:
    options = dict(WAYS[way])
    first = {k: options.pop(k) for k in ("imagej", "ome", "bigtiff") if k in options}
    with tifffile.TiffWriter(path, **first) as writer:
        if options.get("metadata", 0) is None:
            for plane in NOISE:
                writer.write(plane, photometric="minisblack", **options)
        else:
            writer.write(NOISE, photometric="minisblack", **options)
    return path.read_bytes()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kept", [0.99, 0.7, 0.3, 0.02])
def test_a_file_cut_short(way: str, kept: float, tmp_path: Path) -> None:
    path = tmp_path / "cut.tif"
    whole = write(path, way)
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(InputError) as caught:
        for volume in tiff.open_file(path):
            volume.pixels.read(full_box(volume.native_shape))
    assert caught.value.file == path
    assert "cut short" in str(caught.value) or "damaged" in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("way", ["deflate", "LZW", "zstd tiles"])
def test_a_damaged_strip_is_named_and_the_others_are_read(way: str, tmp_path: Path) -> None:
    path = tmp_path / "flipped.tif"
    write(path, way)
    with tifffile.TiffFile(path) as file:
        page = file.pages[3]
        offset, count = page.dataoffsets[0], page.databytecounts[0]
        planes = file.asarray()
    with path.open("r+b") as out:
        out.seek(offset)
        out.write(b"\xff" * count)
    (volume,) = tiff.open_file(path)
    whole = [slice(0, n) for n in volume.native_shape]
    np.testing.assert_array_equal(volume.pixels.read((slice(0, 3), *whole[1:])), planes[:3])
    with pytest.raises(InputError) as caught:
        volume.pixels.read((slice(3, 4), *whole[1:]))
    assert caught.value.where in ("page 4, strip 1", "page 4, tile 1")


def test_the_bytes_that_are_missing_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "cut.tif"
    write(path, "tiles")
    with tifffile.TiffFile(path) as file:
        last = file.pages[5].dataoffsets[-1]
    with path.open("r+b") as out:
        out.truncate(last + 100)
    (volume,) = tiff.open_file(path)
    with pytest.raises(InputError, match="pixels are missing") as caught:
        volume.pixels.read(full_box(volume.native_shape))
    assert caught.value.where == "page 6, tile 16"
    assert (caught.value.expected, caught.value.found) == ("512 bytes", "100 bytes")


def test_a_count_that_promises_more_than_the_file_has(tmp_path: Path) -> None:
    path = tmp_path / "long.tif"
    tifffile.imwrite(path, NOISE, bigtiff=True, compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[3].aspage().tags[279].overwrite(2**50, dtype="Q")
    (volume,) = tiff.open_file(path)
    with pytest.raises(InputError) as caught:
        volume.pixels.read(full_box(volume.native_shape))
    assert (caught.value.where, caught.value.expected) == ("page 4, strip 1", f"{2**50} bytes")


def test_a_list_of_pages_that_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "broken.tif"
    write(path, "deflate")
    with tifffile.TiffFile(path) as file:
        at = file.pages[4].offset
    with path.open("r+b") as out:
        out.seek(at)
        out.write(b"\xff\xff")  # tifffile logs "suspicious number of tags" and forgets pages 5 and 6
    with pytest.raises(InputError, match="breaks off after page 4"):
        tiff.open_file(path)


def test_opening_looks_at_the_end_of_the_pixels(tmp_path: Path) -> None:
    for way in ({}, {"rowsperstrip": 5}, {"tile": (16, 16), "compression": "zlib"}):
        tifffile.imwrite(tmp_path / "cut.tif", NOISE[0], **way)
        whole = (tmp_path / "cut.tif").read_bytes()
        (tmp_path / "cut.tif").write_bytes(whole[:-50])
        with pytest.raises(InputError, match="cut short") as caught:
            open_volumes(tmp_path / "cut.tif")
        assert caught.value.found == f"{len(whole) - 50} bytes"


@pytest.mark.parametrize("tag", [273, 279])
def test_a_page_that_lists_too_few_strips(tag: int, tmp_path: Path) -> None:
    path = tmp_path / "few.tif"
    tifffile.imwrite(path, NOISE[0], rowsperstrip=16, compression="zlib", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        listed = file.pages.first.tags[tag]
        listed.overwrite(listed.value[:3])
    with pytest.raises(InputError, match="too few strips") as caught:
        open_volumes(path)
    assert (caught.value.expected, caught.value.found) == ("4", "3")


@pytest.mark.parametrize("options", [{"imagej": True}, {}])
def test_a_virtual_stack_cut_short(options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, NOISE, truncate=True, **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut short"):
        open_volumes(path)


def test_an_uncompressed_strip_that_states_too_few_bytes(tmp_path: Path) -> None:
    path = tmp_path / "short.tif"
    tifffile.imwrite(path, NOISE[0], rowsperstrip=16, metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages.first.tags[279]
        tag.overwrite([1600, 1600, 100, 1600])
    (volume,) = tiff.open_file(path)
    volume.pixels.read((slice(0, 32), slice(0, 50)))
    for columns in (slice(0, 50), slice(3, 9)):
        with pytest.raises(InputError) as caught:
            volume.pixels.read((slice(0, 64), columns))
        assert (caught.value.where, caught.value.found) == ("page 1, strip 3", "100 bytes")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"this is plain text", "is not a TIFF file"),
        (b"II*", "is not a TIFF file"),
        (b"II*\0", "damaged"),
        (b"II*\0\x08\0\0\0", "cut short"),
        (b"II*\0\0\0\0\0", "cut short"),
        (b"II+\0\x08\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f", "cut short"),
        (b"MM\0*\0\0\0\x08\xff\xff" + b"x" * 100, "damaged"),
        (b"II*\0" + b"\x99" * 500, "cut short"),
    ],
)
def test_files_that_are_no_tiff(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.tif"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        tiff.open_file(path)
    assert caught.value.file == path
    if b"text" in content:
        assert "First bytes" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        tiff.open_file(tmp_path / "none.tif")
    with pytest.raises(InputError, match="cannot be read"):
        tiff.open_file(tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_is_an_error_or_an_image(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path / "noise.tif"
    whole = bytearray(write(path, list(WAYS)[seed]))
    for _ in range(10):
        broken = bytearray(whole)
        for at in rng.integers(4, 400, 4):
            broken[at] = int(rng.integers(256))
        path.write_bytes(broken)
        try:
            for volume in tiff.open_file(path):
                if volume.nbytes < 2**24:
                    volume.pixels.read(full_box(volume.native_shape))
        except InputError as error:
            assert error.file == path
