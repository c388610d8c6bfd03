"""Tiles of a simulated specimen, as a stage leaves them: known jitter, gain, vignetting and offsets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape, relative
from neuropack.errors import UsageError
from neuropack.volume import Volume, VoxelSize

Floats = npt.NDArray[np.float64]
_PLACES, _LIGHT, _NOISE = range(3)  # a stream of random numbers for each


@dataclass(frozen=True)
class Stage:
    """How a specimen is taken in tiles.

    Attributes:
        grid: tiles along z, y, x.
        overlap: of neighbours, as a part of a tile.
        jitter: largest difference (z, y, x) in voxels between where the stage says it is and where it is.
        gain: standard deviation of a tile's gain; 0: all are 1.
        offset: standard deviation of a tile's offset in counts.
        vignetting: light that the corners of a tile lose, as a part of that in its middle.
        noise: standard deviation in counts of the detector's noise, which each tile has of its own; 0: none.
        counts_per_photon: of the noise of light, likewise; 0: none. A specimen should then have little of its own.
        whole_voxels: jitter by whole voxels, so that no tile is interpolated.
    """

    grid: tuple[int, int, int] = (1, 3, 3)
    overlap: float = 0.15
    jitter: tuple[float, float, float] = (1.0, 3.0, 3.0)
    gain: float = 0.0
    offset: float = 0.0
    vignetting: float = 0.0
    noise: float = 0.0
    counts_per_photon: float = 0.0
    whole_voxels: bool = False


@dataclass(frozen=True, eq=False)
class SimulatedTiles:
    """Tiles and the truth about them.

    Attributes:
        volumes: the tiles; what they state as their origin is what the stage says.
        said: those positions (n, z y x), voxels of the specimen.
        true: where they lie.
        gains, offsets: of each tile.
    """

    volumes: tuple[Volume, ...]
    said: Floats
    true: Floats
    gains: Floats
    offsets: Floats


def cut_tiles(seed: int, specimen: Volume, stage: Stage | None = None) -> SimulatedTiles:
    """Take a specimen in tiles. They are computed when they are read, from voxels of the specimen linearly.

    Args:
        seed: 0 or more.
        specimen: CZYX with a voxel size; the tiles are cut so that jitter never leads out of it.
        stage: how.

    Raises:
        UsageError: the specimen is too small for so many tiles.
    """
    stage = stage or Stage()
    margin = np.ceil(stage.jitter).astype(int) + 1
    room = np.array(specimen.size_zyx) - 2 * margin
    grid = np.array(stage.grid)
    size = np.floor(room / (1 + (grid - 1) * (1 - stage.overlap))).astype(int)
    if len(specimen.shape) != 4 or (size < 1).any():
        raise UsageError("is too small for so many tiles", found=f"{specimen.shape} for {stage.grid}")
    places = np.random.default_rng([seed, _PLACES])
    light = np.random.default_rng([seed, _LIGHT])
    cells = np.array([*np.ndindex(*stage.grid)])
    said = margin + np.floor(cells * size * (1 - stage.overlap))
    true = said + places.uniform(-1, 1, (len(cells), 3)) * stage.jitter
    true = np.floor(true + 0.5) if stage.whole_voxels else true
    true[0] = said[0]  # the stage is right where it begins
    gains = np.maximum(0.2, 1 + stage.gain * light.standard_normal(len(cells)))
    offsets = stage.offset * light.standard_normal(len(cells))
    step = np.array(specimen.voxel_size_um, np.float64)
    z, y, x = (int(n) for n in size)
    volumes = []
    for i, cell in enumerate(cells.tolist()):
        pixels = _TilePixels(specimen, true[i], (z, y, x), gains[i], offsets[i], stage, (seed, i))
        oz, oy, ox = (said[i] * step).tolist()
        volumes.append(
            replace(
                specimen,
                path=Path("tile_" + "_".join(map(str, cell))),
                format="simulated",
                native_axes="CZYX",
                native_shape=(specimen.n_channels, z, y, x),
                pixels=pixels,
                origin_um=(oz, oy, ox),
                levels=(),
            )
        )
    return SimulatedTiles(tuple(volumes), said, true, gains, offsets)


def write_tiles(
    folder: Path, tiles: Sequence[Volume], kind: Literal["ome.tif", "czi"] = "ome.tif", compress: bool = False
) -> tuple[Path, ...]:
    """Write tiles as raw files whose metadata state where the stage was (a CZI cannot, but for whole pixels).

    Raises:
        OutputError: a file is there, or cannot be written.
    """
    from neuropack.writers.czi import write_czi
    from neuropack.writers.ome_tiff import write_ome_tiff

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for tile in tiles:
        paths.append(path := folder / f"{tile.path.name}.{kind}")
        if kind == "czi":
            write_czi(path, tile, origin_px=_pixels(tile.origin_um, tile.voxel_size_um))
        else:
            write_ome_tiff(path, tile, compress=compress)
    return tuple(paths)


def _pixels(origin: VoxelSize, step: VoxelSize) -> tuple[int, int]:
    y, x = (round((o or 0.0) / (s or 1.0)) for o, s in zip(origin[1:], step[1:], strict=True))
    return x, y


class _TilePixels:
    """A tile of a specimen. Any thread may read, any box is that of the whole."""

    overhead_bytes = 0

    def __init__(
        self,
        specimen: Volume,
        at: Floats,
        size: tuple[int, int, int],
        gain: float,
        offset: float,
        stage: Stage,
        seed: tuple[int, int],
    ) -> None:
        self._specimen, self._at, self._size = specimen, at, size
        self._gain, self._offset, self._stage, self._seed = gain, offset, stage, seed

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Compute a box (c, z, y, x)."""
        whole = np.floor(self._at).astype(int)
        part = self._at - whole
        wide = [
            slice(int(w) + s.start, int(w) + s.stop + (p > 0)) for w, s, p in zip(whole, box[1:], part, strict=True)
        ]
        values = self._specimen.read((box[0], *wide)).astype(np.float64)
        for axis, p in enumerate(part, 1):
            if p > 0:
                n = values.shape[axis] - 1
                low, high = (values.take(range(k, k + n), axis=axis) for k in (0, 1))
                values = (1 - p) * low + p * high
        values = values * (self._gain * self._shade(box)) + self._offset
        if self._stage.noise or self._stage.counts_per_photon:
            light = np.maximum(values, 0) * self._stage.counts_per_photon
            values += np.sqrt(light + self._stage.noise**2) * self._noise(box)
        info = np.iinfo(self._specimen.dtype)
        return np.clip(np.floor(values + 0.5), info.min, info.max).astype(self._specimen.dtype)

    def _shade(self, box: Box) -> Floats:
        """The light that is left: a parabola of the distance from the middle of the tile."""
        y, x = (
            (np.arange(s.start, s.stop) + 0.5) / n * 2 - 1 for s, n in zip(box[2:], self._size[1:], strict=True)
        )
        found: Floats = 1 - self._stage.vignetting / 2 * (y[:, None] ** 2 + x[None, :] ** 2)
        return found

    def _noise(self, box: Box) -> Floats:
        """Noise of whole planes, so that it is the same however a tile is read."""
        out = np.empty(box_shape(box))
        for row, c in enumerate(range(box[0].start, box[0].stop)):
            for k, z in enumerate(range(box[1].start, box[1].stop)):
                rng = np.random.default_rng([*self._seed, _NOISE, c, z])
                plane = rng.standard_normal(self._size[1:])
                out[row, k] = plane[relative(box[2:], (slice(0, 1), slice(0, 1)))]
        return out

    def native_blocks(self) -> Iterator[Box]:
        """Plane by plane."""
        z, y, x = self._size
        for k in range(z):
            yield (slice(0, self._specimen.n_channels), slice(k, k + 1), slice(0, y), slice(0, x))

    def close(self) -> None:
        """Nothing is open."""
