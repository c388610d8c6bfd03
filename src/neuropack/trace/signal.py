"""What is signal and what is noise near a path that is looked for, and what a voxel of it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

LOWEST, PER_NOISE, ENTRIES = -8.0, 16.0, 1 << 14  # of the table of costs: from -8 to 1016 noises
_FAINTEST = 0.04  # of the contrast of the ends: no voxel costs more than this one
_RANGE = 1500.0  # a noise is at least this part of the contrast: an image without noise has none


@dataclass(frozen=True, eq=False)
class Model:
    """The signal near a path.

    Attributes:
        floor: background of each channel (c,).
        noise: standard deviation of it, of the filtered image (c,).
        colour: the unit vector (c,) in units of noise that brightness is looked at along.
        contrast: of the ends, in noises along `colour`; the brightness that a neurite is taken to have.
        width: radian of colour that is tolerated; 0: colours are not looked at.
        costs: (n,) at `LOWEST` + i / `PER_NOISE` noises.
    """

    floor: Floats
    noise: Floats
    colour: Floats
    contrast: float
    width: float
    costs: Floats

    def brightness(self, image: Floats) -> Floats:
        """The contrast of voxels (c, z, y, x), noises."""
        from neuropack.trace.block_kernel import bright

        out = np.empty(image.shape[1:], np.float32)
        bright(image, self.floor, (self.colour / self.noise).astype(np.float32), out)
        return out


def background(samples: list[Floats]) -> tuple[Floats, Floats]:
    """Background and noise of each channel, from voxels (c, n): those above the median may be neurites.

    The background is the median; the noise is half of the distance of the lowest 2.3 % from it, where a Gaussian
    has two standard deviations, or that of the lowest sixth where this is more.
    """
    values = np.concatenate([s.reshape(len(s), -1) for s in samples], axis=1)
    floors, noises = [], []
    for row in values:
        known = np.sort(row[np.isfinite(row)])  # faster than quantiles of what is not sorted
        if not len(known):
            floors.append(0.0)
            noises.append(1.0)
            continue
        low, sixth, middle, high = (_at(known, share) for share in (0.0228, 0.1587, 0.5, 1.0))
        noise = max(middle - sixth, (middle - low) / 2, (high - middle) / _RANGE, 1e-6 * abs(middle), 1e-9)
        floors.append(middle)
        noises.append(noise)
    return np.array(floors, np.float32), np.array(noises, np.float32)


def _at(values: Floats, share: float) -> float:
    """The quantile of sorted values, linearly between two of them."""
    at = share * (len(values) - 1)
    low, high = float(values[math.floor(at)]), float(values[math.ceil(at)])
    return low + (at - math.floor(at)) * (high - low)


def costs(contrast: float) -> Floats:
    """The cost of a voxel by its contrast: (contrast of the ends / that of the voxel)^2, from 1 on.

    On simulated beaded filaments of SNR 1.7 and 8.9, costs from likelihoods (1 - erf, the log of the likelihood
    ratio) found fewer paths and took longer: they make gaps between beads dearer than the way around them.

    Args:
        contrast: of the ends, noises.
    """
    contrast = max(contrast, 1.0)
    made = np.ones(ENTRIES, np.float32)
    darker = min(ENTRIES, max(0, round((contrast - LOWEST) * PER_NOISE)))
    at = LOWEST + np.arange(darker) / PER_NOISE
    made[:darker] = np.clip(at / contrast, _FAINTEST, 1.0) ** -2
    return made


def squared(model: Model) -> Model:
    """The same with the square of what each voxel costs, by brightness and by colour, and with no least cost.

    So a way keeps to what is brightest even where all of it is as bright as the ends: inside of a bend, whose arms
    the blur brings together.
    """
    at = LOWEST + np.arange(ENTRIES) / PER_NOISE
    made = np.clip(at / max(model.contrast, 1.0), _FAINTEST, None) ** -4
    return replace(model, costs=made.astype(np.float32), width=model.width / math.sqrt(2))


def colour_at(vectors: list[npt.NDArray[np.float64]], channels: int) -> npt.NDArray[np.float64]:
    """The unit vector of the mean of some contrasts (c,); grey where they have no light."""
    total = np.sum([np.maximum(v, 0) for v in vectors], axis=0)
    length = float(np.linalg.norm(total))
    return total / length if length > 1 and math.isfinite(length) else np.full(channels, channels**-0.5)
