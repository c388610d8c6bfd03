"""A front that grows from seeds through a stack, block by block: each voxel goes to the seed whose way is cheapest.

What is known of a voxel lies in temporary files that are mapped into memory, for the blocks that the front came to
and no others; the system keeps in memory what it has room for. The files have no name and go with the process.
"""

from __future__ import annotations

import errno
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box, box_shape
from neuropack.errors import InputError, OutputError, UnreachableError, no_room
from neuropack.progress import Progress
from neuropack.trace import front_kernels as k
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]
_VOXELS = math.prod(k.BLOCK)
_AT_ONCE = 1 << 20  # voxels between two looks at who waits
_SAMPLES = 48  # blocks that tell background and noise
FARTHEST = 4.0
"""Squared standard deviations beyond which a voxel has another colour."""
_SIGMA = 0.8413  # of the voxels lie below one standard deviation above the mean
_NONE_UM = 1e-6  # in place of no stretch at all
_CLIP = 3.0  # noises above the background: what is brighter is none
_NO_TAKING = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}  # of room, on some file systems
STEPS = np.array([s for s in product((-1, 0, 1), repeat=3) if s != (0, 0, 0)], np.int64)


@dataclass(frozen=True)
class Light:
    """What is dark in an image, after smoothing.

    Attributes:
        channels: that are looked at.
        level, noise: of each of them, in its units.
        sigma: of the smoothing along z, y, x, voxels.
    """

    channels: tuple[int, ...]
    level: Floats
    noise: Floats
    sigma: tuple[float, float, float]


def smoothed(
    volume: Volume,
    channels: tuple[int, ...],
    corner: tuple[int, ...],
    shape: tuple[int, ...],
    sigma: tuple[float, ...],
) -> Floats:
    """Channels (c, z, y, x) of a box of the first frame, each smoothed by a Gaussian cut at three sigma."""
    from scipy import ndimage

    halo = [math.ceil(3 * s) for s in sigma]
    box = _around(volume, channels, corner, shape, halo)
    wide = box[-3:]
    block = volume.read(box).reshape(-1, *box_shape(wide))
    inner = tuple(slice(c - w.start, c - w.start + n) for c, n, w in zip(corner, shape, wide, strict=True))
    out = np.empty((len(channels), *shape), np.float64)
    for c in range(len(channels)):
        values = block[c].astype(np.float64)
        for axis, (s, h) in enumerate(zip(sigma, halo, strict=True)):
            values = ndimage.gaussian_filter1d(values, s, axis=axis, mode="nearest", radius=h)
        out[c] = values[inner]
    return out


def _around(
    volume: Volume, channels: tuple[int, ...], corner: Sequence[int], shape: Sequence[int], halo: Sequence[int]
) -> Box:
    """The box of the first frame, all channels between the chosen ones, with what lies around it."""
    front = [slice(0, 1)] * (volume.ndim - 3)
    front[volume.axes.index("C")] = slice(min(channels), max(channels) + 1)
    wide = (
        slice(max(c - h, 0), min(c + n + h, whole))
        for c, n, h, whole in zip(corner, shape, halo, volume.size_zyx, strict=True)
    )
    return (*front, *wide)


def light_of(volume: Volume, channels: tuple[int, ...], sigma: tuple[float, float, float]) -> Light:
    """Background and noise of the smoothed image, from blocks that are spread over it.

    The background is the median of the voxels, taken again and again without those brighter than it by three times
    the noise; the noise is 1.4826 times the median distance of those below it, or how far above it 84 % lie, if
    that is more: the noise of photons is skewed.
    """
    counts = [-(-n // b) for n, b in zip(volume.size_zyx, k.BLOCK, strict=True)]
    total = math.prod(counts)
    chosen = np.unique(np.linspace(0, total - 1, min(total, _SAMPLES)).round().astype(np.int64))
    parts: list[Floats] = []
    halo = [math.ceil(3 * s) for s in sigma]
    corners = [_corner(number, counts) for number in chosen.tolist()]
    volume.expect([_around(volume, channels, corner, k.BLOCK, halo) for corner in corners])
    for corner in corners:
        shape = tuple(min(b, n - c) for b, n, c in zip(k.BLOCK, volume.size_zyx, corner, strict=True))
        try:
            block = smoothed(volume, channels, corner, shape, sigma)
        except UnreachableError:
            raise
        except InputError:
            continue  # the front tells of it where it comes there
        parts.append(block[:, ::2, ::3, ::3].reshape(len(channels), -1))
    every = np.concatenate([np.empty((len(channels), 0)), *parts], axis=1)
    level, noise = np.array([_dark(one) for one in every]).T
    floor = 1 / math.sqrt(12) if volume.dtype.kind in "bui" else 0.0
    smooth = math.prod(min(1.0, 1 / (2 * math.sqrt(math.pi) * s)) for s in sigma)
    noise = np.maximum(noise, floor * math.sqrt(smooth))  # whole numbers are known to no better than that
    return Light(channels, level, np.where(noise > 0, noise, 1.0), sigma)


def _dark(values: Floats) -> tuple[float, float]:
    kept = np.sort(values[np.isfinite(values)])
    level = noise = 0.0
    while len(kept):
        level = float(kept[len(kept) // 2])
        below = level - kept[: np.searchsorted(kept, level, "right")]
        above = float(kept[int(_SIGMA * len(kept))]) - level
        noise = max(1.4826 * float(np.median(below)), above)
        count = int(np.searchsorted(kept, level + _CLIP * noise, "right"))
        if count == len(kept):
            break
        kept = kept[:count]
    return level, noise


def _corner(number: int, counts: list[int]) -> tuple[int, ...]:
    at = np.unravel_index(number, counts)
    return tuple(int(i) * b for i, b in zip(at, k.BLOCK, strict=True))


def _nameless(folder: Path | None) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)  # the stack of the front closes it


def _lengthen(file: IO[bytes], size: int, folder: Path | None) -> None:
    """Make a file longer, and take the room on the disk now: a map that finds none ends the whole program.

    Raises:
        OutputError: there is none.
    """
    start = os.fstat(file.fileno()).st_size
    try:
        file.truncate(size)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), start, size - start)
    except OSError as error:
        if no_room(error):
            raise OutputError(
                "the disk has no room for what is known of the voxels that the front came to",
                file=folder or tempfile.gettempdir(),
                expected=f"{size / 1e6:.0f} MB for one of several temporary files",
                found=error.strerror,
                fix="make room, or " + ("choose" if folder else "name in TMPDIR") + " a folder on another disk",
            ) from error
        if error.errno not in _NO_TAKING:
            raise


class Front:
    """The front, and what it knows of the voxels that it came to.

    Args:
        volume: with its voxel size; of a time series the first frame.
        light: what is dark in it.
        folder: for the temporary files; None: the system's own.

    Raises:
        OutputError: there is no room for them, here and in all that loads blocks.

    Attributes:
        values: brightness of voxels in noises, times `front_kernels.SCALE` (slot, voxel, channel).
        dist: cost of the way to a voxel, and so on (slot, voxel).
        length: of the way, micrometre.
        gap: what was used up of the dark stretch that is allowed; 0 in what is bright and of the colour.
        pred: the direction that it comes from.
        owner: the source that it comes from, -1 while there is none.
        settled: 1 where the way is known.
        marks: 0, 1 where a branch covers the voxel, 2 where one runs through it.
        unreadable: corners (z, y, x) of blocks that could not be read, and why; the front goes round them.
    """

    values: npt.NDArray[np.int16]
    dist: npt.NDArray[np.float32]
    length: npt.NDArray[np.float32]
    gap: npt.NDArray[np.float32]
    pred: npt.NDArray[np.int8]
    owner: npt.NDArray[np.int32]
    settled: npt.NDArray[np.int8]
    marks: npt.NDArray[np.int8]

    def __init__(self, volume: Volume, light: Light, folder: Path | None = None) -> None:
        self.volume, self.light = volume, light
        self.step = np.array(volume.voxel_size_um, np.float64)
        self.shape = np.array(volume.size_zyx, np.int64)
        self.counts = np.array([-(-n // b) for n, b in zip(volume.size_zyx, k.BLOCK, strict=True)], np.int64)
        self.table = np.full(int(self.counts.prod()), k.ABSENT, np.int32)
        self.unreadable: dict[tuple[int, ...], str] = {}
        self.blocks: list[int] = []  # by slot
        columns = {
            "values": ((len(light.channels),), np.int16),
            "dist": ((), np.float32),
            "length": ((), np.float32),
        }
        columns |= {"gap": ((), np.float32), "pred": ((), np.int8), "owner": ((), np.int32)}
        columns |= {"settled": ((), np.int8), "marks": ((), np.int8)}
        self._room, self._folder = 0, folder
        with ExitStack() as files:
            self._files: dict[str, tuple[IO[bytes], tuple[int, ...], Any]] = {
                name: (files.enter_context(_nameless(folder)), shape, dtype)
                for name, (shape, dtype) in columns.items()
            }
            self._make_room(16)
            self._open = files.pop_all()

    def _make_room(self, slots: int) -> None:
        for name, (file, shape, dtype) in self._files.items():
            whole = (slots, _VOXELS, *shape)
            _lengthen(file, math.prod(whole) * np.dtype(dtype).itemsize, self._folder)
            setattr(self, name, np.memmap(file, dtype, "r+", shape=whole))
        self._room = slots

    def load(self, block: int) -> None:
        """Read a block, unless it is there."""
        if self.table[block] != k.ABSENT:
            return
        corner = _corner(block, self.counts.tolist())
        shape = tuple(min(b, n - c) for b, n, c in zip(k.BLOCK, self.volume.size_zyx, corner, strict=True))
        if self.volume.distant:  # the front will come to the blocks around it, or end
            ahead = _around(self.volume, self.light.channels, corner, shape, [b // 2 for b in k.BLOCK])
            self.volume.expect([ahead])
        try:
            found = smoothed(self.volume, self.light.channels, corner, shape, self.light.sigma)
        except UnreachableError:
            raise
        except InputError as error:
            self.unreadable[corner] = f"{error.what}" + (f": {error.found}" if error.found else "")
            self.table[block] = k.WALL
            return
        if len(self.blocks) == self._room:
            self._make_room(self._room + max(16, self._room // 2))
        slot = len(self.blocks)
        self.blocks.append(block)
        units = (found - self.light.level[:, None, None, None]) / self.light.noise[:, None, None, None]
        units = np.where(np.isfinite(units), units, -1000.0)
        whole = np.zeros((*k.BLOCK, len(self.light.channels)), np.int16)
        counts = np.clip(np.rint(units * k.SCALE), -32768, 32767)
        whole[tuple(slice(0, n) for n in shape)] = counts.transpose(1, 2, 3, 0)
        self.values[slot] = whole.reshape(_VOXELS, -1)
        self.dist[slot] = np.inf
        self.owner[slot] = -1
        self.table[block] = slot

    def box(self, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]) -> Floats:
        """Noise units of a small box (z, y, x, c); zeros where it cannot be read. Loads its blocks."""
        out = np.zeros((*(high - low), len(self.light.channels)))
        first, last = low // k.BLOCK, (high - 1) // k.BLOCK
        for at in product(*(range(a, b + 1) for a, b in zip(first.tolist(), last.tolist(), strict=True))):
            number = int(np.ravel_multi_index(at, self.counts))
            self.load(number)
            if self.table[number] < 0:
                continue
            corner = np.array(at) * k.BLOCK
            a, b = np.maximum(low, corner), np.minimum(high, corner + k.BLOCK)
            block = self.values[self.table[number]].reshape(*k.BLOCK, -1)
            inner = tuple(slice(i, j) for i, j in zip(a - corner, b - corner, strict=True))
            out[tuple(slice(i, j) for i, j in zip(a - low, b - low, strict=True))] = block[inner] / k.SCALE
        return out

    def grow(
        self,
        sources: npt.NDArray[np.int64],
        colors: Floats,
        threshold: float,
        widest_um: tuple[float, float],
        color_sigma: float,
        progress: Progress | None = None,
    ) -> int:
        """Let the front grow from its sources until it has come everywhere; voxels that it came to.

        Args:
            sources: z, y, x (n, 3), voxels.
            colors: a unit vector of noise units for each (n, c).
            threshold: brightness in noises above which a voxel is of a neurite.
            widest_um: how long a way may be dark, and how long bright in another colour.
            color_sigma: how far a colour strays (rad).
            progress: told blocks loaded, of unknown many: the total is the number of blocks in the image.
        """
        starts = []
        for number, place in enumerate(sources.tolist()):
            self.load(self._block(place))
            starts.append((int(np.ravel_multi_index(place, self.shape)), number, 0.0, 0.0))
        return self.go_on(starts, colors, threshold, widest_um, color_sigma, progress)

    def go_on(
        self,
        starts: Sequence[tuple[int, int, float, float]],
        colors: Floats,
        threshold: float,
        widest_um: tuple[float, float],
        color_sigma: float,
        progress: Progress | None = None,
    ) -> int:
        """Let the front grow from voxels that it has not come to; voxels that it came to then.

        Args:
            starts: number of a voxel in a loaded block, its source, cost and length of the way to it. Those that
                are taken already, or cannot be read, are passed over.
            colors, threshold, widest_um, color_sigma, progress: as `grow`.
        """
        lengths = np.linalg.norm(STEPS * self.step, axis=1)
        dark, mixed = (1 / max(um, _NONE_UM) for um in widest_um)
        heap_d, heap_i = np.empty(1 << 16, np.float32), np.empty(1 << 16, np.int64)
        n = total = 0
        for voxel, number, cost, far in starts:
            slot, at = self.locate(voxel)
            if slot < 0 or self.owner[slot, at] >= 0:
                continue
            self.dist[slot, at], self.owner[slot, at], self.pred[slot, at] = cost, number, k.ROOT
            self.length[slot, at] = far
            if n + 1 == len(heap_d):
                heap_d, heap_i = (np.concatenate([one, np.empty_like(one)]) for one in (heap_d, heap_i))
            k.push(heap_d, heap_i, n, cost, voxel)
            n += 1
        while True:
            how, n, need, found = k.flood(
                *(heap_d, heap_i, n, self.table, self.counts, self.shape, STEPS, lengths),
                *(self.values, self.dist, self.length, self.gap, self.pred, self.owner, self.settled),
                *(colors, threshold, dark, mixed, color_sigma, FARTHEST, _AT_ONCE),
            )
            total += found
            if how == k.DONE:
                return total
            if how == k.GROW:
                heap_d = np.concatenate([heap_d, np.empty_like(heap_d)])
                heap_i = np.concatenate([heap_i, np.empty_like(heap_i)])
            if how == k.NEED:
                self.load(need)
            if progress:
                progress("growing the front", len(self.blocks), len(self.table))

    def locate(self, voxel: int) -> tuple[int, int]:
        """The slot of a voxel, or what stands in the table instead, and its column."""
        return k.locate(*k.place(voxel, self.shape), self.table, self.counts)

    def release(self) -> None:
        """Let go of all voxels that no branch covers or runs through; a front may come to them again."""
        for slot in range(len(self.blocks)):
            free = np.flatnonzero((self.owner[slot] >= 0) & (self.marks[slot] == 0))
            self.dist[slot, free] = np.inf
            self.owner[slot, free] = -1
            self.settled[slot, free] = 0

    def _block(self, place: list[int]) -> int:
        return int(np.ravel_multi_index([p // b for p, b in zip(place, k.BLOCK, strict=True)], self.counts))

    def corners(self) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """Slot and corner of all loaded blocks, in the order of the blocks in the image."""
        for slot in np.argsort(np.array(self.blocks, np.int64), kind="stable").tolist():
            yield slot, np.array(_corner(self.blocks[slot], self.counts.tolist()), np.int64)

    def close(self) -> None:
        """Give the temporary files back."""
        for name in self._files:
            delattr(self, name)
        self._open.close()
