"""Our own NWB read back: the same image, lazily; and clear words for everything else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from reading import assert_reads

from neuropack.axes import Array, Box, full_box
from neuropack.errors import InputError
from neuropack.readers.nwb import open_file, sniff
from neuropack.volume import Channel, Instrument, Volume
from neuropack.writers.nwb import NwbMetadata, NwbSink
from neuropack.writers.nwb_pixels import chunks_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
META = NwbMetadata(identifier="1", session_start_time=NOW, created=NOW)
CHANNELS = (
    Channel("b/405: {odd}", "DAPI", 405.0, 450.5, "0000FF"),
    Channel(),
    Channel("a", None, 561.0, None),
    Channel(None, "tdTomato", None, 581.0),
)


class Memory:
    """An array as Pixels."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def read(self, box: Box) -> Array:
        return self.array[box]

    def native_blocks(self) -> Any:
        yield full_box(self.array.shape)

    def close(self) -> None:
        pass


def volume(shape: tuple[int, ...], axes: str = "CZYX", dtype: str = "u2", **fields: Any) -> Volume:
    array = np.random.default_rng(3).integers(0, 2 if dtype == "?" else 100, shape).astype(dtype)
    fields.setdefault("voxel_size_um", (2.0, 0.5, 0.25))
    return Volume(
        path=Path("raw.tif"),
        format="TIFF",
        native_axes=axes,
        native_shape=shape,
        dtype=array.dtype,
        pixels=Memory(array),
        **fields,
    )


def write(path: Path, image: Volume, meta: NwbMetadata = META) -> Path:
    sink = NwbSink(path, image, meta)
    for box in chunks_of(full_box(image.shape), sink.encoder.footprint):
        sink.commit(sink.encoder.encode(box, image.read(box), None))
    sink.finish()
    return path


IMAGES = {
    "channels": volume((4, 35, 70, 131), channels=CHANNELS, origin_um=(-1.5, 20.0, 3.25)),
    "one plane of known thickness": volume((2, 1, 5, 6), dtype="i1"),
    "planar": volume((2, 150, 6), "CYX", dtype="f4", voxel_size_um=(None, 0.5, 0.25)),
    "colour image": volume((5, 6, 3), "YXS", "u1", voxel_size_um=(None, 0.5, 0.25)),
    "series": volume((4, 2, 3, 5, 6), "TCZYX", times_s=(0.0, 0.1, 2.5, 3.0), channels=CHANNELS[:2]),
    "planar series": volume((4, 2, 5, 6), "TCYX", times_s=(0.0, 1.0, 2.5, 3.0), voxel_size_um=(None, 1, 1)),
    "time points": volume((3, 2, 3, 5, 6), "TCZYX", channels=CHANNELS[2:]),
    "many time points": volume((12, 1, 2, 2), "TCYX", voxel_size_um=(None, 1, 1)),
    "truth values": volume((1, 3, 5, 6), dtype="?"),
    "many channels": volume((12, 2, 3, 4)),
    "microscope": volume(
        (1, 3, 5, 6), instrument=Instrument("Zeiss", "LSM 880", "Plan", 25.0, 0.8, "oil"), dtype="f8"
    ),
    "half a microscope": volume((1, 3, 5, 6), instrument=Instrument(model="LSM 880", magnification=40.0)),
}


@pytest.mark.parametrize("name", IMAGES)
def test_what_was_written_is_read_back(tmp_path: Path, name: str) -> None:
    want = IMAGES[name]
    path = write(tmp_path / "a.nwb", want)
    assert sniff(path.read_bytes()[:4096], path)
    (got,) = open_file(path)
    with got:
        assert (got.path, got.format, got.scene) == (path, "NWB", None)
        assert (got.axes, got.shape, got.dtype) == (want.axes, want.shape, want.dtype)
        assert got.planar == want.planar
        assert got.voxel_size_um == want.voxel_size_um
        assert got.origin_um == want.origin_um
        assert got.channels == want.channels
        assert got.times_s == want.times_s
        assert got.instrument == want.instrument
        assert got.acquired == NOW.isoformat()
        assert_reads(got, want[...])


def test_a_box_is_read_and_nothing_more(tmp_path: Path) -> None:
    want = IMAGES["series"]
    (got,) = open_file(write(tmp_path / "a.nwb", want))
    with got:
        np.testing.assert_array_equal(got[1:3, 1, 2, 1:4, 2:5], want[1:3, 1, 2, 1:4, 2:5])


@pytest.mark.parametrize("name", ["channels", "planar", "series", "planar series", "time points"])
def test_the_native_blocks_are_the_chunks_each_once(tmp_path: Path, name: str) -> None:
    (got,) = open_file(write(tmp_path / "a.nwb", IMAGES[name]))
    seen = np.zeros(got.shape, int)
    number = 0
    for box in got.native_blocks():
        seen[box] += 1
        number += 1
    assert seen.min() == seen.max() == 1
    assert number == {"channels": 16, "planar": 2, "series": 8, "planar series": 8, "time points": 6}[name]


def test_a_dataset_without_chunks_is_read_in_rows(tmp_path: Path) -> None:
    image = volume((1, 2, 3000, 1000))
    path = write(tmp_path / "a.nwb", image)
    with h5py.File(path, "r+") as file:
        (name,) = [n for n in file["acquisition/stack"] if "data" in file[f"acquisition/stack/{n}"]]
        data = file[f"acquisition/stack/{name}/data"]
        pixels, attributes = data[...], dict(data.attrs)
        group = data.parent
        del group["data"]
        group.create_dataset("data", data=pixels).attrs.update(attributes)
    (got,) = open_file(path)
    with got:
        assert len(list(got.native_blocks())) == 4
        for box in got.native_blocks():
            np.testing.assert_array_equal(got.read(box), image.read(box))


def test_several_containers_are_scenes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb", IMAGES["planar"])
    with h5py.File(path, "r+") as file:
        file.copy(file["acquisition/stack"], "acquisition/other")
        file.copy(file["acquisition/stack"], "acquisition/stack_t001")
    assert [v.scene for v in open_file(path)] == ["other", "stack", "stack_t001"]


def test_time_points_that_differ_or_lack_one_stay_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb", IMAGES["time points"])
    with h5py.File(path, "r+") as file:
        del file["acquisition/stack_t001"]
    assert [v.scene for v in open_file(path)] == ["stack_t000", "stack_t002"]


def test_another_programs_names_are_taken_from_its_objects(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb", IMAGES["channels"])
    with h5py.File(path, "r+") as file:
        for image in file["acquisition/stack"].values():
            image["microscopy_channel"].attrs["description"] = "a channel"
    (got,) = open_file(path)
    assert [(c.name, c.fluorophore) for c in got.channels] == [
        ("a", "a"),
        ("b_405_ {odd}", "DAPI"),
        ("channel_1", None),
        ("tdTomato", "tdTomato"),
    ]
    assert got.channels[1].excitation_nm == 405.0


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("nwb/1.5.1_imageseries_no_unit.nwb", "ImageSeries acquisition/test_imageseries"),
        ("nwb/2.1.0_imageseries_non_external_format.nwb", "ImageSeries acquisition/test_imageseries"),
        ("nwb/2.2.0_subject_no_age__reference.nwb", "Subject general/subject"),
    ],
)
def test_a_foreign_nwb_file_is_told_what_it_holds(data_file: Callable[[str], Path], name: str, found: str) -> None:
    path = data_file(name)
    assert sniff(path.read_bytes()[:4096], path)
    with pytest.raises(InputError, match="without an image stack") as error:
        open_file(path)
    assert error.value.found == found
    assert error.value.file == path


def test_content_tells_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a.nwb"
    path.write_text("not HDF5")
    assert not sniff(path.read_bytes(), path)
    assert not sniff(b"", tmp_path)
    with h5py.File(path, "w") as file:
        file["x"] = 1
    assert not sniff(path.read_bytes()[:4096], path)
    with h5py.File(path, "w", userblock_size=1024) as file:
        file.attrs["nwb_version"] = "2.9.0"
    assert sniff(path.read_bytes()[:4096], path)


@pytest.mark.parametrize("keep", [100, 5000, -3000, -1])
def test_a_truncated_file_is_one_clear_error(tmp_path: Path, keep: int) -> None:
    path = write(tmp_path / "a.nwb", IMAGES["channels"])
    path.write_bytes(path.read_bytes()[:keep])
    assert sniff(path.read_bytes()[:4096], path)
    with pytest.raises(InputError, match="damaged or incomplete") as error:
        open_file(path)
    assert error.value.file == path


def test_a_broken_chunk_is_one_clear_error_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb", IMAGES["channels"])
    with h5py.File(path) as file:
        chunk = file["acquisition/stack/channel_1/data"].id.get_chunk_info(2)
    content = bytearray(path.read_bytes())
    middle = chunk.byte_offset + chunk.size // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    (got,) = open_file(path)
    with got:
        np.testing.assert_array_equal(got[0], IMAGES["channels"][0])
        with pytest.raises(InputError, match="damaged") as error:
            got[1]
    assert error.value.where == "/acquisition/stack/channel_1/data"
    assert error.value.file == path


@pytest.mark.parametrize("part", ["data", "microscopy_channel", "volumetric_imaging_space", "microscopy_rig"])
def test_an_image_that_lacks_a_part_is_one_clear_error(tmp_path: Path, part: str) -> None:
    path = write(tmp_path / "a.nwb", IMAGES["truth values"])
    with h5py.File(path, "r+") as file:
        del file[f"acquisition/stack/channel_0/{part}"]
    with pytest.raises(InputError, match="damaged") as error:
        open_file(path)
    assert part in str(error.value)


def test_channels_of_unlike_shape_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb", IMAGES["many channels"])
    with h5py.File(path, "r+") as file:
        del file["acquisition/stack/channel_3/data"]
        file["acquisition/stack/channel_3/data"] = np.zeros((2, 3, 5), "u2")
    with pytest.raises(InputError, match="differ"):
        open_file(path)


def test_pixels_that_are_no_image_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb", IMAGES["truth values"])
    with h5py.File(path, "r+") as file:
        del file["acquisition/stack/channel_0/data"]
        file["acquisition/stack/channel_0/data"] = np.zeros((2, 3, 5, 5), "u2")
    with pytest.raises(InputError, match="not those of an image"):
        open_file(path)


def test_reading_needs_no_pynwb(tmp_path: Path) -> None:
    import subprocess

    path = write(tmp_path / "a.nwb", IMAGES["truth values"])
    code = (
        "import sys; from pathlib import Path; from neuropack.readers.nwb import open_file;"
        f"v, = open_file(Path({str(path)!r})); v[...]; v.close(); print('pynwb' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
