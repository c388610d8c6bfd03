"""The NWB sink: what it writes is right, valid, the same every time, and survives being killed."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from isal import isal_zlib

from neuropack.axes import Array, Box, box_shape, full_box
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.volume import Channel, Instrument, Volume
from neuropack.writers.nwb import NwbMetadata, NwbSink, NwbSubject, Unresumable
from neuropack.writers.nwb_file import Layout
from neuropack.writers.nwb_pixels import TARGET_BYTES, chunk_shape, chunks_of, encode

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
META = NwbMetadata(identifier="8e1f", session_start_time=NOW, created=NOW, subject=NwbSubject())
FULL = NwbMetadata(
    identifier="8e1f",
    session_start_time=NOW,
    created=NOW,
    session_description="Fixed tissue.",
    session_id="01",
    experimenter=("Doe, Jane", "Roe, Ann"),
    lab="Example lab",
    institution="Example Institute",
    keywords=("Brainbow", "morphology"),
    experiment_description="Sparse labelling.",
    protocol="P1",
    virus="AAV",
    surgery="none",
    notes="a note",
    related_publications=("doi:10.1000/x",),
    subject=NwbSubject(subject_id="M01", species="Mus musculus", sex="M", age="P56D", weight="0.025 kg"),
    anatomical_target="primary motor area",
    illumination="line_scan",
    technique="laser scanning confocal",
    stack_name="LH/25x",
    record={"version": "0.1.0", "source": {"name": "a.czi"}},
    external_files=(("sub-M01/a.ome.zarr", "0" * 64), ("sub-M01/b.ome.zarr", "1" * 64)),
)
CHANNELS = (
    Channel("405/DAPI", "DAPI", 405.0, 450.5, "0000FF"),
    Channel(),
    Channel("Ch:3"),
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
    rng = np.random.default_rng(7)
    array = rng.integers(0, 2 if dtype == "?" else 100, shape).astype(dtype)
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


def blocks(image: Volume, sink: NwbSink) -> list[Box]:
    return list(chunks_of(full_box(image.shape), sink.encoder.footprint))


def write(path: Path, image: Volume, meta: NwbMetadata = META) -> Path:
    sink = NwbSink(path, image, meta)
    for box in blocks(image, sink):
        sink.commit(sink.encoder.encode(box, image.read(box), None))
    sink.finish()
    sink.close()
    return path


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "?"])
def test_hdf5_reads_the_same_voxels_for_every_type(tmp_path: Path, dtype: str) -> None:
    image = volume((2, 35, 70, 131), dtype=dtype)
    with h5py.File(write(tmp_path / "a.nwb", image)) as file:
        for c in range(2):
            data = file[f"acquisition/stack/channel_{c}/data"]
            assert data.shape == (35, 70, 131)
            assert data.shuffle and data.compression == "gzip"
            np.testing.assert_array_equal(data[...], image[c])


def test_a_block_of_many_chunks_is_the_same_file_as_many_blocks(tmp_path: Path) -> None:
    image = volume((2, 40, 150, 200))
    sink = NwbSink(tmp_path / "b.nwb", image, META)
    assert sink.encoder.footprint == (1, 32, 128, 128)
    for z in (slice(0, 32), slice(32, 40)):
        for c in (slice(0, 1), slice(1, 2)):
            box = (c, z, slice(0, 150), slice(0, 200))
            sink.commit(sink.encoder.encode(box, image.read(box), None))
    sink.finish()
    with h5py.File(tmp_path / "b.nwb") as file:
        np.testing.assert_array_equal(file["acquisition/stack/channel_1/data"][...], image[1])


def test_sizes_are_x_first_and_unknown_wavelengths_are_nan(tmp_path: Path) -> None:
    image = volume((3, 4, 5, 6), channels=CHANNELS, origin_um=(1.0, 2.0, 3.0))
    with h5py.File(write(tmp_path / "a.nwb", image, FULL)) as file:
        stack = file["acquisition/LH_25x"]
        assert sorted(stack) == ["405_DAPI", "Ch_3", "channel_1"]
        space = stack["405_DAPI/volumetric_imaging_space"]
        assert list(space["voxel_size_in_um"]) == [0.25, 0.5, 2.0]
        assert list(space["dimensions_in_voxels"]) == [6, 5, 4]
        assert space.attrs["anatomical_target"] == "primary motor area"
        assert space["illumination_pattern"].attrs["neurodata_type"] == "LineScan"
        known, silent = (stack[f"{n}/microscopy_channel"] for n in ("405_DAPI", "channel_1"))
        assert known.attrs["excitation_wavelength_in_nm"] == 405.0
        assert known.attrs["emission_wavelength_in_nm"] == 450.5
        assert '"405/DAPI"' in known.attrs["description"]
        assert math.isnan(silent.attrs["excitation_wavelength_in_nm"])
        assert math.isnan(silent.attrs["emission_wavelength_in_nm"])
        lab = file["general/microscopy_experiment_metadata"]
        assert lab["unknown"].attrs["label"] == "unknown"
        assert lab["DAPI"].attrs["label"] == "DAPI"
        assert {"rig_405_DAPI", "rig_channel_1", "rig_Ch_3"} <= set(lab)
        assert file["general/source_script"].attrs["file_name"] == "neuropack convert"
        assert '"version": "0.1.0"' in file["general/source_script"].asstr()[()]
        table = file["processing/ophys/external_files"]
        assert list(table["path"].asstr()) == ["sub-M01/a.ome.zarr", "sub-M01/b.ome.zarr"]
        assert file["file_create_date"].asstr()[0] == NOW.isoformat()


def test_channels_without_a_dye_share_the_unknown_indicator(tmp_path: Path) -> None:
    with h5py.File(
        write(tmp_path / "a.nwb", volume((3, 1, 5, 6), channels=(Channel("a"), *CHANNELS[1:2])))
    ) as file:
        lab = file["general/microscopy_experiment_metadata"]
        kinds = {name: item.attrs["neurodata_type"] for name, item in lab.items()}
    assert sorted(n for n, k in kinds.items() if k == "Indicator") == ["a", "unknown"]


IMAGES = {
    "volume": volume((3, 4, 5, 6), channels=CHANNELS),
    "one plane of known thickness": volume((2, 1, 5, 6)),
    "planar": volume((2, 5, 6), "CYX", voxel_size_um=(None, 0.5, 0.25)),
    "colour image": volume((5, 6, 3), "YXS", "u1", voxel_size_um=(None, 0.5, 0.25)),
    "series": volume((4, 2, 3, 5, 6), "TCZYX", times_s=(0.0, 1.0, 2.5, 3.0)),
    "planar series": volume((4, 2, 5, 6), "TCYX", times_s=(0.0, 1.0, 2.5, 3.0), voxel_size_um=(None, 1, 1)),
    "time points": volume((3, 2, 3, 5, 6), "TCZYX"),
    "planar time points": volume((3, 2, 5, 6), "TCYX", voxel_size_um=(None, 1, 1)),
    "truth values": volume((1, 3, 5, 6), dtype="?"),
    "microscope": volume(
        (1, 3, 5, 6),
        instrument=Instrument("Zeiss", "LSM 880", "Plan", 25.0, None, "oil"),
        channels=(Channel("a", "rig_a", 488.125),),
    ),
}


@pytest.mark.parametrize(("name", "meta"), [("volume", META), ("time points", META), *((n, FULL) for n in IMAGES)])
def test_pynwb_finds_no_error_and_the_same_voxels(tmp_path: Path, name: str, meta: NwbMetadata) -> None:
    import pynwb

    image = IMAGES[name]
    path = write(tmp_path / "a.nwb", image, meta)
    assert pynwb.validate(path=path) == []
    with pynwb.NWBHDF5IO(path, "r") as io:
        acquisition = io.read().acquisition
        timed = "series" in name
        got = []
        for container in acquisition.values():
            images = container.microscopy_series if timed else container.microscopy_static_images
            planes = [images[n].data[...] for n in ("channel_0", "channel_1", "channel_2") if n in images]
            got.append(planes)
        kind = type(next(iter(images.values()))).__name__
        if timed:
            assert list(images["channel_0"].timestamps) == [0.0, 1.0, 2.5, 3.0]
            assert images["channel_0"].rate is None
    assert kind == ("Planar" if image.planar else "Volumetric") + "Microscopy" + (
        "Series" if timed else "StaticImage"
    )
    if "time points" in name:
        assert list(acquisition) == [f"{meta.stack_name.replace('/', '_')}_t00{t}" for t in range(3)]
    if name not in ("volume", "microscope"):  # these have names of their own
        want = image[...].swapaxes(0, 1)[None] if timed else image[...].reshape(len(got), *image.shape[-4:])
        want = want[..., 0, :, :] if image.planar else want
        np.testing.assert_array_equal(np.array(got), want)


def test_time_points_are_numbered_with_as_many_digits_as_they_need() -> None:
    layout = Layout.of(volume((1001, 1, 2, 2), "TCYX", voxel_size_um=(None, 1, 1)), "stack")
    assert (layout.containers[0], layout.containers[-1]) == ("stack_t0000", "stack_t1000")


SCRIPT = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
import test_nwb_sink as t
for i, image in enumerate(t.IMAGES.values()):
    t.write(Path(sys.argv[2]) / f"{i}.nwb", image, t.FULL)
"""


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    for seed in "12":
        (tmp_path / seed).mkdir()
        env = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(tmp_path / seed)], env=env, check=True
        )
    for i in range(len(IMAGES)):
        assert (tmp_path / f"1/{i}.nwb").read_bytes() == (tmp_path / f"2/{i}.nwb").read_bytes()


def test_object_ids_differ_between_files_and_within(tmp_path: Path) -> None:
    ids = []
    for identifier in ("a", "b"):
        meta = NwbMetadata(identifier=identifier, session_start_time=NOW, created=NOW)
        with h5py.File(write(tmp_path / f"{identifier}.nwb", IMAGES["volume"], meta)) as file:
            file.visititems(lambda _, o: ids.append(o.attrs["object_id"]) if "object_id" in o.attrs else None)
    assert len(ids) == len(set(ids)) > 20


@pytest.mark.parametrize("name", ["volume", "planar", "series", "time points", "truth values"])
def test_an_encoder_sent_elsewhere_makes_the_same_part(tmp_path: Path, name: str) -> None:
    image = IMAGES[name]
    sink = NwbSink(tmp_path / "a.nwb", image, META)
    sent = pickle.loads(pickle.dumps(sink.encoder))  # noqa: S301 - what multiprocessing and Dask do
    assert sent == sink.encoder and sent.footprint == sink.encoder.footprint
    with ThreadPoolExecutor(3) as pool:
        part = sent.encode(full_box(image.shape), image[...], None)
        assert part == sink.encoder.encode(full_box(image.shape), image[...], pool)
    sink.commit(pickle.loads(pickle.dumps(part)))  # noqa: S301
    sink.finish()
    assert (tmp_path / "a.nwb").read_bytes() == write(tmp_path / "b.nwb", image).read_bytes()


LONG = volume((2, 40, 300, 300), channels=CHANNELS[:2])  # 2 x 2 x 3 x 3 chunks


@pytest.fixture(scope="module")
def sparse() -> Volume:
    """242 nearly empty chunks a channel: HDF5 may pool small streams, and a node of its index splits at 64."""
    image = volume((2, 40, 650, 650), dtype="u8", channels=CHANNELS[:2])
    array = image.pixels.array  # type: ignore[attr-defined]
    array *= np.random.default_rng(1).random(array.shape) < 2e-4
    return image


@pytest.mark.parametrize(("stops", "flush_each"), [((), True), ((0, 64), False), (range(0, 484, 40), False)])
def test_continuing_a_sparse_image_gives_the_same_bytes(
    tmp_path: Path, sparse: Volume, stops: Sequence[int], flush_each: bool
) -> None:
    whole = write(tmp_path / "whole.nwb", sparse)
    path = tmp_path / "part.nwb"
    sink = NwbSink(path, sparse, META)
    boxes = blocks(sparse, sink)
    assert len(boxes) == 2 * 242
    for begin, end in zip((0, *stops), (*stops, len(boxes)), strict=True):
        for box in boxes[begin:end]:
            sink.commit(sink.encoder.encode(box, sparse.read(box), None))
            if flush_each:
                sink.flush()
        if end < len(boxes):
            sink.flush()
            sink.close()
            sink = NwbSink(path, sparse, META, resume=True)
    sink.finish()
    assert path.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("stop", [0, 1, 7, 35, 36])
def test_continuing_gives_the_bytes_of_an_undisturbed_run(tmp_path: Path, stop: int) -> None:
    whole = write(tmp_path / "whole.nwb", LONG)
    part = tmp_path / "part.nwb"
    sink = NwbSink(part, LONG, META)
    boxes = blocks(LONG, sink)
    assert len(boxes) == 36
    for box in boxes[:stop]:
        sink.commit(sink.encoder.encode(box, LONG.read(box), None))
        sink.flush()
    sink.close()
    sink = NwbSink(part, LONG, META, resume=True)
    for box in boxes[stop:]:
        sink.commit(sink.encoder.encode(box, LONG.read(box), None))
    sink.finish()
    assert part.read_bytes() == whole.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["part.nwb", "whole.nwb"]


def test_a_block_written_again_changes_nothing(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.nwb", LONG)
    sink = NwbSink(tmp_path / "again.nwb", LONG, META)
    for box in blocks(LONG, sink):
        sink.commit(sink.encoder.encode(box, LONG.read(box), None))
        sink.flush()
        sink.commit(sink.encoder.encode(box, LONG.read(box), None))
    sink.finish()
    assert (tmp_path / "again.nwb").read_bytes() == whole.read_bytes()


def test_what_cannot_be_continued_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nwb"
    with pytest.raises(Unresumable, match="cannot be continued"):
        NwbSink(path, LONG, META, resume=True)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(Unresumable):
        NwbSink(path, LONG, META, resume=True)
    write(path, LONG)
    other = NwbMetadata(identifier="another", session_start_time=NOW, created=NOW)
    with pytest.raises(Unresumable, match="another image"):
        NwbSink(path, LONG, other, resume=True)
    with pytest.raises(Unresumable, match="shape or type"):
        NwbSink(path, volume((2, 40, 300, 301), channels=CHANNELS[:2]), META, resume=True)
    with pytest.raises(Unresumable):
        NwbSink(path, volume((2, 40, 300, 300)), META, resume=True)


def test_a_missing_chunk_is_noticed_at_the_end(tmp_path: Path) -> None:
    sink = NwbSink(tmp_path / "a.nwb", LONG, META)
    for box in blocks(LONG, sink)[1:]:
        sink.commit(sink.encoder.encode(box, LONG.read(box), None))
    with pytest.raises(OutputError, match="pixels are missing"):
        sink.finish()
    sink.close()


@pytest.mark.parametrize(
    ("size", "lacking"), [((None, 0.5, 0.5), "z"), ((1.0, None, None), "y, x"), ((None, None, 1.0), "z, y")]
)
def test_a_missing_voxel_size_is_refused_and_the_flag_named(
    tmp_path: Path, size: tuple[float | None, ...], lacking: str
) -> None:
    with pytest.raises(UsageError, match=rf"voxel size along {lacking}\n") as error:
        NwbSink(tmp_path / "a.nwb", volume((1, 2, 3, 4), voxel_size_um=size), META)
    assert "--voxel-size" in str(error.value) and "raw.tif" in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", ["c8", "f2"])
def test_types_that_nwb_does_not_know_are_refused(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(InputError, match="this type"):
        NwbSink(tmp_path / "a.nwb", volume((1, 2, 3, 4), dtype=dtype), META)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="--session-start"):
        NwbMetadata(identifier="a", session_start_time=NOW.replace(tzinfo=None), created=NOW)


def test_metadata_that_pynwb_refuses_are_one_clear_error(tmp_path: Path) -> None:
    meta = NwbMetadata(identifier="a", session_start_time=NOW, created=NOW, lab=5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="do not fit NWB"):
        NwbSink(tmp_path / "a.nwb", volume((1, 2, 3, 4)), meta)
    assert not list(tmp_path.iterdir())


def test_no_folder_to_write_in(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere.*cannot be written"):
        NwbSink(tmp_path / "nowhere" / "a.nwb", LONG, META)


FULL_DISK = """
import resource, sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
import test_nwb_sink as t
path = Path(sys.argv[2])
sink = t.NwbSink(path, t.LONG, t.META)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    for box in t.blocks(t.LONG, sink):
        sink.commit(sink.encoder.encode(box, t.LONG.read(box), None))
        sink.flush()
except t.OutputError as error:
    print(error)
sink.close()
sink.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "a.nwb"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(Path(__file__).parent), str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(f"{path}: the NWB file cannot be written")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("size", "itemsize"), [((1, 5000, 5000), 2), ((25, 2000, 2000), 1), ((300, 300, 300), 8), ((64, 3, 9000), 2)]
)
def test_chunks_are_of_about_a_mebibyte(size: tuple[int, int, int], itemsize: int) -> None:
    chunk = chunk_shape(size, itemsize)
    assert math.prod(chunk) * itemsize <= 2 * TARGET_BYTES
    for c, n in zip(chunk, size, strict=True):
        assert c == n or (c < n and c & (c - 1) == 0)


def test_a_border_chunk_is_filled_up_with_zeros() -> None:
    chunk = (2, 4, 8)
    garbage = [np.full(chunk, 0x7B7B, "<u2") for _ in range(50)]
    del garbage  # what memory that is not cleared would hold
    stream = encode(np.full((1, 2, 3), 0x0201, "u2"), chunk, np.dtype("<u2"), 1)
    low, high = np.frombuffer(zlib.decompress(stream), np.uint8).reshape(2, *chunk)
    assert (low[:1, :2, :3] == 1).all() and (high[:1, :2, :3] == 2).all()
    assert low.sum() == 6 and high.sum() == 12


def kinds_of_pixels() -> dict[str, Array]:
    rng = np.random.default_rng(3)
    z, y, x = np.indices((32, 64, 128))
    blobs = (1000 * np.exp(-((z - 16) ** 2 + (y - 30) ** 2 + (x - 60) ** 2) / 200)).astype("u2")
    return {
        "noise": rng.integers(0, 65536, (32, 64, 128)).astype("u2"),
        "micrograph": rng.normal(300 + blobs, 40).astype("u2"),
        "dim micrograph": rng.poisson(3 + blobs // 100).astype("u2"),
        "sparse": (blobs > 500) * blobs,
        "labels": ((z // 9) * 100 + (y + z) // 13 * 10 + (x + y) // 17).astype("u4") * 2_000_003,
        "bytes": rng.poisson(20, (32, 64, 128)).astype("u1"),
        "floats": np.cumsum(rng.normal(0, 1, (32, 64, 128)), 2).astype("f4"),
        "doubles": rng.normal(0, 1, (16, 64, 128)).astype("f4").astype("f8"),
        "negative": rng.normal(0, 300, (32, 64, 128)).astype("i2"),
        "one voxel": np.array([[[7]]], "u8"),
    }


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_a_stream_is_what_any_zlib_reads_and_no_larger_than_that_of_hdf5(level: int) -> None:
    for name, pixels in kinds_of_pixels().items():
        stream = encode(pixels, pixels.shape, pixels.dtype, level)
        shuffled = pixels.reshape(-1).view(np.uint8).reshape(-1, pixels.itemsize).T.tobytes()
        assert zlib.decompress(stream) == shuffled, name
        if level:
            assert len(stream) <= len(isal_zlib.compress(shuffled, level)) * 1.01 + 200, name
            if name not in ("sparse", "labels", "doubles"):  # what has no noise is small anyway
                assert len(stream) <= len(zlib.compress(shuffled, 4)) * 1.01 + 200, name
        else:
            assert len(shuffled) < len(stream) < len(shuffled) * 1.001 + 60


def test_memory_that_is_used_again_holds_nothing_of_the_chunk_before() -> None:
    chunk = (4, 64, 64)
    want = encode(np.ones((2, 3, 5), "u2"), chunk, np.dtype("<u2"), 1)
    encode(np.random.default_rng(0).integers(0, 99, chunk).astype("f8"), chunk, np.dtype("<f8"), 1)
    assert encode(np.ones((2, 3, 5), "u2"), chunk, np.dtype("<u2"), 1) == want
    assert encode(np.ones((2, 3, 5), ">u2"), chunk, np.dtype("<u2"), 1) == want
    assert encode(np.ones((2, 3, 10), "u2")[..., ::2], chunk, np.dtype("<u2"), 1) == want


def test_chunks_cover_a_box_once() -> None:
    seen = np.zeros((1, 5, 7), int)
    for box in chunks_of((slice(0, 1), slice(2, 5), slice(0, 7)), (1, 2, 3)):
        seen[box] += 1
        assert all(a <= b for a, b in zip(box_shape(box), (1, 2, 3), strict=True))
    assert seen[:, 2:].min() == seen[:, 2:].max() == 1 and seen[:, :2].max() == 0


def test_the_file_does_not_depend_on_what_else_is_loaded(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); {}import test_nwb_sink as t; "
        "t.write(Path(sys.argv[2]), t.LONG)"
    )
    for name, first in (("a", ""), ("b", "import ndx_anatomical_localization; ")):
        command = [sys.executable, "-c", script.format(first), str(Path(__file__).parent), str(tmp_path / name)]
        subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
