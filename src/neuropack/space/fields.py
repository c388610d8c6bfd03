"""Displacement fields: a shift for each sample of a grid, linear between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.space.grids import Grid, checked_vectors, slices
from neuropack.space.inverse import Inverse
from neuropack.space.transforms import Points, Transform


@dataclass(frozen=True, eq=False)
class DisplacementField(Transform):
    """A point x goes to x + d(x), d trilinear between the samples of a grid.

    Outside the grid the displacement of its nearest point holds. (ITK leaves such points where they are, which
    tears space along the border.)

    Attributes:
        source, target: the frames; both in the same unit and with the same axes, since numbers are added.
        vectors: d at the samples, (n0, n1, n2, 3), float32 or float64; an array mapped from a file stays there.
        grid: where the samples lie in the source frame.
    """

    source: str
    target: str
    vectors: npt.NDArray[Any] = field(repr=False)
    grid: Grid

    def __post_init__(self) -> None:
        object.__setattr__(self, "vectors", checked_vectors(self.vectors))

    def apply(self, points: Points) -> Points:
        """The images of points."""
        out = np.empty_like(points)
        for part in slices(len(points)):
            np.add(points[part], self._displacement(points[part]), out=out[part])
        return out

    def _displacement(self, points: Points) -> Points:
        rows = self.vectors.reshape(-1, 3)
        corner = np.zeros(len(points), np.intp)
        steps, upper = [], []
        n1, n2 = self.vectors.shape[1:3]
        index = np.nan_to_num(self.grid.index(points), copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        for axis, (n, stride) in enumerate(zip(self.vectors.shape[:3], (n1 * n2, n2, 1), strict=True)):
            at = np.clip(index[:, axis], 0, n - 1)
            low = np.minimum(at.astype(np.intp), max(n - 2, 0))
            corner += low * stride
            steps.append(stride if n > 1 else 0)
            upper.append(at - low)
        total = np.zeros_like(points)
        for i, first in ((0, 1 - upper[0]), (1, upper[0])):
            for j, second in ((0, 1 - upper[1]), (1, upper[1])):
                plane, base = first * second, corner + (i * steps[0] + j * steps[1])
                for k, third in ((0, 1 - upper[2]), (1, upper[2])):
                    total += rows.take(base + k * steps[2], axis=0) * (plane * third)[:, None]
        return total

    def inverse(self) -> Inverse:
        """The way back, by iteration; it says so where the field folds."""
        return Inverse(self, float(self.grid.spacing.min()), np.eye(3, 4))

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, DisplacementField):
            return NotImplemented
        same = (self.source, self.target, self.grid) == (other.source, other.target, other.grid)
        return same and np.array_equal(self.vectors, other.vectors)

    __hash__ = None  # type: ignore[assignment]
