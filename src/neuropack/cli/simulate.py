"""``neuropack simulate``: a release of simulated neurons whose truth is known to the voxel."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuropack.cli import common
from neuropack.cli.progress import Watch, progress
from neuropack.errors import UsageError

if TYPE_CHECKING:
    from neuropack.simulate.settings import Simulation


def simulate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", readable=False, help="A new folder to put it in.")],
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="sparse, brainbow, low-snr, thick, tiled or tiny.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", readable=False, help="A file of your own in the form of a preset."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="It fixes every voxel.")] = 0,
    swc: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE|DIR", readable=False, help="Neurons to put in, in place of grown ones. May come again."
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Voxels of a stack; neurons keep their density, at most 500."),
    ] = None,
    neurons: Annotated[int | None, typer.Option(min=0, max=65535, metavar="N", help="Neurons in a stack.")] = None,
    subjects: Annotated[int | None, typer.Option(min=1, max=999, metavar="N", help="How many subjects.")] = None,
    stacks: Annotated[int | None, typer.Option(min=1, max=99, metavar="N", help="Stacks of each subject.")] = None,
    memory: common.Memory = None,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made.")] = False,
) -> int:
    """Simulate neurons in a microscope, with labels, skeletons, somata and colours, as a release.

    The release lies in DIR/release, the study that it is built from in DIR. Run it again to continue after an
    interruption. Everything in it says that it is simulated.
    """
    wanted, budget = _shape(shape), common.size(memory)
    simulation = _chosen(preset, config)
    if wanted is not None:
        simulation = simulation.of_shape(wanted)
    simulation = replace(
        simulation,
        neurons=simulation.neurons if neurons is None else neurons,
        subjects=subjects or simulation.subjects,
        stacks=stacks or simulation.stacks,
    )
    from neuropack.build.simulated import simulate_release

    with progress(show) as tell:
        made = simulate_release(folder, simulation, seed, swc=swc or (), memory=budget, progress=tell)
    found = made.to_dict()
    if as_json:
        typer.echo(json.dumps({"preset": simulation.name, "seed": seed, **found}, indent=2, ensure_ascii=False))
        return 0
    for one in found["stacks"]:
        size = " x ".join(map(str, one["shape"]))
        typer.echo(f"{one['id']}: {size} (c, z, y, x), {one['neurons']} neurons, {one['split']}, {one['status']}")
    typer.echo(f"release  {made.release} (simulated: {simulation.name}, seed {seed})")
    typer.echo(f"next     neuropack validate {made.release}")
    return 0


def _chosen(preset: str | None, config: Path | None) -> Simulation:
    """The preset, or the file.

    Raises:
        UsageError: both are named, or there is no such preset.
    """
    from neuropack.study.simulations import load_simulation, preset_named

    if preset is not None and config is not None:
        raise UsageError(
            "--preset and --config both say what to simulate",
            found=f"{preset} and {config}",
            fix="give one of them",
        )
    return load_simulation(config) if config is not None else preset_named(preset or "tiny")


def _shape(text: str | None) -> tuple[int, int, int] | None:
    """Parse ``z,y,x``.

    Raises:
        UsageError: not three counts of voxels.
    """
    if text is None:
        return None
    try:
        z, y, x = (int(part) for part in text.split(","))
        if min(z, y, x) < 1:
            raise ValueError
    except ValueError:
        raise UsageError(
            "--shape is no shape",
            expected="three whole numbers z,y,x of 1 or more, such as 64,512,512",
            found=text,
        ) from None
    return z, y, x
