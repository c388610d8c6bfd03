"""Every real TIFF and LSM file: what it states, and its pixels against tifffile's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from neuropack.axes import full_box
from neuropack.readers import tiff
from neuropack.volume import Volume

Find = Callable[[str], Path]

NONE = (None, None, None)
# name: format, axes, shape, dtype, voxel size
TABLE: dict[str, tuple[str, str, tuple[int, ...], str, tuple[float | None, ...]]] = {
    "ccf/downsampled_standard.tiff": ("TIFF", "CZYX", (1, 132, 80, 114), "uint16", NONE),
    "ccf/region.tiff": ("TIFF", "QYX", (132, 80, 114), "int16", NONE),
    "lsm/032113-18.lsm": ("LSM", "CZYX", (3, 1, 512, 512), "uint8", (None, 1.0378322762, 1.0378322762)),
    "neuron/mapmanager-rr30a-tp0-ch2-crop320.tif": (
        "ImageJ TIFF", "CZYX", (1, 70, 320, 320), "uint8", (1, 0.12, 0.12),
    ),
    "ome-tiff/18x24y5z5t2c8b-text.ome.tiff": ("OME-TIFF", "TCZYX", (5, 2, 5, 24, 18), "uint8", NONE),
    "ome-tiff/4D-series.ome.tiff": ("OME-TIFF", "TCZYX", (7, 1, 5, 167, 439), "int8", NONE),
    "ome-tiff/s_1_t_1_c_1_z_1.ome.tiff": (
        "OME-TIFF", "CZYX", (1, 1, 325, 475), "uint16", (None, 1.0833333333, 1.0833333333),
    ),
    "tiff/input1_zyx.tiff": ("ImageJ TIFF", "CZYX", (1, 5, 198, 356), "uint16", NONE),
    "tiff/redZstack.tif": ("ImageJ TIFF", "CZYX", (1, 10, 64, 64), "uint8", NONE),
    "tiff/xyz_8bit__mitotic_plate_calibrated.tiff": (
        "ImageJ TIFF", "CZYX", (1, 6, 263, 263), "uint8", (3, 0.0851964284, 0.0851964284),
    ),
    "tiff/yb10kx5k.zstd.tiff": ("TIFF", "CZYX", (3, 1, 5000, 10000), "uint8", NONE),
    "tiff/zcyx.tiff": ("ImageJ TIFF", "CZYX", (2, 25, 50, 50), "uint8", (0.0544550018, 0.4356400445, 0.4356400445)),
}  # fmt: skip
COMPANION = "ome-tiff/companion/18x24y5z1t1c8b-text-companion.ome"


def one(path: Path) -> Volume:
    volumes = tiff.open_file(path)
    assert len(volumes) == 1
    return volumes[0]


def random_boxes(shape: tuple[int, ...], count: int) -> list[tuple[slice, ...]]:
    rng = np.random.default_rng(7)
    boxes = []
    for _ in range(count):
        start = [int(rng.integers(n)) for n in shape]
        boxes.append(tuple(slice(a, int(rng.integers(a, n)) + 1) for a, n in zip(start, shape, strict=True)))
    return boxes


@pytest.mark.parametrize("name", TABLE)
def test_what_a_real_file_states(name: str, data_file: Find) -> None:
    path = data_file(name)
    with path.open("rb") as file:
        assert tiff.sniff(file.read(4096), path)
    kind, axes, shape, dtype, size = TABLE[name]
    with one(path) as volume:
        assert (volume.format, volume.axes, volume.shape, volume.dtype) == (kind, axes, shape, np.dtype(dtype))
        assert volume.scene is None
        for axis, stated, expected in zip("zyx", volume.voxel_size_um, size, strict=True):
            assert stated == (None if expected is None else pytest.approx(expected))
            assert volume.sources[f"voxel_size_um.{axis}"] == ("missing" if expected is None else "file")
        assert volume.sources["axes"] == ("missing" if "Q" in axes else "file")


@pytest.mark.parametrize("name", TABLE)
def test_pixels_of_a_real_file(name: str, data_file: Find) -> None:
    path = data_file(name)
    expected = tifffile.imread(path)
    with one(path) as volume:
        expected = expected.reshape(volume.native_shape)
        if expected.nbytes < 2**24:
            np.testing.assert_array_equal(volume.pixels.read(full_box(volume.native_shape)), expected)
        for box in random_boxes(volume.native_shape, 6):
            found = volume.pixels.read(box)
            assert found.dtype == volume.dtype
            np.testing.assert_array_equal(found, expected[box])


def test_the_twin_of_the_czi_describes_its_microscope(data_file: Find) -> None:
    with one(data_file("ome-tiff/s_1_t_1_c_1_z_1.ome.tiff")) as volume:
        record = volume.describe()
    assert record["channels"] == [
        {
            "name": "Bright",
            "fluorophore": "TL Brightfield",
            "excitation_nm": None,
            "emission_nm": None,
            "color": "FFFFFF",
        }
    ]
    assert record["acquired"] == "2019-06-27T18:33:40.619000"
    assert record["instrument"] == {
        "manufacturer": None,
        "model": None,
        "objective": "Plan-Apochromat 20x/0.8 M27",
        "magnification": 20.0,
        "numerical_aperture": 0.8,
        "immersion": "Air",
    }
    assert record["sources"]["instrument.immersion"] == "file"
    assert record["sources"]["channels.0.emission_nm"] == "missing"


def test_lsm_describes_its_channels(data_file: Find) -> None:
    with one(data_file("lsm/032113-18.lsm")) as volume:
        channels = [(c.name, c.fluorophore, c.excitation_nm, c.color) for c in volume.channels]
        assert volume.acquired == "2013-03-20T20:18:58.000"
        assert volume.instrument.objective == "Plan-Apochromat 20x/0.8 M27"
        assert (volume.instrument.magnification, volume.instrument.numerical_aperture) == (20.0, 0.8)
        assert volume.planar
    assert channels == [
        ("Ch1-T1", "DAPI", 405.0, "0000FF"),
        ("Ch2-T2", "Alexa Fluor 546", 561.0, "FF0000"),
        ("T PMT-T2", None, 561.0, "FFFFFF"),
    ]


def test_the_old_default_colour_is_missing(data_file: Find) -> None:
    with one(data_file("ome-tiff/18x24y5z5t2c8b-text.ome.tiff")) as volume:
        assert [c.color for c in volume.channels] == [None, None]
        assert volume.acquired == "2010-03-02T10:01:15"
        assert volume.sources["times_s"] == "missing"


def test_a_pyramid_has_its_levels(data_file: Find) -> None:
    with one(data_file("tiff/yb10kx5k.zstd.tiff")) as volume, tifffile.TiffFile(volume.path) as file:
        shapes = [level.shape for level in volume.levels]
        assert shapes == [(3, 1, 2500, 5000), (3, 1, 1250, 2500), (3, 1, 625, 1250), (3, 1, 312, 625)]
        for number in (3, 4):
            expected = np.moveaxis(file.series[0].levels[number].asarray(), -1, 0)[:, None]
            np.testing.assert_array_equal(np.asarray(volume.level(number)), expected)
        assert [c.color for c in volume.channels] == ["FF0000", "00FF00", "0000FF"]


def test_every_member_of_a_companion_set_opens_the_set(data_file: Find) -> None:
    companion = data_file(COMPANION)
    members = sorted(companion.parent.glob("*-split-Z?.ome.tiff"))
    expected = np.stack([tifffile.imread(m) for m in members]).transpose(3, 0, 1, 2)
    assert expected.shape == (3, 5, 24, 18)
    for path in (companion, *members):
        with path.open("rb") as file:
            assert tiff.sniff(file.read(4096), path)
        with one(path) as volume:
            assert (volume.axes, volume.shape, volume.format) == ("CZYX", (3, 5, 24, 18), "OME-TIFF")
            assert volume.path == path
            np.testing.assert_array_equal(np.asarray(volume), expected)


def test_the_user_names_an_unknown_axis(data_file: Find) -> None:
    with one(data_file("ccf/region.tiff")) as volume:
        named: Any = volume.with_axes("ZYX")
        assert (named.axes, named.shape, named.sources["axes"]) == ("CZYX", (1, 132, 80, 114), "user")
        np.testing.assert_array_equal(named[0], tifffile.imread(volume.path))
