"""Decoding of boxes from every layout that TIFF has, against tifffile's whole-image reader."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuropack.axes import box_shape, full_box, relative
from neuropack.readers import tiff, tiff_pixels
from neuropack.readers.tiff_pixels import SegmentCache, TiffPixels
from neuropack.volume import Volume

Array = np.ndarray[Any, np.dtype[Any]]


def stack(shape: tuple[int, ...], dtype: str) -> Array:
    """Values that differ everywhere and compress a little."""
    values = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    return (values * 7 % 251 - (100 if np.dtype(dtype).kind == "i" else 0)).astype(dtype)


# name: shape, dtype, tifffile's options
LAYOUTS: dict[str, tuple[tuple[int, ...], str, dict[str, Any]]] = {
    "contiguous": ((5, 37, 41), "uint16", {}),
    "big-endian": ((5, 37, 41), "uint16", {"byteorder": ">"}),
    "big-endian signed strips": ((3, 37, 41), "int16", {"byteorder": ">", "rowsperstrip": 5, "contiguous": False}),
    "big-endian float": ((2, 20, 30), "float32", {"byteorder": ">", "rowsperstrip": 3}),
    "strips of one row": ((3, 23, 17), "uint8", {"rowsperstrip": 1}),
    "LZW and predictor": ((3, 37, 41), "uint16", {"compression": "lzw", "predictor": True, "rowsperstrip": 8}),
    "big-endian LZW": ((2, 37, 41), "uint16", {"compression": "lzw", "predictor": True, "byteorder": ">"}),
    "deflate, one strip a page": ((3, 37, 41), "uint16", {"compression": "zlib"}),
    "float predictor": ((2, 30, 20), "float32", {"compression": "zlib", "predictor": 3, "rowsperstrip": 7}),
    "zstd tiles": ((2, 70, 90), "uint16", {"compression": "zstd", "tile": (16, 32)}),
    "raw tiles": ((2, 70, 90), "uint8", {"tile": (32, 16)}),
    "big-endian raw tiles": ((2, 70, 90), "uint16", {"tile": (32, 16), "byteorder": ">"}),
    "volumetric tiles": (
        (2, 20, 40, 50), "uint8", {"volumetric": True, "tile": (16, 16, 16), "compression": "zlib"},
    ),
    "packbits": ((2, 30, 20), "uint8", {"compression": "packbits", "rowsperstrip": 9}),
    "JPEG tiles": ((2, 64, 48), "uint8", {"compression": "jpeg", "tile": (32, 32)}),
    "JPEG tiles of RGB": (
        (2, 64, 48, 3), "uint8", {"compression": "jpeg", "tile": (32, 32), "photometric": "rgb"},
    ),
    "RGB": ((4, 31, 29, 3), "uint8", {"photometric": "rgb"}),
    "RGB in planes": ((4, 3, 31, 29), "uint8", {"photometric": "rgb", "planarconfig": "separate"}),
    "RGB in planes, deflate": (
        (2, 3, 31, 29), "uint16",
        {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib", "rowsperstrip": 4},
    ),
    "RGB in planes, tiles": (
        (3, 64, 48), "uint8", {"photometric": "rgb", "planarconfig": "separate", "tile": (16, 16)},
    ),
    "five samples": ((25, 26, 5), "uint16", {"planarconfig": "contig", "extrasamples": []}),
    "one bit": ((3, 19, 24), "bool", {"photometric": "minisblack"}),
    "BigTIFF": ((3, 21, 22), "uint16", {"bigtiff": True}),
    "big-endian BigTIFF": ((3, 21, 22), "int32", {"bigtiff": True, "byteorder": ">", "compression": "zlib"}),
    "no metadata": ((4, 21, 22), "uint16", {"metadata": None}),
    "single plane": ((33, 34), "uint16", {}),
    "complex": ((2, 9, 8), "complex64", {"byteorder": ">"}),
}  # fmt: skip


def write(path: Path, name: str) -> Path:
    shape, dtype, options = LAYOUTS[name]
    options = {"photometric": "minisblack", **options}
    tiff_options = {k: options.pop(k) for k in ("byteorder", "bigtiff") if k in options}
    with tifffile.TiffWriter(path, **tiff_options) as writer:
        writer.write(stack(shape, dtype), **options)
    return path


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Volume, Array]]:
    """An opened file of a layout and all its pixels."""
    folder = tmp_path_factory.mktemp("layouts")
    made: dict[str, tuple[Volume, Array]] = {}

    def get(name: str) -> tuple[Volume, Array]:
        if name not in made:
            path = write(folder / f"{len(made)}.tif", name)
            (volume,) = tiff.open_file(path)
            made[name] = volume, tifffile.imread(path).reshape(volume.native_shape)
        return made[name]

    return get


@pytest.mark.parametrize("name", LAYOUTS)
def test_whole_and_blocks(name: str, layouts: Callable[[str], tuple[Volume, Array]]) -> None:
    volume, expected = layouts(name)
    found = volume.pixels.read(full_box(volume.native_shape))
    assert found.dtype == volume.dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, expected)
    if "JPEG" not in name:
        shape, dtype, _ = LAYOUTS[name]
        np.testing.assert_array_equal(found.reshape(shape), stack(shape, dtype))
    times_read = np.zeros(volume.native_shape, int)
    for box in volume.pixels.native_blocks():
        times_read[box] += 1
        np.testing.assert_array_equal(volume.pixels.read(box), expected[box])
    assert (times_read == 1).all()


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.sampled_from(sorted(LAYOUTS)), data=st.data())
def test_any_box(name: str, data: st.DataObject, layouts: Callable[[str], tuple[Volume, Array]]) -> None:
    volume, expected = layouts(name)
    edges = [sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in volume.native_shape]
    box = tuple(
        slice(min(a, n - 1), max(b, min(a, n - 1) + 1)) for (a, b), n in zip(edges, expected.shape, strict=True)
    )
    found = volume.pixels.read(box)
    assert found.shape == box_shape(box)
    np.testing.assert_array_equal(found, expected[box])
    shape, order = found.shape, data.draw(st.permutations(range(found.ndim)))
    mixed = np.zeros([shape[i] for i in order], found.dtype).transpose(np.argsort(order))
    apart = np.zeros([2 * n for n in shape], found.dtype)[(slice(0, None, 2),) * found.ndim]
    for out in (np.zeros_like(found), mixed, apart):
        assert volume.pixels.read(box, out) is out
        np.testing.assert_array_equal(out, found)
    streamed, times = np.zeros_like(found), np.zeros(shape, int)
    for part, pixels in volume.pixels.stream(box, data.draw(st.sampled_from([1, 300, 3000, 10**6]))):
        assert pixels.shape == box_shape(part)
        streamed[relative(part, box)] = pixels
        times[relative(part, box)] += 1
    assert (times == 1).all()
    np.testing.assert_array_equal(streamed, found)


def test_long_rows_are_not_read_whole_for_some_of_their_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    fill = tiff_pixels.TiffPixels._fill

    def spy(plane: Any, strip: Any, offset: int, rows: Array) -> None:
        sizes.append(rows.nbytes)
        fill(plane, strip, offset, rows)

    monkeypatch.setattr(tiff_pixels.TiffPixels, "_fill", staticmethod(spy))
    monkeypatch.setattr(tiff_pixels, "BLOCK_BYTES", 20_000)  # scratch memory is bounded
    for width, columns, expected in (
        (9000, slice(8000, 8100), [200] * 20),
        (9000, slice(1, 8999), [8998 * 2] * 20),
        (2000, slice(1, 1999), [5 * 2000 * 2] * 4),
    ):
        image = stack((40, width), "uint16")
        tifffile.imwrite(tmp_path / "wide.tif", image, byteorder=">")
        (volume,) = tiff.open_file(tmp_path / "wide.tif")
        sizes.clear()
        box = (slice(0, 1), slice(0, 1), slice(5, 25), columns)
        np.testing.assert_array_equal(volume.read(box)[0, 0], image[5:25, columns])
        assert sizes == expected


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"rowsperstrip": 1}, (1, 262, 2000)),
        ({"rowsperstrip": 100, "compression": "zlib"}, (1, 200, 2000)),  # two strips
        ({"rowsperstrip": 3000, "compression": "zlib"}, (1, 3000, 2000)),
        ({"tile": (256, 256), "compression": "zlib"}, (1, 256, 2000)),
        ({"tile": (512, 512)}, (1, 512, 1024)),
        ({"tile": (1024, 1024)}, (1, 1024, 1024)),
    ],
)
def test_native_blocks_are_some_strips_or_tiles(
    options: dict[str, Any], shape: tuple[int, ...], tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 3000, 2000), "u2"), **options)
    (volume,) = tiff.open_file(tmp_path / "a.tif")
    blocks = list(volume.pixels.native_blocks())
    assert box_shape(blocks[0]) == shape
    assert sum(np.prod(box_shape(block)) for block in blocks) == 2 * 3000 * 2000


def test_one_huge_strip_is_decoded_once_for_many_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = stack((200, 50), "uint16")
    tifffile.imwrite(tmp_path / "one.tif", image, compression="zlib", rowsperstrip=200)
    (volume,) = tiff.open_file(tmp_path / "one.tif")
    decoded: list[int] = []
    decode = tiff_pixels.Plane.decode
    monkeypatch.setattr(
        tiff_pixels.Plane, "decode", lambda self, number: decoded.append(number) or decode(self, number)
    )
    for row in range(0, 200, 20):
        np.testing.assert_array_equal(
            volume.pixels.read((slice(row, row + 20), slice(0, 50))), image[row : row + 20]
        )
    assert decoded == [0]


def test_the_cache_is_bounded_and_decodes_once_for_threads() -> None:
    cache = SegmentCache(limit=100)
    calls: list[int] = []

    def decode(number: int) -> Array:
        calls.append(number)
        return np.full(60, number, np.uint8)

    gate, go = threading.Barrier(8), threading.Event()

    def slowly() -> Array:
        go.wait(0.2)  # every thread has asked by now
        return decode(1)

    def work() -> None:
        gate.wait()
        assert cache.get((0, 1), slowly)[0] == 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1]
    cache.get((0, 2), lambda: decode(2))
    assert list(cache._kept) == [(0, 2)]
    cache.get((0, 1), lambda: decode(1))
    assert calls == [1, 2, 1]


@pytest.mark.parametrize(
    "name", ["contiguous", "zstd tiles", "deflate, one strip a page", "big-endian signed strips"]
)
def test_threads_read_the_same_file(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "threads.tif", name)
    expected = tifffile.imread(path)
    (volume,) = tiff.open_file(path)
    wrong: list[str] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(30):
            box = tuple(slice(a := int(rng.integers(n)), int(rng.integers(a, n)) + 1) for n in expected.shape)
            if not np.array_equal(volume.pixels.read(box), expected[box]):
                wrong.append(str(box))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_sparse_tiles_have_the_no_data_value(tmp_path: Path) -> None:
    def tiles() -> Any:
        for i in range(6):
            yield None if i in (1, 4) else np.full((16, 16), i + 1, np.uint16)

    path = tmp_path / "sparse.tif"
    nodata = (42113, "s", 0, "9", True)
    with tifffile.TiffWriter(path, bigtiff=True, byteorder=">") as writer:
        writer.write(tiles(), shape=(32, 40), dtype="uint16", tile=(16, 16), extratags=[nodata], metadata=None)
    (volume,) = tiff.open_file(path)
    found = volume.pixels.read(full_box(volume.native_shape))
    np.testing.assert_array_equal(found, tifffile.imread(path))
    assert (found[:16, 16:32] == 9).all()
    assert (found[:16, :16] == 1).all()


def test_sparse_strips_have_the_no_data_value(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    nodata = (42113, "s", 0, "9", True)
    image = np.ones((8, 10), "u2")
    tifffile.imwrite(path, image, rowsperstrip=2, extratags=[nodata], byteorder=">", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag in (273, 279):
            values = list(file.pages.first.tags[tag].value)
            values[1] = 0
            file.pages.first.tags[tag].overwrite(values)
    (volume,) = tiff.open_file(path)
    found = volume.pixels.read((slice(1, 8), slice(2, 10)))
    assert (found[1:3] == 9).all()
    assert (found[[0, 3, 4, 5, 6]] == 1).all()


def test_strips_in_any_place_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    image = stack((40, 30), "uint16")
    tifffile.imwrite(path, image, rowsperstrip=5, metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages.first.tags[273]
        tag.overwrite([tag.value[i] for i in (7, 0, 1, 2, 6, 5, 4, 3)])
    expected = np.concatenate([image[i * 5 : i * 5 + 5] for i in (7, 0, 1, 2, 6, 5, 4, 3)])
    (volume,) = tiff.open_file(path)
    for rows in (slice(0, 40), slice(3, 22), slice(7, 8)):
        np.testing.assert_array_equal(volume.pixels.read((rows, slice(0, 30))), expected[rows])
        np.testing.assert_array_equal(volume.pixels.read((rows, slice(4, 9))), expected[rows, 4:9])


def test_a_predictor_without_compression(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((8, 10), "u2"), extratags=[(65000, "H", 1, 2, True)], metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:  # tifffile does not write such a tag itself
        file.filehandle.seek(file.pages.first.tags[65000].offset)
        file.filehandle.write(struct.pack("<H", 317))
    (volume,) = tiff.open_file(path)
    np.testing.assert_array_equal(np.asarray(volume)[0, 0], np.tile(np.arange(1, 11), (8, 1)))


def test_closing_and_letting_go(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack((5, 8, 8), "uint8"), compression="zlib")
    (volume,) = tiff.open_file(tmp_path / "a.tif")
    pixels = volume.pixels
    assert isinstance(pixels, TiffPixels)
    raw = pixels.shared.get(volume.path).raw
    volume.close()
    assert raw._fd is None
    with pytest.raises(ValueError, match="closed"):
        volume.pixels.read(full_box(volume.native_shape))
    (volume,) = tiff.open_file(tmp_path / "a.tif")
    assert isinstance(volume.pixels, TiffPixels)
    raw = volume.pixels.shared.get(volume.path).raw
    del volume, pixels  # and no garbage collector has run: tifffile's objects refer to each other
    assert raw._fd is None
