"""Non-negative least squares of many small problems that share their matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.compiled import compiled

_SWEEPS = 200


@compiled
def solve(
    light: npt.NDArray[np.float32], matrix: npt.NDArray[np.float64], inverse: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Light of each fluorophore (n, voxels), none below zero, from what channels see (n, voxels).

    Where the plain inverse has no negative part, it is the answer; elsewhere coordinate descent goes from there,
    which converges for these matrices of full rank (Franc et al. 2005).
    """
    n, voxels = light.shape
    out = np.empty((n, voxels), np.float32)
    gram = matrix.T @ matrix
    one, right = np.empty(n), np.empty(n)
    for v in range(voxels):
        negative = False
        for i in range(n):
            total = 0.0
            for j in range(n):
                total += inverse[i, j] * light[j, v]
            one[i] = total
            if total < 0:
                negative = True
                one[i] = 0.0
        if negative:
            for i in range(n):
                total = 0.0
                for j in range(n):
                    total += matrix[j, i] * light[j, v]
                right[i] = total
            for _ in range(_SWEEPS):
                change = 0.0
                for i in range(n):
                    total = right[i]
                    for j in range(n):
                        total -= gram[i, j] * one[j]
                    new = max(0.0, one[i] + total / gram[i, i])
                    change = max(change, abs(new - one[i]))
                    one[i] = new
                if change < 1e-3:
                    break
        for i in range(n):
            out[i, v] = one[i]
    return out
