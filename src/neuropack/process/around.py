"""A box of an image with the voxels around it; beyond the border of the image stands its mirror image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box


def read_around(read: Callable[[Box], Array], box: Box, halo: Sequence[int], shape: Sequence[int]) -> Array:
    """A box (z, y, x) and a halo on all sides of it.

    The border is mirrored as with scipy's mode ``reflect``, as often as it takes.

    Args:
        read: gives the voxels (..., z, y, x) of a box that lies in the image.
        box: in voxels of the image.
        halo: voxels along z, y, x.
        shape: of the image, z, y, x.
    """
    rows = [_mirrored(s.start - h, s.stop + h, n) for s, h, n in zip(box, halo, shape, strict=True)]
    spans = tuple(slice(int(r.min()), int(r.max()) + 1) for r in rows)
    found = read(spans)
    for axis, (r, span) in enumerate(zip(rows, spans, strict=True), found.ndim - 3):
        if len(r) != span.stop - span.start or (np.diff(r) != 1).any():
            found = found.take(r - span.start, axis=axis)
    return found


def _mirrored(start: int, stop: int, length: int) -> npt.NDArray[np.int64]:
    """Places along an axis; those beyond its ends are mirrored at them."""
    at = np.arange(start, stop) % (2 * length)
    return np.where(at < length, at, 2 * length - 1 - at)
