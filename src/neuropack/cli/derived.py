"""What ``neuropack annotations derive`` does: files read, handed to `neuropack.process`, and written whole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import neuropack
from neuropack.cli import common
from neuropack.errors import UsageError
from neuropack.whole import published

if TYPE_CHECKING:
    from neuropack.labels import LabelVolume
    from neuropack.marks import Credit, Provenance
    from neuropack.process.colours import LabelColour
    from neuropack.process.somata import Soma
    from neuropack.progress import Progress
    from neuropack.skeleton import Skeleton
    from neuropack.volume import Volume, VoxelSize

_TABLES = (".tsv", ".csv", ".parquet")
_ZARR = ".ome.zarr"
_NUMBERED = re.compile(r"(?:label-)?([1-9][0-9]{0,17})")
_BOX_BYTES = 60  # for each voxel of the box of an object that is thinned


@dataclass(frozen=True)
class Derived:
    """What was made.

    Attributes:
        what: for a person.
        record: for ``--json``.
        left_out: what has no result, and why.
    """

    what: str
    record: dict[str, Any]
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """An image, and what a person says of it."""

    path: Path
    scene: str | None = None
    axes: str | None = None
    voxel_size_um: VoxelSize | None = None

    def open(self) -> Volume:
        """Open it.

        Raises:
            InputError, UsageError: as `neuropack.readers.open_volume`.
        """
        from neuropack.readers import open_volume

        return open_volume(self.path, scene=self.scene, axes=self.axes, voxel_size_um=self.voxel_size_um)

    def skeletons(self) -> dict[str, Skeleton] | None:
        """The neurons by name, where it is none, but holds skeletons."""
        from neuropack.annotations import holds_skeletons, read_skeletons

        return read_skeletons(self.path) if holds_skeletons(self.path) else None


def credit(annotator: str | None, provenance: Provenance | None, guideline: str | None) -> Credit:
    """Who made an annotation; what a program derives from one nobody is named for, it made itself."""
    from neuropack.marks import Credit

    own = annotator is None and provenance is None
    name = f"neuropack {neuropack.__version__}"
    return Credit(name if own else annotator, "model" if own else provenance, guideline)


def _see_table(out: Path, *suffixes: str) -> None:
    """See that a file can be a table, before anything that takes time.

    Raises:
        UsageError: its name says that it is another one.
    """
    if out.suffix.lower() not in suffixes:
        raise UsageError(
            "is no name for a table", file=out, expected=", ".join(suffixes), found=out.suffix or "none"
        )


def boxes(labels: Image, out: Path, made_by: Credit, *, overwrite: bool, tell: Progress | None) -> Derived:
    """A table of boxes."""
    from neuropack.annotations.mark_files import write_marks
    from neuropack.process.label_boxes import boxes_of_labels, table_of_boxes

    _see_table(out, *_TABLES)
    with labels.open() as volume:
        found = boxes_of_labels(volume, tell)
    write_marks(out, table_of_boxes(found.ids, found.boxes, made_by, labels.path), "boxes", overwrite=overwrite)
    n, voxels = len(found.ids), int(found.counts.sum())
    return Derived(f"{n} box(es) of {voxels} voxels", {"kind": "boxes", "objects": n, "voxels": voxels})


def masks(
    source: Path,
    out: Path,
    image: Path | None,
    shape: tuple[int, int, int] | None,
    voxel_size_um: tuple[float, float, float] | None,
    *,
    overwrite: bool,
    memory: int | None,
    tell: Progress | None,
) -> Derived:
    """A label image, and beside it a table of the label of each neuron."""
    from neuropack.annotations import read_skeletons
    from neuropack.convert import convert
    from neuropack.process.objects import known_size
    from neuropack.process.skeleton_masks import labels_of_skeletons
    from neuropack.table import tsv_text

    if not out.name.endswith(_ZARR):
        raise UsageError("is no name for a label image", file=out, expected=f"a name in {_ZARR}")
    if image is not None:
        with Image(image, voxel_size_um=voxel_size_um).open() as traced:
            traced.require_axes()
            traced.require_voxel_size()
            shape, voxel_size_um = traced.size_zyx, known_size(traced.voxel_size_um)
    if shape is None or voxel_size_um is None:
        raise UsageError("the size of the image is not known", file=source)
    neurons = read_skeletons(source)
    label_of = labels_of_names(neurons)
    lost = {
        name: "lies outside of the image" for name, one in neurons.items() if not _inside(one, shape, voxel_size_um)
    }
    table = out.with_name(out.name.removesuffix(_ZARR) + "_labels.tsv")
    text = tsv_text(("label", "neuron"), ({"label": n, "neuron": name} for name, n in label_of.items()))
    _ours(table, text, overwrite=overwrite)
    volume = labels_of_skeletons({label_of[n]: s for n, s in neurons.items()}, shape, voxel_size_um, source)
    result = convert(volume, [out], labels=True, overwrite=overwrite, memory=memory, progress=tell)
    with published(table, overwrite=True) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
    record = {
        "kind": "masks",
        "status": result.status,
        "shape": list(shape),
        "voxel_size_um": list(voxel_size_um),
        "labels": label_of,
        "table": str(table),
    }
    voxels = " x ".join(map(str, shape))
    return Derived(f"masks of {len(neurons)} neuron(s) in {voxels} voxels, {result.status}", record, lost)


def labels_of_names(names: Mapping[str, Any]) -> dict[str, int]:
    """A label for each neuron: the number in its name (``7``, ``label-7``) where all have one, else 1, 2, 3 ..."""
    numbers = [_NUMBERED.fullmatch(name) for name in names]
    told = [int(found[1]) for found in numbers if found]
    whole = len(told) == len(names) == len(set(told))
    return dict(zip(names, told if whole else range(1, len(names) + 1), strict=True))


def _inside(skeleton: Skeleton, shape: tuple[int, ...], size: tuple[float, ...]) -> bool:
    ends = [n * s for n, s in zip(shape[::-1], size[::-1], strict=True)]
    return bool(((skeleton.xyz >= 0) & (skeleton.xyz < ends)).all(axis=1).any())


def _ours(path: Path, text: str, *, overwrite: bool) -> None:
    """See that a table beside a result is not there, or is the same.

    Raises:
        UsageError: it is another one.
    """
    if path.exists() and not overwrite and not (path.is_file() and path.read_text(encoding="utf-8") == text):
        raise UsageError("is there already", file=path, fix="name another destination, or add --overwrite")


def skeletons(
    labels: Image, out: Path, *, smooth: bool, memory: int | None, overwrite: bool, tell: Progress | None
) -> Derived:
    """A skeleton for each object."""
    from neuropack.cli.annotations_written import may_write, summary, write
    from neuropack.process.skeletonise import skeletons_of_masks

    way = may_write(labels.path, out, overwrite=overwrite)
    with labels.open() as volume:
        found = skeletons_of_masks(_sparse(volume, tell), smooth, progress=tell, **_largest(memory))
    note = f"derived by neuropack {neuropack.__version__} from the masks of {labels.path.name}"
    neurons = {f"label-{n}": replace(one, comments=(f"{note}, label {n}",)) for n, one in found.skeletons.items()}
    left_out = {f"label {n}": reason for n, reason in found.left_out.items()}
    if not neurons:
        raise UsageError("no object has a skeleton", file=labels.path, found=_some(left_out) or "no object")
    files, _ = write(way, labels.path, out, neurons, overwrite=overwrite, tell=tell)
    record = summary(labels.path, out, way, neurons, files)
    return Derived(f"{record['what']}", record, left_out)


def somata(
    source: Image,
    out: Path,
    made_by: Credit,
    smallest_um: float,
    *,
    memory: int | None,
    overwrite: bool,
    tell: Progress | None,
) -> Derived:
    """A table of points."""
    from neuropack.annotations.mark_files import write_marks
    from neuropack.marks import marks_table
    from neuropack.process.somata import soma_of_skeleton, somata_of_masks

    _see_table(out, *_TABLES)
    neurons, left_out = source.skeletons(), dict[str, str]()
    found: list[tuple[str, str | None, Soma]] = []
    if neurons is None:
        with source.open() as volume:
            some, why = somata_of_masks(_sparse(volume, tell), smallest_um, progress=tell, **_largest(memory))
        found = [(f"label-{soma.label}", None, soma) for soma in some]
        left_out = {f"label {n}": reason for n, reason in why.items()}
    else:
        for name, skeleton in neurons.items():
            soma = soma_of_skeleton(skeleton, smallest_um=smallest_um)
            found += [(name, name, soma)] if soma else []
    ids = _numbered([f"soma-{name}" for name, _, _ in found])
    columns = {
        "point_id": ids,
        **{f"{axis}_um": [soma.xyz[i] for *_, soma in found] for i, axis in enumerate("xyz")},
        "neuron_id": [neuron for _, neuron, _ in found],
        "class": ["soma"] * len(found),
        "confidence": [soma.confidence for *_, soma in found],
    }
    write_marks(out, marks_table("points", columns, made_by, source.path), "points", overwrite=overwrite)
    rows = [
        {"point_id": name, "xyz_um": list(soma.xyz), "radius_um": soma.radius_um, "confidence": soma.confidence}
        for name, (*_, soma) in zip(ids, found, strict=True)
    ]
    return Derived(f"{len(found)} soma(ta)", {"kind": "points", "somata": rows}, left_out)


def _numbered(names: list[str]) -> list[str]:
    """Names of which a second one of its kind is told apart by a number."""
    seen: dict[str, int] = {}
    for at, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        names[at] = name if seen[name] == 1 else f"{name}-{seen[name]}"
    return names


def colors(source: Image, out: Path, image: Image, *, overwrite: bool, tell: Progress | None) -> Derived:
    """A table with the colour of each neuron."""
    from neuropack.process.colours import colour_along, colours_of_labels

    _see_table(out, *_TABLES[:2])
    neurons = source.skeletons()
    with image.open() as shown:
        if neurons is None:
            with source.open() as labels:
                found = [(f"label-{one.label}", one) for one in colours_of_labels(shown, labels, tell)]
        else:
            label_of = labels_of_names(neurons)
            found = [(name, colour_along(shown, one, label_of[name], tell)) for name, one in neurons.items()]
        channels = [f"color_{i}" for i in range(1, shown.n_channels + 1)]
        names = [channel.name for channel in shown.channels]
    columns = ["neuron", "label", *channels, "confidence", "voxels"]
    rows = [_colour_row(name, one, channels) for name, one in found]
    with published(out, overwrite=overwrite) as part:
        part.write_text(common.table_text(out, columns, rows), encoding="utf-8", newline="\n")
    dark = {name: "no signal above the background" for name, one in found if not any(one.color)}
    record = {
        "kind": "colors",
        "channels": names,
        "colors": [
            {"neuron": name, "color_vector": list(one.color), "confidence": one.confidence, "voxels": one.voxels}
            for name, one in found
        ],
    }
    return Derived(f"{len(found)} colour(s) in {len(channels)} channel(s)", record, dark)


def _colour_row(name: str, one: LabelColour, channels: list[str]) -> dict[str, Any]:
    weights = [f"{weight:.4f}" if any(one.color) else None for weight in one.color]
    told = {"confidence": f"{one.confidence:.4f}", "voxels": one.voxels}
    return {"neuron": name, "label": one.label, **dict(zip(channels, weights, strict=True)), **told}


def _sparse(volume: Volume, tell: Progress | None) -> LabelVolume:
    from neuropack.process.sparse import sparse_labels

    volume.require_axes()
    volume.require_voxel_size()  # before a pass that would be for nothing
    return sparse_labels(volume, progress=tell)


def _largest(memory: int | None) -> dict[str, int]:
    return {} if memory is None else {"largest_box": memory // _BOX_BYTES}


def _some(left_out: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:3])
