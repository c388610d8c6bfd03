"""Images whose voxels are finer than a network knows: looked at in bins of voxels, and the labels brought back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from neuropack.axes import Array, Box, full_box
from neuropack.engine.planning import cut
from neuropack.space.reduced import Reduced
from neuropack.volume import Volume

FINEST_UM = (0.5, 0.2, 0.2)
"""Voxels z, y, x that are smaller are looked at in bins: the network knows none like these."""
WISHED_UM = (1.0, 0.4, 0.4)
"""What a bin is not larger than."""
COARSEST_UM = (5.0, 1.0, 1.0)
"""Voxels z, y, x that are larger are none that the network knows."""
_BLOCK = (64, 256, 256)

Factor = tuple[int, int, int]


def bins_of(volume: Volume) -> Factor:
    """How many voxels along z, y, x go into one that the network looks at; 1, 1, 1 as the image is."""
    found = [1, 1, 1]
    for axis, size in enumerate(volume.voxel_size_um):
        if size is not None and size < FINEST_UM[axis]:
            found[axis] = max(1, min(volume.size_zyx[axis], int(WISHED_UM[axis] / size + 1e-6)))
    return found[0], found[1], found[2]


def too_coarse(volume: Volume) -> bool:
    """Whether voxels are larger than any that the network knows."""
    pairs = zip(volume.voxel_size_um, COARSEST_UM, strict=True)
    return any(size is not None and size > largest for size, largest in pairs)


def binned(volume: Volume, factor: Factor) -> Volume:
    """An image in bins of whole voxels, each their mean; the last ones along an axis may hold fewer.

    Args:
        volume: with its voxel size.
        factor: voxels of a bin along z, y, x; the image itself where all are 1.
    """
    if factor == (1, 1, 1):
        return volume
    bins = Reduced(volume, factor)
    step = tuple(None if s is None else s * f for s, f in zip(volume.voxel_size_um, factor, strict=True))
    origin = tuple(
        None if o is None or s is None else o + (f - 1) / 2 * s
        for o, s, f in zip(volume.origin_um, volume.voxel_size_um, factor, strict=True)
    )
    return replace(
        volume,
        native_axes=volume.axes,
        native_shape=bins.shape,
        dtype=bins.dtype,
        pixels=_Binned(bins),
        voxel_size_um=(step[0], step[1], step[2]),
        origin_um=(origin[0], origin[1], origin[2]),
        levels=(),
        made_by={**volume.made_by, "bins": list(factor)},
    )


def repeated(labels: Volume, factor: Factor, image: Volume) -> Volume:
    """A label image of bins as one of voxels: each voxel has the label of its bin.

    Args:
        labels: one channel.
        factor: voxels of a bin along z, y, x; the labels themselves where all are 1.
        image: the image of which the bins are.
    """
    if factor == (1, 1, 1):
        return labels
    return replace(
        labels,
        native_axes="ZYX",
        native_shape=image.size_zyx,
        pixels=_Repeated(labels, factor, image.size_zyx),
        voxel_size_um=image.voxel_size_um,
        origin_um=image.origin_um,
        made_by={**labels.made_by, "repeated": list(factor)},
    )


class _Binned:
    """Pixels of `binned`."""

    cheap_parts = True

    def __init__(self, bins: Reduced) -> None:
        self._bins = bins
        self.overhead_bytes = bins.overhead_bytes

    def read(self, box: Box, out: Array | None = None) -> Array:
        """The bins of a box."""
        found = self._bins.read(box)
        if out is None:
            return found
        out[...] = found
        return out

    def native_blocks(self) -> Iterator[Box]:
        """Its tiles."""
        yield from cut(full_box(self._bins.shape), self._bins.tile)

    def close(self) -> None:
        """Close the image."""
        self._bins.volume.close()


class _Repeated:
    """Pixels of `repeated`. Holds no state that changes, so any thread may read."""

    cheap_parts = True

    def __init__(self, labels: Volume, factor: Factor, shape: tuple[int, int, int]) -> None:
        self._labels, self._factor, self._shape = labels, factor, shape
        self.overhead_bytes = labels.overhead_bytes

    def read(self, box: Box, out: Array | None = None) -> Array:
        """The labels of a box (z, y, x)."""
        bins = tuple(slice(s.start // f, -(-s.stop // f)) for s, f in zip(box, self._factor, strict=True))
        found: Array = self._labels.read((slice(0, 1), *bins))[0]
        for axis, (s, f) in enumerate(zip(box, self._factor, strict=True)):
            found = found.take(np.arange(s.start, s.stop) // f - s.start // f, axis=axis)
        if out is None:
            return found
        out[...] = found
        return out

    def native_blocks(self) -> Iterator[Box]:
        """Blocks of whole bins."""
        block = tuple(-(-b // f) * f for b, f in zip(_BLOCK, self._factor, strict=True))
        yield from cut(full_box(self._shape), block)

    def close(self) -> None:
        """Close the labels."""
        self._labels.close()
