"""Ways to find tubes and objects, each in a process of its own: ``WAY SIZE [FOLDER]``.

``tubeness`` and ``sato`` print their CPU seconds on a block; ``objects`` labels a stack of SIZE^3 voxels, block by
block, and prints a digest of what it found.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box
from neuropack.simulate.stack import stack
from neuropack.volume import Volume

TILE = (64, 128, 128)  # voxels of the simulated stack that is repeated
SIGMA = 2.0  # voxels


class Mirrored:
    """A simulated stack, mirrored over and over: as large as one likes, and read in no time."""

    cheap_parts = True
    overhead_bytes = 0

    def __init__(self, tile: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
        self._tile, self._shape = tile, shape

    def read(self, box: Box, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """A box (z, y, x)."""
        found = self._tile
        for axis, side in enumerate(box):
            n = self._tile.shape[axis]
            at = np.arange(side.start, side.stop) % (2 * n)
            found = found.take(np.where(at < n, at, 2 * n - 1 - at), axis=axis)
        if out is None:
            return found
        out[...] = found
        return out

    def native_blocks(self) -> Iterator[Box]:
        """All at once: it costs nothing."""
        yield tuple(slice(0, n) for n in self._shape)

    def close(self) -> None:
        """Nothing is open."""


def image(side: int) -> Volume:
    """A stack of side^3 voxels, 16 bits."""
    made = stack(5, TILE, (2.0, 0.5, 0.5), neurons=2)
    tile = made.volume[0]
    shape = (side, side, side)
    return replace(
        made.volume,
        native_axes="ZYX",
        native_shape=shape,
        pixels=Mirrored(tile, shape),
        channels=made.volume.channels[:1],
    )


def objects(side: int, block: tuple[int, int, int], workers: int, read: bool) -> str:
    """Label a stack; a digest of the objects, and of the labels where they are to be read."""
    from neuropack.process.components import components
    from neuropack.process.foreground import recipe_for, response_of

    volume = image(side)
    recipe = recipe_for(volume)
    if recipe.low is None or recipe.high is None:
        raise SystemExit("nothing stands out")
    with tempfile.TemporaryDirectory() as folder:
        found = components(
            *(response_of(volume, recipe), recipe.low, recipe.high, Path(folder)),
            min_voxels=20,
            block=block,
            workers=workers,
        )
        digest = hashlib.sha256()
        for array in (found.counts, found.boxes, found.strong):
            digest.update(np.ascontiguousarray(array).tobytes())
        for z in range(0, side if read else 0, 16):
            digest.update(found.labels[0, z : z + 16].tobytes())
    return f"{len(found.counts)} {digest.hexdigest()}"


def seconds(way: str, size: int) -> float:
    """CPU seconds of a way on a block of size / 4 x size x size voxels, the second time."""
    block = image(max(TILE)).read((slice(0, 1), slice(0, size // 4), slice(0, size), slice(0, size)))[0]
    block = block.astype(np.float32)
    if way == "sato":
        from skimage.filters import sato

        def run() -> npt.NDArray[Any]:
            return np.asarray(sato(block, sigmas=[SIGMA], black_ridges=False))
    else:
        from neuropack.process.tubeness import tubeness

        tubeness(block[:4, :40, :40], SIGMA)  # compiled, or read from the disk

        def run() -> npt.NDArray[Any]:
            return tubeness(block, SIGMA)

    start = time.process_time()
    found = run()
    taken = time.process_time() - start
    if len(sys.argv) > 3:
        np.save(sys.argv[3], found)
    return taken


def main() -> None:
    """One way."""
    way, size = sys.argv[1], int(sys.argv[2])
    if way == "objects":
        block = tuple(map(int, sys.argv[3].split(","))) if len(sys.argv) > 3 else (64, 256, 256)
        print(objects(size, (block[0], block[1], block[2]), 2, read=len(sys.argv) > 3))
    else:
        print(seconds(way, size))


if __name__ == "__main__":
    main()
