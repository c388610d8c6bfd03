"""Decoded chunks of images, so that boxes which lie close together do not decode the same ones again."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from neuropack.axes import Array, Box, box_shape, full_box, overlap, relative
from neuropack.volume import StreamedPixels, Volume


class BlockCache:
    """Reads boxes of images by their chunks, and keeps those that were used last. Safe to call from threads.

    In another process it starts empty.

    Args:
        volumes: what is read, by number.
        limit: bytes that are kept.
    """

    def __init__(self, volumes: Sequence[Volume], limit: int) -> None:
        self._volumes, self._limit = tuple(volumes), limit
        self._begin()

    def read(self, number: int, box: Box) -> Array:
        """The voxels of a box of a volume, in its canonical axes."""
        volume = self._volumes[number]
        step = self._step(number)
        if step is None:
            return volume.read(box)
        out = np.empty(box_shape(box), volume.dtype)
        for corner in product(*(range(s.start // n * n, s.stop, n) for s, n in zip(box, step, strict=True))):
            whole = tuple(slice(c, min(c + n, m)) for c, n, m in zip(corner, step, volume.shape, strict=True))
            part = overlap(whole, box)
            if part:
                out[relative(part, box)] = self._block(number, whole)[relative(part, whole)]
        return out

    def _block(self, number: int, whole: Box) -> Array:
        key = (number, *(s.start for s in whole))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        block = self._volumes[number].read(whole)  # two threads may decode one block: both get the same voxels
        with self._lock:
            if key not in self._kept:
                self._kept[key] = block
                self._bytes += block.nbytes
            while self._bytes > self._limit:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return block

    def _step(self, number: int) -> tuple[int, ...] | None:
        """Lengths of a chunk; None where decoding a part costs no more than the part, or chunks are too large."""
        if number not in self._steps:
            volume = self._volumes[number]
            step = None
            if isinstance(volume.pixels, StreamedPixels) and not volume.cheap_parts:
                first, _ = next(volume.stream(full_box(volume.shape), 1))
                step = box_shape(first)
                if math.prod(step) * volume.dtype.itemsize > self._limit // 8:
                    step = None
            self._steps[number] = step
        return self._steps[number]

    def _begin(self) -> None:
        self._kept: OrderedDict[tuple[int, ...], Array] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._steps: dict[int, tuple[int, ...] | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_volumes": self._volumes, "_limit": self._limit}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()


def cached(volume: Volume, limit: int) -> Volume:
    """An image whose decoded chunks are kept, for who reads many boxes of it; closing it closes the image.

    Args:
        volume: the image.
        limit: bytes that are kept.

    Returns:
        the same voxels, without coarser levels.
    """
    return replace(
        volume, native_axes=volume.axes, native_shape=volume.shape, pixels=_Cached(volume, limit), levels=()
    )


class _Cached:
    """Pixels of `cached`, in canonical axes."""

    cheap_parts = True

    def __init__(self, volume: Volume, limit: int) -> None:
        self._volume, self._limit = volume, limit
        self._blocks = BlockCache([volume], limit)

    @property
    def overhead_bytes(self) -> int:
        """That of the image, and what is kept."""
        return self._volume.overhead_bytes + self._limit

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Voxels of a box."""
        found = self._blocks.read(0, box)
        if out is None:
            return found
        out[...] = found
        return out

    def native_blocks(self) -> Iterator[Box]:
        """Those of the image."""
        return self._volume.native_blocks()

    def close(self) -> None:
        """Close the image."""
        self._volume.close()
