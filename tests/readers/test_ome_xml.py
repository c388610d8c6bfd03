"""OME-XML: what is believed, what is missing, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuropack.errors import InputError
from neuropack.readers.ome_xml import OmeImage, looks_like_ome, read_ome, unit_factor
from neuropack.volume import Channel, Instrument

SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def pixels(attributes: str = "", inside: str = "<TiffData/>", sizes: str = 'SizeT="3" SizeC="2" SizeZ="1"') -> str:
    return (
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="4" SizeY="5" {sizes} {attributes}>'
        f"{inside}</Pixels>"
    )


def document(image: str, before: str = "", schema: str = SCHEMA) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{schema}" UUID="urn:uuid:1">{before}'
        f'<Image ID="Image:0" Name="one">{image}</Image></OME>'
    )


def image(text: str) -> OmeImage:
    (found,) = read_ome(text, Path("a.ome.tif")).images
    return found


def test_units() -> None:
    for unit, factor in {"µm": 1, "um": 1, "μm": 1, "Âµm": 1, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}.items():
        assert unit_factor(unit) == factor
    for unit in ("pixel", "reference frame", "", None, "parsec"):
        assert unit_factor(unit) is None


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('PhysicalSizeX="0.5" PhysicalSizeY="0.6" PhysicalSizeZ="2"', (2.0, 0.6, 0.5)),
        (
            'PhysicalSizeX="500" PhysicalSizeXUnit="nm" PhysicalSizeY="1" PhysicalSizeYUnit="mm"',
            (None, 1000.0, 0.5),
        ),
        (
            'PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="1" PhysicalSizeYUnit="reference frame"',
            (None,) * 3,
        ),
        ('PhysicalSizeX="0" PhysicalSizeY="-1" PhysicalSizeZ="nan"', (None,) * 3),
        ('PhysicalSizeX="1e-13"', (None,) * 3),
        ("", (None,) * 3),
    ],
)
def test_voxel_size(attributes: str, size: tuple[float | None, ...]) -> None:
    expected = tuple(s if s is None else pytest.approx(s) for s in size)
    assert image(document(pixels(attributes))).voxel_size_um == expected


@pytest.mark.parametrize("schema", ["http://www.openmicroscopy.org/Schemas/OME/2010-06", SCHEMA, "anything"])
def test_channels_of_every_schema(schema: str) -> None:
    channels = (
        '<Channel Name="green" Fluor="EGFP" ExcitationWavelength="488" EmissionWavelength="0.51" '
        'EmissionWavelengthUnit="µm" Color="16711935"/>'
        '<Channel Color="-1" ExcitationWavelength="0" SamplesPerPixel="3"/><Channel Color="-2147483648"/>'
    )
    assert image(document(pixels(inside=channels), schema=schema)).channels == (
        (Channel("green", "EGFP", 488.0, 510.0, "00FF00"), 1),
        (Channel(color="FFFFFF"), 3),
        (Channel(), 1),
    )


def plane(t: int, rest: str, c: int = 0) -> str:
    return f'<Plane TheT="{t}" TheC="{c}" TheZ="0" {rest}/>'


@pytest.mark.parametrize(
    ("attributes", "planes", "times"),
    [
        ("", [plane(t, f'DeltaT="{2.0 + t * t}"') for t in range(3)], (0.0, 1.0, 4.0)),
        ("", [plane(t, f'DeltaT="{t * 100}" DeltaTUnit="ms"') for t in range(3)], (0.0, 0.1, 0.2)),
        ("", [plane(t, f'DeltaT="{9 - t}"', c=1) + plane(t, f'DeltaT="{t}"') for t in range(3)], (0.0, 1.0, 2.0)),
        ("", [plane(t, f'DeltaT="{t}"') for t in range(2)], None),
        ("", [plane(t, 'DeltaT="0"') for t in range(3)], None),
        ('TimeIncrement="2" TimeIncrementUnit="min"', [], (0.0, 120.0, 240.0)),
        ('TimeIncrement="0"', [], None),
        ("", [], None),
    ],
)
def test_times(attributes: str, planes: list[str], times: tuple[float, ...] | None) -> None:
    found = image(document(pixels(attributes, "".join(planes)))).times_s
    assert found == (None if times is None else pytest.approx(times))


def test_an_increment_without_time_says_nothing() -> None:
    text = document(pixels('TimeIncrement="2"', sizes='SizeT="1" SizeC="1" SizeZ="1"'))
    assert image(text).times_s is None


def test_origin_is_a_position_with_a_unit_of_length() -> None:
    inside = plane(0, 'PositionX="5" PositionXUnit="mm" PositionY="-7" PositionYUnit="µm" PositionZ="3"')
    assert image(document(pixels(inside=inside))).origin_um == (None, -7.0, 5000.0)
    label = '<StageLabel Name="here" X="1" XUnit="µm" Y="7" Z="2" ZUnit="mm"/>'
    assert image(document(pixels() + label)).origin_um == (2000.0, None, 1.0)


def test_date_and_instrument() -> None:
    before = (
        '<Instrument ID="Instrument:0"><Objective ID="Objective:9" Model="wrong"/></Instrument>'
        '<Instrument ID="Instrument:1"><Microscope Manufacturer="Zeiss" Model="LSM 880"/>'
        '<Objective ID="Objective:0" Model="other"/>'
        '<Objective ID="Objective:1" Model="63x" NominalMagnification="63" LensNA="1.4" Immersion="Oil"/>'
        "</Instrument>"
    )
    inside = '<AcquisitionDate>2020-01-02T03:04:05</AcquisitionDate><InstrumentRef ID="Instrument:1"/>'
    found = image(document(inside + '<ObjectiveSettings ID="Objective:1"/>' + pixels(), before))
    assert found.acquired == "2020-01-02T03:04:05"
    assert found.instrument == Instrument("Zeiss", "LSM 880", "63x", 63.0, 1.4, "Oil")
    assert image(document(inside + pixels(), before)).instrument == Instrument("Zeiss", "LSM 880")
    assert image(document(pixels(), before)).instrument == Instrument()
    assert image(document("<AcquisitionDate>yesterday</AcquisitionDate>" + pixels())).acquired is None


def test_the_root_tells_ome_xml() -> None:
    assert looks_like_ome(b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a comment -->\n<OME xmlns="x">')
    assert looks_like_ome("<ome:OME xmlns:ome='x'/>")
    for other in (b"", b"OME", b"<html><OME>", b"<OMEGA/>", b"II*\0"):
        assert not looks_like_ome(other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<!DOCTYPE OME [<!ENTITY a "b">]><OME/>', "DOCTYPE"),
        ('<?xml version="1.0"?><!DOCTYPE OME SYSTEM "http://127.0.0.1/x.dtd"><OME/>', "DOCTYPE"),
        ("<OME><Image>", "well-formed"),
        ("<XML/>", "no OME-XML"),
        (document(pixels(sizes='SizeT="0" SizeC="1" SizeZ="1"')), "SizeT=0"),
        (document(pixels().replace("uint16", "quaternion")), "quaternion"),
        (document(pixels().replace("XYCZT", "YXCZT")), "YXCZT"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_ome(text, Path("a.ome.tif"))
    assert "a.ome.tif" in str(caught.value)


def test_many_comments_take_no_time() -> None:
    comments = "<!-- a -->" * 90
    assert looks_like_ome(comments + "<OME/>")
    assert not looks_like_ome(comments + "<!-- never closed <OME/>")
    assert not looks_like_ome(comments * 100 + "<html/>")
