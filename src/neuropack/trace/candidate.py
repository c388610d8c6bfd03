"""A way that was found, and what is told of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neuropack.trace.blocks import Unreadable
from neuropack.trace.measure import DRIFT, Measured
from neuropack.trace.path import TracedPath
from neuropack.trace.search import Search
from neuropack.trace.signal import Model

Floats = npt.NDArray[np.float64]

_TURN_OFF = 200.0  # voxels of way that a turn off at a crossing is as dear as
_DOUBT = 0.4  # what is left of the confidence at each of them
_CROWD = 400.0  # voxels looked around in for each of the path: with more, other neurites were nearly as good


class Way(NamedTuple):
    """The voxels (n, 3) of a way, its price, and the search that found it; None: it had a corridor to keep to."""

    voxels: npt.NDArray[np.int64]
    price: float
    search: Search | None


@dataclass(frozen=True, eq=False)
class Candidate:
    """A way that was found: measured, its price, the places that were shut, and where it turns off at crossings."""

    seen: Measured
    price: float
    shut: Floats
    false_turns: list[int]
    search: Search | None

    def worth(self, size: tuple[float, float, float]) -> float:
        """Its price, with that of its turns at crossings."""
        length = float(np.linalg.norm(np.diff(self.seen.nodes * np.array(size), axis=0), axis=1).sum())
        return self.price * (1 + len(self.false_turns) * _TURN_OFF * min(size) / max(length, min(size)))

    def answer(
        self, size: tuple[float, float, float], model: Model, expanded: int, unreadable: tuple[Unreadable, ...]
    ) -> TracedPath:
        """The path of it.

        Args:
            size: of a voxel, um.
            model: signal and noise.
            expanded: voxels that were looked around in.
            unreadable: parts of the image near it that could not be read.
        """
        seen = self.seen
        voxels = float(np.linalg.norm(np.diff(seen.nodes, axis=0), axis=1).sum())
        alone = 1 / math.sqrt(1 + expanded / max(voxels, 1.0) / _CROWD)
        notes: list[str] = []
        if unreadable:
            notes.append(
                f"{len(unreadable)} part(s) of the image near the path cannot be read; it goes around them"
            )
        if seen.supported < 0.3:
            notes.append("there is hardly any signal between the points: the line is a guess")
        elif seen.weakest < 0.3:
            notes.append("a stretch of the path has hardly any signal")
        if seen.drift is not None and model.width and seen.drift > 2 * DRIFT:
            notes.append("the colour changes along the path")
        if self.false_turns:
            notes.append("the path turns off where two neurites seem to cross")
        if alone < 0.5:
            notes.append("many other ways are nearly as good")
        return TracedPath(
            xyz=(seen.nodes[:, ::-1] + 0.5) * np.array(size[::-1]),
            radius_um=seen.radius_um,
            cost=self.price,
            expansions=expanded,
            contrast=seen.contrast,
            mean_contrast=float(seen.contrast.mean()),
            colour_drift=seen.drift,
            confidence=seen.confidence(model.width > 0) * _DOUBT ** len(self.false_turns) * alone,
            notes=tuple(notes),
            unreadable=unreadable,
            voxel_size_um=size,
        )
