"""One cell of a stack for `neuropack.process.color_instances`: its fragments, of one colour each, measured."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.process.color_kernels import agglomerate, contacts, measures, supervoxels
from neuropack.process.color_options import ColorOptions

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.float32]
Step = tuple[float, float, float]

_TIP_UM = 8.0  # of a fragment, which tell where its tip heads
_SPARSE_UM = 4.0  # between the places of a fragment
# A valley that is none, as a part of the brightness beside it; the noise (radians) that tells little of colours.
_ONE, _NOISE = 0.8, 0.15
_POWER = 8.0  # of the cosine between the colours of voxels: 30 degrees aside count as a third of the brightness
_CORE = 0.7  # radii of a soma: what lies within is its own


class Places(NamedTuple):
    """Places along fragments: which one (k,), z, y, x in micrometre (k, 3), and, of those that are ends, where they
    head (k, 3), of length 1; 0 of all others."""

    fragment: Ints
    places: Floats
    heads: Floats


class Fragments(NamedTuple):
    """Measures of fragments (n,): voxels, sums of the channels (n, channels), greatest brightness, number of a soma
    inside or -1, and the first voxel in C order of the image."""

    voxels: Ints
    sums: Floats
    peaks: Floats
    soma: Ints
    first: Ints


class Somata(NamedTuple):
    """Places z, y, x (n, 3) and radii (n,) in micrometre."""

    places: Floats
    radii: Floats


class Cell(NamedTuple):
    """What is found in a cell: labels (z, y, x) of fragments from 1, their measures, places along them, the
    brightness of voxels, 0 outside of the foreground, and what touches (m, 2) with the brightness between (m,)."""

    labels: npt.NDArray[np.int32]
    fragments: Fragments
    places: Places
    bright: Pixels
    pairs: Ints
    saddles: Floats


def halo_of(options: ColorOptions, step: Step) -> tuple[int, int, int]:
    """Voxels along z, y, x that are looked at around a cell."""
    z, y, x = (
        int(3 * s + 0.5) + math.ceil(options.around_um / size)
        for s, size in zip(_blur(options, step), step, strict=True)
    )
    return z, y, x


def cell_of(
    wide: Pixels,
    box: Box,
    mask: Array | None,
    shape: tuple[int, int, int],
    step: Step,
    options: ColorOptions,
    somata: Somata,
    told: list[Floats] | None = None,
) -> Cell:
    """The fragments of a cell.

    Args:
        wide: channels in noise units (channels, z, y, x) of the cell and its halo.
        box: the cell, in voxels of the image.
        mask: its foreground (z, y, x), where that is known.
        shape: of the image.
        step: z, y, x of a voxel, micrometre.
        options: what tells neurons apart.
        somata: of the whole image.
        told: gets the angles between neighbours of one neurite, to learn how far colours vary.
    """
    from scipy import ndimage

    sigma = _blur(options, step)
    halo = halo_of(options, step)
    inner = tuple(slice(h, n - h) for h, n in zip(halo, wide.shape[1:], strict=True))
    calm = np.stack([ndimage.gaussian_filter(one, sigma, truncate=3.0) for one in wide])
    np.maximum(calm, 0, out=calm)
    bright = np.sqrt((calm * calm).sum(axis=0))
    raw, colour = np.ascontiguousarray(wide[:, *inner]), np.ascontiguousarray(calm[:, *inner])
    if mask is None:
        size = [2 * math.ceil(options.around_um / s) + 1 for s in step]
        top = ndimage.maximum_filter(bright, size)
        bright = np.where((bright >= options.least) & (bright >= options.half * top), bright, 0)[inner]
    else:
        bright = np.where(mask, np.maximum(bright[inner], 1e-3), 0)
    bright = np.ascontiguousarray(bright, np.float32)
    small = supervoxels(bright, colour, _POWER)
    count = int(small.max(initial=0))
    voxels, sums, places, peaks = measures(small, raw, bright, count)
    corner = np.array([s.start for s in box])
    where = (places / np.maximum(voxels, 1)[:, None] + corner + 0.5) * step
    soma = _soma_of(where, somata)
    pairs, saddles = merged(*contacts(small, bright))
    if told is not None:
        told.append(_turns(pairs, saddles, voxels, sums, peaks, options))
    above = agglomerate(
        *(pairs, saddles, np.zeros(len(pairs)), voxels, sums, peaks, soma),
        *(options.rule(wide.shape[0]), options.evidence),
    )
    kept, fragment = np.unique(above, return_inverse=True)
    labels = np.concatenate([[0], fragment + 1]).astype(np.int32)[small]
    along = _places(fragment, where, pairs)
    first = _first(labels, len(kept), corner, shape)
    between = fragment[pairs]
    apart = between[:, 0] != between[:, 1]
    over, low = merged(np.sort(between[apart], axis=1), saddles[apart])
    measured = Fragments(voxels[kept], sums[kept], peaks[kept], soma[kept], first)
    return Cell(labels, measured, along, bright, over, low)


def _turns(
    pairs: Ints, saddles: Floats, voxels: Ints, sums: Floats, peaks: Floats, options: ColorOptions
) -> Floats:
    """Squared angles between supervoxels that no valley parts, less what their noise makes of one colour (m,)."""
    a, b = pairs[saddles >= _ONE * np.minimum(peaks[pairs[:, 0]], peaks[pairs[:, 1]])].T
    length = np.maximum(np.linalg.norm(sums, axis=1), 1e-9)
    cosine = (sums[a] * sums[b]).sum(axis=1) / (length[a] * length[b])
    angles = np.arccos(np.clip(cosine, -1, 1))
    noise = (voxels + options.shot * length) / length**2
    good = noise[a] + noise[b] < _NOISE**2
    free = sums.shape[1] - 1
    turns: Floats = angles[good] ** 2 / max(free, 1) - (noise[a] + noise[b])[good]
    return turns


def _blur(options: ColorOptions, step: Step) -> list[float]:
    return [options.blur * min(step) / s for s in step]


def _soma_of(places: Floats, somata: Somata) -> Ints:
    """The soma in whose core each place (n, 3) lies, or -1."""
    from scipy.spatial import KDTree

    found = np.full(len(places), -1, np.int64)
    if len(places) and len(somata.radii):
        away, near = KDTree(somata.places).query(places)
        inside = away <= _CORE * somata.radii[near]
        found[inside] = near[inside]
    return found


def merged(pairs: Ints, saddles: Floats) -> tuple[Ints, Floats]:
    """One contact for each two regions, with the brightest way across."""
    order = np.lexsort((-saddles, pairs[:, 1], pairs[:, 0]))
    pairs, saddles = pairs[order], saddles[order]
    new = np.ones(len(pairs), bool)
    new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[new], saddles[new]


def _first(labels: npt.NDArray[np.int32], count: int, corner: Ints, shape: tuple[int, int, int]) -> Ints:
    """The first voxel of each fragment, in C order of the image."""
    found, at = np.unique(labels, return_index=True)
    z, y, x = np.unravel_index(at[found > 0], labels.shape)
    first = np.zeros(count, np.int64)
    first[found[found > 0] - 1] = ((z + corner[0]) * shape[1] + y + corner[1]) * shape[2] + x + corner[2]
    return first


def _places(fragment: Ints, where: Floats, pairs: Ints) -> Places:
    """Places along fragments, no denser than needed, and their ends: supervoxels with one neighbour at most."""
    own = pairs[fragment[pairs[:, 0]] == fragment[pairs[:, 1]]]
    degree = np.bincount(own.ravel(), minlength=len(fragment))
    cells = np.column_stack([fragment, np.floor(where / _SPARSE_UM).astype(np.int64)])
    _, sparse = np.unique(cells, axis=0, return_index=True)
    rows = np.union1d(sparse, np.flatnonzero(degree <= 1))
    order = np.argsort(fragment, kind="stable")
    bounds = np.searchsorted(fragment[order], np.arange(int(fragment.max(initial=-1)) + 2))
    heads = np.zeros((len(rows), 3))
    for i, row in enumerate(rows.tolist()):
        if degree[row] <= 1:
            mine = order[bounds[fragment[row]] : bounds[fragment[row] + 1]]
            away = where[row] - where[mine]
            total = away[np.linalg.norm(away, axis=1) <= _TIP_UM].sum(axis=0)
            heads[i] = total / max(float(np.linalg.norm(total)), 1e-9)
    return Places(fragment[rows], where[rows], heads)
