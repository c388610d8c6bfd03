"""What ImageJ, LSM and plain TIFF files state, and what of it is not believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from neuropack.readers import tiff
from neuropack.readers.tiff import _letters
from neuropack.readers.tiff_metadata import level_size, lsm_facts, unique
from neuropack.volume import Channel, Volume


def imagej(path: Path, shape: tuple[int, ...] = (2, 3, 2, 16, 18), **metadata: Any) -> Volume:
    image = np.arange(np.prod(shape)).reshape(shape).astype("u2")
    options: dict[str, Any] = {"resolution": (4.0, 2.0)}
    tifffile.imwrite(path, image, imagej=True, metadata={"axes": "TZCYX"[-len(shape) :], **metadata}, **options)
    (volume,) = tiff.open_file(path)
    return volume


def test_an_imagej_hyperstack(tmp_path: Path) -> None:
    with imagej(tmp_path / "a.tif", unit="um", spacing=3.0, finterval=2.5) as volume:
        assert (volume.format, volume.axes, volume.shape) == ("ImageJ TIFF", "TCZYX", (2, 2, 3, 16, 18))
        assert volume.voxel_size_um == (3.0, 0.5, 0.25)
        assert volume.times_s == (0.0, 2.5)
        expected = tifffile.imread(volume.path).transpose(0, 2, 1, 3, 4)
        np.testing.assert_array_equal(np.asarray(volume), expected)
        np.testing.assert_array_equal(volume[1, 1, 2], expected[1, 1, 2])


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("um", 1),
        ("micron", 1),
        ("microns", 1),
        ("\\u00B5m", 1),
        ("µm", 1),
        ("nm", 1e-3),
        ("mm", 1e3),
        ("cm", 1e4),
        ("inch", 25400),
        ("pixel", None),
        ("pixels", None),
        ("furlong", None),
        (None, None),
    ],
)
def test_imagej_units(unit: str | None, factor: float | None, tmp_path: Path) -> None:
    told: dict[str, Any] = {"unit": unit.replace("µ", "?")} if unit else {}
    path = tmp_path / "a.tif"
    imagej(path, spacing=3.0, **told).close()
    path.write_bytes(path.read_bytes().replace(b"unit=?m", b"unit=\xb5m"))  # tifffile itself writes ASCII only
    (volume,) = tiff.open_file(path)
    with volume:
        expected = tuple(factor and pytest.approx(size * factor) for size in (3, 0.5, 0.25))
        assert volume.voxel_size_um == expected
        assert volume.sources["voxel_size_um.x"] == ("missing" if factor is None else "file")


def test_what_imagej_leaves_out_is_missing(tmp_path: Path) -> None:
    with imagej(tmp_path / "a.tif", unit="um") as volume:
        assert volume.voxel_size_um == (None, 0.5, 0.25)
        assert volume.times_s is None
    with imagej(tmp_path / "b.tif", (3, 2, 16, 18), unit="um", spacing=-2.0, finterval=1.0) as volume:
        assert volume.voxel_size_um[0] == 2.0
        assert volume.times_s is None, "an interval without a time axis says nothing"


def test_imagej_look_up_tables_give_colours(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8)
    zero = np.zeros_like(ramp)
    fire = np.stack([ramp, np.sqrt(ramp * 255.0).astype(np.uint8), zero])
    tables = [np.stack([ramp, zero, ramp]), fire]
    with imagej(tmp_path / "a.tif", (3, 2, 16, 18), LUTs=tables, mode="composite") as volume:
        assert [c.color for c in volume.channels] == ["FF00FF", None]
    with imagej(tmp_path / "b.tif", (3, 2, 16, 18), LUTs=tables, mode="grayscale") as volume:
        assert [c.color for c in volume.channels] == [None, None]


@pytest.mark.parametrize("options", [{"imagej": True}, {"byteorder": ">"}])
def test_a_virtual_stack_has_one_page_for_many_planes(options: dict[str, Any], tmp_path: Path) -> None:
    image = np.arange(5 * 16 * 18).reshape(5, 16, 18).astype("u2")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, truncate=True, metadata={"axes": "ZYX"}, **options)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 1
    (volume,) = tiff.open_file(path)
    np.testing.assert_array_equal(np.asarray(volume)[0], image)
    np.testing.assert_array_equal(volume[0, 3, 2:5, 4:9], image[3, 2:5, 4:9])


def test_a_letter_stands_once() -> None:
    assert _letters("QQYX") == "IQYX"
    assert _letters("ZQZYX") == "IQZYX"
    assert _letters("T_YX") == "TQYX"


@pytest.mark.parametrize(
    ("resolution", "unit", "size"),
    [
        ((4e4, 2e4), "CENTIMETER", (0.5, 0.25)),
        ((50800, 25400), "INCH", (1.0, 0.5)),
        ((72, 72), "INCH", (None, None)),
        ((96, 96), "INCH", (None, None)),
        ((300, 300), "INCH", (None, None)),
        ((118.11, 118.11), "CENTIMETER", (None, None)),
        ((1, 1), "INCH", (None, None)),
        ((1, 1), "CENTIMETER", (None, None)),
        ((4e4, 2e4), "NONE", (None, None)),
        ((0, 0), "CENTIMETER", (None, None)),
    ],
)
def test_resolution_of_a_plain_file(
    resolution: tuple[float, float], unit: str, size: tuple[float | None, float | None], tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16), "u1"), resolution=resolution, resolutionunit=unit)
    (volume,) = tiff.open_file(tmp_path / "a.tif")
    assert volume.voxel_size_um[0] is None
    for found, expected in zip(volume.voxel_size_um[1:], size, strict=True):
        assert found == (None if expected is None else pytest.approx(expected))


def test_stated_axes_stay_and_others_stay_unknown(tmp_path: Path) -> None:
    image = np.arange(2 * 3 * 4 * 16 * 17).reshape(2, 3, 4, 16, 17).astype("u2")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, photometric="minisblack", metadata={"axes": "TCZYX"})
    (volume,) = tiff.open_file(path)
    assert (volume.native_axes, volume.axes, volume.sources["axes"]) == ("TCZYX", "TCZYX", "file")
    np.testing.assert_array_equal(np.asarray(volume), image)

    tifffile.imwrite(path, image, photometric="minisblack")
    (volume,) = tiff.open_file(path)
    assert len(set(volume.axes)) == 5
    assert volume.axes.endswith("YX")
    assert not set(volume.axes[:3]) & set("TCZS")
    assert (volume.shape, volume.sources["axes"]) == (image.shape, "missing")
    np.testing.assert_array_equal(np.asarray(volume.with_axes("TZCYX")), image.transpose(0, 2, 1, 3, 4))

    tifffile.imwrite(path, image[0, 0], photometric="minisblack", metadata=None)
    (volume,) = tiff.open_file(path)
    assert (volume.axes, volume.shape) == ("IYX", (4, 16, 17))


def test_pages_of_different_sizes_are_scenes(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.zeros((16, 17), "u1"), metadata=None)
        writer.write(np.ones((20, 17), "u2"), metadata=None)
    first, second = tiff.open_file(tmp_path / "a.tif")
    assert (first.scene, second.scene) == ("Image 1", "Image 2")
    assert (first.shape, second.shape) == ((1, 1, 16, 17), (1, 1, 20, 17))
    assert np.asarray(second).all()


def test_a_thumbnail_is_no_scene(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.zeros((64, 70), "u1"), metadata=None)
        writer.write(np.ones((20, 17, 3), "u1"), metadata=None, subfiletype=1, photometric="rgb")
    (volume,) = tiff.open_file(tmp_path / "a.tif")
    assert (volume.scene, volume.shape, volume.levels) == (None, (1, 1, 64, 70), ())


def test_a_plain_pyramid(tmp_path: Path) -> None:
    image = np.arange(128 * 96, dtype="u2").reshape(128, 96)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        options: dict[str, Any] = {"tile": (16, 16), "resolutionunit": "CENTIMETER", "metadata": None}
        writer.write(image, subifds=2, resolution=(2e4, 2e4), **options)
        writer.write(image[::2, ::2], subfiletype=1, **options)
        writer.write(image[::4, ::4], subfiletype=1, **options)
    (volume,) = tiff.open_file(tmp_path / "a.tif")
    assert [v.shape[2:] for v in volume.levels] == [(64, 48), (32, 24)]
    assert [v.voxel_size_um for v in (volume, *volume.levels)] == [(None, s, s) for s in (0.5, 1.0, 2.0)]
    np.testing.assert_array_equal(volume.level(2)[0, 0], image[::4, ::4])


def test_sizes_of_levels_are_whole_steps_where_lengths_allow() -> None:
    size = level_size((2.0, 0.5, 0.5), "ZYX", (10, 5000, 1000), (10, 312, 300))
    assert size == (2.0, 8.0, pytest.approx(0.5 * 1000 / 300))
    assert level_size((2.0, None, 0.5), "YX", (100, 100), (50, 50)) == (2.0, None, 1.0)


def test_unique_names() -> None:
    assert unique(["a", "b", "a", "a (2)", "a"]) == ["a", "b", "a (2)", "a (2) (2)", "a (3)"]


LSM: dict[str, Any] = {
    "VoxelSizeX": 2e-7,
    "VoxelSizeY": 2e-7,
    "VoxelSizeZ": 1e-19,
    "TimeStamps": np.array([10.0, 12.5]),
    "ChannelColors": {"ColorNames": ["Ch1-T1", "Ch2-T2"], "Colors": [[0, 255, 0, 0], [255, 0, 0, 0]]},
    "ScanInformation": {
        "Sample0time": 41353.5,
        "Objective": "Plan-Apochromat 63x/1.40 Oil DIC M27",
        "Tracks": [
            {
                "Acquire": 1,
                "IlluminationChannels": [{"Wavelength": 488.0, "Aquire": 1}, {"Wavelength": 561.0, "Aquire": 0}],
                "DetectionChannels": [{"Acquire": 1, "DyeName": "EGFP"}, {"Acquire": 0, "DyeName": "off"}],
            },
            {
                "Acquire": 1,
                "IlluminationChannels": [{"Wavelength": 561.0, "Aquire": 1}, {"Wavelength": 633.0, "Aquire": 1}],
                "DetectionChannels": [{"Acquire": 1, "DyeName": ""}],
            },
        ],
    },
}


def test_lsm_facts() -> None:
    facts = lsm_facts(LSM, {"C": 2, "T": 2})
    assert facts.voxel_size_um == (None, pytest.approx(0.2), pytest.approx(0.2))
    assert facts.times_s == (0.0, 2.5)
    assert facts.acquired == "2013-03-20T12:00:00.000"
    assert facts.instrument.immersion == "Oil"
    assert facts.channels == (
        Channel("Ch1-T1", "EGFP", 488.0, None, "00FF00"),
        Channel("Ch2-T2", None, None, None, "FF0000"),  # two laser lines: which one is not stated
    )


def test_lsm_channels_that_do_not_fit_the_tracks_say_nothing() -> None:
    swapped = {**LSM, "ChannelColors": {"ColorNames": ["Ch2-T2", "Ch1-T1"], "Colors": []}}
    assert lsm_facts(swapped, {"C": 2}).channels == (Channel("Ch2-T2"), Channel("Ch1-T1"))
    assert lsm_facts(LSM, {"C": 3}).channels[0] == Channel("Ch1-T1", color="00FF00")
    assert lsm_facts(LSM, {"C": 2, "T": 3}).times_s is None
    assert lsm_facts({}, {"C": 1}).channels == (Channel(),)
