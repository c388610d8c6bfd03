"""Light that is lost with depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.errors import InputError, UsageError
from neuropack.process.computed import computed
from neuropack.process.preprocess.samples import Block, levels_of, noise_of, require_planes, sampled
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]
_SIZE = (24, 64, 64)
_BLOCKS = 120
_BINS = 24
_RISE = 3.0  # noise widths that structure must rise above the background at the deepest place that counts
_TOP = 10.0  # the same where the light is brightest; planes that lie deeper than that allows do not count
_GROUPS = 8  # of blocks, one left out at a time: what the answer hangs on a few neurons
_LEAST = 6  # voxels of a piece of structure in a plane
_KNOWN = 0.5  # part of the error that the jackknife sees: a neuron lies in blocks of several groups
_SURE = 1.0  # errors that a slope must differ from 0, else nothing is corrected
_MOST = 10.0  # times that light is made brighter at most
_DEEPEST = 600.0  # of the logarithm of the light that is lost: what is left must be a number above 0


def estimate_attenuation(volume: Volume, *, monotone: bool = False, seed: int = 0) -> dict[str, Any]:
    """How the light of bright structure falls with depth, for each channel.

    Neurons differ in brightness more than depths do. So pieces of connected structure are followed through the
    planes of a block: the brightness of each falls along it, whatever it is. Pieces at different depths are
    compared too, as far as their own differences allow it (random effects). What counts as structure must not hang
    on the depth, else only the brightest would be left below: the threshold falls with the light, as it is known
    so far. Channels of one stack lose their light in much the same way, so the slope of each is drawn towards that
    of all, as far as their errors can account for the difference (random effects, DerSimonian and Laird 1986).

    Args:
        volume: planes go deeper with z, or with -z where the light grows along z.
        monotone: any curve that only falls or only grows (by pooling neighbours that do not), each channel by
            itself; else exponential.
        seed: of the sampled blocks.

    Returns:
        ``background`` of each channel, ``planes``: the middles of the bins, and ``left``: what is left of the light
        there in each channel, 1 in the brightest; ``slope`` of its logarithm for each plane deeper, and ``error``
        of that, None where there is too little structure. A channel stays as it is where its slope is hardly larger
        than the error.

    Raises:
        InputError: fewer than four planes, or no channel has structure.
    """
    depth = require_planes(volume, 4, "depth", "to see how light falls with depth")
    blocks = sampled(volume, _SIZE, _BLOCKS, seed, every_plane=True)
    levels = levels_of(blocks)
    bins = min(_BINS, depth) if monotone else 2  # a straight line of the logarithm needs its ends only
    planes = [(k + 0.5) * depth / bins - 0.5 for k in range(bins)] if monotone else [0.0, depth - 1.0]
    falls = [_fall(blocks, c, float(levels[c]), depth) for c in range(volume.n_channels)]
    if not monotone:
        falls = _drawn_together(falls)
    if all(fall is None for fall in falls):
        raise InputError(
            "no channel has structure at several depths, so nothing tells how light falls",
            file=volume.path,
            expected="neurites brighter than the noise",
            found="too few of them",
            fix="leave the step depth out, or give it length_um",
        )
    return {
        "background": levels.tolist(),
        "planes": planes,
        "left": [_left(fall, depth, np.array(planes), monotone).tolist() for fall in falls],
        "slope": [None if fall is None else fall.slope for fall in falls],
        "error": [None if fall is None else fall.error for fall in falls],
    }


def known_attenuation(volume: Volume, length_um: Sequence[float], *, seed: int = 0) -> dict[str, Any]:
    """The same of lengths that are known: the light of each channel falls to 1/e over so many micrometre of z.

    Raises:
        UsageError: there is not one number for each channel, the size of the voxels along z is not known, or no
            light would be left at the last plane.
    """
    step = volume.voxel_size_um[0]
    if len(length_um) != volume.n_channels or step is None:
        raise UsageError(
            "length_um does not fit the image",
            file=volume.path,
            expected=f"{volume.n_channels} numbers, and a voxel size along z",
            found=f"{len(length_um)} numbers, z = {step}",
        )
    last = volume.size_zyx[0] - 1.0
    if last * step > _DEEPEST * min(length_um):
        raise UsageError(
            "no light would be left at the last plane",
            file=volume.path,
            expected=f"length_um of {last * step / _DEEPEST:.3g} or more",
            found=f"{min(length_um):g}, and a stack of {last * step:g} um",
            fix="give length_um in micrometre",
        )
    return {
        "background": levels_of(sampled(volume, _SIZE, _BLOCKS, seed)).tolist(),
        "planes": [0.0, last],
        "left": [[1.0, math.exp(-last * step / length)] for length in length_um],
        "slope": [-step / length for length in length_um],
        "error": [0.0] * len(length_um),
    }


def depth_evened(volume: Volume, found: dict[str, Any], *, most: float = _MOST) -> Volume:
    """The image as bright below as it is at its brightest depth; the background stays where it was.

    Args:
        volume: the image.
        found: as `estimate_attenuation` gives it.
        most: times that light is made brighter at most: noise grows with it.
    """

    def compute(wide: Array, box: Box) -> Array:
        out = wide.astype(np.float32)
        at = np.arange(box[0].start, box[0].stop)
        for c in range(len(out)):
            image = out[c]
            # straight lines of the logarithm: an exponential stays one
            left = np.exp(np.interp(at, found["planes"], np.log(found["left"][c])))
            gain = np.minimum(1 / left, most).astype(np.float32)
            level = np.float32(found["background"][c])
            image -= level
            image *= gain[:, None, None]
            image += level
        return out

    return computed(volume, compute, {"depth": {**found, "most": most}}, dtype=np.dtype(np.float32))


@dataclass(frozen=True)
class _Fall:
    """How the light of a channel falls: the slope of its logarithm for each plane, its error, and what tells it."""

    slope: float
    error: float
    rows: Floats  # as `_followed` gives them


def _fall(blocks: Sequence[Block], channel: int, level: float, depth: int) -> _Fall | None:
    """How the light of a channel falls; None where it has too little structure to tell."""
    width = max(float(np.median([noise_of(b.voxels[channel]) for b in blocks])), 1e-9)
    slope, rows = 0.0, np.empty((0, 4))
    for _ in range(6):
        rows = _followed(blocks, channel, level, width, slope, depth)
        if len(rows) < 20 or np.ptp(rows[:, 1]) < 3:
            return None
        new = _slope(rows)
        if abs(new - slope) * depth < 1e-3:
            break
        slope = new
    without = [rows[rows[:, 3] != g] for g in range(_GROUPS)]
    others = np.array([_slope(some) if len(some) >= 20 else 0.0 for some in without])
    error = float(np.sqrt((_GROUPS - 1) / _GROUPS * ((others - others.mean()) ** 2).sum()))  # the jackknife
    return _Fall(slope, error / _KNOWN, rows)


def _drawn_together(falls: Sequence[_Fall | None]) -> list[_Fall | None]:
    """The slopes of channels drawn towards their mean, by what of their difference may be error."""
    known = [fall for fall in falls if fall is not None]
    if len(known) < 2:
        return list(falls)
    slopes, variance = np.array([f.slope for f in known]), np.maximum([f.error**2 for f in known], 1e-18)
    weight = 1 / variance
    apart = float((weight * (slopes - np.average(slopes, weights=weight)) ** 2).sum())
    scale = float(weight.sum() - (weight**2).sum() / weight.sum())
    between = max(0.0, (apart - len(known) + 1) / scale)
    weight = 1 / (variance + between)
    mean, own = float(np.average(slopes, weights=weight)), between / (variance + between)
    errors = np.sqrt(own * variance + (1 - own) ** 2 / weight.sum())
    together = iter(zip(mean + own * (slopes - mean), errors, strict=True))
    drawn: list[_Fall | None] = []
    for fall in falls:
        if fall is None:
            drawn.append(None)
            continue
        slope, error = next(together)
        drawn.append(replace(fall, slope=float(slope), error=float(error)))
    return drawn


def _left(fall: _Fall | None, depth: int, planes: Floats, monotone: bool) -> Floats:
    """What is left of the light of a channel at some planes; all of it where that is not sure."""
    if fall is None or abs(fall.slope) < _SURE * fall.error:
        return np.ones(len(planes))
    slope, rows = fall.slope, fall.rows
    curve = slope * planes
    if monotone:
        edges = np.linspace(0, depth, len(planes) + 1) - 0.5
        which = np.clip(np.searchsorted(edges, rows[:, 1], side="right") - 1, 0, len(planes) - 1)
        left = rows[:, 2] - slope * rows[:, 1]
        number = np.bincount(which, minlength=len(planes))
        seen = number > 0
        bent = np.array([np.median(left[which == k]) if seen[k] else 0.0 for k in range(len(planes))])
        values = _pooled(bent[seen] + slope * planes[seen], number[seen], slope < 0)
        curve = np.interp(planes, planes[seen], values)
    return np.asarray(np.exp(np.maximum(curve - curve.max(), -_DEEPEST)), np.float64)


def _followed(
    blocks: Sequence[Block], channel: int, level: float, width: float, slope: float, depth: int
) -> Floats:
    """Pieces of structure, plane by plane: number of the piece, plane, logarithm of its bright part, group."""
    from scipy.ndimage import gaussian_filter, label

    rows = []
    pieces = 0
    lost = min(abs(slope) * (depth - 1), _DEEPEST)
    top = min(_RISE / math.exp(-lost), _TOP)  # noise widths, where the light is brightest
    for block in blocks:
        image = gaussian_filter(block.voxels[channel], (0, 0.7, 0.7)).astype(np.float64) - level
        z = block.corner[0] + np.arange(len(image))
        fall = np.exp(slope * (z - (0 if slope < 0 else depth - 1)))
        limit = width * np.where(fall * top >= _RISE, fall * top, np.inf)
        numbers, count = label(image > limit[:, None, None], np.ones((3, 3, 3)))
        if not count:
            continue
        where = np.flatnonzero(numbers)
        plane, number = where // image[0].size, numbers.ravel()[where] - 1
        key = number * len(image) + plane
        value = np.log(image.ravel()[where])
        order = np.lexsort((value, key))
        keys, first, size = np.unique(key[order], return_index=True, return_counts=True)
        enough = size >= _LEAST
        at = first[enough] + (0.8 * (size[enough] - 1)).astype(int)  # of each piece in a plane: its upper part
        piece, here = keys[enough] // len(image), keys[enough] % len(image)
        # blocks one above the other hold the same neurons: they are left out together
        group = (block.corner[1] // _SIZE[1] * 3 + block.corner[2] // _SIZE[2]) % _GROUPS
        rows.append(np.column_stack([piece + pieces, z[here], value[order][at], np.full(len(piece), group)]))
        pieces += count
    return np.concatenate(rows) if rows else np.empty((0, 4))


def _slope(rows: Floats) -> float:
    """Slope of values (piece, place, value) where each piece has a height of its own.

    Generalised least squares for random heights: each piece is brought down by a part of its mean, which is all of
    it where pieces differ much, and nothing where they do not. Values that stand out count less (Huber).
    """
    piece = np.unique(rows[:, 0], return_inverse=True)[1]
    number = np.bincount(piece).astype(float)
    weight, slope = np.ones(len(rows)), 0.0
    for _ in range(8):
        total = np.bincount(piece, weight)
        mean_z, mean_v = (np.bincount(piece, weight * rows[:, k]) / total for k in (1, 2))
        left = rows[:, 2] - mean_v[piece] - slope * (rows[:, 1] - mean_z[piece])
        own = float((weight * left**2).sum() / max(weight.sum() - len(number), 1))
        heights = mean_v - slope * mean_z
        between = max(float(np.var(heights)) - own * float(np.mean(1 / number)), 1e-6)
        part = 1 - np.sqrt(own / (own + number * between))
        z, v = (rows[:, k] - part[piece] * m[piece] for k, m in ((1, mean_z), (2, mean_v)))
        one = 1 - part[piece]
        design = np.column_stack([one, z])
        gram = design.T @ (design * weight[:, None])
        slope = float(np.linalg.lstsq(gram, design.T @ (weight * v), rcond=None)[0][1])
        spread = 1.4826 * float(np.median(np.abs(left))) + 1e-12
        weight = np.minimum(1, 2 * spread / np.maximum(np.abs(left), 1e-12))
    return slope


def _pooled(values: Floats, weight: npt.NDArray[Any], falling: bool) -> Floats:
    """The nearest curve that only falls (or grows): neighbours that do not are replaced by their mean."""
    sign = -1.0 if falling else 1.0
    groups: list[list[float]] = []
    for value, w in zip(sign * values, weight, strict=True):
        groups.append([value, float(w), 1])
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            b, a = groups.pop(), groups.pop()
            total = a[1] + b[1]
            groups.append([(a[0] * a[1] + b[0] * b[1]) / total, total, a[2] + b[2]])
    return sign * np.concatenate([np.full(int(n), v) for v, _, n in groups])
