"""``neuropack predict``: an image to the neurons that a network finds in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from neuropack.address import place
from neuropack.cli import common
from neuropack.cli.progress import Watch, progress


def predict(
    stack: Annotated[Path, typer.Argument(metavar="STACK", parser=place, help="An image, or the URL of one.")],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", readable=False, help="A folder for the result; it is made.")
    ],
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights that neuropack train wrote (default: the shipped ones)."),
    ] = None,
    device: common.Device = "auto",
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="Of the arithmetic (auto: bfloat16 on a GPU, float32 on a CPU)."),
    ] = "auto",
    threshold: Annotated[
        float, typer.Option(metavar="P", help="Voxels of at least this foreground are neuron.")
    ] = 0.5,
    centerline: Annotated[
        float,
        typer.Option(metavar="C", help="Share of the output for centrelines in that foreground, from 0 to 1."),
    ] = 0.0,
    same: Annotated[
        float,
        typer.Option(metavar="P", help="Of --instances network: neighbours are of one neuron from here on."),
    ] = 0.5,
    instances: Annotated[
        Literal["auto", "color", "touch", "network"],
        typer.Option(
            help="What tells neurons apart: colour, what touches, the network (auto: colour, where there is any)."
        ),
    ] = "auto",
    no_align: Annotated[
        bool, typer.Option("--no-align", help="Look at channels where they lie, not brought onto each other.")
    ] = False,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Look at mirror images too and take the mean: four times as long.")
    ] = False,
    min_size: Annotated[
        int, typer.Option(metavar="VOXELS", help="Objects of fewer are left out, or go to what they touch.")
    ] = 20,
    as_it_is: Annotated[
        bool, typer.Option("--as-it-is", help="Look at voxels that are finer than the network knows as they are.")
    ] = False,
    voxel_size: common.VoxelSize = None,
    axes: common.Axes = None,
    scene: common.Scene = None,
    memory: common.Memory = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result of neuropack.")] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> int:
    """Find the neurons of an image with a network: labels, boxes, skeletons with radii, somata, and a picture.

    Run it again to continue after an interruption. Ends with status 1 where nothing was found.
    """
    size, budget = common.voxel_size(voxel_size), common.size(memory)
    from neuropack.cli import predicted
    from neuropack.cli.derived import Image
    from neuropack.cli.segment_result import text

    settings = predicted.Settings(
        threshold, same, min_size, instances, precision, not as_it_is, not no_align, mirror, centerline
    )
    with progress(show) as tell:
        report = predicted.predict(
            Image(stack, scene, axes, size),
            out,
            weights,
            settings,
            device=device,
            overwrite=overwrite,
            memory=budget,
            tell=tell,
        )
    model = f"model: {report['model']['name']}, sha256 {report['model']['sha256'][:12]}"
    shown = json.dumps({"output": str(out), **report}, indent=2) if as_json else text(out, report, model)
    typer.echo(shown)
    return 0 if report["counts"]["objects"] else 1
