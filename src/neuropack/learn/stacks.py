"""The stacks of releases that something is learnt from, and the splits that say which subjects serve for what."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.capsules import Capsules
from neuropack.errors import InputError
from neuropack.process.noise_units import NoiseUnits, noise_units
from neuropack.release import BENCHMARK, METADATA, SPLITS, Release, Stack, open_release
from neuropack.skeleton import SOMA, Skeleton
from neuropack.table import read_tsv
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]

NAMES = ("train", "validation", "test")
_SIMULATION = f"{BENCHMARK}/simulation.json"
_REACH_UM = 3.0  # beyond the radius of a neurite, where its centreline is still looked for at once


@dataclass(frozen=True, eq=False)
class TrainingStack:
    """A stack with its truth. It pickles; another process reads the same files.

    Attributes:
        name: of the stack in its release.
        subject: the animal, as told apart over releases: see `check_splits`.
        split: train, validation or test; empty where all stacks of a release were asked for and it has no splits.
        image: (c, z, y, x), one time point.
        labels: (1, z, y, x), the same voxels; 0 is background.
        skeletons: of its neurons, in micrometre of the stack.
        somata: x, y, z and radius (n, 4), micrometre.
        units: background and noise of each channel of the whole image.
        untraced: labels (n,) of neurons without a skeleton, where nothing is known of centrelines and somata.
    """

    name: str
    subject: str
    split: str
    image: Volume
    labels: Volume
    skeletons: tuple[Skeleton, ...]
    somata: Floats
    units: NoiseUnits
    untraced: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def size_zyx(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        return self.image.size_zyx

    @property
    def voxel_size_um(self) -> tuple[float, float, float]:
        """Of the image, z, y, x."""
        z, y, x = (float(v) for v in self.image.voxel_size_um if v is not None)
        return z, y, x

    @cached_property
    def capsules(self) -> Capsules:
        """The edges of the skeletons, found by box."""
        return Capsules(self.skeletons, self.voxel_size_um, _REACH_UM)

    @cached_property
    def line(self) -> tuple[Floats, Floats]:
        """Edges (m, 2, 3) of the skeletons, x, y, z in micrometre, and the length up to the end of each (m,)."""
        parts = [one.xyz[one.edges()] for one in self.skeletons]
        edges = np.concatenate(parts) if parts else np.empty((0, 2, 3))
        return edges, np.cumsum(np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1))


def stacks_of(release: Path | Release, split: str | None) -> list[TrainingStack]:
    """The labelled stacks of a release, or of one of its splits, in the order of its metadata.

    Stacks without labels are left out, since nothing says what they hold. Somata are the nodes of type soma.

    Args:
        release: the folder, or the opened release.
        split: train, validation or test; None: all stacks, whatever the splits.

    Raises:
        InputError: it has no splits, none of that name, or no labelled stack in it; a subject is in two splits;
            labels do not match their image; a stack cannot be read.
    """
    opened = release if isinstance(release, Release) else open_release(release)
    splits = splits_of(opened)
    if split is not None and split not in splits.values():
        raise _no_split(opened, split, sorted(set(splits.values())))
    chosen = [s for s in opened.stacks.values() if split is None or splits.get(_subject(s)) == split]
    made = [_training_stack(opened, s, labels, splits) for s in chosen if (labels := s.labels) is not None]
    if not made:
        raise InputError(
            "has no labelled stack to learn from",
            file=opened.path,
            where=f"split {split}" if split else None,
            expected="stacks with labels",
            found=f"{len(chosen)} stack(s), none with labels",
            fix="give the stacks labels in the study, and build the release again",
        )
    return made


def splits_of(release: Release) -> dict[str, str]:
    """The split of each subject, from ``splits.tsv``, else from the benchmarks of the metadata; empty of neither.

    Raises:
        InputError: a subject is in two splits, or is none of the release; a split has another name than `NAMES`.
    """
    found: dict[str, str] = {}
    for subject, split, file, where in _listed(release):
        if split not in NAMES:
            raise InputError(
                "a split has an unknown name", file=file, where=where, expected=", ".join(NAMES), found=split
            )
        if subject not in release.subjects:
            raise InputError(
                "a split names a subject that the release does not have",
                file=file,
                where=where,
                expected=", ".join(sorted(release.subjects)) or "subjects",
                found=subject,
            )
        if found.setdefault(subject, split) != split:
            raise _leak(subject, (split, f"{file}"), (found[subject], f"{file}"))
    return found


def check_splits(releases: Sequence[Path | Release]) -> None:
    """See that no subject is in two splits, over several releases.

    A subject is told apart by its identifier and the dataset (whatever its version). Simulated ones are told apart
    by identifier and seed: of one seed, the same first neurons grow whatever the preset, and so two simulations of
    one seed hold the same animals.

    Raises:
        InputError: one is, or a release cannot be read.
    """
    seen: dict[str, tuple[str, str]] = {}
    for one in releases:
        release = one if isinstance(one, Release) else open_release(one)
        for name, split in splits_of(release).items():
            subject, place = f"{identity(release)}/{name}", (split, str(release.path))
            if seen.setdefault(subject, place)[0] != split:
                raise _leak(subject, place, seen[subject])


def identity(release: Release) -> str:
    """What tells the subjects of a release from those of others: ``simulation seed N``, or the dataset's name.

    Raises:
        InputError: the record of a simulation is damaged.
    """
    seed = seed_of(release)
    if seed is not None:
        return f"simulation seed {seed}"
    dataset = release.metadata.get("dataset") or {}
    return str(dataset.get("id") or dataset.get("title") or release.path)


def seed_of(release: Release) -> int | None:
    """The seed of a simulation; None of any other data.

    Raises:
        InputError: the record of a simulation is damaged.
    """
    if not release.files.has(_SIMULATION):
        return None
    file = release.files.file(_SIMULATION)
    try:
        return int(json.loads(file.read_text(encoding="utf-8"))["seed"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "does not say what was simulated",
            file=file,
            expected="JSON as neuropack simulate writes it, with a seed",
            found=f"{type(error).__name__}: {error}",
        ) from error


def _listed(release: Release) -> Iterator[tuple[str, str, Path, str]]:
    """Subject, split, file and place in it."""
    if release.files.has(SPLITS):
        file = release.files.file(SPLITS)
        for line, row in enumerate(read_tsv(file), 2):
            if not {"participant_id", "split"} <= row.keys():
                raise InputError(
                    "lacks a column", file=file, expected="participant_id and split", found=", ".join(row)
                )
            yield row["participant_id"].removeprefix("sub-"), row["split"], file, f"line {line}"
        return
    for i, benchmark in enumerate(release.metadata.get("benchmarks") or ()):
        for j, split in enumerate(benchmark.get("splits") or ()):
            for subject in split.get("subjects") or ():
                yield str(subject), str(split.get("name")), release.path / METADATA, f"/benchmarks/{i}/splits/{j}"


def _training_stack(release: Release, stack: Stack, labels: Volume, splits: dict[str, str]) -> TrainingStack:
    image = stack.volume
    image.require_voxel_size()
    matches(image, labels)
    names = [n["id"] for n in release.metadata.get("neurons") or () if n.get("image_stack") == stack.id]
    found = {name: release.neurons[name] for name in names if name in release.neurons}
    found = {name: one for name, one in found.items() if one.frame == "stack"}
    skeletons, subject = tuple(found.values()), _subject(stack)
    told = [m for a in stack.annotations if a.get("kind") == "labels" for m in a.get("label_map") or ()]
    untraced = [m["value"] for m in told if m.get("neuron") not in found]
    return TrainingStack(
        name=stack.id,
        subject=f"{identity(release)}/{subject}",
        split=splits.get(subject, ""),
        image=image,
        labels=labels,
        skeletons=skeletons,
        somata=_somata(skeletons),
        units=noise_units(image),
        untraced=np.array(untraced, np.int64),
    )


def matches(image: Volume, labels: Volume) -> None:
    """See that labels are those of an image: the same voxels, of the same size where the labels say one.

    Raises:
        InputError: they are not.
    """
    if labels.dtype.kind not in "bui":
        raise InputError("labels are whole numbers", file=labels.path, found=str(labels.dtype))
    if labels.size_zyx != image.size_zyx or labels.n_channels != 1 or labels.n_times != 1:
        raise InputError(
            "the labels do not match their image",
            file=labels.path,
            expected=f"1 x {' x '.join(map(str, image.size_zyx))} (c, z, y, x), as {image.path.name}",
            found=" x ".join(map(str, labels.shape)),
        )
    for axis, mine, other in zip("zyx", image.voxel_size_um, labels.voxel_size_um, strict=True):
        if mine and other and abs(mine - other) > 1e-3 * mine:
            raise InputError(
                "the labels do not match their image",
                file=labels.path,
                where=f"voxel size along {axis}",
                expected=f"{mine:g} um, as {image.path.name}",
                found=f"{other:g} um",
            )


def _somata(skeletons: Sequence[Skeleton]) -> Floats:
    rows = []
    for one in skeletons:
        if (centre := one.soma()) is not None:
            rows.append([*centre, float(one.radius[one.type == SOMA].max())])
    return np.array(rows, np.float64).reshape(-1, 4)


def _subject(stack: Stack) -> str:
    return str(stack.metadata.get("subject"))


def _no_split(release: Release, split: str, known: Sequence[str]) -> InputError:
    return InputError(
        f"has no split {split}" if known else "has no splits",
        file=release.path,
        expected=f"{SPLITS} with participant_id and split ({', '.join(NAMES)}), or a benchmark in the metadata",
        found=", ".join(known) or "neither",
        fix="put whole subjects into splits, or simulate more subjects",
    )


def _leak(subject: str, one: tuple[str, Any], other: tuple[str, Any]) -> InputError:
    return InputError(
        "a subject is in two splits: what is learnt from it would be tested on it",
        file=one[1],
        where=f"subject {subject}",
        expected="each subject in one split, in all releases together",
        found=f"{one[0]} here, {other[0]} in {other[1]}",
        fix="put the subject into one split (simulated: take another seed), or leave a release out",
    )
