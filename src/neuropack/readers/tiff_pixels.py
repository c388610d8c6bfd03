"""Decoding of TIFF images: just the strips and tiles that a box touches, from any thread, with bounded memory."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.axes import Array, Box, box_shape, full_box
from neuropack.errors import InputError
from neuropack.readers.tiff_file import TiffSet
from neuropack.readers.tiff_planes import Plane
from neuropack.readers.tiff_stream import BLOCK_BYTES, Five, piece_bytes, strip_rows, units

KEEP_BYTES = 64 << 20  # decoded strips and tiles kept for the next box; the latest one is kept whatever its size
NARROW = 4 << 10  # of rows longer than this, only the wanted columns are read; shorter ones are read whole
UNIT_BYTES = 1 << 20  # of a native block
KEEP_PLANES = 4096
KEEP_SEGMENTS = 1 << 17  # strips and tiles of the planes that are kept: some 10 MB of offsets


class SegmentCache:
    """The latest decoded strips and tiles. Threads that want the same one wait for one decoding of it."""

    def __init__(self, limit: int = KEEP_BYTES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int], Array] = OrderedDict()
        self._busy: dict[tuple[int, int], threading.Lock] = {}

    def get(self, key: tuple[int, int], decode: Callable[[], Array]) -> Array:
        """The decoded segment, from memory or by calling `decode`."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            busy = self._busy.setdefault(key, threading.Lock())
        with busy:
            with self._lock:
                if key in self._kept:
                    return self._kept[key]
            try:
                array = decode()
            finally:
                with self._lock:
                    self._busy.pop(key, None)
            with self._lock:
                self._kept[key] = array
                while len(self._kept) > 1 and sum(a.nbytes for a in self._kept.values()) > self._limit:
                    self._kept.popitem(last=False)
        return array

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()


@dataclass(eq=False)
class TiffPixels:
    """The pixels of an image whose planes are pages of TIFF files.

    Args:
        axes: native axes: those of the plane grid, then those of a page.
        shape: their lengths.
        n_page_axes: how many of the last axes belong to a page.
        dtype: of the result.
        plane: gives the plane of a number in the C order of the plane grid; called under a lock.
        files: all files of the image, the first one first.
        shared: the open files, closed by `close`.
        label: how a message names the planes.
    """

    axes: str
    shape: tuple[int, ...]
    n_page_axes: int
    dtype: np.dtype[Any]
    plane: Callable[[int], Plane]
    files: tuple[Path, ...]
    shared: TiffSet
    _planes: OrderedDict[int, Plane] = field(default_factory=OrderedDict, init=False)
    _segments_kept: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _cache: SegmentCache = field(default_factory=SegmentCache, init=False)

    def _get(self, number: int) -> Plane:
        with self._lock:
            if number in self._planes:
                self._planes.move_to_end(number)
                return self._planes[number]
            plane = self.plane(number)
            self._check(plane)
            self._planes[number] = plane
            self._segments_kept += len(plane.offsets)
            most = KEEP_PLANES if len(self.files) <= TiffSet.LIMIT else 16  # a plane keeps its file open
            while len(self._planes) > most or (self._segments_kept > KEEP_SEGMENTS and len(self._planes) > 1):
                _, old = self._planes.popitem(last=False)
                self._segments_kept -= len(old.offsets)
            return plane

    def _check(self, plane: Plane) -> None:
        page_shape = self.shape[len(self.shape) - self.n_page_axes :]
        if plane.page.shape != page_shape or plane.dtype != self.dtype:
            raise InputError(
                "a page differs from the others of its image",
                file=plane.source.path,
                where=plane.label,
                expected=f"{self.dtype} {'x'.join(map(str, page_shape))}",
                found=f"{plane.dtype} {'x'.join(map(str, plane.page.shape))}",
            )
        plane.check()

    def check_ends(self) -> None:
        """That the bytes of the first and the last plane are there: a file that was cut short says so at once.

        Raises:
            InputError: they lie past the end of the file.
        """
        grid = math.prod(self.shape[: len(self.shape) - self.n_page_axes])
        for number in {0, grid - 1}:
            plane = self._get(number)
            end, segment = plane.end()
            if end > plane.source.raw.size:
                raise InputError(
                    "pixels are missing: the file is cut short",
                    file=plane.source.path,
                    where=plane.where(segment),
                    expected=f"{end} bytes",
                    found=f"{plane.source.raw.size} bytes",
                    fix="copy the file again from its source",
                )

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Decode a box of the native axes; raw strips are read straight into `out` where its rows are contiguous.

        Raises:
            InputError: bytes of it are missing or damaged.
        """
        if out is None:
            out = np.empty(box_shape(box), self.dtype)
        letters, five = self._five(box)
        as_five = tuple(slice(None) if a in self._page_axes else None for a in letters)
        with self.shared.unchanged() as used:
            for index, number in self._grid(box):
                plane = self._get(number)
                used[plane.source.path] = plane.label
                (self._raw if plane.raw else self._segments)(plane, number, five, out[index][as_five])
        return out

    @property
    def _page_axes(self) -> str:
        """Axes of a page: the letters SZYX as the file has them (`axes` may call them otherwise)."""
        return self._get(0).page.axes

    def _five(self, box: Box) -> tuple[str, Five]:
        """The part of a box that lies in a page, along tifffile's five dimensions, and their letters."""
        page = dict(zip(self._page_axes, box[len(self.shape) - self.n_page_axes :], strict=True))
        letters = "SZYX-" if self._get(0).page.planarconfig == 2 else "-ZYXS"
        s, d, y, x, k = (page.get(a, slice(0, 1)) for a in letters)
        return letters, (s, d, y, x, k)

    def _grid(self, box: Box) -> Iterator[tuple[tuple[int, ...], int]]:
        """The planes of a box: the place in the box, and the number."""
        split = len(self.shape) - self.n_page_axes
        for index in np.ndindex(*box_shape(box[:split])):
            number = 0
            for i, part, length in zip(index, box, self.shape[:split], strict=False):
                number = number * length + part.start + i
            yield index, number

    def stream(self, box: Box, limit: int) -> Iterator[tuple[Box, Array]]:
        """Decode a box in pieces of at most about `limit` bytes, in the order of the file, each strip or tile once.

        Raises:
            InputError: bytes of it are missing or damaged.
        """
        letters, five = self._five(box)
        for index, number in self._grid(box):
            lead = tuple(slice(p.start + i, p.start + i + 1) for p, i in zip(box, index, strict=False))
            plane = self._get(number)
            for part in units(plane, five, limit):
                if plane.raw or plane.page.is_tiled or (part[2].stop - part[2].start) * plane.row_bytes <= limit:
                    native = (*lead, *(part[letters.index(a)] for a in self._page_axes))
                    yield native, self.read(native)
                    continue
                s, d, y, x, k = part
                first = y.start // plane.segment[1] * plane.segment[1]  # of the strip, which is one
                strip = (s.start * plane.grid[1] + d.start) * plane.grid[2] + first // plane.segment[1]
                bands = strip_rows(plane, strip, slice(y.start - first, y.stop - first), limit)
                while True:
                    with self.shared.unchanged() as used:
                        used[plane.source.path] = plane.label
                        band = next(bands, None)
                    if band is None:
                        break
                    rows, pixels = band
                    here = (s, d, slice(first + rows.start, first + rows.stop), x, k)
                    native = (*lead, *(here[letters.index(a)] for a in self._page_axes))
                    yield native, pixels[:, x, k].reshape(box_shape(native))
                    del band, pixels

    def piece_bytes(self) -> int:
        """Memory that the smallest piece of `stream` needs, by the layout of the first page."""
        return piece_bytes(self._get(0))

    def _raw(self, plane: Plane, number: int, box: Box, out: Array) -> None:
        s, d, y, x, k = box
        whole = box_shape((x, k)) == plane.shaped[3:]
        for i, j in product(range(s.start, s.stop), range(d.start, d.stop)):
            target = out[i - s.start, j - d.start]
            straight = whole and target.flags.c_contiguous
            row = y.start
            while row < y.stop:
                offset, count, strip = plane.run(i, j, row, y.stop)
                if not straight:
                    count = min(count, max(1, BLOCK_BYTES // plane.row_bytes))
                rows = target[row - y.start : row - y.start + count]
                if straight:
                    self._fill(plane, strip, offset, rows)
                else:
                    self._columns(plane, strip, offset, x, k, rows)
                row += count
        if plane.swapped:
            out.byteswap(inplace=True)

    @staticmethod
    def _fill(plane: Plane, strip: int | None, offset: int, rows: Array) -> None:
        """Read bytes straight into contiguous memory."""
        if offset == 0:
            rows[...] = plane.page.nodata
            if plane.swapped:
                rows.byteswap(inplace=True)  # the caller swaps it back
            return
        plane.fetch(rows.view(np.uint8).reshape(-1).data, offset, strip)

    def _columns(self, plane: Plane, strip: int | None, offset: int, x: slice, k: slice, rows: Array) -> None:
        """Read some columns of some rows through scratch memory."""
        width, samples = plane.shaped[3:]
        if offset and plane.row_bytes > NARROW:
            scratch = np.empty((x.stop - x.start, samples), plane.dtype)
            start = offset + x.start * samples * plane.dtype.itemsize
            for number, row in enumerate(rows):
                straight = row.shape == scratch.shape and row.flags.c_contiguous
                self._fill(plane, strip, start + number * plane.row_bytes, row if straight else scratch)
                if not straight:
                    row[...] = scratch[:, k]
            return
        scratch = np.empty((len(rows), width, samples), plane.dtype)
        self._fill(plane, strip, offset, scratch)
        rows[...] = scratch[:, x, k]

    def _segments(self, plane: Plane, number: int, box: Box, out: Array) -> None:
        s, d, y, x, k = box
        _, gd, gy, gx = plane.grid
        steps = plane.segment
        _, depth, length, width, _ = plane.shaped
        ranges = [range(b.start // n, -(-b.stop // n)) for b, n in zip((d, y, x), steps, strict=True)]
        for i, (a, b, c) in product(range(s.start, s.stop), product(*ranges)):
            segment = ((i * gd + a) * gy + b) * gx + c
            origin = tuple(n * step for n, step in zip((a, b, c), steps, strict=True))
            stop = (
                min(origin[0] + steps[0], depth),
                min(origin[1] + steps[1], length),
                min(origin[2] + steps[2], width),
            )
            take = [slice(max(w.start, o), min(w.stop, e)) for w, o, e in zip((d, y, x), origin, stop, strict=True)]
            put = tuple(slice(t.start - w.start, t.stop - w.start) for t, w in zip(take, (d, y, x), strict=True))
            if plane.empty(segment):
                out[(i - s.start, *put)] = plane.page.nodata
                continue
            if all(t.start == o and t.stop == e for t, o, e in zip(take, origin, stop, strict=True)):
                decoded = plane.decode(segment)  # all of it is wanted: nobody comes back for the rest
            else:
                decoded = self._cache.get((number, segment), partial(plane.decode, segment))
            pick = tuple(slice(t.start - o, t.stop - o) for t, o in zip(take, origin, strict=True))
            part = decoded[(*pick, k)]
            if part.shape[:3] != box_shape(put):
                raise plane.short(segment, math.prod(box_shape(put)), math.prod(part.shape[:3]))
            out[(i - s.start, *put)] = part

    def native_blocks(self) -> Iterator[Box]:
        """Boxes in the file's order: page after page, rows, strips or tiles that make about 1 MiB."""
        letters, five = self._five(full_box(self.shape))
        for index, _ in self._grid(full_box(self.shape)):
            lead = tuple(slice(i, i + 1) for i in index)
            for part in units(self._get(0), five, UNIT_BYTES):
                yield (*lead, *(part[letters.index(a)] for a in self._page_axes))

    @property
    def overhead_bytes(self) -> int:
        """tifffile with its tables of pages; where strips are decoded, also those kept for the next box."""
        return (16 << 20) if self._get(0).raw else (32 << 20) + KEEP_BYTES

    @property
    def cheap_parts(self) -> bool:
        """True where pixels lie in the file as in memory, channel by channel: parts of rows are read alone."""
        first = self._get(0)
        return first.raw and first.shaped[4] == 1

    def close(self) -> None:
        """Close the files."""
        self.shared.close()
        with self._lock:
            self._planes.clear()
            self._segments_kept = 0
        self._cache.clear()
