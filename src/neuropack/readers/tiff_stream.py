"""Planes too large to decode whole: the parts to read one after the other, and strips inflated as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from neuropack.axes import Array
from neuropack.errors import InputError
from neuropack.readers.tiff_planes import Plane

Five = tuple[slice, slice, slice, slice, slice]
"""A box of a plane along tifffile's dimensions: separate samples, depth, rows, columns, contiguous samples."""

BLOCK_BYTES = 4 << 20  # rows that are read as they lie in the file, or inflated, at a time
_INPUT_BYTES = 256 << 10
_OUTPUT_BYTES = 1 << 20
_DEFLATE = (8, 32946)  # Adobe's number and the older one, for the same zlib streams
_IMAGE_CODEC_COPIES = 4  # measured: 3.5 for JPEG 2000


def inflates(plane: Plane) -> bool:
    """True where strips are zlib streams whose rows can be had one after the other."""
    page = plane.page
    return (
        page.compression in _DEFLATE
        and (page.predictor == 1 or (page.predictor == 2 and plane.dtype.kind in "iu"))
        and page.fillorder == 1
        and page.sampleformat != 5
        and page.bitspersample == 8 * plane.dtype.itemsize
        and not page.is_tiled
        and not page.is_subsampled
    )


def piece_bytes(plane: Plane) -> int:
    """Memory that the smallest piece of a plane needs, with what decoding takes beside its result."""
    td, th, tw = plane.segment
    if plane.page.is_tiled:
        segment = td * th * tw * plane.shaped[4] * plane.dtype.itemsize
    else:
        segment = min(th, plane.shaped[2]) * plane.row_bytes
    if plane.raw or inflates(plane):
        return min(max(BLOCK_BYTES, plane.row_bytes), segment)
    from tifffile import TIFF

    copies = 2 if plane.swapped or plane.page.is_tiled else 1
    if plane.page.compression in TIFF.IMAGE_COMPRESSIONS:
        copies = _IMAGE_CODEC_COPIES
    return segment * copies + max(plane.counts, default=0)


def units(plane: Plane, box: Five, limit: int) -> Iterator[Five]:
    """The parts of a box to decode one after the other, in the order of the file, each strip and tile in one only.

    Each is at most `limit` bytes, decoded, or else one row, strip or tile.
    """
    s, d, y, x, k = box
    td, th, tw = plane.segment
    rows, columns = th, plane.shaped[3]
    if plane.raw:
        rows = max(1, limit // plane.row_bytes)
    elif plane.page.is_tiled:
        tile = td * th * tw * plane.shaped[4] * plane.dtype.itemsize
        columns = tw * max(1, min(limit // tile, plane.grid[3]))
        rows = th * max(1, limit // (tile * plane.grid[3]))
    else:
        rows = th * max(1, limit // (th * plane.row_bytes))
    for i in range(s.start, s.stop):
        for zs, ys, xs in product(_cut(d, td), _cut(y, rows), _cut(x, columns)):
            yield slice(i, i + 1), zs, ys, xs, k


def _cut(part: slice, step: int) -> list[slice]:
    """A range, cut at the multiples of `step`."""
    first = part.start // step * step
    return [slice(max(a, part.start), min(a + step, part.stop)) for a in range(first, part.stop, step)]


def strip_rows(plane: Plane, strip: int, rows: slice, limit: int) -> Iterator[tuple[slice, Array]]:
    """Decode rows of one strip, as few at a time as its codec allows: (rows of the strip, all of their pixels).

    Args:
        plane: of strips that are compressed.
        strip: its number.
        rows: the wanted ones, counted from the strip's first.
        limit: bytes of one piece, where the codec can decode in part.

    Raises:
        InputError: bytes are missing or damaged.
    """
    width, samples = plane.shaped[3:]
    if not (plane.empty(strip) or inflates(plane)):
        decoded = plane.decode(strip)[0]
        if len(decoded) < rows.stop:
            raise plane.short(strip, rows.stop * plane.row_bytes, len(decoded) * plane.row_bytes)
        yield rows, decoded[rows]
        return
    stream = None if plane.empty(strip) else _Inflated(plane, strip)
    if stream:
        stream.skip(rows.start)
    for part in _cut(rows, max(1, limit // plane.row_bytes)):
        pixels = np.empty((part.stop - part.start, width, samples), plane.dtype)
        if stream:
            stream.fill(pixels)
        else:
            pixels[...] = plane.page.nodata
        yield part, pixels
        del pixels  # or it would still be there while the next rows are inflated


class _Inflated:
    """The rows of one strip from its zlib stream, in bounded memory; the checksum is at its end."""

    def __init__(self, plane: Plane, strip: int) -> None:
        from isal import isal_zlib

        self._plane, self._strip, self._row = plane, strip, 0
        self._offset, self._left = int(plane.offsets[strip]), int(plane.counts[strip])
        rows = plane.segment[1]
        self._rows = min(rows, plane.shaped[2] - strip % plane.grid[2] * rows)
        self._stream = isal_zlib.decompressobj()

    def skip(self, rows: int) -> None:
        """Inflate rows and forget them."""
        left = rows * self._plane.row_bytes
        while left:
            left -= len(self._inflate(left))
        self._row += rows

    def fill(self, rows: Array) -> None:
        """Inflate the next rows into an array (rows, columns, samples)."""
        view, done = rows.view(np.uint8).reshape(-1).data, 0
        while done < len(view):
            piece = self._inflate(len(view) - done)
            view[done : done + len(piece)] = piece
            done += len(piece)
        self._row += len(rows)
        if self._row == self._rows:
            self._finish()
        if self._plane.swapped:
            rows.byteswap(inplace=True)
        if self._plane.page.predictor == 2:
            import imagecodecs

            imagecodecs.delta_decode(rows, axis=-2, out=rows)

    def _inflate(self, size: int) -> bytes:
        """Some of the next bytes, at least one and at most `size`."""
        piece = self._next(size)
        if not piece:
            raise self._damaged("the stream ends")
        return piece

    def _finish(self) -> None:
        """Come to the checksum; the last strip may have more rows than the image."""
        spare = (self._plane.segment[1] - self._rows) * self._plane.row_bytes
        while spare >= 0 and (piece := self._next(_OUTPUT_BYTES)):
            spare -= len(piece)

    def _next(self, size: int) -> bytes:
        """Some of the next bytes, none at the end of the stream."""
        while not self._stream.eof:
            data = self._stream.unconsumed_tail or self._read()
            try:
                piece: bytes = self._stream.decompress(data, min(size, _OUTPUT_BYTES))
            except Exception as error:  # the library's own kind
                raise self._damaged(str(error)) from error
            if piece:
                return piece
            if not data:
                raise self._damaged("the bytes end before the stream does")
        return b""

    def _read(self) -> bytes:
        size = min(self._left, _INPUT_BYTES)
        data = bytearray(size)
        self._plane.fetch(memoryview(data), self._offset, self._strip)
        self._offset += size
        self._left -= size
        return bytes(data)

    def _damaged(self, why: str) -> InputError:
        return InputError(
            "cannot be decoded",
            file=self._plane.source.path,
            where=self._plane.where(self._strip),
            expected=f"a deflate stream of {self._rows} rows",
            found=f"{why}, after row {self._row}",
            fix="copy the file again from its source",
        )
