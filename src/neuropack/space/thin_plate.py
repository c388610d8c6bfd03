"""Thin-plate splines: the smoothest map that takes some points where they are known to go."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.space.grids import slices
from neuropack.space.inverse import Inverse
from neuropack.space.transforms import Points, Transform

_CELLS = 1 << 20  # distances held at a time
_MOST = 10_000  # landmarks: their matrix takes 800 MB


@dataclass(frozen=True, eq=False)
class ThinPlate(Transform):
    """A spline through pairs of points: f(x) = A x + t + sum of w_i |x - p_i|.

    The kernel is r, the one whose spline bends least in three dimensions (Wahba 1990, Spline models for
    observational data, section 2.4; ITK's ThinPlateSplineKernelTransform has it too). BigWarp takes r^2 log r, that
    of two dimensions: between the same landmarks its map differs a little.

    Attributes:
        source, target: the frames.
        here: landmarks in the source frame (n, 3), four or more that do not lie in a plane.
        there: the same in the target frame (n, 3).
        smoothing: 0 goes through the landmarks; the larger, the nearer to an affine map. A length in the unit of
            the source frame, added to the diagonal of the kernel matrix.
    """

    source: str
    target: str
    here: npt.NDArray[np.float64] = field(repr=False)
    there: npt.NDArray[np.float64] = field(repr=False)
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name in ("here", "there"):
            value = np.array(getattr(self, name), np.float64)
            if value.ndim != 2 or value.shape[1] != 3 or not np.isfinite(value).all():
                found = " x ".join(map(str, value.shape)) + ("" if np.isfinite(value).all() else ", not all finite")
                raise InputError("are not landmarks", expected="n x 3 finite numbers", found=found)
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        if self.here.shape != self.there.shape:
            found = f"{len(self.here)} and {len(self.there)}"
            raise InputError("landmarks do not form pairs", expected="as many in either frame", found=found)
        if len(self.here) > _MOST:
            raise InputError("too many landmarks", expected=f"at most {_MOST}", found=str(len(self.here)))
        if not (np.isfinite(self.smoothing) and self.smoothing >= 0):
            raise InputError("the smoothing is wrong", expected="0 or more", found=f"{self.smoothing:g}")
        if np.linalg.matrix_rank(self.here - self.here.mean(axis=0)) < 3 or len(np.unique(self.here, axis=0)) < len(
            self.here
        ):
            raise InputError(
                "no thin-plate spline goes through the landmarks",
                expected="four or more that do not lie in a plane, none twice",
                found=f"{len(self.here)} landmarks",
            )

    @cached_property
    def _extent(self) -> float:
        return float(np.ptp(self.here, axis=0).max())

    @cached_property
    def _system(self) -> npt.NDArray[np.float64]:
        """The symmetric matrix (n + 4, n + 4) of the kernel and of the affine part; lengths in extents.

        The kernel stands in it as -r: so it is positive definite where the weights count, and smoothing adds.
        """
        n = len(self.here)
        unit = (self.here - self.here.mean(axis=0)) / self._extent
        system = np.zeros((n + 4, n + 4))
        system[:n, :n] = -_distances(unit, unit) + np.eye(n) * (self.smoothing / self._extent)
        system[:n, n], system[n, :n] = 1, 1
        system[:n, n + 1 :], system[n + 1 :, :n] = unit, unit.T
        return system

    @cached_property
    def _solution(self) -> npt.NDArray[np.float64]:
        """The weights (n, 3), then the shift and the linear part (4, 3)."""
        right = np.zeros((len(self._system), 3))
        right[: len(self.there)] = self.there
        return np.asarray(np.linalg.solve(self._system, right), np.float64)

    def apply(self, points: Points) -> Points:
        """The images of points."""
        n, centre = len(self.here), self.here.mean(axis=0)
        nodes = (self.here - centre) / self._extent
        weights, shift, linear = self._solution[:n], self._solution[n], self._solution[n + 1 :]
        out = np.empty_like(points)
        for part in slices(len(points), max(_CELLS // n, 1)):
            unit = (points[part] - centre) / self._extent
            out[part] = shift + unit @ linear - _distances(unit, nodes) @ weights
        return out

    def inverse(self) -> Inverse:
        """The way back, by iteration; it says so where the spline folds.

        Raises:
            InputError: its affine part flattens space.
        """
        n = len(self.here)
        linear = self._solution[n + 1 :].T / self._extent
        if np.linalg.matrix_rank(linear) < 3:
            raise InputError(
                f"the spline from {self.source} to {self.target} has no inverse",
                expected="an affine part of rank 3",
            )
        back = np.linalg.inv(linear)
        shift = self.here.mean(axis=0) - back @ self._solution[n]
        return Inverse(self, float(np.ptp(self.there, axis=0).max()) * 1e-3, np.column_stack([back, shift]))

    def leave_one_out(self) -> npt.NDArray[np.float64]:
        """How far each landmark lies from where the spline of all others puts it, (n,), in the target's unit.

        From one solution, not n: the error is the weight over the diagonal of the inverse matrix (Rippa 1999, An
        algorithm for selecting a good value for the parameter c, Adv. Comput. Math. 11:193).
        """
        n = len(self.here)
        diagonal = np.diag(np.linalg.inv(self._system))[:n, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            error: npt.NDArray[np.float64] = np.linalg.norm(self._solution[:n] / diagonal, axis=1)
        return error

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, ThinPlate):
            return NotImplemented
        same = (self.source, self.target, self.smoothing) == (other.source, other.target, other.smoothing)
        return same and np.array_equal(self.here, other.here) and np.array_equal(self.there, other.there)

    __hash__ = None  # type: ignore[assignment]


def _distances(a: Points, b: Points) -> npt.NDArray[np.float64]:
    from scipy.spatial.distance import cdist

    distances: npt.NDArray[np.float64] = cdist(a, b)
    return distances
