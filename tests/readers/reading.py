"""What every reader owes, whatever the format."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.axes import box_shape
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
