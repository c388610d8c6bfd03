"""Where a stack and its neurons lie in the CCF: worked out before any pixel is converted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuropack.errors import InputError
from neuropack.skeleton import Skeleton
from neuropack.space.atlas import Atlas
from neuropack.space.formats.landmark_files import Pairs, read_landmarks
from neuropack.space.frames import CCF, EXTENT_UM
from neuropack.space.landmarks import Fit, fit
from neuropack.space.neurons import PlacedNeuron, place_neuron
from neuropack.space.transforms import Transform
from neuropack.study.registration import Registering, key_of

STACK = "stack"


@dataclass(frozen=True, eq=False)
class Placement:
    """A registered stack.

    Attributes:
        fit: the transform of points of the stack to the CCF, and how well landmarks fit it. What is left out of a
            transform that was not fitted to them is NaN.
        landmarks: what it was fitted to, or is tested with.
        neurons: by identifier.
    """

    fit: Fit
    landmarks: Pairs | None
    neurons: Mapping[str, PlacedNeuron]

    @property
    def transform(self) -> Transform:
        """Of points of the stack to the CCF."""
        return self.fit.transform

    @property
    def error_um(self) -> float:
        """The median leave-one-out error of the landmarks; without any, their median residual."""
        return float(np.median(self.fit.residuals)) if np.isnan(self.fit.median) else self.fit.median

    def file_names(self, transform_file: str) -> list[str]:
        """The files of the transform; fields lie beside the JSON."""
        from neuropack.space.formats.registration import files_of

        return [path.as_posix() for path in files_of(Path(transform_file), self.transform)]

    def files(self, transform_file: str) -> Iterator[tuple[str, bytes]]:
        """The path and content of each of these files, the JSON last."""
        from neuropack.space.formats.registration import write_registration

        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / Path(transform_file).name
            write_registration(made, self.transform, {STACK: "xyz"})
            for name in reversed(self.file_names(transform_file)):
                yield name, made.with_name(Path(name).name).read_bytes()


def place_stack(
    how: Registering,
    skeletons: Mapping[str, Skeleton],
    atlas: Atlas | None,
    voxel_um: tuple[float, float, float] | None = None,
) -> Placement:
    """Register a stack as its study says, and place its neurons.

    Args:
        how: what the study says.
        skeletons: the neurons by identifier.
        atlas: where regions are looked up.
        voxel_um: of the stack, z, y, x: what some files of other programs count from the centre of.

    Raises:
        InputError: a file of the registration cannot be read, its frames are others, or nothing fits to it.
        UsageError: it is of a kind that cannot be fitted or turned round, or does not say how its images lie.
    """
    found, landmarks = _registered(how, voxel_um)
    neurons = {name: place_neuron(one, found.transform, atlas) for name, one in skeletons.items()}
    return Placement(found, landmarks, neurons)


def _registered(how: Registering, voxel_um: tuple[float, float, float] | None) -> tuple[Fit, Pairs | None]:
    from neuropack.space.formats.files import parsing
    from neuropack.space.formats.placement import Side
    from neuropack.space.formats.recognise import read_transform

    moving = Side("moving", STACK, voxel_um, how.moving_place, key_of)
    fixed = Side("fixed", CCF, how.fixed_voxel_um, how.fixed_place, key_of)
    transform: Transform | None = None
    if how.transform is not None:
        transform = read_transform(how.transform, moving=moving, fixed=fixed, kind=how.kind).transform
    pairs = read_landmarks(how.landmarks, moving, fixed) if how.landmarks is not None else None
    if transform is not None:
        if pairs is None:
            return Fit(transform, (), np.empty(0), np.empty(0), ()), None
        off = np.linalg.norm(transform(pairs.moving) - pairs.fixed, axis=1)
        return Fit(transform, pairs.names, off, np.full(len(off), np.nan), ()), pairs
    if pairs is None or how.landmarks is None:
        raise InputError("a registration has neither a transform nor landmarks")
    with parsing(how.landmarks, "landmarks"):
        return fit(pairs.moving, pairs.fixed, how.kind, STACK, CCF, names=pairs.names), pairs


def outside(placement: Placement) -> Iterable[str]:
    """What a person should know of neurons that lie beside the atlas."""
    for name, neuron in placement.neurons.items():
        xyz = neuron.skeleton.xyz
        out = int(((xyz < 0) | (xyz >= EXTENT_UM)).any(axis=1).sum())
        if out:
            yield f"{name}: {out} of {len(xyz)} nodes lie outside of the atlas' volume"
