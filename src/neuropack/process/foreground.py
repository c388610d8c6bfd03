"""What of an image is neurite: one number for each voxel to put a threshold to, and the thresholds that fit it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, full_box
from neuropack.errors import UsageError
from neuropack.process.channels import check_channel, one_channel
from neuropack.process.computed import computed
from neuropack.process.tubeness import reach_of, scales_of, taps_of, tubeness_inside
from neuropack.volume import Channel, Volume

Way = Literal["tubeness", "otsu"]

SIGMAS_UM = (0.5, 1.0)
LOW, HIGH = 5.0, 10.0
"""Thresholds of tubeness, in units of its noise."""
SHARE = 0.4
"""Of the brightest voxel nearby: what is darker is the blur around a neurite, and no neurite."""
_NEAR = 1.5  # of the widest sigma: nearer, blur stays; farther, a faint neurite beside a bright one is cut
_BRIGHT = 10.0  # noise units; nothing darker is a soma, whatever Otsu's threshold is
_SAMPLE = (32, 64, 64)  # voxels of the boxes that are looked at first
_SAMPLES = (2, 4, 4)  # how many, where the image is larger than all of them
_BINS = 4096
_ROUNDING = 1e-6  # of the largest tubeness; what is less is no noise
_GRAIN = 0.3  # voxels; a Gaussian that is narrower changes nothing

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """How the foreground of an image is found: all that decides the values and the thresholds.

    Attributes:
        method: tubeness or otsu.
        channels: that are looked at; their values are summed, less `offsets` and divided by `scales`.
        offsets, scales: background and noise of each, 0 where all is the same and nothing to be seen; of a single
            channel and otsu 0 and 1.
        sigmas_um: of tubeness.
        unit: the noise of the tubeness, of which `low` and `high` are multiples; otherwise 1.
        low, high: thresholds of the response; None where the sample holds nothing above 0.
        bright: voxels that are so bright belong to the foreground as strong ones, tubes or not; None with otsu.
        share: of the brightest voxel nearby that a voxel must have.
        stated: which of low and high the user stated.
    """

    method: Way
    channels: tuple[int, ...]
    offsets: tuple[float, ...]
    scales: tuple[float, ...]
    sigmas_um: tuple[float, ...]
    unit: float
    low: float | None
    high: float | None
    bright: float | None
    share: float | None
    stated: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """For a report."""
        return asdict(self)


def recipe_for(
    volume: Volume,
    method: Way = "tubeness",
    *,
    channel: int | None = None,
    sigmas_um: Sequence[float] = SIGMAS_UM,
    low: float | None = None,
    high: float | None = None,
) -> Recipe:
    """Look at a sample of an image, at most 4 million voxels spread evenly, and decide.

    The background of a channel is its median, its noise 1.4826 times the median distance from that. Several
    channels are summed in units of their noise, so that none decides by its gain.

    ``tubeness``: its unit of noise is the upper quartile of the tubeness in the sample, which noise alone makes as
    long as neurites fill far less than a quarter of the image; where that is 0, Otsu's threshold of what is above 0
    takes its place. Thresholds are 5 and 10 units. Voxels above Otsu's threshold of the brightness, and 10 noise
    units, belong to the foreground too: somata are no tubes.

    ``otsu``: one threshold of the brightness, after Otsu 1979, of the values of the file if it is one channel.

    Args:
        volume: the image.
        method: the way.
        channel: which one; None: all of them.
        sigmas_um: of tubeness.
        low, high: thresholds, in units of noise for tubeness, in brightness for otsu; None: as above, and what one
            of them leaves of that for the other. With one of them for otsu, the other is the same.

    Raises:
        UsageError: there is no such channel, the thresholds are none, or the image cannot be segmented.
    """
    check_image(volume, channel, low, high)
    chosen = tuple(range(volume.n_channels)) if channel is None else (channel,)
    source = volume if channel is None else one_channel(volume, channel)
    rows = range(source.n_channels)
    samples = [source.read(_lead(source, box)) for box in _sample_boxes(source)]
    offsets: tuple[float, ...] = (0.0,)
    scales: tuple[float, ...] = (1.0,)
    if method == "tubeness" or len(chosen) > 1:
        offsets, scales = _noise(samples, rows)
    stated = tuple(name for name, value in (("low", low), ("high", high)) if value is not None)

    def bright_of(block: Array) -> Floats:
        return _summed(block[0] if block.ndim == 5 else block, rows, offsets, scales)

    brightness = [bright_of(block) for block in samples]
    if method == "otsu":
        otsu = otsu_threshold(np.concatenate([b[np.isfinite(b)] for b in brightness]))
        low, high = low if low is not None else high, high if high is not None else low
        low, high = (otsu, otsu) if low is None else (low, high)
        return Recipe("otsu", chosen, offsets, scales, (), 1.0, _single(low), _single(high), None, None, stated)
    scales_zyx, planar = scales_of(volume, sigmas_um), volume.size_zyx[0] == 1
    halo = surroundings_of(volume, sigmas_um)
    found, smooth = [], []
    for block in brightness:
        wide = np.pad(block, [(h, h) for h in halo], mode="symmetric")
        found.append(tubeness_inside(wide, halo, scales_zyx, planar=planar).ravel())
        core = _smoothed(wide, scales_zyx, planar)[_core(wide.shape, halo)]
        smooth.append(core[np.isfinite(core)])
    otsu = otsu_threshold(np.concatenate(smooth))
    unit, usual = _unit(np.concatenate(found))
    if low is None:
        low = _LOW_OF[usual] if high is None else min(_LOW_OF[usual], high)
    high = max(_HIGH_OF[usual], low) if high is None else high
    nothing = unit == 0
    return Recipe(
        "tubeness",
        chosen,
        offsets,
        scales,
        tuple(float(s) for s in sigmas_um),
        unit,
        None if nothing else _single(low * unit),
        None if nothing else _single(high * unit),
        None if otsu is None else _single(max(otsu, _BRIGHT)),
        SHARE,
        stated,
    )


def surroundings_of(volume: Volume, sigmas_um: Sequence[float]) -> tuple[int, int, int]:
    """Voxels along z, y, x that tubeness looks at around a voxel of an image.

    Raises:
        UsageError: a sigma is not positive, or the voxel size is not known.
    """
    halo, _ = _surroundings(scales_of(volume, sigmas_um), volume.size_zyx[0] == 1)
    return halo


def foreground_mask(volume: Volume, recipe: Recipe) -> Volume:
    """1 where the response reaches the lower threshold, else 0: uint8, one channel, computed as it is read."""
    low = math.inf if recipe.low is None else recipe.low

    def compute(wide: Array, inner: Box) -> Array:
        return (wide[:1] >= low).astype(np.uint8)

    kind, channels = np.dtype(np.uint8), (Channel(name="foreground"),)
    return computed(response_of(volume, recipe), compute, {"foreground_mask": low}, dtype=kind, channels=channels)


_LOW_OF, _HIGH_OF = {True: LOW, False: 1.0}, {True: HIGH, False: 1.0}  # False: the unit is Otsu's threshold


def response_of(volume: Volume, recipe: Recipe) -> Volume:
    """The image of what the thresholds are put to, and of the brightness beside it, computed as they are read.

    Returns:
        float32, channels ``response`` and ``brightness``.
    """
    source = one_channel(volume, recipe.channels[0]) if len(recipe.channels) == 1 else volume
    rows = range(1) if len(recipe.channels) == 1 else recipe.channels
    made_by = {"foreground": {**recipe.record(), "version": 1}}
    channels = (Channel(name="response"), Channel(name="brightness"))
    planar = volume.size_zyx[0] == 1
    scales = scales_of(volume, recipe.sigmas_um) if recipe.sigmas_um else []
    halo, near = _surroundings(scales, planar) if scales else ((0, 0, 0), (0, 0, 0))

    def compute(wide: Array, inner: Box) -> Array:
        bright = _summed(wide, rows, recipe.offsets, recipe.scales)
        core = _core(bright.shape, halo)
        if recipe.method == "otsu" or recipe.low is None or recipe.high is None:
            return np.stack([bright[core], bright[core]])
        from neuropack.process.foreground_kernel import trim

        made = np.empty((2, *bright[core].shape), np.float32)
        made[0] = tubeness_inside(bright, halo, scales, planar=planar)
        bright = _smoothed(bright, scales, planar)
        made[1] = bright[core]
        limit = math.inf if recipe.bright is None else recipe.bright
        trim(made[0], bright, halo, near, recipe.low, recipe.high, limit, recipe.share or 0.0)
        return made

    return computed(source, compute, made_by, halo=halo, dtype=np.dtype(np.float32), channels=channels)


def otsu_threshold(values: npt.NDArray[Any]) -> float | None:
    """The threshold that tells two classes apart best, after Otsu 1979; None where all values are the same.

    What is equal to it or larger is the upper class.
    """
    if not len(values) or (low := float(values.min())) == (high := float(values.max())):
        return None
    counts, edges = np.histogram(values, _BINS, (low, high))
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above = len(values) - below
    mass = np.cumsum(counts * middles)
    apart = mass[:-1] / np.maximum(below, 1) - (mass[-1] - mass[:-1]) / np.maximum(above, 1)
    return float(edges[1:-1][np.argmax(below.astype(np.float64) * above * apart**2)])


def check_image(
    volume: Volume, channel: int | None = None, low: float | None = None, high: float | None = None
) -> None:
    """See that an image can be segmented, and by these thresholds.

    Raises:
        UsageError: it cannot.
    """
    volume.require_axes()
    volume.require_voxel_size()
    if volume.labels:
        raise UsageError(
            "holds labels: it is segmented already",
            file=volume.path,
            expected="an image",
            fix="name the image; boxes and skeletons of labels are made by neuropack annotations derive",
        )
    if volume.n_times != 1:
        raise UsageError(
            "has several time points",
            file=volume.path,
            expected="one",
            found=str(volume.n_times),
            fix="write each as an image of its own",
        )
    if channel is not None:
        check_channel(volume, channel)
    for name, value in (("low", low), ("high", high)):
        if value is not None and not math.isfinite(value):
            raise UsageError(f"the threshold {name} is no number", found=str(value))
    if low is not None and high is not None and low > high:
        raise UsageError(
            "the lower threshold lies above the upper one", found=f"low {low:g}, high {high:g}", fix="swap them"
        )


def _single(value: float | None) -> float | None:
    """As the response has it, so that what is set to a threshold reaches it."""
    return None if value is None else float(np.float32(value))


def _lead(volume: Volume, box: Box) -> Box:
    return (*full_box(volume.shape[:-3]), *box)


def _sample_boxes(volume: Volume) -> Iterator[Box]:
    shape = volume.size_zyx
    if math.prod(shape) <= math.prod(_SAMPLE) * math.prod(_SAMPLES):
        yield full_box(shape)
        return
    size = [min(s, n) for s, n in zip(_SAMPLE, shape, strict=True)]
    sides = []
    for n, s, k in zip(shape, size, _SAMPLES, strict=True):
        sides.append(sorted({int((n - s) * (i + 0.5) / k) for i in range(k)}))
    for corner in product(*sides):
        yield tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))


def _noise(samples: Sequence[Array], channels: Sequence[int]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    offsets, scales = [], []
    for c in channels:
        values = np.concatenate([_float32(block[..., c, :, :, :]).ravel() for block in samples])
        values = values[np.isfinite(values)]
        middle = float(np.median(values)) if len(values) else 0.0
        away = np.abs(values - np.float32(middle))
        noise = 1.4826 * float(np.median(away)) if len(values) else 0.0
        if noise == 0 and len(values):  # most voxels have one value, as in a stack of few grey levels
            noise = 1.2533 * float(away.mean(dtype=np.float64))
        offsets.append(middle)
        scales.append(noise * math.sqrt(len(channels)))
    return tuple(offsets), tuple(scales)


def _summed(block: Array, channels: Sequence[int], offsets: Sequence[float], scales: Sequence[float]) -> Floats:
    """The brightness of a block (c, z, y, x): its channels, less their background, in units of noise.

    NaN where a channel is not finite: an infinite one would be the brightest of all.
    """
    made = np.zeros(block.shape[1:], np.float32)
    for c, offset, scale in zip(channels, offsets, scales, strict=True):
        if scale == 0:
            continue
        if (offset, scale) == (0.0, 1.0):
            made += _float32(block[c])
        else:
            made += (_float32(block[c]) - np.float32(offset)) * np.float32(1 / scale)
    if block.dtype.kind == "f":
        made[~np.isfinite(made)] = np.nan
    return made


def _float32(values: Array) -> Floats:
    """As they are computed with; what is too large for that is infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _unit(values: Floats) -> tuple[float, bool]:
    """The unit of noise of a tubeness; and whether it is one, or a threshold for want of noise."""
    noise = float(np.quantile(values, 0.75))
    least = _ROUNDING * float(values.max())
    if noise > least:
        return noise, True
    positive = values[values > least]
    threshold = otsu_threshold(positive)
    return threshold or (float(positive.min()) if len(positive) else 0.0), False


def _surroundings(
    scales: Sequence[tuple[float, float, float]], planar: bool
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Voxels along z, y, x that a block needs around it, and how far something is beside a voxel."""
    near = [math.ceil(_NEAR * max(s[axis] for s in scales)) for axis in range(3)]
    blur = reach_of([_fine(scales)])
    z, y, x = (max(t, n + b) for t, n, b in zip(reach_of(scales), near, blur, strict=True))
    return ((0 if planar else z), y, x), ((0 if planar else near[0]), near[1], near[2])


def _fine(scales: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """The Gaussian that takes the noise off the brightness: half as wide as the narrowest tube."""
    z, y, x = (0.5 * min(s[axis] for s in scales) for axis in range(3))
    return z, y, x


def _smoothed(bright: Floats, scales: Sequence[tuple[float, float, float]], planar: bool) -> Floats:
    """The brightness of a block and its surroundings without the finest grain; wrong at its very border."""
    from scipy import ndimage

    for axis, sigma in enumerate(_fine(scales)):
        if sigma >= _GRAIN and not (planar and axis == 0):
            half = taps_of(sigma)[0].astype(np.float64)
            bright = ndimage.correlate1d(bright, np.concatenate([half[:0:-1], half]), axis, mode="nearest")
    return bright


def _core(shape: Sequence[int], halo: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(h, n - h) for h, n in zip(halo, shape, strict=True))
