"""``neuropack train``: a network from releases."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuropack.cli import common
from neuropack.cli.progress import Watch, progress
from neuropack.errors import UsageError

if TYPE_CHECKING:
    from neuropack.learn.settings import TrainSettings

_SCORES = ("f1", "skeleton_recall", "cldice_like", "validation_loss")


def train(
    releases: Annotated[
        list[Path],
        typer.Argument(metavar="RELEASE...", readable=False, help="Releases with labels and splits by subject."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", readable=False, help="A folder for the weights.")],
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="tiny or neurites.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", readable=False, help="A file of your own in the form of a preset."),
    ] = None,
    device: common.Device = "auto",
    start: Annotated[
        Path | None,
        typer.Option(metavar="WEIGHTS", readable=False, help="Weights to begin with, in place of random ones."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Batches to see.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Of the first weights and of the patches.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, max=256, metavar="N", help="Processes that make patches beside the training."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a training that is there.")] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made.")] = False,
) -> int:
    """Train a network on the split train of releases; the weights that do best on validation are kept.

    OUT gets weights.safetensors, their card, curves, and a checkpoint: run the same command again to continue after
    an interruption. Under torchrun, several GPUs share the work.
    """
    _needs_the_extra()
    # Threads that wait for each other must not spin: where others use the processor too, that costs a factor of 3.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    settings = _chosen(preset, config)
    settings = replace(
        settings,
        steps=steps or settings.steps,
        seed=settings.seed if seed is None else seed,
        workers=settings.workers if workers is None else workers,
    )
    from neuropack.learn.training import train as run

    with progress(show) as tell:
        made = run(releases, out, settings, device=device, start=start, overwrite=overwrite, progress=tell)
    if os.environ.get("RANK", "0") != "0":  # one of several processes tells
        return 0
    found = made.to_dict()
    if as_json:
        typer.echo(json.dumps({"preset": settings.name, **found}, indent=2, ensure_ascii=False))
        return 0
    if made.finished_before:
        typer.echo(f"finished before, at step {made.state.step}; nothing is left to do")
    elif made.resumed:
        typer.echo(f"went on at step {made.resumed}")
    for name in _SCORES:
        typer.echo(f"{name:16} {found['first'][name]:.3f} at first, {found['best'][name]:.3f} at best")
    typer.echo(
        f"best     step {int(found['best']['step'])} of {made.state.step}, {made.state.seconds:.0f} s in all"
    )
    typer.echo(f"weights  {made.weights}")
    return 0


def _needs_the_extra() -> None:
    """See that what a training is made of is installed.

    Raises:
        UsageError: it is not.
    """
    from importlib.util import find_spec

    if lacking := [one for one in ("torch", "safetensors", "tensorboardX", "numba") if find_spec(one) is None]:
        fix = 'pip install "neuropack[learn]"'
        raise UsageError("training needs more than is installed", found=f"no {', '.join(lacking)}", fix=fix)


def _chosen(preset: str | None, config: Path | None) -> TrainSettings:
    """The preset, or the file.

    Raises:
        UsageError: both are named, or there is no such preset.
    """
    from neuropack.learn.settings import load_settings, preset_named

    if preset is not None and config is not None:
        raise UsageError(
            "--preset and --config both say how to train", found=f"{preset} and {config}", fix="give one of them"
        )
    return load_settings(config) if config is not None else preset_named(preset or "neurites")
