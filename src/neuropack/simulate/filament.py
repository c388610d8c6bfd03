"""One beaded filament among others, thin and noisy: what a path search is measured on.

Its course is known exactly, so the distance of a found path from the truth is too. All of it is simulated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError

Floats = npt.NDArray[np.float64]

SHAPE = (256, 512, 512)
RADIUS = 1.2  # voxels
_PSF = (1.5, 0.8, 0.8)  # standard deviation along z, y, x, voxels
_BACKGROUND, _READ_NOISE = 10.0, 2.0  # photons
_GAIN, _OFFSET = 40.0, 100.0  # counts of a photon, and of none
_STEP = 0.25  # voxels between two points of a course
_OWN = (0.75, 0.55, 0.35)  # the colour of the filament, where there are colours
_WIDEST = 70.0  # degrees: hardly any colour is farther from that one, and none from 71 on


@dataclass(frozen=True, eq=False)
class FilamentStack:
    """A simulated stack and what is known of it.

    Attributes:
        image: (c, z, y, x), uint16.
        centreline: of the filament that is to be traced, (n, 3), z, y, x in voxels; voxel i has its centre at i.
        others: the same of each distractor.
        colours: a unit vector (c,) of each filament, (1 + distractors, c); the first is the filament's own.
        snr: mean brightness of the centreline over the background, divided by the noise there.
    """

    image: npt.NDArray[np.uint16]
    centreline: Floats
    others: tuple[Floats, ...]
    colours: Floats
    snr: float

    def piece(self, start: float, length: float) -> Floats:
        """The part of the centreline that begins `start` voxels of path along it and is `length` long."""
        steps = np.linalg.norm(np.diff(self.centreline, axis=0), axis=1)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        return self.centreline[(along >= start) & (along <= start + length)]

    def length(self) -> float:
        """Of the centreline, in voxels."""
        return float(np.linalg.norm(np.diff(self.centreline, axis=0), axis=1).sum())


def filament_stack(
    shape: tuple[int, int, int] = SHAPE,
    *,
    snr: float = 8.9,
    distractors: int = 12,
    companions: int = 0,
    angle_degrees: float | None = None,
    seed: int = 0,
) -> FilamentStack:
    """Simulate a bent filament of radius 1.2 voxels with beads, blurred, with Poisson and read noise.

    Args:
        shape: z, y, x.
        snr: of the centreline, see `FilamentStack`; of colours, of all channels together.
        distractors: other filaments of the same kind, anywhere.
        companions: so many of them wind around the filament and cross it again and again.
        angle_degrees: the angle between the colour of the filament and that of each distractor, in three channels,
            0 to 70; None: one channel, all have the same brightness.
        seed: every choice is drawn from it.

    Raises:
        UsageError: the stack is too small for a filament, the SNR is not positive, or no colour is so far away.
    """
    if (
        min(shape) < 16
        or not (math.isfinite(snr) and snr > 0)
        or not 0 <= companions <= distractors
        or not (angle_degrees is None or 0 <= angle_degrees <= _WIDEST)
    ):
        raise UsageError(
            "no filament can be simulated so",
            expected="at least 16 voxels along each axis, an SNR above 0, no more companions than distractors, "
            f"an angle of 0 to {_WIDEST:g} degrees",
            found=f"{' x '.join(map(str, shape))}, SNR {snr:g}, {companions} of {distractors}, {angle_degrees}",
        )
    rng = np.random.default_rng(seed)
    main = _bent(rng, shape)
    others = [_winding(rng, main, shape) for _ in range(companions)]
    others += [_wild(rng, shape) for _ in range(distractors - companions)]
    colours = _colours(rng, distractors, angle_degrees)
    image = np.zeros((colours.shape[1], *shape), np.float32)
    for course, colour in zip([main, *others], colours, strict=True):
        _splat(rng, image, course, colour)
    return FilamentStack(_seen(rng, image, main, colours[0], snr), main, tuple(others), colours, snr)


def _even(course: Floats) -> Floats:
    """The same course with points at equal steps."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(course, axis=0), axis=1))])
    at = np.arange(0.0, along[-1], _STEP)
    return np.column_stack([np.interp(at, along, course[:, axis]) for axis in range(3)])


def _bent(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """From one end of x to the other, with two hairpins in y and slower waves in z."""
    t = np.linspace(0.0, 1.0, 20_000)
    z, y, x = (n - 1.0 for n in shape)
    first, second = rng.uniform(-0.4, 0.4, 2)
    wave = 0.32 * np.sin(2 * np.pi * (1.25 * t + 0.1 * first)) + 0.05 * np.sin(2 * np.pi * (5 * t + second))
    deep = 0.22 * np.sin(2 * np.pi * (0.8 * t + first)) + 0.05 * np.sin(2 * np.pi * (3.5 * t + second))
    back = 0.03 * np.sin(2 * np.pi * (3 * t + second))
    return _even(np.column_stack([z * (0.5 + deep), y * (0.5 + wave), x * (0.06 + 0.88 * t + back)]))


def _wild(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """From one face to another one, in waves."""
    size = np.array(shape) - 1.0
    ends = rng.uniform(0.03, 0.97, (2, 3))
    axis = int(rng.integers(3))
    ends[0, axis], ends[1, axis] = 0.02, 0.98
    t = np.linspace(0.0, 1.0, 8_000)[:, None]
    course = ends[0] + t * (ends[1] - ends[0])
    for _ in range(3):
        course = course + rng.uniform(0.01, 0.06, 3) * np.sin(
            2 * np.pi * (rng.uniform(0.5, 4, 3) * t + rng.uniform(0, 1, 3))
        )
    return _even(np.clip(course, 0.01, 0.99) * size)


def _winding(rng: np.random.Generator, main: Floats, shape: tuple[int, int, int]) -> Floats:
    """Along the filament, at most a dozen voxels away, meeting it every 40 voxels of path or so."""
    along = np.arange(len(main)) * _STEP
    offset = np.zeros_like(main)
    for axis in range(3):
        offset[:, axis] = rng.uniform(5, 12) * np.sin(along / rng.uniform(13, 25) + rng.uniform(0, 2 * np.pi))
    return _even(np.clip(main + offset, 0, np.array(shape) - 1.0))


def _colours(rng: np.random.Generator, distractors: int, angle_degrees: float | None) -> Floats:
    if angle_degrees is None:
        return np.ones((1 + distractors, 1))
    own = np.array(_OWN)
    own /= np.linalg.norm(own)
    colours = [own]
    angle = math.radians(angle_degrees)
    while len(colours) <= distractors:
        side = np.cross(own, rng.normal(size=3))
        other = math.cos(angle) * own + math.sin(angle) * side / np.linalg.norm(side)
        if other.min() >= -0.02:  # nothing shines with less than no light
            other = np.maximum(other, 0.0)
            colours.append(other / np.linalg.norm(other))
    return np.array(colours)


def _splat(rng: np.random.Generator, image: npt.NDArray[np.float32], course: Floats, colour: Floats) -> None:
    """Spread the brightness of each point over the eight voxels around it."""
    along = np.arange(len(course)) * _STEP
    beads = 1 + 0.45 * np.sin(2 * np.pi * along / rng.uniform(9, 16) + rng.uniform(0, 6))
    beads *= 1 + 0.15 * np.sin(2 * np.pi * along / rng.uniform(50, 90))
    low = np.floor(course).astype(np.int64)
    part = course - low
    limit = np.array(image.shape[1:])
    for corner in np.ndindex(2, 2, 2):
        at = low + corner
        weight = np.prod(np.where(corner, part, 1 - part), axis=1) * beads
        inside = ((at >= 0) & (at < limit)).all(axis=1)
        for channel, share in enumerate(colour):
            np.add.at(image[channel], tuple(at[inside].T), (share * weight[inside]).astype(np.float32))


def _seen(
    rng: np.random.Generator, image: npt.NDArray[np.float32], main: Floats, colour: Floats, snr: float
) -> npt.NDArray[np.uint16]:
    """Blur it to tubes, scale it to the SNR, and count photons.

    A disc of radius r has the second moment r^2 / 4 along each axis: a Gaussian of that width stands for it.
    """
    from scipy import ndimage

    width = [math.hypot(s, RADIUS / 2) for s in _PSF]
    floor = _BACKGROUND + _READ_NOISE**2
    peak = (snr**2 + math.sqrt(snr**4 + 4 * snr**2 * floor)) / 2  # peak / sqrt(peak + floor) = snr
    at = tuple(np.clip(np.round(main), 0, np.array(image.shape[1:]) - 1).astype(np.int64).T)
    out = np.empty(image.shape, np.uint16)
    for channel in range(len(image)):
        image[channel] = ndimage.gaussian_filter(image[channel], width, truncate=3.0)
    bright = float(np.mean([c * (row[at]).mean() for c, row in zip(colour, image, strict=True)]) * len(image))
    for channel, light in enumerate(image):
        for z, plane in enumerate(light):  # a plane at a time: the numbers of a whole stack are large
            photons = rng.poisson(plane * (peak / bright) + _BACKGROUND) + rng.normal(0, _READ_NOISE, plane.shape)
            out[channel, z] = np.clip(np.round(photons * _GAIN + _OFFSET), 0, 65535)
    return out
