"""``neuropack convert``: one file to OME-Zarr or NWB."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuropack.cli import common


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", readable=False, help="A microscope file, or a folder of slices.")
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DST", readable=False, help="A name that ends in .ome.zarr or .nwb.")
    ],
    voxel_size: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Voxel size in micrometre, where the file lacks it or is wrong."),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(metavar="LETTERS", help="What the file's dimensions mean, one letter of TCZYXS for each."),
    ] = None,
    scene: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which image, where the file holds several.")
    ] = None,
    session_start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Start of the acquisition with zone, where the file lacks it (NWB)."),
    ] = None,
    labels: Annotated[bool, typer.Option("--labels", help="The image is a label image: never averaged.")] = False,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory to use, such as 1GiB (default: a quarter, at most 2GiB)."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result of neuropack.")] = False,
) -> None:
    """Convert one image to OME-Zarr (with a pyramid) or NWB. Run it again to continue after an interruption."""
    size, start, budget = common.voxel_size(voxel_size), common.date_time(session_start), common.size(memory)
    from neuropack import convert as job
    from neuropack.errors import UsageError
    from neuropack.readers import open_volume

    if source.exists() and source.resolve() == destination.resolve():
        raise UsageError("the destination is the source itself", file=destination, fix="name another destination")
    with open_volume(source, scene=scene, axes=axes, voxel_size_um=size) as volume, common.progress() as progress:
        volume.require_axes()
        volume.require_voxel_size()
        nwb = None
        if destination.name.lower().endswith(".nwb"):
            nwb = job.nwb_metadata(volume, job.fingerprint(source), start)
        result = job.convert(
            volume, [destination], nwb=nwb, labels=labels, overwrite=overwrite, memory=budget, progress=progress
        )
    typer.echo(f"{destination}: {result.status}")
