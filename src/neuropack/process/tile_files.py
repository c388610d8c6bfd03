"""Files of tiles, hundreds of them or of images in one, of which only a few are open at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from neuropack.axes import Array, Box, box_shape
from neuropack.errors import InputError
from neuropack.progress import Progress
from neuropack.readers import open_volumes
from neuropack.readers.problems import Original
from neuropack.volume import Volume

MOST_OPEN = 64  # images, each a file or two that are open, far below the usual limit of 256 to 1024 descriptors
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
        most: images that are open at a time; fewer where their readers keep much in memory.
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
            which = pool.add(original, volumes)
            for scene, volume in enumerate(volumes):
                opened.append(replace(volume, pixels=_Pooled(pool, which, scene, volume), levels=()))
                volume.close()  # before the next is looked at: a file may hold hundreds
        finally:
            for volume in found:
                volume.close()
        if progress:
            progress("opening", done, len(paths))
    return tuple(opened)


class Pool:
    """The images that are open; the one that was not read for the longest time is closed for the next.

    It counts images and not files, since each image of a file has a handle of its own.

    Attributes:
        peak: most that were open at a time so far.
    """

    def __init__(self, most: int, axes: str | None) -> None:
        self.peak, self._most, self._axes, self._heaviest, self._images = 0, most, axes, 1, 0
        self._originals: list[Original] = []
        self._free = threading.Condition()
        self._open: OrderedDict[tuple[int, int], int] = OrderedDict()  # file and image: threads that read it
        self._files: dict[int, _File] = {}

    def add(self, original: Original, volumes: Sequence[Volume]) -> int:
        """Take in a file with its images, before any is read; its number."""
        self._heaviest = max(self._heaviest, *(volume.overhead_bytes for volume in volumes))
        self._images += len(volumes)
        self._originals.append(original)
        return len(self._originals) - 1

    @property
    def most(self) -> int:
        """Images that may be open at a time."""
        return max(_LEAST_OPEN, min(self._most, _ROOM // self._heaviest))

    @property
    def overhead_bytes(self) -> int:
        """What the readers of all open images keep in memory."""
        return self._heaviest * min(self.most, self._images)

    @contextmanager
    def using(self, which: int, scene: int) -> Iterator[Volume | None]:
        """An image of a file, which stays open until the block ends; None: the file does not hold it any more.

        A thread may hold one only.
        """
        key = which, scene
        with self._free:
            while key not in self._open and len(self._open) >= self.most and not self._evict():
                self._free.wait()
            file = self._files.setdefault(which, _File())
            file.images |= {scene}
            self._open[key] = self._open.get(key, 0) + 1
            self._open.move_to_end(key)
            self.peak = max(self.peak, len(self._open))
        try:
            with file.lock:
                if file.volumes is None:
                    original = self._originals[which]
                    original.check()
                    volumes = open_volumes(original.path, complete=False)
                    file.volumes = tuple(v.with_axes(self._axes) for v in volumes) if self._axes else volumes
            yield file.volumes[scene] if scene < len(file.volumes) else None
        finally:
            with self._free:
                self._open[key] -= 1
                self._free.notify_all()

    def _evict(self) -> bool:
        """Close the image that is not used for the longest time, if there is one; its file with its last image."""
        for key, users in self._open.items():
            if not users:
                del self._open[key]
                which, scene = key
                file = self._files[which]
                file.images -= {scene}
                for volume in (file.volumes or ())[scene : scene + 1]:
                    volume.close()
                if not file.images:
                    del self._files[which]
                return True
        return False

    def close(self) -> None:
        """Close all files; what is read later opens them again."""
        with self._free:
            while self._evict():
                pass


class _File:
    """A file of which images are open: what its reader gave, so that it is not read anew for each image."""

    def __init__(self) -> None:
        self.volumes: tuple[Volume, ...] | None = None
        self.images: set[int] = set()
        self.lock = threading.Lock()


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
        with self._opened() as volume:
            return volume.pixels.read(box) if out is None else volume.pixels.read(box, out)

    def native_blocks(self) -> Iterator[Box]:
        """Those of the file."""
        with self._opened() as volume:
            blocks = [*volume.pixels.native_blocks()]
        yield from blocks

    @contextmanager
    def _opened(self) -> Iterator[Volume]:
        with self.pool.using(self._which, self._scene) as volume:
            if volume is None or (volume.native_shape, volume.dtype) != self._is:
                raise InputError("does not hold the images that it held when it was opened first", file=self._path)
            yield volume

    def close(self) -> None:
        """Close all files of the pool."""
        self.pool.close()


def unit_of(volume: Volume) -> tuple[int, ...]:
    """The shape of a native block in canonical axes, without opening a file."""
    pixels = volume.pixels
    return box_shape(pixels.block if isinstance(pixels, _Pooled) else next(volume.native_blocks()))
