"""What a writer offers the engine: a place where blocks of pixels go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from neuropack.axes import Array, Box
from neuropack.errors import NeuropackError


class Unresumable(NeuropackError):  # noqa: N818 - a state of a file, which the engine answers by starting over
    """What lies under the temporary name is not a file that can be continued: start it over."""


@dataclass(frozen=True)
class Statistics:
    """Intensities of one channel: extremes of the finite values, and how many voxels are at the type's maximum."""

    minimum: float
    maximum: float
    saturated: int
    voxels: int

    @property
    def saturation_fraction(self) -> float:
        """Share of the voxels that are at the largest value of the type; 0 for floating point."""
        return self.saturated / self.voxels if self.voxels else 0.0

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.saturated + other.saturated,
            self.voxels + other.voxels,
        )

    @classmethod
    def of(cls, values: Array) -> Self:
        """Measure an array."""
        if values.dtype.kind == "f":
            finite = values[np.isfinite(values)]
            low, high = (finite.min(), finite.max()) if finite.size else (math.inf, -math.inf)
            return cls(float(low), float(high), 0, values.size)
        top = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
        high = values.max()
        saturated = int(np.count_nonzero(values == top)) if high == top else 0
        return cls(float(values.min()), float(high), saturated, values.size)


class Sink(Protocol):
    """Takes the blocks of one image under a temporary name; the engine publishes the finished file.

    Attributes:
        footprint: lengths along the volume's axes. A block starts on a multiple of it along every axis and ends
            on one or at the border, so that no two blocks ever touch one chunk.
    """

    footprint: tuple[int, ...]

    def write(self, box: Box, block: Array) -> None:
        """Store a block of level 0, in the volume's axes. One thread calls, in the order of the engine's plan."""
        ...

    def flush(self) -> None:
        """Return when everything written so far is on disk: the engine then notes it in its journal."""
        ...

    def finish(self, statistics: Sequence[Statistics]) -> None:
        """Complete the file (coarser levels, metadata) and close it; it still has its temporary name.

        Args:
            statistics: of level 0, one per channel.
        """
        ...

    def close(self) -> None:
        """Let go of all handles, also after an error. May be called twice."""
        ...
