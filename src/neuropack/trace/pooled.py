"""A coarser level of an image that has none: means of blocks of voxels, computed as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np

from neuropack.axes import Array, Box, box_shape
from neuropack.volume import Volume

_BLOCK = 32


def pooled(volume: Volume, factor: tuple[int, int, int]) -> Volume:
    """Means over `factor` voxels along z, y, x; voxels that are NaN do not count. CZYX, float32.

    What does not fill a block at the far ends is a mean of fewer voxels.
    """
    shape = tuple(-(-n // f) for n, f in zip(volume.size_zyx, factor, strict=True))
    z, y, x = (None if s is None else s * f for s, f in zip(volume.voxel_size_um, factor, strict=True))
    return replace(
        volume,
        native_shape=(volume.n_channels, *shape),
        pixels=_Means(volume, factor, shape),
        voxel_size_um=(z, y, x),
        levels=(),
    )


class _Means:
    """Pixels of `pooled`."""

    cheap_parts = True

    def __init__(self, source: Volume, factor: tuple[int, int, int], shape: tuple[int, ...]) -> None:
        self._source, self._factor, self._shape = source, factor, shape

    def read(self, box: Box, out: Array | None = None) -> Array:
        """The means of a box."""
        out = np.empty(box_shape(box), np.float32) if out is None else out
        fine = tuple(
            slice(s.start * f, min(n, s.stop * f))
            for s, f, n in zip(box[1:], self._factor, self._source.size_zyx, strict=True)
        )
        image = self._source.read((box[0], *fine))
        known = np.isfinite(image)
        whole = bool(known.all())
        total = _sums(image if whole else np.where(known, image, 0), self._factor)
        count = _sums(np.ones_like(image) if whole else known.astype(np.float32), self._factor)
        out[...] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return out

    def native_blocks(self) -> Iterator[Box]:
        """Cubes."""
        for corner in product(*(range(0, n, _BLOCK) for n in self._shape)):
            inner = (slice(c, min(c + _BLOCK, n)) for c, n in zip(corner, self._shape, strict=True))
            yield (slice(0, self._source.n_channels), *inner)

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def _sums(image: Array, factor: tuple[int, int, int]) -> Array:
    for axis, f in enumerate(factor, 1):
        if f > 1:
            image = np.add.reduceat(image, np.arange(0, image.shape[axis], f), axis=axis)
    return image
