"""Whole neurons from seeds, as a start for people: traced by themselves, with the places that a person should see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.progress import Progress
from neuropack.skeleton import SOMA, Skeleton
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seed:
    """Where a neuron begins.

    Attributes:
        xyz: micrometre in the frame ``stack``.
        neuron: its name. Seeds of one name are of one neuron, and are joined where their branches meet.
        radius_um: of the soma whose centre it is; 0 where it lies on a neurite.
        soma: whether it is the centre of a soma.
    """

    xyz: tuple[float, float, float]
    neuron: str
    radius_um: float = 0.0
    soma: bool = False


@dataclass(frozen=True)
class Options:
    """How neurons are traced.

    Attributes:
        threshold: brightness of a neurite, in noises of the smoothed image.
        smoothing_um: sigma of the Gaussian; at least half a voxel and at most two and a half along each axis.
        widest_gap_um: dark stretch that is bridged.
        color_sigma: how far, in rad, the colour of a neurite strays.
        shortest_um: length of the shortest branch.
        spur: a branch is longer than this many radii of the neurite that it leaves.
        wider: a branch covers what lies within so many of its radii.
        node_um: distance of the nodes of a branch.
        doubtful: nodes of a lower confidence are flagged.
    """

    threshold: float = 4.5
    smoothing_um: float = 0.3
    widest_gap_um: float = 2.0
    color_sigma: float = 0.35
    shortest_um: float = 4.0
    spur: float = 1.5
    wider: float = 1.5
    node_um: float = 1.0
    doubtful: float = 0.5


@dataclass(frozen=True)
class Flag:
    """A place that a person should look at.

    Attributes:
        neuron: its name.
        node: of its skeleton; 0 where it has none.
        xyz: micrometre.
        reason: weak, gap, colour, contact, unreadable, no signal, apart.
        about: a sentence.
        confidence: 0 to 1: in the worst node of the place.
        below_um: cable that hangs on it.
    """

    neuron: str
    node: int
    xyz: tuple[float, float, float]
    reason: str
    about: str
    confidence: float
    below_um: float


@dataclass(frozen=True, eq=False)
class Traced:
    """Neurons that were traced by themselves.

    Attributes:
        skeletons: by name.
        confidence: of each node, by the name of its neuron.
        flags: the worst first.
        made_by: all that decides the result.
    """

    skeletons: dict[str, Skeleton]
    confidence: dict[str, Floats]
    flags: list[Flag]
    made_by: dict[str, Any] = field(default_factory=dict)


def trace_neurons(
    volume: Volume,
    seeds: Sequence[Seed],
    options: Options | None = None,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Traced:
    from neuropack.trace.branches import Pruning, find_ways
    from neuropack.trace.front import Front, light_of

    o = options or Options()
    z, y, x = (float(s or 0) for s in volume.voxel_size_um)
    sigma = tuple(float(np.clip(o.smoothing_um / s, 0.5, 2.5)) for s in (z, y, x))
    light = light_of(volume, (sigma[0], sigma[1], sigma[2]))
    front = Front(volume, light, folder)
    sources = np.array([np.clip(np.floor(np.array(s.xyz[::-1]) / front.step), 0, front.shape - 1) for s in seeds], np.int64)
    names = list(dict.fromkeys(s.neuron for s in seeds))
    neuron = np.array([names.index(s.neuron) for s in seeds], np.int64)
    colors = []
    for row, s in enumerate(seeds):
        reach = np.ceil(np.maximum(1.0, 0.5 * s.radius_um) / front.step).astype(np.int64)
        low, high = np.maximum(sources[row] - reach, 0), np.minimum(sources[row] + reach + 1, front.shape)
        box = front.box(low, high)
        bright = np.linalg.norm(np.maximum(box, 0), axis=3)
        if not s.soma:
            sources[row] = low + np.unravel_index(int(bright.argmax()), bright.shape)
        core = np.maximum(box[bright >= 0.5 * bright.max()].mean(axis=0), 0)
        size = float(np.linalg.norm(core))
        colors.append(core / size if size > 0 else np.full(len(core), len(core) ** -0.5))
    color = np.array(colors)
    front.grow(sources, color, o.threshold, o.widest_gap_um, o.color_sigma, progress)
    radius = np.array([s.radius_um for s in seeds])
    ways = find_ways(front, sources, radius, neuron, color, Pruning(o.shortest_um, o.spur, o.wider), progress)
    from neuropack.trace.nodes import skeletons_of
    return skeletons_of(front, ways, seeds, names, neuron, sources, color, o)
