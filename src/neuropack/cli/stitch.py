"""``neuropack stitch``: the tiles of one specimen as one image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from neuropack.cli import common
from neuropack.cli.progress import Watch, progress


def stitch(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="TILES... OUT",
            readable=False,
            help="Files of the tiles, then a name in .ome.zarr; OUT alone with --positions.",
        ),
    ],
    positions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            readable=False,
            help="A table of tiles: file (and scene), with z_um, y_um, x_um or row, column.",
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(metavar="PART", help="Of neighbours in rows and columns, such as 0.1 for ten per cent."),
    ] = None,
    flip: Annotated[
        str,
        typer.Option(metavar="AXES", help="Axes that the stage counts the other way round, such as x or yx."),
    ] = "",
    no_refine: Annotated[
        bool, typer.Option("--no-refine", help="Trust the stage; do not measure the overlaps.")
    ] = False,
    channel: Annotated[
        list[int] | None,
        typer.Option(min=0, metavar="N", help="A channel to measure in, from 0; also several (default: all)."),
    ] = None,
    max_shift: Annotated[
        float | None,
        typer.Option(
            metavar="UM", help="Farthest error of the stage between neighbours (default: half an overlap)."
        ),
    ] = None,
    blend: Annotated[
        Literal["feather", "none"],
        typer.Option(help="How overlaps become one: a weighted mean, or the nearer tile."),
    ] = "feather",
    interpolate: Annotated[
        bool, typer.Option("--interpolate", help="Move tiles by parts of a voxel, which smooths them.")
    ] = False,
    equalise: Annotated[
        bool, typer.Option("--equalise", help="Also give each tile a gain and an offset that suit its neighbours.")
    ] = False,
    voxel_size: Annotated[
        str | None, typer.Option(metavar="Z,Y,X", help="Voxel size in micrometre, where the files lack it.")
    ] = None,
    axes: Annotated[
        str | None, typer.Option(metavar="LETTERS", help="What the files' dimensions mean, letters of TCZYXS.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE", readable=False, help="Write what each overlap says, .tsv or .csv."),
    ] = None,
    layout_only: Annotated[
        bool, typer.Option("--layout-only", help="Write positions and picture, no pixels.")
    ] = False,
    memory: common.Memory = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result of neuropack.")] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> int:
    """Put the tiles of one specimen together: stage positions, refined by what overlaps show, in one OME-Zarr.

    Beside OUT it writes what was found (.json) and a picture of the seams (.png). Run it again to continue after an
    interruption. Ends with status 1 where a tile could not be placed, or tiles leave a gap.
    """
    size, budget = common.voxel_size(voxel_size), common.size(memory)
    from neuropack.cli import stitched

    asked = stitched.Asked(
        out=paths[-1],
        tiles=tuple(paths[:-1]),
        positions=positions,
        overlap=overlap,
        flip=flip.lower(),
        refine=not no_refine,
        channels=tuple(channel) if channel else None,
        max_shift_um=max_shift,
        blend=blend,
        interpolate=interpolate,
        equalise=equalise,
        voxel_size_um=size,
        axes=axes,
    )
    with progress(show) as tell:
        made = stitched.stitch(
            asked, table=table, pixels=not layout_only, memory=budget, overwrite=overwrite, tell=tell
        )
    typer.echo(json.dumps(made.record, indent=2, ensure_ascii=False) if as_json else "\n".join(made.lines))
    return 1 if made.findings else 0
