"""How paths are looked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from neuropack.volume import Volume

Cost = Literal["brightness", "tubeness"]


@dataclass(frozen=True)
class Options:
    """How paths are looked for.

    Attributes:
        channel: the only one that is looked at, from 0; None: all of them.
        color: whether a path keeps to the colour at its start.
        time: the frame, from 0.
        sigma_um: of the Gaussian that blurs the image first; None: one voxel of the finest axis, 0.7 with `color`,
            for a blur mixes the colours of neighbours.
        cost: what makes a voxel cheap: its brightness, or how much it looks like a bright tube of a radius of about
            `sigma_um`, 1.5 voxels of the finest axis by default.
        filter: what else is done to the image first, in place of both: takes an image of float32, all NaN where
            nothing is known, and gives one of the same size; bright is neurite.
        color_width: radian of angle that makes a voxel e^0.5 times as dear.
        turning: what a step against the direction of the way costs: at a right angle, 1 + 0.8 of this as much.
        coarse_beyond: voxels of distance from which the way is looked for on a coarser level first.
        free_expansions: voxels that are looked around in at full resolution before that.
        most_expansions: voxels that a search may look around in.
        timeout_s: seconds that it may take.
        memory: bytes for what the search knows of voxels; as many for blocks and for raw pixels of each resolution.
    """

    channel: int | None = None
    color: bool = False
    time: int = 0
    sigma_um: float | None = None
    cost: Cost = "brightness"
    filter: Callable[[Volume], Volume] | None = None
    color_width: float = 0.2
    turning: float = 10.0
    coarse_beyond: float = 150.0
    free_expansions: int = 300_000
    most_expansions: int = 50_000_000
    timeout_s: float | None = None
    memory: int = 512 << 20
