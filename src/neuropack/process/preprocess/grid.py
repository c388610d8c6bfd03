"""Moving an image along its axes by parts of a voxel, with kernels that end: a block needs few voxels around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array

Floats = npt.NDArray[np.float32]


def weights(part: npt.NDArray[np.float64], order: int) -> list[npt.NDArray[np.float64]]:
    """Weights of the voxels around places that lie a part (0 to 1) of a voxel after their first neighbour.

    Order 1 is linear, order 3 the cubic convolution of Keys (1981) with a = -1/2. A cubic B-spline would look at
    the whole image through its filter; this looks at four voxels, and a block gives the same however it is cut.
    """
    t = part
    if order == 1:
        return [1 - t, t]
    return [
        t * (-0.5 + t * (1.0 - 0.5 * t)),
        1 + t * t * (-2.5 + 1.5 * t),
        t * (0.5 + t * (2.0 - 1.5 * t)),
        t * t * (-0.5 + 0.5 * t),
    ]


def resampled(image: Floats, places: Sequence[npt.NDArray[np.float64]], order: int) -> Floats:
    """The image at a grid of places, one list of positions for each of the axes z, y, x, in voxels of `image`.

    Every place with its neighbours must lie inside; along an axis of one voxel there is nothing to do.
    """
    out: Array = image
    for axis, at in enumerate(places):
        if out.shape[axis] == 1 and len(at) == 1:
            continue
        first = np.floor(at).astype(np.int64)
        part = at - first
        if not part.any():
            out = out.take(first, axis=axis)
            continue
        total: Array | None = None
        for k, weight in enumerate(weights(part, order)):
            taken = out.take(np.clip(first + k - (order // 2), 0, out.shape[axis] - 1), axis=axis)
            taken *= weight.astype(np.float32).reshape([-1 if axis == i else 1 for i in range(3)])
            total = taken if total is None else np.add(total, taken, out=total)
        out = total if total is not None else out
    return out
