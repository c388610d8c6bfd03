"""CZI: pixels against what was written, metadata against the file, and every kind of damage."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from czi_file import RawTile, channel_xml, write_czi
from pylibCZIrw import czi as zeiss
from reading import assert_reads

from neuropack.axes import Array
from neuropack.errors import InputError
from neuropack.readers import open_volumes
from neuropack.readers.czi import open_file, sniff
from neuropack.volume import Channel, Instrument

REAL = "czi/s_1_t_1_c_1_z_1.czi"
HILO = "zstd1:ExplicitLevel=2;PreProcess=HiLoByteUnpack"


def noise(*shape: int, dtype: str = "u2", seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(1, 250, shape).astype(dtype)


def write(path: Path, pixels: Array, at: tuple[int, int] = (0, 0), compression: str | None = None) -> Path:
    """A file with Zeiss's writer. Pixels are (T, C, Z, Y, X) or, in colour, (T, C, Z, Y, X, S)."""
    with zeiss.create_czi(str(path), exist_ok=True, compression_options=compression) as file:
        for t, c, z in np.ndindex(*pixels.shape[:3]):
            plane = pixels[t, c, z]
            plane = plane[..., ::-1] if plane.ndim == 3 else plane[..., None]  # the file keeps blue first
            file.write(data=np.ascontiguousarray(plane), plane={"T": t, "C": c, "Z": z}, location=at)
        file.write_metadata(document_name="", channel_names={0: "EGFP"}, scale_x=2e-7, scale_y=2e-7, scale_z=5e-7)
    return path


def raw(pixels: Array, **about: Any) -> RawTile:
    """An uncompressed tile."""
    return RawTile(pixels.tobytes(), pixels.shape[:2], **about)


# --- the real file ---------------------------------------------------------------------------------


def test_the_real_file_is_described_as_it_describes_itself(data_file: Callable[[str], Path]) -> None:
    (volume,) = open_volumes(data_file(REAL))
    assert (volume.format, volume.scene, volume.axes, volume.shape) == ("CZI", None, "CZYX", (1, 1, 325, 475))
    assert volume.dtype == np.uint16
    assert volume.voxel_size_um[0] is None, "a single plane has no z step"
    assert volume.voxel_size_um[1:] == pytest.approx((1.0833333, 1.0833333))
    # its experiment also sets up EGFP, which was not recorded
    assert volume.channels == (Channel(name="Bright", color="FFFFFF"),)
    assert volume.acquired == "2019-06-27T18:33:40.619371+00:00"
    assert volume.instrument == Instrument(
        model="Axio Observer.Z1 / 7",
        objective="Plan-Apochromat 20x/0.8 M27",
        magnification=20,
        numerical_aperture=0.8,
        immersion="Air",
    )
    centre = (42720.296, 43427.982)  # of its one tile, which is 325 x 475 pixels
    half = [n * 1.0833333 for n in (162, 237)]
    assert volume.origin_um == pytest.approx((9801.29, centre[0] - half[0], centre[1] - half[1]))
    sources = volume.sources
    assert {p for p, s in sources.items() if s == "missing"} == {
        "voxel_size_um.z",
        *(f"channels.0.{k}" for k in ("fluorophore", "excitation_nm", "emission_nm")),
        "instrument.manufacturer",
    }


def test_the_real_file_has_the_pixels_of_its_twin(data_file: Callable[[str], Path]) -> None:
    twin = tifffile.imread(data_file("ome-tiff/s_1_t_1_c_1_z_1.ome.tiff"))
    with open_file(data_file(REAL))[0] as volume:
        assert_reads(volume, twin.reshape(1, 1, 325, 475))


@pytest.mark.parametrize("keep", [0.0001, 0.1, 0.5, 0.9, 0.99])
def test_a_file_cut_short_is_one_clear_error(data_file: Callable[[str], Path], tmp_path: Path, keep: float) -> None:
    data = data_file(REAL).read_bytes()
    path = tmp_path / "cut.czi"
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(InputError, match=r"cut\.czi: this CZI file cannot be read") as caught:
        open_file(path)
    assert "First bytes: 5a 49 53 52" in str(caught.value)
    assert "copy it again" in str(caught.value)


@pytest.mark.parametrize("keep", [0.05, 0.3, 0.6])
def test_an_end_of_zeros_is_an_error_where_it_shows(
    data_file: Callable[[str], Path], tmp_path: Path, keep: float
) -> None:
    data = data_file(REAL).read_bytes()
    kept = int(len(data) * keep)
    path = tmp_path / "zeros.czi"
    path.write_bytes(data[:kept] + bytes(len(data) - kept))
    with pytest.raises(InputError, match=r"zeros\.czi"):
        np.asarray(open_file(path)[0])


# --- pixels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "zstd0:ExplicitLevel=3", "zstd1:ExplicitLevel=2", HILO])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "rgb u1", "rgb u2"])
def test_what_was_written_is_read(tmp_path: Path, compression: str | None, dtype: str) -> None:
    colour = dtype.startswith("rgb")
    pixels = noise(2, 1 if colour else 2, 3, 33, 47, *([3] if colour else []), dtype=dtype[-2:])
    path = write(tmp_path / "a.czi", pixels, at=(-5, 1234), compression=compression)
    (volume,) = open_file(path)
    expected = np.moveaxis(pixels[:, 0], -1, 1) if colour else pixels
    assert volume.axes == "TCZYX"
    assert volume.native_axes == ("TCZYXS" if colour else "TCZYX")
    if colour:
        assert volume.channels == (Channel(),) * 3, "the file's one channel is none of its three colours"
    with volume:
        assert_reads(volume, expected)


def test_jpeg_xr_is_read(tmp_path: Path) -> None:
    pixels = noise(40, 56)
    tile = RawTile(imagecodecs.jpegxr_encode(pixels, level=1.0), pixels.shape, compression=4)
    (volume,) = open_file(write_czi(tmp_path / "a.czi", [tile]))
    assert_reads(volume, pixels[None, None])


def test_a_second_reader_agrees(tmp_path: Path) -> None:
    import czifile

    pixels = noise(1, 2, 3, 20, 30)
    path = write(tmp_path / "a.czi", pixels)
    seen = np.squeeze(czifile.imread(path))  # its versions differ in the dimensions of length 1
    np.testing.assert_array_equal(np.asarray(open_file(path)[0]), seen)


def mosaic(path: Path, compression: str | None = None, colour: bool = False) -> Array:
    """Six overlapping tiles around a negative origin, jittered, with a hole; the expected plane, (Y, X[, S])."""
    whole = np.zeros((70, 110, *([3] if colour else [])), np.uint16)
    places = [(0, 0), (30, 1), (61, 0), (1, 30), (60, 32), (70, 0)]  # none covers the middle of the lower row
    with zeiss.create_czi(str(path), compression_options=compression) as file:
        for i, (x, y) in enumerate(places):
            tile = noise(38, 40, *whole.shape[2:], seed=i)
            whole[y : y + 38, x : x + 40] = tile
            data = tile[..., ::-1] if colour else tile[..., None]
            file.write(data=np.ascontiguousarray(data), plane={"C": 0, "Z": 0, "T": 0}, location=(x - 20, y - 50))
        file.write_metadata(document_name="")
    return whole


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("compression", [None, HILO])
def test_a_mosaic_is_composed(tmp_path: Path, compression: str | None, colour: bool) -> None:
    whole = mosaic(tmp_path / "a.czi", compression, colour)
    assert (whole == 0).any()
    expected = np.moveaxis(whole, -1, 0)[:, None] if colour else whole[None, None]
    (volume,) = open_file(tmp_path / "a.czi")
    with volume:
        assert_reads(volume, expected)
    blocks = list(open_file(tmp_path / "a.czi")[0].native_blocks())
    assert len(blocks) == 6, "jitter must not cut slivers"


def test_a_colour_mosaic_may_mix_compressions(tmp_path: Path) -> None:
    pixels = noise(8, 36, 3)
    encode = imagecodecs.zstd_encode
    parts = [pixels[:, i : i + 12] for i in (0, 12, 24)]
    encoded = [(0, parts[0].tobytes()), (5, encode(parts[1].tobytes())), (6, b"\1" + encode(parts[2].tobytes()))]
    tiles = [
        RawTile(data, (8, 12), x=12 * i, pixel_type=4, compression=code) for i, (code, data) in enumerate(encoded)
    ]
    (volume,) = open_file(write_czi(tmp_path / "a.czi", tiles))
    assert_reads(volume, np.moveaxis(pixels[..., ::-1], -1, 0)[:, None])


def test_blocks_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    tiles = [raw(noise(8, 8), at={"C": c, "Z": z}, x=x) for x in (8, 0) for z in (1, 0) for c in (1, 0)]
    (volume,) = open_file(write_czi(tmp_path / "a.czi", tiles))
    seen = [(box[3].start, box[1].start, box[0].start) for box in volume.native_blocks()]
    assert seen == [(tile.x, tile.at["Z"], tile.at["C"]) for tile in tiles]


def test_only_the_tiles_of_a_box_are_decoded(tmp_path: Path) -> None:
    good, bad = noise(16, 16), b"\x01" + b"not zstandard"
    tiles = [
        raw(good),
        RawTile(bad, (16, 16), x=16, compression=6),
        RawTile(bad, (16, 16), {"C": 1}, compression=6),
    ]
    (volume,) = open_file(write_czi(tmp_path / "a.czi", [*tiles, raw(good, at={"C": 1}, x=16)]))
    np.testing.assert_array_equal(volume[0, 0, :, :16], good)
    np.testing.assert_array_equal(volume[1, 0, :, 16:], good)
    with pytest.raises(InputError, match=r"a\.czi: plane T=0 C=0 Z=0: this CZI file cannot be read"):
        volume[0, 0, :, 10:20]


def test_pyramid_tiles_are_no_pixels(tmp_path: Path) -> None:
    pixels = noise(32, 32)
    tiles = [raw(pixels), raw(noise(20, 20, seed=1), zoom=2)]
    (volume,) = open_file(write_czi(tmp_path / "a.czi", tiles))
    assert_reads(volume, pixels[None, None])


def test_threads_read_the_same(tmp_path: Path) -> None:
    pixels = noise(1, 1, 8, 64, 64)
    (volume,) = open_file(write(tmp_path / "a.czi", pixels, compression=HILO))
    with ThreadPoolExecutor(4) as pool, volume:
        planes = list(pool.map(lambda i: volume[0, i % 8], range(40)))
    for i, plane in enumerate(planes):
        np.testing.assert_array_equal(plane, pixels[0, 0, i % 8])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to list open files")
def test_a_file_is_open_only_between_the_first_box_and_close(tmp_path: Path) -> None:
    path = write(tmp_path / "a.czi", noise(1, 1, 1, 8, 8))

    def is_open() -> bool:
        return str(path) in [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]

    (volume,) = open_file(path)
    assert not is_open()
    first = np.asarray(volume)
    assert is_open()
    volume.close()
    assert not is_open()
    np.testing.assert_array_equal(np.asarray(volume), first)
    volume.close()


# --- scenes and dimensions -------------------------------------------------------------------------


def test_each_scene_is_an_image_of_its_own_size(tmp_path: Path) -> None:
    one, two = noise(2, 20, 30), noise(1, 10, 12, seed=1)
    tiles = [raw(plane, at={"S": 0, "Z": z}, x=100, y=-7) for z, plane in enumerate(one)]
    tiles += [raw(two[0], at={"S": 2, "Z": 0}, x=105, y=-2)]  # over the first scene, and no part of it
    place = '<CenterPosition>1000,-500</CenterPosition><Positions><Position X="1" Y="2" Z="30"/></Positions>'
    scenes = f'<S><Scenes><Scene Index="0" Name="P1">{place}</Scene></Scenes></S>'
    scaling = "".join(
        f'<Distance Id="{a}"><Value>{v}</Value></Distance>' for a, v in zip("XYZ", (2e-6, 1e-6, 3e-6), strict=True)
    )
    xml = channel_xml(scaling=f"<Scaling><Items>{scaling}</Items></Scaling>", dimensions=scenes)
    first, second = open_file(write_czi(tmp_path / "a.czi", tiles, xml))
    assert (first.scene, second.scene) == ("P1", "2"), "a scene without a name is known by its number"
    assert first.voxel_size_um == pytest.approx((3, 1, 2))
    assert first.origin_um == (30, pytest.approx(-500 - 9.5), pytest.approx(1000 - 29))
    assert second.origin_um == (None, None, None)
    assert_reads(first, one[None])
    first.close()
    assert_reads(second, two[None])


def about(**said: object) -> bytes:
    tags = "".join(f"<{name}>{value}</{name}>" for name, value in said.items())
    return f"<METADATA><Tags>{tags}</Tags></METADATA>".encode()


@pytest.mark.parametrize(("step", "z"), [(2, 50), (-2, -50)])
def test_the_stage_is_what_the_first_tile_says(tmp_path: Path, step: int, z: int) -> None:
    """Where no scene says it; its tile lies right of another, and below."""
    planes = noise(3, 20, 30)
    tiles = []
    for i, plane in enumerate(planes):
        said = about(StageXPosition="+0001000.5", StageYPosition="-500", FocusPosition=50 + step * i)
        tiles.append(raw(plane[2:, 10:], at={"Z": i}, x=110, y=-5, about=said + bytes(3)))
        tiles.append(raw(plane[:18, :20], at={"Z": i}, x=100, y=-7))
    sizes = "".join(f'<Distance Id="{a}"><Value>1e-6</Value></Distance>' for a in "XYZ")
    (volume,) = open_file(
        write_czi(tmp_path / "a.czi", tiles, channel_xml(scaling=f"<Scaling><Items>{sizes}</Items></Scaling>"))
    )
    assert volume.origin_um == pytest.approx((z, -500 - 8.5 - 2, 1000.5 - 9.5 - 10))


@pytest.mark.parametrize("said", [b"<METADATA><Tags>", b"\xff\0 none", about(FocusPosition="nan"), bytes(2 << 20)])
def test_a_tile_that_says_nothing_of_the_stage_is_read(tmp_path: Path, said: bytes) -> None:
    plane = noise(8, 8)
    (volume,) = open_file(write_czi(tmp_path / "a.czi", [raw(plane, about=said)]))
    assert volume.origin_um == (None, None, None)
    assert_reads(volume, plane[None, None])


def test_views_and_phases_are_images_of_their_own(tmp_path: Path) -> None:
    planes = noise(2, 3, 8, 8)
    tiles = [raw(planes[v, h], at={"V": v, "H": h, "C": 0, "B": 0}) for v, h in np.ndindex(2, 3)]
    volumes = open_file(write_czi(tmp_path / "a.czi", tiles))
    assert [v.scene for v in volumes] == ["H0 V0", "H0 V1", "H1 V0", "H1 V1", "H2 V0", "H2 V1"]
    for volume in volumes:
        h, v = int(volume.scene[1]), int(volume.scene[4])
        assert_reads(volume, planes[v, h][None, None])


def test_equal_names_of_scenes_are_told_apart(tmp_path: Path) -> None:
    scenes = "".join(f'<Scene Index="{i}" Name="A1"/>' for i in range(2))
    tiles = [raw(noise(4, 4), at={"S": s}) for s in range(2)]
    path = write_czi(tmp_path / "a.czi", tiles, channel_xml(dimensions=f"<S><Scenes>{scenes}</Scenes></S>"))
    assert [v.scene for v in open_file(path)] == ["A1 (0)", "A1 (1)"]


@pytest.mark.parametrize(
    ("stamps", "interval", "times"),
    [
        ((100.5, 102.0, 104.5), None, (0.0, 1.5, 4.0)),
        ((), 2.5, (0.0, 2.5, 5.0)),
        ((7.0, 7.0, 7.0), None, None),
        ((1.0, 2.0), None, None),
        ((), None, None),
    ],
)
def test_times_are_those_that_the_file_states(
    tmp_path: Path, stamps: tuple[float, ...], interval: float | None, times: tuple[float, ...] | None
) -> None:
    tiles = [raw(noise(4, 4, seed=t), at={"T": t}) for t in range(3)]
    stated = (
        f"<T><Positions><Interval><Increment>{interval}</Increment></Interval></Positions></T>" if interval else ""
    )
    (volume,) = open_file(write_czi(tmp_path / "a.czi", tiles, channel_xml(dimensions=stated), stamps))
    assert volume.shape == (3, 1, 1, 4, 4)
    assert volume.times_s == times
    assert volume.sources["times_s"] == ("file" if times else "missing")


def test_channels_are_those_of_the_image(tmp_path: Path) -> None:
    xml = channel_xml(
        '<Channel Id="Channel:0" Name="AF647"><Fluor>Alexa Fluor 647</Fluor><Color>#FFFF0000</Color>'
        "<ExcitationWavelength>653</ExcitationWavelength><EmissionWavelength>668.5</EmissionWavelength></Channel>",
        '<Channel Id="Channel:1" Name="TL"><Fluor>TL Brightfield</Fluor><Color>#FFF</Color>'
        "<IlluminationType>Transmitted</IlluminationType><ExcitationWavelength>0</ExcitationWavelength></Channel>",
    )
    tiles = [raw(noise(4, 4), at={"C": c}) for c in range(3)]
    (volume,) = open_file(write_czi(tmp_path / "a.czi", tiles, xml))
    assert volume.channels == (
        Channel("AF647", "Alexa Fluor 647", 653.0, 668.5, "FF0000"),
        Channel("TL"),
        Channel(),
    )
    assert volume.voxel_size_um == (None, None, None)


# --- what cannot be read ---------------------------------------------------------------------------


def test_a_lost_plane_is_an_error_before_the_conversion_begins(tmp_path: Path) -> None:
    tiles = [raw(noise(4, 4), at={"C": c, "Z": z}) for c, z in [(0, 0), (0, 1), (1, 0)]]
    (volume,) = open_file(write_czi(tmp_path / "a.czi", tiles))
    assert volume.shape == (2, 2, 4, 4)
    with pytest.raises(InputError, match="plane T=0 C=1 Z=1"):
        list(volume.native_blocks())
    with pytest.raises(InputError, match="plane T=0 C=1 Z=1"):
        volume[1, 1]
    assert volume[0].any()


def test_a_damaged_coordinate_is_an_error_and_fills_no_memory(tmp_path: Path) -> None:
    tiles = [raw(noise(4, 4), at={"C": 0, "Z": z}) for z in (0, 2**30)]
    with pytest.raises(InputError, match="Z runs from 0 to 1073741824, with planes at 2 of them"):
        open_file(write_czi(tmp_path / "a.czi", tiles))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixel_type": 0}, r"(?s)different pixel types.*Gray16: channel 0; Gray8: channel 1"),
        ({"compression": 1001}, "compression number 1001"),
        ({"part": 1}, "several files"),
    ],
)
def test_what_nothing_decodes_is_one_clear_error(tmp_path: Path, changes: dict[str, int], message: str) -> None:
    tiles = [raw(noise(4, 4), at={"C": 0}), raw(noise(4, 4), at={"C": 1}, **changes)]
    with pytest.raises(InputError, match=message) as caught:
        open_file(write_czi(tmp_path / "a.czi", tiles))
    assert "a.czi" in str(caught.value)


def test_an_unknown_pixel_type_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pixels of the type number 10"):
        open_file(write_czi(tmp_path / "a.czi", [raw(noise(4, 4), pixel_type=10)]))


@pytest.mark.parametrize("keep", [10, 50, 90, 99])
def test_a_compressed_file_cut_short_is_one_clear_error(tmp_path: Path, keep: int) -> None:
    path = write(tmp_path / "a.czi", noise(1, 2, 5, 64, 64), compression=HILO)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * keep // 100])
    with pytest.raises(InputError, match="cut short or damaged"):
        open_file(path)


def test_a_lost_tail_of_the_last_tile_is_noticed_at_once(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "a.czi", [raw(noise(64, 64))])
    data = bytearray(path.read_bytes())
    at = data.index(b"ZISRAWSUBBLOCK") + 40
    data[at : at + 8] = (10**6).to_bytes(8, "little")  # the tile claims to be longer than the file
    path.write_bytes(data)
    with pytest.raises(InputError, match="should end at byte"):
        open_file(path)


def test_a_file_without_tiles_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image"):
        open_file(write_czi(tmp_path / "a.czi", []))


def test_metadata_that_is_no_xml_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="parsing XML"):
        open_file(write_czi(tmp_path / "a.czi", [raw(noise(4, 4))], "<ImageDocument>"))


@pytest.mark.parametrize("content", [b"", b"NOT A CZI FILE, just words" * 400])
def test_content_tells_not_the_suffix(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.czi"
    path.write_bytes(content)
    assert not sniff(content[:4096], path)
    with pytest.raises(InputError, match=r"notes\.czi"):
        open_file(path)
