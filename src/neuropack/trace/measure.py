"""What is measured along a way of voxels: its middle, radius, contrast and colour, and how far it is supported."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.trace.blocks import Grid
from neuropack.trace.corners import corners
from neuropack.trace.signal import Model

Floats = npt.NDArray[np.float64]

_REACH = 2.0  # voxels of the finest axis that a node looks around, and moves at most in a pass
_PASSES = 3  # times that nodes move to the middle
_MARGIN = 8  # voxels around a stretch of the way that are looked at
_STRETCH = 24  # nodes of a stretch
_SHORT = 512  # nodes of a path whose stretches are all kept while it is measured
_UNSHRINK = 0.53  # of the way to the middle of the neighbours, back: a little more than the half of smoothing
_WINDOW = 7  # nodes that brightness and colour are averaged over
DRIFT = 0.35  # radian by which a colour may change along a neurite
_FAINT = 1.6  # noises: what a search finds in noise alone


@dataclass(frozen=True, eq=False)
class Measured:
    """A way, measured.

    Attributes:
        nodes: (n, 3) voxels z, y, x.
        radius_um, contrast: (n,).
        drift: radian; None for one channel.
        supported: 0 to 1, how much of the way is as bright as a neurite.
        weakest: the same of its weakest stretch.
    """

    nodes: Floats
    radius_um: Floats
    contrast: Floats
    drift: float | None
    supported: float
    weakest: float

    def confidence(self, by_colour: bool) -> float:
        """0 to 1: the geometric mean of what is supported in all and at worst, less where the colour drifts."""
        kept = math.exp(-0.5 * (self.drift / DRIFT) ** 2) if self.drift is not None and by_colour else 1.0
        return math.sqrt(self.supported * self.weakest) * kept


def measured(
    grid: Grid,
    model: Model,
    size: tuple[float, float, float],
    way: npt.NDArray[np.int64],
    start: Floats,
    end: Floats,
) -> Measured:
    """Centre a way of voxels and measure along it.

    Args:
        grid: the filtered image.
        model: signal and noise.
        size: of a voxel, um.
        way: (n, 3) voxels.
        start, end: where it begins and ends; these nodes stay.
    """
    nodes = way.astype(np.float64)
    nodes[0], nodes[-1] = start, end
    bends = corners(way)
    kept = list(_stretches(grid, model, nodes)) if len(nodes) <= _SHORT else None
    for _ in range(_PASSES):
        moved = nodes.copy()
        tangents, holes = _tangents(nodes, size), False
        for part in kept or _stretches(grid, model, nodes):
            holes |= _centred(part, nodes, tangents, size, moved)
        moved[0], moved[-1] = nodes[0], nodes[-1]
        nodes = _smoothed(np.clip(moved, 0.0, np.array(grid.shape) - 1.0), bends)
        nodes[0], nodes[-1] = start, end
        if holes:
            for part in kept or _stretches(grid, model, nodes):
                _stay_out(part, nodes, way)
    radius, bright, colours = np.empty(len(nodes)), np.empty(len(nodes)), np.empty((len(nodes), len(model.floor)))
    tangents = _tangents(nodes, size)
    for part in kept or _stretches(grid, model, nodes):
        _fill(part, model, size, nodes, tangents, radius, bright, colours)
    return Measured(nodes, _known(radius, size), bright, _drift(colours), *_support(bright, model.contrast))


def centre(grid: Grid, model: Model, size: tuple[float, float, float], point: Floats) -> tuple[Floats, float]:
    """The middle of what is bright around a point, and its radius in um; half a voxel where nothing is bright."""
    from neuropack.trace.centre_kernel import centred

    reach, sizes = _reach(size), np.array(size)
    nodes = point[None].copy()
    box, image = _window(grid, model, nodes)
    corner = np.array([s.start for s in box], np.float64)
    at = np.clip(np.floor(point + 0.5).astype(np.int64) - corner.astype(np.int64), 0, np.array(image.shape) - 1)
    peak = _brightest(image, at, reach)
    if peak is not None:
        nodes[0] = peak + corner
        for _ in range(2):
            nodes = centred(image, nodes - corner, np.zeros((1, 3)), reach, sizes) + corner
    tangent = _direction(image, nodes[0] - corner, sizes)
    radius, bright = np.empty(1), np.empty(1)
    _radii(image, nodes - corner, tangent[None], size, bright, radius)
    return nodes[0], float(_known(radius, size)[0])


def _brightest(
    image: npt.NDArray[np.float32], at: npt.NDArray[np.int64], reach: Floats
) -> npt.NDArray[np.int64] | None:
    """The brightest voxel within the reach; None where none is brighter than noise."""
    low = np.maximum(at - np.floor(reach).astype(np.int64), 0)
    high = np.minimum(at + np.floor(reach).astype(np.int64) + 1, np.array(image.shape))
    part = image[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    part = np.where(np.isfinite(part), part, -np.inf)
    if not part.max() > 2 * _FAINT:
        return None
    return low + np.array(np.unravel_index(int(part.argmax()), part.shape))


def _direction(image: npt.NDArray[np.float32], node: Floats, size: Floats) -> Floats:
    """The direction in um along which the brightness around a node is spread most."""
    at = np.floor(node + 0.5).astype(np.int64)
    reach = np.maximum(1, np.floor(5 * size.min() / size)).astype(np.int64)
    spans = [slice(max(0, a - r), min(n, a + r + 1)) for a, r, n in zip(at, reach, image.shape, strict=True)]
    part = np.maximum(np.nan_to_num(image[tuple(spans)].astype(np.float64)), 0) ** 2
    if part.sum() <= 0:
        return np.array([1.0, 0.0, 0.0])
    grids = np.meshgrid(*(np.arange(s.start, s.stop) for s in spans), indexing="ij")
    offsets = [(g - n) * s for g, n, s in zip(grids, node, size, strict=True)]
    inertia = np.array([[float((part * a * b).sum()) for a in offsets] for b in offsets]) / float(part.sum())
    vectors: Floats = np.linalg.eigh(inertia)[1]
    return np.ascontiguousarray(vectors[:, -1])


def _reach(size: tuple[float, float, float]) -> Floats:
    """Radii in voxels: the same length along each axis, one voxel at least."""
    return np.maximum(_REACH * min(size) / np.array(size), 1.0)


@dataclass(frozen=True, eq=False)
class _Stretch:
    """Rows of some nodes that follow each other, the image and the contrast around them, and its first voxel."""

    rows: slice
    image: npt.NDArray[np.float32]
    bright: npt.NDArray[np.float32]
    corner: Floats

    def voxels(self, nodes: Floats) -> tuple[npt.NDArray[np.int64], ...]:
        """Indices into the contrast of the voxels that the nodes lie in."""
        at = np.floor(nodes[self.rows] - self.corner + 0.5).astype(np.int64)
        z, y, x = np.clip(at, 0, np.array(self.bright.shape) - 1).T
        return z, y, x


def _stretches(grid: Grid, model: Model, nodes: Floats) -> Iterator[_Stretch]:
    for first in range(0, len(nodes), _STRETCH):
        rows = slice(first, min(first + _STRETCH, len(nodes)))
        box = _box(nodes[rows], grid.shape)
        image = grid.gather(box)
        yield _Stretch(rows, image, model.brightness(image), np.array([s.start for s in box], np.float64))


def _centred(
    part: _Stretch, nodes: Floats, tangents: Floats, size: tuple[float, float, float], out: Floats
) -> bool:
    """Nodes move to the middle of what is bright around them; whether something of the image is not known."""
    from neuropack.trace.centre_kernel import centred

    local = nodes[part.rows] - part.corner
    moved = centred(part.bright, local, tangents[part.rows], _reach(size), np.array(size))
    out[part.rows] = moved + part.corner
    return not math.isfinite(float(part.bright.sum()))


def _stay_out(part: _Stretch, nodes: Floats, way: npt.NDArray[np.int64]) -> None:
    """Nodes that were moved to where nothing is known go back to the way that was found."""
    lost = ~np.isfinite(part.bright[part.voxels(nodes)])
    nodes[part.rows][lost] = way[part.rows][lost]


def _box(nodes: Floats, shape: tuple[int, int, int]) -> tuple[slice, ...]:
    low, high = np.floor(nodes.min(axis=0)).astype(int), np.ceil(nodes.max(axis=0)).astype(int)
    return tuple(
        slice(max(0, int(a) - _MARGIN), min(n, int(b) + _MARGIN + 1))
        for a, b, n in zip(low, high, shape, strict=True)
    )


def _window(grid: Grid, model: Model, nodes: Floats) -> tuple[tuple[slice, ...], npt.NDArray[np.float32]]:
    box = _box(nodes, grid.shape)
    return box, model.brightness(grid.gather(box))


def _smoothed(nodes: Floats, bends: list[tuple[int, int]]) -> Floats:
    """A quarter of each neighbour; the ends stay. What that shrinks the bends by is taken back (Taubin, 1995)."""
    out = nodes.copy()
    if len(nodes) > 2:
        out[1:-1] = 0.25 * nodes[:-2] + 0.5 * nodes[1:-1] + 0.25 * nodes[2:]
    shrunk = out.copy()
    for first, last in bends:
        rows = np.arange(max(first, 1), min(last + 1, len(nodes) - 1))
        out[rows] += _UNSHRINK * (shrunk[rows] - 0.5 * (shrunk[rows - 1] + shrunk[rows + 1]))
    return out


def _tangents(nodes: Floats, size: tuple[float, float, float]) -> Floats:
    """Unit vectors (n, 3) in um along the path, over five nodes."""
    um = nodes * np.array(size)
    last = len(um) - 1
    at = np.arange(len(um))
    along = um[np.minimum(at + 2, last)] - um[np.maximum(at - 2, 0)]
    length = np.linalg.norm(along, axis=1, keepdims=True)
    return np.where(length > 0, along / np.maximum(length, 1e-12), np.array([1.0, 0.0, 0.0]))


def _fill(
    part: _Stretch,
    model: Model,
    size: tuple[float, float, float],
    nodes: Floats,
    tangents: Floats,
    radius: Floats,
    bright: Floats,
    colours: Floats,
) -> None:
    """Radius, contrast and colour of some nodes."""
    rows = part.rows
    _radii(part.bright, nodes[rows] - part.corner, tangents[rows], size, bright[rows], radius[rows])
    z, y, x = part.voxels(nodes)
    colours[rows] = (part.image[:, z, y, x].T - model.floor) / model.noise


def _radii(
    image: npt.NDArray[np.float32],
    nodes: Floats,
    tangents: Floats,
    size: tuple[float, float, float],
    bright: Floats,
    out: Floats,
) -> None:
    from neuropack.trace.centre_kernel import radii

    radii(image, nodes, tangents, np.array(size), 0.25 * min(size), bright, out)


def _known(radius: Floats, size: tuple[float, float, float]) -> Floats:
    """Radii, with those of dark nodes from their neighbours along the path; half a voxel where all are dark."""
    dark = np.isnan(radius)
    if dark.all():
        return np.full_like(radius, 0.5 * min(size))
    if dark.any():
        at = np.arange(len(radius))
        radius[dark] = np.interp(at[dark], at[~dark], radius[~dark])
    return radius


def _mean(values: Floats) -> Floats:
    """Running means over some nodes, (n, ...) of as many; fewer at the ends."""
    sums = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    at = np.arange(len(values))
    low, high = np.maximum(at - _WINDOW // 2, 0), np.minimum(at + _WINDOW // 2 + 1, len(values))
    count = (high - low).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray((sums[high] - sums[low]) / count)


def _drift(colours: Floats) -> float | None:
    """The angle between the colour of the first nodes and that of others with light; a tenth of them is beyond it.

    Not the largest one: where another neurite crosses, colours mix.
    """
    if colours.shape[1] < 2:
        return None
    means = np.maximum(_mean(np.nan_to_num(colours)), 0)
    length = np.linalg.norm(means, axis=1)
    lit = length > 2 * _FAINT
    if not lit.any():
        return 0.0
    units = means[lit] / length[lit][:, None]
    return float(np.quantile(np.arccos(np.clip(units @ units[0], -1, 1)), 0.9))


def _support(bright: Floats, contrast: float) -> tuple[float, float]:
    """How much of a path is as bright as a third of its ends, and three noises at least; all, and the worst."""
    full = max(2 * _FAINT, contrast / 3)
    share = np.clip((_mean(np.nan_to_num(bright)) - _FAINT) / (full - _FAINT), 0, 1)
    return float(share.mean()), float(share.min())
