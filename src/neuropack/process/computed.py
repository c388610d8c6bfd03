"""Images computed from another image as they are read: box by box, with the voxels around that a filter needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from neuropack.axes import Array, Box, box_shape, full_box
from neuropack.engine.planning import cut
from neuropack.process.around import read_around
from neuropack.volume import Channel, Volume

_BLOCK = (64, 256, 256)  # voxels z, y, x of a native block
Compute = Callable[[Array, Box], Array]
"""Takes the voxels (c, z, y, x) of a box and the halo around it, all channels, and the box (z, y, x) in voxels of
the image; gives the voxels (c, z, y, x) of the box, all channels of the result."""


def computed(
    source: Volume,
    compute: Compute,
    made_by: Mapping[str, Any],
    *,
    halo: tuple[int, int, int] = (0, 0, 0),
    dtype: np.dtype[Any] | None = None,
    channels: tuple[Channel, ...] | None = None,
    labels: bool = False,
) -> Volume:
    """An image of the same size and place as another one, whose voxels are computed when they are read.

    What is wanted of it may be any box, so the result of `compute` must not hang on how the image is cut: it is
    given all that it may look at. Beyond the border of the image stands its mirror image, as with scipy's mode
    ``reflect``.

    Args:
        source: the image that it is made from.
        compute: the work on one box of one time; called from several threads.
        made_by: what is done, by the name of the step, with all that decides the values; what was done to the
            source stands before it.
        halo: voxels along z, y, x that `compute` needs around a voxel.
        dtype: of the result; None: that of the source.
        channels: of the result; None: those of the source.
        labels: True where the values are labels.

    Returns:
        a Volume without coarser levels; closing it closes the source.
    """
    made = channels if channels is not None else source.channels
    shape = (*source.shape[:-4], len(made), *source.shape[-3:])
    kind = dtype if dtype is not None else source.dtype
    return replace(
        source,
        native_axes=source.axes,
        native_shape=shape,
        dtype=kind,
        pixels=_Computed(source, compute, halo, shape, kind),
        channels=made,
        levels=(),
        labels=labels,
        made_by={**source.made_by, **made_by},
    )


def clipped(values: Array, dtype: np.dtype[Any]) -> Array:
    """Values as an integer type, those beyond what it holds at its ends."""
    limits = np.iinfo(dtype)
    top = values.dtype.type(limits.max)
    if values.dtype.kind == "f" and int(top) > limits.max:  # the nearest float lies beyond
        top = np.nextafter(top, values.dtype.type(0))
    return np.clip(values, limits.min, top).astype(dtype)


class _Computed:
    """Pixels of `computed`, axes (t,) c, z, y, x. Holds no state that changes, so any thread may read."""

    cheap_parts = True

    def __init__(
        self,
        source: Volume,
        compute: Compute,
        halo: tuple[int, int, int],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self._source, self._compute, self._halo, self._shape, self._dtype = source, compute, halo, shape, dtype

    @property
    def overhead_bytes(self) -> int:
        """That of the source."""
        return self._source.overhead_bytes

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Compute a box."""
        out = np.empty(box_shape(box), self._dtype) if out is None else out
        times = range(box[0].start, box[0].stop) if len(box) == 5 else (None,)
        for row, time in enumerate(times):
            lead = () if time is None else (slice(time, time + 1),)
            wide = self._wide(lead, box[-3:])
            part = self._compute(wide, box[-3:])
            (out if time is None else out[row])[...] = part[box[-4]]
        return out

    def _wide(self, lead: Box, inner: Box) -> Array:
        """All channels of a box (z, y, x) of the source and its halo, mirrored beyond the border."""
        channels = slice(0, self._source.n_channels)
        return read_around(lambda box: self._read((*lead, channels, *box)), inner, self._halo, self._shape[-3:])

    def _read(self, box: Box) -> Array:
        found = self._source.read(box)
        return found[0] if len(box) == 5 else found

    def native_blocks(self) -> Iterator[Box]:
        """Cubes, or what the image is thinner than."""
        *times, channels = self._shape[:-3]
        yield from cut(full_box(self._shape), (*(1 for _ in times), channels, *_BLOCK))

    def close(self) -> None:
        """Close the source."""
        self._source.close()
