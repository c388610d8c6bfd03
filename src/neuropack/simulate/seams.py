"""Planes that were put together from tiles: each with its own light, and a little beside its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box, overlap
from neuropack.errors import UsageError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mosaic:
    """How a stack is made of tiles that cover all its planes.

    Attributes:
        grid: tiles along y and x.
        gain: standard deviation of the logarithm of a tile's gain.
        vignetting: light that the corners of a tile lose, as a part of that in its middle.
        seam_um: largest distance (z, y, x) of a tile from its place, before it is rounded to voxels; the first tile
            is in its place.
        offset_photons: standard deviation of the background that a tile has more or less than others.
    """

    grid: tuple[int, int] = (1, 1)
    gain: float = 0.0
    vignetting: float = 0.0
    seam_um: tuple[float, float, float] = (0.0, 0.0, 0.0)
    offset_photons: float = 0.0


@dataclass(frozen=True)
class Tile:
    """One tile: where it lies in the plane, and what is peculiar to it.

    Attributes:
        y, x: voxels.
        shift: voxels (z, y, x) by which the tissue in it lies beside its place.
        gain: factor on its light.
        offset_photons: photons on top.
        vignetting: see `Mosaic`.
    """

    y: slice
    x: slice
    shift: tuple[int, int, int]
    gain: float
    offset_photons: float
    vignetting: float

    def light(self, box: Box) -> Floats:
        """What comes of the light at each place (y, x) of a box inside the tile."""
        y, x = (
            (2 * (np.arange(s.start, s.stop) - t.start + 0.5) / (t.stop - t.start) - 1) ** 2
            for s, t in zip(box[1:], (self.y, self.x), strict=True)
        )
        found: Floats = self.gain * (1 - self.vignetting * (y[:, None] + x[None, :]) / 2)
        return found

    def behind(self, box: Box) -> Box:
        """The box of tissue that a box of the image shows."""
        return tuple(slice(s.start - d, s.stop - d) for s, d in zip(box, self.shift, strict=True))


def draw_tiles(
    rng: np.random.Generator, shape: tuple[int, int, int], step: tuple[float, float, float], mosaic: Mosaic
) -> tuple[Tile, ...]:
    """Draw the tiles of a stack, row by row; none where the stack is taken at once.

    Raises:
        UsageError: there are more tiles than voxels.
    """
    rows, columns = mosaic.grid
    if not 1 <= rows <= shape[1] or not 1 <= columns <= shape[2]:
        found = f"{rows} x {columns} tiles of {shape[1]} x {shape[2]} voxels"
        raise UsageError("a stack has no room for so many tiles", expected="a voxel or more each", found=found)
    if mosaic == Mosaic():
        return ()
    made: list[Tile] = []
    for i, j in np.ndindex(rows, columns):
        places = [
            slice(n * k // c, n * (k + 1) // c) for n, k, c in zip(shape[1:], (i, j), (rows, columns), strict=True)
        ]
        gain, offset = float(np.exp(rng.normal(0, mosaic.gain))), float(rng.normal(0, mosaic.offset_photons))
        far = rng.uniform(-1, 1, 3) * mosaic.seam_um / np.asarray(step)
        z, y, x = (round(float(v)) if made else 0 for v in far)
        made.append(Tile(places[0], places[1], (z, y, x), gain, offset, mosaic.vignetting))
    return tuple(made)


def parts(tiles: tuple[Tile, ...], box: Box) -> Iterator[tuple[Tile, Box]]:
    """The parts of a box (z, y, x) that lie in different tiles."""
    for tile in tiles:
        if (part := overlap(box, (box[0], tile.y, tile.x))) is not None:
            yield tile, part
