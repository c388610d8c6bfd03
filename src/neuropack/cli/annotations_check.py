"""``neuropack annotations check``: is this SWC good enough to publish?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from neuropack.address import place
from neuropack.cli import common
from neuropack.cli.progress import Watch, progress
from neuropack.errors import InputError, UsageError

if TYPE_CHECKING:
    from neuropack.morphology.quality import Flaw
    from neuropack.morphology.quality_files import CheckedFile
    from neuropack.morphology.quality_grid import Grid
    from neuropack.progress import Progress

_WORDS = {"error": "error", "warning": "warning", "info": "remark"}


def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="SWC...", readable=False, help="SWC files, or folders of them.")
    ],
    image: Annotated[
        Path | None,
        typer.Option(
            metavar="STACK",
            parser=place,
            help="The image that all of them were traced in: do they lie on their neurons, and is each there once?",
        ),
    ] = None,
    voxel_size: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Of STACK and FILE, in micrometre, where these do not say."),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(metavar="AXES", help="Of STACK, or of FILE alone, where it does not say: ZYX."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", readable=False, help="A label image with the neuron of one SWC.")
    ] = None,
    label: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The value of the neuron in --labels.")
    ] = None,
    fail_on: Annotated[
        Literal["error", "warning"], typer.Option(help="The least level that makes the exit status 1.")
    ] = "error",
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> int:
    """Check skeletons: tree, steps, somata and radii; and with --image and --labels where they lie.

    Each file gets a verdict, and below it what is wrong, the worst first. Exit status 1 where a file is not fit to
    publish, 3 where one cannot be read.
    """
    found_files = _files(files)
    if (labels is None) != (label is None):
        raise UsageError("--labels and --label belong together", fix="name the label image and the value in it")
    if label is not None and len(found_files) > 1:
        raise UsageError("--label is of one neuron", expected="one SWC file", found=f"{len(found_files)} files")
    with progress(show) as tell:
        found = _check(found_files, image, common.voxel_size(voxel_size), axes, labels, label, tell)
    if as_json:
        typer.echo(json.dumps(_summary(found), indent=2, ensure_ascii=False))
    else:
        for one in found:
            typer.echo("\n".join(_told(one)))
        if len(found) > 1:
            typer.echo(_sum(found))
    if any(one.unread is not None for one in found):
        return 3
    return 1 if any(one.fails(fail_on) for one in found) else 0


def _files(paths: Sequence[Path]) -> list[Path]:
    """The SWC files that were named, and those of the folders, each once."""
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise InputError("is not there", file=path, expected="an SWC file, or a folder of them")
        inner = sorted(p for p in path.rglob("*") if p.suffix.lower() == ".swc" and p.is_file())
        if path.is_dir() and not inner:
            raise InputError("holds no SWC file", file=path)
        if not path.is_dir() and path.suffix.lower() != ".swc":
            fix = "make SWC of it first: neuropack annotations convert"
            raise UsageError("is no SWC file", file=path, expected="a name that ends with .swc", fix=fix)
        for file in inner if path.is_dir() else [path]:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _check(
    files: Sequence[Path],
    image: Path | None,
    voxel_size: tuple[float, float, float] | None,
    axes: str | None,
    labels: Path | None,
    label: int | None,
    tell: Progress | None,
) -> list[CheckedFile]:
    from neuropack.morphology.quality_files import check_files

    with ExitStack() as opened:
        grid = _grid(opened, image, voxel_size, axes) if image is not None else None
        drawn = None
        if labels is not None and label is not None:
            size = voxel_size or (grid.voxel_um if grid is not None else None)
            drawn = _grid(opened, labels, size, "ZYX" if grid is not None else axes, grid), label
        return check_files(files, grid, drawn, tell)


def _grid(
    opened: ExitStack,
    path: Path,
    voxel_size: tuple[float, float, float] | None,
    axes: str | None,
    like: Grid | None = None,
) -> Grid:
    """An image; labels of the shape of their image have its axes where they state none."""
    from neuropack.morphology.quality_grid import grid_of_volume
    from neuropack.readers import open_volume

    volume = opened.enter_context(open_volume(path, voxel_size_um=voxel_size))
    unknown = volume.axis_map.unknown and (like is None or volume.native_shape == like.shape)
    if axes is not None and (unknown or like is None):
        volume = opened.enter_context(open_volume(path, axes=axes, voxel_size_um=voxel_size))
    return grid_of_volume(volume)


def _told(one: CheckedFile) -> list[str]:
    """What is printed of a file."""
    lines = [f"{one.path}: {one.verdict}"]
    if one.unread is not None:
        return lines + [f"  {line}" for line in str(one.unread).splitlines()]
    for flaw in one.flaws:
        lines += _flaw(one.path, flaw)
    if one.lies is not None and not any(flaw.kind == "image" for flaw in one.flaws):
        offset = ", ".join(f"{a} {v:+.2f}" for a, v in zip("xyz", one.lies.offset_um, strict=True))
        lines.append(
            f"  on the image: contrast {one.lies.contrast:.2f} ({one.lies.channel}), the neuron is brightest at "
            f"{offset} um from the nodes"
        )
    return lines


def _flaw(path: Path, flaw: Flaw) -> list[str]:
    place = f"{path.name}:{flaw.line}" if flaw.line is not None else path.name
    where = ""
    if flaw.where_um is not None:
        where = " at x, y, z " + ", ".join(f"{v:.5g}" for v in flaw.where_um) + " um"
    return [
        f"  {_WORDS[flaw.level]}  {flaw.kind}  {place}{where}",
        f"    expected: {flaw.expected}",
        f"    found:    {flaw.found}",
        f"    to do:    {flaw.fix}",
    ]


def _sum(found: list[CheckedFile]) -> str:
    sums = _summary(found)
    unread = f", {sums['unread']} cannot be read" if sums["unread"] else ""
    return f"{sums['publishable']} of {len(found)} publishable{unread}"


def _summary(found: list[CheckedFile]) -> dict[str, Any]:
    files = [one.to_dict() for one in found]
    return {
        "publishable": sum(one["publishable"] for one in files),
        "unread": sum(one["unread"] is not None for one in files),
        "files": files,
    }
