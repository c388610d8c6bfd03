"""``neuropack benchmark``: several methods on the same images, scored by one definition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from neuropack.cli import common
from neuropack.cli.progress import Watch, progress
from neuropack.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def benchmark(
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            metavar="DIR",
            readable=False,
            help="A release, or a folder with benchmark.yaml. May come again.",
        ),
    ],
    task: Annotated[
        str, typer.Option(metavar="T", help="foreground, instances, somata, tracing or classification.")
    ],
    methods: Annotated[
        list[str],
        typer.Option(
            metavar="M,M", help="Names, module:name, NAME=COMMAND, or files of methods in .yaml. May come again."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", readable=False, help="A folder for tables and pictures; it is made."),
    ] = None,
    into_release: Annotated[
        bool, typer.Option("--into-release", help="Put the scores into the release's derivatives/benchmark.")
    ] = False,
    tune: Annotated[
        Literal["on", "off"], typer.Option(help="Try settings on the validation split, or take the defaults.")
    ] = "on",
    choose_by: Annotated[
        str | None,
        typer.Option(metavar="SCORE", help="The score that settings are chosen by (default: as the task has it)."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(metavar="UM", help="How far apart two traces, or two somata, may lie.")
    ] = 2.0,
    features: Annotated[
        Literal["morphology", "color"], typer.Option(help="Of neurons, for the task classification.")
    ] = "morphology",
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", readable=False, help="Weights of the method model (default: those shipped)."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="Of the model: auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the bootstrap, and handed to methods.")] = 0,
    memory: common.Memory = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another benchmark.")] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print an array with an object for each method.")] = False,
) -> int:
    """Compare methods on the test split of data whose truth is known, tuned on the validation split.

    Run it again to continue after an interruption.
    """
    if not 0 < tolerance < float("inf"):
        raise UsageError("--tolerance is a length above 0", found=f"{tolerance:g}")
    from neuropack.benchmark.contest import Wanted
    from neuropack.benchmark.methods import Options
    from neuropack.benchmark.run import benchmark as run

    if into_release:
        from neuropack.mend.benchmarked import put_scores, see_release

        for path in data:
            see_release(path)
    wanted = Wanted(
        tuple(data),
        task,
        tuple(methods),
        tune == "on",
        tolerance,
        Options(weights, device, common.size(memory), seed),
        features,
        choose_by,
    )
    with progress(show) as tell:
        made = run(wanted, out, overwrite=overwrite, tell=tell)
    if into_release:
        for path in data:
            put_scores(path, made.rows)
    if as_json:
        typer.echo(json.dumps(made.rows, indent=2, ensure_ascii=False))
        return 0
    typer.echo(_text(task, made.rows))
    if out is not None:
        typer.echo(f"{out}: {made.status}")
    return 0


def _text(task: str, rows: Sequence[dict[str, Any]]) -> str:
    """A table for each set of data, its columns aligned."""
    from neuropack.benchmark.told import by_data, table

    lines: list[str] = []
    for data, some in by_data(rows).items():
        head, cells = table(task, some)
        width = [max(len(line[n]) for line in (head, *cells)) for n in range(len(head))]
        unit = "animal(s)" if task == "classification" else "test image(s)"
        lines.append(f"{task}, {some[0]['images']} {unit} of {data}")
        lines += [
            "  " + "  ".join(c.ljust(n) for c, n in zip(line, width, strict=True)).rstrip()
            for line in (head, *cells)
        ]
        lines += [f"  {row['method']}: {note}" for row in some for note in row["notes"]]
    return "\n".join(lines)
