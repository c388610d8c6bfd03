"""One resolution of an image, as a search sees it: its blocks, and what is signal and what is noise in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box, relative
from neuropack.trace import signal
from neuropack.trace.blocks import Grid, RawUnits
from neuropack.trace.options import Options
from neuropack.trace.search import Watch, Work

Floats = npt.NDArray[np.float64]

_AROUND = 8  # voxels on each side of a point that background and noise are taken from
FAR = 96
"""Voxels: two points farther away than this have a third place between them that is looked at."""


@dataclass(frozen=True)
class Level:
    """One resolution.

    Attributes:
        grid: its blocks, filtered.
        size: of a voxel, z, y, x, um.
        factor: voxels of the full resolution along the edges of one of this.
        raw: the raw pixels that it is made from.
        work: of searches in it.
    """

    grid: Grid
    size: tuple[float, float, float]
    factor: Floats
    raw: RawUnits
    work: Work = field(default_factory=Work)

    def down(self, points: Floats) -> Floats:
        """Voxels of the full resolution as voxels of this one."""
        return (points + 0.5) / self.factor - 0.5

    def up(self, points: Floats) -> Floats:
        """The other way."""
        return (points + 0.5) * self.factor - 0.5

    def nearest(self, point: Floats) -> npt.NDArray[np.int64]:
        """The voxel of this level that a point of the full resolution lies in."""
        voxel = np.floor(self.down(point) + 0.5).astype(np.int64)
        return np.clip(voxel, 0, np.array(self.grid.shape) - 1)

    def load(self, start: Floats, end: Floats, watch: Watch) -> None:
        """Read the raw pixels between two points, voxels of this level, and around them in one call."""
        low, high = np.minimum(start, end), np.maximum(start, end)
        box = tuple(
            slice(max(0, int(a) - _AROUND), min(n, int(b) + _AROUND + 1))
            for a, b, n in zip(low, high, self.grid.shape, strict=True)
        )
        watch.during(lambda: self.raw.load(box))

    def expect(self, points: Floats) -> None:
        """Say that the search will come near points (n, 3), voxels of this level, so that a server begins."""
        low, high = points - _AROUND, points + _AROUND
        for one in (low, high):
            np.clip(np.rint(one), 0, np.array(self.grid.shape) - 1, out=one)
        self.raw.expect(
            tuple(slice(int(a), int(b) + 1) for a, b in zip(*ends, strict=True))
            for ends in zip(low, high, strict=True)
        )

    def model(self, start: Floats, end: Floats, options: Options, watch: Watch) -> signal.Model:
        """Signal and noise near two points of the full resolution."""
        ends = [self.down(start), self.down(end)]
        places = ends
        if np.linalg.norm(ends[0] - ends[1]) > FAR:
            places = [ends[0], (ends[0] + ends[1]) / 2, ends[1]]
        samples = [self._near(place, watch) for place in places]
        floor, noise = signal.background(samples)
        vectors = []
        for place, sample in zip(ends, (samples[0], samples[-1]), strict=True):
            wide, box = (_around(place, reach, self.grid.shape) for reach in (_AROUND, 1))
            near = sample[(slice(None), *relative(box, wide))]
            scaled = ((near.reshape(len(near), -1).T - floor) / noise).astype(np.float64)
            scaled = scaled[np.isfinite(scaled).all(axis=1)]
            if len(scaled):
                vectors.append(scaled[np.maximum(scaled, 0).sum(axis=1).argmax()])
        vectors = vectors or [np.zeros(len(floor))]
        seen = vectors[:1] if options.color else vectors
        colour = signal.colour_at(seen, len(floor)) if len(floor) > 1 else np.ones(1)
        contrast = float(np.mean([v @ colour for v in vectors]))
        width = options.color_width if options.color and len(floor) > 1 else 0.0
        return signal.Model(
            *(floor, noise, colour.astype(np.float32), contrast, width),
            signal.costs(contrast),
        )

    def _near(self, point: Floats, watch: Watch) -> npt.NDArray[np.float32]:
        """The voxels of this level around a point of it."""
        box = _around(point, _AROUND, self.grid.shape)
        if all(self.grid.has(number) for number in self.grid.numbers(box)):
            return self.grid.gather(box)
        found: npt.NDArray[np.float32] = watch.during(lambda: self.grid.gather(box))
        return found


def _around(point: Floats, reach: int, shape: tuple[int, int, int]) -> Box:
    at = np.floor(point + 0.5).astype(int)
    return tuple(
        slice(max(0, min(n - 1, int(c)) - reach), min(n, max(0, int(c)) + reach + 1))
        for c, n in zip(at, shape, strict=True)
    )
