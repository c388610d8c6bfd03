"""Whole neurons from seeds, as a start for people: traced by themselves, with the places that a person should see.

A front grows from all seeds at once through what is bright and of their colour (Dijkstra, in steps of physical
length); each voxel goes to the seed that it is cheapest to come from. The ways of the front, the longest first, are
the branches: each covers what lies around it, and what is then too short is none. This joins the fast marching of
APP2 (Xiao and Peng 2013) with the coverage of TEASAR (Sato et al. 2000); here several neurons compete, by colour
too, and blocks are read when the front comes to them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neuropack import __version__
from neuropack.errors import UsageError
from neuropack.progress import Progress
from neuropack.skeleton import Skeleton, parent_rows
from neuropack.trace.depth import mark_blur
from neuropack.trace.finding import inside, stack_record
from neuropack.trace.flags import Flag, flags_of, longest_first
from neuropack.trace.nodes import Cable, cable_of, set_soma, skeleton_of, thinned
from neuropack.volume import Volume

if TYPE_CHECKING:
    from neuropack.trace.branches import Ways
    from neuropack.trace.front import Front

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_AROUND_UM = 1.0  # of a seed on a neurite: its brightest voxel is where the front begins


@dataclass(frozen=True)
class Seed:
    """Where a neuron begins.

    Attributes:
        xyz: micrometre in the frame ``stack``.
        neuron: its name. Seeds of one name are of one neuron, and are joined where their branches meet.
        soma: whether it is the centre of a soma; else it lies on a neurite.
        radius_um: of the soma; 0: it is measured.
    """

    xyz: tuple[float, float, float]
    neuron: str
    soma: bool = False
    radius_um: float = 0.0


@dataclass(frozen=True)
class AutomaticOptions:
    """How neurons are traced.

    Attributes:
        threshold: brightness of a neurite, in noises of the smoothed image.
        smoothing_um: sigma of the Gaussian; at least half a voxel and at most two and a half along each axis.
        widest_gap_um: dark stretch that is bridged.
        widest_mix_um: stretch of another colour that is bridged where it is bright: where neurites cross, their
            colours mix.
        color_sigma: how far, in rad, the colour of a neurite strays along its way.
        shortest_um: length of the shortest branch.
        spur: a branch is longer than this many radii of the neurite that it leaves.
        wider: a branch covers so many times as far as it is bright around it.
        least: a branch ends where the rest of its way is less sure than that, 0 to 1.
        node_um: distance of the nodes of a branch.
        doubtful: places of a lower confidence are flagged.
        channel: the only one that is looked at, from 0; None: all.
    """

    threshold: float = 5.0
    smoothing_um: float = 0.3
    widest_gap_um: float = 1.0
    widest_mix_um: float = 4.0
    color_sigma: float = 0.1
    shortest_um: float = 4.0
    spur: float = 1.5
    wider: float = 1.5
    least: float = 0.5
    node_um: float = 1.0
    doubtful: float = 0.5
    channel: int | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = 1e-6 if name in ("threshold", "smoothing_um", "color_sigma", "wider", "node_um") else 0.0
            if value is not None and not least <= value < math.inf:
                raise UsageError(f"{name} cannot be that", expected="a positive number", found=f"{value}")


@dataclass(frozen=True, eq=False)
class Traced:
    """Neurons that were traced by themselves.

    Attributes:
        skeletons: by name; those without any signal at their seeds are missing, and flagged.
        confidence: of each node (n,), by the name of its neuron.
        flags: the places that a person should look at, those that most cable hangs on first.
        made_by: all that decides the result.
    """

    skeletons: dict[str, Skeleton]
    confidence: dict[str, Floats]
    flags: list[Flag]
    made_by: dict[str, Any] = field(default_factory=dict)


def trace_neurons(
    volume: Volume,
    seeds: Sequence[Seed],
    options: AutomaticOptions | None = None,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Traced:
    """Trace neurons from their somata, or from points on them.

    The result hangs on the image, the seeds and the options only. Of a time series the first frame is traced. A
    block of the image is read when the front comes to it, with a border for smoothing; before that, some blocks all
    over the image tell background and noise.

    Memory: some tens of megabytes, 16 bytes for each voxel of the front's edge, and about 300 for each voxel along
    a branch. What is known of the voxels that the front came to, 19 bytes and 2 for each channel, lies in temporary
    files that the system maps, and keeps in memory as far as there is room.

    Args:
        volume: with its voxel size; all its channels are looked at together, each in units of its noise.
        seeds: at least one for each neuron.
        options: how.
        folder: for the temporary files; None: the system's own.
        progress: told blocks of the image that were read, and all of them; then ends of branches.

    Raises:
        UsageError: there is no seed, one lies outside of the image, or the voxel size is not known; Numba is not
            installed.
        OutputError: the disk has no room for the temporary files.
    """
    o = options or AutomaticOptions()
    stack = stack_record(volume)
    if not seeds:
        raise UsageError("there is nothing to begin with", expected="at least one seed", found="none")
    for seed in seeds:
        inside(stack, seed.xyz)
        if not 0 <= seed.radius_um < math.inf:
            raise UsageError(
                f"the soma of {seed.neuron} has no such radius",
                expected="micrometre, 0 or more",
                found=f"{seed.radius_um}",
            )
    from neuropack.trace.branches import Pruning, find_ways
    from neuropack.trace.front import Front, light_of

    z, y, x = (min(max(o.smoothing_um / float(s or 1), 0.5), 2.5) for s in volume.voxel_size_um)
    channels = _channels(volume, o.channel)
    front = Front(volume, light_of(volume, channels, (z, y, x)), folder)
    try:
        names = list(dict.fromkeys(seed.neuron for seed in seeds))
        neuron = np.array([names.index(seed.neuron) for seed in seeds], np.int64)
        sources, colors, bright = _sources(front, seeds)
        front.grow(sources, colors, o.threshold, (o.widest_gap_um, o.widest_mix_um), o.color_sigma, progress)
        radius = _soma_radii(front, seeds, sources, colors)
        pruning = Pruning(
            o.shortest_um, o.spur, o.wider, o.threshold, o.color_sigma, (o.widest_gap_um, o.widest_mix_um), o.least
        )
        ways = find_ways(front, sources, radius, neuron, colors, pruning, progress)
        first = sorted(ways.sources, key=lambda i: (not seeds[i].soma, i))
        cable = cable_of(front, ways, first, neuron, colors, o.threshold, o.color_sigma)
        unreadable = dict(front.unreadable)
    finally:
        front.close()
    made = _put_together(cable, ways, seeds, names, neuron, bright, radius, float(front.step[0]), o)
    made.flags.extend(_unreadable(unreadable, front))
    made_by = {"software": f"neuropack {__version__}", "stack": stack, "options": asdict(o)}
    return Traced(made.skeletons, made.confidence, longest_first(made.flags), made_by)


def _sources(front: Front, seeds: Sequence[Seed]) -> tuple[Ints, Floats, Floats]:
    """The voxel (z, y, x) of each seed, its colour, and its brightness in noises."""
    from neuropack.trace.branches import LARGEST_UM

    sources, colors, bright = [], [], []
    for seed in seeds:
        at = np.minimum(np.floor(np.array(seed.xyz[::-1]) / front.step).astype(np.int64), front.shape - 1)
        reach = np.ceil(min(max(_AROUND_UM, 0.5 * seed.radius_um), LARGEST_UM) / front.step).astype(np.int64)
        low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, front.shape)
        box = front.box(low, high)
        light = np.linalg.norm(np.maximum(box, 0), axis=3)
        top = np.array(np.unravel_index(int(light.argmax()), light.shape), np.int64)
        core = np.maximum(box[light >= 0.5 * light.max()].mean(axis=0), 0)
        size = float(np.linalg.norm(core))
        sources.append(at if seed.soma else low + top)
        colors.append(core / size if size > 0 else np.full(len(core), len(core) ** -0.5))
        bright.append(float(light.max()))
    return np.array(sources, np.int64), np.array(colors), np.array(bright)


def _channels(volume: Volume, channel: int | None) -> tuple[int, ...]:
    if channel is None:
        return tuple(range(volume.n_channels))
    if channel >= volume.n_channels:
        names = ", ".join(f"{i}: {c.name or 'unnamed'}" for i, c in enumerate(volume.channels))
        raise UsageError("has no such channel", file=volume.path, expected=names, found=str(channel))
    return (channel,)


def _soma_radii(front: Front, seeds: Sequence[Seed], sources: Ints, colors: Floats) -> Floats:
    """The radii of the somata: stated, or measured where the front began; 0 where there is none."""
    from neuropack.trace.branches import LARGEST_UM
    from neuropack.trace.way_kernels import radii

    found = np.array([seed.radius_um for seed in seeds])
    for i in (i for i, seed in enumerate(seeds) if seed.soma and not seed.radius_um):
        voxel = np.array([np.ravel_multi_index(sources[i].tolist(), front.shape)], np.int64)
        slot, at = front.locate(int(voxel[0]))
        if slot >= 0 and front.owner[slot, at] >= 0:
            place = (voxel, front.table, front.counts, front.shape, front.step)
            radii(*place, front.values, front.owner, colors, LARGEST_UM, found[i : i + 1])
    return found


def _put_together(
    cable: Cable,
    ways: Ways,
    seeds: Sequence[Seed],
    names: Sequence[str],
    neuron: Ints,
    bright: Floats,
    radius: Floats,
    z_um: float,
    o: AutomaticOptions,
) -> Traced:
    of = neuron[cable.source]
    for source, row in ways.sources.items():
        if seeds[source].soma:
            mine = np.flatnonzero(of == neuron[source])
            set_soma(cable, row, mine, seeds[source].xyz, float(radius[source]))
    mark_blur(cable, z_um)
    below, whole = cable.below_um(), (cable.confidence.copy(), cable.parent.copy())
    kept = thinned(cable, o.node_um)
    made = Traced({}, {}, [])
    for number, name in enumerate(names):
        rows = cable.order[of[cable.order] == number]
        nodes = rows[kept[rows]]
        begun = any(neuron[i] == number for i in ways.sources)
        dark = max(float(bright[i]) for i in np.flatnonzero(neuron == number)) < o.threshold
        if not begun or (len(nodes) < 2 and dark):
            seed = seeds[int(np.flatnonzero(neuron == number)[0])]
            about = "no seed of the neuron lies on anything brighter than the noise"
            made.flags.append(Flag(name, 0, seed.xyz, "no signal", about, 0.0, 0.0))
            continue
        made.skeletons[name], made.confidence[name] = skeleton_of(cable, nodes)
        at = _node_at(cable, rows, nodes, whole[1])
        looked = replace(cable, confidence=whole[0], parent=whole[1])
        made.flags.extend(flags_of(looked, rows, at, name, names, o.doubtful, below))
        made.flags.extend(_apart(made.skeletons[name], name))
    return made


def _node_at(cable: Cable, rows: Ints, nodes: Ints, parent: Ints) -> Ints:
    """For each row of the cable the node that stands for it: its own, or that of the next one below."""
    at = np.zeros(len(cable.parent), np.int64)
    at[nodes] = np.arange(1, len(nodes) + 1)
    for row in rows[::-1].tolist():
        if parent[row] >= 0 and at[parent[row]] == 0:
            at[parent[row]] = at[row]
    return at


def _apart(skeleton: Skeleton, name: str) -> list[Flag]:
    """Trees of one neuron that were not joined to its first."""
    flags, above = [], parent_rows(skeleton.id, skeleton.parent)
    length = np.linalg.norm(skeleton.xyz - skeleton.xyz[np.maximum(above, 0)], axis=1) * (above >= 0)
    for row in range(len(above) - 1, -1, -1):  # parents come first: in the end each root has the length of its tree
        if above[row] >= 0:
            length[above[row]] += length[row]
    for row in np.flatnonzero(above < 0)[1:].tolist():
        x, y, z = skeleton.xyz[row].tolist()
        about = "this part was not joined to the rest of the neuron"
        flags.append(Flag(name, int(skeleton.id[row]), (x, y, z), "apart", about, 0.0, float(length[row])))
    return flags


def _unreadable(blocks: dict[tuple[int, ...], str], front: Front) -> list[Flag]:
    from neuropack.trace.front_kernels import BLOCK

    flags = []
    for corner, why in sorted(blocks.items()):
        end = np.minimum(np.array(corner) + BLOCK, front.shape)
        x, y, z = ((np.array(corner) + end) / 2 * front.step)[::-1].tolist()
        where = ", ".join(f"{a} {s}-{e - 1}" for a, s, e in zip("zyx", corner, end.tolist(), strict=True))
        flags.append(Flag("", 0, (x, y, z), "unreadable", f"voxels {where} cannot be read: {why}", 0.0, 0.0))
    return flags
