"""B-spline transforms, and the sum of two transforms: what elastix writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, UsageError
from neuropack.space.grids import Grid, checked_vectors, slices
from neuropack.space.inverse import Inverse
from neuropack.space.transforms import Affine, Points, Transform


@dataclass(frozen=True, eq=False)
class BSpline(Transform):
    """A point x goes to x + d(x), d a cubic B-spline with a coefficient for each node of a grid.

    As in ITK and elastix d is zero outside the region where all 64 nodes around a point exist: index 1 to n - 2
    along each axis (itkAdvancedBSplineDeformableTransform). Weights: Unser 1999, Splines: a perfect fit, IEEE
    Signal Process. Mag. 16(6):22.

    Attributes:
        source, target: the frames; both in the same unit and with the same axes, since numbers are added.
        coefficients: (n0, n1, n2, 3), four or more along each axis.
        grid: where the nodes lie in the source frame.
    """

    source: str
    target: str
    coefficients: npt.NDArray[Any] = field(repr=False)
    grid: Grid

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", checked_vectors(self.coefficients))
        if min(self.coefficients.shape[:3]) < 4:
            found = " x ".join(map(str, self.coefficients.shape[:3]))
            raise InputError("the grid of a B-spline is too small", expected="4 x 4 x 4 nodes or more", found=found)

    def apply(self, points: Points) -> Points:
        """The images of points."""
        out = points.copy()
        size = np.array(self.coefficients.shape[:3])
        for part in slices(len(points)):
            index = self.grid.index(points[part])
            inside = ((index >= 1) & (index < size - 2)).all(axis=1)
            out[part][inside] += self._displacement(index[inside])
        return out

    def _displacement(self, index: Points) -> Points:
        rows = self.coefficients.reshape(-1, 3)
        n1, n2 = self.coefficients.shape[1:3]
        low = np.floor(index).astype(np.intp) - 1
        weights = [_cubic(index[:, axis] - low[:, axis] - 1) for axis in range(3)]
        corner = (low[:, 0] * n1 + low[:, 1]) * n2 + low[:, 2]
        total = np.zeros_like(index)
        for i in range(4):
            for j in range(4):
                plane, base = weights[0][i] * weights[1][j], corner + (i * n1 + j) * n2
                for k in range(4):
                    total += rows.take(base + k, axis=0) * (plane * weights[2][k])[:, None]
        return total

    def inverse(self) -> Inverse:
        """The way back, by iteration; it says so where the spline folds."""
        return Inverse(self, float(self.grid.spacing.min()), np.eye(3, 4))

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, BSpline):
            return NotImplemented
        same = (self.source, self.target, self.grid) == (other.source, other.target, other.grid)
        return same and np.array_equal(self.coefficients, other.coefficients)

    __hash__ = None  # type: ignore[assignment]


def _cubic(t: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """The weights of the four nodes around a point, t in [0, 1) behind the second."""
    s = 1 - t
    return [s**3 / 6, (4 - 6 * t**2 + 3 * t**3) / 6, (4 - 6 * s**2 + 3 * s**3) / 6, t**3 / 6]


@dataclass(frozen=True)
class Sum(Transform):
    """The displacements of two transforms added: x goes to f(x) + g(x) - x. elastix: HowToCombineTransforms "Add".

    Attributes:
        first, second: the transforms, between the same frames; numbers are added, so these share unit and axes.
        scale: a length over which they bend, for the inverse: the spacing of a grid, for example.
    """

    first: Transform
    second: Transform
    scale: float = 1.0

    def __post_init__(self) -> None:
        ends = (self.second.source, self.second.target)
        if ends != (self.first.source, self.first.target):
            raise UsageError(
                "two transforms cannot be added",
                expected=f"another from {self.first.source} to {self.first.target}",
                found=f"one from {ends[0]} to {ends[1]}",
            )

    @property
    def source(self) -> str:  # type: ignore[override]
        """The frame of both."""
        return self.first.source

    @property
    def target(self) -> str:  # type: ignore[override]
        """The frame of both."""
        return self.first.target

    def apply(self, points: Points) -> Points:
        """The images of points."""
        return self.first.apply(points) + self.second.apply(points) - points

    def inverse(self) -> Inverse:
        """The way back, by iteration."""
        back = self.first.inverse().matrix if isinstance(self.first, Affine) else np.eye(3, 4)
        return Inverse(self, self.scale, back)
