"""A simulated stack: a Volume whose voxels are computed when they are read, with its ground truth beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape, full_box
from neuropack.errors import UsageError
from neuropack.simulate.colours import BRAINBOW, Fluorophore, colour_vectors, copy_numbers
from neuropack.simulate.optics import TILE, Optics, blur, halo_of, noise_of_tile, tile_aligned, tiles
from neuropack.simulate.render import Scene
from neuropack.simulate.trees import Habit, grow
from neuropack.skeleton import Skeleton
from neuropack.volume import Channel, Instrument, Volume

_BLOCK = tuple(n * t for n, t in zip((2, 4, 4), TILE, strict=True))  # bounds the memory of one reading
_LARGEST = 65535  # neurons that uint16 labels can tell apart

# One stream of random numbers for each choice, so that a change of one leaves the others as they were.
_TREES, _COLOURS, _HAZE, _NOISE, _STRIPES = range(5)


@dataclass(frozen=True, eq=False)
class SimulatedStack:
    """A stack and the truth about it.

    Attributes:
        volume: the image, axes CZYX, uint16.
        skeletons: one for each neuron, in the frame ``stack``.
        labels: instance labels, a Volume of one channel, uint16: neuron n has label n + 1, 0 is background.
        copies: copies of each fluorophore (neurons, channels).
        colors: brightness in each channel (neurons, channels).
        scene: the analytic neurons; its `labels` also tells where neurons overlap.
        clean: the counts of the image before the detector's noise, float32.
    """

    volume: Volume
    skeletons: tuple[Skeleton, ...]
    labels: Volume
    copies: npt.NDArray[np.int64]
    colors: npt.NDArray[np.float64]
    scene: Scene
    clean: Volume


def stack(
    seed: int,
    shape_zyx: tuple[int, int, int] = (32, 192, 192),
    voxel_size_um: tuple[float, float, float] = (2.0, 0.5, 0.5),
    neurons: int = 4,
    *,
    fluorophores: Sequence[Fluorophore] = BRAINBOW,
    optics: Optics | None = None,
    habit: Habit | None = None,
    skeletons: Sequence[Skeleton] | None = None,
    name: str = "simulated",
    acquired: str | None = None,
) -> SimulatedStack:
    """Simulate a stack. The seed and the arguments fix every voxel.

    Args:
        seed: 0 or more.
        shape_zyx: voxels along z, y, x.
        voxel_size_um: (z, y, x), micrometre.
        neurons: how many to grow.
        fluorophores: one channel each.
        optics, habit: the microscope and the way neurons grow.
        skeletons: neurons to render instead of growing some, in the frame ``stack``.
        name: what the volume calls itself; no file of that name exists.
        acquired: start of the acquisition that the volume is to state, ISO 8601.

    Raises:
        UsageError: a size, the seed or the number of neurons or fluorophores makes no stack.
    """
    _check(seed, shape_zyx, voxel_size_um, neurons if skeletons is None else len(skeletons), len(fluorophores))
    size_xyz = tuple(n * s for n, s in zip(shape_zyx[::-1], voxel_size_um[::-1], strict=True))
    if skeletons is None:
        skeletons = _population(np.random.default_rng([seed, _TREES]), size_xyz, neurons, habit)
    copies = copy_numbers(np.random.default_rng([seed, _COLOURS]), len(skeletons), len(fluorophores))
    colors = colour_vectors(copies)
    optics = optics or Optics()
    optics.check(len(fluorophores))
    scene = Scene(skeletons, voxel_size_um)
    scenes = tuple(
        scene if moved is skeletons else Scene(moved, voxel_size_um)
        for moved in _seen(skeletons, size_xyz, optics, len(fluorophores))
    )
    mixed = colors @ np.array(optics.mixing, float).T if optics.mixing else colors
    pixels = _StackPixels(seed, shape_zyx, voxel_size_um, scenes, mixed, tuple(fluorophores), optics)
    volume = Volume(
        path=Path(name),
        format="simulated",
        native_axes="CZYX",
        native_shape=(len(fluorophores), *shape_zyx),
        dtype=np.dtype(np.uint16),
        pixels=pixels,
        voxel_size_um=voxel_size_um,
        channels=tuple(Channel(f.name, f.name, f.excitation_nm, f.emission_nm, f.color) for f in fluorophores),
        acquired=acquired,
        instrument=Instrument(
            manufacturer="neuropack",
            model="simulator",
            numerical_aperture=optics.numerical_aperture,
        ),
    )
    labels = Volume(
        path=Path(f"{name}_labels"),
        format="simulated",
        native_axes="ZYX",
        native_shape=shape_zyx,
        dtype=np.dtype(np.uint16),
        pixels=_LabelPixels(shape_zyx, scene),
        voxel_size_um=voxel_size_um,
        channels=(Channel(name="neurons"),),
    )
    clean = replace(volume, dtype=np.dtype(np.float32), pixels=_CleanPixels(pixels))
    return SimulatedStack(volume, tuple(skeletons), labels, copies, colors, scene, clean)


def _seen(
    skeletons: Sequence[Skeleton], size_xyz: tuple[float, ...], optics: Optics, channels: int
) -> Iterator[Sequence[Skeleton]]:
    """The neurons as each channel sees them: stretched about the centre of the stack, then shifted."""
    centre = np.array(size_xyz) / 2
    for c in range(channels):
        shift = np.array(optics.shift_um[c][::-1]) if optics.shift_um else np.zeros(3)
        scale = optics.scale[c] if optics.scale else 1.0
        if scale == 1 and not shift.any():
            yield skeletons
        else:
            yield [replace(s, xyz=centre + scale * (s.xyz - centre) + shift) for s in skeletons]


def _check(
    seed: int, shape: tuple[int, ...], voxel_size: tuple[float, ...], neurons: int, fluorophores: int
) -> None:
    if seed < 0:
        raise UsageError("a seed is 0 or more", found=str(seed))
    if len(shape) != 3 or min(shape) < 1:
        raise UsageError(
            "a stack needs voxels along z, y and x", expected="three numbers of 1 or more", found=str(shape)
        )
    if len(voxel_size) != 3 or not all(np.isfinite(s) and s > 0 for s in voxel_size):
        raise UsageError("a voxel size is positive along z, y and x", expected="micrometre", found=str(voxel_size))
    if not 0 <= neurons <= _LARGEST:
        raise UsageError("the labels have 16 bits", expected=f"0 to {_LARGEST} neurons", found=str(neurons))
    if fluorophores < 1:
        raise UsageError("a stack needs at least one fluorophore", found="none")


def _population(
    rng: np.random.Generator, size_xyz: tuple[float, ...], neurons: int, habit: Habit | None
) -> list[Skeleton]:
    """Grow neurons whose somata keep apart: each takes the loneliest of several places."""
    x, y, z = size_xyz
    size = np.array(size_xyz)
    somata: list[npt.NDArray[np.float64]] = []
    grown = []
    for _ in range(neurons):
        places = [size * rng.uniform(0.2, 0.8, 3) for _ in range(12)]
        place = max(places, key=lambda p: min((float(((p - s) ** 2).sum()) for s in somata), default=0.0))
        somata.append(place)
        grown.append(grow(rng, (x, y, z), place, habit))
    return grown


class _StackPixels:
    """Computes the image, block by block. Holds no state that changes, so any thread may read."""

    def __init__(
        self,
        seed: int,
        shape: tuple[int, int, int],
        voxel_size_um: tuple[float, float, float],
        scenes: tuple[Scene, ...],
        colors: npt.NDArray[np.float64],
        fluorophores: tuple[Fluorophore, ...],
        optics: Optics,
    ) -> None:
        self._shape, self._step = shape, voxel_size_um
        self._scenes, self._colors, self._fluorophores, self._optics = scenes, colors, fluorophores, optics
        words = np.random.SeedSequence([seed, _NOISE]).generate_state(2, np.uint64)
        self._key = words.astype(np.uint64, copy=False)
        self._phase = np.random.default_rng([seed, _HAZE]).random(len(fluorophores))
        flicker = np.random.default_rng([seed, _STRIPES]).normal(0, optics.stripes, shape[0])
        self._stripes = np.exp(flicker) if optics.stripes else None
        self._sigma = []
        for f in fluorophores:
            z, y, x = (w / s for w, s in zip(optics.sigma_um(f.emission_nm), voxel_size_um, strict=True))
            self._sigma.append((z, y, x))
        self._halo = halo_of(self._sigma)

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Compute a box (c, z, y, x)."""
        return self.counts(box, noise=True)

    def counts(self, box: Box, *, noise: bool) -> Array:
        """The counts of a box (c, z, y, x): uint16 with noise, float32 without."""
        out = np.empty(box_shape(box), np.uint16 if noise else np.float32)
        channels, inner = range(box[0].start, box[0].stop), box[1:]
        for _, block in tiles(inner, self._shape, _BLOCK):
            wanted = _common(inner, block)
            photons = self._photons(channels, whole := tile_aligned(wanted, self._shape))
            for number, tile in tiles(wanted, self._shape):
                part = _common(wanted, tile)
                for row, c in enumerate(channels):
                    light = photons[row][_within(tile, whole)]
                    counts: Array
                    if noise:
                        counts = self._optics.digitise(light, noise_of_tile(self._key, c, number))
                    else:
                        counts = light * self._optics.counts_per_photon + self._optics.offset_counts
                    out[row][_within(part, inner)] = counts[_within(part, tile)]
        return out

    def _photons(self, channels: range, box: Box) -> list[npt.NDArray[np.float64]]:
        """Expected photons of whole tiles (z, y, x), one array for each channel."""
        wide = tuple(slice(s.start - h, s.stop + h) for s, h in zip(box, self._halo, strict=True))
        glow = np.zeros((len(channels), *box_shape(wide)), np.float32)
        together = all(scene is self._scenes[0] for scene in self._scenes)
        for neuron in range(self._scenes[0].neurons):
            filled = self._scenes[0].coverage(neuron, wide) if together else None
            for row, c in enumerate(channels):
                if not together:
                    filled = self._scenes[c].coverage(neuron, wide)
                if filled is not None:
                    glow[row] += np.float32(self._colors[neuron, c]) * filled
        bright = self._optics.illumination(self._shape, box) if self._optics.vignetting else None
        photons = []
        for row, c in enumerate(channels):
            light = blur(glow[row], self._halo, self._sigma[c]) * self._optics.peak_photons
            depth = range(box[0].start, box[0].stop)
            fade = self._optics.attenuation(depth, self._step[0], self._fluorophores[c].emission_nm)
            haze = self._optics.haze(self._shape, box, float(self._phase[c]))
            seen = light * fade[:, None, None] + haze
            if bright is not None:
                seen *= bright
            if self._stripes is not None:
                seen *= self._stripes[box[0], None, None]
            photons.append(seen)
        return photons

    def native_blocks(self) -> Iterator[Box]:
        """Blocks of all channels: these share the geometry, so computing them together is cheapest."""
        for _, block in tiles(full_box(self._shape), self._shape, _BLOCK):
            yield (slice(0, len(self._fluorophores)), *block)

    def close(self) -> None:
        """Nothing is open."""


class _CleanPixels:
    """The same image before the detector's noise."""

    def __init__(self, pixels: _StackPixels) -> None:
        self._pixels = pixels

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Compute a box (c, z, y, x)."""
        return self._pixels.counts(box, noise=False)

    def native_blocks(self) -> Iterator[Box]:
        """Those of the image."""
        return self._pixels.native_blocks()

    def close(self) -> None:
        """Nothing is open."""


class _LabelPixels:
    """Computes instance labels, block by block."""

    def __init__(self, shape: tuple[int, int, int], scene: Scene) -> None:
        self._shape, self._scene = shape, scene

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Compute a box (z, y, x)."""
        return self._scene.labels(box)[0]

    def native_blocks(self) -> Iterator[Box]:
        """The blocks of the image."""
        for _, block in tiles(full_box(self._shape), self._shape, _BLOCK):
            yield block

    def close(self) -> None:
        """Nothing is open."""


def _common(one: Box, other: Box) -> Box:
    return tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True))


def _within(part: Box, whole: Box) -> Box:
    return tuple(slice(p.start - w.start, p.stop - w.start) for p, w in zip(part, whole, strict=True))
