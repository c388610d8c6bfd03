"""Tubeness: how much the image looks like a bright tube at each voxel, on one or several scales."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.errors import UsageError
from neuropack.process.channels import one_channel
from neuropack.process.computed import computed
from neuropack.volume import Channel, Volume

_REACH = 4.5  # sigmas that a filter is long to either side: within 0.2 % of an endless one
_NARROW = 0.2  # voxels; narrower than this a sampled Gaussian is one voxel, and its derivatives are differences

Floats = npt.NDArray[np.float32]
Sigma = tuple[float, float, float]


def tubeness(block_zyx: Array, sigma_zyx: float | Sigma | Sequence[float | Sigma]) -> Floats:
    """The tubeness of an image in memory; beyond its border stands its mirror image.

    sqrt(max(-l1, 0) max(-l2, 0)) sigma^2, with l1 <= l2 the lowest two eigenvalues of the Hessian of the image
    under a Gaussian (Sato et al. 1998); of an image of one plane max(-l1, 0) sigma^2. It has the unit of the image:
    that of a straight tube of a Gaussian profile is at most a quarter of its brightness.

    Args:
        block_zyx: numbers (z, y, x). Around a voxel that is not finite, the result is 0.
        sigma_zyx: of the Gaussian in voxels along z, y, x, one number for all three, or a list of either: the
            largest tubeness of them counts.

    Returns:
        float32, the shape of the block, 0 or more.

    Raises:
        UsageError: a sigma is not positive, or Numba is not installed.
    """
    scales = _scales(sigma_zyx)
    halo = reach_of(scales)
    if block_zyx.shape[0] == 1:
        halo = (0, *halo[1:])
    wide = np.pad(np.asarray(block_zyx, np.float32), [(h, h) for h in halo], mode="symmetric")
    return tubeness_inside(wide, halo, scales, planar=block_zyx.shape[0] == 1)


def tubeness_image(volume: Volume, sigmas_um: Sequence[float], *, channel: int = 0) -> Volume:
    """The tubeness of one channel of an image, computed as it is read.

    Args:
        volume: the image.
        sigmas_um: of the Gaussians, micrometre; the largest tubeness of them counts.
        channel: which one.

    Returns:
        float32, one channel of the same size and place.

    Raises:
        UsageError: a sigma is not positive, there is no such channel, or the voxel size is not known.
    """
    source = one_channel(volume, channel)
    scales = scales_of(volume, sigmas_um)
    planar = volume.size_zyx[0] == 1
    halo = reach_of(scales)
    if planar:
        halo = (0, *halo[1:])

    def compute(wide: Array, inner: Box) -> Array:
        return tubeness_inside(wide[0].astype(np.float32), halo, scales, planar=planar)[None]

    made_by = {"tubeness": {"sigmas_um": [float(s) for s in sigmas_um], "channel": channel, "version": 1}}
    name = volume.channels[channel].name
    made = Channel(name=f"tubeness of {name}" if name else "tubeness")
    return computed(source, compute, made_by, halo=halo, dtype=np.dtype(np.float32), channels=(made,))


def scales_of(volume: Volume, sigmas_um: Sequence[float]) -> list[Sigma]:
    """Sigmas along z, y, x in voxels of an image.

    Raises:
        UsageError: a sigma is not positive, or the voxel size is not known.
    """
    volume.require_voxel_size()
    size = tuple(1.0 if v is None else v for v in volume.voxel_size_um)  # None only for the z of a plane
    if not sigmas_um or not all(0 < s < np.inf for s in sigmas_um):
        shown = ", ".join(map(str, sigmas_um)) or "none"
        raise UsageError("a sigma is a positive length in micrometre", found=shown)
    return [(s / size[0], s / size[1], s / size[2]) for s in sigmas_um]


def reach_of(scales: Sequence[Sigma]) -> tuple[int, int, int]:
    """Voxels along z, y, x that the filters of these sigmas need around a voxel."""
    z, y, x = (max(_reach(s[axis]) for s in scales) for axis in range(3))
    return z, y, x


def tubeness_inside(wide: Floats, halo: tuple[int, int, int], scales: Sequence[Sigma], *, planar: bool) -> Floats:
    """The tubeness of a block of which the surroundings are known.

    Args:
        wide: the image (z, y, x) of the block and of its surroundings.
        halo: how many voxels along z, y, x these are: `reach_of` the scales, or more.
        scales: sigma along z, y, x in voxels.
        planar: True for an image of one plane.

    Returns:
        float32, the shape of the block.
    """
    from neuropack.process import tubeness_kernel

    depth, height, width = (n - 2 * h for n, h in zip(wide.shape, halo, strict=True))
    out = np.zeros((depth, height, width), np.float32)
    for sigma in scales:
        z, y, x = (taps_of(s) for s in sigma)
        if planar:
            z = np.array([[1.0], [0.0], [0.0]], np.float32)
        tubeness_kernel.ridges(out, np.ascontiguousarray(wide), halo, z, y, x, _arc(), planar)
    return out


def _scales(sigma: Any) -> list[Sigma]:
    single = isinstance(sigma, float | int) or (isinstance(sigma, tuple) and len(sigma) == 3)
    found: list[Sigma] = []
    for one in [sigma] if single else sigma:
        z, y, x = (one, one, one) if isinstance(one, float | int) else one
        found.append((float(z), float(y), float(x)))
    if not found or not all(0 < s < np.inf for one in found for s in one):
        raise UsageError("a sigma is positive along z, y and x", found=str(sigma))
    return found


def _reach(sigma: float) -> int:
    r = max(2, int(np.ceil(_REACH * sigma)))
    return r + r % 2  # the kernels take two distances at a time


@cache
def taps_of(sigma: float) -> Floats:
    """Filters of a Gaussian and its derivatives (3, 1 + r), from the middle outward, times sigma^order.

    They are sampled, then set right so that they do to 1, x and x^2 what the derivatives do. Of the second one the
    kernels take differences to the middle, whose own tap is minus the sum of the others and is not looked at.
    """
    k = np.arange(_reach(sigma) + 1, dtype=np.float64)
    wide = max(sigma, _NARROW)
    bell = np.exp(-0.5 * (k / wide) ** 2)
    blur = bell / (bell[0] + 2 * bell[1:].sum())
    slope = k * bell
    slope *= sigma / (2 * (slope * k).sum())
    bend = ((k / wide) ** 2 - 1) * bell
    bend *= sigma**2 / (bend * k**2).sum()
    return np.array([blur, slope, bend], np.float32)


@cache
def _arc() -> npt.NDArray[np.float64]:
    """Coefficients of (1 - cos(2/3 arccos u)) / (1 - u) for u from 0 to 1, from the constant one on."""
    u = 0.5 - 0.5 * np.cos((np.arange(64) + 0.5) / 64 * np.pi)  # Chebyshev's nodes
    wanted = 2 * np.sin(np.arccos(u) / 3) ** 2 / (1 - u)
    fit = np.polynomial.Chebyshev.fit(u, wanted, 9, domain=[0, 1])
    return np.asarray(fit.convert(kind=np.polynomial.Polynomial).coef, np.float64)
