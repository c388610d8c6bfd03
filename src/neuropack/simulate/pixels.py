"""The voxels of a simulated stack, computed when they are read: image, image without noise, and labels.

A voxel hangs on its own place only, so any box may be asked for, by any thread, and gives the same voxels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape, full_box, overlap, relative
from neuropack.simulate.optics import TILE, Optics, blur, halo_of, noise_of_tile, tile_aligned, tiles
from neuropack.simulate.render import Scene
from neuropack.simulate.seams import Tile, parts

BLOCK = tuple(n * t for n, t in zip((2, 4, 4), TILE, strict=True))  # bounds the memory of one reading
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Glow:
    """Things that shine.

    Attributes:
        scenes: what each channel sees of them; the same one where all see the same.
        colors: brightness of each neuron in each channel (neurons, channels).
        paint: brightness of each capsule in each channel (capsules, channels), in place of `colors`.
    """

    scenes: tuple[Scene, ...]
    colors: Floats | None = None
    paint: Floats | None = None

    def add(self, glow: npt.NDArray[np.float32], channels: Sequence[int], box: Box) -> None:
        """Add what shines in a box (z, y, x) to an image (c, z, y, x) of some channels."""
        together = all(scene is self.scenes[0] for scene in self.scenes)
        for rows in [range(len(channels))] if together else [range(i, i + 1) for i in range(len(channels))]:
            scene, wanted = self.scenes[channels[rows[0]]], [channels[row] for row in rows]
            for neuron, pieces in scene.near(box):
                if self.paint is not None:
                    glow[rows.start : rows.stop] += scene.painted(pieces, box, self.paint[:, wanted])
                elif self.colors is not None:
                    filled = scene.filled(pieces, box)
                    for row, c in zip(rows, wanted, strict=True):
                        glow[row] += np.float32(self.colors[neuron, c]) * filled


@dataclass(frozen=True, eq=False)
class Sight:
    """All that the image of a stack is computed from.

    Attributes:
        shape, step: voxels and micrometre along z, y, x.
        emission_nm: of each channel.
        optics: the microscope.
        shining: neurons, and what else shines.
        vessels: tubes that have less haze; None without any.
        shade: part of the haze that is missing there.
        tiles: of the mosaic; none where the stack was taken at once.
        key: of the noise, two words.
        phase: of the haze of each channel.
        stripes: light of each plane; None where it is the same.
    """

    shape: tuple[int, int, int]
    step: tuple[float, float, float]
    emission_nm: tuple[float, ...]
    optics: Optics
    shining: tuple[Glow, ...]
    vessels: Scene | None
    shade: float
    tiles: tuple[Tile, ...]
    key: npt.NDArray[np.uint64]
    phase: Floats
    stripes: Floats | None


class StackPixels:
    """Computes the image, block by block. Holds no state that changes, so any thread may read."""

    def __init__(self, sight: Sight) -> None:
        self._sight, self._shape, self._optics = sight, sight.shape, sight.optics
        self._sigma: list[tuple[float, float, float]] = []
        for emission in sight.emission_nm:
            z, y, x = (w / s for w, s in zip(self._optics.sigma_um(emission), sight.step, strict=True))
            self._sigma.append((z, y, x))
        self._halo = halo_of(self._sigma)

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Compute a box (c, z, y, x)."""
        return self.counts(box, noise=True)

    def counts(self, box: Box, *, noise: bool) -> Array:
        """The counts of a box (c, z, y, x): uint16 with noise, float32 without."""
        out = np.empty(box_shape(box), np.uint16 if noise else np.float32)
        channels, inner = range(box[0].start, box[0].stop), box[1:]
        for _, block in tiles(inner, self._shape, BLOCK):
            if (wanted := overlap(inner, block)) is None:
                continue
            photons = self._photons(channels, whole := tile_aligned(wanted, self._shape))
            for number, tile in tiles(wanted, self._shape):
                if (part := overlap(wanted, tile)) is None:
                    continue
                for row, c in enumerate(channels):
                    light = photons[row][relative(tile, whole)]
                    counts: Array
                    if noise:
                        counts = self._optics.digitise(light, noise_of_tile(self._sight.key, c, number))
                    else:
                        counts = light * self._optics.counts_per_photon + self._optics.offset_counts
                    out[row][relative(part, inner)] = counts[relative(part, tile)]
        return out

    def _photons(self, channels: range, box: Box) -> Floats:
        """Expected photons of whole tiles of noise (c, z, y, x)."""
        if not self._sight.tiles:
            return self._light(channels, box, box)
        photons = np.empty((len(channels), *box_shape(box)))
        for tile, part in parts(self._sight.tiles, box):
            seen = self._light(channels, part, tile.behind(part))
            where = relative(part, box)
            photons[:, *where] = np.maximum(seen * tile.light(part) + tile.offset_photons, 0)
        return photons

    def _light(self, channels: range, box: Box, tissue: Box) -> Floats:
        """Expected photons of a box (c, z, y, x) behind which lies another box of the tissue."""
        sight = self._sight
        wide = tuple(slice(s.start - h, s.stop + h) for s, h in zip(tissue, self._halo, strict=True))
        glow = np.zeros((len(channels), *box_shape(wide)), np.float32)
        for thing in sight.shining:
            thing.add(glow, channels, wide)
        shadow = self._shadow(wide)
        bright = self._optics.illumination(self._shape, box) if self._optics.vignetting else None
        photons = np.empty((len(channels), *box_shape(box)))
        for row, c in enumerate(channels):
            seen = self._optics.haze(self._shape, box, float(sight.phase[c]))
            if shadow is not None:
                seen = seen * (1 - sight.shade * blur(shadow, self._halo, self._sigma[c]))
            if glow[row].any():  # most of a sparse stack is empty, and the blur of nothing is nothing
                light = blur(glow[row], self._halo, self._sigma[c]) * self._optics.peak_photons
                depth = range(box[0].start, box[0].stop)
                fade = self._optics.attenuation(depth, sight.step[0], sight.emission_nm[c])
                seen = light * fade[:, None, None] + seen
            if bright is not None:
                seen = seen * bright
            if sight.stripes is not None:
                seen = seen * sight.stripes[box[0], None, None]
            photons[row] = seen
        return photons

    def _shadow(self, wide: Box) -> npt.NDArray[np.float32] | None:
        """How much of each voxel of a box vessels fill; None where there are none."""
        if self._sight.vessels is None:
            return None
        found = [pieces for _, each in self._sight.vessels.near(wide) for pieces in each]
        return self._sight.vessels.filled(found, wide) if found else None

    def native_blocks(self) -> Iterator[Box]:
        """Blocks of all channels: these share the geometry, so computing them together is cheapest."""
        for _, block in tiles(full_box(self._shape), self._shape, BLOCK):
            yield (slice(0, len(self._sight.emission_nm)), *block)

    def close(self) -> None:
        """Nothing is open."""


class CleanPixels:
    """The same image before the detector's noise."""

    def __init__(self, pixels: StackPixels) -> None:
        self._pixels = pixels

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Compute a box (c, z, y, x)."""
        return self._pixels.counts(box, noise=False)

    def native_blocks(self) -> Iterator[Box]:
        """Those of the image."""
        return self._pixels.native_blocks()

    def close(self) -> None:
        """Nothing is open."""


class LabelPixels:
    """Computes instance labels, block by block."""

    def __init__(self, shape: tuple[int, int, int], scene: Scene) -> None:
        self._shape, self._scene = shape, scene

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Compute a box (z, y, x)."""
        return self._scene.labels(box)[0]

    def native_blocks(self) -> Iterator[Box]:
        """The blocks of the image."""
        for _, block in tiles(full_box(self._shape), self._shape, BLOCK):
            yield block

    def close(self) -> None:
        """Nothing is open."""
