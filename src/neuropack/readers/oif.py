"""Olympus FluoView: OIF (a settings file with a folder of TIFF planes) and OIB (the same in one compound file).

The settings name the axes; the names of the planes (``s_C001Z002T003.tif``) say where each belongs. The place is
taken from those letters: the order of the axes in the settings and that of the planes differ (cgohlke/oiffile#2).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.axes import Array, Box, box_shape, full_box
from neuropack.errors import InputError
from neuropack.readers import compound
from neuropack.readers.oif_files import (
    Files,
    OibFiles,
    OifFiles,
    Settings,
    number,
    read_main_settings,
    read_settings,
    words,
)
from neuropack.readers.problems import damaged, reading
from neuropack.volume import Channel, Instrument, Volume, VoxelSize, stated

_IN_UM = {"um": 1.0, "nm": 1e-3, "mm": 1e3}
_PLANE = re.compile(r"s_((?:[A-Z]\d+)+)\.tif", re.IGNORECASE)
_PLACE = re.compile(r"([A-Z])(\d+)")
_OIF_SECTIONS = ("[Acquisition Parameters Common]", "[ProfileSaveInfo]", "[Version Info]", "[File Info]")

Place = tuple[int, ...]


def sniff(head: bytes, path: Path) -> bool:
    """True for an OIB (a compound file with Olympus's contents list) and for the settings file of an OIF."""
    if head.startswith(compound.MAGIC):
        try:
            return "OibInfo.txt" in compound.names(path)
        except (ValueError, IndexError):  # cut short: an OIB is the only compound file that can be meant here
            return True
    text = head.decode("utf-16" if head.startswith(b"\xff\xfe") else "latin-1", "replace")
    return text.startswith("[") and any(section in text for section in _OIF_SECTIONS)


@dataclass(frozen=True)
class _Layout:
    """Axes in the order of the settings, the slowest first, and the file of each plane by its place."""

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    planes: dict[Place, str]


class OifPixels:
    """The pixels of an OIF or OIB. A plane is the unit."""

    def __init__(self, path: Path, kind: str, files: Files, layout: _Layout) -> None:
        self._path, self._kind, self._files, self._layout = path, kind, files, layout

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Decode the planes that a box touches."""
        if out is None:
            out = np.empty(box_shape(box), self._layout.dtype)
        for at in np.ndindex(*box_shape(box[:-2])):
            place = tuple(s.start + i for s, i in zip(box, at, strict=False))
            name = self._layout.planes[place]
            with self._files.original(name).unchanged(name), reading(self._path, self._kind, name):
                plane = _decode(self._files.read(name), name)
                if (plane.shape, plane.dtype) != (self._layout.shape[-2:], self._layout.dtype):
                    raise ValueError(f"The plane is {plane.shape} {plane.dtype}, unlike the first.")
                out[at] = plane[box[-2:]]
        return out

    def native_blocks(self) -> Iterator[Box]:
        """A block per plane, in the order of the axes."""
        for at in np.ndindex(*self._layout.shape[:-2]):
            yield (*(slice(i, i + 1) for i in at), *full_box(self._layout.shape[-2:]))

    def close(self) -> None:
        """Close the file; a later box opens it again."""
        self._files.close()


def _decode(data: bytes, name: str) -> Array:
    """The one page of a TIFF file."""
    import tifffile

    with tifffile.TiffFile(BytesIO(data), name=name) as tiff:
        plane: Array = tiff.pages.first.asarray()
        return plane.astype(plane.dtype.newbyteorder("="), copy=False)


def _place(i: int, shape: tuple[int, ...]) -> Place:
    """Place of the plane number `i`; unlike numpy.ndindex, it lists no range of a damaged size."""
    return tuple(int(v) for v in np.unravel_index(i, shape)) if shape else ()


def _axis(main: Settings, code: str) -> Settings:
    """The section of an axis, by its letter; empty where there is none."""
    for i in range(9):
        section: Settings = main.get(f"Axis {i} Parameters Common", {})
        if section.get("AxisCode") == code:
            return section
    return {}


def _layout(path: Path, kind: str, files: Files, main: Settings) -> _Layout:
    """Axes, shape and planes.

    Raises:
        InputError: when planes are missing, or the settings and the planes contradict each other.
    """
    order = str(main["Axis Parameter Common"]["AxisOrder"])
    outer = order[:1:-1]
    sizes = {code: int(number(_axis(main, code).get("MaxSize")) or 1) for code in order}
    planes: dict[Place, str] = {}
    for name in files.names():
        match = _PLANE.fullmatch(name)
        if match:
            at = {code: int(i) - 1 for code, i in _PLACE.findall(match[1].upper())}
            if any(i for code, i in at.items() if code not in outer):
                raise damaged(
                    path, kind, f"The plane {name} lies on an axis that the settings ({order}) do not have."
                )
            planes[tuple(at.get(code, 0) for code in outer)] = name
    outer_shape = tuple(sizes[code] for code in outer)
    described = f"its settings ({order}) describe {math.prod(outer_shape)}"
    places = (_place(i, outer_shape) for i in range(math.prod(outer_shape)))
    lost = next((place for place in places if place not in planes), None)
    if lost is not None:
        place = " ".join(f"{code}={i + 1}" for code, i in zip(outer, lost, strict=True)) or "the only one"
        raise damaged(path, kind, f"It holds {len(planes)} planes, {described}. Missing, first: {place}.")
    if len(planes) > math.prod(outer_shape):
        raise damaged(path, kind, f"It holds {len(planes)} planes, {described}.")
    first_name = planes[(0,) * len(outer)]
    with reading(path, kind, first_name):
        plane = _decode(files.read(first_name), first_name)
    inner = order[1::-1]
    stated_shape = tuple(sizes[code] for code in inner)
    if plane.shape != stated_shape:
        raise InputError(
            f"this {kind} file contradicts itself",
            file=path,
            where=first_name,
            expected=f"a plane {inner} of {stated_shape}, as its settings say",
            found=f"{plane.shape}",
            fix="open it in FluoView and save it again",
        )
    return _Layout(outer + inner, outer_shape + stated_shape, plane.dtype, planes)


def _voxel_size(main: Settings, layout: _Layout) -> VoxelSize:
    """(z, y, x) in um: the extent of x and y over their pixels, the step of z.

    The settings also state a "WidthConvertValue": the same extent over one pixel less.
    """
    length = dict(zip(layout.axes, layout.shape, strict=True))
    sizes: list[float | None] = []
    for code in "ZYX":
        axis = _axis(main, code)
        unit = _IN_UM.get(str(axis.get("PixUnit")))
        start, end, step = (number(axis.get(key)) for key in ("StartPosition", "EndPosition", "Interval"))
        size = None
        if code in length and unit and code == "Z":
            size = abs(step) if step else None
        elif code in length and unit and start is not None and end is not None:
            size = abs(end - start) / length[code]
        sizes.append(stated((size or 0) * (unit or 0)))
    return (sizes[0], sizes[1], sizes[2])


def _plane_settings(files: Files, layout: _Layout, place: Place) -> Settings:
    """What the microscope noted beside a plane; empty where it noted nothing."""
    name = layout.planes[place].rpartition(".")[0] + ".pty"
    return read_settings(files, name) if name in files.names() else {}


def _color(files: Files, plane: Settings) -> str | None:
    """Colour of the brightest entry of a channel's look-up table (blue, green, red, unused)."""
    name = f"s_{plane.get('LUT Parameter', {}).get('LUTFileName')}.lut"
    if name not in files.names():
        return None
    table = read_settings(files, name).get("ColorLUTData")
    if table is None or not len(table):
        return None
    blue, green, red = (int(v) for v in table[-1][:3])
    return f"{red:02X}{green:02X}{blue:02X}"


def _channels(files: Files, main: Settings, layout: _Layout) -> tuple[Channel, ...]:
    """One per channel, from the sections of the recorded ones (those of the GUI also list unused detectors)."""
    count = dict(zip(layout.axes, layout.shape, strict=True)).get("C", 1)
    c = layout.axes.find("C")
    channels = []
    for i in range(count):
        section: Settings = main.get(f"Channel {i + 1} Parameters", {})
        place = tuple(i if axis == c else 0 for axis in range(len(layout.shape) - 2))
        channels.append(
            Channel(
                name=words(section.get("CH Name")),
                fluorophore=words(section.get("DyeName")),
                excitation_nm=stated(number(section.get("ExcitationWavelength"))),
                emission_nm=stated(number(section.get("EmissionWavelength"))),
                color=_color(files, _plane_settings(files, layout, place)),
            )
        )
    return tuple(channels)


def _times(files: Files, main: Settings, layout: _Layout) -> tuple[float, ...] | None:
    """Seconds from the first time point, as noted beside the first plane of each."""
    t = layout.axes[:-2].find("T")
    if t < 0:
        return None
    t_axis = next(i for i in range(9) if main.get(f"Axis {i} Parameters Common", {}).get("AxisCode") == "T")
    times = []
    for i in range(layout.shape[t]):
        place = tuple(i if axis == t else 0 for axis in range(len(layout.shape) - 2))
        noted: Settings = _plane_settings(files, layout, place).get(f"Axis {t_axis} Parameters", {})
        value = number(noted.get("AbsPositionValue"))
        if value is None or noted.get("AbsPositionUnitName") != "ms":
            return None
        times.append(value / 1000)
    return tuple(time - times[0] for time in times) if all(a < b for a, b in pairwise(times)) else None


def _acquired(main: Settings) -> str | None:
    """Time of the acquisition by the microscope's clock, whose zone is not noted."""
    common: Settings = main.get("Acquisition Parameters Common", {})
    try:
        start = datetime.fromisoformat(str(common.get("ImageCaputreDate")))  # Olympus's spelling
    except ValueError:
        return None
    ms = number(common.get("ImageCaputreDate+MilliSec")) or 0
    return (start + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")


def _instrument(main: Settings, plane: Settings) -> Instrument:
    noted: Settings = plane.get("Acquisition Parameters Common", {})
    return Instrument(
        model=words(main.get("Version Info", {}).get("SystemName")),
        objective=words(noted.get("ObjectiveLens Name")),
        magnification=stated(number(noted.get("Magnification"))),
        numerical_aperture=stated(number(noted.get("ObjectiveLens NAValue"))),
    )


def open_file(path: Path) -> tuple[Volume, ...]:
    """The image of an OIB or OIF.

    Raises:
        InputError: when the file is cut short or damaged, planes are missing, or settings and planes disagree.
    """
    with path.open("rb") as file:
        kind = "OIB" if file.read(len(compound.MAGIC)) == compound.MAGIC else "OIF"
    with reading(path, kind):
        files = OibFiles(path) if kind == "OIB" else OifFiles(path)
        try:
            main = read_main_settings(files)
            layout = _layout(path, kind, files, main)
            first = _plane_settings(files, layout, (0,) * (len(layout.shape) - 2))
            return (
                Volume(
                    path=path,
                    format=kind,
                    native_axes=layout.axes,
                    native_shape=layout.shape,
                    dtype=layout.dtype,
                    pixels=OifPixels(path, kind, files, layout),
                    voxel_size_um=_voxel_size(main, layout),
                    channels=_channels(files, main, layout),
                    times_s=_times(files, main, layout),
                    acquired=_acquired(main),
                    instrument=_instrument(main, first),
                ),
            )
        finally:
            files.close()
