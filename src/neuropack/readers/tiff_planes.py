"""One page of a TIFF file as a plane of pixels: where its strips and tiles lie, and how they are decoded."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.axes import Array
from neuropack.errors import InputError
from neuropack.readers.problems import from_system, unreadable
from neuropack.readers.tiff_file import TiffSource

if TYPE_CHECKING:
    from tifffile import TiffFrame, TiffPage, TiffPageSeries


@dataclass(frozen=True)
class Plane:
    """One page of a file, ready to decode. Its pixels have tifffile's five normal dimensions.

    Attributes:
        source: the open file.
        label: how a message names it.
        page: the page whose layout (strips, tiles, codec) it has.
        offsets, counts: of its strips or tiles, in bytes.
        contiguous: the pixels are one raw run from the first offset, whatever the page says of strips; no counts.
        jpegtables: of JPEG pages.
    """

    source: TiffSource
    label: str
    page: TiffPage
    offsets: Sequence[int]
    counts: Sequence[int] = ()
    jpegtables: bytes | None = None
    contiguous: bool = False

    @cached_property
    def shaped(self) -> tuple[int, int, int, int, int]:
        """(separate samples, depth, length, width, contiguous samples)."""
        s, d, h, w, k = self.page.shaped
        return s, d, h, w, k

    @property
    def dtype(self) -> np.dtype[Any]:
        """The data type, in the machine's byte order."""
        return np.dtype(self.page.dtype)

    @cached_property
    def segment(self) -> tuple[int, int, int]:
        """Depth, rows and columns of a tile or a strip."""
        if self.page.is_tiled:
            return self.page.tiledepth, self.page.tilelength, self.page.tilewidth
        return 1, self.page.rowsperstrip or self.shaped[2], self.shaped[3]

    @cached_property
    def grid(self) -> tuple[int, int, int, int]:
        """Number of segments: separate samples, depth, rows, columns."""
        s, d, h, w, _ = self.shaped
        td, th, tw = self.segment
        return s, math.ceil(d / td), math.ceil(h / th), math.ceil(w / tw)

    @cached_property
    def raw(self) -> bool:
        """True where rows lie in the file as they lie in memory, but for the byte order."""
        page = self.page
        return self.contiguous or (
            page.compression == 1
            and page.predictor == 1
            and page.fillorder == 1
            and page.sampleformat != 5
            and page.bitspersample == 8 * self.dtype.itemsize
            and not page.is_tiled
            and not page.is_subsampled
        )

    @property
    def swapped(self) -> bool:
        """True where the file has the other byte order than this machine."""
        return (self.source.tif.byteorder == "<") != (sys.byteorder == "little")

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one decoded row, all contiguous samples."""
        return self.shaped[3] * self.shaped[4] * self.dtype.itemsize

    def where(self, number: int | None = None) -> str:
        """The place a message names."""
        kind = "tile" if self.page.is_tiled else "strip"
        return self.label if number is None else f"{self.label}, {kind} {number + 1}"

    def check(self) -> None:
        """That the page lists all its strips or tiles.

        Raises:
            InputError: there are fewer.
        """
        if self.contiguous:
            return
        if 0 in self.segment or 0 in self.shaped:
            raise InputError("a page has no size", file=self.source.path, where=self.label)
        expected = math.prod(self.grid)
        found = min(len(self.offsets), len(self.counts))
        if found < expected:
            raise InputError(
                "a page lists too few strips or tiles",
                file=self.source.path,
                where=self.label,
                expected=str(expected),
                found=str(found),
            )

    def end(self) -> tuple[int, int | None]:
        """Where its last byte ends in the file, and the strip or tile that it belongs to."""
        if self.contiguous:
            return self.offsets[0] + math.prod(self.shaped) * self.dtype.itemsize, None
        spans = enumerate(zip(self.offsets, self.counts, strict=False))
        return max(((offset + count, i) for i, (offset, count) in spans if offset and count), default=(0, 0))

    def run(self, s: int, d: int, row: int, stop: int) -> tuple[int, int, int | None]:
        """Where rows begin in a raw plane: file offset, the number that follow on (at most to `stop`), strip.

        An offset of 0 stands for a strip that was never written.
        """
        _, depth, length, _, _ = self.shaped
        if self.contiguous:
            return self.offsets[0] + ((s * depth + d) * length + row) * self.row_bytes, stop - row, None
        rows = self.segment[1]
        first = ((s * depth + d) * self.grid[2]) + row // rows
        number, end = first, min((row // rows + 1) * rows, length)
        if self.empty(first):
            return 0, min(end, stop) - row, first
        self._need(first)
        while end < stop and not self.empty(number + 1):
            here = min(rows, length - (number - first + row // rows) * rows)
            if self.offsets[number + 1] != self.offsets[number] + here * self.row_bytes:
                break
            number += 1
            self._need(number)
            end = min(end + rows, length)
        return self.offsets[first] + (row % rows) * self.row_bytes, min(end, stop) - row, first

    def empty(self, number: int) -> bool:
        """True for a strip or tile that was never written: it has the no-data value (GDAL's sparse files)."""
        return self.offsets[number] == 0 or self.counts[number] == 0

    def _need(self, number: int) -> None:
        """A raw strip must be as long as its rows."""
        rows = self.segment[1]
        there = min(rows, self.shaped[2] - number % self.grid[2] * rows)
        if self.counts[number] < there * self.row_bytes:
            raise self.short(number, there * self.row_bytes, self.counts[number])

    def fetch(self, view: memoryview, offset: int, number: int | None) -> None:
        """Fill `view` with bytes of the file from `offset`, which belong to a strip or tile.

        Raises:
            InputError: the file ends before.
            UnreadableError: the system cannot read it.
        """
        try:
            found = self.source.raw.read_at(view, offset)
        except OSError as error:
            raise unreadable(self.source.path, error, where=self.where(number)) from error
        if found != len(view):
            raise self.short(number, len(view), found)

    def short(self, number: int | None, expected: int, found: int) -> InputError:
        """The error for bytes that are not there."""
        return InputError(
            "pixels are missing: the file is cut short or damaged",
            file=self.source.path,
            where=self.where(number),
            expected=f"{expected} bytes",
            found=f"{found} bytes",
            fix="copy the file again from its source",
        )

    def decode(self, number: int) -> Array:
        """Decode one strip or tile: (depth, rows, columns, samples), possibly larger than what the image needs.

        Raises:
            InputError: its bytes are missing or cannot be decoded.
        """
        size, offset = int(self.counts[number]), int(self.offsets[number])
        left = max(0, self.source.raw.size - offset)
        if left < size:  # before memory is taken for what a damaged count promises
            raise self.short(number, size, left)
        data = bytearray(size)
        self.fetch(memoryview(data), offset, number)
        try:
            decoded, _, _ = self.page.decode(
                data, number, jpegtables=self.jpegtables, jpegheader=self.page.jpegheader
            )
        except Exception as error:  # every codec raises its own kind
            raise InputError(
                "cannot be decoded",
                file=self.source.path,
                where=self.where(number),
                expected=f"{getattr(self.page.compression, 'name', self.page.compression)} data",
                found=str(error) or type(error).__name__,
                fix="copy the file again from its source",
            ) from error
        if decoded is None:
            raise self.short(number, size, 0)
        return decoded


def _plane(source: TiffSource, page: TiffPage | TiffFrame, label: str) -> Plane:
    """A plane of a page; the decoder is made here, under the lock, since tifffile makes it without one."""
    try:
        keyframe = page.keyframe
        if keyframe is None:
            raise ValueError("the page has no description of its layout")
        keyframe.init_decode()
    except Exception as error:  # tifffile raises many kinds
        raise _unread(source, label, "cannot be decoded", error) from error
    return Plane(source, label, keyframe, page.dataoffsets, page.databytecounts, page.jpegtables)


def _unread(source: TiffSource, label: str, what: str, error: Exception) -> InputError:
    """The error of a page whose description tifffile cannot read or use."""
    if system := from_system(error):
        return unreadable(source.path, system, where=label)
    return InputError(
        what,
        file=source.path,
        where=label,
        expected="a page of the TIFF format",
        found=str(error) or type(error).__name__,
        fix="copy the file again from its source",
    )


def page_plane(source: TiffSource, number: int, level: int = 0) -> Plane:
    """A page of a file by its number from 0, or the coarser `level` of it that its SubIFDs hold.

    Raises:
        InputError: there is no such page.
    """
    from tifffile import TiffPage

    label = f"page {number + 1}" + (f", level {level}" if level else "")
    with source.lock:
        try:
            page = source.tif.pages[number]
            if level:
                source.tif.filehandle.seek((page.subifds or ())[level - 1])
                page = TiffPage(source.tif, (number, level - 1))
        except Exception as error:  # tifffile raises many kinds on a damaged file
            raise _unread(source, label, "a page cannot be read", error) from error
        return _plane(source, page, label)


def series_plane(source: TiffSource, series: TiffPageSeries, number: int) -> Plane:
    """A page of a series by its number from 0.

    Raises:
        InputError: there is no such page.
    """
    label = f"page {number + 1}"
    with source.lock:
        try:
            page = series[number]
        except Exception as error:  # tifffile raises many kinds on a damaged file
            raise _unread(source, label, "a page cannot be read", error) from error
        if page is None or page.parent is not source.tif:
            raise _unread(source, label, "a page of the image is missing", ValueError("no such page"))
        return _plane(source, page, label)
