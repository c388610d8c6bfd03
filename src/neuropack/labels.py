"""Labels of objects as lists of voxels: small where they are sparse, and a voxel may belong to several objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.volume import VoxelSize


@dataclass(frozen=True, eq=False)
class LabelVolume:
    """Objects in an image, each the list of its voxels.

    Attributes:
        shape: of the image, z, y, x.
        voxel_size_um: z, y, x, micrometre; None where it is not known.
        ids: of the objects (k,), int64, above 0, ascending.
        offsets: where the voxels of each object begin and end in `voxels`, (k + 1,), int64.
        voxels: z, y, x of each voxel (n, 3), uint32; those of one object in C order. May be mapped from a file.
    """

    shape: tuple[int, int, int]
    voxel_size_um: VoxelSize
    ids: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    voxels: npt.NDArray[np.uint32]

    @classmethod
    def of(
        cls,
        shape: tuple[int, int, int],
        voxel_size_um: VoxelSize,
        objects: Iterable[tuple[int, npt.NDArray[Any]]],
    ) -> LabelVolume:
        """From the voxels (n, 3) of each object, z, y, x, in any order; a voxel that comes twice counts once."""
        found = sorted(((int(i), _in_order(v, shape)) for i, v in objects), key=lambda one: one[0])
        lengths = [len(v) for _, v in found]
        return cls(
            shape,
            voxel_size_um,
            np.array([i for i, _ in found], np.int64),
            np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
            np.concatenate([v for _, v in found]) if found else np.empty((0, 3), np.uint32),
        )

    @classmethod
    def of_dense(cls, labels: Array, voxel_size_um: VoxelSize) -> LabelVolume:
        """From an array (z, y, x) of integers, 0 is background."""
        z, y, x = np.nonzero(labels)
        values = labels[z, y, x].astype(np.int64)
        order = np.argsort(values, kind="stable")
        ids, first = np.unique(values[order], return_index=True)
        voxels = np.column_stack([z, y, x])[order].astype(np.uint32)
        depth, height, width = labels.shape
        return cls(
            (depth, height, width), voxel_size_um, ids, np.append(first, len(values)).astype(np.int64), voxels
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        lengths = " x ".join(map(str, self.shape))
        return f"<LabelVolume {lengths}: {len(self)} object(s), {len(self.voxels)} voxels>"

    def of_object(self, label: int) -> npt.NDArray[np.uint32]:
        """The voxels (n, 3) of an object, z, y, x; none where there is no such object."""
        row = int(np.searchsorted(self.ids, label))
        if row == len(self.ids) or self.ids[row] != label:
            return np.empty((0, 3), np.uint32)
        return self.voxels[self.offsets[row] : self.offsets[row + 1]]

    def boxes(self) -> npt.NDArray[np.int64]:
        """Half-open boxes (k, 6) in voxels: z0, y0, x0, z1, y1, x1, in the order of `ids`."""
        found = np.zeros((len(self), 6), np.int64)
        for row in range(len(self)):
            inside = self.voxels[self.offsets[row] : self.offsets[row + 1]]
            if len(inside):
                found[row] = [*inside.min(axis=0), *(inside.max(axis=0).astype(np.int64) + 1)]
        return found

    def read(self, box: Box) -> npt.NDArray[np.int64]:
        """The labels of a box (z, y, x) as an array; of a voxel of several objects, the lowest."""
        out = np.zeros([s.stop - s.start for s in box], np.int64)
        low, high = (np.array([getattr(s, end) for s in box]) for end in ("start", "stop"))
        for row in range(len(self))[::-1]:
            voxels = self.voxels[self.offsets[row] : self.offsets[row + 1]]
            rows = slice(*np.searchsorted(voxels[:, 0], [low[0], high[0]]))  # in C order: z ascends
            part = voxels[rows].astype(np.int64)
            part = part[((part >= low) & (part < high)).all(axis=1)] - low
            out[tuple(part.T)] = self.ids[row]
        return out


def _in_order(voxels: npt.NDArray[Any], shape: tuple[int, int, int]) -> npt.NDArray[np.uint32]:
    flat = np.unique(np.ravel_multi_index(tuple(np.asarray(voxels, np.int64).reshape(-1, 3).T), shape))
    return np.column_stack(np.unravel_index(flat, shape)).astype(np.uint32)
