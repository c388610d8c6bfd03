"""The skeleton of a CZI file: its directory of tiles, its time stamps, and raw tiles.

Zeiss's library decodes the pixels, but it neither tells where a tile lies in the file (needed to see at once that
a file is cut short), nor gives access to the time stamps. The layout is that of Zeiss's "CZI file format"
specification 1.2.2: segments with a header of 32 bytes (an id of 16 bytes, the allocated and the used size).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from neuropack.readers.xml import number, parse

_HEADER = struct.Struct("<16sqq")
_ENTRY = struct.Struct("<2siqii6xi")  # schema, pixel type, file position, file part, compression, dimensions
_DIMENSION = struct.Struct("<4siifi")  # name, start, size, start coordinate (physical), stored size
_SUBBLOCK = struct.Struct("<iiq")  # bytes of metadata, of attachments, of pixels
UNCOMPRESSED, ZSTD0, ZSTD1 = 0, 5, 6
_DIRECTORY_HEADER = 128  # count and reserved bytes in front of the entries
_ATTACHMENT_HEADER = 256
_MOST_XML = 1 << 20  # bytes that a tile says about itself; usually one or two thousand
Stage = tuple[float | None, float | None, float | None]


class Tile(NamedTuple):
    """One raw tile: its place in the file, what it holds, and where it lies in the image (pixels)."""

    position: int
    pixel_type: int
    compression: int
    at: dict[str, int]  # coordinate along each dimension but X and Y
    x: int
    y: int
    width: int
    height: int


def _segment(file: BinaryIO, position: int, name: bytes) -> bytes:
    """The data of a segment."""
    file.seek(position)
    found, _, used = _HEADER.unpack(file.read(_HEADER.size))
    if found.rstrip(b"\0") != name:
        raise ValueError(f"no {name.decode()} at byte {position:,}")
    data = file.read(used)
    if len(data) < used:
        raise ValueError(f"{name.decode()} at byte {position:,} ends after {len(data):,} of {used:,} bytes")
    return data


def _pointers(file: BinaryIO) -> tuple[int, int]:
    """Positions of the directories of tiles and of attachments."""
    file.seek(0)
    head = file.read(_HEADER.size + 80)
    if len(head) < _HEADER.size + 80:
        raise ValueError("the file header is incomplete")
    data = head[_HEADER.size :]
    return struct.unpack_from("<q", data, 52)[0], struct.unpack_from("<q", data, 72)[0]


def _tile(data: bytes, offset: int) -> tuple[Tile | None, int]:
    """The tile described at `offset`, None for one of the pyramid, and the offset of the next."""
    schema, pixel_type, position, part, compression, n = _ENTRY.unpack_from(data, offset)
    if schema != b"DV":
        raise ValueError(f"a directory entry of the unknown kind {schema!r}")
    if part:
        raise ValueError("its pixels lie in several files, which cannot be read; save it as one file in ZEN")
    offset += _ENTRY.size
    at, span, full = {}, {}, True
    for _ in range(n):
        raw, start, size, _, stored = _DIMENSION.unpack_from(data, offset)
        offset += _DIMENSION.size
        name = raw.rstrip(b"\0").decode("ascii")
        if name in "XY":
            span[name] = (start, size)
            full &= stored in (0, size)
        else:
            at[name] = start
    (x, width), (y, height) = span["X"], span["Y"]
    tile = Tile(position, pixel_type, compression, at, x, y, width, height)
    return (tile if full else None), offset


def read_tiles(path: Path) -> list[Tile]:
    """Every tile of full resolution, in the order of the directory.

    Raises:
        ValueError, struct.error: when the file is cut short or damaged. The last tile is looked up, so that a
            missing end is noticed before anything is decoded.
    """
    with path.open("rb") as file:
        position, _ = _pointers(file)
        data = _segment(file, position, b"ZISRAWDIRECTORY")
        offset, tiles = _DIRECTORY_HEADER, []
        for _ in range(struct.unpack_from("<i", data)[0]):
            tile, offset = _tile(data, offset)
            if tile:
                tiles.append(tile)
        if tiles:
            last = max(tile.position for tile in tiles)
            start, size = _pixel_span(file, last)
            end = file.seek(0, 2)
            if start + size > end:
                raise ValueError(f"the tile at byte {last:,} should end at byte {start + size:,} of {end:,}")
    return tiles


def _pixel_span(file: BinaryIO, position: int) -> tuple[int, int]:
    """Start and length of a tile's encoded pixels."""
    file.seek(position)
    head = file.read(_HEADER.size + _SUBBLOCK.size + _ENTRY.size)
    if not head.startswith(b"ZISRAWSUBBLOCK") or len(head) < _HEADER.size + _SUBBLOCK.size + _ENTRY.size:
        raise ValueError(f"no tile at byte {position:,}, where the directory promises one")
    metadata, _, size = _SUBBLOCK.unpack_from(head, _HEADER.size)
    n = _ENTRY.unpack_from(head, _HEADER.size + _SUBBLOCK.size)[-1]
    fixed = max(256, _SUBBLOCK.size + _ENTRY.size + n * _DIMENSION.size)
    return position + _HEADER.size + fixed + metadata, size


def read_stage(path: Path, tile: Tile) -> Stage:
    """Stage and focus (x, y, z in um) where the centre of a tile was taken; None for what it does not state."""
    with path.open("rb") as file:
        start, _ = _pixel_span(file, tile.position)
        file.seek(tile.position + _HEADER.size)
        size = _SUBBLOCK.unpack(file.read(_SUBBLOCK.size))[0]
        if not 0 < size <= _MOST_XML:
            return None, None, None
        file.seek(start - size)
        text = file.read(size).rstrip(b"\0")
    try:
        tags = parse(text).find("Tags")
    except ValueError:  # tiles of other programs say nothing, or something else
        return None, None, None
    x, y, z = (number(tags, name) for name in ("StageXPosition", "StageYPosition", "FocusPosition"))
    return x, y, z


def decode_bgr48(path: Path, tile: Tile) -> npt.NDArray[np.uint16]:
    """Pixels (Y, X, 3; blue first) of a 16 bit colour tile, uncompressed or compressed with Zstandard.

    libCZI of pylibCZIrw 6.1 gives wrong pixels, silently, for just these in the compression "zstd1" where low and
    high bytes are stored apart (ZEISS/libczi#167), so they are decoded here.

    Raises:
        ValueError: for other compressions, and damaged data.
    """
    import imagecodecs

    with path.open("rb") as file:
        start, size = _pixel_span(file, tile.position)
        file.seek(start)
        data = file.read(size)
    apart = False
    if tile.compression == ZSTD1:
        header = data[0]  # its length; three bytes where a pre-processing is stated
        apart = header >= 3 and data[1] == 1 and bool(data[2] & 1)
        data = bytes(imagecodecs.zstd_decode(data[header:]))
    elif tile.compression == ZSTD0:
        data = bytes(imagecodecs.zstd_decode(data))
    elif tile.compression != UNCOMPRESSED:
        raise ValueError(
            f"Tiles of compression {tile.compression} beside ones of compression {ZSTD1} have no decoder."
        )
    raw = np.frombuffer(data, np.uint8)
    if apart:
        raw = raw.reshape(2, -1).T.ravel()
    return raw.view("<u2").reshape(tile.height, tile.width, 3)


def read_time_stamps(path: Path) -> tuple[float, ...]:
    """The attachment "TimeStamps": seconds, one per time point; empty where the file has none."""
    with path.open("rb") as file:
        _, position = _pointers(file)
        if position <= 0:
            return ()
        data = _segment(file, position, b"ZISRAWATTDIR")
        for i in range(struct.unpack_from("<i", data)[0]):
            entry = data[256 + 128 * i : 384 + 128 * i]
            if entry[48:128].split(b"\0")[0] == b"TimeStamps":
                at = struct.unpack_from("<q", entry, 12)[0]
                stamps = _segment(file, at, b"ZISRAWATTACH")[_ATTACHMENT_HEADER:]
                count = struct.unpack_from("<ii", stamps)[1]
                return struct.unpack_from(f"<{count}d", stamps, 8)
    return ()
