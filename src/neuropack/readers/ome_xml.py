"""OME-XML, as it stands in OME-TIFF files and their companion files, read into plain values.

Elements are found by local name, so that every namespace from 2007 to 2016-06 works. What the schema allows and
what the sentence "not known" means (0, -1, pixel units, the old default colour) becomes None.
Source: https://docs.openmicroscopy.org/ome-model/6.3.1/ome-tiff/specification.html and the schema of 2016-06.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from neuropack.errors import InputError
from neuropack.readers.xml import Element, iso_time, parse
from neuropack.volume import Channel, Instrument, VoxelSize, stated

MICROMETRES = {
    "pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "µm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6, "in": 25400.0, "inch": 25400.0, "inches": 25400.0,
}  # fmt: skip
SECONDS = {
    "ns": 1e-9,
    "µs": 1e-6,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
DTYPES = {
    "int8": "i1", "int16": "i2", "int32": "i4", "uint8": "u1", "uint16": "u2", "uint32": "u4",
    "float": "f4", "double": "f8", "complex": "c8", "double-complex": "c16", "bit": "?",
}  # fmt: skip
_BLANK = "\ufeff \t\r\n"
_ORDERS = {"XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC"}
# Before 2012-06 the schema's default colour was this transparent red, by mistake: it was written for nothing.
_OLD_DEFAULT_COLOUR = -(2**31)


def unit_factor(unit: str | None, factors: dict[str, float] = MICROMETRES) -> float | None:
    """Micrometres (or seconds) in a unit; None for pixels, the reference frame and anything unknown."""
    name = (unit or "").replace("\\u00B5", "µ").replace("\\u00b5", "µ").replace("μ", "µ").replace("Â", "").strip()
    return factors.get(name, factors.get(name.lower()))


@dataclass(frozen=True)
class TiffData:
    """Which pages of which file hold a run of planes. A count of None: all pages of the file, from the first."""

    ifd: int
    first: dict[str, int]
    count: int | None
    file: str | None
    uuid: str | None


@dataclass(frozen=True)
class OmeImage:
    """One Image element.

    Attributes:
        name: as stated, else None.
        order: dimensions of the planes, the slowest first, such as ``TCZ``.
        sizes: lengths of T, C, Z, Y, X.
        dtype: NumPy's name of the pixel type.
        channels: (channel, samples per pixel) of each Channel element.
        tiffdata: where the planes are.
        embedded: the pixels are in the XML itself.
    """

    name: str | None
    order: str
    sizes: dict[str, int]
    dtype: str
    channels: tuple[tuple[Channel, int], ...]
    tiffdata: tuple[TiffData, ...]
    embedded: bool
    voxel_size_um: VoxelSize
    times_s: tuple[float, ...] | None
    origin_um: VoxelSize
    acquired: str | None
    instrument: Instrument


@dataclass(frozen=True)
class OmeDocument:
    """The whole text. `metadata_file`: the companion that a BinaryOnly file refers to."""

    uuid: str | None
    images: tuple[OmeImage, ...] = ()
    metadata_file: str | None = None
    binary_only: bool = field(default=False)


def looks_like_ome(head: bytes | str) -> bool:
    """True for text whose root element is OME."""
    text = head.decode("utf-8", "replace") if isinstance(head, bytes) else head
    at = 0
    for _ in range(
        100
    ):  # declaration, comments; a plain scan, since a pattern over many comments can take for ever
        while at < len(text) and text[at] in _BLANK:
            at += 1
        closing = "-->" if text.startswith("<!--", at) else "?>" if text.startswith("<?", at) else None
        if closing is None:
            break
        end = text.find(closing, at)
        if end < 0:
            return False
        at = end + len(closing)
    return re.compile(r"<(!DOCTYPE\s+)?(\w+:)?OME[\s>/]").match(text, at) is not None


def read_ome(text: str, path: Path) -> OmeDocument:
    """Read OME-XML.

    Raises:
        InputError: not well-formed, with a DOCTYPE (entities can name other files or explode), or contradictory.
    """
    if re.search(r"<!(DOCTYPE|ENTITY)", text):
        raise InputError("its OME-XML has a DOCTYPE, which is not read for safety", file=path, where="OME-XML")
    try:
        root = parse(text.lstrip(_BLANK).rstrip("\0" + _BLANK))
    except ValueError as error:
        raise InputError("its OME-XML cannot be read", file=path, where="OME-XML", found=str(error)) from error
    if _local(root) != "OME":
        raise InputError("is no OME-XML", file=path, expected="the root element OME", found=_local(root))
    uuid = root.get("UUID")
    only = _child(root, "BinaryOnly")
    if only is not None:
        return OmeDocument(uuid, metadata_file=only.get("MetadataFile"), binary_only=True)
    images = [(image, pixels) for image in _children(root, "Image") for pixels in _children(image, "Pixels")]
    return OmeDocument(uuid, tuple(_image(root, image, pixels, path) for image, pixels in images))


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _children(element: Element | None, name: str) -> Iterator[Element]:
    return (child for child in (element if element is not None else ()) if _local(child) == name)


def _child(element: Element | None, *names: str) -> Element | None:
    return next((child for name in names for child in _children(element, name)), None)


def _value(element: Element | None, *names: str) -> str | None:
    """An attribute, or the text of a child element, which is how older schemas wrote the same."""
    for name in names if element is not None else ():
        child = _child(element, name)
        value = element.get(name) or (child.text if child is not None else None) if element is not None else None
        if value and value.strip():
            return value.strip()
    return None


def _number(element: Element | None, name: str) -> float | None:
    try:
        return float(_value(element, name) or "")
    except ValueError:
        return None


def _integer(element: Element, name: str, default: int | None = None) -> int | None:
    try:
        return int(element.get(name, ""))
    except ValueError:
        return default


def _length(element: Element | None, name: str, default_unit: str) -> float | None:
    """A length in micrometres, any sign; None where absent or in pixels."""
    value = _number(element, name)
    factor = unit_factor(element.get(name + "Unit", default_unit)) if element is not None else None
    return value * factor if value is not None and factor is not None else None


def _seconds(element: Element, name: str) -> float | None:
    value, factor = _number(element, name), unit_factor(element.get(name + "Unit", "s"), SECONDS)
    return value * factor if value is not None and factor is not None else None


def _image(root: Element, image: Element, pixels: Element, path: Path) -> OmeImage:
    where = f"OME-XML, Image {image.get('ID', '')}".rstrip()
    order = pixels.get("DimensionOrder", "XYZCT")
    kind = pixels.get("Type") or pixels.get("PixelType") or ""
    sizes = {axis: _integer(pixels, f"Size{axis}") or 0 for axis in "TCZYX"}
    if order not in _ORDERS or kind.lower() not in DTYPES or min(sizes.values()) < 1:
        raise InputError(
            "its OME-XML does not say how the pixels lie",
            file=path,
            where=where,
            expected="a DimensionOrder, a pixel Type, and sizes of at least 1",
            found=f"{order}, {kind or 'no type'}, " + ", ".join(f"Size{a}={n}" for a, n in sizes.items()),
        )
    planes = list(_children(pixels, "Plane"))
    return OmeImage(
        name=image.get("Name") or None,
        order=order[:1:-1],
        sizes=sizes,
        dtype=DTYPES[kind.lower()],
        channels=tuple(_channel(c) for c in _children(pixels, "Channel")),
        tiffdata=tuple(_tiffdata(t) for t in _children(pixels, "TiffData")),
        embedded=_child(pixels, "BinData") is not None,
        voxel_size_um=(
            stated(_length(pixels, "PhysicalSizeZ", "µm")),
            stated(_length(pixels, "PhysicalSizeY", "µm")),
            stated(_length(pixels, "PhysicalSizeX", "µm")),
        ),
        times_s=_times(pixels, planes, sizes["T"]),
        origin_um=_origin(image, planes),
        acquired=iso_time(_value(image, "AcquisitionDate", "AcquiredDate", "CreationDate")),
        instrument=_instrument(root, image),
    )


def _tiffdata(block: Element) -> TiffData:
    uuid = _child(block, "UUID")
    count = _integer(block, "PlaneCount", _integer(block, "NumPlanes"))
    ifd = _integer(block, "IFD")
    return TiffData(
        ifd=ifd or 0,
        first={axis: _integer(block, f"First{axis}", 0) or 0 for axis in "TCZ"},
        count=count if count is not None else 1 if ifd is not None else None,
        file=uuid.get("FileName") if uuid is not None else None,
        uuid=(uuid.text or "").strip() or None if uuid is not None else None,
    )


def _wavelength(element: Element, name: str) -> float | None:
    """Nanometres."""
    metres = _length(element, name, "nm")
    return stated(round(metres * 1e3, 6)) if metres is not None else None


def _channel(element: Element) -> tuple[Channel, int]:
    colour = _integer(element, "Color")
    known = colour is not None and colour != _OLD_DEFAULT_COLOUR
    return (
        Channel(
            name=element.get("Name") or None,
            fluorophore=element.get("Fluor") or None,
            excitation_nm=_wavelength(element, "ExcitationWavelength"),
            emission_nm=_wavelength(element, "EmissionWavelength"),
            # a signed 32 bit integer of the bytes R, G, B, A
            color=f"{(colour or 0) % 2**32:08X}"[:6] if known else None,
        ),
        max(1, _integer(element, "SamplesPerPixel", 1) or 1),
    )


def _times(pixels: Element, planes: list[Element], count: int) -> tuple[float, ...] | None:
    """Seconds from the first frame, where every frame has a time; the first channel and z speak for a frame."""
    if count < 2:
        return None
    stamps: dict[int, tuple[tuple[int, int], float]] = {}
    for plane in planes:
        time, value = _integer(plane, "TheT", 0) or 0, _seconds(plane, "DeltaT")
        rank = (_integer(plane, "TheC", 0) or 0, _integer(plane, "TheZ", 0) or 0)
        if value is not None and (time not in stamps or rank < stamps[time][0]):
            stamps[time] = (rank, value)
    times = [stamps[t][1] for t in range(count) if t in stamps]
    if len(times) < count:
        step = _seconds(pixels, "TimeIncrement")
        times = [step * t for t in range(count)] if step is not None and step > 0 else []
    if not times or any(b <= a for a, b in pairwise(times)):
        return None
    return tuple(t - times[0] for t in times)


def _origin(image: Element, planes: list[Element]) -> VoxelSize:
    """Stage position of the first plane. The schema's default unit, the reference frame, is no length."""
    first = next((p for p in planes if all(p.get(f"The{a}", "0") == "0" for a in "TCZ")), None)
    label = _child(image, "StageLabel")
    found: list[float | None] = []
    for axis in "ZYX":
        value = _length(first, f"Position{axis}", "reference frame")
        found.append(value if value is not None else _length(label, axis, "reference frame"))
    z, y, x = found
    return z, y, x


def _instrument(root: Element, image: Element) -> Instrument:
    instruments = list(_children(root, "Instrument"))
    reference = _child(image, "InstrumentRef")
    if reference is not None:
        instruments = [i for i in instruments if i.get("ID") == reference.get("ID")]
    if len(instruments) != 1:
        return Instrument()
    microscope = _child(instruments[0], "Microscope")
    stand = Instrument(manufacturer=_value(microscope, "Manufacturer"), model=_value(microscope, "Model"))
    objectives = list(_children(instruments[0], "Objective"))
    settings = _child(image, "ObjectiveSettings", "ObjectiveSettingsRef", "ObjectiveRef")
    if settings is not None:
        objectives = [o for o in objectives if o.get("ID") == settings.get("ID")]
    if len(objectives) != 1:
        return stand
    objective = objectives[0]
    immersion = _value(objective, "Immersion")
    return replace(
        stand,
        objective=_value(objective, "Model"),
        magnification=stated(_number(objective, "NominalMagnification"))
        or stated(_number(objective, "CalibratedMagnification")),
        numerical_aperture=stated(_number(objective, "LensNA")),
        immersion=None if immersion in ("Other", "Unknown") else immersion,
    )
