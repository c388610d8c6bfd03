"""A release, on disk or elsewhere, opened as a few plain objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from neuropack.address import Address, place
from neuropack.axes import Array
from neuropack.errors import InputError, UsageError
from neuropack.far import Far, shared
from neuropack.manifest import MANIFEST
from neuropack.marks import MarkKind, marks_of_rows
from neuropack.skeleton import Skeleton
from neuropack.space.cache import cache_folder
from neuropack.space.frames import CCF
from neuropack.space.transforms import Transform
from neuropack.swc import read_swc
from neuropack.table import MISSING, read_tsv
from neuropack.volume import Channel, Volume, VoxelSize
from neuropack.whole import published

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

METADATA = "metadata/neuropack.json"

MORPHOLOGY = "derivatives/morphology"
NEURONS, REGIONS = f"{MORPHOLOGY}/neurons.tsv", f"{MORPHOLOGY}/regions.tsv"
NEURONS_PARQUET = f"{MORPHOLOGY}/neurons.parquet"
CLASSES = "derivatives/segmentation/classes.tsv"
BENCHMARK = "derivatives/benchmark"
SPLITS = f"{BENCHMARK}/splits.tsv"
"""participant_id and split (train, validation or test): whole subjects only."""
SCORES = f"{BENCHMARK}/scores.tsv"
"""Of methods that were compared on the release: see `neuropack.mend.benchmarked`."""
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


@dataclass(frozen=True)
class _Files:
    """The files of a release on this machine."""

    root: Path

    def has(self, name: str) -> bool:
        return (self.root / name).is_file()

    def file(self, name: str) -> Path:
        """Where a small file can be read."""
        return self.root / name

    with_others = file


@dataclass(frozen=True)
class _FarFiles:
    """The files of a release elsewhere: small ones are fetched, once, into a folder."""

    root: Address
    far: Far
    folder: Path

    def has(self, name: str) -> bool:
        return name in self.far.entries

    def file(self, name: str) -> Path:
        self.far.keep([name], self.folder)
        return self.folder / name

    def with_others(self, name: str) -> Path:
        """The same of a file that names others, which lie beside it and share the beginning of its name."""
        beginning = name.rpartition(".")[0]
        self.far.keep([one for one in self.far.entries if one.startswith(beginning)], self.folder)
        return self.folder / name


Files = _Files | _FarFiles


class Stack:
    """One image of a release; nothing is read before it is asked for.

    ``stack[c, z0:z1, y0:y1, x0:x1]`` reads that box, ``stack.level(1)[...]`` reads from the pyramid.

    Attributes:
        id: identifier of the stack.
        path: its OME-Zarr.
        metadata: its record in ``metadata/neuropack.json``.
        annotations: the records of its labels, skeletons, boxes, points and classes.
        files: of the release that it is part of.
    """

    def __init__(
        self, files: Files, record: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.id: str = record["id"]
        self.annotations = [dict(one) for one in annotations]
        self.path = files.root / record["path"]
        self.metadata = dict(record)
        self.files = files

    @cached_property
    def volume(self) -> Volume:
        """The image, opened."""
        from neuropack.readers import open_volume

        return open_volume(self.path)

    @cached_property
    def labels(self) -> Volume | None:
        """The label image, opened; None where there is none."""
        from neuropack.readers import open_volume

        name = self._annotation("labels")
        return open_volume(self.files.root / name) if name is not None else None

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
        if (name := self._annotation(kind)) is None:
            return None
        path = self.files.file(name)
        return marks_of_rows(kind, read_tsv(path), path)

    def _annotation(self, kind: str) -> str | None:
        return next((str(one["path"]) for one in self.annotations if one.get("kind") == kind), None)

    @property
    def nwb(self) -> Path | None:
        """The NWB file with the same pixels, where there is one."""
        path = self.metadata.get("nwb_path")
        return self.files.root / path if path else None

    @cached_property
    def sidecar(self) -> dict[str, Any]:
        """The BIDS sidecar."""
        return _read_json(self.files.file(str(self.metadata["path"]).removesuffix(".ome.zarr") + ".json"))

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

    def __init__(self, what: str, paths: Mapping[str, str], read: Callable[[str], Any]) -> None:
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
        path: the folder, or its `Address`.
        metadata: the document ``metadata/neuropack.json``.
        stacks: the images by identifier.
        files: where its files are.
    """

    def __init__(self, files: Files, metadata: dict[str, Any]) -> None:
        self.path: Path = files.root
        self.metadata, self.files = metadata, files
        marked: dict[str, list[dict[str, Any]]] = {}
        for record in metadata.get("annotations", ()):
            marked.setdefault(record.get("image_stack", ""), []).append(record)
        self.stacks = {r["id"]: Stack(files, r, marked.get(r["id"], ())) for r in metadata.get("image_stacks", ())}

    @property
    def subjects(self) -> dict[str, dict[str, Any]]:
        """The records of the animals by identifier."""
        return {r["id"]: r for r in self.metadata.get("subjects", ())}

    @property
    def tables(self) -> Mapping[str, list[dict[str, str]]]:
        """The tables by name; each is read, as a list of rows, when it is asked for."""
        paths = {name: file for name, file in _TABLES.items() if file == MANIFEST or self.files.has(file)}
        return _Lazy("tables", paths, lambda name: read_tsv(self.files.file(name)))

    @property
    def neurons(self) -> Mapping[str, Skeleton]:
        """The skeletons by neuron, each in its stack; read when they are asked for."""
        records = [r for r in self.metadata.get("neurons", ()) if r.get("morphology")]
        return _Lazy("neurons", {r["id"]: r["morphology"] for r in records}, self._swc)

    @property
    def neurons_ccf(self) -> Mapping[str, Skeleton]:
        """The skeletons in the Allen CCFv3, of the neurons of registered stacks; read when they are asked for."""
        rows = self.tables.get("neurons", [])
        swc = {row["neuron_id"]: row.get("swc_ccf", MISSING) for row in rows}
        paths = {name: f"{MORPHOLOGY}/{path}" for name, path in swc.items() if path != MISSING}
        return _Lazy("neurons in the CCF", paths, partial(self._swc, frame=CCF))

    def _swc(self, name: str, frame: str | None = None) -> Skeleton:
        return read_swc(self.files.file(name), frame)

    @property
    def transforms(self) -> Mapping[str, Transform]:
        """The transform of points of each registered stack to the CCF, by stack; read when it is asked for."""
        from neuropack.space.formats.registration import read_registration

        records = [r for r in self.metadata.get("registrations", ()) if r.get("transforms")]
        paths = {r["image_stack"]: r["transforms"][0]["path"] for r in records}

        def read(name: str) -> Transform:
            return read_registration(self.files.with_others(name))

        return _Lazy("transforms", paths, read)

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

    Args:
        path: the folder, or the URL of one: ``https://``, ``s3://``, ``gs://`` or ``az://`` (extra `cloud`). Of a
            release elsewhere tables and skeletons are fetched when they are asked for, compared with the manifest,
            and kept in the user's cache; images are read box by box.

    Raises:
        InputError: the folder holds no release, or its metadata cannot be read.
        UsageError: a URL of an unknown kind.
    """
    root = place(path)
    files = _FarFiles(root, far := Far(root), far_cache(far)) if isinstance(root, Address) else _Files(root)
    if not files.has(METADATA):
        raise InputError(
            "is not a release",
            file=root,
            expected=f"a folder with {METADATA}",
            found="no such file" if root.is_dir() or isinstance(root, Address) else "no such folder",
            fix="neuropack build STUDY RELEASE makes one",
        )
    metadata = _read_json(files.file(METADATA))
    for record in metadata.get("image_stacks") or ():
        if not isinstance(record, dict) or not {"id", "path"} <= record.keys():
            raise InputError("an image stack lacks its id or path", file=root / METADATA, where="/image_stacks")
    return Release(files, metadata)


def far_cache(far: Far, base: Path | None = None) -> Path:
    """Where files of a release elsewhere are kept, as its manifest is now: another manifest has another folder.

    Args:
        far: the release.
        base: the cache; the user's if it is left out.
    """
    version = hashlib.sha256(far.address.url.encode() + b"\n" + far.manifest).hexdigest()[:32]
    folder = (base or cache_folder()) / "releases" / version
    with shared(folder):
        if not (folder / MANIFEST).is_file():
            with published(folder / MANIFEST, overwrite=True) as path:
                path.write_bytes(far.manifest)
    return folder
