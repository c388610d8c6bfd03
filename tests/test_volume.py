"""The hub: lazy indexing, and where each field comes from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neuropack.errors import InputError, UsageError
from neuropack.volume import Channel, Volume, from_array, stated

ARRAY = np.arange(2 * 4 * 5 * 6, dtype="u2").reshape(2, 4, 5, 6)


@pytest.fixture
def volume() -> Volume:
    return from_array(ARRAY, "CZYX", voxel_size_um=(2.0, 0.5, 0.5), channels=(Channel("EGFP", emission_nm=509.0),))


@pytest.mark.parametrize(
    "key",
    [
        np.s_[...],
        np.s_[0],
        np.s_[1, 1:3, :, 2],
        np.s_[..., -1],
        np.s_[:, ::2, 1:5:3],
        np.s_[1, -2:, 0:2, 3:9],
        np.s_[0, 2:2],
    ],
)
def test_indexing_is_numpys(volume: Volume, key: object) -> None:
    np.testing.assert_array_equal(volume[key], ARRAY[key])
    assert volume[key].shape == ARRAY[key].shape


def test_index_errors(volume: Volume) -> None:
    with pytest.raises(IndexError, match="outside axis Z"):
        volume[0, 4]
    with pytest.raises(IndexError, match="5 indices"):
        volume[0, 0, 0, 0, 0]


def test_levels_that_are_not_there(volume: Volume) -> None:
    assert volume.level(0) is volume
    for number in (-1, 1):
        with pytest.raises(IndexError, match="none of the levels 0 to 0"):
            volume.level(number)


def test_sources(volume: Volume) -> None:
    sources = volume.sources
    assert sources["voxel_size_um.z"] == sources["channels.0.name"] == sources["axes"] == "file"
    assert sources["channels.0.excitation_nm"] == sources["channels.1.name"] == sources["acquired"] == "missing"
    changed = volume.with_voxel_size((None, 0.4, None)).with_channels((Channel(color="00FF00"), Channel("dTomato")))
    assert changed.voxel_size_um == (2.0, 0.4, 0.5)
    assert changed.sources["voxel_size_um.y"] == changed.sources["channels.1.name"] == "user"
    assert changed.sources["voxel_size_um.x"] == changed.sources["channels.0.name"] == "file"
    assert (changed.channels[0].name, changed.channels[0].color) == ("EGFP", "00FF00")


def test_describe_letters_match_shape(volume: Volume) -> None:
    record = volume.describe()
    assert len(record["axes"]) == len(record["shape"])
    assert record["voxel_size_um"] == [2.0, 0.5, 0.5]
    assert record["channels"][0]["name"] == "EGFP"
    assert "EGFP" in repr(volume)
    assert "C=2 Z=4 Y=5 X=6 uint16" in repr(volume)


@pytest.mark.parametrize("value", [0, -1, 1e-13, float("nan"), float("inf"), None, "?"])
def test_what_formats_write_for_unknown_is_missing(value: object) -> None:
    assert stated(value) is None


def test_missing_voxel_size_names_the_flag() -> None:
    volume = from_array(ARRAY, "CZYX", voxel_size_um=(None, 0.5, 0.5))
    with pytest.raises(UsageError, match="--voxel-size"):
        volume.require_voxel_size()
    from_array(ARRAY[:, :1], "CZYX", voxel_size_um=(None, 0.5, 0.5)).require_voxel_size()  # a plane needs no z


def test_planar_is_one_plane_without_spacing() -> None:
    plane = from_array(ARRAY[:, :1], "CZYX", voxel_size_um=(None, 0.5, 0.5))
    assert plane.planar
    assert not plane.with_voxel_size((1.0, 0.5, 0.5)).planar


def test_a_file_that_contradicts_itself() -> None:
    with pytest.raises(InputError, match="contradicts itself"):
        Volume(
            path="x", format="array", native_axes="CYX", native_shape=(1, 2, 3, 4), dtype=ARRAY.dtype, pixels=None
        )


def test_channels_must_be_described_completely(volume: Volume) -> None:
    with pytest.raises(UsageError, match="2 channels"):
        volume.with_channels((Channel("one"),))


def test_the_bytes_of_an_image_that_claims_to_be_huge_are_no_less() -> None:
    volume = from_array(np.zeros((1, 1, 1, 1), np.uint16), axes="CZYX")
    assert replace(volume, native_shape=(1, 1 << 21, 1 << 21, 1 << 21)).nbytes == 2 << 63
