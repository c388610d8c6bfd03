"""Nikon ND2, decoded by the nd2 library; one stage position is a Volume.

The library fills a frame that the file has lost with zeros and calls an uncalibrated axis 1.0 um. Neither is
passed on: a lost frame is an error, an axis counts as calibrated only where the file says so. The stage position
is not passed on either: the file states that of a frame's centre, for a camera that may be turned.
"""

from __future__ import annotations

import re
import struct
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from neuropack.axes import Array, Box, box_shape
from neuropack.readers.problems import reading
from neuropack.volume import Channel, Instrument, Volume, VoxelSize, stated

if TYPE_CHECKING:
    from nd2 import ND2File
    from nd2.structures import Metadata, TimeStamp

_MAGIC = bytes.fromhex("dacebe0a")
_LEGACY_MAGIC = bytes.fromhex("0000000c6a502020")  # JPEG 2000, until NIS-Elements 3
_LEGACY_END = b"LABORATORY IMAGING ND BOX MAP"
_MAP = b"ND2 CHUNK MAP SIGNATURE 0000001!"
_FRAME = "ImageDataSeq|{}!"
_CHUNK = struct.Struct("<IIQ")  # magic, bytes of the name, bytes of the data
_LOOPS = {"TimeLoop": "T", "NETimeLoop": "T", "ZStackLoop": "Z", "XYPosLoop": "P"}
_UNNAMED = "QIRHUVW"  # letters for loops that mean nothing yet: the user says what they are
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIX_EPOCH_JULIAN_DAY = 2440587.5


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


class Nd2Pixels:
    """The pixels of a position; a frame with all its channels is the unit. The first box opens the file."""

    def __init__(self, path: Path, layout: _Layout, position: int) -> None:
        self._path, self._layout, self._position = path, layout, position
        self._lock = threading.Lock()
        self._file: ND2File | None = None

    def read(self, box: Box) -> Array:
        """Decode the frames that a box touches."""
        n = len(self._layout.loop_shape)
        loops, inner = box[:n], box[n:]
        out: Array | None = None
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


def _metadata(file: ND2File) -> Metadata:
    """The library's metadata, also of channels without a fluorescent probe.

    nd2 0.12 fails on those (an UnboundLocalError in _get_excitation); a probe without a spectrum says the same.
    """
    if not file.is_legacy:
        planes = cast(Any, file)._rdr._cached_raw_metadata().get("sPicturePlanes", {})
        for plane in (planes.get("sPlaneNew") or planes.get("sPlane", {})).values():
            plane["pFluorescentProbe"] = plane.get("pFluorescentProbe") or {"m_sName": ""}
    return file.metadata


def _voxel_size(file: ND2File, metadata: Metadata) -> VoxelSize:
    """(z, y, x) in um of the axes that the file calls calibrated; else the step of its z loop."""
    z = next((stated(loop.parameters.stepUm) for loop in file.experiment if loop.type == "ZStackLoop"), None)
    if not metadata.channels:
        return (z, None, None)
    volume = metadata.channels[0].volume
    sizes = [
        stated(size) if known else None
        for size, known in zip(volume.axesCalibration, volume.axesCalibrated, strict=True)
    ]
    return (sizes[2] or z, sizes[1], sizes[0])


def _channels(metadata: Metadata, layout: _Layout) -> tuple[Channel, ...]:
    if layout.samples > 1 or len(metadata.channels or ()) != layout.channels:
        return ()
    return tuple(
        Channel(
            name=channel.channel.name or None,
            excitation_nm=stated(channel.channel.excitationLambdaNm),
            emission_nm=stated(channel.channel.emissionLambdaNm),
            color="{:02X}{:02X}{:02X}".format(*channel.channel.color[:3]),
        )
        for channel in metadata.channels or ()
    )


def _instrument(file: ND2File, metadata: Metadata) -> Instrument:
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


def _stamp(file: ND2File, number: int) -> TimeStamp | None:
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


def _acquired(stamp: TimeStamp | None) -> str | None:
    """Start of the acquisition: the julian day (UTC) of a frame less its time since the start."""
    if stamp is None or not stated(stamp.absoluteJulianDayNumber, _UNIX_EPOCH_JULIAN_DAY):
        return None
    since = timedelta(days=stamp.absoluteJulianDayNumber - _UNIX_EPOCH_JULIAN_DAY)
    start = _UNIX_EPOCH + since - timedelta(milliseconds=stamp.relativeTimeMs)
    return start.isoformat(timespec="milliseconds")


def _times(file: ND2File, layout: _Layout, position: int) -> tuple[float, ...] | None:
    """Seconds of each time point's first frame from the first; None where they are not stated or do not grow."""
    letters = layout.loops.replace("P", "")
    if "T" not in letters:
        return None
    times = []
    for t in range(layout.loop_shape[letters.index("T")]):
        stamp = _stamp(file, layout.frame(position, tuple(t if a == "T" else 0 for a in letters)))
        if stamp is None:
            return None
        times.append(stamp.relativeTimeMs / 1000)
    grows = all(a < b for a, b in pairwise(times))
    return tuple(time - times[0] for time in times) if grows else None


def _names(file: ND2File, layout: _Layout) -> list[str | None]:
    """Names of the positions; None for the only one."""
    if layout.positions == 1:
        return [None]
    names = [f"XYPos:{i}" for i in range(layout.positions)]
    for loop in file.experiment:
        if loop.type == "XYPosLoop":
            names = [point.name or name for point, name in zip(loop.parameters.points, names, strict=True)]
    if len(set(names)) < len(names):
        names = [f"{name} ({i})" for i, name in enumerate(names)]
    return list(names)


def open_file(path: Path) -> tuple[Volume, ...]:
    """One Volume per stage position.

    Raises:
        InputError: when the file is cut short or damaged.
    """
    with reading(path, "ND2"), _open(path) as file:
        layout = _layout(file)
        _check_frame(file, path, int(np.prod(layout.counts, dtype=np.int64)) - 1)
        metadata = _metadata(file)
        return tuple(
            Volume(
                path=path,
                format="ND2",
                scene=name,
                native_axes=layout.axes,
                native_shape=layout.loop_shape + layout.frame_shape,
                dtype=file.dtype,
                pixels=Nd2Pixels(path, layout, position),
                voxel_size_um=_voxel_size(file, metadata),
                channels=_channels(metadata, layout),
                times_s=_times(file, layout, position),
                acquired=_acquired(_stamp(file, 0)),
                instrument=_instrument(file, metadata),
            )
            for position, name in enumerate(_names(file, layout))
        )
