"""Where the files of one output go: a folder here, or a bucket elsewhere."""

from __future__ import annotations

import errno
import mmap
import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import zarr.abc.store


class Stored(NamedTuple):
    """A file as the place where it lies lists it.

    Attributes:
        bytes: of it.
        touched: when it was last changed, in nanoseconds since 1970, by the clock of that place.
        tag: another one with every change, where the place has such tags.
    """

    bytes: int
    touched: int
    tag: str = ""


class Store(Protocol):
    """Files by their key, such as ``0/c/0/1/2``. Can be sent to another process; safe in threads."""

    def write(self, key: str, parts: Sequence[bytes]) -> None:
        """Store a file that consists of these parts, one after the other, in place of what has the key."""
        ...

    def sync(self, keys: Iterable[str]) -> None:
        """Return when these files, and their names, would survive a power failure."""
        ...

    def read(self, key: str) -> bytes | None:
        """The bytes of a file; None where there is none."""
        ...

    def zarr(self) -> zarr.abc.store.Store:
        """The same place for zarr-python."""
        ...


_FLAGS = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
_DIRECT = getattr(os, "O_DIRECT", 0)  # Linux
_LARGE = 1 << 20  # bytes of a file for which it pays to go past the cache
_PAGE = 4096  # what such a write and its memory are aligned to
_ROOM = 4 << 20  # memory for such writes grows by so many bytes
_here = threading.local()


@dataclass(frozen=True)
class LocalStore:
    """A folder.

    Files are written in place, without a temporary name: nobody reads them before the journal names them, and two
    writers of one file write the same bytes.
    """

    root: Path

    def write(self, key: str, parts: Sequence[bytes]) -> None:
        """Store a file."""
        path, size = self.root / key, sum(map(len, parts))
        if not path.parent.is_dir():
            self.root.stat()  # one that was taken away while we were at work must not come back half filled
            path.parent.mkdir(parents=True, exist_ok=True)
        if size >= _LARGE and _write_past_the_cache(path, parts, size):
            return
        handle = os.open(path, _FLAGS, 0o666)
        try:
            _write_all(handle, list(parts))
            os.ftruncate(handle, size)
        finally:
            os.close(handle)

    def sync(self, keys: Iterable[str]) -> None:
        """See files, and the names of all folders above them, to the disk."""
        files = [self.root / key for key in keys]
        folders = {folder for f in files for folder in f.parents if folder.is_relative_to(self.root)}
        for path in (*files, *sorted(folders)):
            sync(path)

    def read(self, key: str) -> bytes | None:
        """The bytes of a file."""
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            return None

    def zarr(self) -> Any:
        """The same folder for zarr-python."""
        from zarr.storage import LocalStore as ZarrStore

        return ZarrStore(self.root)


def sync(path: Path) -> None:
    """See a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name != "posix":
        return  # Windows cannot open a folder
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_past_the_cache(path: Path, parts: Sequence[bytes], size: int) -> bool:
    """Write straight to the disk, which costs half the time and leaves the cache to others; False where it cannot.

    Some file systems (tmpfs, network shares) refuse this. Then nothing is lost: the caller writes the usual way.
    """
    if not _DIRECT:
        return False
    whole = -(-size // _PAGE) * _PAGE
    buffer = _aligned(whole)
    end = 0
    for part in parts:
        buffer[end : end + len(part)] = part
        end += len(part)
    buffer[end:whole] = bytes(whole - end)
    try:
        handle = os.open(path, _FLAGS | _DIRECT, 0o666)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    try:
        left = memoryview(buffer)[:whole]
        while left:
            left = left[os.write(handle, left) :]
        os.ftruncate(handle, size)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    finally:
        os.close(handle)
    return True


def _aligned(size: int) -> mmap.mmap:
    """Memory of this thread that begins with a page."""
    buffer: mmap.mmap | None = getattr(_here, "buffer", None)
    if buffer is None or len(buffer) < size:  # with room for the next ones: shards are of about the same size
        buffer = _here.buffer = mmap.mmap(-1, -(-size // _ROOM) * _ROOM)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel without them: small pages do
                buffer.madvise(mmap.MADV_HUGEPAGE)
    return buffer


def _write_all(handle: int, parts: list[bytes]) -> None:
    """Write many small pieces with few system calls."""
    if not hasattr(os, "writev"):  # Windows
        data = memoryview(b"".join(parts))
        while data:
            data = data[os.write(handle, data) :]
        return
    while parts:
        batch: list[bytes | memoryview] = list(parts[:512])
        rest = parts[512:]
        while batch:
            written = os.writev(handle, batch)
            while batch and written >= len(batch[0]):
                written -= len(batch.pop(0))
            if written:  # a short write: the disk is filling, and the next call will say so
                batch[0] = memoryview(batch[0])[written:]
        parts = rest
