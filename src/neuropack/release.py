"""A release on disk: opened as a few plain objects, and its manifest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from neuropack.axes import Array
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.marks import MarkKind, marks_of_rows
from neuropack.skeleton import Skeleton
from neuropack.space.frames import CCF
from neuropack.space.transforms import Transform
from neuropack.swc import read_swc
from neuropack.table import MISSING, parse_tsv, read_tsv, tsv_text
from neuropack.volume import Channel, Volume, VoxelSize

if TYPE_CHECKING:
    from threading import Event

    import numpy as np
    import pyarrow as pa

MANIFEST = "manifest.tsv"
PARTIAL = MANIFEST + ".partial"
METADATA = "metadata/neuropack.json"
NOT_DATA = {".git"}
"""What may lie at the root of a release without being part of it: it changes while the data do not."""

MORPHOLOGY = "derivatives/morphology"
NEURONS, REGIONS = f"{MORPHOLOGY}/neurons.tsv", f"{MORPHOLOGY}/regions.tsv"
NEURONS_PARQUET = f"{MORPHOLOGY}/neurons.parquet"
CLASSES = "derivatives/segmentation/classes.tsv"
BENCHMARK = "derivatives/benchmark"
SPLITS = f"{BENCHMARK}/splits.tsv"
"""participant_id and split (train, validation or test): whole subjects only."""
REGISTRATION = "derivatives/registration"
QUALITY = f"{REGISTRATION}/quality.tsv"
ATLAS = f"{REGISTRATION}/atlas"
"""A copy of the atlas, in a release whose study may hand it on."""
ATLAS_ANNOTATION, ATLAS_STRUCTURES = f"{ATLAS}/annotation.nrrd", f"{ATLAS}/structures.csv"

_TABLES = {
    "participants": "participants.tsv",
    "samples": "samples.tsv",
    "manifest": MANIFEST,
    "neurons": NEURONS,
    "regions": REGIONS,
    "classes": CLASSES,
    "quality": QUALITY,
}
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A file as the manifest lists it."""

    bytes: int
    sha256: str


def entry_of(data: bytes) -> Entry:
    """Size and digest of the content of a file."""
    return Entry(len(data), hashlib.sha256(data).hexdigest())


def sha256_of(path: Path, stop: Event | None = None) -> Entry:
    """Size and digest of a file, read block by block.

    Raises:
        InputError: it cannot be read.
        CancelledError: `stop` was set.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                if stop is not None and stop.is_set():
                    raise CancelledError
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    return Entry(size, digest.hexdigest())


def digest_of(path: Path) -> str:
    """SHA-256 of a file; of a folder, of its sorted manifest lines (path inside it, bytes, sha256)."""
    if path.is_dir():
        return digest_of_lines(hash_files(path, list(files_below(path))))
    return sha256_of(path).sha256


def digest_of_lines(entries: Mapping[str, Entry]) -> str:
    """The digest that stands for a folder."""
    lines = (f"{name}\t{e.bytes}\t{e.sha256}\n" for name, e in sorted(entries.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def files_below(root: Path) -> Iterator[str]:
    """Every file below a folder but those of version control, relative, with forward slashes, sorted."""
    found = []
    for folder, folders, names in os.walk(root):
        base = Path(folder).relative_to(root)
        if base == Path():
            folders[:] = [f for f in folders if f not in NOT_DATA]
        found += [(base / name).as_posix() for name in names]
    yield from sorted(found)


def hash_files(root: Path, names: Iterable[str]) -> dict[str, Entry]:
    """Size and digest of files, several at a time."""
    return hash_each(names, lambda name: sha256_of(root / name))


def hash_each(names: Iterable[str], one: Callable[[str], Entry]) -> dict[str, Entry]:
    """Size and digest of what has these names, several at a time, by what takes those of one."""
    names = list(names)
    with ThreadPoolExecutor(thread_name_prefix="hash") as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


def write_manifest(root: Path, entries: Mapping[str, Entry] | None = None) -> dict[str, Entry]:
    """Write ``manifest.tsv``: path, bytes and sha256 of every file of the release but itself.

    Args:
        root: the release.
        entries: what is already known; without it every file is read.

    Raises:
        OutputError: it cannot be written, or the name of a file cannot stand in it.
    """
    known = hash_files(root, [n for n in files_below(root) if n != MANIFEST]) if entries is None else dict(entries)
    data, partial = manifest(root, known), root / PARTIAL
    try:
        partial.write_bytes(data)
        partial.replace(root / MANIFEST)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", file=root / MANIFEST) from error
    return known


def manifest(root: Path | str, entries: Mapping[str, Entry]) -> bytes:
    """The content of ``manifest.tsv``.

    Args:
        root: the release, for messages.
        entries: the files, by path.

    Raises:
        OutputError: the name of a file cannot stand in it.
    """
    rows = ({"path": name, "bytes": e.bytes, "sha256": e.sha256} for name, e in sorted(entries.items()))
    try:
        return tsv_text(["path", "bytes", "sha256"], rows).encode()
    except ValueError as error:
        raise OutputError("a file's name cannot stand in the manifest", file=root, found=str(error)) from error


def read_manifest(root: Path) -> dict[str, Entry]:
    """The files that ``manifest.tsv`` lists, by path.

    Raises:
        InputError: it is missing, or a row is not path, bytes and sha256.
    """
    return _listed(read_tsv(root / MANIFEST), root / MANIFEST)


def parse_manifest(data: bytes, path: Path | str) -> dict[str, Entry]:
    """The files that the content of a ``manifest.tsv`` lists, by path.

    Raises:
        InputError: a row is not path, bytes and sha256; names the file.
    """
    return _listed(parse_tsv(data, path), path)


def _listed(rows: Iterable[Mapping[str, str]], path: Path | str) -> dict[str, Entry]:
    entries = {}
    for line, row in enumerate(rows, 2):
        try:
            entries[row["path"]] = Entry(int(row["bytes"]), row["sha256"])
        except (KeyError, ValueError):
            found = " ".join(row.values())[:80]
            raise InputError(
                "not a manifest row",
                file=path,
                where=f"line {line}",
                expected="path, bytes, sha256",
                found=found,
            ) from None
    return entries


class Stack:
    """One image of a release; nothing is read before it is asked for.

    ``stack[c, z0:z1, y0:y1, x0:x1]`` reads that box, ``stack.level(1)[...]`` reads from the pyramid.

    Attributes:
        id: identifier of the stack.
        path: its OME-Zarr.
        metadata: its record in ``metadata/neuropack.json``.
        annotations: the records of its labels, skeletons, boxes, points and classes.
    """

    def __init__(
        self, root: Path, record: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.id: str = record["id"]
        self.annotations = [dict(one) for one in annotations]
        self.path = root / record["path"]
        self.metadata = dict(record)
        self._root = root

    @cached_property
    def volume(self) -> Volume:
        """The image, opened."""
        from neuropack.readers import open_volume

        return open_volume(self.path)

    @cached_property
    def labels(self) -> Volume | None:
        """The label image, opened; None where there is none."""
        from neuropack.readers import open_volume

        path = self._annotation("labels")
        return open_volume(path) if path is not None else None

    @property
    def boxes(self) -> pa.Table | None:
        """Boxes around objects, in voxels, half open (`neuropack.marks`); None where there are none."""
        return self._marks("boxes")

    @property
    def points(self) -> pa.Table | None:
        """Single points, in micrometre of the stack; None where there are none."""
        return self._marks("points")

    @property
    def classes(self) -> pa.Table | None:
        """Classes of the image and of objects in it; None where there are none."""
        return self._marks("classes")

    def _marks(self, kind: MarkKind) -> pa.Table | None:
        path = self._annotation(kind)
        return marks_of_rows(kind, read_tsv(path), path) if path is not None else None

    def _annotation(self, kind: str) -> Path | None:
        return next((self._root / str(one["path"]) for one in self.annotations if one.get("kind") == kind), None)

    @property
    def nwb(self) -> Path | None:
        """The NWB file with the same pixels, where there is one."""
        path = self.metadata.get("nwb_path")
        return self._root / path if path else None

    @cached_property
    def sidecar(self) -> dict[str, Any]:
        """The BIDS sidecar."""
        name = self.path.name.removesuffix(".ome.zarr") + ".json"
        return _read_json(self.path.with_name(name))

    @property
    def axes(self) -> str:
        """Axes of the image, such as ``CZYX``."""
        return self.volume.axes

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths along `axes`."""
        return self.volume.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return self.volume.dtype

    @property
    def voxel_size_um(self) -> VoxelSize:
        """(z, y, x) in micrometre."""
        return self.volume.voxel_size_um

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels, in order."""
        return self.volume.channels

    @property
    def n_levels(self) -> int:
        """Number of levels of the pyramid."""
        return len(self.volume.levels) + 1

    def level(self, number: int) -> Volume:
        """A level of the pyramid; 0 is the full resolution.

        Raises:
            UsageError: there is no such level.
        """
        if not 0 <= number < self.n_levels:
            wanted = f"0 to {self.n_levels - 1}" if self.n_levels > 1 else "0, the only one"
            raise UsageError("the stack has no such level", file=self.path, expected=wanted, found=str(number))
        return self.volume.level(number)

    def close(self) -> None:
        """Close the image and its labels, where they were opened; they open again when they are asked for."""
        for name in ("volume", "labels"):
            if (opened := self.__dict__.pop(name, None)) is not None:
                opened.close()

    def __getitem__(self, key: Any) -> Array:
        return self.volume[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.volume.__array__(dtype, copy)

    def __repr__(self) -> str:
        axes, shape = self.metadata.get("axes", ""), self.metadata.get("shape", ())
        lengths = " ".join(f"{a}={n}" for a, n in zip(axes.upper(), shape, strict=False))
        return f"<Stack {self.id}: {lengths} {self.metadata.get('dtype', '')}>"


class _Lazy(Mapping[str, Any]):
    """Named files of a release, read when they are asked for."""

    def __init__(self, what: str, paths: Mapping[str, Path], read: Any) -> None:
        self._what, self._paths, self._read = what, paths, read

    def __getitem__(self, key: str) -> Any:
        return self._read(self._paths[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __repr__(self) -> str:
        return f"<{len(self)} {self._what}: {', '.join(self) or 'none'}>"


class Release:
    """A release: its stacks, metadata, tables and neurons.

    Attributes:
        path: the folder.
        metadata: the document ``metadata/neuropack.json``.
        stacks: the images by identifier.
    """

    def __init__(self, path: Path, metadata: dict[str, Any]) -> None:
        self.path, self.metadata = path, metadata
        marked: dict[str, list[dict[str, Any]]] = {}
        for record in metadata.get("annotations", ()):
            marked.setdefault(record.get("image_stack", ""), []).append(record)
        self.stacks = {r["id"]: Stack(path, r, marked.get(r["id"], ())) for r in metadata.get("image_stacks", ())}

    @property
    def subjects(self) -> dict[str, dict[str, Any]]:
        """The records of the animals by identifier."""
        return {r["id"]: r for r in self.metadata.get("subjects", ())}

    @property
    def tables(self) -> Mapping[str, list[dict[str, str]]]:
        """The tables by name; each is read, as a list of rows, when it is asked for."""
        paths = {name: self.path / file for name, file in _TABLES.items() if (self.path / file).is_file()}
        return _Lazy("tables", paths, read_tsv)

    @property
    def neurons(self) -> Mapping[str, Skeleton]:
        """The skeletons by neuron, each in its stack; read when they are asked for."""
        records = [r for r in self.metadata.get("neurons", ()) if r.get("morphology")]
        return _Lazy("neurons", {r["id"]: self.path / r["morphology"] for r in records}, read_swc)

    @property
    def neurons_ccf(self) -> Mapping[str, Skeleton]:
        """The skeletons in the Allen CCFv3, of the neurons of registered stacks; read when they are asked for."""
        rows = self.tables.get("neurons", [])
        swc = {row["neuron_id"]: row.get("swc_ccf", MISSING) for row in rows}
        folder = self.path / MORPHOLOGY
        paths = {name: folder / path for name, path in swc.items() if path != MISSING}
        return _Lazy("neurons in the CCF", paths, partial(read_swc, frame=CCF))

    @property
    def transforms(self) -> Mapping[str, Transform]:
        """The transform of points of each registered stack to the CCF, by stack; read when it is asked for."""
        from neuropack.space.formats.registration import read_registration

        records = [r for r in self.metadata.get("registrations", ()) if r.get("transforms")]
        paths = {r["image_stack"]: self.path / r["transforms"][0]["path"] for r in records}
        return _Lazy("transforms", paths, read_registration)

    def close(self) -> None:
        """Close the images that were opened; ``with open_release(path) as release:`` does it at its end."""
        for stack in self.stacks.values():
            stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        title = self.metadata.get("dataset", {}).get("title", "untitled")
        version = self.metadata.get("dataset", {}).get("version", "")
        return (
            f"<Release {title!r} {version}: {len(self.subjects)} subject(s), {len(self.stacks)} stack(s), "
            f"{len(self.neurons)} neuron(s)>"
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    except (ValueError, RecursionError) as error:
        raise InputError("is not JSON", file=path, found=str(error)) from error
    if not isinstance(found, dict):
        raise InputError("is not a JSON object", file=path, found=type(found).__name__)
    return found


def open_release(path: Path | str) -> Release:
    """Open a release.

    Raises:
        InputError: the folder holds no release, or its metadata cannot be read.
    """
    root = Path(path)
    if not (root / METADATA).is_file():
        raise InputError(
            "is not a release",
            file=root,
            expected=f"a folder with {METADATA}",
            found="no such file" if root.is_dir() else "no such folder",
            fix="neuropack build STUDY RELEASE makes one",
        )
    metadata = _read_json(root / METADATA)
    for record in metadata.get("image_stacks") or ():
        if not isinstance(record, dict) or not {"id", "path"} <= record.keys():
            raise InputError("an image stack lacks its id or path", file=root / METADATA, where="/image_stacks")
    return Release(root, metadata)
