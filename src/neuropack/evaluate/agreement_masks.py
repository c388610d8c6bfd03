"""Agreement of two masks of one object."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.evaluate.agreement import Measured

Voxels = npt.NDArray[Any]


def mask_agreement(a: Voxels, b: Voxels) -> list[Measured]:
    """IoU and Dice of two lists of voxels (n, 3), each voxel once; z, y, x of one image.

    IoU = |A and B| / |A or B|, Dice = 2 |A and B| / (|A| + |B|). `n` is the number of voxels of A or B. An empty
    mask has no score.
    """
    lack = [name for name, voxels in (("first", a), ("second", b)) if not len(voxels)]
    if lack:
        reason = f"the {' and the '.join(lack)} mask is empty"
        return [Measured(name, None, len(a) + len(b), None, reason) for name in ("IoU", "Dice")]
    both = len(np.intersect1d(_keys(a), _keys(b), assume_unique=True))
    union = len(a) + len(b) - both
    return [Measured("IoU", both / union, union), Measured("Dice", 2 * both / (len(a) + len(b)), union)]


def _keys(voxels: Voxels) -> npt.NDArray[np.int64]:
    """A number for each voxel: 21 bits for each axis, which is 2 million planes."""
    z, y, x = np.asarray(voxels, np.int64).T
    keys: npt.NDArray[np.int64] = (z << 42) | (y << 21) | x
    return keys
