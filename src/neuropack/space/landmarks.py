"""Landmarks: transforms from pairs of points, and how far each pair can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, UsageError
from neuropack.space.thin_plate import ThinPlate
from neuropack.space.transforms import Affine, Points, Transform

Kind = Literal["rigid", "similarity", "affine", "thin_plate"]
Numbers = npt.NDArray[np.float64]

_NEEDS: Final = {"rigid": 2, "similarity": 2, "affine": 3, "thin_plate": 3}  # dimensions that landmarks must span
_SHAPES = ("at one point", "on a line", "in a plane")
_FLAT = 1e-3  # spread across a line or plane, of that along it, below which landmarks count as lying in it
_SUSPECT = 3.5  # modified z-score above which a value is an outlier: Iglewicz and Hoaglin 1993
_NOISE = 1e-6  # of the extent of the landmarks: 10 nm in a mouse brain; what is less is rounding


@dataclass(frozen=True, eq=False)
class Fit:
    """A transform from landmarks.

    Attributes:
        transform: from the moving frame to the fixed one.
        names: of the landmarks (n,).
        residuals: the distance of each fixed landmark from the image of the moving one, (n,).
        leave_one_out: the same under the transform of all others, (n,): how well a point that is no landmark is
            placed. NaN where the others do not suffice for a transform.
        outliers: names of those whose leave-one-out error stands out, worst first.

    Lengths are in the unit of the fixed frame, micrometre in neuropack's own.
    """

    transform: Transform
    names: tuple[str, ...]
    residuals: Numbers = field(repr=False)
    leave_one_out: Numbers = field(repr=False)
    outliers: tuple[str, ...]

    @property
    def median(self) -> float:
        """Median of the leave-one-out errors; NaN where there are none."""
        known = self.leave_one_out[np.isfinite(self.leave_one_out)]
        return float(np.median(known)) if len(known) else float("nan")

    @property
    def max(self) -> float:
        """Largest of the leave-one-out errors; NaN where there are none."""
        known = self.leave_one_out[np.isfinite(self.leave_one_out)]
        return float(known.max()) if len(known) else float("nan")


def fit(
    moving: npt.ArrayLike,
    fixed: npt.ArrayLike,
    kind: Kind,
    source: str,
    target: str,
    *,
    names: Sequence[str] | None = None,
    smoothing: float = 0.0,
) -> Fit:
    """The transform of a kind that takes moving landmarks nearest to the fixed ones.

    ``rigid`` and ``similarity`` are least squares without mirroring (Kabsch 1976, Acta Cryst. A32:922; Umeyama
    1991, IEEE TPAMI 13:376), ``affine`` is least squares, ``thin_plate`` goes through the landmarks (`ThinPlate`).
    Outliers have a modified z-score above 3.5 among the leave-one-out errors (Iglewicz and Hoaglin 1993, How to
    detect and handle outliers).

    Args:
        moving: (n, 3), in the source frame.
        fixed: (n, 3), the same landmarks in the target frame.
        kind: of transform.
        source, target: names of the frames.
        names: of the landmarks; their numbers from 1 where they are left out.
        smoothing: of a thin-plate spline.

    Raises:
        UsageError: there is no such kind, or it cannot be smoothed.
        InputError: they do not form pairs, are too few, lie on a line or in a plane, or one comes twice.
    """
    if kind not in get_args(Kind):
        raise UsageError("is not a kind of transform", expected=", ".join(get_args(Kind)), found=str(kind))
    if smoothing and kind != "thin_plate":
        raise UsageError("only a thin-plate spline can be smoothed", found=f"{kind} with smoothing {smoothing:g}")
    here, there = np.asarray(moving, np.float64), np.asarray(fixed, np.float64)
    labels = tuple(names) if names is not None else tuple(str(i) for i in range(1, len(here) + 1))
    _check(here, there, labels, kind)
    transform: Transform
    if kind == "thin_plate":
        transform = spline = ThinPlate(source, target, here, there, smoothing)
        errors = spline.leave_one_out()
        errors[[_span(np.delete(here, i, 0)) < _NEEDS[kind] for i in range(len(here))]] = np.nan
    else:
        solve = _SOLVERS[kind]
        transform = Affine(source, target, solve(here, there))
        errors = np.full(len(here), np.nan)
        for i in range(len(here)):
            rest, rest_there = np.delete(here, i, 0), np.delete(there, i, 0)
            if min(_span(rest), _span(rest_there)) >= _NEEDS[kind]:
                matrix = solve(rest, rest_there)
                errors[i] = np.linalg.norm(here[i] @ matrix[:, :3].T + matrix[:, 3] - there[i])
    residuals = np.linalg.norm(transform(here) - there, axis=1)
    suspects = _suspects(errors, float(np.ptp(there, axis=0).max()))
    return Fit(transform, labels, residuals, errors, tuple(labels[i] for i in suspects))


def _check(here: Points, there: Points, names: tuple[str, ...], kind: Kind) -> None:
    from scipy.spatial import KDTree

    if here.ndim != 2 or here.shape[1] != 3 or here.shape != there.shape or len(names) != len(here):
        found = f"{' x '.join(map(str, here.shape))}, {' x '.join(map(str, there.shape))} and {len(names)} names"
        raise InputError("landmarks do not form pairs", expected="n x 3, n x 3 and n names", found=found)
    broken = ~np.isfinite(np.hstack([here, there])).all(axis=1)
    if broken.any():
        found = ", ".join(names[i] for i in np.flatnonzero(broken)[:5])
        raise InputError("landmarks are not finite", found=found, fix="leave them out")
    needs = _NEEDS[kind]
    place = "on one line" if needs == 2 else "in one plane"
    expected = f"{needs + 1} or more landmarks that do not lie {place}, in either frame"
    if len(here) < needs + 1:
        raise InputError(f"too few landmarks for {kind}", expected=expected, found=str(len(here)))
    for points, frame in ((here, "moving"), (there, "fixed")):
        same = sorted(KDTree(points).query_pairs(_NOISE * float(np.ptp(points, axis=0).max())))
        if same and _span(points):
            pair = " and ".join(names[i] for i in same[0])
            raise InputError(
                f"two landmarks are at one place in the {frame} frame", found=pair, fix="leave one of them out"
            )
        if _span(points) < needs:
            found = f"all lie {_SHAPES[_span(points)]} in the {frame} frame"
            raise InputError(f"the landmarks do not suffice for {kind}", expected=expected, found=found)


def _span(points: Points) -> int:
    """How many dimensions points fill: 0 one point, 1 a line, 2 a plane, 3 space."""
    if len(points) < 2:
        return 0
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return int((spread > _FLAT * spread[0]).sum())


def _suspects(errors: Numbers, extent: float) -> list[int]:
    known = np.flatnonzero(np.isfinite(errors))
    if len(known) < 3:
        return []
    middle = np.median(errors[known])
    spread = max(float(np.median(np.abs(errors[known] - middle))), _NOISE * extent)
    score = 0.6745 * (errors[known] - middle) / spread
    return [int(known[i]) for i in np.argsort(-score, kind="stable") if score[i] > _SUSPECT]


def _orthogonal(here: Points, there: Points, *, scaled: bool) -> Numbers:
    """Umeyama's equations 39 to 43."""
    a, b = here - here.mean(axis=0), there - there.mean(axis=0)
    u, strength, vt = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    linear = (u * signs) @ vt
    if scaled:
        linear *= (strength * signs).sum() / (a**2).sum()
    return np.column_stack([linear, there.mean(axis=0) - linear @ here.mean(axis=0)])


def _rigid(here: Points, there: Points) -> Numbers:
    return _orthogonal(here, there, scaled=False)


def _similarity(here: Points, there: Points) -> Numbers:
    return _orthogonal(here, there, scaled=True)


def _affine(here: Points, there: Points) -> Numbers:
    centre, middle = here.mean(axis=0), there.mean(axis=0)
    linear = np.linalg.lstsq(here - centre, there - middle, rcond=None)[0].T
    return np.column_stack([linear, middle - linear @ centre])


_SOLVERS: Final[dict[str, Callable[[Points, Points], Numbers]]] = {
    "rigid": _rigid,
    "similarity": _similarity,
    "affine": _affine,
}
