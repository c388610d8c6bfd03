"""Sources that shrink, are replaced, go away, fail or are damaged: one error that says all, never zeros."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from nd2_file import channel, write_nd2, z_loop
from oib_file import oif_files, write_oib, write_oif

from neuropack.axes import Array
from neuropack.convert import convert
from neuropack.errors import InputError, UnreadableError
from neuropack.readers import open_volume
from neuropack.readers.czi_segments import _pixel_span
from neuropack.volume import Volume, from_array
from neuropack.writers.czi import write_czi

IMAGE = np.random.default_rng(8).integers(0, 250, (1, 6, 200, 300)).astype("u2")


def ome_tiff(folder: Path, image: Array, **options: object) -> Path:
    path = folder / "a.ome.tif"
    tifffile.imwrite(path, image[0], ome=True, metadata={"axes": "ZYX"}, **options)
    return path


def nd2(folder: Path, image: Array, *, compress: bool = False) -> Path:
    frames = np.moveaxis(image, 0, -1)
    return write_nd2(folder / "a.nd2", frames, [z_loop(len(frames), 1.0)], [channel("A")], compress=compress)


def czi(folder: Path, image: Array) -> Path:
    write_czi(folder / "a.czi", from_array(image, "CZYX", voxel_size_um=(1, 1, 1)), overwrite=True)
    return folder / "a.czi"


def oib(folder: Path, image: Array) -> Path:
    return write_oib(folder / "a.oib", oif_files(image[0], "XYZ"))


def oif(folder: Path, image: Array) -> Path:
    shutil.rmtree(folder / "a.oif.files", ignore_errors=True)
    return write_oif(folder, oif_files(image[0], "XYZ"))


def ours(folder: Path, image: Array, name: str) -> Path:
    source = folder / "source"
    source.write_bytes(image.tobytes()[:1000])
    volume = from_array(image, "CZYX", voxel_size_um=(1, 1, 1), acquired="2026-01-02T03:04:05Z", path=source)
    convert(volume, [folder / name], overwrite=True)
    return folder / name


FORMATS: dict[str, Callable[[Path, Array], Path]] = {
    "TIFF": ome_tiff,
    "deflated TIFF": lambda folder, image: ome_tiff(folder, image, compression="zlib"),
    "ND2": nd2,
    "compressed ND2": lambda folder, image: nd2(folder, image, compress=True),
    "CZI": czi,
    "OIB": oib,
    "OIF": oif,
    "NWB": lambda folder, image: ours(folder, image, "a.nwb"),
    "OME-Zarr": lambda folder, image: ours(folder, image, "a.ome.zarr"),
}
of_any_format = pytest.mark.parametrize("kind", FORMATS)
of_one_file = pytest.mark.parametrize("kind", [k for k in FORMATS if k not in {"OIF", "OME-Zarr"}])


def pixel_file(path: Path) -> Path:
    """The file that holds the last pixels of an image."""
    if path.name.endswith(".oif"):
        return sorted(path.with_name("a.oif.files").glob("s_*.tif"))[-1]
    return max((p for p in path.rglob("0/c/**/*") if p.is_file()), default=path)


def fails(volume: Volume, error: type[InputError] = InputError) -> InputError:
    """Reading the image raises one error that tells all; nothing is put into an array as if it were pixels."""
    with pytest.raises(error) as caught:
        volume.read(tuple(slice(0, n) for n in volume.shape))
    told = caught.value
    assert told.file
    assert told.expected
    assert told.found
    assert told.fix
    assert "Traceback" not in str(told)
    return told


@of_any_format
def test_nothing_is_wrong_with_these_files(kind: str, tmp_path: Path) -> None:
    with open_volume(FORMATS[kind](tmp_path, IMAGE)) as volume:
        np.testing.assert_array_equal(volume[...], IMAGE)


@of_one_file
@pytest.mark.parametrize("read_before", [False, True])
def test_a_file_that_shrinks(kind: str, read_before: bool, tmp_path: Path) -> None:
    path = FORMATS[kind](tmp_path, IMAGE)
    with open_volume(path) as volume:
        if read_before:
            volume[0, 0, 0]
        os.truncate(path, path.stat().st_size * 2 // 3)
        told = fails(volume)
        assert (told.file, told.what) == (path, "has changed since it was opened")
        assert told.where


def test_a_shard_and_a_plane_that_shrink(tmp_path: Path) -> None:
    for kind in ("OME-Zarr", "OIF"):
        path = FORMATS[kind](tmp_path, IMAGE)
        with open_volume(path) as volume:
            os.truncate(pixel_file(path), 5000)
            assert fails(volume).where


@of_one_file
def test_a_file_that_is_replaced(kind: str, tmp_path: Path) -> None:
    path = FORMATS[kind](tmp_path, IMAGE)
    (tmp_path / "other").mkdir()
    other = FORMATS[kind](tmp_path / "other", IMAGE + np.uint16(1))
    with open_volume(path) as volume:
        volume[0, 0, 0]
        other.replace(path)
        assert fails(volume).what == "has changed since it was opened"


@of_any_format
def test_a_file_that_goes_away(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    path = FORMATS[kind](folder, IMAGE)
    with open_volume(path) as volume:
        volume[0, 0, 0]
        folder.rename(tmp_path / "lost")
        told = fails(volume, UnreadableError)
        assert "No such file or directory" in told.what
        (tmp_path / "lost").rename(folder)  # and is there again
        np.testing.assert_array_equal(volume[...], IMAGE)


on_linux = pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that fails at will")


@on_linux
@pytest.mark.parametrize("kind", [k for k in FORMATS if k not in {"OIF", "OME-Zarr"}])
def test_a_disk_that_fails(kind: str, tmp_path: Path) -> None:
    """Reading /proc/self/mem at an address without memory is a real EIO, from the kernel."""
    path = FORMATS[kind](tmp_path, IMAGE)
    with open_volume(path) as volume:
        volume[0, 0, 0]
        with broken(path):
            told = fails(volume, InputError if kind == "CZI" else UnreadableError)
        if kind != "CZI":  # Zeiss's library does not say why it cannot read
            assert told.what == "cannot be read: Input/output error"
        assert told.where
        np.testing.assert_array_equal(volume[...], IMAGE)


@on_linux
def test_a_disk_that_fails_where_a_page_is_described(tmp_path: Path) -> None:
    path = FORMATS["deflated TIFF"](tmp_path, IMAGE)
    with open_volume(path) as volume, broken(path), pytest.raises(UnreadableError) as caught:
        volume[0, 3]
    assert (caught.value.what, caught.value.where) == ("cannot be read: Input/output error", "page 4")


@contextmanager
def broken(path: Path) -> Iterator[None]:
    """Every descriptor of a file fails."""
    mine = [fd for fd in (int(link.name) for link in Path("/proc/self/fd").iterdir()) if points_to(fd, path)]
    assert mine, "the reader keeps the file open"
    kept, failing = [os.dup(fd) for fd in mine], os.open("/proc/self/mem", os.O_RDONLY)
    try:
        for fd in mine:
            os.dup2(failing, fd)
        yield
    finally:
        for fd, old in zip(mine, kept, strict=True):
            os.dup2(old, fd)
            os.close(old)
        os.close(failing)


def points_to(fd: int, path: Path) -> bool:
    try:
        return Path(f"/proc/self/fd/{fd}").readlink() == path
    except OSError:
        return False


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="this system reads otherwise")
@pytest.mark.parametrize("kind", ["TIFF", "deflated TIFF", "ND2", "compressed ND2"])
def test_a_handle_of_a_share_that_is_stale(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_volume(FORMATS[kind](tmp_path, IMAGE)) as volume:
        volume[0, 0, 0]

        def stale(*_: object) -> int:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

        monkeypatch.setattr(os, "preadv", stale)
        assert fails(volume, UnreadableError).found == "ESTALE while reading"


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("deflated TIFF", "page 6, strip 1"),
        ("compressed ND2", "frame 5 (Z=5)"),
        ("CZI", "plane T=0 C=0 Z=5"),
        ("NWB", "/data"),
        ("OME-Zarr", "0:1 0:6 0:200 0:300"),
    ],
)
def test_flipped_bytes_in_one_block(kind: str, place: str, tmp_path: Path) -> None:
    path = FORMATS[kind](tmp_path, IMAGE)
    file = pixel_file(path)
    data = bytearray(file.read_bytes())
    at = damage(kind, path, data)
    data[at : at + 64] = bytes(b ^ 0x5A for b in data[at : at + 64])
    file.write_bytes(data)
    with open_volume(path) as volume:
        told = fails(volume)
        assert not isinstance(told, UnreadableError)
        assert place in str(told.where)
        if kind not in {"NWB", "OME-Zarr"}:  # one chunk holds it all
            np.testing.assert_array_equal(volume[:, :5], IMAGE[:, :5])


def damage(kind: str, path: Path, data: bytearray) -> int:
    """A byte in the middle of the compressed pixels of the last plane."""
    if kind == "deflated TIFF":
        with tifffile.TiffFile(path) as file:
            page = file.pages[5]
            return page.dataoffsets[0] + page.databytecounts[0] // 2
    if kind == "compressed ND2":
        return data.index(b"ImageDataSeq|5!") + 4072 + 5000
    if kind == "CZI":
        return _pixel_span(BytesIO(data), data.rindex(b"ZISRAWSUBBLOCK"))[0] + 3  # elsewhere zstd sees nothing
    if kind == "NWB":
        import h5py

        with h5py.File(path) as file:
            chunks: list[int] = []
            file.visititems(
                lambda _, item: (
                    chunks.append(item.id.get_chunk_info(0).byte_offset + 5000)
                    if isinstance(item, h5py.Dataset) and item.ndim == 3
                    else None
                )
            )
        return chunks[0]
    return len(data) // 2
