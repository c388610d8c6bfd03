"""A file that changes as a whole: whatever interrupts the writer, it can be put back to the last commit.

HDF5 rewrites its index in place, so that a process or a machine that dies leaves a file that nobody can open. Here
HDF5 writes through a file object that keeps what is committed untouched. Bytes past the committed length go to the
file at once. Changes below it are held in memory, a few pages of the index. A commit

1. syncs the file, so that everything past the committed length is on the disk,
2. writes a log: the new length and the held pages, with a checksum, and syncs it (this is the commit),
3. writes the held pages to the file; the next commit syncs them.

Two logs take turns, so that one whole log is there at every moment. Opening the file takes the newer whole log,
writes its pages (again, perhaps) and cuts the file to its length.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from neuropack.writers.store import sync

_PAGE = 4096
_MAGIC = b"npcommit"
_HEAD = struct.Struct("<8sQ?QQ")  # magic, number of the commit, is it the last, length of the file, number of pages
_EACH = struct.Struct("<QQ")  # where a page lies, and its length
_DIGEST = 16


class Handle:
    """An open file without buffers, and what is done to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._file = path.open("r+b", buffering=0)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._file.seek(0, os.SEEK_END)

    def read_into(self, start: int, out: memoryview) -> None:
        """Read from a place; what lies past the end is zero."""
        self._file.seek(start)
        while out:
            n = self._file.readinto(out)
            if not n:
                out[:] = bytes(len(out))
                return
            out = out[n:]

    def write(self, start: int, data: bytes | bytearray | memoryview) -> None:
        """Write all of it at a place."""
        self._file.seek(start)
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]

    def cut(self, size: int) -> None:
        """Make it this long."""
        self._file.truncate(size)

    def sync(self) -> None:
        """Return when all of it is on the disk, and leave the memory it took to others."""
        number = self._file.fileno()
        os.fsync(number)
        if hasattr(os, "posix_fadvise"):  # new pages for each block would cost more than the same ones again
            os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Let go of it."""
        self._file.close()

    def remove(self) -> None:
        """Remove it for good, also for a machine that loses its power."""
        self.close()
        self.path.unlink()
        sync(self.path.parent)


class CommittedFile(io.RawIOBase):
    """An existing file, as it was at the last commit, for reading and writing. One thread uses it.

    Args:
        path: of the file; the logs lie beside it.

    Attributes:
        completed: the last commit was that of `complete`, or there is no log and the file is taken as it is.

    Raises:
        OSError: it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        path.stat()  # a file that is not there is an error, not a new one
        self._main = Handle(path)
        self._logs: list[Handle] = []
        self._number, self._held, self._dropped = 0, dict[int, bytearray](), False
        try:
            found = [c for c in map(_read, log_paths(path)) if c]
            self.completed = not found
            if found:
                self._number, self.completed, length, pages = max(found, key=lambda c: c[0])
                for start, data in pages:
                    self._main.write(start, data)
                self._main.cut(length)
        except BaseException:
            self._main.close()
            raise
        self._committed = self._end = self._main.size
        self._at = 0

    def commit(self, last: bool = False) -> None:
        """Make everything written so far durable.

        Args:
            last: nothing more will follow.

        Raises:
            OSError: it cannot be written. The file is still that of the last commit, or that of this one.
        """
        if self._dropped:
            raise OSError("nothing is written after an earlier error")
        if not self._logs:
            self._logs = [Handle(p) for p in log_paths(self._path)]
            sync(self._path.parent)
        self._main.sync()
        log = self._logs[(self._number + 1) % 2]
        record = b"".join(self._record(last))
        log.write(0, record)
        log.cut(len(record))
        log.sync()
        self._number += 1
        for page, data in self._held.items():
            self._main.write(page * _PAGE, data)
        if self._end < self._committed:
            self._main.cut(self._end)
        self._held.clear()
        self._committed = self._end

    def complete(self) -> None:
        """Commit, and take the logs away: the file is finished."""
        self.commit(last=True)
        self._main.sync()
        newer = self._number % 2
        self._logs[1 - newer].remove()  # first, because its pages would undo the last commit
        self._logs[newer].remove()
        self._logs = []

    def drop(self) -> None:
        """From here on writes change nothing, so that HDF5 can let go of a file that is not to be continued."""
        self._dropped = True

    def close(self) -> None:
        """Let go of it as it is. Only what is committed counts."""
        for handle in (self._main, *self._logs):
            handle.close()
        super().close()

    def _record(self, last: bool) -> Iterator[bytes]:
        pages = [(n * _PAGE, bytes(data)) for n, data in sorted(self._held.items())]
        parts = [_HEAD.pack(_MAGIC, self._number + 1, last, self._end, len(pages))]
        for start, data in pages:
            parts += [_EACH.pack(start, len(data)), data]
        body = b"".join(parts)
        yield from (body, _digest(body))

    # what h5py asks of a file object

    def readable(self) -> bool:
        """Yes."""
        return True

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + (0, self._at, self._end)[whence]
        return self._at

    def tell(self) -> int:
        """The present place."""
        return self._at

    def readinto(self, out: memoryview) -> int:  # type: ignore[override]
        """Read, held pages included."""
        view = memoryview(out).cast("B")
        start, stop = self._at, self._at + len(view)
        self._main.read_into(start, view)
        for page in range(start // _PAGE, -(-min(stop, self._committed) // _PAGE)) if self._held else ():
            if held := self._held.get(page):
                low, high = max(start, page * _PAGE), min(stop, page * _PAGE + len(held))
                view[low - start : high - start] = held[low - page * _PAGE : high - page * _PAGE]
        self._at = stop
        return len(view)

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        """Write: past the committed length to the file, below it to memory."""
        view = memoryview(data).cast("B")
        start, size = self._at, len(view)
        self._at += size
        if self._dropped:
            return size
        inside = min(max(self._committed - start, 0), size)
        if inside:
            self._hold(start, view[:inside])
        if inside < size:
            self._main.write(start + inside, view[inside:])
        self._end = max(self._end, self._at)
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the length."""
        size = self._at if size is None else size
        if not self._dropped:
            self._end = size
            if size >= self._committed:
                self._main.cut(size)
        return size

    def flush(self) -> None:
        """Nothing: HDF5 does not decide when to commit."""

    def _hold(self, start: int, view: memoryview) -> None:
        stop = start + len(view)
        for page in range(start // _PAGE, -(-stop // _PAGE)):
            first = page * _PAGE
            low, high = max(start, first), min(stop, first + _PAGE)
            held = self._held.get(page)
            if held is None:
                held = bytearray(min(_PAGE, self._committed - first))
                self._main.read_into(first, memoryview(held))
                if held[low - first : high - first] == view[low - start : high - start]:
                    continue  # a block that is committed again, after a death just before the engine noted it
                self._held[page] = held
            held[low - first : high - first] = view[low - start : high - start]


def log_paths(path: Path) -> list[Path]:
    """The two logs of a file."""
    return [path.with_name(f"{path.name}.{i}.journal") for i in range(2)]


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST).digest()


def _read(path: Path) -> tuple[int, bool, int, list[tuple[int, bytes]]] | None:
    """Number, whether it is the last, length and pages of a log; None where there is none, or not a whole one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if len(body) < _HEAD.size or _digest(body) != digest:
        return None
    _, number, last, length, count = _HEAD.unpack_from(body)
    pages, at = [], _HEAD.size
    for _ in range(count):
        start, size = _EACH.unpack_from(body, at)
        at += _EACH.size + size
        pages.append((start, body[at - size : at]))
    return number, last, length, pages
