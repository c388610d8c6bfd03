"""Pictures of a stack for the browser: projections, and slabs of any thickness along any axis, of bounded work."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from neuropack.errors import InputError
from neuropack.page.place import Place, channel_colours, open_image
from neuropack.page.projections import Colours, Floats, Projection, project, shrunk, tinted, tints, window
from neuropack.release import Release, Stack
from neuropack.volume import Volume
from neuropack.web.problems import ProblemError

MOST_PIXELS = 4_000_000
"""Of one picture."""
MOST_VOXELS = 64_000_000
"""Of all channels: what is read for one picture."""
MOST_SHOWN = 16  # channels
_READ = 8_000_000  # voxels that are in memory at once
_AT_ONCE = threading.BoundedSemaphore(4)  # pictures that are made at the same time, so that memory is bounded
_CACHE_BYTES = 64 << 20
AXES = "zyx"

Window = tuple[float, float]


@dataclass(frozen=True)
class Slab:
    """What is shown: all of `box` (low and high of z, y, x in voxels of the full resolution), seen along an axis.

    `channels` and `windows` (the values that become black and full colour) go together.
    """

    axis: int
    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    channels: tuple[int, ...]
    windows: tuple[Window, ...]


class Image:
    """A stack as pictures are made of it. Any thread may ask.

    Args:
        release: it is in.
        stack: which one.

    Raises:
        InputError: it is no image of the release.
    """

    def __init__(self, release: Release, stack: Stack) -> None:
        self.volume: Volume = open_image(Place(release.path, release.path), stack.metadata.get("path"))
        self.colours = tints(channel_colours(release.metadata, stack.metadata, self.volume))
        self.names = [one.name or f"channel {i + 1}" for i, one in enumerate(self.volume.channels)]
        self.digest = f"{stack.metadata.get('digest') or stack.metadata.get('path')} {self.colours}"
        self._lock = threading.Lock()

    @cached_property
    def projection(self) -> Projection:
        """The projections of all channels.

        Raises:
            InputError: none are stored, and no level is small enough.
        """
        with self._lock, _AT_ONCE:
            if (found := self.__dict__.get("projection")) is None:
                found = project(self.volume, MOST_VOXELS)
        return found

    @cached_property
    def windows(self) -> list[Window]:
        """The values of each channel that become black and full colour, unless somebody says others."""
        return [window(channel) for channel in self.projection.along_z]

    @cached_property
    def shown(self) -> tuple[int, ...]:
        """The channels that are shown unless somebody says others."""
        return tuple(range(min(self.volume.n_channels, MOST_SHOWN)))

    @cached_property
    def factors(self) -> list[tuple[int, int, int]]:
        """Voxels of the full resolution in one of each level, z, y, x."""
        whole = self.volume.size_zyx
        return [
            (max(1, round(whole[0] / z)), max(1, round(whole[1] / y)), max(1, round(whole[2] / x)))
            for z, y, x in (v.size_zyx for v in (self.volume, *self.volume.levels))
        ]

    @property
    def voxel_um(self) -> tuple[float, float, float]:
        """Voxel size z, y, x; 1 where nobody knows it: for proportions alone."""
        z, y, x = (size or 1.0 for size in self.volume.voxel_size_um)
        return z, y, x

    def about(self) -> dict[str, object]:
        """What a viewer needs to know."""
        known = self.volume.voxel_size_um
        return {
            "shape": list(self.volume.size_zyx),
            "voxel_size_um": list(known) if all(known) else None,
            "levels": [{"factor": list(f)} for f in self.factors],
            "channels": [
                {"name": name, "color": colour, "window": list(span)}
                for name, colour, span in zip(self.names, self.colours, self.windows, strict=True)
            ],
            "dtype": str(self.volume.dtype),
        }

    def projected(self, axis: int, channels: Sequence[int], side_px: int) -> Colours:
        """All of the stack along an axis (0 z, 1 y, 2 x) in its true proportions, no side above `side_px`."""
        seen = (self.projection.along_z, self.projection.along_y, self.projection.along_x)[axis]
        small = shrunk(seen[list(channels)], side_px)
        lengths = [n * um for n, um in zip(self.volume.size_zyx, self.voxel_um, strict=True)]
        down, across = (lengths[i] for i in range(3) if i != axis)
        drawn = tinted(small, [self.windows[c] for c in channels], [self.colours[c] for c in channels])
        return stretched(drawn, down, across, side_px)

    def level_for(self, slab: Slab) -> int:
        """The finest level of which a slab can be shown.

        Raises:
            ProblemError: there is none.
        """
        for level in range(len(self.factors)):
            if self._costs(slab, level) is None:
                return level
        raise ProblemError(422, "too much of the stack at once", str(self._costs(slab, len(self.factors) - 1)))

    def draw(self, slab: Slab, level: int) -> Colours:
        """A slab in colour: the maximum along its axis.

        Raises:
            ProblemError: it is too much for one picture.
            InputError: the pixels cannot be read.
        """
        if (problem := self._costs(slab, level)) is not None:
            raise ProblemError(422, "too much of the stack at once", f"{problem}; ask for a coarser level or less")
        with _AT_ONCE:
            seen = np.stack([self._maximum(slab, level, c) for c in slab.channels])
            return tinted(seen, slab.windows, [self.colours[c] for c in slab.channels])

    def brightest(self, slab: Slab) -> tuple[int, int, int]:
        """The brightest voxel of a small slab at full resolution, all channels together, in voxels z, y, x.

        Raises:
            ProblemError: it is not small.
            InputError: the pixels cannot be read.
        """
        sizes = [high - low for low, high in slab.box]
        if int(np.prod(sizes, dtype=np.int64)) * len(slab.channels) > _READ:
            raise ProblemError(422, "too much of the stack at once", f"at most {_READ} voxels")
        box = tuple(slice(low, high) for low, high in slab.box)
        bright = np.zeros(sizes)
        for channel, (low, high) in zip(slab.channels, slab.windows, strict=True):
            at = (slice(channel, channel + 1), *box)
            values = self.volume.read((slice(0, 1), *at) if self.volume.axes[0] == "T" else at)
            seen = np.nan_to_num(values.reshape(sizes).astype(np.float64), posinf=0, neginf=0)
            bright += np.clip((seen - low) / (high - low), 0, 1)
        found = np.unravel_index(int(np.argmax(bright)), bright.shape)
        z, y, x = (int(at) + low for at, (low, _) in zip(found, slab.box, strict=True))
        return z, y, x

    def _box(self, slab: Slab, level: int) -> list[slice]:
        sizes = self.volume.level(level).size_zyx
        return [
            slice(min(low // f, n - 1), min(max(-(-high // f), low // f + 1), n))
            for (low, high), f, n in zip(slab.box, self.factors[level], sizes, strict=True)
        ]

    def _costs(self, slab: Slab, level: int) -> str | None:
        sizes = [s.stop - s.start for s in self._box(slab, level)]
        pixels = int(np.prod([n for i, n in enumerate(sizes) if i != slab.axis], dtype=np.int64))
        voxels = pixels * sizes[slab.axis] * len(slab.channels)
        if pixels > MOST_PIXELS:
            return f"{pixels} pixels, and a picture has at most {MOST_PIXELS}"
        return f"{voxels} voxels, and at most {MOST_VOXELS} are read" if voxels > MOST_VOXELS else None

    def _maximum(self, slab: Slab, level: int, channel: int) -> Floats:
        """Of one channel, read in parts: the result is (down, across)."""
        volume, box = self.volume.level(level), self._box(slab, level)
        along = box[slab.axis]
        plane = int(np.prod([s.stop - s.start for i, s in enumerate(box) if i != slab.axis], dtype=np.int64))
        step = max(1, _READ // plane)
        best: Floats | None = None
        for first in range(along.start, along.stop, step):
            part = list(box)
            part[slab.axis] = slice(first, min(first + step, along.stop))
            at = (slice(channel, channel + 1), *part)
            values = volume.read((slice(0, 1), *at) if volume.axes[0] == "T" else at)
            seen = values.reshape(values.shape[-3:]).max(axis=slab.axis)
            seen = np.nan_to_num(seen.astype(np.float64), posinf=0, neginf=0)
            best = seen if best is None else np.maximum(best, seen)
        if best is None:
            raise InputError("has no pixels", file=volume.path)
        return best


def stretched(image: Colours, down: float, across: float, side_px: int) -> Colours:
    """A picture (rows, columns, RGB) in the proportions of lengths; pixels are repeated, none is made up."""
    rows, columns = image.shape[:2]
    pitch = min(down / rows, across / columns)  # what is finest stays as it is
    high, wide = max(1.0, down / pitch), max(1.0, across / pitch)
    scale = min(1.0, side_px / max(high, wide))
    to = [max(1, round(n * scale)) for n in (high, wide)]
    at = [np.arange(n) * size // n for n, size in zip(to, (rows, columns), strict=True)]
    return np.ascontiguousarray(image[at[0]][:, at[1]])


_IMAGES: WeakKeyDictionary[Stack, Image] = WeakKeyDictionary()
_IMAGES_LOCK = threading.Lock()


def image_of(release: Release, stack: Stack) -> Image:
    """The pictures of a stack, opened once.

    Raises:
        InputError: it is no image of the release.
    """
    with _IMAGES_LOCK:
        if (found := _IMAGES.get(stack)) is None:
            found = _IMAGES[stack] = Image(release, stack)
        return found


class Pngs:
    """Pictures that were made lately, as PNG, by what they show."""

    def __init__(self, most_bytes: int = _CACHE_BYTES) -> None:
        self._most, self._bytes, self._lock = most_bytes, 0, threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str, make: Callable[[], Colours], level: int) -> bytes:
        """The picture of a key; `level` of compression is 1, fast, to 9, small."""
        import imagecodecs

        with self._lock:
            if (found := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return found
        png = bytes(imagecodecs.png_encode(np.ascontiguousarray(make()), level=level))
        with self._lock:
            if key not in self._kept:
                self._kept[key] = png
                self._bytes += len(png)
            while self._bytes > self._most and len(self._kept) > 1:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return png
