"""The images that methods are compared on, with their truth, the animal of each, and the split that it is in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, UsageError
from neuropack.table import MISSING, read_tsv

if TYPE_CHECKING:
    from neuropack.release import Release, Stack
    from neuropack.skeleton import Skeleton
    from neuropack.volume import Volume

TASKS: Final = ("foreground", "instances", "somata", "tracing", "classification")
SPLITS: Final = ("train", "validation", "test")
FILE: Final = "benchmark.yaml"
"""Names the images of a folder that is no release."""
TRUTH: Final[dict[str, str]] = {
    "foreground": "labels",
    "instances": "labels",
    "somata": "somata",
    "tracing": "skeletons",
}
"""The kind of truth that each task on images is scored by."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """What an image says of itself: its shape c, z, y, x, and voxel size z, y, x (a single plane: None for z)."""

    shape: tuple[int, int, int, int]
    voxel_size_um: tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Case:
    """An image and what is known of it. Sizes, skeletons and somata are read when they are asked for, once.

    Attributes:
        name: of its own among the images of its data.
        subject: the animal.
        split: train, validation or test.
        image: its file.
        voxel_size_um: z, y, x, where the file lacks it or is wrong.
        labels: the label image.
        skeletons: SWC files, or folders of them.
        somata: a table of points.
        origin: what 0 is in skeletons and somata: corner or centre of the first voxel.
    """

    name: str
    subject: str
    split: str
    image: Path
    voxel_size_um: tuple[float, float, float] | None = None
    labels: Path | None = None
    skeletons: tuple[Path, ...] = ()
    somata: Path | None = None
    origin: Literal["corner", "centre"] = "corner"

    def has(self, kind: str) -> bool:
        """Whether it has truth of a kind: labels, skeletons or somata."""
        return bool(getattr(self, kind))

    def files(self) -> Iterator[Path]:
        """Image and truth."""
        yield from (self.image, *self.skeletons)
        yield from (path for path in (self.labels, self.somata) if path is not None)

    def opened(self) -> Volume:
        """The image."""
        from neuropack.readers import open_volume

        return open_volume(self.image, voxel_size_um=self.voxel_size_um)

    @cached_property
    def seen(self) -> Seen:
        """What the image says of itself.

        Raises:
            UsageError: it lacks axes or a voxel size, or is a time series.
        """
        with self.opened() as image:
            image.require_axes()
            image.require_voxel_size()
            if image.n_times != 1:
                raise UsageError("is a time series", file=self.image, expected="one time point")
            return Seen((image.n_channels, *image.size_zyx), image.voxel_size_um)

    @cached_property
    def neurons(self) -> dict[str, Skeleton]:
        """The true skeletons, micrometre from the corner of the first voxel."""
        from neuropack.annotations import read_skeletons

        found: dict[str, Skeleton] = {}
        for path in self.skeletons:
            found |= read_skeletons(path)
        if self.origin == "corner":
            return found
        return {name: replace(one, xyz=one.xyz + self._half()) for name, one in found.items()}

    @cached_property
    def places(self) -> Floats:
        """The true somata (n, 3), x, y, z, micrometre from the corner of the first voxel."""
        return points_in(self.somata) + (0.0 if self.origin == "corner" else self._half())

    def _half(self) -> Floats:
        z, y, x = self.seen.voxel_size_um
        return np.array([x or 0.0, y or 0.0, z or 0.0]) / 2

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        said: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return said

    @classmethod
    def of(cls, record: dict[str, Any]) -> Case:
        """From what `record` gives."""
        size = record["voxel_size_um"]
        return cls(
            name=record["name"],
            subject=record["subject"],
            split=record["split"],
            image=Path(record["image"]),
            voxel_size_um=(size[0], size[1], size[2]) if size else None,
            labels=Path(record["labels"]) if record["labels"] else None,
            skeletons=tuple(Path(one) for one in record["skeletons"]),
            somata=Path(record["somata"]) if record["somata"] else None,
            origin=record["origin"],
        )


@dataclass(frozen=True)
class Data:
    """The images of a release or a folder.

    Attributes:
        name: of the release (identifier and version) or the folder.
        path: of it.
        digests: of its manifest, and as that was before scores were put into it; or of the file that names its
            images. The last one is the oldest.
        content: of the lines of the manifest for images and truth, or of the neurons with their classes and
            features: results put into a release leave it as it is.
        seed: of a simulation, else None.
        cases: all images, also those of training; none where neurons are classified.
    """

    name: str
    path: Path
    digests: tuple[str, ...]
    content: str
    seed: int | None
    cases: tuple[Case, ...]

    def of(self, split: str) -> list[Case]:
        """The images of a split."""
        return [case for case in self.cases if case.split == split]

    def subjects(self, split: str) -> set[str]:
        """The animals of a split."""
        return {case.subject for case in self.of(split)}


def points_in(path: Path | None) -> Floats:
    """The somata (n, 3), x, y, z in micrometre, of a table of points; those of another class are left out.

    Raises:
        InputError: it is no such table.
    """
    from neuropack.annotations.mark_files import read_marks
    from neuropack.annotations.stated import Stated
    from neuropack.marks import Credit

    if path is None or (path.suffix == ".tsv" and not read_tsv(path)):  # a header alone: no soma
        return np.empty((0, 3))
    table = read_marks(path, "points", Stated(unit="um", origin="corner"), Credit(path.name, "manual")).table
    kept = [name in (None, "", "soma") for name in table.column("class").to_pylist()]
    columns = [table.column(f"{axis}_um").to_numpy().astype(np.float64) for axis in "xyz"]
    found: Floats = np.column_stack(columns)[np.array(kept, bool)].reshape(-1, 3)
    return found


def data_at(path: Path) -> Data:
    """The images of a release, or of a folder with a ``benchmark.yaml``.

    Raises:
        InputError: it is neither; a file that it names is missing; a subject is in two splits.
        UsageError: there is no test split.
    """
    data = data_read(path)
    see_splits(data)
    return data


def data_read(path: Path) -> Data:
    """The same, whatever the splits.

    Raises:
        InputError: it is neither; a file that it names is missing; a subject is in two splits.
    """
    from neuropack.release import METADATA, open_release

    if (path / METADATA).is_file():
        release = open_release(path)
        try:
            return _of_release(path, release)
        finally:
            release.close()
    if (path / FILE).is_file():
        from neuropack.benchmark.listed import data_listed

        return data_listed(path / FILE)
    raise InputError(
        "holds nothing to compare methods on",
        file=path,
        expected=f"a release ({METADATA}), or a folder with a file {FILE}",
        found="no such folder" if not path.is_dir() else "neither",
        fix="neuropack simulate makes a release with splits; docs/how-to/benchmark.md shows the file",
    )


def see_splits(data: Data) -> None:
    """See that there is a split to test on.

    Raises:
        UsageError: nothing is for the test.
    """
    if not data.of("test"):
        raise UsageError(
            "has no test split",
            file=data.path,
            expected="images of subjects whose split is test",
            found=", ".join(sorted({case.split for case in data.cases})) or "no splits",
            fix="name the animals to test on in derivatives/benchmark/splits.tsv, or in the benchmark of the study",
        )


def _of_release(path: Path, release: Release) -> Data:
    from neuropack.release import SPLITS as TABLE

    splits = _splits(path, release)
    cases = []
    for stack in release.stacks.values():
        subject = _subject(stack)
        if subject in splits:
            cases.append(_case(path, stack, subject, splits[subject]))
    content = _content(path, (*(one for case in cases for one in case.files()), path / TABLE))
    return data_of(path, release, content, cases)


def data_of(path: Path, release: Release, content: str, cases: Sequence[Case] = ()) -> Data:
    """What is said of a release, with the images that methods are compared on; none for the task classification.

    Raises:
        InputError: what stands there of a simulation or its scores cannot be read.
    """
    about = release.metadata.get("dataset", {})
    return Data(
        name=" ".join(str(about[key]) for key in ("id", "version") if about.get(key)) or path.name,
        path=path,
        digests=_digests(path),
        content=content,
        seed=_seed(path),
        cases=tuple(cases),
    )


def _digests(path: Path) -> tuple[str, ...]:
    """Of the manifest, as it is, and as it was when the scores that are in the release were made."""
    from neuropack.manifest import MANIFEST, sha256_of
    from neuropack.release import SCORES

    found = [sha256_of(path / MANIFEST).sha256] if (path / MANIFEST).is_file() else []
    if (path / SCORES).is_file():
        found += [row.get("data_digest", MISSING) for row in read_tsv(path / SCORES)]
    return tuple(dict.fromkeys(one for one in found if one != MISSING))


def _content(root: Path, files: Sequence[Path]) -> str:
    """The digest of the lines of the manifest for some files and folders."""
    from neuropack.manifest import MANIFEST, digest_of_lines, read_manifest

    if not (root / MANIFEST).is_file():
        return ""
    wanted = {path.relative_to(root).as_posix() for path in files}
    entries = read_manifest(root)
    kept = {
        name: entry
        for name, entry in entries.items()
        if name in wanted or any(parent.as_posix() in wanted for parent in PurePosixPath(name).parents)
    }
    return digest_of_lines(kept)


def _subject(stack: Stack) -> str:
    """The animal, as the name of a stack begins."""
    return stack.id.partition("_")[0]


def _splits(path: Path, release: Release) -> dict[str, str]:
    """The split of each animal: of the table of splits, or of the benchmarks in the metadata."""
    from neuropack.release import SPLITS as TABLE

    pairs: list[tuple[str, str]] = []
    if (path / TABLE).is_file():
        for row in read_tsv(path / TABLE):
            if not {"participant_id", "split"} <= row.keys():
                raise InputError(
                    "is no table of splits",
                    file=path / TABLE,
                    expected="columns participant_id and split",
                    found=", ".join(row),
                )
            pairs.append((row["participant_id"], row["split"]))
    else:
        for record in release.metadata.get("benchmarks", ()):
            pairs += [(name, part["name"]) for part in record["splits"] for name in part["subjects"]]
    found: dict[str, str] = {}
    for name, split in pairs:
        if found.setdefault(name, split) != split:
            raise InputError(
                "a subject is in two splits: methods would be tested on an animal that they were tuned on",
                file=path,
                where=name,
                expected="one split",
                found=f"{found[name]} and {split}",
                fix="put all images of an animal into one split",
            )
    return found


def _case(root: Path, stack: Stack, subject: str, split: str) -> Case:
    named: dict[str, list[Path]] = {}
    for one in stack.annotations:
        named.setdefault(str(one.get("kind")), []).append(root / str(one["path"]))
    first: dict[str, Sequence[Path | None]] = {kind: named.get(kind) or [None] for kind in ("labels", "points")}
    return Case(
        name=stack.id,
        subject=subject,
        split=split,
        image=root / str(stack.metadata["path"]),
        labels=first["labels"][0],
        skeletons=tuple(named.get("skeletons", ())),
        somata=first["points"][0],
    )


def _seed(path: Path) -> int | None:
    """That of a simulation."""
    from neuropack.release import BENCHMARK

    file = path / BENCHMARK / "simulation.json"
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return int(said["seed"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError("does not say the seed of a simulation", file=file, found=str(error)) from error
