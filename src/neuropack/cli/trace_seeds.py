"""``neuropack trace STACK --seeds FILE``: whole neurons from seeds, as a start for people."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from neuropack.errors import InputError, OutputError, UsageError

if TYPE_CHECKING:
    from neuropack.progress import Progress
    from neuropack.trace.automatic import Seed, Traced
    from neuropack.volume import Volume

RECORD, FLAGS, NODES, NEURONS = "trace.json", "flags.tsv", "nodes.tsv", "neurons"
_SHOWN = 10  # flags that the text lists


def trace_seeds(
    volume: Volume,
    seeds: Path,
    out: Path | None,
    *,
    channel: int | None,
    overwrite: bool,
    as_json: bool,
    tell: Progress | None,
) -> int:
    """Trace all neurons into a folder, and tell it.

    Args:
        volume, seeds, out, channel, overwrite, tell: as `traced_seeds`.
        as_json: print JSON.

    Returns:
        The exit status: 1 where a seed has no signal or a part of the image could not be read.
    """
    if out is None:
        raise UsageError("--out is missing", expected="the name of a folder for the neurons")
    done, new = traced_seeds(volume, seeds, out, channel=channel, overwrite=overwrite, tell=tell)
    what = "written" if new else "is there already, of the same image, seeds and settings"
    _tell(out, done, as_json=as_json, what=what)
    return int(any(flag["reason"] in ("no signal", "unreadable") for flag in done["flags"]))


def traced_seeds(
    volume: Volume,
    seeds: Path,
    out: Path,
    *,
    channel: int | None = None,
    overwrite: bool = False,
    tell: Progress | None = None,
) -> tuple[dict[str, Any], bool]:
    """Trace all neurons, and write them into a folder.

    Args:
        volume: open.
        seeds: the file of the seeds.
        out: the folder: a SWC file for each neuron, tables of flags and of nodes, and a record of how it was made.
        channel: the only one to look at; None: all.
        overwrite: replace a folder of other inputs; one of the same is never made again.
        tell: progress.

    Returns:
        the record of the folder, and False where it was there already.

    Raises:
        UsageError, InputError: the image, the seeds or the folder cannot be used.
        OutputError: the folder cannot be written, or another run is at work there.
    """
    from neuropack.locks import only_one
    from neuropack.trace.automatic import AutomaticOptions, trace_neurons
    from neuropack.trace.finding import stack_record
    from neuropack.trace.seeds import read_seeds

    stack = stack_record(volume)
    z, y, x = stack["voxel_size_um"]
    points = read_seeds(seeds, (z, y, x))
    options = AutomaticOptions(channel=channel)
    inputs = _inputs(volume, points, options)
    if (done := _done(out, inputs, overwrite=overwrite)) is not None:
        return done, False
    _see_inside(stack, points, seeds)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)  # what cannot be is told before the work
    except OSError as error:
        fix = "check the folder and its permissions"
        raise OutputError(f"cannot be made: {error.strerror}", file=out.parent, fix=fix) from error
    with only_one(out):
        traced = trace_neurons(volume, points, options, progress=tell)
        done = _record(traced, inputs, seeds)
        _write(out, traced, done, (z, y, x))
    return done, True


def _inputs(volume: Volume, seeds: list[Seed], options: Any) -> dict[str, Any]:
    """All that decides the result."""
    from dataclasses import asdict

    from neuropack import __version__
    from neuropack.source import fingerprint

    points = json.dumps([asdict(seed) for seed in seeds], sort_keys=True)
    return {
        "software": f"neuropack {__version__}",
        "source": fingerprint(volume.path),
        "scene": volume.scene,
        "axes": volume.axes,
        "size_zyx": list(volume.size_zyx),
        "voxel_size_um": list(volume.voxel_size_um),
        "seeds_sha256": hashlib.sha256(points.encode()).hexdigest(),
        "options": asdict(options),
    }


def _done(out: Path, inputs: dict[str, Any], *, overwrite: bool) -> dict[str, Any] | None:
    """The record of a folder that was made with the same inputs; None where it is to be made.

    Raises:
        UsageError: it was made with others, or is no folder of ours.
        InputError: its record is damaged.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not all((out / name).is_file() for name in (RECORD, FLAGS, NODES)):
        raise UsageError("is no folder of traces, and would be replaced", file=out, fix="name another folder")
    try:
        record: dict[str, Any] = json.loads((out / RECORD).read_text(encoding="utf-8"))
        known = {key: record["inputs"][key] for key in inputs}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        if overwrite:
            return None
        raise InputError(
            "is no record of a trace",
            file=out / RECORD,
            found=str(error),
            fix="add --overwrite, or name another folder",
        ) from error
    asked = json.loads(json.dumps(inputs))
    if known == asked:
        return record
    if not overwrite:
        differs = ", ".join(key for key in inputs if known[key] != asked[key])
        raise UsageError(
            "holds the traces of other inputs",
            file=out,
            found=f"another {differs}",
            fix="name another folder, or add --overwrite",
        )
    return None


def _see_inside(stack: dict[str, Any], points: list[Seed], seeds: Path) -> None:
    """Refuse seeds outside of the image, with the file that they are from."""
    from neuropack.trace.finding import inside

    for seed in points:
        try:
            inside(stack, seed.xyz)
        except UsageError as error:
            raise InputError(
                "a seed lies outside of the image",
                file=seeds,
                where=f"neuron {seed.neuron}",
                expected=error.expected,
                found=error.found,
            ) from error


def _record(traced: Traced, inputs: dict[str, Any], seeds: Path) -> dict[str, Any]:
    neurons = [
        {
            "neuron": name,
            "file": f"{NEURONS}/{name}.swc",
            "nodes": len(tree),
            "length_um": round(tree.length_um(), 1),
            "mean_confidence": round(float(traced.confidence[name].mean()), 3),
        }
        for name, tree in traced.skeletons.items()
    ]
    flags = [
        {
            "neuron": flag.neuron,
            "node": flag.node,
            "xyz_um": [round(float(v), 3) for v in flag.xyz],
            "reason": flag.reason,
            "about": flag.about,
            "confidence": round(flag.confidence, 3),
            "below_um": round(flag.below_um, 1),
        }
        for flag in traced.flags
    ]
    return {"inputs": inputs, "seeds": seeds.name, "neurons": neurons, "flags": flags}


def _write(out: Path, traced: Traced, record: dict[str, Any], voxel_size_um: tuple[float, ...]) -> None:
    from neuropack.swc import write_swc
    from neuropack.table import tsv_text
    from neuropack.trace.flags import COLUMNS
    from neuropack.whole import published_folder

    seen = record["inputs"]["source"]
    with published_folder(out) as folder:
        (folder / NEURONS).mkdir()
        for name, tree in traced.skeletons.items():
            comments = [
                f"neuron {name}, traced by itself with {record['inputs']['software']}: a start for people",
                f"source: {seen['name']}; bytes: {seen['bytes']}; sha256 of samples: {seen['sha256_samples']}",
                f"voxel size z,y,x: {','.join(f'{v:g}' for v in voxel_size_um)} um",
                f"options: {json.dumps(record['inputs']['options'])}",
                f"confidence: {traced.confidence[name].mean():.3f} in the mean; of each node: ../{NODES}",
            ]
            write_swc(folder / NEURONS / f"{name}.swc", tree, comments, decimals=4)
        rows = (
            {"neuron": name, "node": node, "confidence": f"{sure:.3f}"}
            for name, tree in traced.skeletons.items()
            for node, sure in zip(tree.id.tolist(), traced.confidence[name].tolist(), strict=True)
        )
        text = tsv_text(("neuron", "node", "confidence"), rows)
        (folder / NODES).write_text(text, encoding="utf-8", newline="\n")
        text = tsv_text(COLUMNS, (flag.row(voxel_size_um) for flag in traced.flags))
        (folder / FLAGS).write_text(text, encoding="utf-8", newline="\n")
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        (folder / RECORD).write_text(text, encoding="utf-8", newline="\n")


def _tell(out: Path, record: dict[str, Any], *, as_json: bool, what: str) -> None:
    if as_json:
        typer.echo(json.dumps({"out": str(out), **record}, indent=2, ensure_ascii=False))
        return
    neurons, flags = record["neurons"], record["flags"]
    typer.echo(f"{out}: {len(neurons)} neuron(s), {what}")
    for one in neurons:
        sure = f"confidence {one['mean_confidence']:.2f}"
        typer.echo(f"  {one['neuron']}: {one['nodes']} nodes, {one['length_um']:.1f} um, {sure}")
    if flags:
        typer.echo(f"{len(flags)} place(s) to look at, most cable behind them first ({out / FLAGS}):")
    for flag in flags[:_SHOWN]:
        place = ", ".join(f"{v:.1f}" for v in flag["xyz_um"])
        behind = f"{flag['below_um']:.1f} um behind it: " if flag["below_um"] else ""
        typer.echo(f"  {flag['neuron'] or '-'} at x, y, z {place} um: {behind}{flag['reason']}: {flag['about']}")
    if len(flags) > _SHOWN:
        typer.echo(f"  and {len(flags) - _SHOWN} more")
