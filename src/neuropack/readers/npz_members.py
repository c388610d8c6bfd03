"""The members of a NumPy archive (NPZ): stored ones are read where they lie, deflated ones inflated as a stream."""

from __future__ import annotations

import threading
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuropack.errors import InputError
from neuropack.readers.positioned_file import PositionedFile
from neuropack.readers.problems import damaged, reading

_LOCAL = b"PK\x03\x04"
_LOCAL_BYTES = 30
_MOST = 10_000  # members
_INPUT_BYTES = 256 << 10
_OUTPUT_BYTES = 1 << 20
_ENCRYPTED = 1
_DENSEST = 1032  # bytes that one of a deflate stream can become, by zlib's technical notes


@dataclass(frozen=True)
class Member:
    """An array in an archive.

    Attributes:
        name: of the array, without the suffix.
        start: where its bytes, as they are stored, begin in the file.
        stored: how many there are.
        size: how many they become.
        crc: the checksum of those.
        deflated: they are a deflate stream.
    """

    name: str
    start: int
    stored: int
    size: int
    crc: int
    deflated: bool


def members_of(path: Path) -> list[Member]:
    """The arrays of an archive, in its order; other members are none of them.

    Raises:
        InputError: the archive is damaged, encrypted, or packed in a way that NumPy does not.
    """
    with reading(path, "NPZ"), path.open("rb") as file, zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        size = path.stat().st_size
        if len(infos) > _MOST:
            raise InputError(
                "holds too many members", file=path, expected=f"at most {_MOST:,}", found=f"{len(infos):,}"
            )
        found: dict[str, Member] = {}
        for info in infos:
            if not info.filename.endswith(".npy"):
                continue
            member = _member(info, file, size, path)
            if member.name in found:
                raise InputError("holds two arrays of one name", file=path, found=repr(member.name)[:80])
            found[member.name] = member
    return [*found.values()]


def _member(info: zipfile.ZipInfo, file: Any, size: int, path: Path) -> Member:
    where = f"array {info.filename[:-4]!r}"[:80]
    if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(
            "is encrypted or packed in a way that NumPy does not",
            file=path,
            where=where,
            fix="save it again with np.savez or np.savez_compressed",
        )
    file.seek(info.header_offset)
    local = file.read(_LOCAL_BYTES)
    if len(local) < _LOCAL_BYTES or not local.startswith(_LOCAL):
        raise damaged(path, "NPZ", f"There is no array at byte {info.header_offset:,}.", where=where)
    start = info.header_offset + _LOCAL_BYTES + sum(int.from_bytes(local[i : i + 2], "little") for i in (26, 28))
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    if start + info.compress_size > size or not (deflated or info.compress_size == info.file_size):
        raise damaged(path, "NPZ", "An array ends behind the end of the file.", where=where)
    if deflated and info.file_size > _DENSEST * info.compress_size + _INPUT_BYTES:
        why = f"{info.compress_size:,} bytes cannot become {info.file_size:,}."
        raise damaged(path, "NPZ", why, where=where)
    return Member(info.filename[:-4], start, info.compress_size, info.file_size, info.CRC, deflated)


class StoredBytes:
    """The bytes of a file, or of a part of it that is stored as it is. The first that are read open the file."""

    sequential = False

    def __init__(self, path: Path, start: int = 0, size: int | None = None) -> None:
        self._path, self._start = path, start
        self.size = path.stat().st_size if size is None else size
        self._file: PositionedFile | None = None
        self._lock = threading.Lock()

    def read_at(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset`; how many bytes there were."""
        with self._lock:
            file = self._file = self._file or PositionedFile(self._path)
        wanted = max(0, min(len(view), self.size - offset))
        return file.read_at(view[:wanted], self._start + offset)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            file.close()


class InflatedBytes:
    """The bytes of a deflated member, in bounded memory. To go back is to begin again."""

    sequential = True

    def __init__(self, path: Path, member: Member) -> None:
        self._path, self._member = path, member
        self.size = member.size
        self._packed = StoredBytes(path, member.start, member.stored)
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._taken = self._position = self._crc = 0

    def read_at(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset`; how many bytes there were.

        Raises:
            InputError: the stream is damaged.
        """
        with self._lock:
            if offset < self._position:
                self._begin()
            while self._position < offset:
                if not self._next(offset - self._position):
                    return 0
            done = 0
            while done < len(view):
                piece = self._next(len(view) - done)
                if not piece:
                    break
                view[done : done + len(piece)] = piece
                done += len(piece)
            return done

    def _next(self, size: int) -> bytes:
        """Some of the next bytes, none behind the last; the checksum is looked at there."""
        size = min(size, _OUTPUT_BYTES, self.size - self._position)
        while size > 0:
            data = self._stream.unconsumed_tail or self._fetch()
            try:
                piece = self._stream.decompress(data, size)
            except zlib.error as error:
                raise self._damaged(str(error)) from error
            if piece:
                self._position += len(piece)
                self._crc = zlib.crc32(piece, self._crc)
                if self._position == self.size and self._crc != self._member.crc:
                    raise self._damaged("The checksum is another.")
                return piece
            if self._stream.eof or not data:
                raise self._damaged(f"The stream ends after {self._position:,} of {self.size:,} bytes.")
        return b""

    def _fetch(self) -> bytes:
        data = bytearray(min(_INPUT_BYTES, self._member.stored - self._taken))
        found = self._packed.read_at(memoryview(data), self._taken)
        self._taken += found
        return bytes(data[:found])

    def _damaged(self, why: str) -> InputError:
        return damaged(self._path, "NPZ", why, where=f"array {self._member.name!r}"[:80])

    def close(self) -> None:
        """Close the file."""
        self._packed.close()
