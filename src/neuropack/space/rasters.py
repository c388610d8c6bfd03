"""Images in a frame: what registration compares, and how alike two of them are."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.space.grids import slices
from neuropack.space.label_formats import resolution_of
from neuropack.space.transforms import Points, Transform, determinants

Floats = npt.NDArray[np.float32]

_BRIGHTEST = 99.5  # percentile: what is above are the few bright neurons, not the tissue
_BINS = 32
_AROUND, _ENOUGH = 7, 0.3  # voxels, and how much of them
_JACOBIAN_STEP = 0.25  # voxels, to either side


@dataclass(frozen=True, eq=False)
class Raster:
    """An image whose axes are the coordinates of a frame: voxel i covers ``[i * size, (i + 1) * size)`` of each.

    Attributes:
        values: (n0, n1, n2); the first axis is the first coordinate.
        voxel_um: (3,), sizes of a voxel.
        name: of the file, for messages.

    Raises:
        InputError: it is no volume, or everywhere of one value.
    """

    values: Floats = field(repr=False)
    voxel_um: tuple[float, float, float]
    name: str = "image"

    def __post_init__(self) -> None:
        shape = " x ".join(map(str, self.values.shape))
        if self.values.ndim != 3 or min(self.values.shape) < 2:
            raise InputError(
                "is no volume that can be registered",
                file=self.name,
                expected="two voxels or more along each of three axes, at about the voxel size of the template",
                found=shape or "one number",
            )
        if not np.isfinite(self.values).all():
            raise InputError("holds values that are no finite numbers", file=self.name, fix="replace them by 0")
        low, high = self.window
        if not high > low:
            raise InputError(
                "is blank", file=self.name, expected="an image of tissue", found=f"{low:g} nearly everywhere"
            )

    @property
    def extent_um(self) -> tuple[float, float, float]:
        """Lengths along the coordinates."""
        a, b, c = (n * size for n, size in zip(self.values.shape, self.voxel_um, strict=True))
        return a, b, c

    @cached_property
    def window(self) -> tuple[float, float]:
        """The smallest value, and the one that all but a few bright voxels stay below."""
        return float(self.values.min()), float(np.percentile(self.values, _BRIGHTEST))

    def position(self, index: npt.ArrayLike) -> Points:
        """The centres (n, 3) of voxels by their index (n, 3)."""
        return (np.asarray(index, np.float64) + 0.5) * self.voxel_um

    def sample(self, points: Points) -> npt.NDArray[np.float64]:
        """The values at points (n, 3), linear between the centres of voxels, 0 outside."""
        from scipy.ndimage import map_coordinates

        out = np.zeros(len(points))
        for part in slices(len(points)):
            index = points[part] / self.voxel_um - 0.5
            inside = ((index > -0.5) & (index < np.array(self.values.shape) - 0.5)).all(axis=1)
            out[part][inside] = map_coordinates(self.values, index[inside].T, order=1, mode="nearest")
        return out

    def tissue(self) -> npt.NDArray[np.bool_]:
        """Which voxels are brighter than the background: the threshold of Otsu 1979, IEEE Trans. SMC 9:62."""
        low, high = self.window
        counts, edges = np.histogram(np.clip(self.values, low, high), 256)
        middles, total = (edges[1:] + edges[:-1]) / 2, np.cumsum(counts)
        below = np.cumsum(counts * middles)
        rest = total[-1] - total
        with np.errstate(divide="ignore", invalid="ignore"):
            between = total * rest * (below / total - (below[-1] - below) / rest) ** 2
        # where nothing lies between two peaks every threshold there is as good: the middle one
        best = np.flatnonzero(np.nan_to_num(between) >= np.nanmax(between) * (1 - 1e-9))
        return np.asarray(self.values > edges[1:][best].mean())

    def body(self) -> npt.NDArray[np.bool_]:
        """The tissue with the dark places in it: which voxels have enough of it around them."""
        from scipy.ndimage import uniform_filter

        return np.asarray(uniform_filter(self.tissue().astype(np.float32), _AROUND) > _ENOUGH)


def stack_raster(values: npt.NDArray[Any], voxel_zyx_um: tuple[float, float, float], name: str = "image") -> Raster:
    """An array (z, y, x) as an image in the frame of its stack: x, y, z from the corner of the first voxel."""
    z, y, x = voxel_zyx_um
    return Raster(np.asarray(values, np.float32).transpose(), (x, y, z), name)


def template_raster(values: npt.NDArray[Any], name: str, most_voxels: int) -> Raster:
    """An array (AP, DV, LR) that fills the CCF; voxels are averaged until there are no more than allowed.

    Raises:
        InputError: it does not fill the CCF.
    """
    size, factor = resolution_of(values.shape, Path(name)), 1
    while values.size / factor**3 > most_voxels:
        factor += 1
    if factor > 1:
        values = _averaged(values, factor)
    return Raster(np.asarray(values, np.float32), (size * factor,) * 3, name)


def _averaged(values: npt.NDArray[Any], factor: int) -> Floats:
    """Means of cubes of voxels; what does not fill a cube at the far ends is left out. A slab at a time."""
    a, b, c = (n // factor for n in values.shape)
    out = np.empty((a, b, c), np.float32)
    for i in range(a):
        slab = values[i * factor : (i + 1) * factor, : b * factor, : c * factor]
        out[i] = slab.reshape(factor, b, factor, c, factor).mean(axis=(0, 2, 4), dtype=np.float64)
    return out


@dataclass(frozen=True)
class Similarity:
    """How alike two images are at the same places.

    Attributes:
        mutual_information: of their values in 32 bins each, nat; 0 where one tells nothing of the other.
        correlation: normalised cross-correlation, -1 to 1.
    """

    mutual_information: float
    correlation: float


def similarity(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Similarity:
    """How alike the values (n,) of two images at n places are. Mattes et al. 2001, Proc. SPIE 4322:1609."""
    joint = np.histogram2d(first, second, _BINS)[0] / max(1, len(first))
    alone = joint.sum(axis=1)[:, None] * joint.sum(axis=0)
    seen = joint > 0
    information = float((joint[seen] * np.log(joint[seen] / alone[seen])).sum())
    spread = float(np.std(first) * np.std(second))
    return Similarity(
        information, float(np.mean((first - first.mean()) * (second - second.mean()))) / spread if spread else 0.0
    )


@dataclass(frozen=True)
class Jacobian:
    """How a transform changes volumes: the determinant of its derivative at many points.

    Attributes:
        smallest, median, largest: of the determinant, positive where space keeps its orientation.
        folded_percent: of the points, how many have 0 or less: there the transform folds space over itself.
    """

    smallest: float
    median: float
    largest: float
    folded_percent: float


def jacobian(transform: Transform, points: Points, voxel_um: npt.ArrayLike) -> Jacobian:
    """How a transform changes volumes at points (n, 3); `voxel_um` (3,) sets the step of the differences."""
    found = determinants(transform, points, np.asarray(voxel_um) * _JACOBIAN_STEP)
    low, middle, high = (float(v) for v in np.percentile(found, (0, 50, 100)))
    return Jacobian(low, middle, high, float(100 * np.mean(found <= 0)))
