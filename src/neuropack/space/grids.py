"""Regular grids of samples in a frame: where sample i, j, k lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.space.transforms import Affine, Points

_SLICE = 1 << 15  # points at a time: what they need fits the cache of a core


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the samples of an array lie: sample i is at ``origin + direction @ (spacing * i)``.

    Attributes:
        origin: (3,), the position of the first sample (of its centre, where samples are voxels).
        spacing: (3,), the distance of neighbours along each axis of the array, above 0.
        direction: (3, 3), its columns the direction of each axis of the array; the identity where it is left out.

    All in the unit and the axes of the frame in which the grid lies.
    """

    origin: npt.NDArray[np.float64]
    spacing: npt.NDArray[np.float64]
    direction: npt.NDArray[np.float64] = field(default_factory=lambda: np.eye(3))

    def __post_init__(self) -> None:
        for name, shape in (("origin", (3,)), ("spacing", (3,)), ("direction", (3, 3))):
            value = np.array(getattr(self, name), np.float64)
            if value.shape != shape or not np.isfinite(value).all():
                expected = f"{' x '.join(map(str, shape))} finite numbers"
                raise InputError(f"the {name} of a grid is wrong", expected=expected, found=_short(value))
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        if not (self.spacing > 0).all():
            raise InputError(
                "the spacing of a grid is wrong", expected="numbers above 0", found=_short(self.spacing)
            )
        if np.linalg.matrix_rank(self.direction) < 3:
            raise InputError(
                "the direction of a grid is wrong", expected="three independent axes", found=_short(self.direction)
            )

    @cached_property
    def _to_index(self) -> npt.NDArray[np.float64]:
        return np.asarray(np.linalg.inv(self.direction * self.spacing), np.float64)

    def index(self, points: Points) -> Points:
        """The continuous index (n, 3) at points (n, 3): whole numbers at the samples."""
        return (points - self.origin) @ self._to_index.T

    def position(self, index: npt.ArrayLike) -> Points:
        """The positions (n, 3) of samples by their index (n, 3), whole or not."""
        return np.asarray(index, np.float64) @ (self.direction * self.spacing).T + self.origin

    def from_corner(self, source: str, target: str, voxel_um: npt.ArrayLike, *, reverse: bool) -> Affine:
        """The transform to the frame of this grid, of an image's voxels, from the image's own corner frame.

        ITK knows an image by the centres of its voxels, in LPS mm; neuropack by the outer corner of the first.

        Args:
            source: name of the frame with its origin at that corner, micrometre, along the axes of the array.
            target: name of the frame in which this grid lies.
            voxel_um: (3,), size of a voxel, in the order of the axes of `source`.
            reverse: whether that order is the opposite of this grid's: z, y, x against ITK's x, y, z.
        """
        size = np.asarray(voxel_um, np.float64)
        order = [2, 1, 0] if reverse else [0, 1, 2]
        to_index = np.column_stack([np.diag(1 / size)[order], np.full(3, -0.5)])
        matrix = (self.direction * self.spacing) @ to_index
        matrix[:, 3] += self.origin
        return Affine(source, target, matrix)

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return all(np.array_equal(getattr(self, n), getattr(other, n)) for n in ("origin", "spacing", "direction"))

    __hash__ = None  # type: ignore[assignment]


def slices(n: int, size: int = _SLICE) -> Iterator[slice]:
    """Points in portions, so that memory does not grow with their number."""
    for start in range(0, n, size):
        yield slice(start, start + size)


def checked_vectors(vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Vectors on a grid, C-contiguous and read-only; an array that is so already, or lies in a file, is not copied.

    Raises:
        InputError: they are not finite floating-point numbers of shape (n0, n1, n2, 3).
    """
    vectors = vectors.view()
    expected = "n0 x n1 x n2 x 3 floating-point numbers, all finite"
    if vectors.ndim != 4 or vectors.shape[-1] != 3 or 0 in vectors.shape or vectors.dtype.kind != "f":
        found = f"{' x '.join(map(str, vectors.shape))} of {vectors.dtype}"
        raise InputError("are not vectors on a grid", expected=expected, found=found)
    if vectors.dtype not in (np.float32, np.float64) or not vectors.dtype.isnative:
        vectors = vectors.astype(np.float64)
    vectors = np.ascontiguousarray(vectors)
    bad = sum(int((~np.isfinite(plane)).any(axis=-1).sum()) for plane in vectors)
    if bad:
        raise InputError("are not vectors on a grid", expected=expected, found=f"{bad} vectors that are not finite")
    vectors.setflags(write=False)
    return vectors


def _short(value: npt.NDArray[np.float64]) -> str:
    return " ".join(f"{number:g}" for number in value.ravel()[:9]) or "nothing"
