"""What ImageJ, LSM and plain TIFF files say of themselves, and what of it can be believed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.readers.ome_xml import SECONDS, unit_factor
from neuropack.volume import Channel, Instrument, VoxelSize, stated

if TYPE_CHECKING:
    from tifffile import TiffPage

RGB = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
# What image programs write for "print it about this large": no calibration of a microscope.
_PRINT_DPI = (1, 72, 96, 150, 300, 600)
_UM_PER_UNIT = {2: 25400.0, 3: 10000.0}  # ResolutionUnit (TIFF 6.0): inch, centimetre; 1 means none


@dataclass(frozen=True)
class Facts:
    """The fields of a Volume that a file states."""

    voxel_size_um: VoxelSize = (None, None, None)
    channels: tuple[Channel, ...] = ()
    times_s: tuple[float, ...] | None = None
    acquired: str | None = None
    instrument: Instrument = field(default_factory=Instrument)


def unique(names: Sequence[str]) -> list[str]:
    """The same names, later ones of equal ones with a number behind."""
    seen: set[str] = set()
    result = []
    for name in names:
        candidate, n = name, 2
        while candidate in seen:
            candidate, n = f"{name} ({n})", n + 1
        seen.add(candidate)
        result.append(candidate)
    return result


def level_size(size: VoxelSize, axes: str, full: tuple[int, ...], coarse: tuple[int, ...]) -> VoxelSize:
    """Voxel size of a pyramid level, from the number of voxels along each axis.

    The step is taken as whole where lengths allow it: 5000 -> 312 rows is a step of 16 with a row cut off.
    """
    result = []
    for axis, value in zip("ZYX", size, strict=True):
        if value is None or axis not in axes:
            result.append(value)
            continue
        n, m = full[axes.index(axis)], coarse[axes.index(axis)]
        step = max(1, round(n / m))
        result.append(value * (step if m in (n // step, -(-n // step)) else n / m))
    z, y, x = result
    return z, y, x


def samples_colours(page: TiffPage) -> tuple[Channel, ...]:
    """Colours of the samples where the page says that they are red, green and blue."""
    if page.photometric == 2 and page.samplesperpixel >= len(RGB):
        return tuple(Channel(color=colour) for _, colour in RGB)
    return ()


def _pixels_per_unit(page: TiffPage, tag: str) -> float | None:
    value = page.tags.valueof(tag)
    try:
        numerator, denominator = value
        return stated(numerator / denominator, 0)
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def plain_facts(page: TiffPage) -> Facts:
    """Resolution of a plain TIFF file, where it is a calibration and no size on paper."""
    factor = _UM_PER_UNIT.get(int(page.tags.valueof("ResolutionUnit", 2) or 0))
    sizes: list[float | None] = []
    for tag in ("YResolution", "XResolution"):
        density = _pixels_per_unit(page, tag)
        if factor is None or density is None or density == 1:
            sizes.append(None)
            continue
        dpi = density * 25400.0 / factor
        printed = any(abs(dpi / common - 1) < 0.005 for common in _PRINT_DPI)
        sizes.append(None if printed else stated(factor / density))
    return Facts((None, sizes[0], sizes[1]), samples_colours(page))


def imagej_facts(meta: Mapping[str, Any], page: TiffPage, axes: Mapping[str, int]) -> Facts:
    """What ImageJ writes: a unit, pixels per unit, the z step, the frame interval, the look-up tables.

    ImageJ leaves `spacing` out where it is 1 unit, and where it is not known: what is left out is missing.

    Args:
        meta: tifffile's `imagej_metadata`.
        page: the first page.
        axes: lengths by axis letter.
    """
    units = {a: _text(meta.get(f"{a}unit")) or _text(meta.get("unit")) for a in "xyz"}
    factors = {a: unit_factor(u) for a, u in units.items()}

    def side(axis: str, tag: str) -> float | None:
        density, factor = _pixels_per_unit(page, tag), factors[axis]
        return stated(factor / density) if density and factor else None

    try:
        depth = stated(abs(float(meta["spacing"])) * (factors["z"] or math.nan))
    except (KeyError, TypeError, ValueError):
        depth = None
    return Facts(
        (depth, side("y", "YResolution"), side("x", "XResolution")),
        _lut_colours(meta, axes.get("C", 1)) or samples_colours(page),
        _intervals(meta, axes.get("T", 1)),
    )


def _text(value: Any) -> str | None:
    return value.strip().strip('"') if isinstance(value, str) else None


def _intervals(meta: Mapping[str, Any], count: int) -> tuple[float, ...] | None:
    factor = unit_factor(_text(meta.get("tunit")) or "s", SECONDS)
    try:
        step = stated(float(meta["finterval"]) * (factor or math.nan))
    except (KeyError, TypeError, ValueError):
        return None
    return tuple(step * t for t in range(count)) if step and count > 1 else None


def _lut_colours(meta: Mapping[str, Any], channels: int) -> tuple[Channel, ...]:
    """The colour at the end of each channel's look-up table, where the table runs straight from black to it."""
    tables = meta.get("LUTs")
    if not isinstance(tables, list) or len(tables) != channels or meta.get("mode") == "grayscale":
        return ()
    found = []
    for table in tables:
        lut = np.asarray(table)
        if lut.shape != (3, 256):
            return ()
        top = lut[:, 255].astype(float)
        straight = np.abs(lut - np.outer(top, np.linspace(0, 1, 256))).max() < 2
        found.append(Channel(color="".join(f"{int(v):02X}" for v in top) if straight and top.any() else None))
    return tuple(found)


def lsm_facts(meta: Mapping[str, Any], axes: Mapping[str, int]) -> Facts:
    """What a Zeiss LSM file states. Its lengths are in metre; 1e-19 is its way to say that there is none.

    Args:
        meta: tifffile's `lsm_metadata`.
        axes: lengths by axis letter.
    """
    z, y, x = (stated(float(meta.get(f"VoxelSize{a}", 0)) * 1e6) for a in "ZYX")
    scan: Mapping[str, Any] = meta.get("ScanInformation") or {}
    stamps = meta.get("TimeStamps")
    times = None
    if stamps is not None and axes.get("T", 1) > 1 and len(stamps) == axes["T"]:
        times = tuple(float(t - stamps[0]) for t in stamps)
    return Facts((z, y, x), _lsm_channels(meta, scan, axes.get("C", 1)), times, _ole_time(scan), _objective(scan))


def _ole_time(scan: Mapping[str, Any]) -> str | None:
    """Local time of the first sample; LSM counts days from 30 December 1899 and states no zone."""
    days = stated(scan.get("Sample0time"))
    if days is None:
        return None
    return (datetime(1899, 12, 30) + timedelta(days=days)).isoformat(timespec="milliseconds")


def _objective(scan: Mapping[str, Any]) -> Instrument:
    """`Plan-Apochromat 20x/0.8 M27` says magnification and aperture; Zeiss names its objectives so."""
    name = _text(scan.get("Objective")) or None
    parts = re.search(r"(\d+(?:\.\d+)?)x/(\d+(?:\.\d+)?)", name or "")
    immersion = re.search(r"\b(Oil|W|Water|Glyc|Imm)\b", name or "")
    full = {"W": "Water", "Glyc": "Glycerol", "Imm": "Multi"}
    return Instrument(
        objective=name,
        magnification=float(parts[1]) if parts else None,
        numerical_aperture=float(parts[2]) if parts else None,
        immersion=full.get(immersion[1], immersion[1]) if immersion else None,
    )


def _lsm_channels(meta: Mapping[str, Any], scan: Mapping[str, Any], count: int) -> tuple[Channel, ...]:
    """Names and colours of the channels; dye and excitation where a channel has one detector and one laser line."""
    colours: Mapping[str, Any] = meta.get("ChannelColors") or {}
    names = list(colours.get("ColorNames") or ())
    rgb = list(colours.get("Colors") or ())
    dyes, lines = _detectors(scan, names, count)
    return tuple(
        Channel(
            name=(names[i] or None) if i < len(names) else None,
            fluorophore=dyes[i],
            excitation_nm=lines[i],
            color="".join(f"{int(v):02X}" for v in rgb[i][:3]) if i < len(rgb) else None,
        )
        for i in range(count)
    )


def _detectors(
    scan: Mapping[str, Any], names: list[str], count: int
) -> tuple[list[str | None], list[float | None]]:
    """Dye and laser line of each channel. The detectors of all tracks, in order, are the channels in order.

    Where their number differs, or a name such as `Ch2-T2` tells another track, nothing is said. A track with
    several laser lines does not tell which one excites what.
    """
    dyes: list[str | None] = []
    lines: list[float | None] = []
    for number, track in enumerate(scan.get("Tracks") or (), 1):
        if not track.get("Acquire", 1):
            continue
        on = [c for c in track.get("IlluminationChannels") or () if c.get("Aquire", c.get("Acquire", 0))]
        line = stated(round(float(on[0].get("Wavelength", 0)), 3)) if len(on) == 1 else None
        for detector in track.get("DetectionChannels") or ():
            if not detector.get("Acquire", 1):
                continue
            told = re.search(r"-T(\d+)$", names[len(dyes)]) if len(dyes) < len(names) else None
            if told and int(told[1]) != number:
                return [None] * count, [None] * count
            dyes.append(_text(detector.get("DyeName")) or None)
            lines.append(line)
    if len(dyes) != count:
        return [None] * count, [None] * count
    return dyes, lines
