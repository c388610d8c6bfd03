"""A small writer of CZI files, for what Zeiss's own library reads and cannot write.

JPEG XR, foreign dimensions, time stamps, pyramid tiles, unknown codes: everything is taken as it is given. Layout:
Zeiss's "CZI file format" specification 1.2.2.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class RawTile:
    """An encoded tile and the numbers that describe it."""

    data: bytes
    shape: tuple[int, int]  # height, width
    at: dict[str, int] = field(default_factory=lambda: {"C": 0})
    x: int = 0
    y: int = 0
    pixel_type: int = 1
    compression: int = 0
    part: int = 0
    about: bytes = b""  # XML
    zoom: int = 1  # 2: a pyramid tile that covers twice its size

    def entry(self, position: int) -> bytes:
        """The directory entry."""
        height, width = self.shape
        dimensions = [
            ("X", self.x, width * self.zoom, width),
            ("Y", self.y, height * self.zoom, height),
            *((name, start, 1, 1) for name, start in self.at.items()),
        ]
        head = struct.pack(
            "<2siqiiB5xi",
            b"DV",
            self.pixel_type,
            position,
            self.part,
            self.compression,
            self.zoom > 1,
            len(dimensions),
        )
        return head + b"".join(
            struct.pack("<4siifi", name.encode(), start, size, float(start), stored)
            for name, start, size, stored in dimensions
        )


def _segment(name: bytes, data: bytes) -> bytes:
    padded = data.ljust(-(-len(data) // 32) * 32, b"\0")
    return struct.pack("<16sqq", name, len(padded), len(data)) + padded


def channel_xml(*channels: str, scaling: str = "", dimensions: str = "", image: str = "") -> str:
    """Metadata with the children of ``Channels`` and, below Image, Dimensions and Metadata, whatever else."""
    return (
        f"<ImageDocument><Metadata><Information><Image>{image}<Dimensions><Channels>{''.join(channels)}</Channels>"
        f"{dimensions}</Dimensions></Image></Information>{scaling}</Metadata></ImageDocument>"
    )


def write_czi(path: Path, tiles: Sequence[RawTile], xml: str = channel_xml(), stamps: Sequence[float] = ()) -> Path:
    """Write the tiles in their order, then the directory, the metadata and the time stamps."""
    out = bytearray(544)  # the header comes last, when the positions are known
    entries = []
    for tile in tiles:
        entries.append(tile.entry(len(out)))
        fixed = struct.pack("<iiq", len(tile.about), 0, len(tile.data)) + entries[-1]
        out += _segment(b"ZISRAWSUBBLOCK", fixed.ljust(256, b"\0") + tile.about + tile.data)
    directory = len(out)
    out += _segment(b"ZISRAWDIRECTORY", struct.pack("<i124x", len(entries)) + b"".join(entries))
    metadata = len(out)
    text = xml.encode()
    out += _segment(b"ZISRAWMETADATA", struct.pack("<ii248x", len(text), 0) + text)
    attachments = 0
    if stamps:
        at = len(out)
        block = struct.pack(f"<ii{len(stamps)}d", 8 + 8 * len(stamps), len(stamps), *stamps)
        entry = struct.pack("<2s10xqi16s8s80s", b"A1", at, 0, b"", b"CZTIMS", b"TimeStamps").ljust(128, b"\0")
        out += _segment(b"ZISRAWATTACH", struct.pack("<q8x", len(block)) + entry + bytes(112) + block)
        attachments = len(out)
        out += _segment(b"ZISRAWATTDIR", struct.pack("<i252x", 1) + entry)
    header = struct.pack(
        "<iiii16s16siqqiq", 1, 0, 0, 0, b"1" * 16, b"1" * 16, 0, directory, metadata, 0, attachments
    )
    out[:544] = _segment(b"ZISRAWFILE", header.ljust(512, b"\0"))
    path.write_bytes(out)
    return path
