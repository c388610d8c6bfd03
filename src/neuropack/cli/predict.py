"""``neuropack predict``: an image to the neurons that a network finds in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from neuropack.address import place
from neuropack.cli import common
from neuropack.cli.progress import Watch, progress
from neuropack.errors import UsageError


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
    same: Annotated[
        float, typer.Option(metavar="P", help="Neighbours are of one neuron from this probability on.")
    ] = 0.5,
    instances: Annotated[
        Literal["network", "color"], typer.Option(help="Neurons told apart by the network, or by their colours.")
    ] = "network",
    min_size: Annotated[
        int, typer.Option(metavar="VOXELS", help="Objects of fewer go to what they touch, or are left out.")
    ] = 20,
    as_it_is: Annotated[
        bool, typer.Option("--as-it-is", help="Look at voxels that are finer than the network knows as they are.")
    ] = False,
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
    memory: common.Memory = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result of neuropack.")] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> int:
    """Find the neurons of an image with a network: labels, boxes, skeletons with radii, somata, and a picture.

    Run it again to continue after an interruption. Ends with status 1 where nothing was found.
    """
    size, budget = common.voxel_size(voxel_size), common.size(memory)
    if stack.exists() and out.exists() and stack.resolve() == out.resolve():
        raise UsageError("the destination is the source itself", file=out, fix="name another folder")
    from neuropack.cli import predicted
    from neuropack.cli.derived import Image

    settings = predicted.Settings(threshold, same, min_size, instances, precision, not as_it_is)
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
    typer.echo(json.dumps({"output": str(out), **report}, indent=2) if as_json else _text(out, report))
    return 0 if report["counts"]["objects"] else 1


def _text(out: Path, report: dict[str, Any]) -> str:
    counts = report["counts"]
    lines = [
        f"{out}: {report['status']}",
        f"  {counts['objects']} object(s), {counts['voxels']} voxels, {report['length_um']:.1f} um of skeletons",
    ]
    if "left_out_small" in counts:
        lines.append(f"  left out: {counts['left_out_small']} too small")
    lines.append(f"  {report['somata']} soma(ta)")
    lines.append(f"  model: {report['model']['name']}, sha256 {report['model']['sha256'][:12]}")
    return "\n".join([*lines, *(f"  {note}" for note in report["notes"])])
