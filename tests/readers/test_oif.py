"""OIB and OIF: the real file, synthetic ones with every axis, and every kind of damage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import oiffile
import pytest
from oib_file import oif_files, plane_name, write_compound, write_oib, write_oif
from reading import assert_reads

from neuropack.axes import Array
from neuropack.errors import InputError
from neuropack.readers import compound, open_volumes
from neuropack.readers.oif import open_file, sniff
from neuropack.volume import Channel, Instrument

REAL = "oib/test.oib"
KINDS = pytest.mark.parametrize("kind", ["OIB", "OIF"])


def noise(*shape: int, dtype: str = "u2") -> Array:
    return np.random.default_rng(0).integers(1, 250, shape).astype(dtype)


def write(folder: Path, kind: str, files: dict[str, bytes]) -> Path:
    return write_oib(folder / "a.oib", files) if kind == "OIB" else write_oif(folder, files)


# --- the real file -----------------------------------------------------------------------------------


def test_the_real_file_is_described(data_file: Callable[[str], Path]) -> None:
    (volume,) = open_volumes(data_file(REAL))
    assert (volume.format, volume.scene, volume.axes, volume.shape) == ("OIB", None, "CZYX", (3, 1, 256, 256))
    assert volume.dtype == np.uint16
    assert volume.voxel_size_um == (None, pytest.approx(45.135 / 256), pytest.approx(45.135 / 256))
    assert volume.channels == (
        Channel("CH1", None, 488, None, "00FF00"),
        Channel("CH2", "Alexa Fluor 546", 543, 572, "FF0000"),
        Channel("TD1", None, 543, None, "FFFFFF"),
    )
    assert volume.acquired == "2012-07-26T15:13:35.976", "the microscope's clock, no zone is stated"
    assert volume.instrument == Instrument(
        model="FLUOVIEW FV1000", objective="UPLFLN 40X NA:0.75", magnification=40, numerical_aperture=0.75
    )
    sources = volume.sources
    assert sources["voxel_size_um.z"] == sources["channels.0.emission_nm"] == sources["origin_um.x"] == "missing"
    assert sources["voxel_size_um.x"] == sources["channels.1.emission_nm"] == sources["acquired"] == "file"


def test_the_real_file_has_the_librarys_pixels(data_file: Callable[[str], Path], tmp_path: Path) -> None:
    expected = oiffile.imread(data_file(REAL))[:, None]
    with open_file(data_file(REAL))[0] as volume:
        assert_reads(volume, expected)
        oiffile.oib2oif(data_file(REAL), location=str(tmp_path), verbose=0)
        (unpacked,) = open_volumes(tmp_path / "Cell 1 mitoEGFP.oif")
        assert unpacked.format == "OIF"
        assert unpacked.describe() == volume.describe() | {"file": str(unpacked.path), "format": "OIF"}
        assert_reads(unpacked, expected)


@pytest.mark.parametrize(
    ("keep", "zeros"),
    [(keep, zeros) for zeros in (False, True) for keep in (0.0001, 0.01, 0.1, 0.5, 0.9)] + [(0.99, False)],
)  # the last hundredth of this file is zeros anyway
def test_a_file_cut_short_is_one_clear_error(
    data_file: Callable[[str], Path], tmp_path: Path, keep: float, zeros: bool
) -> None:
    data = data_file(REAL).read_bytes()
    kept = int(len(data) * keep)
    path = tmp_path / "cut.oib"
    path.write_bytes(data[:kept] + (bytes(len(data) - kept) if zeros else b""))
    with pytest.raises(InputError, match=r"cut\.oib: this OIB file cannot be read") as caught:
        open_volumes(path)
    assert "First bytes: d0 cf 11 e0" in str(caught.value)


# --- axes and pixels ---------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("order", ["XYCZT", "XYZCT", "XYTZC", "XYZ", "XYT", "XYC", "XY", "XZC", "XTC"])
def test_planes_go_where_their_names_say(tmp_path: Path, kind: str, order: str) -> None:
    length = {"X": 21, "Y": 18, "C": 2, "Z": 3, "T": 4}
    native = order[::-1]
    pixels = noise(*(length[a] for a in native))
    (volume,) = open_file(write(tmp_path, kind, oif_files(pixels, order)))
    assert (volume.format, volume.native_axes) == (kind, native)
    axes = "TCZYX" if "T" in order else "CZYX"
    expected = pixels.transpose([native.index(a) for a in axes if a in native])
    with volume:
        assert_reads(volume, expected.reshape([length[a] if a in native else 1 for a in axes]))


def test_the_library_reads_the_synthetic_file(tmp_path: Path) -> None:
    pixels = noise(4, 2, 3, 18, 21)  # Z C T
    path = write_oib(tmp_path / "a.oib", oif_files(pixels, "XYTCZ"))
    with oiffile.OifFile(path) as other:
        seen = other.asarray()
    # the order of the main file, or C Z T, that of the planes' names: the library's versions differ
    np.testing.assert_array_equal(seen, pixels if seen.shape == pixels.shape else pixels.swapaxes(0, 1))
    assert_reads(open_file(path)[0], pixels.transpose(2, 1, 0, 3, 4))


def test_eight_bits_are_read(tmp_path: Path) -> None:
    pixels = noise(18, 21, dtype="u1")
    assert_reads(open_file(write_oib(tmp_path / "a.oib", oif_files(pixels, "XY")))[0], pixels[None, None])


def test_many_sectors_are_read(tmp_path: Path) -> None:
    pixels = noise(8, 700, 720)  # more than the 109 tables that the header lists
    path = write_oib(tmp_path / "a.oib", oif_files(pixels, "XYZ"))
    assert path.stat().st_size > 109 * 128 * 512
    with open_file(path)[0] as volume:
        np.testing.assert_array_equal(volume[0], pixels)


def test_spectral_planes_wait_for_the_user(tmp_path: Path) -> None:
    pixels = noise(5, 18, 21)
    (volume,) = open_file(write_oib(tmp_path / "a.oib", oif_files(pixels, "XYL")))
    assert (volume.axes, volume.shape) == ("LYX", (5, 18, 21))
    assert_reads(volume.with_axes("CYX"), pixels[:, None])


@KINDS
def test_only_the_planes_of_a_box_are_decoded(tmp_path: Path, kind: str) -> None:
    pixels = noise(3, 18, 21)
    files = oif_files(pixels, "XYZ")
    files["s_Z002.tif"] = b"II*\0 no TIFF at all" * 100
    (volume,) = open_file(write(tmp_path, kind, files))
    for z in (0, 2):
        np.testing.assert_array_equal(volume[0, z], pixels[z])
    with pytest.raises(InputError, match=rf"s_Z002\.tif: this {kind} file cannot be read"):
        volume[0, 1]


@KINDS
def test_threads_read_the_same(tmp_path: Path, kind: str) -> None:
    pixels = noise(6, 256, 256)
    (volume,) = open_file(write(tmp_path, kind, oif_files(pixels, "XYZ")))
    with ThreadPoolExecutor(8) as pool, volume:
        planes = list(pool.map(lambda i: volume[0, i % 6], range(60)))
    for i, plane in enumerate(planes):
        np.testing.assert_array_equal(plane, pixels[i % 6])


# --- metadata ----------------------------------------------------------------------------------------


def test_metadata_is_what_the_files_state(tmp_path: Path) -> None:
    files = oif_files(noise(2, 3, 4, 18, 21), "XYZCT", times_ms=[100.0, 1600.5])
    (volume,) = open_file(write_oib(tmp_path / "a.oib", files))
    assert volume.voxel_size_um == (0.75, 0.5, 0.5)
    assert volume.times_s == (0.0, pytest.approx(1.5005))
    assert volume.acquired == "2012-07-26T15:13:35.076"
    assert volume.channels == (
        Channel("CH1", None, None, None, "00FF00"),
        Channel("CH2", "EGFP", 488, 510, "FF0000"),
        Channel("CH3", None, 543, None, "FFFFFF"),
    )
    assert volume.instrument.objective == "UPLFLN 40X NA:0.75"


@pytest.mark.parametrize("times", [None, [5.0, 5.0], [9.0, 1.0]])
def test_times_that_are_not_stated_are_not_invented(tmp_path: Path, times: list[float] | None) -> None:
    (volume,) = open_file(write_oib(tmp_path / "a.oib", oif_files(noise(2, 18, 21), "XYT", times_ms=times)))
    assert volume.axes == "TCZYX"
    assert volume.times_s is None


@pytest.mark.parametrize(
    ("axis", "x"),
    [
        ({"EndPosition": 21000.0, "PixUnit": "nm"}, 1.0),
        ({"EndPosition": "10,5.0"}, 0.5),  # a decimal comma, as some computers wrote it
        ({"EndPosition": 0.0}, None),
        ({"PixUnit": "parsec"}, None),
    ],
)
def test_the_pixel_size_is_the_extent_over_the_pixels(
    tmp_path: Path, axis: dict[str, Any], x: float | None
) -> None:
    files = oif_files(noise(18, 21), "XY", main={"Axis 0 Parameters Common": axis})
    (volume,) = open_file(write_oib(tmp_path / "a.oib", files))
    assert volume.voxel_size_um == (None, 0.5, x)


def test_what_is_not_noted_is_missing(tmp_path: Path) -> None:
    files = {n: c for n, c in oif_files(noise(2, 18, 21), "XYC").items() if not n.endswith((".pty", ".lut"))}
    files["a.oif"] = files["a.oif"].replace("2012".encode("utf-16-le"), "when".encode("utf-16-le"))
    (volume,) = open_file(write_oib(tmp_path / "a.oib", files))
    assert volume.acquired is None
    assert volume.instrument == Instrument(model="FLUOVIEW FV1000")
    assert volume.channels[1] == Channel("CH2", "EGFP", 488, 510, None)


# --- what cannot be read -----------------------------------------------------------------------------


@KINDS
def test_missing_planes_are_an_error(tmp_path: Path, kind: str) -> None:
    files = oif_files(noise(2, 3, 18, 21), "XYZC")
    for place in ((0, 2), (1, 1)):
        del files[f"{plane_name('CZ', place)}.tif"]
    with pytest.raises(InputError, match=r"holds 4 planes, .* describe 6\. Missing, first: C=1 Z=3"):
        open_file(write(tmp_path, kind, files))


def test_a_damaged_size_is_an_error_and_fills_no_memory(tmp_path: Path) -> None:
    files = oif_files(noise(2, 18, 21), "XYZ", main={"Axis 3 Parameters Common": {"MaxSize": 99999999999}})
    with pytest.raises(InputError, match=r"holds 2 planes, .* describe 99999999999\. Missing, first: Z=3"):
        open_file(write_oib(tmp_path / "a.oib", files))


def test_planes_that_the_settings_do_not_describe_are_an_error(tmp_path: Path) -> None:
    files = oif_files(noise(3, 18, 21), "XYZ")
    files["a.oif"] = oif_files(noise(2, 18, 21), "XYZ")["a.oif"]
    with pytest.raises(InputError, match=r"3 planes, its settings .* describe 2"):
        open_file(write_oib(tmp_path / "a.oib", files))
    files["a.oif"] = oif_files(noise(18, 21), "XY")["a.oif"]
    with pytest.raises(InputError, match="lies on an axis that the settings"):
        open_file(write_oib(tmp_path / "b.oib", files))


def test_planes_of_another_size_than_the_settings_say_are_an_error(tmp_path: Path) -> None:
    files = oif_files(noise(2, 18, 21), "XYZ", main={"Axis 0 Parameters Common": {"MaxSize": 20}})
    with pytest.raises(InputError, match=r"(?s)contradicts itself.*\(18, 20\).*\(18, 21\)"):
        open_file(write_oib(tmp_path / "a.oib", files))
    files = oif_files(noise(2, 18, 21), "XYZ")
    files["s_Z002.tif"] = oif_files(noise(2, 18, 22), "XYZ")["s_Z002.tif"]
    (volume,) = open_file(write_oib(tmp_path / "b.oib", files))
    with pytest.raises(InputError, match=r"(?s)s_Z002\.tif.*unlike the first"):
        volume[0, 1]


@pytest.mark.parametrize("keep", [10, 50, 90, 99])
def test_a_plane_cut_short_is_an_error(tmp_path: Path, keep: int) -> None:
    files = oif_files(noise(2, 64, 64), "XYZ")
    files["s_Z002.tif"] = files["s_Z002.tif"][: len(files["s_Z002.tif"]) * keep // 100]
    (volume,) = open_file(write_oif(tmp_path, files))
    with pytest.raises(InputError, match=r"s_Z002\.tif"):
        volume[0, 1]


@pytest.mark.parametrize("keep", [1, 10, 50, 90, 99])
def test_settings_cut_short_are_an_error(tmp_path: Path, keep: int) -> None:
    files = oif_files(noise(2, 18, 21), "XYZ")
    path = write_oif(tmp_path, files)
    content = files["a.oif"]
    rest = content[: len(content) * keep // 200 * 2].removesuffix("\r\n".encode("utf-16-le"))  # within a line
    path.write_bytes(rest)
    with pytest.raises(InputError, match=r"a\.oif"):
        open_volumes(path)


def test_settings_without_their_folder_are_an_error(tmp_path: Path) -> None:
    path = write_oif(tmp_path, oif_files(noise(2, 18, 21), "XYZ"))
    renamed = path.rename(tmp_path / "b.oif")
    assert open_volumes(renamed)[0].shape == (1, 2, 18, 21), "the settings name the folder"
    shutil.rmtree(tmp_path / "a.oif.files")
    with pytest.raises(InputError, match=r"(?s)folder with the planes.*b\.oif\.files"):
        open_volumes(renamed)


def test_an_office_document_is_no_oib(tmp_path: Path) -> None:
    path = write_compound(tmp_path / "letter.oib", {"WordDocument": bytes(5000), "1Table": bytes(100)})
    assert not sniff(path.read_bytes()[:4096], path)


@pytest.mark.parametrize(
    ("following", "message"),
    [
        (0, "meet or close to a ring"),  # back to the first sector of the plane
        (20, "meet or close to a ring"),  # into the next plane
        (10**6, "leads to sector 1,000,000"),
        (None, r"Stream\d+.* (has 1,536 of|truncated: 1536 <) 8,?\d"),  # the chain ends early
    ],
)
def test_a_chain_that_leads_astray_is_an_error(tmp_path: Path, following: int | None, message: str) -> None:
    path = write_oib(tmp_path / "a.oib", oif_files(noise(2, 64, 64), "XYZ"))
    data = bytearray(path.read_bytes())
    sector = data.index(b"II*\0") // 512 - 1
    table = (int.from_bytes(data[76:80], "little") + 1) * 512
    entry = slice(table + 4 * (sector + 2), table + 4 * (sector + 3))
    assert int.from_bytes(data[entry], "little") == sector + 3
    mark = 0xFFFFFFFE if following is None else following + (sector if following < 10**6 else 0)
    data[entry] = mark.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        open_file(path)


def test_a_chain_of_small_sectors_that_closes_is_an_error(tmp_path: Path) -> None:
    path = write_oib(tmp_path / "a.oib", oif_files(noise(2, 64, 64), "XYZ"))
    data = bytearray(path.read_bytes())
    table = (int.from_bytes(data[60:64], "little") + 1) * 512
    data[table : table + 512] = bytes(512)
    path.write_bytes(data)
    with pytest.raises(InputError, match="meet or close to a ring"):
        open_file(path)


def test_a_file_that_lacks_its_last_sectors_is_noticed_at_once(
    data_file: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / "cut.oib"
    path.write_bytes(data_file(REAL).read_bytes()[:-10_000])
    with pytest.raises(InputError, match="It should have 327 sectors and has 325"):
        open_file(path)


def test_a_file_that_went_away_is_one_clear_error(tmp_path: Path) -> None:
    path = write_oif(tmp_path, oif_files(noise(2, 18, 21), "XYZ"))
    (volume,) = open_file(path)
    shutil.rmtree(tmp_path / "a.oif.files")
    with pytest.raises(InputError, match=r"a\.oif: s_Z001\.tif: cannot be read: No such file"):
        np.asarray(volume)


def test_the_names_in_a_compound_file_are_listed(tmp_path: Path) -> None:
    path = write_compound(tmp_path / "a.bin", {"One": b"1", "In/Two": bytes(9000)})
    compound.check(path)
    assert sorted(compound.names(path)) == ["In", "One", "Root Entry", "Two"]


@pytest.mark.parametrize("name", ["notes.oib", "notes.oif"])
@pytest.mark.parametrize("content", [b"", b"NOT AN OIB FILE, just words" * 400])
def test_content_tells_not_the_suffix(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert not sniff(content[:4096], path)
    with pytest.raises(InputError, match=name):
        open_file(path)
