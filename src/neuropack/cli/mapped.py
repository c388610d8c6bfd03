"""What ``neuropack map`` maps: a function for each kind of thing."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuropack.cli import common
from neuropack.errors import InputError, UsageError
from neuropack.whole import published, published_folder

if TYPE_CHECKING:
    from neuropack.convert import Result
    from neuropack.engine import Progress
    from neuropack.space.atlas import Atlas
    from neuropack.space.mapping import Outside
    from neuropack.space.transforms import Transform
    from neuropack.volume import Volume

NEURONS, REGIONS = "neurons.tsv", "regions.tsv"
_XYZ = ("x", "y", "z")


@dataclass(frozen=True)
class Mapped:
    """What was mapped.

    Attributes:
        what: for a person, such as ``50 nodes``.
        record: the same for ``--json``.
        outside: how much of it lies outside of the CCF.
        written: False where nothing was, for nothing of it lies in the CCF.
    """

    what: str
    record: dict[str, Any]
    outside: Outside | None
    written: bool = True


@dataclass(frozen=True)
class Grid:
    """How an image is resampled, as the options say it."""

    resolution_um: float
    whole: bool
    labels: bool


def skeleton(source: Path, out: Path, way: Transform, *, overwrite: bool) -> Mapped:
    """Map an SWC file."""
    from neuropack.space.mapping import map_skeleton, outside_ccf
    from neuropack.swc import read_swc, write_swc

    common.free(out, overwrite=overwrite)
    tree = read_swc(source, otherwise=way.source)
    with published(out, overwrite=True) as part:
        mapped = map_skeleton(tree, way)
        write_swc(
            part, mapped, [f"mapped by neuropack from {source.name}, {way.source} to {way.target}"], decimals=3
        )
    return Mapped(f"{len(mapped)} nodes", {"kind": "skeleton", "n": len(mapped)}, outside_ccf(tree.xyz, way))


def folder(
    source: Path, out: Path, way: Transform, atlas: Atlas | None, *, overwrite: bool, tell: Progress | None
) -> Mapped:
    """Map all SWC files of a folder into another, with a table of the neurons and one of the regions they pass.

    The folder appears when it is complete.
    """
    from neuropack.space.frames import CCF
    from neuropack.space.mapping import map_skeleton, outside_ccf
    from neuropack.space.neurons import ccf_columns, place_neuron, region_rows
    from neuropack.swc import read_swc, write_swc
    from neuropack.table import tsv_text

    files = sorted(path for path in source.iterdir() if path.suffix.lower() == ".swc")
    neurons: list[dict[str, object]] = []
    regions: list[dict[str, object]] = []
    lost: list[Outside] = []
    _may_replace(out, source, {path.name for path in files} | {NEURONS, REGIONS})
    with published_folder(out) as part:
        for n, path in enumerate(files):
            tree = read_swc(path, otherwise=way.source)
            row: dict[str, object] = {"neuron_id": path.stem, "n_nodes": len(tree)}
            if way.target == CCF:
                neuron = place_neuron(tree, way, atlas)
                mapped = neuron.skeleton
                row |= ccf_columns(neuron, path.name)
                if atlas is not None:
                    regions += region_rows(neuron, {"neuron_id": path.stem}, atlas.structures)
            else:
                mapped = map_skeleton(tree, way)
                row |= {"swc": path.name, "length_um": round(mapped.length_um(), 3)}
            neurons.append(row)
            write_swc(
                part / path.name,
                mapped,
                [f"mapped by neuropack from {path.name}, {way.source} to {way.target}"],
                decimals=3,
            )
            if one := outside_ccf(tree.xyz, way):
                lost.append(one)
            if tell is not None:
                tell("skeletons", n + 1, len(files))
        (part / NEURONS).write_text(tsv_text(list(neurons[0]), neurons), encoding="utf-8", newline="\n")
        if regions:
            (part / REGIONS).write_text(tsv_text(list(regions[0]), regions), encoding="utf-8", newline="\n")
    record = {
        "kind": "skeletons",
        "n": len(files),
        "regions": None if atlas is None else str(atlas.version),
    }
    tables = f"{NEURONS} and {REGIONS}" if regions else NEURONS
    return Mapped(f"{len(files)} skeletons, {tables}", record, _sum(lost))


def atlas_for(
    way: Transform, annotation: Path | None, structures: Path | None, tell: Progress | None
) -> Atlas | None:
    """The atlas that is named or was fetched; None, saying so, where there is none or the CCF is not the target."""
    import typer

    from neuropack.space.atlas import open_atlas
    from neuropack.space.cache import cache_folder
    from neuropack.space.frames import CCF

    if way.target != CCF:
        return None
    if annotation is None and not (cache_folder() / "atlas").is_dir():
        typer.echo("no annotation is at hand (--annotation PATH): regions are not looked up", err=True)
        return None
    return open_atlas(annotation, structures=structures, progress=tell)


def _sum(lost: list[Outside]) -> Outside | None:
    from neuropack.space.mapping import Outside

    if not lost:
        return None
    return Outside(*(sum(getattr(one, name) for one in lost) for name in ("count", "total", "inverse_inside")))


def table(
    source: Path, out: Path, way: Transform, voxel_um: tuple[float, float, float] | None, *, overwrite: bool
) -> Mapped:
    """Map the points of a table, or its boxes where it has the columns of these."""
    import numpy as np

    from neuropack.space.boxes import MICROMETRES, VOXELS, from_voxels, map_boxes
    from neuropack.space.formats.files import parsing
    from neuropack.space.mapping import outside_ccf
    from neuropack.table import read_table

    common.free(out, overwrite=overwrite)
    read = read_table(source)
    if read.has(*MICROMETRES):
        boxes = read.numbers(*MICROMETRES)
    elif read.has(*VOXELS):
        if voxel_um is None:
            raise UsageError(
                "has boxes in voxels, and nothing says how large a voxel is",
                file=source,
                expected=f"columns {', '.join(MICROMETRES)}, or the voxel size of the image",
                fix="give it with --voxel-size z,y,x (in micrometre)",
            )
        indices = read.numbers(*VOXELS)
        broken = np.flatnonzero((indices != np.floor(indices)).any(axis=1))
        if len(broken):
            raise InputError(
                "a box does not end between voxels",
                file=source,
                where=f"line {read.rows[broken[0]][0]}",
                expected="whole numbers: from the first voxel to the one behind the last",
                found=", ".join(f"{v:g}" for v in indices[broken[0]]),
            )
        boxes = from_voxels(indices, voxel_um, way.source)
    else:
        points = read.numbers(*_XYZ)
        with published(out, overwrite=True) as part:
            part.write_text(read.with_numbers(_XYZ, way(points)), encoding="utf-8", newline="\n")
        return Mapped(f"{len(points)} points", {"kind": "points", "n": len(points)}, outside_ccf(points, way))
    with parsing(source, "a table of boxes"):
        text = read.with_columns(VOXELS, MICROMETRES, map_boxes(boxes, way))
    with published(out, overwrite=True) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
    middles = (boxes[:, :3] + boxes[:, 3:]) / 2
    return Mapped(f"{len(boxes)} boxes", {"kind": "boxes", "n": len(boxes)}, outside_ccf(middles, way))


def image(
    volume: Volume,
    out: Path,
    way: Transform,
    grid: Grid,
    *,
    overwrite: bool,
    memory: int | None,
    tell: Progress | None,
) -> Mapped:
    """Resample an image into an OME-Zarr, with its sidecar beside it where it lies in the CCF."""
    from neuropack.convert import convert
    from neuropack.space.frames import CCF
    from neuropack.space.mapping import outside_ccf
    from neuropack.space.registered import check_source, lattice_um, registered_sidecar, registered_volume

    labels = grid.labels or volume.labels
    kind = "labels" if labels else "image"
    check_source(volume, way, grid.resolution_um, labels=labels)
    inside = outside_ccf(lattice_um(volume), way)
    if inside and inside.count == inside.total:
        return Mapped("nothing", {"kind": kind}, inside, written=False)
    made = registered_volume(volume, way, grid.resolution_um, labels=grid.labels, crop=not grid.whole)
    sidecar = out.with_name(out.name.removesuffix(".ome.zarr") + ".json")
    text = ""
    if made.frame == CCF:
        text = json.dumps(registered_sidecar(made), indent=2) + "\n"
        _ours(sidecar, text, overwrite=overwrite)
    result = convert(made, [out], labels=made.labels, overwrite=overwrite, memory=memory, progress=tell)
    if text and not (sidecar.is_file() and sidecar.read_text(encoding="utf-8") == text):
        with published(sidecar, overwrite=True) as part:
            part.write_text(text, encoding="utf-8", newline="\n")
    shape = " x ".join(map(str, made.size_zyx))
    return Mapped(
        f"{kind} of {shape} voxels of {grid.resolution_um:g} um, {result.status}",
        _image_record(made, kind, result, sidecar if text else None),
        inside,
    )


def _image_record(made: Volume, kind: str, result: Result, sidecar: Path | None) -> dict[str, Any]:
    from neuropack.space.resample import geometry

    size, corner = geometry(made)
    return {
        "kind": kind,
        "status": result.status,
        "shape": list(made.shape),
        "voxel_size_um": size.tolist(),
        "corner_um": corner.tolist(),
        "made_by": dict(made.made_by),
        "sidecar": str(sidecar) if sidecar else None,
    }


def in_frame(volume: Volume, frame: str | None) -> Volume:
    """An image of which the user says in which frame it lies; its corner is the origin there.

    Raises:
        UsageError: the image says that it lies in another.
    """
    if frame is None or frame == volume.frame:
        return volume
    if volume.frame:
        raise UsageError(f"lies in {volume.frame}", file=volume.path, found=f"--frame {frame}")
    volume.require_voxel_size()
    z, y, x = (None if v is None else v / 2 for v in volume.voxel_size_um)
    return replace(volume, frame=frame, origin_um=(z, y, x), user=volume.user | {"frame"})


def _ours(sidecar: Path, text: str, *, overwrite: bool) -> None:
    """See that no other file than an earlier sidecar is where the sidecar goes.

    Raises:
        UsageError: one is.
    """
    if not sidecar.exists():
        return
    there = sidecar.read_text(encoding="utf-8", errors="replace")
    if there == text or (overwrite and '"SpatialReference"' in there):
        return
    raise UsageError(
        "is there already, where the sidecar of the image goes",
        file=sidecar,
        fix="name another destination"
        + ("" if overwrite else ", or add --overwrite to replace an earlier sidecar"),
    )


def _may_replace(out: Path, source: Path, names: set[str]) -> None:
    """See that a folder that is replaced holds nothing but what is written anew.

    Raises:
        UsageError: it does, or it is the source.
    """
    if not out.exists():
        return
    others = sorted(p.name for p in out.iterdir() if p.name not in names) if out.is_dir() else [out.name]
    if others or out.resolve() == source.resolve():
        raise UsageError(
            "holds other files, which would be lost",
            file=out,
            found=", ".join(others[:5]) or "the files that are to be mapped",
            fix="name another folder",
        )
