"""Small images with bright lines, for tests of the path search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neuropack.axes import Array, Box, overlap
from neuropack.errors import UnreadableError
from neuropack.volume import ArrayPixels, Volume, from_array

SIZE = (24, 72, 80)
Floats = npt.NDArray[np.float64]


def curve(shape: tuple[int, int, int] = SIZE) -> Floats:
    """A line (n, 3) that bends through an image, z, y, x in voxels."""
    t = np.linspace(0, 1, 600)
    z, y, x = (n - 1.0 for n in shape)
    return np.column_stack(
        [z * (0.5 + 0.25 * np.sin(5 * t)), y * (0.5 + 0.3 * np.sin(7 * t)), x * (0.08 + 0.84 * t)]
    )


def drawn(
    lines: list[Floats], shape: tuple[int, int, int] = SIZE, *, noise: float = 6.0, seed: int = 0
) -> npt.NDArray[np.float32]:
    """Lines about two voxels thick, 200 above a background of 100, with noise."""
    image = np.zeros(shape, np.float32)
    for line in lines:
        at = np.clip(np.round(line).astype(int), 0, np.array(shape) - 1)
        image[tuple(at.T)] = 1.0
    image = ndimage.gaussian_filter(image, [1.0 if n > 1 else 0 for n in shape])
    made = 100 + 200 * image / image.max()
    return np.asarray(made + np.random.default_rng(seed).normal(0, noise, shape), np.float32)


def volume(image: npt.NDArray[np.generic], size: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Volume:
    """An image z, y, x or c, z, y, x in memory."""
    return from_array(image if image.ndim == 4 else image[None], "CZYX", voxel_size_um=size)


def away(line: Floats, nodes: Floats) -> Floats:
    """The distance of each node from a line, voxels."""
    return np.asarray(np.linalg.norm(nodes[:, None] - line[None], axis=2).min(axis=1))


class Broken:
    """Pixels of which one box cannot be read."""

    cheap_parts = True
    overhead_bytes = 0

    def __init__(self, array: Array, bad: Box) -> None:
        self._pixels, self.bad, self.whole = ArrayPixels(array), bad, False

    def read(self, box: Box, out: Array | None = None) -> Array:
        if not self.whole and overlap(box[1:], self.bad):
            raise UnreadableError("a chunk cannot be decoded", file=Path("c/0/1"), found="garbage")
        return self._pixels.read(box, out)

    def native_blocks(self) -> Iterator[Box]:
        return self._pixels.native_blocks()

    def close(self) -> None:
        """Nothing is open."""
