"""One TIFF file on disk: positioned reads from any thread, and the checks that tifffile leaves to its log."""

from __future__ import annotations

import io
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from neuropack.errors import InputError, UnreadableError
from neuropack.readers.positioned_file import PositionedFile
from neuropack.readers.problems import Original, damaged, first_bytes, from_system, unreadable

if TYPE_CHECKING:
    from tifffile import TiffFile

# Bytes of a value of each type of tag (TIFF 6.0 section 2; the BigTIFF design note).
_TYPE_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
# Classic and BigTIFF, little and big endian.
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class TiffSource:
    """A TIFF file opened with tifffile. `lock` guards everything that moves tifffile's stream position.

    Raises:
        InputError: it cannot be read, is no TIFF, or its list of pages is cut short.
    """

    def __init__(self, path: Path) -> None:
        from tifffile import TiffFile

        self.path = path
        self.lock = threading.RLock()
        try:
            self.raw = PositionedFile(path)
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            self._check_magic()
            self.tif: TiffFile = TiffFile(io.BufferedReader(self.raw), name=path.name)
            self._check_chain(len(self.tif.pages))
        except Exception as error:
            self.raw.close()
            if isinstance(error, InputError):
                raise
            if system := from_system(error):
                raise unreadable(path, system) from error
            raise damaged(path, "TIFF", error) from error  # tifffile raises many kinds

    def _check_magic(self) -> None:
        if self._bytes(0, 4) not in MAGIC:
            raise InputError(
                "is not a TIFF file" if self.raw.size else "is empty",
                file=self.path,
                expected="a file that begins with II*, MM*, II+ or MM+",
                found=first_bytes(self.path),
            )

    def _check_chain(self, pages: int) -> None:
        """The list of pages must end with a zero: tifffile only logs a pointer past the end of the file."""
        tiff, size = self.tif.tiff, self.raw.size
        if not pages:
            raise InputError(
                "is cut short: its first page lies past its end", file=self.path, found=f"{size} bytes"
            )
        if tiff.is_ndpi:  # the entries have a layout of their own
            return
        following = self._check_tags(self.tif.pages.first.offset, 1)
        last = self.tif.pages[pages - 1].offset if pages > 1 else 0
        if last:  # 0 where tifffile calculates where a page should be
            following = self._check_tags(last, pages)
        elif pages > 1:
            return
        if following >= size:
            raise InputError(
                f"is cut short: page {pages + 1} lies past its end",
                file=self.path,
                expected=f"a page at byte {following}",
                found=f"{size} bytes",
                fix="copy the file again from its source",
            )
        if following:
            raise InputError(
                f"is damaged: its list of pages breaks off after page {pages}",
                file=self.path,
                expected=f"a page at byte {following}, or 0 for the end of the list",
                found="no page there",
                fix="copy the file again from its source",
            )

    def _check_tags(self, offset: int, page: int) -> int:
        """That the values of a page's tags lie in the file (tifffile drops the others); the next page's offset."""
        tiff = self.tif.tiff
        (count,) = struct.unpack(tiff.tagnoformat, self._bytes(offset, tiff.tagnosize))
        at = offset + tiff.tagnosize
        entries = self._bytes(at, count * tiff.tagsize + tiff.offsetsize)
        (following,) = struct.unpack(tiff.offsetformat, entries[count * tiff.tagsize :])
        entry = tiff.byteorder + ("HHQQ" if tiff.is_bigtiff else "HHII")
        for code, kind, length, value in struct.iter_unpack(entry, entries[: count * tiff.tagsize]):
            size = length * _TYPE_BYTES.get(kind, 0)
            if size > tiff.offsetsize and value + size > self.raw.size:
                raise InputError(
                    "is cut short: metadata lie past its end",
                    file=self.path,
                    where=f"page {page}, tag {code}",
                    expected=f"{value + size} bytes",
                    found=f"{self.raw.size} bytes",
                    fix="copy the file again from its source",
                )
        return int(following)

    def _bytes(self, offset: int, count: int) -> bytes:
        data = bytearray(count)
        return bytes(data[: self.raw.read_at(memoryview(data), offset)])

    def close(self) -> None:
        """Close the file."""
        self.raw.close()

    def __del__(self) -> None:  # tifffile's objects refer to each other, so they alone would keep the file open
        raw: PositionedFile | None = getattr(self, "raw", None)
        if raw is not None:
            raw.close()


class TiffSet:
    """The files of one image, opened when they are needed, a bounded number at a time."""

    LIMIT = 32  # far below the usual limit of 256 to 1024 descriptors

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[Path, TiffSource] = OrderedDict()
        self._originals: dict[Path, Original] = {}
        self._closed = False

    def get(self, path: Path) -> TiffSource:
        """The opened file. One that falls out of the set closes when its last reader lets go of it."""
        with self._lock:
            if self._closed:
                raise ValueError(f"{path} is closed")
            source = self._open.pop(path, None)
            if source is None:
                original = self._originals.setdefault(path, Original(path))
                source = TiffSource(path)
                original.check()
            self._open[path] = source
            while len(self._open) > self.LIMIT:
                self._open.popitem(last=False)
            return source

    @contextmanager
    def unchanged(self) -> Iterator[dict[Path, str]]:
        """Make sure that the files that the block notes, with a place in each, are what they were when opened.

        Raises:
            InputError: one has changed; where the block fails, that is the reason.
        """
        used: dict[Path, str] = {}
        try:
            yield used
        except UnreadableError:
            raise
        except InputError as error:
            if original := self._originals.get(Path(error.file or "")):
                original.check(error.where)
            raise
        for path, where in used.items():
            self._originals[path].check(where)

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            self._closed = True
            for source in self._open.values():
                source.close()
            self._open.clear()
