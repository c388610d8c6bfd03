"""The compound file ("OLE") around an OIB: a look at its tables before a library follows them.

A file whose end is missing or was filled with zeros (an interrupted copy) leads a reader of its chains out of the
file, or round and round without end. Layout: Microsoft's [MS-CFB], sections 2.2 (header) to 2.6 (directory).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")
_UNUSED, _MARKS = 0xFFFFFFFF, 0xFFFFFFFA  # an unused sector; numbers from _MARKS on are no sectors
_ENTRY_BYTES = 128
_STREAM, _ROOT = 2, 5  # kinds of directory entries

Table = npt.NDArray[np.uint32]


class _Tables:
    """Sector size, allocation tables (the next sector of each sector) and directory of a compound file.

    Small streams lie in sectors of 64 bytes with a table of their own, `small_next`.
    """

    def __init__(self, file: BinaryIO) -> None:
        head = file.read(512)
        if len(head) < 512 or not head.startswith(MAGIC):
            raise ValueError("The header is incomplete.")
        self._file, self.size = file, 1 << struct.unpack_from("<H", head, 30)[0]
        if self.size not in (512, 4096):
            raise ValueError(f"The header states sectors of {self.size} bytes.")
        self.sectors = -(-file.seek(0, 2) // self.size) - 1
        count, directory, _, self._cutoff, small, _, following, more = struct.unpack_from("<8I", head, 44)
        numbers = list(struct.unpack_from("<109I", head, 76))
        if max(count, more) > self.sectors:
            raise ValueError("Its tables are larger than the file.")
        for _ in range(more):
            *page, following = self._table(following).tolist()
            numbers += page
        self.next = np.concatenate([self._table(n) for n in numbers[:count]])
        self._starts = [directory, small]
        self._directory = b"".join(self._sector(n) for n in self._chain(directory))
        pages = [self._table(n) for n in self._chain(small)]
        self.small_next = np.concatenate(pages) if pages else np.empty(0, np.uint32)

    def _sector(self, number: int) -> bytes:
        self._file.seek((number + 1) * self.size)
        data = self._file.read(self.size)
        if len(data) < self.size:
            raise ValueError(f"Sector {number:,} of {self.sectors:,} is missing.")
        return data

    def _table(self, number: int) -> Table:
        return np.frombuffer(self._sector(number), "<u4")

    def _chain(self, number: int) -> Iterator[int]:
        for _ in range(len(self.next)):
            if number >= _MARKS:
                return
            yield number
            number = int(self.next[number])
        raise ValueError("One of its chains closes to a ring.")

    def names(self) -> list[str]:
        """Names of all streams and storages."""
        return [name for name, *_ in self._entries()]

    def _entries(self) -> Iterator[tuple[str, int, int, int]]:
        """Name, kind, first sector and size of everything in the directory."""
        for at in range(0, len(self._directory), _ENTRY_BYTES):
            length, kind = struct.unpack_from("<HB", self._directory, at + 64)
            start, size = struct.unpack_from("<II", self._directory, at + 116)
            if kind:
                yield (
                    self._directory[at : at + max(0, length - 2)].decode("utf-16-le", "replace"),
                    kind,
                    start,
                    size,
                )

    def check(self) -> None:
        """Raise ValueError when a sector in use lies behind the end of the file, or chains meet or close."""
        used = np.flatnonzero(self.next != _UNUSED)
        if len(used) and used[-1] >= self.sectors:
            raise ValueError(f"It should have {used[-1] + 2:,} sectors and has {self.sectors + 1:,}.")
        starts, small = list(self._starts), []
        for _, kind, start, size in self._entries():
            if kind == _ROOT or (kind == _STREAM and size >= self._cutoff):
                starts.append(start)
            elif kind == _STREAM and size:
                small.append(start)
        _check_chains(self.next, starts)
        _check_chains(self.small_next, small)


def _check_chains(following: Table, starts: list[int]) -> None:
    """Raise ValueError unless every chain from `starts` ends: no sector follows two, none leads to a start."""
    followers = following[following < _MARKS]
    if len(np.unique(followers)) < len(followers) or np.isin(starts, followers).any():
        raise ValueError("Its chains of sectors meet or close to a ring.")
    ends = [n for n in (*starts, *followers.tolist()) if len(following) <= n < _MARKS]
    if ends:
        raise ValueError(f"A chain leads to sector {ends[0]:,} of {len(following):,}.")


def check(path: Path) -> None:
    """Make sure that the chains of a compound file can be followed.

    Raises:
        ValueError: when the file is cut short or its tables are damaged.
    """
    with path.open("rb") as file:
        _Tables(file).check()


def names(path: Path) -> list[str]:
    """Names of all streams and storages.

    Raises:
        ValueError, IndexError: when the directory cannot be read.
    """
    with path.open("rb") as file:
        return _Tables(file).names()
