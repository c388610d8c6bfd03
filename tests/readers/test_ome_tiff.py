"""OME-TIFF: sets of files stitched, pyramids, RGB, and what contradicts itself."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from neuropack.axes import box_shape, full_box
from neuropack.errors import InputError
from neuropack.readers import tiff
from neuropack.readers.tiff_pixels import TiffPixels
from neuropack.volume import Channel

Array = np.ndarray[Any, np.dtype[Any]]
SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def text_of(sizes: dict[str, int], blocks: str, order: str = "XYZCT", kind: str = "uint16", more: str = "") -> str:
    attributes = " ".join(f'Size{axis}="{n}"' for axis, n in sizes.items())
    return (
        f'<?xml version="1.0"?><OME xmlns="{SCHEMA}" UUID="urn:uuid:{uuid.UUID(int=0)}">'
        f'<Image ID="Image:0" Name="set"><Pixels ID="Pixels:0" DimensionOrder="{order}" Type="{kind}" {attributes}>'
        f"{more}{blocks}</Pixels></Image></OME>"
    )


def block(file: str | None, **first: int) -> str:
    attributes = " ".join(f'{name}="{value}"' for name, value in first.items())
    inside = f'<UUID FileName="{file}">urn:uuid:{file}</UUID>' if file else ""
    return f"<TiffData {attributes}>{inside}</TiffData>"


def write(path: Path, planes: Array, text: str | None = None, **options: Any) -> None:
    """Pages with an ImageDescription."""
    described = text.replace(str(uuid.UUID(int=0)), path.name) if text else None
    with tifffile.TiffWriter(path) as writer:
        for i, plane in enumerate(planes):
            description = described if i == 0 else None
            writer.write(plane, description=description, metadata=None, contiguous=False, **options)


def numbered(*shape: int) -> Array:
    return np.arange(np.prod(shape)).reshape(shape).astype("u2")


@pytest.fixture
def files(tmp_path: Path) -> tuple[list[Path], Array]:
    """A set of one file per channel and time, each with all of the metadata; T2 C2 Z3."""
    image = numbered(2, 2, 3, 16, 18)
    names = {(t, c): f"set_T{t}_C{c}.ome.tif" for t in range(2) for c in range(2)}
    blocks = "".join(
        block(name, IFD=0, FirstT=t, FirstC=c, FirstZ=0, PlaneCount=3) for (t, c), name in names.items()
    )
    text = text_of({"X": 18, "Y": 16, "Z": 3, "C": 2, "T": 2}, blocks)
    for (t, c), name in names.items():
        write(tmp_path / name, image[t, c], text, photometric="minisblack")
    return [tmp_path / name for name in names.values()], image


def test_any_file_of_a_set_opens_all(files: tuple[list[Path], Array]) -> None:
    paths, image = files
    for path in paths:
        (volume,) = tiff.open_file(path)
        assert (volume.axes, volume.shape, volume.format, volume.path) == ("TCZYX", image.shape, "OME-TIFF", path)
        np.testing.assert_array_equal(np.asarray(volume), image)
        np.testing.assert_array_equal(volume[1, 0, 2, 3:9, 5], image[1, 0, 2, 3:9, 5])
        assert isinstance(volume.pixels, TiffPixels)
        assert set(volume.pixels.files) == set(paths)
        blocks = list(volume.pixels.native_blocks())
        assert sum(np.prod(box_shape(b)) for b in blocks) == image.size
        volume.close()


def test_missing_files_of_a_set_are_named(files: tuple[list[Path], Array]) -> None:
    paths, _ = files
    paths[1].unlink()
    paths[3].unlink()
    with pytest.raises(InputError, match=r"2 file\(s\) of this OME-TIFF set are missing") as caught:
        tiff.open_file(paths[0])
    assert paths[1].name in str(caught.value)
    assert paths[3].name in str(caught.value)


def test_a_file_of_a_set_that_is_too_short(files: tuple[list[Path], Array]) -> None:
    paths, image = files
    write(paths[2], image[0, 0, :2], photometric="minisblack")
    with pytest.raises(InputError, match="page 3") as caught:
        tiff.open_file(paths[0])
    assert paths[2].name in str(caught.value)
    assert "2 pages" in str(caught.value)


@pytest.mark.parametrize("other", [lambda a: a[:, :8], lambda a: a.astype("u1"), lambda a: a.astype("i2")])
def test_a_file_of_a_set_with_other_pixels_is_found_when_read(
    other: Callable[[Array], Array], files: tuple[list[Path], Array]
) -> None:
    paths, image = files
    write(paths[2], other(image[0, 0]), photometric="minisblack")
    (volume,) = tiff.open_file(paths[0])
    with pytest.raises(InputError, match="differs from the others") as caught:
        volume.pixels.read(full_box(volume.native_shape))
    assert paths[2].name in str(caught.value)


def test_a_missing_companion(tmp_path: Path) -> None:
    only = f'<OME xmlns="{SCHEMA}"><BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:9"/></OME>'
    write(tmp_path / "a.ome.tif", numbered(1, 16, 16), only)
    with pytest.raises(InputError, match="companion file is missing") as caught:
        tiff.open_file(tmp_path / "a.ome.tif")
    assert "set.companion.ome" in str(caught.value)


def test_a_companion_that_does_not_know_the_file(tmp_path: Path) -> None:
    only = f'<OME xmlns="{SCHEMA}"><BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:9"/></OME>'
    text = text_of({"X": 16, "Y": 16, "Z": 1, "C": 1, "T": 1}, block("b.ome.tif", IFD=0))
    (tmp_path / "set.companion.ome").write_text(text, encoding="utf-8")
    for name in ("a.ome.tif", "b.ome.tif"):
        write(tmp_path / name, numbered(1, 16, 16), only)
    (volume,) = tiff.open_file(tmp_path / "b.ome.tif")
    assert volume.shape == (1, 1, 16, 16)
    with pytest.raises(InputError, match="not among the files"):
        tiff.open_file(tmp_path / "a.ome.tif")


def test_names_in_the_xml_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    write(tmp_path / "secret.tif", numbered(1, 16, 16))
    for name in ("../secret.tif", str(tmp_path / "secret.tif")):
        text = text_of({"X": 16, "Y": 16, "Z": 1, "C": 1, "T": 1}, block(name, IFD=0))
        (inner / "x.companion.ome").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="missing"):
            tiff.open_file(inner / "x.companion.ome")


@pytest.mark.parametrize("order", ["XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC"])
def test_every_order_of_dimensions(order: str, tmp_path: Path) -> None:
    sizes = {"Z": 3, "C": 2, "T": 4}
    image = numbered(*(sizes[a] for a in order[:1:-1]), 16, 18)
    text = text_of({"X": 18, "Y": 16, **sizes}, "<TiffData/>", order)
    write(tmp_path / "a.ome.tif", image.reshape(-1, 16, 18), text, photometric="minisblack")
    (volume,) = tiff.open_file(tmp_path / "a.ome.tif")
    expected = image.transpose([*(order[:1:-1].index(a) for a in "TCZ"), 3, 4])
    np.testing.assert_array_equal(np.asarray(volume), expected)


def test_a_renamed_file_is_still_whole(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", image := numbered(3, 16, 18), metadata={"axes": "ZYX"})
    (tmp_path / "a.ome.tif").rename(tmp_path / "b.tif")
    (volume,) = tiff.open_file(tmp_path / "b.tif")
    np.testing.assert_array_equal(np.asarray(volume)[0], image)
    text = text_of({"X": 18, "Y": 16, "Z": 3, "C": 1, "T": 1}, block("old.ome.tif", IFD=0, PlaneCount=3))
    text = text.replace("urn:uuid:old.ome.tif", "")
    write(tmp_path / "new.ome.tif", image, text, photometric="minisblack")
    (volume,) = tiff.open_file(tmp_path / "new.ome.tif")
    np.testing.assert_array_equal(np.asarray(volume)[0], image)


def test_several_images_are_scenes(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        writer.write(numbered(2, 16, 18), photometric="minisblack", metadata={"axes": "ZYX", "Name": "same"})
        writer.write(numbered(20, 30), photometric="minisblack", metadata={"axes": "YX", "Name": "same"})
    first, second = tiff.open_file(tmp_path / "a.ome.tif")
    assert (first.scene, second.scene) == ("same", "same (2)")
    assert (first.shape, second.shape) == ((1, 2, 16, 18), (1, 1, 20, 30))
    np.testing.assert_array_equal(np.asarray(second)[0, 0], numbered(20, 30))


def test_a_pyramid_in_subifds(tmp_path: Path) -> None:
    image = numbered(2, 3, 64, 80)
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path) as writer:
        metadata = {"axes": "CZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0}
        options: dict[str, Any] = {"tile": (16, 16), "compression": "zlib", "photometric": "minisblack"}
        writer.write(image, subifds=2, metadata=metadata, **options)
        writer.write(image[..., ::2, ::2], subfiletype=1, **options)
        writer.write(image[..., ::4, ::4], subfiletype=1, **options)
    (volume,) = tiff.open_file(path)
    assert [v.shape for v in volume.levels] == [(2, 3, 32, 40), (2, 3, 16, 20)]
    assert [v.voxel_size_um for v in volume.levels] == [(2.0, 1.0, 1.0), (2.0, 2.0, 2.0)]
    for number, step in enumerate((1, 2, 4)):
        np.testing.assert_array_equal(np.asarray(volume.level(number)), image[..., ::step, ::step])


def test_samples_of_rgb_are_channels(tmp_path: Path) -> None:
    image = numbered(2, 16, 18, 3).astype("u1")
    channel = '<Channel ID="Channel:0" Name="brightfield" SamplesPerPixel="3"/>'
    text = text_of({"X": 18, "Y": 16, "Z": 2, "C": 3, "T": 1}, "<TiffData/>", kind="uint8", more=channel)
    write(tmp_path / "a.ome.tif", image, text, photometric="rgb")
    (volume,) = tiff.open_file(tmp_path / "a.ome.tif")
    assert volume.shape == (3, 2, 16, 18)
    assert volume.channels == (
        Channel("brightfield red", color="FF0000"),
        Channel("brightfield green", color="00FF00"),
        Channel("brightfield blue", color="0000FF"),
    )
    np.testing.assert_array_equal(np.asarray(volume), np.moveaxis(image, -1, 0))
    np.testing.assert_array_equal(volume[1, 1], image[1, ..., 1])


def test_several_channels_of_rgb(tmp_path: Path) -> None:
    image = numbered(2, 3, 16, 18, 3).astype("u1")
    text = text_of({"X": 18, "Y": 16, "Z": 3, "C": 6, "T": 1}, "<TiffData/>", kind="uint8")
    write(tmp_path / "a.ome.tif", image.reshape(-1, 16, 18, 3), text, photometric="rgb")
    (volume,) = tiff.open_file(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(np.asarray(volume), image.transpose(0, 4, 1, 2, 3).reshape(6, 3, 16, 18))


def test_a_channel_of_rgb_that_counts_as_one(tmp_path: Path) -> None:
    """OME's own sample files state SizeC=1 for RGB pages; here three such channels."""
    image = numbered(3, 16, 18, 3).astype("u1")
    blocks = "".join(block(None, IFD=c, FirstC=c) for c in range(3))
    write(tmp_path / "a.ome.tif", image, text_of(PAGES | {"Z": 1, "C": 3}, blocks, kind="uint8"), photometric="rgb")
    (volume,) = tiff.open_file(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(np.asarray(volume)[:, 0], image.transpose(0, 3, 1, 2).reshape(9, 16, 18))


def test_metadata_reaches_the_volume(tmp_path: Path) -> None:
    metadata: dict[str, Any] = {
        "axes": "TCYX",
        "TimeIncrement": 0.5,
        "PhysicalSizeX": 250.0,
        "PhysicalSizeXUnit": "nm",
        "Channel": {"Name": ["a", "b"], "EmissionWavelength": [510, 600]},
        "Plane": {"PositionX": [1.0] * 6, "PositionXUnit": ["mm"] * 6},
    }
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, numbered(3, 2, 16, 18), photometric="minisblack", metadata=metadata)
    (volume,) = tiff.open_file(path)
    assert volume.voxel_size_um == (None, None, 0.25)
    assert volume.times_s == (0.0, 0.5, 1.0)
    assert [(c.name, c.emission_nm) for c in volume.channels] == [("a", 510.0), ("b", 600.0)]
    assert volume.origin_um == (None, None, 1000.0)
    assert volume.sources["times_s"] == "file"


PAGES = {"X": 18, "Y": 16, "Z": 2, "C": 1, "T": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (text_of(PAGES | {"X": 20}, "<TiffData/>"), r"contradicts its pages(.|\n)*16 x 20 as in"),
        (text_of(PAGES, "<TiffData/>", kind="float"), r"contradicts its pages(.|\n)*float32"),
        (text_of(PAGES, "<TiffData/>", kind="int16"), r"contradicts its pages(.|\n)*int16"),
        (text_of(PAGES | {"Z": 3}, "<TiffData/>"), "1 of 3 planes have no page"),
        (text_of(PAGES | {"Z": 3}, block(None, IFD=0, PlaneCount=3)), "at least 3 pages"),
        (text_of(PAGES, block(None, IFD=7)), "at least 8 pages"),
        (text_of(PAGES, block(None, IFD=0) + block(None, IFD=1, FirstZ=2)), "lies outside the image"),
        (text_of(PAGES, block(None, IFD=0)), "none for T=0 C=0 Z=1"),
        (text_of(PAGES, '<BinData Length="4">AAAA</BinData>'), "holds its pixels as text"),
        (f'<OME xmlns="{SCHEMA}"/>', "names no image"),
        ("<!DOCTYPE OME><OME></OME>", "DOCTYPE"),
        ("<OME><Image></OME>", "well-formed"),
    ],
)
def test_xml_that_contradicts_the_pages(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.ome.tif"
    write(path, numbered(2, 16, 18), text, photometric="minisblack")
    with pytest.raises(InputError, match=message) as caught:
        tiff.open_file(path)
    assert "bad.ome.tif" in str(caught.value)


def test_a_companion_is_text_with_files(tmp_path: Path) -> None:
    companion = tmp_path / "x.companion.ome"
    companion.write_text(text_of(PAGES, "<TiffData/>"), encoding="utf-8")
    with pytest.raises(InputError, match="a TiffData without a file name"):
        tiff.open_file(companion)
    companion.write_bytes(b"<OME>\xff\xfe</OME>")
    with pytest.raises(InputError, match="UTF-8"):
        tiff.open_file(companion)
    companion.write_text('<OME><BinaryOnly MetadataFile="y.ome"/></OME>', encoding="utf-8")
    with pytest.raises(InputError, match="refers to another"):
        tiff.open_file(companion)


def test_many_files_do_not_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neuropack.readers.tiff_file import TiffSet

    monkeypatch.setattr(TiffSet, "LIMIT", 2)
    image = numbered(40, 16, 18)
    blocks = "".join(block(f"{z}.tif", IFD=0, FirstZ=z) for z in range(40))
    (tmp_path / "x.companion.ome").write_text(text_of(PAGES | {"Z": 40}, blocks), encoding="utf-8")
    for z in range(40):
        write(tmp_path / f"{z}.tif", image[z : z + 1], photometric="minisblack")
    (volume,) = tiff.open_file(tmp_path / "x.companion.ome")
    np.testing.assert_array_equal(np.asarray(volume)[0], image)
    assert isinstance(volume.pixels, TiffPixels)
    assert len(volume.pixels.shared._open) == 2
