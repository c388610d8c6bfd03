"""A writer of small OIB and OIF files: TIFF planes and settings as FluoView writes them, in a compound file.

The compound file follows Microsoft's [MS-CFB], version 3: sectors of 512 bytes, small streams in a stream of
64-byte sectors, a balanced tree of directory entries.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

_SECTOR, _SMALL, _CUTOFF = 512, 64, 4096
_FREE, _END, _FAT, _DIFAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC
_STORAGE, _STREAM, _ROOT = 1, 2, 5


def _chain(table: list[int], count: int) -> int:
    """Append a chain of `count` sectors to a table; its first sector."""
    start = len(table)
    table += [*range(start + 1, start + count), _END] if count else []
    return start if count else _END


def _tree(order: Sequence[int], links: dict[int, tuple[int, int]]) -> int:
    """Link entries, sorted by name, to a balanced tree; its root."""
    if not order:
        return _FREE
    middle = len(order) // 2
    links[order[middle]] = _tree(order[:middle], links), _tree(order[middle + 1 :], links)
    return order[middle]


def _entry(name: str, kind: int, links: tuple[int, int], child: int, start: int, size: int) -> bytes:
    encoded = name.encode("utf-16-le")
    return struct.pack(
        "<64sHBBIII16sIQQIQ", encoded, len(encoded) + 2, kind, 1, *links, child, b"", 0, 0, 0, start, size
    )


def write_compound(path: Path, streams: Mapping[str, bytes]) -> Path:
    """Write streams, named ``NAME`` or ``STORAGE/NAME``."""
    fat: list[int] = []
    small_fat: list[int] = []
    data, small = bytearray(), bytearray()
    places = {}
    for name, content in streams.items():
        if len(content) >= _CUTOFF:
            sectors = -(-len(content) // _SECTOR)
            places[name] = _chain(fat, sectors)
            data += content.ljust(sectors * _SECTOR, b"\0")
        else:
            sectors = -(-len(content) // _SMALL)
            places[name] = _chain(small_fat, sectors)
            small += content.ljust(sectors * _SMALL, b"\0")
    storages = sorted({name.partition("/")[0] for name in streams if "/" in name})
    names = ["", *storages, *streams]  # entry numbers; 0 is the root
    links: dict[int, tuple[int, int]] = {}

    def child(inside: Sequence[str]) -> int:
        return _tree(sorted((names.index(n) for n in inside), key=lambda i: (len(names[i]), names[i])), links)

    children = {0: child([*storages, *(n for n in streams if "/" not in n)])}
    children |= {names.index(s): child([n for n in streams if n.startswith(f"{s}/")]) for s in storages}
    small_start = _chain(fat, -(-len(small) // _SECTOR))
    entries = [_entry("Root Entry", _ROOT, (_FREE, _FREE), children[0], small_start, len(small))]
    for i, name in enumerate(names[1:], 1):
        if name in places:
            size = len(streams[name])
            entries.append(_entry(name.rpartition("/")[2], _STREAM, links[i], _FREE, places[name], size))
        else:
            entries.append(_entry(name, _STORAGE, links[i], children[i], 0, 0))
    directory = b"".join(entries)
    parts = [bytes(data), bytes(small), directory, np.array(small_fat, "<u4").tobytes()]
    fills = [b"\0", b"\0", b"\0", b"\xff"]
    parts = [part.ljust(-(-len(part) // _SECTOR) * _SECTOR, fill) for part, fill in zip(parts, fills, strict=True)]
    directory_start = _chain(fat, len(parts[2]) // _SECTOR)
    small_fat_sectors = len(parts[3]) // _SECTOR
    small_fat_start = _chain(fat, small_fat_sectors)
    per, extra, fats = _SECTOR // 4, 0, 0
    while fats * per < len(fat) + fats + extra:
        fats += 1
        extra = max(0, -(-(fats - 109) // (per - 1)))
    fat_numbers = list(range(len(fat), len(fat) + fats))
    fat += [_FAT] * fats
    difat_start = len(fat) if extra else _END
    fat += [_DIFAT] * extra
    fat += [_FREE] * (fats * per - len(fat))
    pages = b""
    for i in range(extra):
        page = fat_numbers[109 + i * (per - 1) : 109 + (i + 1) * (per - 1)]
        following = difat_start + i + 1 if i + 1 < extra else _END
        pages += np.array([*page, *[_FREE] * (per - 1 - len(page)), following], "<u4").tobytes()
    head = bytes.fromhex("d0cf11e0a1b11ae1") + struct.pack(
        "<16sHHHHH6xIIIIIIIIII",
        b"",
        0x3E,
        3,
        0xFFFE,
        9,
        6,
        0,
        fats,
        directory_start,
        0,
        _CUTOFF,
        small_fat_start,
        small_fat_sectors,
        difat_start,
        extra,
        0,
    )
    head = head[:76] + np.array([*fat_numbers[:109], *[_FREE] * (109 - fats)], "<u4").tobytes()
    path.write_bytes(head + b"".join(parts) + np.array(fat, "<u4").tobytes() + pages)
    return path


def settings(sections: Mapping[str, Mapping[str, Any]], table: bytes = b"") -> bytes:
    """A settings file: UTF-16, sections of ``key=value``, text in quotes."""
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f'{k}="{v}"' if isinstance(v, str) else f"{k}={v}" for k, v in values.items()]
    text = "\r\n".join(lines) + "\r\n"
    if table:
        return b"\xff\xfe" + (text + "[ColorLUTData]\r\n").encode("utf-16-le") + table
    return b"\xff\xfe" + text.encode("utf-16-le")


def plane_name(outer: str, at: tuple[int, ...]) -> str:
    """Name of a plane without suffix, such as ``s_C001Z002``: letters in the order C, Z, T, whatever the axes."""
    place = dict(zip(outer, at, strict=True)) or {"C": 0}
    return "s_" + "".join(f"{code}{place[code] + 1:03d}" for code in sorted(place, key="CLZT".find))


def oif_files(
    pixels: npt.NDArray[Any],
    order: str,
    *,
    main: Mapping[str, Mapping[str, Any]] | None = None,
    times_ms: Sequence[float] | None = None,
) -> dict[str, bytes]:
    """All files of an image by name; the settings file is ``a.oif``.

    Args:
        pixels: axes as in `order`, the slowest first.
        order: as the settings name them, the fastest first, such as ``XYCZ``.
        main: sections of the settings to change or add.
        times_ms: the time noted beside each plane of the time axis.
    """
    outer = order[:1:-1]
    sizes = dict(zip(order[::-1], pixels.shape, strict=True))
    units = {"X": "um", "Y": "um", "Z": "nm", "T": "ms"}
    sections: dict[str, dict[str, Any]] = {
        "Acquisition Parameters Common": {
            "ImageCaputreDate": datetime(2012, 7, 26, 15, 13, 35).isoformat(" "),
            "ImageCaputreDate+MilliSec": 76,
        },
        "Axis Parameter Common": {"AxisCount": len(order), "AxisOrder": order},
        "File Info": {"DataName": "a.oib"},
        "ProfileSaveInfo": {"PtyFileNameS": "a.oif.files\\s_C001.pty", "Name": "COFAImages", "Version": "2.0.0.0"},
        "Version Info": {"SystemName": "FLUOVIEW FV1000"},
    }
    for i, code in enumerate("XYCZTALPQ"):
        sections[f"Axis {i} Parameters Common"] = {
            "AxisCode": code,
            "MaxSize": sizes.get(code, 0),
            "PixUnit": units.get(code, "None"),
            "StartPosition": 0.0,
            "EndPosition": 0.5 * sizes.get(code, 0),
            "Interval": {"Z": -750, "T": 12}.get(code, 0),
        }
    for i in range(sizes.get("C", 1)):
        sections[f"Channel {i + 1} Parameters"] = {
            "CH Name": f"CH{i + 1}",
            "DyeName": ["None", "EGFP", ""][i % 3],
            "ExcitationWavelength": [0, 488, 543][i % 3],
            "EmissionWavelength": [0, 510, 0][i % 3],
        }
    for name, values in (main or {}).items():
        sections[name] = sections.get(name, {}) | dict(values)
    files = {"a.oif": settings(sections)}
    for at in np.ndindex(*pixels.shape[:-2]):
        name, place = plane_name(outer, at), dict(zip(outer, at, strict=True))
        buffer = BytesIO()
        tifffile.imwrite(buffer, pixels[at], metadata=None, photometric="minisblack", rowsperstrip=16)
        files[f"{name}.tif"] = buffer.getvalue()
        noted: dict[str, dict[str, Any]] = {
            "Acquisition Parameters Common": {
                "Magnification": 40.0,
                "ObjectiveLens NAValue": 0.75,
                "ObjectiveLens Name": "UPLFLN   40X  NA:0.75",
            },
            "LUT Parameter": {"LUTFileName": f"LUT{place.get('C', 0) + 1}"},
        }
        if times_ms is not None:
            noted["Axis 4 Parameters"] = {"AbsPositionUnitName": "ms", "AbsPositionValue": times_ms[place["T"]]}
        files[f"{name}.pty"] = settings(noted)
    for i in range(sizes.get("C", 1)):
        ramp = np.outer(np.arange(256), [(0, 1, 0), (0, 0, 1), (1, 1, 1)][i % 3]).astype(np.uint8)
        table = np.column_stack([ramp, np.zeros(256, np.uint8)]).tobytes()  # blue, green, red, unused
        files[f"s_LUT{i + 1}.lut"] = settings({"FileInformation": {"Name": f"LUT{i + 1}"}}, table)
    files["s_Thumb.bmp"] = b"BM"
    return files


def write_oib(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write the files as one OIB."""
    streams, listed = {}, {}
    for i, (name, content) in enumerate(files.items()):
        stream = f"Stream{i + 1:05d}"
        inside = not name.endswith(".oif")
        listed[stream] = f"Storage00001/{name}" if inside else name
        streams[f"Storage00001/{stream}" if inside else stream] = content
    main = next(stream for stream, name in listed.items() if name.endswith(".oif"))
    info = {"Version": "2.0.0.0", "MainFileName": main, "Storage00001": "a.oif.files", **listed}
    # names stand there without quotes
    text = "[OibSaveInfo]\n" + "".join(f"{k}={v}\n" for k, v in info.items())
    return write_compound(path, {"OibInfo.txt": b"\xff\xfe" + text.encode("utf-16-le"), **streams})


def write_oif(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write the files as an OIF: the settings, and the others in a folder beside them."""
    path = folder / "a.oif"
    inside = folder / "a.oif.files"
    inside.mkdir(parents=True)
    for name, content in files.items():
        (path if name == "a.oif" else inside / name).write_bytes(content)
    return path
