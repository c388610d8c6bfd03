"""Labels of objects as lists of voxels: small where they are sparse, and a voxel may belong to several objects."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape
from neuropack.errors import InputError
from neuropack.volume import VoxelSize

LARGEST_LABEL = 2**63 - 1


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

    def __post_init__(self) -> None:
        ascending = len(self.ids) == 0 or (self.ids[0] > 0 and bool((np.diff(self.ids) > 0).all()))
        if not ascending:
            raise ValueError("the ids of objects are above 0, ascending, each once")
        ends = self.offsets[[0, -1]].tolist() if len(self.offsets) == len(self.ids) + 1 else None
        if ends != [0, len(self.voxels)] or bool((np.diff(self.offsets) < 0).any()):
            raise ValueError("the offsets do not cut the voxels into the objects")

    @classmethod
    def of(
        cls,
        shape: tuple[int, int, int],
        voxel_size_um: VoxelSize,
        objects: Iterable[tuple[int, npt.NDArray[Any]]],
    ) -> LabelVolume:
        """From the voxels (n, 3) of each object, z, y, x, in any order; a voxel that comes twice counts once.

        Raises:
            InputError: an id is no whole number above 0 or comes twice, or a voxel lies outside of the image.
        """
        found: list[tuple[int, npt.NDArray[np.uint32]]] = []
        for label, voxels in sorted(objects, key=lambda one: one[0]):
            if not 0 < label <= LARGEST_LABEL or (found and found[-1][0] == label):
                raise InputError(
                    "an object needs an id of its own",
                    where=f"object {label}",
                    expected=f"a whole number from 1 to {LARGEST_LABEL}, each once",
                )
            found.append((int(label), _in_order(voxels, shape, label)))
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
        """From an array (z, y, x) of whole numbers, 0 is background.

        Raises:
            InputError: a label is negative, or too large for int64.
        """
        z, y, x = np.nonzero(labels)
        values = labels[z, y, x]
        check_labels(values, lambda at: (int(z[at]), int(y[at]), int(x[at])))
        values = values.astype(np.int64)
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

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """How many voxels each object has (k,)."""
        return np.diff(self.offsets)

    def of_object(self, label: int) -> npt.NDArray[np.uint32]:
        """The voxels (n, 3) of an object, z, y, x; none where there is no such object."""
        row = int(np.searchsorted(self.ids, label))
        if row == len(self.ids) or self.ids[row] != label:
            return np.empty((0, 3), np.uint32)
        return self.voxels[self.offsets[row] : self.offsets[row + 1]]

    def planes(self, row: int, start: int, stop: int) -> slice:
        """Where in `voxels` those of an object, by its row in `ids`, lie in the planes start to stop - 1."""
        first, end = int(self.offsets[row]), int(self.offsets[row + 1])
        z = self.voxels[:, 0]  # ascends within an object; bisect, since numpy would copy a column of a mapped file
        low = bisect_left(z, start, first, end)
        return slice(low, bisect_left(z, stop, low, end))

    def boxes(self) -> npt.NDArray[np.int64]:
        """Half-open boxes (k, 6) in voxels: z0, y0, x0, z1, y1, x1, in the order of `ids`; 0 where it is empty."""
        return self._boxes.copy()

    @cached_property
    def _boxes(self) -> npt.NDArray[np.int64]:
        found = np.zeros((len(self), 6), np.int64)
        for row in range(len(self)):
            inside = self.voxels[self.offsets[row] : self.offsets[row + 1]]
            if len(inside):
                found[row] = [*inside.min(axis=0), *(inside.max(axis=0).astype(np.int64) + 1)]
        return found

    def read(self, box: Box, out: Array | None = None) -> Array:
        """The labels of a box (z, y, x), int64 without an `out`; of a voxel of several objects, the lowest."""
        out = np.empty(box_shape(box), np.int64) if out is None else out
        out[...] = 0
        low, high = (np.array([getattr(s, end) for s in box]) for end in ("start", "stop"))
        touched = ((self._boxes[:, :3] < high) & (self._boxes[:, 3:] > low)).all(axis=1)
        for row in np.flatnonzero(touched)[::-1]:
            part = self.voxels[self.planes(int(row), int(low[0]), int(high[0]))].astype(np.int64)
            part = part[((part >= low) & (part < high)).all(axis=1)] - low
            out[tuple(part.T)] = self.ids[row]
        return out


def check_labels(values: Array, place: Any) -> None:
    """See that labels are whole numbers from 0 to 2^63 - 1.

    Args:
        values: of voxels (n,).
        place: gives z, y, x of a voxel by its row in `values`, for the message.

    Raises:
        InputError: one is not; says which and where.
    """
    if values.dtype.kind not in "bui":
        raise InputError("labels are whole numbers", expected="integers", found=str(values.dtype))
    if not len(values) or values.dtype.kind == "b":
        return
    wrong = None
    if values.dtype.kind == "i" and values.min() < 0:
        wrong = int(values.argmin())
    elif int(values.max()) > LARGEST_LABEL:
        wrong = int(values.argmax())
    if wrong is not None:
        z, y, x = place(wrong)
        raise InputError(
            "holds a label that is negative" if values[wrong] < 0 else "holds a label that is too large",
            where=f"voxel z {z}, y {y}, x {x}",
            expected=f"0 for background, 1 to {LARGEST_LABEL} for objects",
            found=str(values[wrong]),
        )


def _in_order(voxels: npt.NDArray[Any], shape: tuple[int, int, int], label: int) -> npt.NDArray[np.uint32]:
    rows = np.asarray(voxels, np.int64).reshape(-1, 3)
    outside = np.flatnonzero(((rows < 0) | (rows >= shape)).any(axis=1))
    if len(outside):
        z, y, x = rows[outside[0]].tolist()
        raise InputError(
            "a voxel lies outside of the image",
            where=f"object {label}",
            expected=f"z, y, x below {' x '.join(map(str, shape))}",
            found=f"{z}, {y}, {x}",
        )
    flat = np.unique(np.ravel_multi_index(tuple(rows.T), shape))
    return np.column_stack(np.unravel_index(flat, shape)).astype(np.uint32)
