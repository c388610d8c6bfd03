"""``neuropack segment``: an image to labels, boxes and skeletons of what is bright and thin in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from neuropack.address import place
from neuropack.cli import common
from neuropack.cli.progress import Watch, progress
from neuropack.errors import UsageError


def segment(
    stack: Annotated[Path, typer.Argument(metavar="STACK", parser=place, help="An image, or the URL of one.")],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", readable=False, help="A folder for the result; it is made.")
    ],
    method: Annotated[
        Literal["tubeness", "otsu", "color"],
        typer.Option(help="Tubes above the noise, one threshold of brightness, or neurons by colour."),
    ] = "tubeness",
    channel: Annotated[
        int | None,
        typer.Option(metavar="N", help="The channel, from 0 on (default: all, by their noise)."),
    ] = None,
    sigma: Annotated[
        list[float] | None,
        typer.Option(metavar="UM", help="Width of the tubes; may come several times (default: 0.5 and 1)."),
    ] = None,
    low: Annotated[
        float | None,
        typer.Option(metavar="X", help="Lower threshold: units of noise (default: 5); of otsu, brightness."),
    ] = None,
    high: Annotated[
        float | None,
        typer.Option(metavar="X", help="What an object reaches somewhere (default: 10; of otsu, low)."),
    ] = None,
    min_size: Annotated[int, typer.Option(metavar="VOXELS", help="Objects of fewer voxels are left out.")] = 20,
    soma: Annotated[bool, typer.Option("--soma", help="Look for cell bodies too.")] = False,
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
    """Find the neurites of an image: labels, boxes, skeletons with radii and confidence, and a picture.

    Run it again to continue after an interruption. Ends with status 1 where nothing was found.
    """
    size, budget = common.voxel_size(voxel_size), common.size(memory)
    if stack.exists() and out.exists() and stack.resolve() == out.resolve():
        raise UsageError("the destination is the source itself", file=out, fix="name another folder")
    from neuropack.cli import segmented
    from neuropack.cli.derived import Image

    settings = segmented.Settings(method, channel, tuple(sigma or ()), low, high, min_size, soma)
    with progress(show) as tell:
        report = segmented.segment(
            Image(stack, scene, axes, size), out, settings, overwrite=overwrite, memory=budget, tell=tell
        )
    typer.echo(json.dumps({"output": str(out), **report}, indent=2) if as_json else _text(out, report))
    return 0 if report["counts"]["objects"] else 1


def _text(out: Path, report: dict[str, Any]) -> str:
    counts, recipe = report["counts"], report.get("recipe")
    lines = [f"{out}: {report['status']}"]
    lines.append(
        f"  {counts['objects']} object(s), {counts['voxels']} voxels, {report['length_um']:.1f} um of skeletons"
    )
    if "left_out_weak" in counts:
        lines.append(f"  left out: {counts['left_out_weak']} too weak, {counts['left_out_small']} too small")
    if recipe and recipe["low"] is not None:
        lines.append(f"  thresholds of {recipe['method']}: {recipe['low']:g} and {recipe['high']:g}")
    if "somata" in report:
        lines.append(f"  {report['somata']} soma(ta)")
    return "\n".join([*lines, *(f"  {note}" for note in report["notes"])])
