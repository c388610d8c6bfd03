"""What a skeleton is compared with: voxels of an image or of labels, read in small boxes around its nodes."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.labels import LabelVolume
from neuropack.morphology.quality import Points, Rows
from neuropack.volume import Volume

_BLOCK = (32, 128, 128)
_INSIDE = 0.95
_KEPT_BYTES = 64 * 2**20


@dataclass(eq=False)
class Grid:
    """Voxels that are read block by block; the last ones are kept.

    Attributes:
        read: decodes a box (z, y, x) to an array (c, z, y, x).
        shape: z, y, x.
        voxel_um: z, y, x, micrometre.
        block: lengths z, y, x of what is cheap to read at once.
        channels: names.
        name: what messages call it.
    """

    read: Callable[[Box], Array]
    shape: tuple[int, int, int]
    voxel_um: tuple[float, float, float]
    block: tuple[int, int, int] = _BLOCK
    channels: tuple[str, ...] = ()
    name: str = "the image"
    _blocks: OrderedDict[tuple[int, ...], Array] = field(default_factory=OrderedDict)
    _kept: int = 0

    @property
    def extent_um(self) -> Points:
        """Lengths along x, y, z."""
        return np.array([n * s for n, s in zip(self.shape[::-1], self.voxel_um[::-1], strict=True)], np.float64)

    def voxels(self, xyz_um: Points) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """The voxel (z, y, x) of each position, and which of them lie in the grid."""
        with np.errstate(invalid="ignore", over="ignore"):
            at = np.floor(xyz_um[:, ::-1] / np.array(self.voxel_um))
            inside = ((at >= 0) & (at < np.array(self.shape))).all(axis=1)
        return np.where(inside[:, None], at, 0).astype(np.int64), inside

    def holds(self, xyz_um: Points) -> bool:
        """Whether positions lie in it, but for a few: what leaves it at the border does so in every stack."""
        return float(self.voxels(xyz_um)[1].mean()) >= _INSIDE

    def order(self, voxels: Rows) -> Rows:
        """The rows of voxels, block by block: in this order none is decoded twice."""
        z, y, x = (voxels // np.array(self.block)).T
        return np.lexsort((x, y, z))

    def patches(self, voxels: Rows, half: tuple[int, int, int]) -> Iterator[tuple[Array, Box]]:
        """The box around each voxel, ``2 * half + 1`` long: its part inside, and where in the box that lies."""
        first = voxels - np.array(half)
        low, high = np.maximum(first, 0), np.minimum(voxels + np.array(half) + 1, np.array(self.shape))
        for of_box, from_, to in zip(first.tolist(), low.tolist(), high.tolist(), strict=True):
            place = tuple(slice(a - f, b - f) for f, a, b in zip(of_box, from_, to, strict=True))
            yield self._box(from_, to), place

    def _box(self, low: list[int], high: list[int]) -> Array:
        """The voxels from `low` to below `high`, in an array of its own: a view would keep its block in memory."""
        pieces = [range(a // n, (b - 1) // n + 1) for a, b, n in zip(low, high, self.block, strict=True)]
        out: Array | None = None
        for z, y, x in itertools.product(*pieces):
            block = self._at((z, y, x))
            there, here = [], []
            for i, n, length, a, b in zip((z, y, x), self.block, block.shape[1:], low, high, strict=True):
                start, end = max(a, i * n), min(b, i * n + length)
                there.append(slice(start - a, end - a))
                here.append(slice(start - i * n, end - i * n))
            part = block[(slice(None), *here)]
            if all(len(piece) == 1 for piece in pieces):
                return part.copy()
            if out is None:
                out = np.empty((len(block), *(b - a for a, b in zip(low, high, strict=True))), block.dtype)
            out[(slice(None), *there)] = part
        assert out is not None  # noqa: S101 - a box inside the grid touches a block
        return out

    def _at(self, place: tuple[int, int, int]) -> Array:
        if place in self._blocks:
            self._blocks.move_to_end(place)
            return self._blocks[place]
        ends = zip(place, self.block, self.shape, strict=True)
        found = self.read(tuple(slice(i * n, min((i + 1) * n, length)) for i, n, length in ends))
        self._blocks[place] = found
        self._kept += found.nbytes
        while self._kept > _KEPT_BYTES and len(self._blocks) > 8:
            _, gone = self._blocks.popitem(last=False)
            self._kept -= gone.nbytes
        return found


def grid_of_volume(volume: Volume) -> Grid:
    """The first time point of an image.

    Raises:
        UsageError: it does not state its axes or its voxel size.
    """
    volume.require_axes()
    volume.require_voxel_size()
    z, y, x = (
        1.0 if v is None else v for v in volume.voxel_size_um
    )  # of a plane: nothing along z is compared with
    first = (slice(0, 1),) * (volume.ndim - 4)

    def read(box: Box) -> Array:
        found = volume.read((*first, slice(0, volume.n_channels), *box))
        return found.reshape(found.shape[-4:])

    names = tuple(c.name or f"channel {i}" for i, c in enumerate(volume.channels))
    return Grid(read, volume.size_zyx, (z, y, x), channels=names, name=volume.path.name)


def grid_of_labels(labels: LabelVolume, voxel_um: tuple[float, float, float], name: str = "the labels") -> Grid:
    """Labels that are lists of voxels; of a voxel of several objects the lowest counts."""
    return Grid(lambda box: labels.read(box)[None], labels.shape, voxel_um, name=name)
