"""``neuropack convert``: one image to OME-Zarr, NWB or both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuropack.address import place
from neuropack.cli import common
from neuropack.cli.progress import Watch, progress

if TYPE_CHECKING:
    from neuropack.convert import Result
    from neuropack.volume import Volume


def convert(
    source: Annotated[
        Path,
        typer.Argument(metavar="SRC", parser=place, help="A microscope file, a folder of slices, or a URL."),
    ],
    destinations: Annotated[
        list[str],
        typer.Argument(
            metavar="DST", help="Names that end in .ome.zarr or .nwb; also URLs such as s3://b/a.ome.zarr."
        ),
    ],
    voxel_size: common.VoxelSize = None,
    axes: common.Axes = None,
    scene: common.Scene = None,
    session_start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Start of the acquisition with zone, where the file lacks it (NWB)."),
    ] = None,
    labels: Annotated[bool, typer.Option("--labels", help="The image is a label image: never averaged.")] = False,
    codec: Annotated[
        str | None,
        typer.Option(metavar="NAME:LEVEL", help="Codec of OME-Zarr: zstd (default, level 1), lz4, lz4hc or zlib."),
    ] = None,
    chunk: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Chunk of OME-Zarr in voxels (default: what suits the image)."),
    ] = None,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going", help="Write zeros for what cannot be decoded, list it, and end with exit status 1."
        ),
    ] = False,
    memory: common.Memory = None,
    workers: common.Workers = None,
    cluster: common.Cluster = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result of neuropack.")] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> int:
    """Convert one image to OME-Zarr (with a pyramid), NWB, or several of them, in one pass over its pixels.

    Run it again to continue after an interruption.
    """
    size, start, budget = common.voxel_size(voxel_size), common.date_time(session_start), common.size(memory)
    common.one_of(workers, cluster)
    stored, names = common.options(codec, chunk), common.destinations(destinations, source)
    from neuropack import convert as job
    from neuropack import source as origin
    from neuropack.readers import open_volume

    opened = open_volume(source, scene=scene, axes=axes, voxel_size_um=size, complete=not keep_going)
    with opened as volume, progress(show) as tell:
        volume.require_axes()
        volume.require_voxel_size()
        nwb = None
        if any(str(name).lower().endswith(".nwb") for name in names):
            nwb = origin.nwb_metadata(volume, origin.fingerprint(source), start)
        result = job.convert(
            volume,
            names,
            nwb=nwb,
            labels=labels,
            options=stored,
            overwrite=overwrite,
            keep_going=keep_going,
            memory=budget,
            processes=workers,
            cluster=cluster,
            progress=tell,
        )
    typer.echo(json.dumps(_to_json(volume, result), indent=2) if as_json else _to_text(volume, result))
    return 1 if result.missing else 0


def _status(result: Result, destination: object) -> str:
    """Of one destination: others may have been complete before."""
    written = result.status == "up to date" or destination in result.files
    return result.status if written else "up to date"


def _to_text(volume: Volume, result: Result) -> str:
    lines = [f"{d}: {_status(result, d)}" for d in result.destinations]
    if result.missing:
        lines += common.missing_lines(volume, result.missing)
        lines.append("  to do: copy the file again from its source and convert it with --overwrite")
        lines.append("  the result remembers this list: the same command shows it again, with --json all of it")
    return "\n".join(lines)


def _to_json(volume: Volume, result: Result) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "source": str(volume.path),
        "status": result.status,
        "destinations": [{"path": str(d), "status": _status(result, d)} for d in result.destinations],
        "axes": volume.axes,
        "shape": list(volume.shape),
        "statistics": [
            {
                "channel": channel.name,
                **{k: v for k, v in row.to_json().items() if k != "histogram"},
                "percentiles": {str(q): row.percentile(q) for q in (1, 50, 99, 99.9)},
            }
            for channel, row in zip(volume.channels, result.statistics, strict=True)
        ],
        "missing": [{"box": m.box, "reason": m.reason} for m in result.missing],
    }
