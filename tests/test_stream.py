"""Boxes larger than memory, decoded piece by piece: every raw byte once, bounded memory, damage told."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from neuropack.axes import Array, Box, box_shape, full_box, relative
from neuropack.errors import InputError
from neuropack.readers import tiff, tiff_file
from neuropack.volume import Volume, from_array

MIB = 2**20
NOISE = np.random.default_rng(5).integers(0, 40, (2, 300, 200)).astype("u2")


def pieces(volume: Volume, box: Box, limit: int) -> Array:
    """The box, put together; its pieces must tile it."""
    out, times = np.zeros(box_shape(box), volume.dtype), np.zeros(box_shape(box), int)
    for part, pixels in volume.stream(box, limit):
        out[relative(part, box)] = pixels
        times[relative(part, box)] += 1
    assert (times == 1).all()
    return out


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """(offset, length) of what is read from TIFF files from now on."""
    spans: list[tuple[int, int]] = []
    read_at = tiff_file.PositionedFile.read_at

    def noting(self: tiff_file.PositionedFile, view: memoryview, offset: int) -> int:
        spans.append((offset, len(view)))
        return read_at(self, view, offset)

    monkeypatch.setattr(tiff_file.PositionedFile, "read_at", noting)
    yield spans


# --- deflate, row by row --------------------------------------------------------------------------------


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "f4"])
@pytest.mark.parametrize("rows", [300, 70])
def test_rows_of_a_deflated_strip(byteorder: str, predictor: bool, dtype: str, rows: int, tmp_path: Path) -> None:
    image = (NOISE * (1 if dtype == "u1" else 700)).astype(dtype)
    kind = (3 if dtype == "f4" else 2) if predictor else None
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, compression="zlib", predictor=kind, rowsperstrip=rows, byteorder=byteorder)
    (volume,) = tiff.open_file(path)
    volume = volume.with_axes("ZYX")
    box = (slice(0, 1), slice(0, 2), slice(33, 291), slice(3, 190))
    np.testing.assert_array_equal(pieces(volume, box, 5000), image[None][box])
    if not (predictor and dtype == "f4"):
        sizes = [pixels.nbytes for _, pixels in volume.stream(box, 5000)]
        assert max(sizes) <= 5000
    np.testing.assert_array_equal(pieces(volume, full_box(volume.shape), 10**9), image[None])


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_of_a_deflated_strip(planar: str, tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 255, (60, 50, 3)).astype("u1")
    stored = image if planar == "contig" else np.moveaxis(image, -1, 0)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, stored, compression="zlib", predictor=True, photometric="rgb", planarconfig=planar, rowsperstrip=60
    )
    (volume,) = tiff.open_file(path)
    expected = np.moveaxis(image, -1, 0)[:, None]
    for box in (full_box(volume.shape), (slice(1, 2), *full_box(volume.shape)[1:])):
        np.testing.assert_array_equal(pieces(volume, box, 700), expected[box])


def test_samples_that_nobody_asked_for_are_left_out(tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 255, (2, 3, 20, 30)).astype("u1")
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", planarconfig="separate")
    volume = tiff.open_file(tmp_path / "a.tif")[0].with_axes("CSYX")
    box = (slice(2, 5), slice(0, 1), slice(0, 20), slice(0, 30))  # the last of one pixel and two of the next
    np.testing.assert_array_equal(pieces(volume, box, 100), image.reshape(6, 1, 20, 30)[box])


def test_every_byte_is_read_once(tmp_path: Path, bytes_read: list[tuple[int, int]]) -> None:
    image = np.random.default_rng(2).integers(0, 2**16, (2, 1000, 700)).astype("u2")
    for options in ({"rowsperstrip": 1000, "compression": "zlib"}, {"rowsperstrip": 50, "compression": "zlib"}, {}):
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, image, metadata={"axes": "ZYX"}, **options)
        (volume,) = tiff.open_file(path)
        with tifffile.TiffFile(path) as file:
            stored = sum(sum(page.databytecounts) for page in file.pages)
        bytes_read.clear()
        np.testing.assert_array_equal(pieces(volume, full_box(volume.shape), 20_000), image[None])
        assert sum(length for _, length in bytes_read) == stored
        assert len({offset for offset, _ in bytes_read}) == len(bytes_read)


@pytest.mark.parametrize("options", [{"compression": "zlib", "predictor": True}, {"rowsperstrip": 100}, {}])
def test_a_huge_strip_takes_little_memory(options: dict[str, Any], tmp_path: Path) -> None:
    """64 MiB in one strip, in pieces of 8 MiB, of which no two are in memory at the same time."""
    path = tmp_path / "a.tif"
    image = np.zeros((4096, 8192), "u2")
    image[::7, 5] = 77
    tifffile.imwrite(path, image, **{"rowsperstrip": 4096, **options})
    (volume,) = tiff.open_file(path)
    assert volume.piece_bytes() <= 4 * MIB
    tracemalloc.start()
    try:
        for part, pixels in volume.stream(full_box(volume.shape), 8 * MIB):
            assert pixels.nbytes <= 8 * MIB
            assert (pixels[0, 0, :14] == image[part[2:]][:14]).all()
            del pixels
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * MIB


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({"compression": "lzw"}, 2 * MIB),
        ({"compression": "zstd", "byteorder": ">"}, 4 * MIB),
        ({"compression": "zlib", "tile": (256, 256)}, 2 * 256 * 256 * 2),
        ({"compression": "jpeg2000"}, 4 * 2 * MIB),
        ({"compression": "zlib"}, 2 * MIB),
    ],
)
def test_what_a_piece_takes_is_told_before(options: dict[str, Any], least: int, tmp_path: Path) -> None:
    options = {"rowsperstrip": 1024, **options}
    byteorder = options.pop("byteorder", "<")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((1024, 1024), "u2"), byteorder=byteorder, **options)
    (volume,) = tiff.open_file(tmp_path / "a.tif")
    assert least <= volume.piece_bytes() < least * 1.1


def test_a_strip_that_was_never_written_comes_in_pieces_too(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    nodata = (42113, "s", 0, "9", True)
    tifffile.imwrite(path, np.ones((80, 10), "u2"), compression="zlib", rowsperstrip=40, extratags=[nodata])
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag in (273, 279):
            file.pages.first.tags[tag].overwrite([0, file.pages.first.tags[tag].value[1]])
    (volume,) = tiff.open_file(path)
    found = pieces(volume, full_box(volume.shape), 100)
    assert (found[0, 0, :40] == 9).all()
    assert (found[0, 0, 40:] == 1).all()


# --- damage ---------------------------------------------------------------------------------------------


def one_strip(path: Path, stream: bytes, rows: int = 300, width: int = 200) -> Volume:
    """A TIFF of one deflated strip with these very bytes."""
    tifffile.imwrite(path, np.zeros((rows, width), "u2"), compression="zlib", rowsperstrip=rows)
    with tifffile.TiffFile(path, mode="r+") as file:
        page = file.pages.first
        page.tags[273].overwrite([path.stat().st_size])
        page.tags[279].overwrite([len(stream)])
    with path.open("ab") as out:
        out.write(stream)
    return tiff.open_file(path)[0]


WHOLE = zlib.compress(np.random.default_rng(6).integers(0, 2**16, (300, 200)).astype("u2").tobytes())


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (WHOLE[:60_000] + b"\xff" * 500 + WHOLE[60_500:], ""),
        (WHOLE[:-1] + bytes([WHOLE[-1] ^ 1]), "checksum"),
        (WHOLE[:-3], "the bytes end before the stream does, after row 300"),
        (WHOLE[:60_000], "the bytes end before the stream does"),
        (b"no stream at all", "unsupported"),
        (zlib.compress(bytes(1000)), "the stream ends, after row 0"),
    ],
)
def test_damage_is_one_error_that_names_the_strip(stream: bytes, says: str, tmp_path: Path) -> None:
    volume = one_strip(tmp_path / "a.tif", stream)
    with pytest.raises(InputError, match="cannot be decoded") as caught:
        pieces(volume, full_box(volume.shape), 4000)
    error = caught.value
    assert (error.file, error.where) == (tmp_path / "a.tif", "page 1, strip 1")
    assert error.expected == "a deflate stream of 300 rows"
    assert says in str(error.found)
    assert error.fix


def test_rows_before_the_damage_are_good(tmp_path: Path) -> None:
    volume = one_strip(tmp_path / "a.tif", WHOLE[:60_000] + b"\xff" * 500 + WHOLE[60_500:])
    box = (slice(0, 1), slice(0, 1), slice(0, 100), slice(0, 200))
    expected = np.frombuffer(zlib.decompress(WHOLE), "u2").reshape(300, 200)[:100]
    np.testing.assert_array_equal(pieces(volume, box, 4000)[0, 0], expected)


def test_a_stream_longer_than_its_strip_is_not_followed(tmp_path: Path) -> None:
    rows = np.arange(300 * 200, dtype="u2").tobytes()
    stream = zlib.compress(rows + bytes(64 * MIB))
    volume = one_strip(tmp_path / "a.tif", stream[:-1] + b"?")  # whoever went on to the checksum would fail
    assert pieces(volume, full_box(volume.shape), 4000).tobytes() == rows


def test_a_file_that_shrinks_while_its_strip_is_inflated(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    rng = np.random.default_rng(7)
    stream = zlib.compress(rng.integers(0, 2**16, (3000, 200)).astype("u2").tobytes())
    volume = one_strip(path, stream, rows=3000)
    found = volume.stream(full_box(volume.shape), 4000)
    next(found)
    with path.open("r+b") as out:
        out.truncate(path.stat().st_size - len(stream) // 2)
    with pytest.raises(InputError) as caught:
        list(found)
    assert str(caught.value.where).startswith("page 1")
    assert "has changed" in caught.value.what


# --- readers that decode whole blocks only --------------------------------------------------------------


def test_an_array_is_one_piece() -> None:
    volume = from_array(NOISE[None], "CZYX")
    box = (slice(0, 1), slice(1, 2), slice(3, 30), slice(0, 200))
    ((part, pixels),) = volume.stream(box, 1)
    assert part == box
    np.testing.assert_array_equal(pixels, NOISE[None][box])
    assert volume.piece_bytes() == 3 * NOISE.nbytes
