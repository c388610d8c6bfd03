"""``neuropack trace``: the path along a neurite between two points of a stack."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from neuropack.address import place
from neuropack.cli import common
from neuropack.cli.progress import Watch, progress
from neuropack.errors import UsageError

if TYPE_CHECKING:
    from neuropack.trace import TracedPath
    from neuropack.volume import Volume

_TIMEOUT = 300.0  # seconds
_DOUBTFUL = 0.5  # of confidence: below it, somebody should look


def trace(
    source: Annotated[
        Path,
        typer.Argument(metavar="STACK", parser=place, help="An image of any known format, or the URL of one."),
    ],
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="Z,Y,X", help="Where the path begins, in voxels; voxel i has its centre at i."
        ),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="Z,Y,X", help="Where it ends.")] = None,
    seeds: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            readable=False,
            help="Trace whole neurons instead, from these points (CSV, TSV: z,y,x or x_um,y_um,z_um) or skeletons.",
        ),
    ] = None,
    color: Annotated[bool, typer.Option("--color", help="Keep to the colour at the start.")] = False,
    channel: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Look at this channel only, from 0 (default: all).")
    ] = None,
    cost: Annotated[
        Literal["brightness", "tubeness"],
        typer.Option("--cost", help="What the path follows: what is bright, or what looks like a bright tube."),
    ] = "brightness",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", readable=False, help="Write the path as SWC, in micrometre; with --seeds, a folder."
        ),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Leave the points where they are, off the middle of the neurite too.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="S", help="Give up after so many seconds; 0: never.")
    ] = _TIMEOUT,
    voxel_size: Annotated[
        str | None,
        typer.Option("--voxel-size", metavar="Z,Y,X", help="Voxel size in micrometre, where the file lacks it."),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(
            metavar="LETTERS", help="What the dimensions of the file mean, one letter of TCZYXS for each."
        ),
    ] = None,
    scene: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which image, where the file holds several.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    show: Watch = "auto",
) -> int:
    """Find the path along a neurite between two points, or whole neurons from seeds.

    Ends with status 1 where the path is to be looked at: its confidence is below 0.5; with --seeds, where a seed
    has no signal or a part of the image cannot be read.
    """
    if seeds is not None:
        wrong = {
            **{"--from": start, "--to": end, "--color": color, "--exact": exact},
            "--cost": cost != "brightness",
            "--timeout": timeout != _TIMEOUT,
        }
        for option in (name for name, given in wrong.items() if given):
            raise UsageError(
                f"{option} is not for --seeds", fix="leave one of them out; colours are always looked at"
            )
        from neuropack.cli.trace_seeds import trace_seeds
        from neuropack.readers import open_volume

        with (
            open_volume(source, scene=scene, axes=axes, voxel_size_um=common.voxel_size(voxel_size)) as volume,
            progress(show) as tell,
        ):
            return trace_seeds(volume, seeds, out, channel=channel, overwrite=overwrite, as_json=as_json, tell=tell)
    first, last = _point(start, "--from"), _point(end, "--to")
    if not (math.isfinite(timeout) and timeout >= 0):
        raise UsageError("--timeout is no time", expected="seconds, 0 or more", found=f"{timeout:g}")
    if out is not None:
        _see_name(out)
        common.free(out, overwrite=overwrite)
    size = common.voxel_size(voxel_size)
    from neuropack.readers import open_volume

    with open_volume(source, scene=scene, axes=axes, voxel_size_um=size) as volume, progress(show) as tell:
        from neuropack.trace import Options, PathFinder

        finder = PathFinder(volume, Options(channel=channel, color=color, cost=cost, timeout_s=timeout or None))
        snapped = (first, last) if exact else (finder.snap(first)[0], finder.snap(last)[0])
        path = finder.find(*snapped, progress=tell)
        said: dict[str, Any] = {"from": first, "to": last, "color": color, "channel": channel, "cost": cost}
        said |= {
            name: value for name, value in (("exact", exact), ("axes", axes), ("scene", volume.scene)) if value
        }
        comments = _comments(volume, path, said)
    if out is not None:
        _write(out, path, comments, overwrite=overwrite)
    typer.echo(
        json.dumps(_record(source, path, out), indent=2, ensure_ascii=False) if as_json else _text(path, out)
    )
    return int(path.confidence < _DOUBTFUL)


def _point(text: str | None, option: str) -> tuple[float, float, float]:
    """Parse ``z,y,x``.

    Raises:
        UsageError: there is none, or it is not three numbers.
    """
    expected = "three numbers z,y,x in voxels, such as 12,240.5,310"
    if text is None:
        raise UsageError(f"{option} is missing", expected=expected, found="none")
    try:
        z, y, x = (float(part) for part in text.split(","))
        if not all(map(math.isfinite, (z, y, x))):
            raise ValueError
    except ValueError:
        raise UsageError(f"{option} does not name a point", expected=expected, found=text) from None
    return z, y, x


def _see_name(out: Path) -> None:
    if out.suffix.lower() != ".swc":
        raise UsageError("--out does not name an SWC file", expected="a name in .swc", found=out.name)


def _comments(volume: Volume, path: TracedPath, parameters: dict[str, Any]) -> list[str]:
    """How the file was made: enough to make it again, and to see that the image is the same."""
    from neuropack import __version__
    from neuropack.source import fingerprint

    seen = fingerprint(volume.path)
    size = ",".join(f"{v:g}" for v in path.voxel_size_um)
    return [
        f"traced by neuropack {__version__}",
        f"source: {seen['name']}; bytes: {seen['bytes']}; sha256 of samples: {seen['sha256_samples']}",
        f"voxel size z,y,x: {size} um",
        f"parameters: {json.dumps(parameters)}",
        f"confidence: {path.confidence:.3f}; mean contrast: {path.mean_contrast:.2f}; cost: {path.cost:.3f}",
        *(f"note: {note}" for note in path.notes),
        *(f"unreadable: {one}" for one in path.unreadable),
    ]


def _write(out: Path, path: TracedPath, comments: list[str], *, overwrite: bool) -> None:
    from neuropack.swc import write_swc
    from neuropack.whole import published

    with published(out, overwrite=overwrite) as partial:
        write_swc(partial, path.skeleton(), comments, decimals=4)


def _record(source: Path, path: TracedPath, out: Path | None) -> dict[str, Any]:
    def rounded(row: Any) -> list[float]:
        return [round(float(v), 4) for v in row]

    record = {
        "source": str(source),
        "out": None if out is None else str(out),
        "voxel_size_um": list(path.voxel_size_um),
        **path.record(),
    }
    if out is None:
        rows = zip(path.xyz, path.radius_um, path.contrast, strict=True)
        record["path"] = [
            {"xyz_um": rounded(xyz), "radius_um": round(float(r), 4), "contrast": round(float(c), 2)}
            for xyz, r, c in rows
        ]
    return record


def _text(path: TracedPath, out: Path | None) -> str:
    ends = [", ".join(f"{v:.1f}" for v in node) for node in (path.zyx[0], path.zyx[-1])]
    lines = [
        f"path        {len(path)} nodes, {path.length_um:.1f} um, radius {path.radius_um.mean():.2f} um",
        f"from, to    {ends[0]} to {ends[1]} (z, y, x in voxels)",
        f"contrast    {path.mean_contrast:.1f} times the noise",
        f"confidence  {path.confidence:.2f}",
        f"searched    {path.expansions:,} voxels",
    ]
    if path.colour_drift is not None:
        lines.insert(3, f"colour      {math.degrees(path.colour_drift):.0f} degrees from that at the start")
    lines += [f"note        {note}" for note in path.notes]
    lines += [f"unreadable  {one}" for one in path.unreadable]
    if out is not None:
        lines.append(f"{out}: written")
    return "\n".join(lines)
