"""``neuropack atlas``: fetch the Allen CCF, see what an annotation is, look up where points lie in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuropack.cli.atlas_summary import summary
from neuropack.cli.progress import Watch, progress

if TYPE_CHECKING:
    from neuropack.space.atlas import Atlas
    from neuropack.space.structures import Structure, Structures

atlas = typer.Typer(help="The Allen CCF: fetch it, see what an annotation is, look up points, summarise neurons.")
atlas.command()(summary)

_Annotation = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        readable=False,
        help="NRRD, NIfTI or TIFF, an AllenSDK cache or a BrainGlobe atlas (default: what was fetched).",
    ),
]
_Structures = Annotated[
    Path | None,
    typer.Option(metavar="FILE", readable=False, help="The tree of structures, where the default does not fit."),
]
_Version = Annotated[
    str | None,
    typer.Option(metavar="YEAR", help="Which annotation it is, such as 2017, where nothing in it tells."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@atlas.command()
def fetch(
    resolution: Annotated[int, typer.Option(metavar="UM", help="Voxel size: 10, 25, 50 or 100 um.")] = 25,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for it (default: the user's cache).")
    ] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help="The annotation alone, from this address.")] = None,
    checksum: Annotated[
        str | None, typer.Option(metavar="HEX", help="The SHA-256 that the annotation must have.")
    ] = None,
    template: Annotated[
        bool, typer.Option("--template", help="The average template too, to which stacks are registered.")
    ] = False,
    show: Watch = "auto",
    as_json: _Json = False,
) -> int:
    """Fetch the annotation of 2017 and the structure graph from the Allen Institute.

    Run it again to continue after an interruption. The atlas is under the Allen Institute's terms of use.
    """
    from neuropack.errors import UsageError
    from neuropack.space import fetch as job
    from neuropack.space.atlas import GRAPH, TEMPLATES
    from neuropack.space.cache import cache_folder

    if resolution not in job.RESOLUTIONS:
        sizes = ", ".join(map(str, job.RESOLUTIONS))
        raise UsageError("--resolution is none of the annotation", expected=sizes, found=str(resolution))
    folder, name = to or cache_folder() / "atlas", f"annotation_{resolution}.nrrd"
    with progress(show) as tell:
        done = [job.fetch(url or job.ANNOTATION_URL + name, folder / "ccf_2017" / name, checksum, tell)]
        if url is None:
            done.append(job.fetch(job.GRAPH_URL, folder / GRAPH, progress=tell))
        if template:
            name = f"average_template_{resolution}.nrrd"
            done.append(job.fetch(job.TEMPLATE_URL + name, folder / TEMPLATES / name, progress=tell))
    if as_json:
        typer.echo(json.dumps([{**vars(one), "path": str(one.path)} for one in done], indent=2))
        return 0
    for one in done:
        typer.echo(f"{one.path}: {one.status}\n  sha256 {one.sha256}, {_CHECKED[one.checked]}")
    typer.echo(f"Use of the atlas is under the Allen Institute's terms: {job.TERMS}. Do not hand it on.")
    return 0


_CHECKED = {
    "given": "as given",
    "published": "as published",
    "recorded": "as at the first download",
    "first": "recorded: there was none to compare it with",
}


@atlas.command()
def info(
    annotation: _Annotation = None,
    structures: _Structures = None,
    annotation_version: _Version = None,
    tree: Annotated[
        str | None, typer.Option(metavar="REGION", help="Show a region (id, acronym or name) and its parts.")
    ] = None,
    show: Watch = "auto",
    as_json: _Json = False,
) -> int:
    """Show what an annotation is: resolution, version, regions, and the tree of structures that goes with it."""
    from neuropack.space.atlas import open_atlas

    with progress(show) as tell:
        opened = open_atlas(annotation, structures=structures, version=annotation_version, progress=tell)
    regions = []
    if tree is not None:
        top = opened.structures.find(tree)
        regions = [top, *opened.structures.descendants(top.id)]
    if as_json:
        record = _described(opened)
        if tree is not None:
            record["structures"] = [_structure(opened, one) for one in regions]
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    elif tree is not None:
        typer.echo(_tree(opened, regions))
    else:
        typer.echo(_text(opened))
    return 0


def _described(opened: Atlas) -> dict[str, Any]:
    volume = opened.annotation
    return {
        "annotation": str(volume.source),
        "shape": list(volume.labels.shape),
        "dtype": volume.labels.dtype.name,
        "resolution_um": volume.resolution_um,
        "version": opened.version.name,
        "version_source": opened.version.source,
        "regions": len(volume.ids),
        "unknown_labels": opened.unknown(),
        "tree": str(opened.structures.source),
        "tree_structures": len(opened.structures),
    }


def _text(opened: Atlas) -> str:
    volume, unknown = opened.annotation, opened.unknown()
    shape = "  ".join(f"{a} {n}" for a, n in zip(("AP", "DV", "LR"), volume.labels.shape, strict=True))
    version = opened.version.name or "?"
    lines = [
        f"{volume.source}",
        f"  voxels      {shape}, {volume.labels.dtype.name}",
        f"  resolution  {volume.resolution_um:g} um",
        f"  version     {version:<16} {opened.version.source}",
        f"  regions     {len(volume.ids)} labels",
        f"  tree        {len(opened.structures)} structures, {opened.structures.source}",
    ]
    if unknown:
        shown = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        lines.append(f"  unknown     {len(unknown)} labels are not in the tree: {shown}")
    return "\n".join(lines)


def _structure(opened: Atlas, one: Structure) -> dict[str, Any]:
    return {
        **vars(one),
        "depth": opened.structures.depth(one.id),
        "layer": opened.structures.layer(one.id),
        "in_annotation": one.id in opened.annotation.ids,
    }


def _tree(opened: Atlas, regions: list[Structure]) -> str:
    """A line for each region, parts indented; a ``*`` where it has voxels of its own."""
    top = opened.structures.depth(regions[0].id)
    lines = []
    for one in regions:
        indent = "  " * (opened.structures.depth(one.id) - top)
        mark = "*" if one.id in opened.annotation.ids else " "
        lines.append(f"{one.id:>9} {one.colour} {mark} {indent}{one.acronym}  {one.name}")
    return "\n".join(lines)


@atlas.command(context_settings={"ignore_unknown_options": True})  # so that a point may begin with a minus
def lookup(
    points: Annotated[
        list[str] | None, typer.Argument(metavar="X,Y,Z", help="Points, such as 5400,2500,3000.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--points", metavar="FILE", readable=False, help="CSV or TSV with columns x, y and z."),
    ] = None,
    frame: Annotated[
        str, typer.Option(metavar="NAME", help="Frame of the points; its axes and unit.")
    ] = "AllenCCFv3",
    annotation: _Annotation = None,
    structures: _Structures = None,
    annotation_version: _Version = None,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array with an object per point.")] = False,
) -> int:
    """Look up in which region points lie, and how far the next one is.

    x, y and z are AP, DV and LR in micrometre, unless --frame says otherwise.
    """
    from neuropack.cli.points import given
    from neuropack.errors import UsageError
    from neuropack.space.atlas import open_atlas
    from neuropack.space.regions import look_up
    from neuropack.table import read_table

    if bool(points) == (file is not None):
        raise UsageError(
            "atlas lookup needs points, on the line or in a file",
            found="both" if points else "neither",
            fix="give either X,Y,Z... or --points FILE",
        )
    coordinates = read_table(file).numbers("x", "y", "z") if file is not None else given(points or [])
    with progress(show) as tell:
        opened = open_atlas(annotation, structures=structures, version=annotation_version, progress=tell)
        found = look_up(opened, coordinates, frame, tell)
    if as_json:
        typer.echo(json.dumps([one.to_json() for one in found], indent=2, ensure_ascii=False))
        return 0
    volume = opened.annotation
    typer.echo(f"{volume.source}: {volume.resolution_um:g} um, version {opened.version}; points in {frame}")
    head = ("x", "y", "z", "id", "region", "side", "border um", "name", "within")
    rows = [head, *(_row(one.to_json(), one.inside, opened.structures) for one in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        cells = (
            cell.rjust(width) if column in (0, 1, 2, 3, 6) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        typer.echo("  ".join(cells).rstrip())
    return 0


def _row(one: dict[str, Any], inside: bool, structures: Structures) -> tuple[str, ...]:
    border = "-" if one["border_um"] is None else f"{one['border_um']:.1f}"
    name, within = one["name"], "-"
    if name is None:
        name = "outside of the brain" if inside else "outside of the volume"
    else:
        within = " < ".join(above.acronym for above in structures.ancestors(one["id"])) or "-"
    place = (f"{one[axis]:g}" for axis in "xyz")
    return (*place, str(one["id"]), one["acronym"] or "-", one["hemisphere"] or "-", border, name, within)
