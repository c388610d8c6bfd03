"""All that a simulated dataset is made from, but the seed: what a preset or a file of its form says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.simulate.colours import BRAINBOW, Fluorophore
from neuropack.simulate.optics import Optics
from neuropack.simulate.placing import place_neuron
from neuropack.simulate.seams import Mosaic
from neuropack.simulate.stack import SimulatedStack, stack
from neuropack.simulate.tissue import Tissue
from neuropack.simulate.trees import Habit, apart
from neuropack.skeleton import Skeleton

MOST_NEURONS = 500  # that a larger shape makes of those of a preset
_MOST_VOXELS = 2**40  # of a stack
_LARGEST = 65535
_CHOICE = 7  # a stream of random numbers beside those of `stack`
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Traced:
    """How neurons of SWC files are put into a stack.

    Attributes:
        scale: factor on their size; what then lies outside is cut off.
        fit: make them smaller than that, as far as they must be to lie inside.
        rotate: turn them.
    """

    scale: float = 1.0
    fit: bool = False
    rotate: bool = True


@dataclass(frozen=True)
class Simulation:
    """A simulated dataset.

    Attributes:
        name: of the preset.
        description: one sentence.
        labelling: sparse_viral or brainbow, as the metadata of a release have it.
        shape: voxels z, y, x of a stack.
        voxel_size_um: z, y, x.
        subjects: how many.
        stacks: of each subject.
        neurons: in each stack.
        fluorophores: one channel each.
        copies: mean copies of each fluorophore in a neuron.
        growth: how neurons grow.
        traced: what becomes of neurons of SWC files.
        tissue, optics, mosaic: what is around them, and how it is seen.
    """

    name: str
    description: str = ""
    labelling: str = "brainbow"
    shape: tuple[int, int, int] = (32, 192, 192)
    voxel_size_um: tuple[float, float, float] = (1.0, 0.5, 0.5)
    subjects: int = 3
    stacks: int = 1
    neurons: int = 4
    fluorophores: tuple[Fluorophore, ...] = BRAINBOW
    copies: float = 1.5
    growth: Habit = field(default_factory=Habit)
    traced: Traced = field(default_factory=Traced)
    tissue: Tissue = field(default_factory=Tissue)
    optics: Optics = field(default_factory=Optics)
    mosaic: Mosaic = field(default_factory=Mosaic)

    @property
    def size_xyz(self) -> tuple[float, float, float]:
        """Of a stack, micrometre."""
        z, y, x = (n * s for n, s in zip(self.shape, self.voxel_size_um, strict=True))
        return x, y, z

    def of_shape(self, shape: tuple[int, int, int]) -> Simulation:
        """The same with stacks of another shape, and as many neurons as keep their density, 1 to 500."""
        share = math.prod(shape) / math.prod(self.shape)
        count = self.neurons and min(MOST_NEURONS, max(1, round(self.neurons * share)))
        return replace(self, shape=shape, neurons=count)

    def check(self) -> None:
        """See that the parts fit each other.

        Raises:
            UsageError: they do not; `where` names the attribute, and nothing where it is the optics.
        """
        if (voxels := math.prod(self.shape)) > _MOST_VOXELS:
            raise UsageError(
                f"a stack of {voxels:.3g} voxels is too large",
                where="shape",
                expected=f"at most {_MOST_VOXELS}",
                found=" x ".join(map(str, self.shape)),
            )
        self.optics.check(len(self.fluorophores))
        if not 0 <= self.neurons <= _LARGEST:
            found = str(self.neurons)
            raise UsageError("the labels have 16 bits", where="neurons", expected=f"0 to {_LARGEST}", found=found)
        names = [f.name for f in self.fluorophores]
        if len(set(names)) != len(names):
            found = ", ".join(names)
            raise UsageError(
                "a fluorophore is there twice", where="fluorophores", expected="each once", found=found
            )

    def make(
        self, seed: int, subject: int, number: int, traced: Sequence[Skeleton] = (), name: str = "simulated"
    ) -> tuple[SimulatedStack, tuple[int | None, ...]]:
        """One stack; the arguments fix every voxel.

        Args:
            seed: of the dataset.
            subject, number: of the stack, from 0.
            traced: neurons to put in, chosen at random, in place of such as grow.
            name: what the stack calls itself.

        Returns:
            The stack, and of each neuron its place in `traced`; None for one that grew.

        Raises:
            UsageError: the shape has no room for a soma, or for the tiles.
        """
        own = _seed(seed, subject, number)
        rng = np.random.default_rng([own, _CHOICE])
        chosen = rng.integers(len(traced), size=self.neurons).tolist() if traced else []
        somata: list[npt.NDArray[np.float64]] = []
        placed = []
        for each in chosen:
            somata.append(apart(rng, self.size_xyz, somata))
            how = self.traced
            placed.append(
                place_neuron(
                    *(rng, traced[each], self.size_xyz, somata[-1]), scale=how.scale, fit=how.fit, rotate=how.rotate
                )
            )
        made = stack(
            own,
            self.shape,
            self.voxel_size_um,
            self.neurons,
            fluorophores=self.fluorophores,
            optics=self.optics,
            habit=self.growth,
            tissue=self.tissue,
            mosaic=self.mosaic,
            mean_copies=self.copies,
            skeletons=placed if traced else None,
            name=name,
        )
        return made, tuple(chosen) if traced else (None,) * self.neurons


def split_of(subject: int, subjects: int) -> str:
    """The split of a subject, from 0: about a fifth each for validation and test, the last ones.

    Of two subjects one is for the test, and a single one is all for training.
    """
    test = max(1, round(subjects / 5)) if subjects > 1 else 0
    validation = max(1, round(subjects / 5)) if subjects > 2 else 0
    if subject >= subjects - test:
        return _SPLITS[2]
    return _SPLITS[1] if subject >= subjects - test - validation else _SPLITS[0]


def _seed(seed: int, subject: int, number: int) -> int:
    """A seed for a stack of its own."""
    low, high = np.random.SeedSequence([seed, subject, number]).generate_state(2, np.uint32).tolist()
    return int(low) | int(high) << 32
