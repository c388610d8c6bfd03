"""Nikon ND2, decoded by the nd2 library; one stage position is a Volume.

The library fills a frame that the file has lost with zeros and calls an uncalibrated axis 1.0 um. Neither is
passed on: a lost frame is an error, an axis counts as calibrated only where the file says so. The stage position
is not passed on either: the file states that of a frame's centre, for a camera that may be turned.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from neuropack.axes import Array, Box, box_shape
from neuropack.readers import nd2_metadata as about
from neuropack.readers.problems import reading
from neuropack.volume import Volume

if TYPE_CHECKING:
    from nd2 import ND2File

_MAGIC = bytes.fromhex("dacebe0a")
_LEGACY_MAGIC = bytes.fromhex("0000000c6a502020")  # JPEG 2000, until NIS-Elements 3
_LEGACY_END = b"LABORATORY IMAGING ND BOX MAP"
_MAP = b"ND2 CHUNK MAP SIGNATURE 0000001!"
_FRAME = "ImageDataSeq|{}!"
_CHUNK = struct.Struct("<IIQ")  # magic, bytes of the name, bytes of the data
_LOOPS = {"TimeLoop": "T", "NETimeLoop": "T", "ZStackLoop": "Z", "XYPosLoop": "P"}
_UNNAMED = "QIRHUVW"  # letters for loops that mean nothing yet: the user says what they are


def sniff(head: bytes, path: Path) -> bool:
    """True for an ND2 file; one of the old kind is a JPEG 2000 file that ends with Nikon's map."""
    if head.startswith(_LEGACY_MAGIC):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64))
            return _LEGACY_END in file.read()
    return head.startswith(_MAGIC)


@dataclass(frozen=True)
class _Layout:
    """The image that a file's frames make: the loops from the outermost in, then the axes of a frame."""

    loops: str
    counts: tuple[int, ...]
    channels: int
    components: int  # of each channel
    height: int
    width: int

    @property
    def samples(self) -> int:
        """3 for colour; components of any other number are channels of their own."""
        return 3 if self.components == 3 else 1

    @property
    def positions(self) -> int:
        return self.counts[self.loops.index("P")] if "P" in self.loops else 1

    @property
    def axes(self) -> str:
        """Axes of one position."""
        return self.loops.replace("P", "") + ("CYXS" if self.samples > 1 else "CYX")

    @property
    def loop_shape(self) -> tuple[int, ...]:
        return tuple(n for a, n in zip(self.loops, self.counts, strict=True) if a != "P")

    @property
    def frame_shape(self) -> tuple[int, ...]:
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
    """The pixels of a position; a frame with all its channels is the unit. The first box opens the file."""

    def __init__(self, path: Path, layout: _Layout, position: int) -> None:
        self._path, self._layout, self._position = path, layout, position
        self._lock = threading.Lock()
        self._file: ND2File | None = None

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Decode the frames that a box touches."""
        n = len(self._layout.loop_shape)
        loops, inner = box[:n], box[n:]
        for at in np.ndindex(*box_shape(loops)):
            frame = self._frame(tuple(s.start + i for s, i in zip(loops, at, strict=True)))
            if out is None:
                out = np.empty(box_shape(box), frame.dtype)
            out[at] = frame[inner]
            del frame  # a view of the mapped file, which could not be closed
        return cast(Array, out)

    def _frame(self, at: tuple[int, ...]) -> Array:
        """One frame, (C, Y, X) or (C, Y, X, S)."""
        layout = self._layout
        number = layout.frame(self._position, at)
        letters = layout.axes[: len(at)]
        place = " ".join(f"{a}={i}" for a, i in zip(letters, at, strict=True))
        with reading(self._path, "ND2", f"frame {number} ({place})" if place else f"frame {number}"), self._lock:
            file = self._opened()
            _check_frame(file, self._path, number)
            planes = file.read_frame(number).reshape(-1, layout.height, layout.width, layout.components)
            if layout.samples == 1:
                planes = np.moveaxis(planes, -1, 1)
            if layout.samples > 1 and not file.is_legacy:  # blue comes first in the file (ome/bioformats#4321)
                planes = planes[..., ::-1]
            return planes.reshape(layout.frame_shape)

    def _opened(self) -> ND2File:
        if self._file is None:
            self._file = _open(self._path)
        return self._file

    def native_blocks(self) -> Iterator[Box]:
        """A block per frame, in the order in which the file numbers them."""
        inner = tuple(slice(0, n) for n in self._layout.frame_shape)
        with reading(self._path, "ND2"), self._lock:  # a lost frame stops a conversion before it has begun
            for at in np.ndindex(*self._layout.loop_shape):
                _chunk(self._opened(), self._layout.frame(self._position, at))
        for at in np.ndindex(*self._layout.loop_shape):
            yield (*(slice(i, i + 1) for i in at), *inner)

    def close(self) -> None:
        """Close the file; a later box opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def __del__(self) -> None:  # the library warns about a file that nobody closed
        self.close()


def _open(path: Path) -> ND2File:
    import nd2

    with path.open("rb") as raw:
        head = raw.read(len(_MAGIC))
        raw.seek(max(0, path.stat().st_size - 40))
        if head == _MAGIC and not raw.read().startswith(_MAP):
            raise ValueError("The map of its parts, which ends a complete file, is missing.")
    return nd2.ND2File(path)


def _chunk(file: ND2File, number: int) -> int | None:
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


def _check_frame(file: ND2File, path: Path, number: int) -> None:
    """Raise ValueError where a frame does not lie, complete, where the file's map says."""
    start = _chunk(file, number)
    if start is None:
        return
    name = _FRAME.format(number).encode()
    with path.open("rb") as raw:
        raw.seek(start)
        head = raw.read(_CHUNK.size)
        if len(head) < _CHUNK.size:
            raise ValueError("The frame lies behind the end of the file.")
        _, name_length, length = _CHUNK.unpack(head)
        if not head.startswith(_MAGIC) or not raw.read(len(name)) == name:
            raise ValueError(f"There is no frame at byte {start:,}, where the file's map promises it.")
        end, size = start + _CHUNK.size + name_length + length, raw.seek(0, 2)
        if end > size:
            raise ValueError(f"The frame should end at byte {end:,} of {size:,}.")


def _layout(file: ND2File) -> _Layout:
    attributes = file.attributes
    unnamed = iter(_UNNAMED)
    loops, counts = "", [loop.count for loop in file.experiment]
    for loop in file.experiment:
        letter = _LOOPS.get(loop.type)
        loops += letter if letter and letter not in loops else next(unnamed)
    frames = attributes.sequenceCount
    if not loops and frames > 1:  # the file says nothing about its frames but their number
        loops, counts = "Q", [frames]
    components = file.components_per_channel
    return _Layout(
        loops=loops,
        counts=tuple(counts),
        channels=attributes.componentCount // (3 if components == 3 else 1),
        components=components,
        height=attributes.heightPx,
        width=attributes.widthPx or 0,
    )


def open_file(path: Path) -> tuple[Volume, ...]:
    """One Volume per stage position.

    Raises:
        InputError: when the file is cut short or damaged.
    """
    with reading(path, "ND2"), _open(path) as file:
        layout = _layout(file)
        _check_frame(file, path, int(np.prod(layout.counts, dtype=np.int64)) - 1)
        metadata = about.read_metadata(file)
        return tuple(
            Volume(
                path=path,
                format="ND2",
                scene=name,
                native_axes=layout.axes,
                native_shape=layout.loop_shape + layout.frame_shape,
                dtype=file.dtype,
                pixels=Nd2Pixels(path, layout, position),
                voxel_size_um=about.voxel_size(file, metadata),
                channels=() if layout.samples > 1 else about.channels(metadata, layout.channels),
                times_s=about.times(file, layout.time_points(position)) if "T" in layout.loops else None,
                acquired=about.acquired(about.stamp(file, 0)),
                instrument=about.instrument(file, metadata),
            )
            for position, name in enumerate(about.position_names(file, layout.positions))
        )
