"""Channel alignment: where a channel lies beside another one, by a shift and a stretch about the image's centre.

A point p of the reference channel is seen by channel c at ``centre + scale * (p - centre) + shift``, in voxels
along z, y, x. The shift to begin with is the peak of the phase correlation, summed over blocks of bright structure.
Then Gauss-Newton steps: in each block the channel, moved as far as is known, is compared with the reference, which
may be brighter or darker there; what is left of a displacement comes with the information that the block holds of
it (a neurite along x says nothing of x). All blocks together give shift and stretch by least squares, with the
weight of a block that contradicts the others going down (Huber), for a neurite may be in one channel only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.errors import InputError, UsageError
from neuropack.process.computed import computed
from neuropack.process.preprocess.grid import resampled
from neuropack.process.preprocess.samples import Block, block_at, noise_of, sampled
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]
_SIZE = (12, 32, 32)
_CANDIDATES, _USED = 1200, 300  # blocks looked at, and those of them that are compared
_STEPS = 12
_SMOOTH = 1.0  # voxels: what both channels are smoothed by, so that places between voxels are well defined
_STRETCH = 0.01  # what is known of a stretch before any look: 1, give or take so much
_READ = (16, 256, 256)  # voxels z, y, x of a block that is made at a time
_AROUND = 1 << 25  # voxels of a channel that may be read for it: with what it is displaced by on all sides
_LEAST = 4.0  # noise widths that structure must rise above the background in both channels


class NotAlignedError(InputError):
    """Two channels share no structure that could be aligned, or lie farther apart than was looked for."""


@dataclass(frozen=True)
class _Pair:
    """A block in two channels: the reference, and the other one with a margin around."""

    centre: Floats  # z, y, x from the image's centre
    still: npt.NDArray[np.float32]
    moving: npt.NDArray[np.float32]
    margin: tuple[int, int, int]

    @cached_property
    def structure(self) -> Floats:
        """How much each voxel of the reference belongs to bright structure: every step asks for it."""
        return _structure(self.still.astype(np.float64))


def estimate_alignment(
    volume: Volume,
    *,
    reference: int | None = None,
    stretch: bool = True,
    largest: float = 8.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Shift and stretch of every channel against one of them.

    Args:
        volume: two channels or more.
        reference: the channel that stays; None: the one with the most structure.
        stretch: whether to look for a stretch; else it is 1.
        largest: displacement that is looked for, voxels.
        seed: of the sampled blocks.

    Returns:
        ``reference``; ``shift`` (z, y, x voxels) and ``scale`` (z, y, x) of each channel; ``residual`` (z, y, x
        voxels): the weighted root mean square of what the blocks' own displacements differ from that;
        ``uncertainty`` of the shift (z, y, x voxels), which counts that difference; ``blocks`` that were used.

    Raises:
        UsageError: one channel, or no such reference.
        NotAlignedError: two channels share no structure, or lie farther apart than was looked for.
    """
    if volume.n_channels < 2:
        raise UsageError(
            "there is nothing to align",
            file=volume.path,
            expected="two channels or more",
            found="one channel",
            fix="leave the step align out",
        )
    if reference is not None and not 0 <= reference < volume.n_channels:
        raise UsageError(
            "align has no such reference",
            file=volume.path,
            expected=f"0 to {volume.n_channels - 1}",
            found=str(reference),
        )
    blocks, contrast = _brightest(sampled(volume, _SIZE, _CANDIDATES, seed))
    still = int(np.argmax(contrast)) if reference is None else reference
    rows = []
    for channel in range(volume.n_channels):
        if channel == still:
            zero = [0.0, 0.0, 0.0]
            row = {"shift": zero, "scale": [1.0, 1.0, 1.0], "residual": zero, "uncertainty": zero, "blocks": 0}
        else:
            row = _fitted(volume, blocks, still, channel, stretch=stretch, largest=largest)
        rows.append(row)
    return {"reference": still, **{key: [row[key] for row in rows] for key in rows[0]}}


def stated_alignment(
    volume: Volume, shift: Sequence[Sequence[float]] | None, scale: Sequence[Sequence[float]] | None
) -> dict[str, Any]:
    """An alignment that is known, as `estimate_alignment` gives one.

    Args:
        volume: the image.
        shift: (z, y, x) voxels of each channel; None for none.
        scale: (z, y, x) of each channel; None for 1.

    Raises:
        UsageError: there is not one for each channel, or a scale is no stretch.
    """
    n = volume.n_channels
    made = {"shift": shift or [[0.0] * 3] * n, "scale": scale or [[1.0] * 3] * n}
    for name, rows in made.items():
        if len(rows) != n:
            raise UsageError(
                f"{name} of align does not fit the image",
                file=volume.path,
                expected=f"z, y, x for each of {n} channels",
                found=f"{len(rows)}",
            )
    if not all(0.5 <= v <= 2 for row in made["scale"] for v in row):
        raise UsageError(
            "scale of align is no stretch", file=volume.path, expected="0.5 to 2", found=str(made["scale"])
        )
    return {name: [[float(v) for v in row] for row in rows] for name, rows in made.items()}


def onto_the_middle(found: dict[str, Any]) -> dict[str, Any]:
    """An alignment onto the channel nearest to the mean of all, so that the others are moved as little as can be.

    Args:
        found: ``shift`` and ``scale`` of each channel, as `estimate_alignment` gives them.
    """
    shift, scale = np.array(found["shift"]), np.array(found["scale"])
    still = int(np.argmin(np.linalg.norm(shift - shift.mean(axis=0), axis=1)))
    return {
        "reference": still,
        "shift": (shift - shift[still]).tolist(),
        "scale": (scale / scale[still]).tolist(),
    }


def aligned(volume: Volume, found: dict[str, Any], *, order: int = 1) -> Volume:
    """The image with its channels moved onto the reference.

    Args:
        volume: the image.
        found: ``shift`` and ``scale`` of each channel, as `estimate_alignment` gives them.
        order: 1 linear, 3 cubic, which keeps fine structure sharper.

    Raises:
        UsageError: the alignment is for other channels, or moves them so far that no block of the memory would do.
    """
    shape, shifts, scales = volume.size_zyx, found["shift"], found["scale"]
    if len(shifts) != volume.n_channels or len(scales) != volume.n_channels:
        raise UsageError(
            "the alignment is not for this image",
            file=volume.path,
            expected=f"{volume.n_channels} channels",
            found=f"shift of {len(shifts)}, scale of {len(scales)}",
        )
    reach = [0, 0, 0]
    for shift, scale in zip(shifts, scales, strict=True):
        for axis, (d, s, n) in enumerate(zip(shift, scale, shape, strict=True)):
            far = abs(d) + abs(s - 1) * (n - 1) / 2
            if far > 0 and n > 1:
                reach[axis] = max(reach[axis], math.ceil(far) + order)
    around = math.prod(min(n, b) + 2 * r for n, b, r in zip(shape, _READ, reach, strict=True))
    if around > _AROUND:
        raise UsageError(
            "the channels lie too far apart to be moved onto each other",
            file=volume.path,
            expected=f"a block with what stands around it of at most {_AROUND} voxels",
            found=f"{around} voxels: displacements of up to {', '.join(map(str, reach))} along z, y, x",
            fix="see that shift is in voxels and scale near 1, or crop the channels onto each other first",
        )
    halo = (reach[0], reach[1], reach[2])

    def compute(wide: Array, box: Box) -> Array:
        out = np.empty((len(wide), *(s.stop - s.start for s in box)), np.float32)
        for channel, image in enumerate(wide):
            places = [
                _places(span, n, d, s) - (span.start - h)
                for span, n, d, s, h in zip(box, shape, shifts[channel], scales[channel], halo, strict=True)
            ]
            out[channel] = resampled(image.astype(np.float32, copy=False), places, order)
        return out

    made_by = {"align": {"shift": shifts, "scale": scales, "order": order}}
    return computed(volume, compute, made_by, halo=halo, dtype=np.dtype(np.float32))


def _places(span: slice, length: int, shift: float, scale: float) -> Floats:
    """Where voxels of the reference lie in a channel; along an axis of one voxel they stay."""
    at = np.arange(span.start, span.stop, dtype=np.float64)
    if length == 1:
        return at
    centre = (length - 1) / 2
    return centre + scale * (at - centre) + shift


def _brightest(blocks: Sequence[Block]) -> tuple[list[Block], Floats]:
    """The blocks in which the channels rise above their noise the most, and the contrast of each channel in all."""
    scores, total = [], np.zeros(len(blocks[0].voxels))
    for block in blocks:
        rises = np.array([_rise(image) for image in block.voxels])
        scores.append(float(np.sort(rises)[-2:].min()))
        total += rises
    order = np.argsort(np.array(scores), kind="stable")[::-1][:_USED]
    return [blocks[i] for i in sorted(order) if scores[i] > _LEAST], total


def _rise(image: npt.NDArray[np.float32]) -> float:
    """How far the brightest part in a thousand of a block stands above its median, in widths of its noise."""
    width = noise_of(image)
    return float((np.quantile(image, 0.999) - np.median(image)) / width) if width > 0 else 0.0


def _fitted(
    volume: Volume, blocks: Sequence[Block], still: int, moving: int, *, stretch: bool, largest: float
) -> dict[str, Any]:
    """Shift and stretch of one channel."""
    shape = np.array(volume.size_zyx)
    both = [b for b in blocks if min(_rise(b.voxels[still]), _rise(b.voxels[moving])) > _LEAST]
    start = _start(both, still, moving, largest) if both else None
    if start is None:
        raise NotAlignedError(
            f"channels {still} and {moving} share no structure that could be aligned",
            file=volume.path,
            expected="neurites that are bright in both channels",
            found=f"{len(both)} of {len(blocks)} blocks with structure in both",
            fix="leave the step align out, name another reference, or give shift and scale",
        )
    margin = [0 if n == 1 else math.ceil(largest / 2) + 3 for n in shape]
    pairs = [_pair(volume, b, still, moving, start, (margin[0], margin[1], margin[2])) for b in both]
    free = [bool(n > 1) for n in shape] + [bool(stretch and n >= 32) for n in shape]
    model = np.concatenate([start, np.zeros(3)])
    for _ in range(_STEPS):
        result = _solved(pairs, [_compared(pair, model, start) for pair in pairs], free, model)
        model = model + result.step
        if np.abs(result.step).max() < 1e-4:
            break
    shift, grown = model[:3], 1 + model[3:]
    if np.abs(shift).max() > 1.5 * largest + 1:
        raise NotAlignedError(
            f"channel {moving} lies farther from channel {still} than was looked for",
            file=volume.path,
            expected=f"at most {largest:g} voxels",
            found=", ".join(f"{v:.1f}" for v in shift),
            fix="raise largest, or give shift and scale",
        )
    return {
        "shift": [float(v) for v in shift],
        "scale": [float(v) for v in grown],
        "residual": [float(v) for v in result.residual],
        "uncertainty": [float(v) for v in result.uncertainty],
        "blocks": len(pairs),
    }


def _start(blocks: Sequence[Block], still: int, moving: int, largest: float) -> Floats | None:
    """The whole-voxel shift at the peak of the summed phase correlation; None where none stands out."""
    from scipy.ndimage import gaussian_filter

    shape = blocks[0].voxels.shape[1:]
    total = np.zeros(shape)
    for block in blocks:
        spectra = []
        for channel in (still, moving):
            image = gaussian_filter(block.voxels[channel].astype(np.float64), _SMOOTH)
            image -= np.median(image)
            for axis, n in enumerate(shape):
                taper = np.sin(np.pi * (np.arange(n) + 0.5) / n) if n > 1 else np.ones(1)
                image *= taper.reshape([-1 if i == axis else 1 for i in range(3)])
            spectra.append(np.fft.fftn(image))
        cross = np.conj(spectra[0]) * spectra[1]
        total += np.fft.ifftn(cross / np.sqrt(np.abs(cross) + 1e-12)).real  # half whitened: noise is white already
    reach = [min(math.ceil(largest), n // 2 - 1) if n > 1 else 0 for n in shape]
    near = np.zeros(shape, bool)
    near[np.ix_(*[np.arange(-r, r + 1) % n for r, n in zip(reach, shape, strict=True)])] = True
    peak = np.unravel_index(int(np.argmax(np.where(near, total, -np.inf))), shape)
    spread = float(np.median(np.abs(total - np.median(total)))) / 0.6745
    if total[peak] <= np.median(total) + 6 * spread:
        return None
    return np.array([p - n if p > n // 2 else p for p, n in zip(peak, shape, strict=True)], np.float64)


def _pair(
    volume: Volume, block: Block, still: int, moving: int, start: Floats, margin: tuple[int, int, int]
) -> _Pair:
    """A block in both channels, smoothed; the moving one at the first guess and with a margin."""
    from scipy.ndimage import gaussian_filter

    shape, size = np.array(volume.size_zyx), np.array(block.voxels.shape[1:])
    around = np.array(block.corner) - margin, size + 2 * np.array(margin)
    image = gaussian_filter(_around(volume, still, *around), _SMOOTH)
    other = gaussian_filter(_around(volume, moving, around[0] + start.astype(int), around[1]), _SMOOTH)
    inner = tuple(slice(m, m + n) for m, n in zip(margin, size, strict=True))
    centre = np.array(block.corner) + (size - 1) / 2 - (shape - 1) / 2
    return _Pair(centre, image[inner], other, margin)


def _around(volume: Volume, channel: int, corner: npt.NDArray[Any], extent: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A box of a channel that may reach beyond the image, where its border goes on."""
    rows = [np.clip(np.arange(c, c + s), 0, n - 1) for c, s, n in zip(corner, extent, volume.size_zyx, strict=True)]
    low = [int(r[0]) for r in rows]
    found = block_at(
        volume, (low[0], low[1], low[2]), [int(r[-1]) - first + 1 for r, first in zip(rows, low, strict=True)]
    )
    inside = np.ix_(*(r - first for r, first in zip(rows, low, strict=True)))
    image: npt.NDArray[Any] = found.voxels[channel][inside]
    return image


def _compared(pair: _Pair, model: Floats, start: Floats) -> tuple[Floats, Floats]:
    """What is left of the displacement of a block: its information (3, 3) and its pull (3,)."""
    moved = model[:3] + model[3:] * pair.centre - start
    size = pair.still.shape
    places = []
    for n, m, d, g in zip(size, pair.margin, moved, model[3:], strict=True):
        at = np.arange(n, dtype=np.float64)
        at = at if n == 1 else (n - 1) / 2 + (1 + g) * (at - (n - 1) / 2)
        places.append(np.clip(at + m + d, 0, n + 2 * m - 1) if m else at)
    seen = resampled(pair.moving, places, 3).astype(np.float64)
    still = pair.still.astype(np.float64)
    weight = pair.structure * _structure(seen)
    if weight.sum() < 1e-9:
        return np.zeros((3, 3)), np.zeros(3)
    weight /= weight.sum()
    a, b = still - (weight * still).sum(), seen - (weight * seen).sum()
    power, cross = (weight * a * a).sum(), (weight * a * b).sum()
    if cross <= 0 or power <= 0 or (own := (weight * b * b).sum()) <= 0:
        return np.zeros((3, 3)), np.zeros(3)
    gain = math.sqrt(own / power)  # as bright as each other: neither is the one that errs
    slopes = []
    for axis, n in enumerate(size):
        mean = (gain * a + b) / 2
        slopes.append(np.gradient(mean, axis=axis) if n > 1 else np.zeros_like(mean))
    unlike = gain * a - b
    spread = (weight * unlike * unlike).sum() + 1e-12
    information = np.array([[(weight * p * q).sum() for q in slopes] for p in slopes]) / spread
    pull = np.array([(weight * p * unlike).sum() for p in slopes]) / spread
    return information * (cross / math.sqrt(own * power)), pull * (cross / math.sqrt(own * power))


def _structure(image: Floats) -> Floats:
    """How much a voxel belongs to bright structure, 0 to 1."""
    low, high = np.median(image), np.quantile(image, 0.998)
    if high <= low:
        return np.zeros_like(image)
    part: Floats = np.clip((image - low) / (high - low), 0, 1)
    return np.sqrt(part)


@dataclass(frozen=True)
class _Solution:
    """One step of the fit (shift, stretch), and how well the blocks agree (z, y, x)."""

    step: Floats
    residual: Floats
    uncertainty: Floats


def _solved(
    pairs: Sequence[_Pair], parts: Sequence[tuple[Floats, Floats]], free: Sequence[bool], model: Floats
) -> _Solution:
    """Shift and stretch that fit the displacements of all blocks, with the weights of outliers going down."""
    designs = [np.hstack([np.eye(3), np.diag(pair.centre)]) for pair in pairs]
    infos, pulls = np.array([i for i, _ in parts]), np.array([p for _, p in parts])
    ridge = 1e-3 * max(float(np.mean([np.trace(i) for i in infos])) / 3, 1e-12) * np.eye(3)
    own = np.array(
        [np.linalg.solve(i + ridge, p) for i, p in zip(infos, pulls, strict=True)]
    )  # of each block alone
    on, theta, w = np.flatnonzero(free), np.zeros(6), np.ones(len(pairs))
    scale = float(np.median([np.trace(i) for i in infos if i.any()] or [1.0]))
    prior = np.zeros((6, 6))
    prior[3:, 3:] = np.eye(3) * 1e-2 * scale / _STRETCH**2
    normal = np.eye(6)
    for _ in range(8):
        normal = prior + sum(k * d.T @ i @ d for k, d, i in zip(w, designs, infos, strict=True))
        right = sum(k * d.T @ p for k, d, p in zip(w, designs, pulls, strict=True)) - prior @ model
        theta = np.zeros(6)
        theta[on] = np.linalg.solve(normal[np.ix_(on, on)] + 1e-12 * np.eye(len(on)), right[on])
        left = own - np.array([d @ theta for d in designs])
        chi = np.sqrt(np.maximum(np.einsum("ni,nij,nj->n", left, infos, left), 0))
        limit = 1.5 * float(np.median(chi)) / 0.6745 + 1e-9
        w = np.minimum(1, limit / np.maximum(chi, 1e-12))
    certain = np.array([np.diag(i) for i in infos]) * w[:, None]
    total = np.maximum(certain.sum(axis=0), 1e-12)
    residual = np.sqrt((certain * left**2).sum(axis=0) / total)
    effective = np.maximum(certain.sum(axis=0) ** 2 / np.maximum((certain**2).sum(axis=0), 1e-12), 1)
    return _Solution(theta, residual, residual / np.sqrt(effective))
