"""OME-Zarr: what is written is what was read, and the metadata place it rightly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from neuropack.convert import convert
from neuropack.engine import plan
from neuropack.errors import InputError, UsageError
from neuropack.readers import open_volume
from neuropack.volume import Channel, Volume, from_array
from neuropack.writers.ome_zarr import OmeZarrSink
from neuropack.writers.pyramid import downsample, plan_levels
from neuropack.writers.store import LocalStore


def image(path: Path, shape: tuple[int, ...] = (2, 9, 300, 260), axes: str = "CZYX", **fields: object) -> Volume:
    array = np.random.default_rng(1).integers(0, 60000, shape).astype("u2")
    source = path / "source.bin"
    source.write_bytes(array.tobytes()[:1000])
    fields.setdefault("voxel_size_um", (2.0, 0.5, 0.5))
    return from_array(array, axes, path=source, **fields)


def test_round_trip_with_metadata(tmp_path: Path) -> None:
    channels = (Channel("EYFP", excitation_nm=514.0, emission_nm=527.0, color="00FF00"), Channel())
    volume = image(tmp_path, channels=channels, acquired="2026-01-02T03:04:05+00:00")
    convert(volume, [tmp_path / "a.ome.zarr"])
    back = open_volume(tmp_path / "a.ome.zarr")
    np.testing.assert_array_equal(back[...], volume[...])
    assert back.voxel_size_um == volume.voxel_size_um
    assert back.channels == volume.channels  # the second stays unknown, though OME needs a label for it
    assert back.acquired == volume.acquired


def test_ome_metadata(tmp_path: Path) -> None:
    convert(image(tmp_path), [tmp_path / "a.ome.zarr"])
    ome = json.loads((tmp_path / "a.ome.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    multiscale = ome["multiscales"][0]
    assert ome["version"] == "0.5"
    assert [(a["name"], a.get("unit")) for a in multiscale["axes"]] == [
        ("c", None), ("z", "micrometer"), ("y", "micrometer"), ("x", "micrometer"),
    ]  # fmt: skip
    second = multiscale["datasets"][1]["coordinateTransformations"]
    assert second[0] == {"type": "scale", "scale": [1.0, 2.0, 1.0, 1.0]}
    # the centre of the first binned voxel lies between the first two voxels
    assert second[1] == {"type": "translation", "translation": [0.0, 0.0, 0.25, 0.25]}
    assert len(ome["omero"]["channels"]) == 2


def test_levels_are_means_of_level_0(tmp_path: Path) -> None:
    volume = image(tmp_path)
    convert(volume, [tmp_path / "a.ome.zarr"])
    level = open_volume(tmp_path / "a.ome.zarr").level(1)
    whole = volume[...].astype(float).reshape(2, 9, 150, 2, 130, 2).mean((3, 5))
    np.testing.assert_array_equal(level[...], np.floor(whole + 0.5))


@pytest.mark.parametrize(
    ("shape", "spacing"), [((2, 70, 701, 1100), (1.0, 0.5, 0.5)), ((1, 131, 530, 520), (1.0, 1.0, 1.0))]
)
def test_every_level_is_made_of_the_one_before_whatever_the_blocks(
    tmp_path: Path, shape: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    volume = image(tmp_path, shape, voxel_size_um=spacing)
    convert(volume, [tmp_path / "a.ome.zarr"], memory=200 << 20)
    sink = OmeZarrSink(LocalStore(tmp_path / "b"), "b", volume, record={})
    assert len(plan(volume, [sink.encoder], 200 << 20, 2).boxes()) > 3
    back = open_volume(tmp_path / "a.ome.zarr")
    whole = volume[...]
    np.testing.assert_array_equal(back[...], whole)
    levels = plan_levels(volume.size_zyx, spacing)
    assert len(back.levels) == len(levels) - 1 >= 3
    for number in range(1, len(levels)):
        factors = zip(levels[number].factor, levels[number - 1].factor, strict=True)
        whole = downsample(whole, tuple(a // b for a, b in factors), labels=False)
        np.testing.assert_array_equal(back.level(number)[...], whole)


def test_every_shard_is_written_even_where_all_is_zero(tmp_path: Path) -> None:
    volume = from_array(np.zeros((1, 4, 300, 300), "u2"), "CZYX", path=__file__, voxel_size_um=(1, 1, 1))
    convert(volume, [tmp_path / "a.ome.zarr"])
    array = zarr.open_array(tmp_path / "a.ome.zarr" / "0", mode="r")
    shards = [p for p in (tmp_path / "a.ome.zarr" / "0" / "c").rglob("*") if p.is_file()]
    assert len(shards) == np.prod([-(-n // s) for n, s in zip(array.shape, array.shards, strict=True)])
    assert all(p.stat().st_size > 100 for p in shards)


def test_a_deleted_shard_is_an_error_and_no_zeros(tmp_path: Path) -> None:
    convert(image(tmp_path), [tmp_path / "a.ome.zarr"])
    back = open_volume(tmp_path / "a.ome.zarr")
    shard = next(p for p in sorted((tmp_path / "a.ome.zarr" / "0" / "c").rglob("*")) if p.is_file())
    shard.unlink()
    with pytest.raises(InputError, match="a shard is missing"):
        back[...]


def test_a_flipped_bit_is_an_error(tmp_path: Path) -> None:
    convert(image(tmp_path), [tmp_path / "a.ome.zarr"])
    shard = next(p for p in sorted((tmp_path / "a.ome.zarr" / "0" / "c").rglob("*")) if p.is_file())
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(InputError, match="cannot be decoded"):
        open_volume(tmp_path / "a.ome.zarr")[...]


def test_one_plane_without_spacing_is_written_cyx(tmp_path: Path) -> None:
    volume = image(tmp_path, (2, 1, 200, 140), voxel_size_um=(None, 0.5, 0.5))
    convert(volume, [tmp_path / "a.ome.zarr"])
    assert zarr.open_array(tmp_path / "a.ome.zarr" / "0", mode="r").shape == (2, 200, 140)
    back = open_volume(tmp_path / "a.ome.zarr")
    assert (back.axes, back.shape, back.voxel_size_um) == ("CZYX", volume.shape, (None, 0.5, 0.5))
    np.testing.assert_array_equal(back[...], volume[...])


def test_time_with_and_without_stated_times(tmp_path: Path) -> None:
    times = (0.0, 30.0, 61.0)
    for name, stated in (("with", times), ("without", None)):
        volume = image(tmp_path, (3, 2, 4, 40, 40), "TCZYX", times_s=stated)
        convert(volume, [tmp_path / f"{name}.ome.zarr"])
        back = open_volume(tmp_path / f"{name}.ome.zarr")
        assert back.times_s == stated
        np.testing.assert_array_equal(back[...], volume[...])


def test_labels(tmp_path: Path) -> None:
    array = np.zeros((8, 200, 200), "u4")
    array[2:5, 50:90, 60:100] = 614454277
    volume = from_array(array, "ZYX", path=__file__, voxel_size_um=(1, 1, 1))
    convert(volume, [tmp_path / "a.ome.zarr"], labels=True)
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    ome = group.attrs["ome"]
    assert [a["name"] for a in ome["multiscales"][0]["axes"]] == ["z", "y", "x"]
    assert [c["label-value"] for c in ome["image-label"]["colors"]] == [614454277]
    assert set(np.unique(group["1"][:])) == {0, 614454277}


def test_a_colour_image_is_no_label_image(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a label image"):
        convert(image(tmp_path), [tmp_path / "a.ome.zarr"], labels=True)


def test_reads_version_04_of_others(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "b.zarr", mode="w", zarr_format=2)
    group.create_array("0", data=np.arange(24, dtype="u1").reshape(1, 2, 3, 4))
    scale = {"type": "scale", "scale": [1, 2000, 500, 500]}
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": "c", "type": "channel"}]
            + [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"],
            "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
        }
    ]
    volume = open_volume(tmp_path / "b.zarr")
    assert (volume.shape, volume.voxel_size_um) == ((1, 2, 3, 4), (2.0, 0.5, 0.5))
    assert volume[0, 1, 2, 3] == 23


def test_metadata_that_describe_no_image(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "b.zarr", mode="w", attributes={"ome": {"version": "0.5"}})
    with pytest.raises(InputError, match="does not describe an image"):
        open_volume(tmp_path / "b.zarr")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("channels", 5),
        ("channels", [{"name": "x", "nonsense": 1}]),
        ("channels", [{"excitation_nm": "green"}]),
        ("acquired", "yesterday"),
        ("times_s", [None]),
        ("instrument", []),
    ],
)
def test_a_record_that_somebody_edited(tmp_path: Path, key: str, value: object) -> None:
    convert(image(tmp_path), [tmp_path / "a.ome.zarr"])
    file = tmp_path / "a.ome.zarr" / "zarr.json"
    node = json.loads(file.read_text())
    node["attributes"]["neuropack"]["image"][key] = value
    file.write_text(json.dumps(node))
    with pytest.raises(InputError, match="does not describe an image"):
        open_volume(tmp_path / "a.ome.zarr")


def test_an_image_without_levels(tmp_path: Path) -> None:
    ome = {"version": "0.5", "multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": []}]}
    zarr.open_group(tmp_path / "b.zarr", mode="w", attributes={"ome": ome})
    with pytest.raises(InputError, match="does not describe an image"):
        open_volume(tmp_path / "b.zarr")
