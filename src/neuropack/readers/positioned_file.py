"""A raw file that many threads read at given offsets."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import Any


class PositionedFile(io.RawIOBase):
    """A file that many threads read at given offsets; it is also the stream tifffile reads its tags from.

    Nothing is memory-mapped, since mapped pages count as resident memory. The descriptor closes with `close` or
    with the last reference.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._fd: int | None = None
        self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        self._position = 0
        self._lock = threading.Lock()
        self.size = os.fstat(self._fd).st_size

    def read_at(self, view: memoryview, offset: int) -> int:
        """Fill `view` (bytes) from `offset`; the number of bytes there were, fewer only at the end of the file."""
        if self._fd is None:
            raise ValueError(f"{self.name} is closed")
        done = 0
        while done < len(view):
            if hasattr(os, "preadv"):
                count = os.preadv(self._fd, [view[done:]], offset + done)
            elif hasattr(os, "pread"):
                data = os.pread(self._fd, len(view) - done, offset + done)
                view[done : done + len(data)] = data
                count = len(data)
            else:  # Windows has no positioned read
                with self._lock:
                    os.lseek(self._fd, offset + done, os.SEEK_SET)
                    data = os.read(self._fd, len(view) - done)
                view[done : done + len(data)] = data
                count = len(data)
            if not count:
                break
            done += count
        return done

    def readinto(self, buffer: Any) -> int:
        """Read from the stream position (used by tifffile, under `TiffSource.lock`)."""
        count = self.read_at(memoryview(buffer).cast("B"), self._position)
        self._position += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the stream position."""
        base = (0, self._position, self.size)[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """The stream position."""
        return self._position

    def readable(self) -> bool:
        """True: it is for reading."""
        return True

    def seekable(self) -> bool:
        """True: it has positions."""
        return True

    def close(self) -> None:
        """Close the descriptor."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
        super().close()
