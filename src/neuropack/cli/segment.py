"""``neuropack segment``: an image to labels, boxes and skeletons of what is bright and thin in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from neuropack.address import place
from neuropack.cli import common
from neuropack.cli.progress import Watch, progress


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
    min_size: Annotated[
        int | None,
        typer.Option(metavar="VOXELS", help="Objects of fewer are left out (default: 20; of color, 100)."),
    ] = None,
    soma: Annotated[bool, typer.Option("--soma", help="Look for cell bodies too.")] = False,
    voxel_size: common.VoxelSize = None,
    axes: common.Axes = None,
    scene: common.Scene = None,
    memory: common.Memory = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result of neuropack.")] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> int:
    """Find the neurites of an image: labels, boxes, skeletons with radii and confidence, and a picture.

    Run it again to continue after an interruption. Ends with status 1 where nothing was found.
    """
    size, budget = common.voxel_size(voxel_size), common.size(memory)
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
    from neuropack.cli.segment_result import text

    recipe = report.get("recipe")
    if not recipe or recipe["low"] is None:
        return text(out, report)
    return text(out, report, f"thresholds of {recipe['method']}: {recipe['low']:g} and {recipe['high']:g}")
