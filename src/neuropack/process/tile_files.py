"""Files of tiles, hundreds of them, of which only a few are open at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from neuropack.axes import Array, Box, box_shape
from neuropack.errors import InputError
from neuropack.progress import Progress
from neuropack.readers import open_volumes
from neuropack.readers.problems import Original
from neuropack.volume import Volume

MOST_OPEN = 64  # files, far below the usual limit of 256 to 1024 descriptors
_ROOM = 256 << 20  # bytes that readers may keep beside blocks, all of them together
_LEAST_OPEN = 4  # that many tiles meet in a corner


def open_tiles(
    paths: Sequence[Path], *, axes: str | None = None, most: int = MOST_OPEN, progress: Progress | None = None
) -> tuple[Volume, ...]:
    """Open the images of files, all scenes of each, without coarser levels. Files are closed again until they are
    read.

    Args:
        paths: one file or several; each once.
        axes: what the dimensions of the files mean, where they do not say it.
        most: files that are open at a time; fewer where their readers keep much in memory.
        progress: told files opened and in all.

    Raises:
        InputError: a file cannot be read; later, that one has changed.
        UsageError: the axes do not fit a file.
    """
    pool, opened = Pool(most, axes), []
    for done, path in enumerate(paths, 1):
        found = open_volumes(path)
        try:
            original = Original(path)
            volumes = tuple(volume.with_axes(axes) for volume in found) if axes else found
            which = pool.add(original, max(volume.overhead_bytes for volume in volumes))
            opened += [replace(v, pixels=_Pooled(pool, which, i, v), levels=()) for i, v in enumerate(volumes)]
        finally:
            for volume in found:
                volume.close()
        if progress:
            progress("opening", done, len(paths))
    return tuple(opened)


class Pool:
    """The files that are open; the one that was not read for the longest time is closed for the next.

    Attributes:
        peak: most that were open at a time so far.
    """

    def __init__(self, most: int, axes: str | None) -> None:
        self.peak, self._most, self._axes, self._heaviest = 0, most, axes, 1
        self._originals: list[Original] = []
        self._free = threading.Condition()
        self._open: OrderedDict[int, _Entry] = OrderedDict()

    def add(self, original: Original, overhead_bytes: int) -> int:
        """Take in a file and what its reader keeps in memory; its number. Before the first is read."""
        self._heaviest = max(self._heaviest, overhead_bytes)
        self._originals.append(original)
        return len(self._originals) - 1

    @property
    def most(self) -> int:
        """Files that may be open at a time."""
        return max(_LEAST_OPEN, min(self._most, _ROOM // self._heaviest))

    @property
    def overhead_bytes(self) -> int:
        """What the readers of all open files keep in memory."""
        return self._heaviest * min(self.most, len(self._originals))

    @contextmanager
    def using(self, which: int) -> Iterator[tuple[Volume, ...]]:
        """The images of a file, which stays open until the block ends. A thread may hold one only."""
        with self._free:
            while which not in self._open and len(self._open) >= self.most and not self._evict():
                self._free.wait()
            entry = self._open.setdefault(which, _Entry())
            self._open.move_to_end(which)
            entry.users += 1
            self.peak = max(self.peak, len(self._open))
        try:
            with entry.lock:
                if entry.volumes is None:
                    original = self._originals[which]
                    original.check()
                    volumes = open_volumes(original.path, complete=False)
                    entry.volumes = tuple(v.with_axes(self._axes) for v in volumes) if self._axes else volumes
            yield entry.volumes
        finally:
            with self._free:
                entry.users -= 1
                self._free.notify_all()

    def _evict(self) -> bool:
        """Close the file that is not used for the longest time, if there is one."""
        for which, entry in self._open.items():
            if not entry.users:
                del self._open[which]
                entry.close()
                return True
        return False

    def close(self) -> None:
        """Close all files; what is read later opens them again."""
        with self._free:
            while self._evict():
                pass


@dataclass
class _Entry:
    volumes: tuple[Volume, ...] | None = None
    users: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()

    def close(self) -> None:
        for volume in self.volumes or ():
            volume.close()


class _Pooled:
    """Pixels of an image of a pool; of the image as it was opened first only facts are kept, and a block."""

    def __init__(self, pool: Pool, which: int, scene: int, known: Volume) -> None:
        self.pool, self._which, self._scene = pool, which, scene
        self._path, self._is = known.path, (known.native_shape, known.dtype)
        self.cheap_parts = known.cheap_parts
        self.block = next(known.native_blocks())  # in canonical axes

    @property
    def overhead_bytes(self) -> int:
        """That of all files which are open: they are read together."""
        return self.pool.overhead_bytes

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Decode a box of the native axes."""
        with self.pool.using(self._which) as volumes:
            volume = volumes[self._scene] if self._scene < len(volumes) else None
            if volume is None or (volume.native_shape, volume.dtype) != self._is:
                raise InputError("does not hold the images that it held when it was opened first", file=self._path)
            return volume.pixels.read(box) if out is None else volume.pixels.read(box, out)

    def native_blocks(self) -> Iterator[Box]:
        """Those of the file."""
        with self.pool.using(self._which) as volumes:
            blocks = [*volumes[self._scene].pixels.native_blocks()]
        yield from blocks

    def close(self) -> None:
        """Close all files of the pool."""
        self.pool.close()


def unit_of(volume: Volume) -> tuple[int, ...]:
    """The shape of a native block in canonical axes, without opening a file."""
    pixels = volume.pixels
    return box_shape(pixels.block if isinstance(pixels, _Pooled) else next(volume.native_blocks()))
