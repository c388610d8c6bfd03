"""Decoded chunks that are kept: the same voxels, each chunk decoded once while there is room."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from neuropack.axes import Array, Box
from neuropack.block_cache import BlockCache, cached
from neuropack.volume import ArrayPixels, Volume, from_array


class Counted(ArrayPixels):
    """Pixels that decode chunks, and count them."""

    cheap_parts = False
    chunk = (1, 4, 8, 8)

    def __init__(self, array: Array) -> None:
        super().__init__(array)
        self.reads: list[Box] = []

    def read(self, box: Box, out: Array | None = None) -> Array:
        self.reads.append(box)
        return super().read(box, out)

    def stream(self, box: Box, limit: int) -> Iterator[tuple[Box, Array]]:
        part = tuple(slice(s.start, min(s.stop, s.start + n)) for s, n in zip(box, self.chunk, strict=True))
        yield part, super().read(part)

    def piece_bytes(self) -> int:
        return 512


def counted_volume() -> tuple[Volume, Counted, Array]:
    array = np.random.default_rng(0).integers(0, 1000, (2, 10, 20, 30)).astype(np.uint16)
    pixels = Counted(array)
    return replace(from_array(array, "CZYX"), pixels=pixels), pixels, array


def test_chunks_are_kept_and_decoded_once() -> None:
    volume, pixels, array = counted_volume()
    cache = BlockCache([volume], 1 << 20)
    rng = np.random.default_rng(1)
    for _ in range(50):
        low = rng.integers(0, (2, 10, 20, 30))
        high = rng.integers(low + 1, np.array((2, 10, 20, 30)) + 1)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        np.testing.assert_array_equal(cache.read(0, box), array[box])
    assert len(pixels.reads) == len({str(b) for b in pixels.reads}) <= 2 * 3 * 3 * 4


def test_what_is_kept_is_bounded_and_the_oldest_goes() -> None:
    volume, pixels, array = counted_volume()
    cache = BlockCache([volume], 8 * 512)
    whole = tuple(slice(0, n) for n in array.shape)
    np.testing.assert_array_equal(cache.read(0, whole), array)
    assert cache._bytes <= 8 * 512
    np.testing.assert_array_equal(cache.read(0, whole), array)
    assert len(pixels.reads) == 2 * 72


def test_chunks_too_large_to_keep_are_read_in_part() -> None:
    volume, pixels, array = counted_volume()
    box = (slice(0, 1), slice(1, 3), slice(2, 5), slice(3, 7))
    np.testing.assert_array_equal(BlockCache([volume], 0).read(0, box), array[box])
    assert pixels.reads == [box]


def test_a_cached_image_is_the_same_image_and_decodes_each_chunk_once() -> None:
    volume, pixels, array = counted_volume()
    image = cached(volume, 1 << 20)
    assert (image.axes, image.shape, image.dtype) == (volume.axes, volume.shape, volume.dtype)
    rng = np.random.default_rng(2)
    for _ in range(50):
        low = rng.integers(0, (2, 10, 20, 30))
        high = rng.integers(low + 1, np.array((2, 10, 20, 30)) + 1)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        np.testing.assert_array_equal(image.read(box), array[box])
        np.testing.assert_array_equal(image.read(box, np.empty(array[box].shape, array.dtype)), array[box])
    assert len(pixels.reads) == len({str(b) for b in pixels.reads})
    assert image.overhead_bytes >= 1 << 20
    assert list(image.native_blocks()) == list(volume.native_blocks())
