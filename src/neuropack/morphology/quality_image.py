"""Does a tracing lie on the bright structure, or beside it? What the image says of its coordinates.

The brightness around the nodes is averaged over them. A tracing that is right has its peak at no shift; one of
another origin has it elsewhere; one of another image has none. The average is over hundreds of nodes, so that
noise, gaps and the neighbours of a neuron in a dense stack cancel out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.morphology.quality import Flaw, Points
from neuropack.morphology.quality_grid import Grid
from neuropack.skeleton import SOMA, Skeleton

NODES = 200
"""Nodes that are looked at, drawn with a seed."""
FEWEST_NODES = 30
SEARCH_UM = 4.0
"""How far around the nodes a better place is looked for."""
BETTER = 1.6
"""Another place must be brighter by this factor to be told."""
DARK = 0.15
"""Contrast at the nodes below which they may lie on background."""
_HALF = (8, 32, 32)
_STANDS_OUT = 4.0
_HALF_WITHIN = 0.2
_TOGETHER = 1 << 20  # voxels

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Centring:
    """How a tracing lies on the image.

    Attributes:
        nodes: how many were looked at.
        channel: the one that shows the neuron best.
        contrast: brightness at the nodes, averaged: 0 is their surroundings, 1 the brightest of these.
        best_contrast: the same where it is highest around them.
        offset_um: from the nodes to there (x, y, z).
        stands_out: whether that place can be told from noise.
        seen: whether the nodes themselves can.
        beyond: True where it lies at the border of what was searched, so that the neuron may lie farther away.
        tolerance_um: how far a tracing may lie from the middle of a neurite, along x, y, z.
        voxel_um: of the image, x, y, z.
        other: another meaning of the coordinates that puts the nodes on something bright, and its contrast.
    """

    nodes: int
    channel: str
    contrast: float
    best_contrast: float
    offset_um: tuple[float, float, float]
    stands_out: bool
    seen: bool
    beyond: bool
    tolerance_um: tuple[float, float, float]
    voxel_um: tuple[float, float, float]
    other: tuple[str, float] | None = None

    @property
    def shifted(self) -> bool:
        """True where the neuron lies clearly beside the nodes."""
        far = any(abs(o) > t for o, t in zip(self.offset_um, self.tolerance_um, strict=True))
        bright = self.best_contrast > max(BETTER * self.contrast, 2 * DARK)
        return self.stands_out and far and bright

    @property
    def dark(self) -> bool:
        """True where the nodes lie on background."""
        return self.contrast < DARK and not self.seen and not self.shifted

    @property
    def half_voxel(self) -> bool:
        """True where all lies half a voxel off: counted from the centre of the first voxel, or half too far."""
        parts = np.array(self.offset_um) / np.array(self.voxel_um)
        half = bool((np.abs(np.abs(parts) - 0.5) < _HALF_WITHIN).all()) and len(set(np.sign(parts).tolist())) == 1
        return half and self.stands_out and self.contrast > 2 * DARK and not self.shifted

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "nodes": self.nodes,
            "channel": self.channel,
            "contrast": round(self.contrast, 3),
            "offset_um": [round(v, 3) for v in self.offset_um],
            "best_contrast": round(self.best_contrast, 3),
            "half_voxel": self.half_voxel,
            "other_meaning": self.other[0] if self.other else None,
        }


def centring(skeleton: Skeleton, image: Grid, *, seed: int = 0, nodes: int = NODES) -> Centring | None:
    """How a tracing lies on its image; None where too few nodes lie in it to say.

    Args:
        skeleton: in the frame of the image.
        image: as recorded; the channel that shows the neuron best is used.
        seed: of the sample of nodes.
        nodes: how many are looked at.
    """
    neurite = np.flatnonzero(skeleton.type != SOMA)
    random = np.random.default_rng(seed)
    rows = neurite if len(neurite) <= nodes else random.choice(neurite, nodes, replace=False)
    xyz = skeleton.xyz[rows]
    half = _half(image)
    with np.errstate(invalid="ignore", over="ignore"):
        seen = _average(image, xyz, half)
        if seen is None:
            return None  # `outside` tells of those beside the image
        maps, used, centre_um = seen
    channel = _channel(maps, half)
    peak = _read_off(maps[channel], half, image)
    offset = (peak.way * np.array(image.voxel_um))[::-1] + centre_um
    radius = float(np.median(skeleton.radius[rows]))
    tolerance = np.maximum(2 * np.array(image.voxel_um[::-1]), 1.5 * radius)
    tolerance[2] = max(0.75 * image.voxel_um[0], 1.5 * radius)  # one slice off is a mistake of its own
    name = image.channels[channel] if channel < len(image.channels) else f"channel {channel}"
    made = Centring(
        nodes=used,
        channel=name,
        contrast=peak.here,
        best_contrast=peak.best,
        offset_um=_three(offset),
        stands_out=peak.stands_out,
        seen=peak.seen,
        beyond=peak.beyond,
        tolerance_um=_three(tolerance),
        voxel_um=_three(np.array(image.voxel_um[::-1])),
    )
    if made.shifted or made.dark:
        other = _other_meaning(image, xyz, half, max(made.contrast, made.best_contrast if made.shifted else 0.0))
        return replace(made, other=other)
    return made


def off_centre(found: Centring, name: str = "the image") -> Flaw | None:
    """What is wrong with how a tracing lies on its image; None where nothing is."""
    fix = "correct unit, order of the axes or origin; or name the image that it was traced in"
    where = f"{found.nodes} nodes, {found.channel}"
    if found.other is not None:
        meaning, contrast = found.other
        expected = f"nodes on the neuron, as it shows in {name}"
        told = (
            f"contrast {found.contrast:.2f} at the nodes, {contrast:.2f} if the coordinates are {meaning} ({where})"
        )
        return Flaw("image", (), None, expected, told, fix)
    if found.shifted:
        shift = ", ".join(f"{a} {v:+.2f}" for a, v in zip("xyz", found.offset_um, strict=True))
        told = f"the neuron lies {shift} um beside them{', or farther' if found.beyond else ''}: contrast "
        told += f"{found.contrast:.2f} at the nodes, {found.best_contrast:.2f} there ({where})"
        within = ", ".join(f"{v:.2g}" for v in found.tolerance_um)
        return Flaw("image", (), None, f"nodes within {within} um of the middle of the neuron", told, fix)
    if found.dark:
        told = f"the image is no brighter at the nodes than around them: contrast {found.contrast:.2f} ({where})"
        return Flaw("image", (), None, f"nodes on the neuron, as it shows in {name}", told, fix)
    if found.half_voxel:
        less = found.offset_um[0] > 0
        told = f"all nodes lie half a voxel too {'low' if less else 'high'} along x, y and z ({where})"
        fix = "say origin: centre in the study, or neuropack annotations convert --origin centre" if less else fix
        return Flaw("half-voxel", (), None, "positions from the corner of the first voxel", told, fix)
    return None


def _three(values: Values) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z


def _half(image: Grid) -> tuple[int, int, int]:
    """Half the box that is looked at, z, y, x: the search distance, at least two voxels."""
    most = [max(0, n - 1) for n in image.shape]
    steps = [int(np.clip(np.ceil(SEARCH_UM / s), 2, h)) for s, h in zip(image.voxel_um, _HALF, strict=True)]
    z, y, x = (min(s, m) for s, m in zip(steps, most, strict=True))
    return z, y, x


def _average(image: Grid, xyz: Points, half: tuple[int, int, int]) -> tuple[list[Values], int, Points] | None:
    """The brightness around the nodes, averaged over them, of each channel.

    Returns:
        A map for each channel, the number of nodes, and the mean way from a node to the centre of its voxel; None
        where too few lie in the image.
    """
    voxels, inside = image.voxels(xyz)
    if inside.sum() < FEWEST_NODES:
        return None
    voxels, xyz = voxels[inside], xyz[inside]
    order = image.order(voxels)
    size = tuple(2 * h + 1 for h in half)
    total, count = np.zeros((0, *size)), np.zeros((0, *size))
    for patches, place in _alike(image.patches(voxels[order], half)):
        if not len(total):
            total, count = (np.zeros((patches.shape[1], *size)) for _ in range(2))
        values, clear = _normal(patches)
        box = (slice(None), *place)
        total[box] += np.where(clear, values, 0).sum(axis=0, dtype=np.float64)
        count[box] += clear.sum(axis=0)
    least = max(1, int(inside.sum()) // 3)  # at the border of a thin image few nodes have their say
    maps = [np.where(n >= least, t / np.maximum(n, 1), 0.0) for t, n in zip(total, count, strict=True)]
    centre = ((voxels + 0.5) * np.array(image.voxel_um))[:, ::-1] - xyz
    return maps, int(inside.sum()), centre.mean(axis=0)


def _alike(patches: Iterable[tuple[Array, Box]]) -> Iterator[tuple[Array, Box]]:
    """Boxes in the same place, together (n, c, z, y, x): a call for each would take longer than its work."""
    kept: list[Array] = []
    where: Box = ()
    for patch, place in patches:
        if kept and (place != where or len(kept) * patch.size >= _TOGETHER):
            yield np.stack(kept), where
            kept = []
        kept.append(patch)
        where = place
    if kept:
        yield np.stack(kept), where


def _normal(patches: Array) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Boxes (n, c, z, y, x), smoothed: 0 is the median of a channel, 1 its brightest; and which are not flat."""
    from scipy.ndimage import uniform_filter

    smooth = uniform_filter(patches.astype(np.float32), (1, 1, 1, 3, 3), mode="nearest")
    middle, high = np.quantile(smooth, (0.5, 0.995), axis=(2, 3, 4), keepdims=True)
    clear = high > middle
    return np.clip((smooth - middle) / np.where(clear, high - middle, 1), -1, 1), clear


def _channel(maps: list[Values], half: tuple[int, int, int]) -> int:
    """The channel that shows the neuron best: whose map has the highest peak over its own spread."""
    return int(np.argmax([(m.max() - np.median(m)) if m.std() > 0 else -1.0 for m in maps]))


@dataclass(frozen=True)
class _Peak:
    """What a map shows: contrast at its middle and at its best, the way there in voxels (z, y, x), and how sure."""

    here: float
    best: float
    way: Values
    stands_out: bool
    seen: bool
    beyond: bool


def _read_off(values: Values, half: tuple[int, int, int], image: Grid) -> _Peak:
    here = float(values[half])
    peak = np.array(np.unravel_index(int(values.argmax()), values.shape))
    away = np.ones(values.shape, bool)
    near = [max(2, int(np.ceil(1.5 / s))) for s in image.voxel_um]
    away[tuple(slice(max(0, p - n), p + n + 1) for p, n in zip(peak, near, strict=True))] = False
    rest = values[away]
    if rest.size < 8:  # a box that holds little beside its peak
        rest = values.ravel()
    middle = float(np.median(rest))
    clear = middle + _STANDS_OUT * max(1.4826 * float(np.median(np.abs(rest - middle))), 0.01)
    best, way = float(values.max()), _centroid(values, tuple(peak)) - np.array(half)
    ends = np.array(half)
    beyond = bool(((np.abs(peak - ends) == ends) & (ends > 0)).any())
    return _Peak(here, best, way, best > clear, here > clear, beyond)


def _centroid(values: Values, peak: tuple[Any, ...]) -> Values:
    """The centre of what is above half of a peak, within two voxels of it."""
    box = tuple(slice(max(0, int(p) - 2), int(p) + 3) for p in peak)
    part = values[box]
    weight = np.clip(part - 0.5 * part.max(), 0, None) ** 2
    if not weight.sum() > 0:
        return np.array(peak, np.float64)
    at = np.indices(part.shape).reshape(3, -1) + np.array([[s.start] for s in box])
    found: Values = (at * weight.ravel()).sum(axis=1) / weight.sum()
    return found


def _meanings(image: Grid, xyz: Points) -> Iterator[tuple[str, Points]]:
    """What else the coordinates could be."""
    extent, size = image.extent_um, np.array(image.voxel_um[::-1])
    yield "y, x, z", xyz[:, [1, 0, 2]]
    yield "z, y, x", xyz[:, ::-1]
    for axes in ([0], [1], [2], [0, 1]):
        mirrored = xyz.copy()
        mirrored[:, axes] = extent[axes] - xyz[:, axes]
        yield "mirrored along " + " and ".join("xyz"[a] for a in axes), mirrored
    yield "voxels", xyz * size


def _other_meaning(image: Grid, xyz: Points, half: tuple[int, int, int], least: float) -> tuple[str, float] | None:
    """The meaning that puts the nodes clearly onto something bright, the best of them."""
    found = []
    for name, points in _meanings(image, xyz):
        seen = _average(image, points, half)
        if seen is None or seen[1] < 0.9 * len(xyz):
            continue
        values = seen[0][_channel(seen[0], half)]
        peak = _read_off(values, half, image)
        near = (np.abs(peak.way) <= np.maximum(2, 1.0 / np.array(image.voxel_um))).all()
        if peak.stands_out and near and peak.here > max(2 * DARK, BETTER * least):
            found.append((peak.here, name))
    return max(found)[::-1] if found else None
