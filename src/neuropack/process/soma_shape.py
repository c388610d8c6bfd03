"""What a cell body looks like on a coarse grid: bright, thicker than neurites, even, and round.

Imported where it is needed: it is what `neuropack.process.soma_detection` does with a block.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.errors import UsageError

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]
Step = tuple[float, float, float]
Read = Callable[[Box, tuple[int, ...]], Pixels]

_CALM_UM, _CUT = 0.6, 3.0  # blur before opening, or noise decides: standard deviation, and where it is cut
_HALF = 0.5  # of the brightness of a body: where its surface is
_ANGLE = 0.45  # radians between the colours of a body and of its voxels
_SHIFTS, _PULL = 4, 1.2  # rounds in which a ball moves to the middle of what lies within so many radii
_APART = 0.65  # of the sum of the radii of two bodies: centres that are nearer are of one body
_SHELL = (1.25, 1.7)  # radii between which there is little but the stems of dendrites
_FULL = 0.15  # part of that shell that is as bright: what has more is no ball
# Radii of the core of a body, and what opening leaves of its brightness, at least: crossing neurites are not even.
_CORE, _EVEN = 0.7, 0.7
# Radii of a column through its middle, how far along it, and how much of that it fills, at least: it is not flat.
_COLUMN, _REACH, _THICK = 0.5, 1.5, 1.2
# Window that most bodies fit into, micrometre, and the evenness of the least ball, below which none is looked for.
_FIRST, _MAYBE = 7.0, 0.5


@dataclass(frozen=True)
class SomaOptions:
    """What a cell body is.

    Attributes:
        neurite_um: radius of the thickest neurite; where none is so thick, smaller bodies can be told from them.
        smallest_um, largest_um: radii of bodies.
        least: noises of a voxel of the image by which a body is brighter than the background, at least.
        voxel_um: voxels smaller than this are averaged: a body of 8 um needs no finer ones.
    """

    neurite_um: float = 2.0
    smallest_um: float = 2.8
    largest_um: float = 12.0
    least: float = 6.0
    voxel_um: float = 1.0

    def check(self) -> None:
        """See that they make sense.

        Raises:
            UsageError: they do not.
        """
        values = (self.neurite_um, self.smallest_um, self.largest_um, self.least, self.voxel_um)
        if not all(math.isfinite(v) and v > 0 for v in values):
            raise UsageError(
                "what a soma is, is told by numbers above 0",
                expected="neurite, smallest and largest radius, noises, and edge of a voxel",
                found=", ".join(f"{v:g}" for v in values),
            )
        if not self.neurite_um <= self.smallest_um < self.largest_um:
            raise UsageError(
                "the smallest soma is thicker than neurites, and thinner than the largest one",
                expected="neurite <= smallest < largest",
                found=f"{self.neurite_um:g}, {self.smallest_um:g}, {self.largest_um:g} um",
            )


class DetectedSoma(NamedTuple):
    """A cell body.

    Attributes:
        xyz: its centre in the frame ``stack``, micrometre.
        radius_um: where half of the directions from the centre have left it, at half of its brightness.
        confidence: 0 to 1; low where it is as dim as noise, uneven, or much around it is as bright, as in a vessel.
        color: a weight for each channel that was looked at, 0 to 1, the largest is 1.
        brightness: above the background, in noises of a voxel of the image, over all channels.
    """

    xyz: tuple[float, float, float]
    radius_um: float
    confidence: float
    color: tuple[float, ...]
    brightness: float


class _Ball(NamedTuple):
    """A body in a window: its centre in voxels of it, how full the shell around it is, how even
    it is, and how thick where it is thinnest."""

    centre: Floats
    radius: float
    full: float
    even: float
    thick: float
    peak: Floats


class BodyFinder:
    """Finds the bodies whose maxima lie in a block: each by what lies within a window around its own maximum.

    Args:
        options: what a cell body is.
        step: z, y, x of a voxel of the grid, micrometre.
        shape: of the grid.
    """

    def __init__(self, options: SomaOptions, step: Step, shape: tuple[int, ...]) -> None:
        self._options, self._step, self._shape = options, np.array(step), shape
        self._opening = _ball(options.neurite_um, step)
        self._near = _ball(options.smallest_um, step)
        self._calm = [_CALM_UM / s for s in step]
        self._smooth = [0.4 * options.smallest_um / s for s in step]
        largest = options.largest_um
        # A maximum lies within a radius of the centre, and the shell around that within another ones.
        self._windows = [
            [math.ceil((1 + _SHELL[1]) * reach / s) for s in step]
            for reach in sorted({min(_FIRST, largest), largest})
        ]
        opening = [n - 1 for n in self._opening.shape]  # erosion, then dilation
        calm, smooth = ([int(_CUT * s + 0.5) for s in sigma] for sigma in (self._calm, self._smooth))
        near = [n // 2 for n in self._near.shape]
        self._narrow = tuple(c + o for c, o in zip(calm, opening, strict=True))
        self._halo = tuple(n + s + m for n, s, m in zip(self._narrow, smooth, near, strict=True))

    def bodies(self, read: Read, box: Box) -> list[DetectedSoma]:
        """Those of a box (z, y, x).

        Args:
            read: gives the voxels (channels, z, y, x) in noise units of a box and a halo of so many voxels around
                it, mirrored beyond the border of the image.
            box: in voxels of the grid.
        """
        from scipy import ndimage

        block = read(box, self._halo)
        if float(block.max(initial=0.0)) < self._options.least:
            return []
        opened = self._opened(block)
        bright = _norm(opened)
        smooth = ndimage.gaussian_filter(bright, self._smooth, truncate=_CUT)
        peaks = smooth == ndimage.maximum_filter(smooth, footprint=self._near)
        peaks &= bright >= self._options.least
        inner = tuple(slice(h, n - h) for h, n in zip(self._halo, smooth.shape, strict=True))
        found = []
        for at in np.argwhere(peaks[inner]) + self._halo:
            if self._may_be(opened, block, at):
                ball = self._ball_at(read, at - self._halo + [s.start for s in box])
                if ball is not None:
                    found.append(self._soma(ball))
        return found

    def _opened(self, block: Pixels) -> Pixels:
        from scipy import ndimage

        calm = (ndimage.gaussian_filter(one, self._calm, truncate=_CUT) for one in block)
        opened = np.stack([ndimage.grey_opening(one, footprint=self._opening) for one in calm])
        np.maximum(opened, 0, out=opened)
        return opened

    def _may_be(self, opened: Pixels, block: Pixels, at: npt.NDArray[np.int64]) -> bool:
        """Whether a maximum is not all too uneven: that spares most of the work."""
        reach = [n // 2 for n in self._near.shape]
        around = tuple(slice(a - r, a + r + 1) for a, r in zip(at.tolist(), reach, strict=True))
        core = _mean(_along(block[:, *around], _unit(opened[:, *at]))[self._near])
        return float(np.linalg.norm(opened[:, *at])) >= _MAYBE * core

    def _ball_at(self, read: Read, at: npt.NDArray[np.int64]) -> _Ball | None:
        """The body at a maximum, if there is one; its centre in voxels of the grid."""
        inner = tuple(slice(n, -n or None) for n in self._narrow)
        for window in self._windows:
            box = tuple(slice(a - w, a + w + 1) for a, w in zip(at.tolist(), window, strict=True))
            block = read(box, self._narrow)
            ball = self._ball(self._opened(block)[:, *inner], block[:, *inner], self._seen(box))
            if ball is None or ball.radius <= min(_FIRST, self._options.largest_um) or window == self._windows[-1]:
                break
        if ball is None or not self._options.smallest_um <= ball.radius <= self._options.largest_um:
            return None
        if ball.full > _FULL or ball.even < _EVEN or ball.thick < _THICK:
            return None
        return ball._replace(centre=ball.centre + at - window)

    def _seen(self, box: Box) -> npt.NDArray[np.bool_]:
        """Which voxels of a box tell whether a body is round: in an image thinner than one, only its own planes."""
        thin = np.array(self._shape) * self._step < 2 * self._options.smallest_um
        z, y, x = (
            ~t | ((np.arange(s.start, s.stop) >= 0) & (np.arange(s.start, s.stop) < n))
            for s, n, t in zip(box, self._shape, thin, strict=True)
        )
        seen: npt.NDArray[np.bool_] = z[:, None, None] & y[:, None] & x
        return seen

    def _ball(self, opened: Pixels, block: Pixels, seen: npt.NDArray[np.bool_]) -> _Ball | None:
        """The body around the maximum in the middle of a window; None where it comes to nothing."""
        from scipy import ndimage

        middle = np.array(opened.shape[1:]) // 2
        peak = opened[:, *middle].astype(np.float64)
        brightness, unit = float(np.linalg.norm(peak)), _unit(peak)
        along = _along(opened, unit)
        aside = np.sqrt(np.maximum(_norm(opened) ** 2 - along * along, 0))
        mask = (along >= _HALF * brightness) & (aside <= math.tan(_ANGLE) * along)
        parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
        mask = parts == parts[tuple(middle)]
        centre = self._climbed(ndimage.distance_transform_edt(mask, sampling=self._step), middle)
        for _ in range(_SHIFTS):
            away = self._away(mask.shape, centre)
            radius = self._radius(mask, away)
            inside = np.argwhere(mask & (away <= _PULL * radius))
            if not len(inside):
                return None
            centre = inside.mean(axis=0)
        full = _mean(mask[seen & (away >= _SHELL[0] * radius) & (away <= _SHELL[1] * radius)])
        core = _mean(_along(block, unit)[away <= _CORE * radius])
        thick = self._thickness(mask, centre, radius)
        return _Ball(centre, radius, full, brightness / max(core, brightness), thick, peak)

    def _thickness(self, mask: npt.NDArray[np.bool_], centre: Floats, radius: float) -> float:
        """How far a body reaches along the axis where that is least, in radii."""
        found = []
        for axis, step in enumerate(self._step.tolist()):
            away = self._away(mask.shape, centre, without=axis)
            line = np.moveaxis(mask & (away <= _COLUMN * radius), axis, 0).reshape(mask.shape[axis], -1).any(axis=1)
            near = np.abs(np.arange(mask.shape[axis]) - centre[axis]) * step <= _REACH * radius
            found.append(float((line & near).sum()) * step)
        return min(found) / radius if radius > 0 else 0.0

    def _radius(self, mask: npt.NDArray[np.bool_], away: Floats) -> float:
        """Where half of the directions have left the body: stems of dendrites and a touching body do not count."""
        width = float(self._step.min())
        edges = np.arange(0, self._options.largest_um + 2 * width, width)
        shell = np.digitize(away.ravel(), edges)
        voxels = np.bincount(shell, minlength=len(edges) + 1)[1:-1]
        inside = np.bincount(shell, mask.ravel(), len(edges) + 1)[1:-1]
        known = voxels > 0
        part, middles = inside[known] / voxels[known], (edges[:-1] + 0.5 * width)[known]
        left = np.flatnonzero(part < _HALF)
        if not len(left):
            return float(middles[-1])
        out = int(left[0])
        if out == 0:
            return 0.0
        high, low = part[out - 1], part[out]
        return float(middles[out - 1] + (high - _HALF) / (high - low) * (middles[out] - middles[out - 1]))

    def _climbed(self, distance: Floats, start: npt.NDArray[np.int64]) -> Floats:
        """Centre of the ball uphill from a voxel: bodies that touch have one each."""
        at = start
        while True:  # each step is uphill
            near = self._away(distance.shape, at.astype(np.float64)) <= self._options.smallest_um
            inside = np.where(near, distance, 0)
            top = np.array(np.unravel_index(int(inside.argmax()), inside.shape))
            if distance[tuple(top)] <= distance[tuple(at)]:
                break
            at = top
        crown = np.argwhere((distance >= 0.9 * float(distance[tuple(at)])) & near)
        return crown.mean(axis=0) if len(crown) else at.astype(np.float64)

    def _away(self, shape: tuple[int, ...], centre: Floats, without: int = -1) -> Floats:
        """Distance of each voxel of a window from a place in it, micrometre, or from a line along an axis there."""
        z, y, x = (
            ((np.arange(n) - c) * s * (axis != without)) ** 2
            for axis, (n, c, s) in enumerate(zip(shape, centre.tolist(), self._step.tolist(), strict=True))
        )
        away: Floats = np.sqrt(z[:, None, None] + y[:, None] + x)
        return away

    def _soma(self, ball: _Ball) -> DetectedSoma:
        z, y, x = ((ball.centre + 0.5) * self._step).tolist()
        brightness = float(np.linalg.norm(ball.peak))
        seen = brightness / (brightness + self._options.least / 2)
        confidence = float(np.clip(seen * (1 - ball.full) * ball.even, 0, 1))
        color = tuple((ball.peak / ball.peak.max()).tolist())
        return DetectedSoma((x, y, z), ball.radius, confidence, color, brightness)


def distinct(somata: list[DetectedSoma]) -> list[DetectedSoma]:
    """Bodies of which no two are one: the larger and surer stays. By their places z, y, x."""
    from scipy.spatial import KDTree

    ordered = sorted(somata, key=lambda one: (-one.confidence * one.radius_um, one.xyz[::-1]))
    if not ordered:
        return []
    places = np.array([one.xyz for one in ordered])
    radii = np.array([one.radius_um for one in ordered])
    tree, gone, kept = KDTree(places), np.zeros(len(ordered), bool), []
    for row, one in enumerate(ordered):
        if gone[row]:
            continue
        kept.append(one)
        near = np.array(tree.query_ball_point(places[row], _APART * (radii[row] + radii.max())))
        apart = np.linalg.norm(places[near] - places[row], axis=1)
        gone[near[apart < _APART * (radii[near] + radii[row])]] = True
    return sorted(kept, key=lambda one: one.xyz[::-1])


def _ball(radius: float, step: Step) -> npt.NDArray[np.bool_]:
    """The voxels whose centres lie within a radius (um) of the middle one, and the middle one."""
    reach = [int(radius / s + 1e-6) for s in step]
    z, y, x = np.ogrid[tuple(slice(-n, n + 1) for n in reach)]
    inside: npt.NDArray[np.bool_] = (z * step[0]) ** 2 + (y * step[1]) ** 2 + (x * step[2]) ** 2 <= radius**2 + 1e-6
    return inside


# Sums over channels one by one: a product of matrices may round otherwise where an array lies otherwise in memory.


def _norm(block: Pixels) -> Pixels:
    total: Pixels = np.sqrt((block * block).sum(axis=0))
    return total


def _unit(colour: Array) -> Floats:
    wide = colour.astype(np.float64)
    unit: Floats = wide / np.linalg.norm(wide)
    return unit


def _along(block: Pixels, unit: Floats) -> Floats:
    total: Floats = (block * unit[:, None, None, None]).sum(axis=0)
    return total


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else 0.0
