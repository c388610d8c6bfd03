"""The raw files of the simulator are real files: Zeiss's library and tifffile read back what was put in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from neuropack import simulate
from neuropack.axes import Array, Box, full_box
from neuropack.errors import NeuropackError, OutputError, UsageError
from neuropack.volume import Channel, Volume
from neuropack.writers import planes as planes_module
from neuropack.writers.czi import write_czi
from neuropack.writers.ome_tiff import write_ome_tiff
from neuropack.writers.planes import planes


class InMemory:
    """Pixels over an array."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def read(self, box: Box) -> Array:
        return self.array[box]

    def native_blocks(self) -> Iterator[Box]:
        yield full_box(self.array.shape)

    def close(self) -> None:
        pass


def volume_of(array: Array, axes: str, **fields: object) -> Volume:
    return Volume(
        path=Path("made"),
        format="made",
        native_axes=axes,
        native_shape=array.shape,
        dtype=array.dtype,
        pixels=InMemory(array),
        **fields,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def volume() -> Volume:
    made = simulate.stack(3, (5, 40, 60), (2.0, 0.5, 0.25), neurons=1, acquired="2026-01-15T10:00:00+00:00")
    return replace(made.volume, origin_um=(10.0, -20.5, 30.25))


def test_zeiss_library_reads_the_pixels_back(volume: Volume, tmp_path: Path) -> None:
    from pylibCZIrw import czi

    path = tmp_path / "a.czi"
    write_czi(path, volume, origin_px=(-512, 300))
    with czi.open_czi(str(path)) as file:
        box = file.total_bounding_box
        assert (box["X"], box["Y"]) == ((-512, -452), (300, 340))
        for c in range(3):
            for z in range(5):
                assert np.array_equal(file.read(plane={"C": c, "Z": z, "T": 0})[..., 0], volume[c, z]), (c, z)


def test_a_czi_states_scale_and_channel_names(volume: Volume, tmp_path: Path) -> None:
    from pylibCZIrw import czi

    path = tmp_path / "a.czi"
    write_czi(path, volume, title="Simulated")
    with czi.open_czi(str(path)) as file:
        tree = ElementTree.fromstring(file.raw_metadata)  # noqa: S314 - made a moment ago
    scale = {d.get("Id"): float(d.findtext("Value", "nan")) for d in tree.iter("Distance")}
    assert scale == pytest.approx({"X": 0.25e-6, "Y": 0.5e-6, "Z": 2e-6})
    assert [c.get("Name") for c in tree.iter("Channel")][:3] == ["mTagBFP2", "EYFP", "tdTomato"]
    assert tree.findtext(".//Document/Title") == "Simulated"


def test_a_czi_without_a_voxel_size_states_none(volume: Volume, tmp_path: Path) -> None:
    from pylibCZIrw import czi

    path = tmp_path / "a.czi"
    write_czi(path, replace(volume, voxel_size_um=(None, None, None), channels=()))
    with czi.open_czi(str(path)) as file:
        tree = ElementTree.fromstring(file.raw_metadata)  # noqa: S314
    assert not [d for d in tree.iter("Distance") if float(d.findtext("Value", "0")) > 0]


@pytest.mark.parametrize("compress", [False, True])
def test_tifffile_reads_the_pixels_back(volume: Volume, tmp_path: Path, compress: bool) -> None:
    import tifffile

    path = tmp_path / "a.ome.tif"
    write_ome_tiff(path, volume, compress=compress)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome and not file.is_bigtiff
        assert file.series[0].axes == "ZCYX"
        assert np.array_equal(file.asarray().swapaxes(0, 1), np.asarray(volume))


def test_ome_xml_states_all_that_the_volume_knows(volume: Volume, tmp_path: Path) -> None:
    import tifffile

    path = tmp_path / "a.ome.tif"
    write_ome_tiff(path, volume)
    with tifffile.TiffFile(path) as file:
        image = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
    pixels = image["Pixels"]
    assert [pixels[f"PhysicalSize{a}"] for a in "ZYX"] == [2.0, 0.5, 0.25]
    assert image["AcquisitionDate"] == "2026-01-15T10:00:00+00:00"
    first, last = pixels["Channel"][0], pixels["Channel"][2]
    assert (first["Name"], first["Fluor"]) == ("mTagBFP2", "mTagBFP2")
    assert (first["ExcitationWavelength"], first["EmissionWavelength"]) == (405, 450)
    assert first["Color"] == 0x3355FFFF
    assert last["Color"] == 0xFF3322FF - 2**32
    plane = pixels["Plane"][4]  # the second channel of the second plane
    assert (plane["TheZ"], plane["TheC"]) == (1, 1)
    assert (plane["PositionX"], plane["PositionY"], plane["PositionZ"]) == (30.25, -20.5, 12.0)


def test_ome_xml_states_nothing_that_the_volume_does_not_know(tmp_path: Path) -> None:
    import tifffile

    path = tmp_path / "a.ome.tif"
    write_ome_tiff(path, volume_of(np.ones((2, 8, 9), np.uint8), "ZYX"))
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata
    for word in ("PhysicalSize", "AcquisitionDate", "Position", "Wavelength", "Color", "Fluor"):
        assert word not in xml, word


def test_the_same_volume_gives_the_same_ome_tiff(volume: Volume, tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "a.ome.tif", volume)
    write_ome_tiff(tmp_path / "b.ome.tif", volume)
    assert (tmp_path / "a.ome.tif").read_bytes() == (tmp_path / "b.ome.tif").read_bytes()


def test_time_series_are_written_frame_by_frame(tmp_path: Path) -> None:
    import tifffile
    from pylibCZIrw import czi

    array = np.arange(2 * 3 * 2 * 5 * 7, dtype=np.uint16).reshape(2, 3, 2, 5, 7)
    moving = volume_of(array, "TCZYX", channels=(Channel(name="a"), Channel(name="b"), Channel(name="c")))
    write_ome_tiff(tmp_path / "a.ome.tif", moving)
    assert np.array_equal(tifffile.imread(tmp_path / "a.ome.tif"), array.swapaxes(1, 2))
    write_czi(tmp_path / "a.czi", moving)
    with czi.open_czi(str(tmp_path / "a.czi")) as file:
        assert np.array_equal(file.read(plane={"T": 1, "C": 2, "Z": 1})[..., 0], array[1, 2, 1])


def test_planes_come_in_order_whatever_the_slab(volume: Volume) -> None:
    small, large = list(planes(volume, 1)), list(planes(volume, 2**30))
    assert [p[:3] for p in small] == [p[:3] for p in large] == [(0, z, c) for z in range(5) for c in range(3)]
    assert all(np.array_equal(a[3], b[3]) for a, b in zip(small, large, strict=True))


@pytest.mark.parametrize("write", [write_czi, write_ome_tiff])
class TestRefusals:
    def test_pixels_that_the_format_cannot_hold(self, write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(UsageError, match="cannot hold these pixels"):
            write(tmp_path / "a.raw", volume_of(np.ones((2, 3, 4), np.int64), "ZYX"))
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_is_there(self, write, volume: Volume, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        path = tmp_path / "a.raw"
        path.write_bytes(b"precious")
        with pytest.raises(OutputError, match="is there already"):
            write(path, volume)
        assert path.read_bytes() == b"precious"
        write(path, volume, overwrite=True)
        assert path.stat().st_size > 100 and list(tmp_path.iterdir()) == [path]

    def test_a_folder_that_cannot_be_made(self, write, volume: Volume, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        (tmp_path / "file").write_text("x", encoding="utf-8")
        with pytest.raises(OutputError, match="cannot be written"):
            write(tmp_path / "file" / "a.raw", volume)

    def test_pixels_that_cannot_be_read_leave_nothing_behind(self, write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        broken = volume_of(np.ones((4, 3, 4), np.uint16), "ZYX")

        class Breaks(InMemory):
            def read(self, box: Box) -> Array:
                if box[0].start > 0:
                    raise NeuropackError("damaged here")
                return super().read(box)

        broken = replace(broken, pixels=Breaks(np.ones((4, 3, 4), np.uint16)))
        with pytest.MonkeyPatch.context() as patch, pytest.raises(NeuropackError, match="damaged here"):
            patch.setattr(planes_module.planes, "__defaults__", (1,))
            write(tmp_path / "a.raw", broken)
        assert list(tmp_path.iterdir()) == []
