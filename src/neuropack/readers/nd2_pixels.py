"""The frames of an ND2 file: found by the map of the nd2 library, and read without mapping the file into memory."""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from neuropack.axes import Array, Box, box_shape, full_box
from neuropack.readers.positioned_file import PositionedFile
from neuropack.readers.problems import Original, reading

if TYPE_CHECKING:
    from nd2 import ND2File

MAGIC = bytes.fromhex("dacebe0a")
_MAP = b"ND2 CHUNK MAP SIGNATURE 0000001!"
_FRAME = "ImageDataSeq|{}!"
_CHUNK = struct.Struct("<IIQ")  # magic, bytes of the name with its padding, bytes of the data
_STAMP_BYTES = 8  # a time, in front of the pixels
_UNIT_BYTES = 1 << 20  # of a native block: rows with all channels
_BAND_BYTES = 4 << 20  # scratch memory for rows with all channels
_NARROW = 4 << 10  # of rows of one channel longer than this, only the wanted columns are read


@dataclass(frozen=True)
class Layout:
    """The image that a file's frames make: the loops from the outermost in, then the axes of a frame.

    In the file a frame is a row after the other, and in a row all components of all channels lie together, pixel by
    pixel. `line_bytes` is the length of a row with its padding, None in the legacy format.
    """

    loops: str
    counts: tuple[int, ...]
    channels: int
    components: int  # of each channel
    height: int
    width: int
    dtype: np.dtype[Any]
    line_bytes: int | None
    deflated: bool  # the frames are zlib streams

    @property
    def by_rows(self) -> int | None:
        """Bytes of a row where rows can be read one by one, else None."""
        return None if self.deflated else self.line_bytes

    @property
    def samples(self) -> int:
        """3 for colour; components of any other number are channels of their own."""
        return 3 if self.components == 3 else 1

    @property
    def positions(self) -> int:
        """Number of stage positions."""
        return self.counts[self.loops.index("P")] if "P" in self.loops else 1

    @property
    def axes(self) -> str:
        """Axes of one position."""
        return self.loops.replace("P", "") + ("CYXS" if self.samples > 1 else "CYX")

    @property
    def loop_shape(self) -> tuple[int, ...]:
        """Lengths of the loops of one position."""
        return tuple(n for a, n in zip(self.loops, self.counts, strict=True) if a != "P")

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Lengths of the axes of a frame."""
        shape = (self.channels, self.height, self.width)
        return (*shape, self.samples) if self.samples > 1 else shape

    def frame(self, position: int, at: tuple[int, ...]) -> int:
        """Number of the frame at a place along the loops."""
        left = iter(at)
        index = [position if a == "P" else next(left) for a in self.loops]
        return int(np.ravel_multi_index(index, self.counts)) if index else 0

    def time_points(self, position: int) -> list[int]:
        """Numbers of the first frame of each time point."""
        letters = self.loops.replace("P", "")
        count = self.loop_shape[letters.index("T")]
        return [self.frame(position, tuple(t if a == "T" else 0 for a in letters)) for t in range(count)]


class Nd2Pixels:
    """The pixels of a position. The first box opens the file.

    Rows of uncompressed frames are read with positioned reads: the pages of a mapped file, which is how the library
    reads them, count as resident memory, and a frame of 30,000 x 30,000 need not be decoded whole.
    """

    def __init__(self, original: Original, layout: Layout, position: int) -> None:
        self._path, self._original = original.path, original
        self._layout, self._position = layout, position
        self._lock = threading.Lock()
        self._file: ND2File | None = None
        self._raw: PositionedFile | None = None

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Decode the rows, or the frames, that a box touches."""
        if out is None:
            out = np.empty(box_shape(box), self._layout.dtype)
        n = len(self._layout.loop_shape)
        for at in np.ndindex(*box_shape(box[:n])):
            place = tuple(s.start + i for s, i in zip(box, at, strict=False))
            number = self._layout.frame(self._position, place)
            letters = zip(self._layout.axes, place, strict=False)
            where = f"frame {number} ({' '.join(f'{a}={i}' for a, i in letters)})" if place else f"frame {number}"
            with self._original.unchanged(where), reading(self._path, "ND2", where):
                if self._layout.by_rows:
                    self._rows(number, box[n:], out[at])
                else:
                    out[at] = self._frame(number)[box[n:]]
        return out

    def _frame(self, number: int) -> Array:
        """One frame that is compressed, (C, Y, X) or (C, Y, X, S)."""
        layout = self._layout
        with self._lock:
            file, raw = self._opened()
        if layout.line_bytes is None:
            legacy = file.read_frame(number).reshape(-1, layout.height, layout.width, layout.components)
            planes = legacy if layout.samples > 1 else np.moveaxis(legacy, -1, 1)
            return planes.reshape(layout.frame_shape)
        from isal import isal_zlib

        start, length = find_frame(file, raw, number)
        stream = np.empty(length - _STAMP_BYTES, np.uint8)
        _fill(raw, stream, start + _STAMP_BYTES)
        size = layout.height * layout.line_bytes
        inflater = isal_zlib.decompressobj()
        pixels = inflater.decompress(stream, size + 1)  # one more, to come to the checksum
        if len(pixels) < size or (len(pixels) == size and not inflater.eof):
            raise ValueError(f"The frame ends after {len(pixels):,} of {size:,} bytes.")
        return self._arranged(np.frombuffer(pixels, np.uint8, size).reshape(layout.height, -1))

    def _rows(self, number: int, box: Box, out: Array) -> None:
        """Read some rows of an uncompressed frame into an array (C, Y, X) or (C, Y, X, S)."""
        layout, line = self._layout, cast(int, self._layout.line_bytes)
        with self._lock:
            file, raw = self._opened()
        start, length = find_frame(file, raw, number)
        if length < _STAMP_BYTES + layout.height * line:
            raise ValueError(f"The frame has {length:,} of {_STAMP_BYTES + layout.height * line:,} bytes.")
        start += _STAMP_BYTES
        channels, rows, *rest = box
        if layout.channels == layout.samples == 1:
            wanted = out[0].view(np.uint8)
            if line == wanted.shape[1] and wanted.flags.c_contiguous:
                _fill(raw, wanted.reshape(-1), start + rows.start * line)
                return
            if line > _NARROW and wanted[0].flags.c_contiguous:
                first = start + rows.start * line + rest[0].start * layout.dtype.itemsize
                for row, pixels in enumerate(wanted):
                    _fill(raw, pixels, first + row * line)
                return
        step = max(1, _BAND_BYTES // line)
        band = np.empty((min(step, rows.stop - rows.start), line), np.uint8)
        for row in range(rows.start, rows.stop, step):
            part = band[: min(step, rows.stop - row)]
            _fill(raw, part.reshape(-1), start + row * line)
            first = row - rows.start
            out[:, first : first + len(part)] = self._arranged(part)[(channels, slice(None), *rest)]

    def _arranged(self, lines: Array) -> Array:
        """Rows as they lie in the file, (Y, byte), as (C, Y, X) or (C, Y, X, S)."""
        layout = self._layout
        shape = (len(lines), layout.width, layout.channels, layout.samples)
        used = math.prod(shape[1:]) * layout.dtype.itemsize
        planes = np.moveaxis(lines[:, :used].view(layout.dtype).reshape(shape), 2, 0)
        return planes[..., ::-1] if layout.samples > 1 else planes[..., 0]  # blue is first (ome/bioformats#4321)

    def _opened(self) -> tuple[ND2File, PositionedFile]:
        if self._file is None or self._raw is None:
            self._file, self._raw = open_nd2(self._path), PositionedFile(self._path)
        return self._file, self._raw

    def native_blocks(self) -> Iterator[Box]:
        """Rows of some MiB with all channels, or compressed frames; in the order in which the file numbers them."""
        with reading(self._path, "ND2"), self._lock:  # a lost frame stops a conversion before it has begun
            file, _ = self._opened()
            for at in np.ndindex(*self._layout.loop_shape):
                chunk_of(file, self._layout.frame(self._position, at))
        yield from self._bands(full_box(self._layout.loop_shape + self._layout.frame_shape), _UNIT_BYTES)

    def _bands(self, box: Box, limit: int) -> Iterator[Box]:
        n, line = len(self._layout.loop_shape), self._layout.by_rows
        channels, rows, *rest = box[n:]
        step = max(1, limit // line) if line else self._layout.height
        for at in np.ndindex(*box_shape(box[:n])):
            lead = tuple(slice(s.start + i, s.start + i + 1) for s, i in zip(box, at, strict=False))
            for row in range(rows.start, rows.stop, step):
                yield (*lead, channels, slice(row, min(row + step, rows.stop)), *rest)

    @property
    def cheap_parts(self) -> bool:
        """True where a frame is nothing but the rows of one channel."""
        return bool(self._layout.by_rows) and self._layout.channels == self._layout.samples == 1

    def stream(self, box: Box, limit: int) -> Iterator[tuple[Box, Array]]:
        """Rows of at most `limit` bytes, or compressed frames."""
        for part in self._bands(box, limit):
            yield part, self.read(part)

    def piece_bytes(self) -> int:
        """Rows as they lie in the file and as they are wanted; of a compressed frame also its stream."""
        frame = math.prod(self._layout.frame_shape) * self._layout.dtype.itemsize
        line = self._layout.by_rows
        return 3 * frame if line is None else 2 * min(frame, max(line, _BAND_BYTES))

    def close(self) -> None:
        """Close the file; a later box opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            if self._raw is not None:
                self._raw.close()
            self._file = self._raw = None

    def __del__(self) -> None:  # the library warns about a file that nobody closed
        self.close()


def _fill(raw: PositionedFile, view: Array, offset: int) -> None:
    """Fill an array of bytes."""
    found = raw.read_at(view.data, offset)
    if found < len(view):
        raise ValueError(f"The frame ends after {found:,} of {len(view):,} bytes at byte {offset:,}.")


def open_nd2(path: Path) -> ND2File:
    """The file, opened with the nd2 library.

    Raises:
        ValueError: its end is missing.
    """
    import nd2

    with path.open("rb") as raw:
        head = raw.read(len(MAGIC))
        raw.seek(max(0, path.stat().st_size - 40))
        if head == MAGIC and not raw.read().startswith(_MAP):
            raise ValueError("The map of its parts, which ends a complete file, is missing.")
    return nd2.ND2File(path)


def chunk_of(file: ND2File, number: int) -> int | None:
    """Position of a frame; None for a legacy file, whose decoder fails by itself.

    Raises:
        ValueError: where the file has lost the frame: the library would answer with zeros.
    """
    if file.is_legacy:
        return None
    chunks = cast("dict[bytes, tuple[int, int]]", cast(Any, file)._rdr.chunkmap)
    name = _FRAME.format(number).encode()
    if name not in chunks:
        raise ValueError(f"The file has lost frame {number}.")
    return chunks[name][0]


def find_frame(file: ND2File, raw: PositionedFile, number: int) -> tuple[int, int]:
    """Offset and length of a frame's data, which begin with a time; (0, 0) in a legacy file.

    Raises:
        ValueError: where a frame does not lie, complete, where the file's map says.
    """
    start = chunk_of(file, number)
    if start is None:
        return 0, 0
    name = _FRAME.format(number).encode()
    head = bytearray(_CHUNK.size + len(name))
    if raw.read_at(memoryview(head), start) < len(head):
        raise ValueError("The frame lies behind the end of the file.")
    _, name_length, length = _CHUNK.unpack_from(head)
    if not head.startswith(MAGIC) or head[_CHUNK.size :] != name:
        raise ValueError(f"There is no frame at byte {start:,}, where the file's map promises it.")
    end = start + _CHUNK.size + name_length + length
    if end > raw.size:
        raise ValueError(f"The frame should end at byte {end:,} of {raw.size:,}.")
    return start + _CHUNK.size + name_length, length
