"""Where a stack and its neurons lie in the CCF: worked out before any pixel is converted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.skeleton import Skeleton
from neuropack.space.atlas import Atlas
from neuropack.space.frames import CCF, EXTENT_UM
from neuropack.space.landmarks import fit
from neuropack.space.neurons import PlacedNeuron, place_neuron
from neuropack.space.transforms import Transform
from neuropack.study.registration import Registering

STACK = "stack"
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Pairs of points, and how well the transform of the stack fits them, micrometre.

    Attributes:
        names: (n,).
        moving: (n, 3), x, y, z in the stack.
        fixed: (n, 3), AP, DV, LR.
        residuals: (n,), from where the transform puts each.
        leave_one_out: (n,), from where the transform of all others puts it; NaN where that is not known.
        outliers: names of those whose leave-one-out error stands out.
    """

    names: tuple[str, ...]
    moving: Numbers = field(repr=False)
    fixed: Numbers = field(repr=False)
    residuals: Numbers = field(repr=False)
    leave_one_out: Numbers = field(repr=False)
    outliers: tuple[str, ...] = ()

    @property
    def error_um(self) -> float:
        """The median leave-one-out error; without any, the median residual."""
        known = self.leave_one_out[np.isfinite(self.leave_one_out)]
        return float(np.median(known if len(known) else self.residuals))


@dataclass(frozen=True, eq=False)
class Placement:
    """A registered stack.

    Attributes:
        transform: of points of the stack to the CCF.
        landmarks: what it was fitted to, or is tested with.
        neurons: by identifier.
    """

    transform: Transform
    landmarks: Landmarks | None
    neurons: Mapping[str, PlacedNeuron]

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
    transform, landmarks = _registered(how, voxel_um)
    return Placement(
        transform, landmarks, {name: place_neuron(s, transform, atlas) for name, s in skeletons.items()}
    )


def _registered(
    how: Registering, voxel_um: tuple[float, float, float] | None
) -> tuple[Transform, Landmarks | None]:
    from neuropack.space.formats.landmark_files import read_landmarks
    from neuropack.space.formats.placement import Side
    from neuropack.space.formats.recognise import read_transform

    moving = Side("moving", STACK, voxel_um, how.moving_place)
    fixed = Side("fixed", CCF, how.fixed_voxel_um, how.fixed_place)
    transform: Transform | None = None
    if how.transform is not None:
        transform = read_transform(how.transform, moving=moving, fixed=fixed, kind=how.kind).transform
    if how.landmarks is None:
        if transform is None:
            raise InputError("a registration has neither a transform nor landmarks")
        return transform, None
    pairs = read_landmarks(how.landmarks, moving, fixed)
    if transform is None:
        try:
            found = fit(pairs.moving, pairs.fixed, how.kind, STACK, CCF, names=pairs.names)
        except InputError as error:
            raise InputError(
                error.what, file=how.landmarks, expected=error.expected, found=error.found, fix=error.fix
            ) from error
        return found.transform, Landmarks(
            pairs.names, pairs.moving, pairs.fixed, found.residuals, found.leave_one_out, found.outliers
        )
    residuals = np.linalg.norm(transform(pairs.moving) - pairs.fixed, axis=1)
    unknown = np.full(len(pairs.names), np.nan)
    return transform, Landmarks(pairs.names, pairs.moving, pairs.fixed, residuals, unknown)


def outside(placement: Placement) -> Iterable[str]:
    """What a person should know of neurons that lie beside the atlas."""
    for name, neuron in placement.neurons.items():
        xyz = neuron.skeleton.xyz
        out = int(((xyz < 0) | (xyz >= EXTENT_UM)).any(axis=1).sum())
        if out:
            yield f"{name}: {out} of {len(xyz)} nodes lie outside of the atlas' volume"
