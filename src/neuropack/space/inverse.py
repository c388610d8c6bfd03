"""The way back of a transform that has no formula for it: solved for each point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.space.grids import slices
from neuropack.space.transforms import Points, Transform

_FIXED, _NEWTON, _HALVINGS = 30, 40, 10  # rounds
_TOLERANCE, _STEP = 1e-6, 1e-4  # of the scale


@dataclass(frozen=True, eq=False)
class Inverse(Transform):
    """The inverse of a transform, found for each point by iteration.

    First the fixed point x + G (y - f(x)), which takes few evaluations where f is close to its linear part
    (Chen et al. 2008, A simple fixed-point approach to invert a deformation field, Med. Phys. 35:81). What has not
    converged goes on with Newton's method, its steps halved until the residual falls. Where the transform folds, a
    point may have several such points: one of them comes back.

    Attributes:
        forward: the transform.
        scale: a length over which it bends, in the unit of its frames: the spacing of a grid, for example. A point
            is found when its image is within a millionth of that.
        back: (3, 4), the inverse of its linear part, where to begin.
    """

    forward: Transform
    scale: float
    back: npt.NDArray[np.float64]

    @property
    def source(self) -> str:  # type: ignore[override]
        """The frame where the transform ends."""
        return self.forward.target

    @property
    def target(self) -> str:  # type: ignore[override]
        """The frame where it begins."""
        return self.forward.source

    def inverse(self) -> Transform:
        """The transform itself."""
        return self.forward

    def apply(self, points: Points) -> Points:
        """The points whose images these are.

        Raises:
            InputError: some have no such point, or it was not found: the transform folds there.
        """
        out, lost, worst = self._found(points)
        if lost:
            raise InputError(
                f"the transform from {self.target} to {self.source} cannot be turned round at some points",
                expected=f"points whose images are within {self.scale * _TOLERANCE:g}",
                found=f"{lost} of {len(points)} points without one; the worst image is off by {worst:g}",
                fix="use the registration in the other direction, or one that does not fold",
            )
        return out

    def found(self, points: Points) -> Points:
        """The points whose images these are; nan for those that have none, or whose was not found."""
        return self._found(points)[0]

    def _found(self, points: Points) -> tuple[Points, int, float]:
        """The same, how many were not found, and how far the image of the worst of them is off."""
        out = points.copy()
        lost, worst = 0, 0.0
        for part in slices(len(points)):
            rows = np.flatnonzero(np.isfinite(points[part]).all(axis=1))
            solved, residual = self._solve(points[part][rows])
            bad = residual > self.scale * _TOLERANCE
            solved[bad] = np.nan
            out[part][rows] = solved
            lost, worst = lost + int(bad.sum()), max(worst, float(residual[bad].max(initial=0)))
        return out, lost, worst

    def _solve(self, wanted: Points) -> tuple[Points, npt.NDArray[np.float64]]:
        """The best points found, and how far their images are off."""
        linear = self.back[:, :3].T
        best = wanted @ linear + self.back[:, 3]
        miss = wanted - self.forward.apply(best)
        error = np.linalg.norm(miss, axis=1)
        live = np.arange(len(wanted))
        at, off = best.copy(), miss.copy()
        for _ in range(_FIXED):
            live = live[error[live] > self.scale * _TOLERANCE]
            if not len(live):
                return best, error
            at[live] += off[live] @ linear
            off[live] = wanted[live] - self.forward.apply(at[live])
            self._keep(live, at, off, best, miss, error)
        for _ in range(_NEWTON):
            live = live[error[live] > self.scale * _TOLERANCE]
            if not len(live):
                break
            live = self._newton(live, wanted, best, miss, error)
        return best, error

    def _newton(
        self,
        live: npt.NDArray[np.intp],
        wanted: Points,
        best: Points,
        miss: Points,
        error: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.intp]:
        """One damped step for each live point; those that moved."""
        h = self.scale * _STEP
        columns = [
            (self.forward.apply(best[live] + h * axis) - self.forward.apply(best[live] - h * axis)) / (2 * h)
            for axis in np.eye(3)
        ]
        jacobian = np.stack(columns, axis=-1)
        step = (np.linalg.pinv(jacobian) @ miss[live, :, None])[:, :, 0]
        moved = np.zeros(len(live), bool)
        for halving in range(_HALVINGS):
            rest = np.flatnonzero(~moved)
            if not len(rest):
                break
            rows = live[rest]
            at, off = best.copy(), miss.copy()
            at[rows] += step[rest] * 0.5**halving
            off[rows] = wanted[rows] - self.forward.apply(at[rows])
            moved[rest] = self._keep(rows, at, off, best, miss, error)
        return live[moved]

    @staticmethod
    def _keep(
        rows: npt.NDArray[np.intp],
        at: Points,
        off: Points,
        best: Points,
        miss: Points,
        error: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.bool_]:
        """Remember what is nearer than the best so far; which of the rows were."""
        length = np.linalg.norm(off[rows], axis=1)
        better: npt.NDArray[np.bool_] = length < error[rows]
        chosen = rows[better]
        best[chosen], miss[chosen], error[chosen] = at[chosen], off[chosen], length[better]
        return better
