"""Brains with a known way into the CCF: the standard brain of 100 um, warped; and a small invented one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.space.frames import CCF, EXTENT_UM, turn
from neuropack.space.rasters import Raster
from neuropack.space.transforms import Affine, Points

Truth = Callable[[Points], Points]
ZYX_AXES = "SPR"  # of a horizontal section: z grows to superior, y to posterior, x to right
CENTRE = np.array(EXTENT_UM) / 2


def lying(orientation: str, size_xyz_um: npt.ArrayLike, source: str = "stack") -> Affine:
    """Stack to CCF by its axes alone, its middle on the middle of the CCF."""
    turned = turn(source, CCF, orientation[::-1], "PIR", into_unit="um")
    shift = CENTRE - turned(np.asarray(size_xyz_um) / 2)
    return Affine(source, CCF, np.column_stack([turned.matrix[:, :3], shift]))


def bent(seed: int, voxel_um: float = 100.0) -> Truth:
    """CCF to CCF: turned by up to 7 degrees, scaled by up to 5 %, moved by up to 4 voxels, and bent.

    The bend is a sum of six waves of 5 to 10 mm; over seeds and places it has a median of about 2.8 voxels and
    seldom more than 5.
    """
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(seed)
    angles = rng.uniform(-7, 7, 3)
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(rng.uniform(0.95, 1.05, 3))
    shift = CENTRE + rng.uniform(-4, 4, 3) * voxel_um
    waves = rng.normal(0, 1, (6, 3))
    waves *= (2 * np.pi / rng.uniform(5000, 10000, 6) / np.linalg.norm(waves, axis=1))[:, None]
    phases, bends = rng.uniform(0, 2 * np.pi, 6), rng.normal(0, 1, (6, 3))
    bends *= (1.7 * voxel_um / np.linalg.norm(bends, axis=1))[:, None]
    return lambda p: (p - CENTRE) @ matrix.T + shift + np.sin(p @ waves.T + phases) @ bends


@dataclass(frozen=True)
class Warped:
    """A stack (z, y, x) whose every point has a known place in the CCF."""

    values: npt.NDArray[np.float32]
    voxel_zyx_um: tuple[float, float, float]
    truth: Truth
    inside: Points  # stack frame, points in the tissue

    def error(self, way: Truth) -> npt.NDArray[np.float64]:
        """How far off a transform puts the points inside."""
        return np.asarray(np.linalg.norm(way(self.inside) - self.truth(self.inside), axis=1))


def warped(
    brain: Raster,
    bend: Truth,
    *,
    orientation: str = ZYX_AXES,
    voxel_zyx_um: tuple[float, float, float] = (100.0, 100.0, 100.0),
    corner_um: npt.ArrayLike = 0.0,
    size_xyz_um: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Warped:
    """What a microscope would see of a brain in the CCF: each voxel is the brain's value at its true place.

    Args:
        brain: in the CCF.
        bend: CCF to CCF.
        orientation: how the axes of the stack lie.
        voxel_zyx_um: its voxels.
        corner_um, size_xyz_um: of the part that the stack holds of the whole block; all where left out.
        seed: of the noise.
    """
    from scipy.ndimage import map_coordinates

    whole = np.abs(turn("a", "b", orientation[::-1], "PIR", into_unit="um").matrix[:, :3]).T @ EXTENT_UM
    lies, corner = lying(orientation, whole), np.broadcast_to(np.asarray(corner_um, np.float64), (3,))

    def truth(points: Points) -> Points:
        return bend(lies(points + corner))

    voxel = np.array(voxel_zyx_um)[::-1]
    counts = np.round((whole if size_xyz_um is None else np.asarray(size_xyz_um)) / voxel).astype(int)
    centres = (np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), -1).reshape(-1, 3) + 0.5) * voxel
    index = truth(centres) / brain.voxel_um - 0.5
    seen = map_coordinates(brain.values, index.T, order=3, mode="constant")
    rng = np.random.default_rng(1000 + seed)
    noisy = seen + rng.normal(0, 0.01 * float(np.percentile(brain.values, 99)), len(seen))
    tissue = map_coordinates(brain.tissue().astype("f4"), index.T, order=1) > 0.5
    inside = centres[tissue]
    inside = inside[rng.choice(len(inside), min(5000, len(inside)), replace=False)]
    values: Any = noisy.reshape(counts).transpose().astype(np.float32)
    return Warped(values, voxel_zyx_um, truth, inside + rng.uniform(-0.5, 0.5, inside.shape) * voxel)


def small_brain(shape: tuple[int, int, int] = (66, 40, 57)) -> npt.NDArray[np.uint16]:
    """An invented template (AP, DV, LR) of 200 um: an ellipsoid with blobs, the same on no two sides."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    brain = (grid**2 / np.array([0.7, 0.6, 0.75]).reshape(3, 1, 1, 1) ** 2).sum(axis=0) < 1
    texture = gaussian_filter(rng.normal(0, 1, shape), 2)
    values = gaussian_filter(np.where(brain, 200 + 60 * texture / texture.std(), 5), 0.7)
    return np.clip(values, 0, None).astype(np.uint16)
