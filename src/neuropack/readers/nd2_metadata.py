"""What an ND2 file says about itself, read with the nd2 library and never more than the file states."""

from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from neuropack.volume import Channel, Instrument, VoxelSize, stated

if TYPE_CHECKING:
    from nd2 import ND2File
    from nd2.structures import Metadata, TimeStamp

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIX_EPOCH_JULIAN_DAY = 2440587.5


def read_metadata(file: ND2File) -> Metadata:
    """The library's metadata, also of channels without a fluorescent probe.

    nd2 0.12 fails on those (an UnboundLocalError in _get_excitation); a probe without a spectrum says the same.
    """
    if not file.is_legacy:
        planes = cast(Any, file)._rdr._cached_raw_metadata().get("sPicturePlanes", {})
        for plane in (planes.get("sPlaneNew") or planes.get("sPlane", {})).values():
            plane["pFluorescentProbe"] = plane.get("pFluorescentProbe") or {"m_sName": ""}
    return file.metadata


def voxel_size(file: ND2File, metadata: Metadata) -> VoxelSize:
    """(z, y, x) in um of the axes that the file calls calibrated; else the step of its z loop."""
    z = next((stated(loop.parameters.stepUm) for loop in file.experiment if loop.type == "ZStackLoop"), None)
    if not metadata.channels:
        return (z, None, None)
    volume = metadata.channels[0].volume
    known = zip(volume.axesCalibration, volume.axesCalibrated, volume.axesInterpretation, strict=True)
    sizes = [stated(size) if calibrated and kind == "distance" else None for size, calibrated, kind in known]
    return (sizes[2] or z, sizes[1], sizes[0])


def channels(metadata: Metadata, count: int) -> tuple[Channel, ...]:
    """The channels of an image, where the file describes as many as it has."""
    if len(metadata.channels or ()) != count:
        return ()
    return tuple(
        Channel(
            name=channel.channel.name or None,
            excitation_nm=stated(channel.channel.excitationLambdaNm),
            emission_nm=stated(channel.channel.emissionLambdaNm),
            color="{:02X}{:02X}{:02X}".format(*channel.channel.color[:3])
            if any(channel.channel.color[:3])
            else None,
        )
        for channel in metadata.channels or ()
    )


def instrument(file: ND2File, metadata: Metadata) -> Instrument:
    """The objective, and the stand that the file's description names."""
    stand = re.search(r"Microscope: *([^\r\n]+)", file.text_info.get("description", ""))
    if not metadata.channels:
        return Instrument(model=stand.group(1).strip() if stand else None)
    microscope = metadata.channels[0].microscope
    return Instrument(
        model=stand.group(1).strip() if stand else None,
        objective=microscope.objectiveName or None,
        magnification=stated(microscope.objectiveMagnification),
        numerical_aperture=stated(microscope.objectiveNumericalAperture),
    )


def stamp(file: ND2File, number: int) -> TimeStamp | None:
    """Time of a frame; None where the file does not state it."""
    if file.is_legacy:
        return None
    try:
        with warnings.catch_warnings():  # the library warns about a file without times
            warnings.simplefilter("ignore")
            frame = cast(Any, file.frame_metadata(number))
    except IndexError:
        return None
    return cast("TimeStamp", frame.channels[0].time) if frame.channels else None


def acquired(first: TimeStamp | None) -> str | None:
    """Start of the acquisition: the julian day (UTC) of a frame less its time since the start."""
    if first is None or not stated(first.absoluteJulianDayNumber, _UNIX_EPOCH_JULIAN_DAY):
        return None
    since = timedelta(days=first.absoluteJulianDayNumber - _UNIX_EPOCH_JULIAN_DAY)
    start = _UNIX_EPOCH + since - timedelta(milliseconds=first.relativeTimeMs)
    return start.isoformat(timespec="milliseconds")


def times(file: ND2File, frames: list[int]) -> tuple[float, ...] | None:
    """Seconds of frames from the first; None where they are not stated or do not grow."""
    stamps = [stamp(file, number) for number in frames]
    seconds = [s.relativeTimeMs / 1000 for s in stamps if s is not None]
    if len(seconds) < len(frames) or not all(a < b for a, b in pairwise(seconds)):
        return None
    return tuple(s - seconds[0] for s in seconds)


def position_names(file: ND2File, count: int) -> list[str | None]:
    """Names of the stage positions; None for the only one."""
    if count == 1:
        return [None]
    names = [f"XYPos:{i}" for i in range(count)]
    for loop in file.experiment:
        if loop.type == "XYPosLoop":
            names = [point.name or name for point, name in zip(loop.parameters.points, names, strict=True)]
    if len(set(names)) < len(names):
        names = [f"{name} ({i})" for i, name in enumerate(names)]
    return list(names)
