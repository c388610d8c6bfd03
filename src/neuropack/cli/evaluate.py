"""``neuropack evaluate``: a result against the truth, with the scores that fit what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuropack.cli import common
from neuropack.cli.progress import Watch, progress
from neuropack.errors import UsageError

if TYPE_CHECKING:
    from neuropack.cli.evaluated import Evaluated


def evaluate(
    prediction: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTION",
            readable=False,
            help="What is scored: a label image or mask, skeletons (file or folder), or a table of marks.",
        ),
    ],
    truth: Annotated[
        Path,
        typer.Argument(
            metavar="TRUTH", readable=False, help="The same that is right; or skeletons, for a label image."
        ),
    ],
    tolerance: Annotated[
        float, typer.Option(metavar="UM", help="How far apart two traces, or two points, may lie.")
    ] = 2.0,
    no_centrelines: Annotated[
        bool,
        typer.Option(
            "--no-centrelines",
            help="Of images, leave out the scores that need masks thinned; these take most of the time.",
        ),
    ] = False,
    voxel_size: Annotated[
        str | None,
        typer.Option("--voxel-size", metavar="Z,Y,X", help="Voxel size in micrometre, where an image lacks it."),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(metavar="LETTERS", help="What the dimensions of an image mean, where it does not say so."),
    ] = None,
    scene: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which image, where a file holds several.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.tsv", readable=False, help="Write every score as a table.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.tsv.")] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print every score as JSON.")] = False,
) -> int:
    """Score a result against the truth: masks, instances, traces, boxes, points or classes, told by the files.

    What cannot be formed has no value, and says why; it is never counted as 0.
    """
    size = common.voxel_size(voxel_size)
    if not 0 < tolerance < float("inf"):
        raise UsageError(
            "--tolerance is no length", expected="a positive number of micrometre", found=f"{tolerance}"
        )
    if out is not None:
        if out.suffix.lower() not in (".tsv", ".csv"):
            raise UsageError("--out does not name a table", expected="a name in .tsv or .csv", found=out.name)
        common.free(out, overwrite=overwrite)
    from neuropack.cli import evaluated

    settings = evaluated.Settings(tolerance, not no_centrelines, size, axes, scene)
    with progress(show) as tell:
        made = evaluated.evaluate(prediction, truth, settings, tell)
    if out is not None:
        _write(out, made, overwrite=overwrite)
    if as_json:
        record = {"prediction": str(prediction), "truth": str(truth), **made.record()}
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(made.told()))
    return 0


def _write(out: Path, made: Evaluated, *, overwrite: bool) -> None:
    from neuropack.cli.evaluated import COLUMNS
    from neuropack.whole import published

    text = common.table_text(out, COLUMNS, made.rows())
    with published(out, overwrite=overwrite) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
