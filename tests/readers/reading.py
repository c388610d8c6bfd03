"""What every reader owes, whatever the format."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape, relative
from neuropack.volume import Volume


def assert_reads(volume: Volume, expected: npt.ArrayLike) -> None:
    """The volume, its blocks and any box of it are the expected array (CZYX or TCZYX); blocks tile it once."""
    expected = np.asarray(expected)
    assert volume.shape == expected.shape
    whole = np.asarray(volume)
    assert whole.dtype == expected.dtype == volume.dtype
    np.testing.assert_array_equal(whole, expected)
    covered = np.zeros(volume.shape, int)
    for box in volume.native_blocks():
        covered[box] += 1
        block = volume.read(box)
        assert block.shape == box_shape(box)
        np.testing.assert_array_equal(block, expected[box])
    assert covered.min() == covered.max() == 1, "native blocks must tile the image once"
    rng = np.random.default_rng(0)
    for _ in range(10):
        starts = [int(rng.integers(0, n)) for n in volume.shape]
        box = tuple(slice(a, int(rng.integers(a + 1, n + 1))) for a, n in zip(starts, volume.shape, strict=True))
        np.testing.assert_array_equal(volume.read(box), expected[box])
        assert_fills(volume, box, expected[box])
        for limit in (1, 200, 10**6):
            assert_streams(volume, box, limit, expected[box])


def assert_streams(volume: Volume, box: Box, limit: int, expected: Array) -> None:
    """The pieces of a box tile it once and are its pixels."""
    found, times = np.zeros_like(expected), np.zeros(expected.shape, int)
    for part, pixels in volume.stream(box, limit):
        assert pixels.shape == box_shape(part)
        assert pixels.dtype == volume.dtype
        found[relative(part, box)] = pixels
        times[relative(part, box)] += 1
    assert times.min() == times.max() == 1
    np.testing.assert_array_equal(found, expected)


def assert_fills(volume: Volume, box: Box, expected: Array) -> None:
    """Reading into an array fills it and gives it back: of its type, the other byte order, and a view."""
    shape, dtype = box_shape(box), volume.dtype
    large = np.zeros([n + 1 for n in shape], dtype)
    into = (np.zeros(shape, dtype), np.zeros(shape, dtype.newbyteorder()), large[tuple(slice(n) for n in shape)])
    for out in into:
        assert volume.read(box, out) is out
        np.testing.assert_array_equal(out, expected)
    large[tuple(slice(n) for n in shape)] = 0
    assert not large.any(), "nothing is written beside the box"
