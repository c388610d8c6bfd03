"""A simulated stack: a Volume whose voxels are computed when they are read, with its ground truth beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.simulate.colours import BRAINBOW, Fluorophore, colour_vectors, copy_numbers
from neuropack.simulate.optics import Optics
from neuropack.simulate.pixels import CleanPixels, Glow, LabelPixels, Sight, StackPixels
from neuropack.simulate.render import Scene
from neuropack.simulate.seams import Mosaic, Tile, draw_tiles
from neuropack.simulate.tissue import Scenery, Tissue, scenery
from neuropack.simulate.trees import Habit, apart, grow
from neuropack.skeleton import Skeleton
from neuropack.volume import Channel, Instrument, Volume

_LARGEST = 65535  # neurons that uint16 labels can tell apart

# One stream of random numbers for each choice, so that a change of one leaves the others as they were.
_TREES, _COLOURS, _HAZE, _NOISE, _STRIPES, _TISSUE, _SEAMS = range(7)


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
        scenery: what it holds beside neurons.
        tiles: what its planes are made of; none where they were taken at once.
    """

    volume: Volume
    skeletons: tuple[Skeleton, ...]
    labels: Volume
    copies: npt.NDArray[np.int64]
    colors: npt.NDArray[np.float64]
    scene: Scene
    clean: Volume
    scenery: Scenery
    tiles: tuple[Tile, ...]


def stack(
    seed: int,
    shape_zyx: tuple[int, int, int] = (32, 192, 192),
    voxel_size_um: tuple[float, float, float] = (2.0, 0.5, 0.5),
    neurons: int = 4,
    *,
    fluorophores: Sequence[Fluorophore] = BRAINBOW,
    optics: Optics | None = None,
    habit: Habit | None = None,
    tissue: Tissue | None = None,
    mosaic: Mosaic | None = None,
    mean_copies: float = 1.5,
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
        tissue: colours along neurites, and what is there beside neurons; by default, nothing.
        mosaic: the tiles that the stack is made of; by default, it is taken at once.
        mean_copies: of each fluorophore in a neuron.
        skeletons: neurons to render instead of growing some, in the frame ``stack``.
        name: what the volume calls itself; no file of that name exists.
        acquired: start of the acquisition that the volume is to state, ISO 8601.

    Raises:
        UsageError: a size, the seed or the number of neurons or fluorophores makes no stack.
    """
    _check(seed, shape_zyx, voxel_size_um, neurons if skeletons is None else len(skeletons), len(fluorophores))
    x, y, z = (n * s for n, s in zip(shape_zyx[::-1], voxel_size_um[::-1], strict=True))
    size_xyz = (x, y, z)
    if skeletons is None:
        skeletons = _population(np.random.default_rng([seed, _TREES]), size_xyz, neurons, habit)
    copies = copy_numbers(np.random.default_rng([seed, _COLOURS]), len(skeletons), len(fluorophores), mean_copies)
    colors = colour_vectors(copies)
    optics = optics or Optics()
    optics.check(len(fluorophores))
    scene = Scene(skeletons, voxel_size_um)
    around = scenery(
        np.random.default_rng([seed, _TISSUE]), skeletons, size_xyz, len(fluorophores), tissue or Tissue()
    )
    pieces = draw_tiles(np.random.default_rng([seed, _SEAMS]), shape_zyx, voxel_size_um, mosaic or Mosaic())
    flicker = np.random.default_rng([seed, _STRIPES]).normal(0, optics.stripes, shape_zyx[0])
    sight = Sight(
        shape_zyx,
        voxel_size_um,
        tuple(f.emission_nm for f in fluorophores),
        optics,
        _shining(skeletons, scene, colors, around, optics, size_xyz),
        Scene(around.vessels, voxel_size_um) if around.vessels else None,
        around.shade,
        pieces,
        np.random.SeedSequence([seed, _NOISE]).generate_state(2, np.uint64).astype(np.uint64, copy=False),
        np.random.default_rng([seed, _HAZE]).random(len(fluorophores)),
        np.exp(flicker) if optics.stripes else None,
    )
    pixels = StackPixels(sight)
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
        pixels=LabelPixels(shape_zyx, scene),
        voxel_size_um=voxel_size_um,
        channels=(Channel(name="neurons"),),
    )
    clean = replace(volume, dtype=np.dtype(np.float32), pixels=CleanPixels(pixels))
    return SimulatedStack(volume, tuple(skeletons), labels, copies, colors, scene, clean, around, pieces)


def _shining(
    skeletons: Sequence[Skeleton],
    scene: Scene,
    colors: npt.NDArray[np.float64],
    around: Scenery,
    optics: Optics,
    size_xyz: tuple[float, ...],
) -> tuple[Glow, ...]:
    """The neurons and the specks, as each channel sees them: where, and how bright."""

    def mixed(bright: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = bright @ np.array(optics.mixing, float).T if optics.mixing else bright
        return found

    def scenes(things: Sequence[Skeleton], whole: Scene) -> tuple[Scene, ...]:
        seen = _seen(things, size_xyz, optics, colors.shape[1])
        return tuple(whole if moved is things else Scene(moved, scene.voxel_size_um) for moved in seen)

    neurons = scenes(skeletons, scene)
    if around.paint is None:
        found = [Glow(neurons, colors=mixed(colors))]
    else:
        found = [Glow(neurons, paint=mixed(colors[scene.neuron_of_capsule] * around.paint))]
    if around.debris is not None:
        specks = [around.debris]
        found.append(Glow(scenes(specks, Scene(specks, scene.voxel_size_um)), paint=mixed(around.debris_colors)))
    return tuple(found)


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
    rng: np.random.Generator, size_xyz: tuple[float, float, float], neurons: int, habit: Habit | None
) -> list[Skeleton]:
    """Grow neurons whose somata keep apart."""
    somata: list[npt.NDArray[np.float64]] = []
    grown = []
    for _ in range(neurons):
        somata.append(apart(rng, size_xyz, somata))
        grown.append(grow(rng, size_xyz, somata[-1], habit))
    return grown
