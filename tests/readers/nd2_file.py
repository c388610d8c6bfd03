"""A small writer of ND2 files, for the loops and the damage that the real files do not have.

It follows what the nd2 library reads: chunks of a header (magic, length of the name, length of the data), a name
and data; metadata as Nikon's XML variant; a map of all chunks at the end.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

_MAGIC = 0x0ABECEDA
_MAP_NAME, _MAP_END = b"ND2 FILEMAP SIGNATURE NAME 0001!", b"ND2 CHUNK MAP SIGNATURE 0000001!"
_TYPES = {bool: "bool", int: "lx_uint32", float: "double", str: "CLxStringW"}


def _xml(name: str, value: Any) -> str:
    if isinstance(value, list):
        return _xml(name, {f"no_name {i}": item for i, item in enumerate(value)})
    tag = name.partition(" ")[0]
    if isinstance(value, dict):
        return f'<{tag} runtype="CLxVariant">{"".join(_xml(k, v) for k, v in value.items())}</{tag}>'
    return f'<{tag} runtype="{_TYPES[type(value)]}" value={quoteattr(str(value))}/>'


def _variant(name: str, value: dict[str, Any]) -> bytes:
    return f'<variant version="1.0">{_xml(name, value)}</variant>'.encode()


def time_loop(count: int) -> dict[str, Any]:
    """A loop over time."""
    return {"eType": 1, "uLoopPars": {"uiCount": count, "dStart": 0.0, "dPeriod": 1.0, "dDuration": 1.0}}


def z_loop(count: int, step: float, **more: Any) -> dict[str, Any]:
    """A z stack."""
    return {"eType": 4, "uLoopPars": {"uiCount": count, "dZStep": step, **more}}


def custom_loop(count: int) -> dict[str, Any]:
    """A loop whose meaning nobody knows."""
    return {"eType": 7, "uLoopPars": {"uiCount": count}}


def position_loop(*names: str, um: Sequence[tuple[float, ...]] = (), sets_z: bool = False) -> dict[str, Any]:
    """Stage positions: x, y, z in um; 10 um apart along x where they are not given."""
    places = um or [(10.0 * i, 0.0, 0.0) for i in range(len(names))]
    points = [
        {"dPosX": x, "dPosY": y, "dPosZ": z, "dPosName": name}
        for name, (x, y, z) in zip(names, places, strict=True)
    ]
    return {"eType": 2, "uLoopPars": {"Points": points, "bUseZ": sets_z}}


def channel(name: str, color: int = 0x0000FF00, samples: int = 1) -> dict[str, Any]:
    """A channel; colour as alpha, blue, green, red."""
    return {"uiCompCount": samples, "sDescription": name, "uiColor": color}


def write_nd2(
    path: Path,
    frames: npt.NDArray[Any],
    loops: list[dict[str, Any]],
    channels: list[dict[str, Any]],
    *,
    times_ms: list[float] | None = None,
    calibrated: bool = True,
    compress: bool = False,
    lost: tuple[int, ...] = (),
    padding: int = 0,
    hollow: bool = False,
    stage: Mapping[str, Any] | None = None,
) -> Path:
    """Frames are (number, Y, X, component), components as the file keeps them: channels, or blue, green, red.

    Args:
        padding: bytes after each row.
        stage: what the picture says of the stage and the camera.
        hollow: the pixels are holes of the file, which take no disk; of `frames` only shape and type count.
    """
    n, height, width, components = frames.shape
    attributes = {
        "uiWidth": width,
        "uiWidthBytes": width * components * frames.itemsize + padding,
        "uiHeight": height,
        "uiComp": components,
        "uiBpcInMemory": 8 * frames.itemsize,
        "uiBpcSignificant": 8 * frames.itemsize,
        "uiSequenceCount": n,
        "eCompression": 0 if compress else 2,
    }
    picture = {
        "bCalibrated": calibrated,
        "dCalibration": 0.25,
        "dTimeAbsolute": 2460783.5,
        "dTimeMSec": 0.0,
        "sPicturePlanes": {"uiCount": len(channels), "sPlaneNew": {f"a{i}": c for i, c in enumerate(channels)}},
        **(stage or {}),
    }
    chunks = {
        b"ImageAttributesLV!": _variant("SLxImageAttributes", attributes),
        b"ImageMetadataSeqLV|0!": _variant("SLxPictureMetadata", picture),
        b"ImageTextInfoLV!": _variant("SLxImageTextInfo", {"TextInfoItem_5": "Microscope: Ti2 \r\n"}),
    }
    experiment: dict[str, Any] = {}
    for loop in reversed(loops):
        experiment = {**loop, **({"ppNextLevelEx": [experiment]} if experiment else {})}
    if experiment:
        chunks[b"ImageMetadataLV!"] = _variant("SLxExperiment", experiment)
    if times_ms is not None:
        chunks[b"CustomData|AcqTimesCache!"] = np.asarray(times_ms, "<f8").tobytes()
    hole = 8 + height * (width * components * frames.itemsize + padding)
    for i, frame in enumerate(frames):
        if i in lost:
            continue
        name = b"ImageDataSeq|%d!" % i
        if hollow:
            chunks[name] = b""
            continue
        rows = np.ascontiguousarray(frame).reshape(height, -1).view("u1")
        pixels = np.pad(rows, ((0, 0), (0, padding))).tobytes()
        chunks[name] = bytes(8) + (zlib.compress(pixels) if compress else pixels)
    listing = bytearray()
    with path.open("wb") as out:
        out.write(struct.pack("<IIQ32s64s", _MAGIC, 32, 64, b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0"))
        for name, data in chunks.items():
            length = len(data) or hole
            listing += name + struct.pack("<QQ", out.tell(), length)
            reserved = 4072 if name.startswith(b"ImageDataSeq") else len(name)
            out.write(struct.pack("<IIQ", _MAGIC, reserved, length) + name.ljust(reserved, b"\0") + data)
            if not data:
                out.seek(hole, os.SEEK_CUR)
        end = _MAP_END + struct.pack("<Q", out.tell())
        out.write(struct.pack("<IIQ", _MAGIC, 32, len(listing) + len(end)) + _MAP_NAME + listing + end)
    return path
