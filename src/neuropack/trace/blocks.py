"""What a search sees of an image: chosen channels as float32, raw units read once, blocks as they are wanted."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape, overlap, relative
from neuropack.errors import InputError, UnreachableError
from neuropack.volume import Volume

Floats = npt.NDArray[np.float32]

_UNIT = 64  # voxels along each edge of a raw unit
_WHOLE_UNIT = 32 << 20  # bytes up to which native blocks that cannot be read in part are units of their own
_CALM, _AHEAD = 4, 32  # after so many requests to a server, those go ahead of the search by so many voxels
_SMALLEST = (32, 32, 32)  # the parts that are tried where a unit cannot be read
_EDGE_BITS, _BLOCK_BITS = 5, 15  # a block has 32 x 32 x 32 voxels, or as many in fewer planes


@dataclass(frozen=True)
class Unreadable:
    """A part of the image that could not be read.

    Attributes:
        box: start and stop of z, y, x, voxels of the full resolution or of the coarser level that was read.
        file: that is damaged.
        reason: what was found.
    """

    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    file: Path
    reason: str

    def __str__(self) -> str:
        return "z {}-{} y {}-{} x {}-{}".format(*(v - i % 2 for i, v in enumerate(sum(self.box, ())))) + (
            f" of {self.file}: {self.reason}"
        )


def view(volume: Volume, channels: tuple[int, ...], time: int, memory: int) -> Volume:
    """Some channels of one time of an image as float32, CZYX; what cannot be read is NaN.

    Args:
        volume: the image.
        channels: their numbers.
        time: number of the frame.
        memory: bytes of raw pixels that are kept.
    """
    shape = (len(channels), *volume.size_zyx)
    return replace(
        volume,
        native_axes="CZYX",
        native_shape=shape,
        dtype=np.dtype(np.float32),
        pixels=RawUnits(volume, channels, time, memory),
        channels=tuple(volume.channels[c] for c in channels),
        times_s=None,
        levels=(),
    )


class RawUnits:
    """Pixels of `view`: cubes of the image, or what its file decodes at once, the latest used of them in memory."""

    cheap_parts = True

    def __init__(self, volume: Volume, channels: tuple[int, ...], time: int, memory: int) -> None:
        self._volume, self._channels, self._time, self._memory = volume, channels, time, memory
        self._unit, self._smallest = _units(volume)
        self._kept: OrderedDict[tuple[int, int, int], Array] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._rounds = 0  # of a server
        self.unreadable: list[Unreadable] = []

    @property
    def overhead_bytes(self) -> int:
        """That of the source."""
        return self._volume.overhead_bytes + self._memory

    def read(self, box: Box, out: Array | None = None) -> Array:
        """The voxels of a box, from the units that it touches."""
        out = np.empty(box_shape(box), np.float32) if out is None else out
        inner = box[1:]
        self.load(inner)
        for index in self._indices(inner):
            unit = self._box(index)
            part = overlap(unit, inner)
            if part:
                out[(slice(None), *relative(part, inner))] = self._get(index)[(box[0], *relative(part, unit))]
        return out

    def load(self, box: Box) -> None:
        """Read what is not in memory of the units that a box (z, y, x) touches in one call, which costs least.

        Where that fails, each unit is read by itself when it is looked at.
        """
        indices = list(self._indices(box))
        with self._lock:
            missing = np.array([i for i in indices if i not in self._kept])
        if len(missing) and self._volume.distant:
            self._ask(box)
        if len(missing) < 2:
            return
        first, last = missing.min(axis=0), missing.max(axis=0)
        whole = _between(self._box(tuple(first)), self._box(tuple(last)))
        size = self._volume.dtype.itemsize * len(self._channels) * int(np.prod(box_shape(whole)))
        if len(missing) < np.prod(last - first + 1) or size > self._memory // 2:
            return
        try:
            found = self._decoded(whole)
        except UnreachableError:
            raise
        except InputError:
            return
        for index in self._indices(whole):
            self._keep(index, found[(slice(None), *relative(self._box(index), whole))].copy())

    def _ask(self, box: Box) -> None:
        """Have a server send the units of a box together; in a long search, in good time, those near it too."""
        self._rounds += 1
        ahead = _AHEAD if self._rounds > _CALM else 0
        near = tuple(
            slice(max(s.start - ahead, 0), min(s.stop + ahead, n))
            for s, n in zip(box, self._volume.size_zyx, strict=True)
        )
        self.expect([box, near])

    def expect(self, boxes: Iterable[Box]) -> None:
        """Say what will be looked at soon: boxes (z, y, x). A server is asked for it, without waiting."""
        if not self._volume.distant:
            return
        wanted = dict.fromkeys(index for box in boxes for index in self._indices(box))
        with self._lock:
            wanted = {index: None for index in wanted if index not in self._kept}
        self._volume.expect([self._raw(self._box(index)) for index in wanted])

    def _raw(self, box: Box) -> Box:
        """A box of the image, of the time and from the first to the last of the channels."""
        lead = (slice(self._time, self._time + 1),) if self._volume.axes[0] == "T" else ()
        return (*lead, slice(min(self._channels), max(self._channels) + 1), *box)

    def _keep(self, index: tuple[int, int, int], unit: Array) -> None:
        with self._lock:
            if index not in self._kept:
                self._kept[index] = unit
                self._bytes += unit.nbytes
                while self._bytes > self._memory and len(self._kept) > 1:
                    self._bytes -= self._kept.popitem(last=False)[1].nbytes

    def _indices(self, box: Box) -> Iterator[tuple[int, int, int]]:
        """Of the units that a box touches."""
        z, y, x = (range(s.start // u, -(-s.stop // u)) for s, u in zip(box, self._unit, strict=True))
        yield from product(z, y, x)

    def forget_unreadable(self) -> None:
        """Let what could not be read be tried again."""
        with self._lock:
            if self.unreadable:
                self._kept.clear()
                self._bytes = 0
                self.unreadable = []

    def _box(self, index: tuple[int, ...]) -> Box:
        return tuple(
            slice(i * u, min(n, (i + 1) * u))
            for i, u, n in zip(index, self._unit, self._volume.size_zyx, strict=True)
        )

    def _get(self, index: tuple[int, int, int]) -> Array:
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
                return self._kept[index]
        found = self._read(self._box(index))
        self._keep(index, found)
        return found

    def _read(self, box: Box) -> Array:
        """All chosen channels of a box; as float with NaN where parts of it cannot be read."""
        try:
            return self._decoded(box)
        except UnreachableError:  # parts of it would fare no better
            raise
        except InputError as error:
            halves = [
                [slice(s.start, m), slice(m, s.stop)] if (m := (s.start // e + 1) * e) < s.stop else [s]
                for s, e in zip(box, self._smallest, strict=True)
            ]
            if all(len(half) == 1 for half in halves):
                z, y, x = ((s.start, s.stop) for s in box)
                file = Path(error.file) if isinstance(error.file, str) else error.file or self._volume.path
                reason = f"{error.what}" + (f" ({error.found})" if error.found else "")
                with self._lock:
                    self.unreadable.append(Unreadable((z, y, x), file, " ".join(reason.split())))
                return np.full((len(self._channels), *box_shape(box)), np.nan, np.float32)
            found = np.empty((len(self._channels), *box_shape(box)), np.float32)
            for part in product(*halves):
                found[(slice(None), *relative(tuple(part), box))] = self._read(tuple(part))
            return found

    def _decoded(self, box: Box) -> Array:
        lead = (slice(self._time, self._time + 1),) if self._volume.axes[0] == "T" else ()
        low, high = min(self._channels), max(self._channels) + 1
        if high - low == len(self._channels):
            found = self._volume.read((*lead, slice(low, high), *box))
            found = found[0] if lead else found
        else:
            parts = [self._volume.read((*lead, slice(c, c + 1), *box)) for c in self._channels]
            found = np.concatenate([part[0] if lead else part for part in parts])
        return found

    def native_blocks(self) -> Iterator[Box]:
        """The units."""
        counts = (-(-n // u) for n, u in zip(self._volume.size_zyx, self._unit, strict=True))
        for index in product(*map(range, counts)):
            yield (slice(0, len(self._channels)), *self._box(index))

    def close(self) -> None:
        """Close the image."""
        self._volume.close()


def _units(volume: Volume) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """A unit, and the part of it that may be whole where another one is damaged: z, y, x.

    Cubes; larger where the file can only be decoded in larger pieces that memory holds, such as planes. Smaller
    parts than such a piece are damaged together, and each try decodes all of it.
    """
    cube = (_UNIT, _UNIT, _UNIT)
    if volume.format.startswith("OME-Zarr") or volume.cheap_parts:
        return cube, _SMALLEST
    native = next(iter(volume.native_blocks()))[-3:]
    z, y, x = (max(s.stop - s.start, 1) for s in native)
    several = z if z > 1 else min(8, volume.size_zyx[0])
    unit = (several, y, x) if several * y * x * volume.dtype.itemsize <= _WHOLE_UNIT else cube
    return unit, (z, y, x)


def _between(first: Box, last: Box) -> Box:
    return tuple(slice(a.start, b.stop) for a, b in zip(first, last, strict=True))


class Grid:
    """The blocks of a filtered image, the latest used of them in memory.

    Attributes:
        shape: z, y, x in voxels.
        shifts: logarithms to the base 2 of the lengths of a block.
        edge: the lengths.
        offset: the first block begins so many voxels before the image, by half of its length. Where blocks begin at
            the borders of the chunks of a file, the filter of each would look into eight chunks.
        counts: blocks along z, y, x.
    """

    def __init__(self, image: Volume, memory: int) -> None:
        self._image, self._memory = image, memory
        self.shape = image.size_zyx
        z = min(_EDGE_BITS, (self.shape[0] - 1).bit_length())
        x = (_BLOCK_BITS - z + 1) // 2
        self.shifts = (z, _BLOCK_BITS - z - x, x)
        self.edge = (1 << self.shifts[0], 1 << self.shifts[1], 1 << self.shifts[2])
        self.offset = tuple(e // 2 if n > e else 0 for n, e in zip(self.shape, self.edge, strict=True))
        self.extent = tuple(n + o for n, o in zip(self.shape, self.offset, strict=True))
        self.counts = tuple(-(-n // e) for n, e in zip(self.extent, self.edge, strict=True))
        self._kept: OrderedDict[int, Floats] = OrderedDict()
        self._lock = threading.Lock()  # a read that nobody waits for any more may still come to its end

    def number(self, index: tuple[int, int, int]) -> int:
        """Of a block."""
        return (index[0] * self.counts[1] + index[1]) * self.counts[2] + index[2]

    def corner(self, number: int) -> tuple[int, int, int]:
        """The first voxel of a block, of the image."""
        rest, x = divmod(number, self.counts[2])
        z, y = divmod(rest, self.counts[1])
        z, y, x = (i * e - o for i, e, o in zip((z, y, x), self.edge, self.offset, strict=True))
        return z, y, x

    def block(self, number: int) -> Floats:
        """A block (c, z, y, x) of full length; NaN beyond the image."""
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
        corner = self.corner(number)
        box = tuple(slice(max(c, 0), min(n, c + e)) for c, e, n in zip(corner, self.edge, self.shape, strict=True))
        read = self._image.read((slice(0, self._image.n_channels), *box))
        if box_shape(box) == self.edge:
            found = np.ascontiguousarray(read, np.float32)
        else:
            found = np.full((len(read), *self.edge), np.nan, np.float32)
            whole = tuple(slice(c, c + e) for c, e in zip(corner, self.edge, strict=True))
            found[(slice(None), *relative(box, whole))] = read
        with self._lock:
            self._kept[number] = found
            while len(self._kept) * found.nbytes > self._memory and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return found

    def has(self, number: int) -> bool:
        """Whether a block is in memory."""
        return number in self._kept

    def numbers(self, box: Box) -> list[int]:
        """Of the blocks that a box (z, y, x) touches."""
        spans = (
            range((s.start + o) // e, -(-(s.stop + o) // e))
            for s, e, o in zip(box, self.edge, self.offset, strict=True)
        )
        return [self.number((z, y, x)) for z, y, x in product(*spans)]

    def gather(self, box: Box) -> Floats:
        """The voxels (c, z, y, x) of a box inside the image."""
        out = np.empty((self._image.n_channels, *box_shape(box)), np.float32)
        for number in self.numbers(box):
            theirs, ours = [slice(None)], [slice(None)]
            for corner, edge, side in zip(self.corner(number), self.edge, box, strict=True):
                low, high = max(corner, side.start), min(corner + edge, side.stop)
                theirs.append(slice(low - corner, high - corner))
                ours.append(slice(low - side.start, high - side.start))
            out[tuple(ours)] = self.block(number)[tuple(theirs)]
        return out

    def forget(self) -> None:
        """Drop all blocks."""
        with self._lock:
            self._kept.clear()
