"""The microscope: blur, loss of light with depth, haze, photon and camera noise.

Every voxel depends on the seed and its own place only. The noise comes from a counter-based generator that
starts anew for each small tile of the stack, so a tile reads the same whoever asks for it, and when.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box
from neuropack.errors import UsageError

TILE = (4, 64, 64)  # z, y, x of the tiles that noise is drawn for; another value gives other noise
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Optics:
    """A confocal microscope, roughly.

    Attributes:
        numerical_aperture: of the objective; with the emission wavelength it gives the lateral blur.
        axial_ratio: the axial blur is this many times the lateral one; 2 to 4 in a confocal.
        peak_photons: photons of a filled voxel of unit brightness at the surface.
        background_photons: mean photons where there is nothing, the haze of light out of focus.
        attenuation_um: depth at which red light (600 nm) has fallen to 1/e; shorter waves fall off earlier.
        read_noise_photons: standard deviation of the detector's own noise.
        counts_per_photon, offset_counts: from photons to the numbers of the file.
        shift_um: of each channel, how far its image lies from the neurons along z, y, x; empty for none.
        scale: of each channel, how much its image is stretched about the centre of the stack; empty for none.
        mixing: rows for channels, columns for fluorophores: how much of the light of each a channel sees; empty
            where each channel sees its own fluorophore only.
        vignetting: part of the light that is lost in the corners of a plane; it grows with the squared distance.
        stripes: standard deviation of the logarithm of the light from plane to plane.
    """

    numerical_aperture: float = 0.8
    axial_ratio: float = 3.0
    peak_photons: float = 90.0
    background_photons: float = 3.0
    attenuation_um: float = 250.0
    read_noise_photons: float = 1.2
    counts_per_photon: float = 40.0
    offset_counts: float = 100.0
    shift_um: tuple[tuple[float, float, float], ...] = ()
    scale: tuple[float, ...] = ()
    mixing: tuple[tuple[float, ...], ...] = ()
    vignetting: float = 0.0
    stripes: float = 0.0

    def check(self, channels: int) -> None:
        """See that what is said of each channel is said of all.

        Raises:
            UsageError: it is not, or a number is none.
        """
        for name, one in (("shift_um", 3), ("scale", 1), ("mixing", channels)):
            given = getattr(self, name)
            if not given:
                continue
            try:
                fits = np.array(given, float).size == channels * one and np.isfinite(np.array(given, float)).all()
            except ValueError:
                fits = False
            if not fits or len(given) != channels:
                expected = f"{channels} channels" + (f", {one} numbers each" if one > 1 else "")
                raise UsageError(f"{name} does not fit the channels", expected=expected, found=str(given)[:200])
        if not 0 <= self.vignetting < 1 or not 0 <= self.stripes < 1:
            found = f"{self.vignetting:g} and {self.stripes:g}"
            raise UsageError("vignetting and stripes are parts", expected="0 to below 1", found=found)

    def illumination(self, shape: tuple[int, int, int], box: Box) -> Floats:
        """What is left of the light at each place (y, x) of a box, 1 in the centre of a plane."""
        y, x = (
            np.array([(2 * (i + 0.5) / n - 1) ** 2 for i in range(s.start, s.stop)])
            for s, n in zip(box[1:], shape[1:], strict=True)
        )
        left: Floats = 1 - self.vignetting * (y[:, None] + x[None, :]) / 2
        return left

    def sigma_um(self, emission_nm: float) -> tuple[float, float, float]:
        """Standard deviation of the blur (z, y, x): laterally 0.225 wavelengths / NA (Zhang et al. 2007)."""
        lateral = 0.225 * emission_nm / 1000 / self.numerical_aperture
        return self.axial_ratio * lateral, lateral, lateral

    def attenuation_length_um(self, emission_nm: float) -> float:
        """Depth at which light has fallen to 1/e. Scattering falls steeply with the wavelength."""
        return self.attenuation_um * (emission_nm / 600) ** 2

    def attenuation(self, planes: range, step_um: float, emission_nm: float) -> Floats:
        """What is left of the light from each plane."""
        length = self.attenuation_length_um(emission_nm)
        return np.array([math.exp(-(z + 0.5) * step_um / length) for z in planes])

    def haze(self, shape: tuple[int, int, int], box: Box, phase: float) -> Floats:
        """Background photons of a box (z, y, x): one slow wave across the stack, its place set by `phase`."""
        _, y, x = (
            np.array([math.cos(2 * math.pi * ((i + 0.5) / n + phase)) for i in range(s.start, s.stop)])
            for s, n in zip(box, shape, strict=True)
        )
        photons: Floats = self.background_photons * (1 + 0.3 * y[None, :, None] * x[None, None, :])
        return photons

    def digitise(self, photons: Floats, noise: np.random.Generator) -> npt.NDArray[np.uint16]:
        """Photons that are expected to the counts of a 16-bit detector, with shot and read noise."""
        seen = noise.poisson(photons) + noise.normal(0, self.read_noise_photons, photons.shape)
        counts = np.rint(seen * self.counts_per_photon + self.offset_counts)
        return np.clip(counts, 0, np.iinfo(np.uint16).max).astype(np.uint16)


def noise_of_tile(key: npt.NDArray[np.uint64], channel: int, tile: int) -> np.random.Generator:
    """The generator of one tile of one channel. Philox streams whose upper counter words differ never meet."""
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, channel, tile], np.uint64)))


def tile_aligned(box: Box, shape: tuple[int, ...], tile: tuple[int, ...] = TILE) -> Box:
    """The smallest box of whole tiles around a box, cut at the border of the stack."""
    return tuple(
        slice(s.start // t * t, min(n, -(-s.stop // t) * t)) for s, n, t in zip(box, shape, tile, strict=True)
    )


def tiles(box: Box, shape: tuple[int, ...], tile: tuple[int, ...] = TILE) -> Iterator[tuple[int, Box]]:
    """The tiles that touch a box, each with its number in the stack."""
    counts = [-(-n // t) for n, t in zip(shape, tile, strict=True)]
    ranges = [range(s.start // t, -(-s.stop // t)) for s, t in zip(box, tile, strict=True)]
    for k in ranges[0]:
        for j in ranges[1]:
            for i in ranges[2]:
                number = (k * counts[1] + j) * counts[2] + i
                yield (
                    number,
                    tuple(
                        slice(at * t, min(n, (at + 1) * t)) for at, t, n in zip((k, j, i), tile, shape, strict=True)
                    ),
                )


def gaussian(sigma: float) -> list[float]:
    """Weights of a Gaussian of `sigma` voxels, cut at three sigma, summing to one."""
    reach = math.ceil(3 * sigma)
    weights = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(-reach, reach + 1)] if sigma > 0 else [1.0]
    total = math.fsum(weights)
    return [w / total for w in weights]


def blur(image: npt.NDArray[np.float32], halo: tuple[int, int, int], sigma: tuple[float, float, float]) -> Floats:
    """Blur an image that has `halo` spare voxels on every side along z, y, x; the result has none."""
    out = image.astype(np.float64)
    for axis in range(3):
        weights = gaussian(sigma[axis])
        spare = halo[axis] - len(weights) // 2
        length = out.shape[axis] - 2 * halo[axis]
        blurred = np.zeros([length if i == axis else n for i, n in enumerate(out.shape)])
        for i, weight in enumerate(weights):
            window = tuple(slice(spare + i, spare + i + length) if j == axis else slice(None) for j in range(3))
            blurred += weight * out[window]
        out = blurred
    return out


def halo_of(sigmas: list[tuple[float, float, float]]) -> tuple[int, int, int]:
    """Spare voxels along z, y, x that blurs of these widths need."""
    z, y, x = (max(len(gaussian(s[axis])) // 2 for s in sigmas) for axis in range(3))
    return z, y, x
