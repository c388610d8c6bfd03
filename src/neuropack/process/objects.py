"""One object of a label volume at a time, as an array: its box, a voxel of background around it, its distances."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, UsageError
from neuropack.labels import LabelVolume
from neuropack.volume import VoxelSize

LARGEST_BOX = 1 << 26
"""Voxels of the box of an object that is looked at whole; distances take 25 bytes for each."""
_NEAREST = 8  # voxels by their centres, among which the one is whose face is nearest
_AROUND = np.array(list(product((-1, 0, 1), repeat=3)))  # half voxels: the middle, faces, edges and corners of one
_AT_ONCE = 1 << 11  # voxels whose balls are sought together


class TooLargeError(InputError):
    """The box of an object is too large to be looked at whole."""


@dataclass(frozen=True, eq=False)
class Object:
    """An object in its box, with background around it.

    Attributes:
        mask: its voxels (z, y, x).
        corner: the voxel of the image that the first of `mask` is (3,); -1 where the object touches the border.
        step: z, y, x of a voxel, micrometre (3,).
    """

    mask: npt.NDArray[np.bool_]
    corner: npt.NDArray[np.int64]
    step: npt.NDArray[np.float64]

    @cached_property
    def distances(self) -> npt.NDArray[np.float64]:
        """From the centre of each voxel to that of the nearest one outside of the object, micrometre."""
        from scipy import ndimage

        found: npt.NDArray[np.float64] = ndimage.distance_transform_edt(self.mask, sampling=self.step)
        return found

    def radii(self, voxels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Of the largest ball in the object with its centre in each of some voxels (n, 3), micrometre (n,).

        Its centre is the middle of the voxel, of a face, an edge, or a corner: an object that is two voxels wide
        has its axis between them.
        """
        from scipy import ndimage
        from scipy.spatial import KDTree

        outside = np.argwhere(ndimage.binary_dilation(self.mask, np.ones((3, 3, 3))) & ~self.mask) * self.step
        tree = KDTree(outside)
        halves = tuple(2 * n + 1 for n in self.mask.shape)  # in half voxels; neighbours share some
        found = np.zeros(len(voxels))
        for first in range(0, len(voxels), _AT_ONCE):
            some = 2 * voxels[first : first + _AT_ONCE, None] + _AROUND + 1
            flat, back = np.unique(np.ravel_multi_index(tuple(some.reshape(-1, 3).T), halves), return_inverse=True)
            centres = (np.stack(np.unravel_index(flat, halves), axis=1) - 1) / 2 * self.step
            _, near = tree.query(centres, k=min(_NEAREST, len(outside)))
            apart = np.abs(outside[near].reshape(len(centres), -1, 3) - centres[:, None])
            gap = np.maximum(apart - 0.5 * self.step, 0.0)
            reach = np.sqrt((gap * gap).sum(axis=2).min(axis=1))
            found[first : first + _AT_ONCE] = reach[back.reshape(-1, len(_AROUND))].max(axis=1)
        return found

    def xyz(self, voxels: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The centres of voxels (n, 3) in the frame ``stack``, micrometre."""
        return np.ascontiguousarray(((voxels + self.corner + 0.5) * self.step)[:, ::-1])


def object_of(labels: LabelVolume, row: int, largest_box: int = LARGEST_BOX) -> Object:
    """An object by its row in `labels.ids`; it has voxels.

    Raises:
        TooLargeError: its box has more voxels than `largest_box`.
        UsageError: the voxel size is not known.
    """
    step = known_size(labels.voxel_size_um)
    voxels = labels.voxels[labels.offsets[row] : labels.offsets[row + 1]]
    low, high = voxels.min(axis=0).astype(np.int64) - 1, voxels.max(axis=0).astype(np.int64) + 2
    shape = high - low
    if int(shape.prod()) > largest_box:
        lengths = " x ".join(map(str, (shape - 2).tolist()))
        raise TooLargeError(
            "an object is too large to be looked at whole",
            where=f"label {labels.ids[row]}",
            expected=f"a box of {largest_box} voxels at most",
            found=f"{lengths} (z, y, x)",
            fix="take a coarser level of the image",
        )
    mask = np.zeros(shape, bool)
    mask[tuple((voxels - low).T)] = True
    return Object(mask, low, np.array(step))


def known_size(voxel_size_um: VoxelSize) -> tuple[float, float, float]:
    """The voxel size.

    Raises:
        UsageError: it is not known.
    """
    z, y, x = voxel_size_um
    if z is None or y is None or x is None:
        raise UsageError(
            "the voxel size of the labels is not known",
            expected="z, y, x in micrometre",
            fix="give it with --voxel-size z,y,x",
        )
    return z, y, x
