"""What a search answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neuropack.errors import NeuropackError
from neuropack.skeleton import Skeleton
from neuropack.trace.blocks import Unreadable

Floats = npt.NDArray[np.float64]
Reason = Literal["cancelled", "time-out", "budget", "no way"]


class PathError(NeuropackError):
    """No path was found. `reason` says why in a word; the message says it in a sentence."""

    def __init__(self, what: str, reason: Reason = "no way", **rest: Any) -> None:
        super().__init__(what, **rest)
        self.reason = reason


@dataclass(frozen=True, eq=False)
class TracedPath:
    """A path between two points, and how far it is to be trusted.

    Attributes:
        xyz: nodes (n, 3) from the start to the end, micrometre, frame ``stack``.
        radius_um: at each node (n,).
        cost: the price of the path: um of way, each multiplied with the cost of its voxels, which is 1 at least,
            and dearer where the way turns.
        expansions: voxels that the search looked around in, of all levels.
        contrast: at each node (n,): brightness over the background in units of its noise, of the filtered image.
        mean_contrast: of all nodes.
        colour_drift: the angle, radian, between the colour at the start and those along the path; a tenth of them
            is beyond it. None for an image of one channel.
        confidence: 0 to 1; what a curator sorts by, and no probability. Below a half, look at it.
        notes: what a person must know of it, sentences.
        unreadable: parts of the image near the path that could not be read, and that it goes around.
        voxel_size_um: z, y, x.
    """

    xyz: Floats
    radius_um: Floats
    cost: float
    expansions: int
    contrast: Floats
    mean_contrast: float
    colour_drift: float | None
    confidence: float
    notes: tuple[str, ...]
    unreadable: tuple[Unreadable, ...]
    voxel_size_um: tuple[float, float, float]

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def length_um(self) -> float:
        """Of the path."""
        return float(np.linalg.norm(np.diff(self.xyz, axis=0), axis=1).sum())

    @property
    def zyx(self) -> Floats:
        """The nodes (n, 3) as voxels z, y, x, where voxel i has its centre at i."""
        zyx: Floats = self.xyz[:, ::-1] / np.array(self.voxel_size_um) - 0.5
        return zyx

    def skeleton(self, type: int = 0, comments: tuple[str, ...] = ()) -> Skeleton:
        """The path as a tree without branches, rooted at its start.

        Args:
            type: of all nodes, as SWC has it: 2 axon, 3 dendrite.
            comments: of the skeleton.
        """
        n = len(self.xyz)
        ids = np.arange(1, n + 1, dtype=np.int64)
        parent = ids - 1
        parent[:1] = -1
        return Skeleton(ids, np.full(n, type, np.int64), self.xyz, self.radius_um, parent, comments=comments)

    def record(self) -> dict[str, Any]:
        """What ``--json`` prints of it, without the nodes."""
        return {
            "nodes": len(self),
            "length_um": round(self.length_um, 3),
            "cost": round(self.cost, 3),
            "expansions": self.expansions,
            "mean_contrast": round(self.mean_contrast, 2),
            "colour_drift_rad": None if self.colour_drift is None else round(self.colour_drift, 3),
            "confidence": round(self.confidence, 3),
            "mean_radius_um": round(float(self.radius_um.mean()), 3),
            "notes": list(self.notes),
            "unreadable": [str(one) for one in self.unreadable],
        }
