"""``neuropack inspect``: what raw files say of themselves, and where each field comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuropack.address import place

if TYPE_CHECKING:
    from neuropack.volume import Volume


def inspect(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            parser=place,
            help="Microscope files, OME-Zarr folders, folders of slices, URLs.",
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array with an object per image.")] = False,
    axes: Annotated[
        str | None,
        typer.Option(metavar="LETTERS", help="Name the file's dimensions, one letter of TCZYXS for each."),
    ] = None,
) -> int:
    """Show what microscope files say of themselves: shape, voxel size, channels, and what is missing."""
    from neuropack.errors import NeuropackError
    from neuropack.readers import open_volumes

    status = 0
    records: list[dict[str, Any]] = []
    for file in files:
        try:
            for opened in open_volumes(file):
                with opened.with_axes(axes) if axes else opened as volume:
                    if json:
                        records.append(volume.describe())
                    else:
                        typer.echo(_text(volume))
        except NeuropackError as error:  # the other files are still worth showing
            typer.echo(str(error), err=True)
            status = max(status, error.exit_code)
    if json:
        import json as json_module

        typer.echo(json_module.dumps(records, indent=2, ensure_ascii=False))
    return status


def _text(volume: Volume) -> str:
    """One image as lines for a person; every value is followed by where it comes from."""
    sources = volume.sources
    lengths = "  ".join(f"{a} {n}" for a, n in zip(volume.axes, volume.shape, strict=True))
    lines = [
        f"{volume.path}" + (f"  scene {volume.scene!r}" if volume.scene else ""),
        f"  format      {volume.format}, {volume.dtype.name}, {volume.nbytes / 1e6:.1f} MB decoded",
        f"  axes        {lengths}" + ("  (unknown letters: name them with --axes)" * bool(volume.axis_map.unknown)),
    ]
    for axis, value in zip("zyx", volume.voxel_size_um, strict=True):
        shown = "?" if value is None else f"{value:g} um"
        lines.append(f"  voxel {axis}     {shown:<16} {sources[f'voxel_size_um.{axis}']}")
    for i, channel in enumerate(volume.channels):
        ex, em = (("?" if v is None else f"{v:g}") for v in (channel.excitation_nm, channel.emission_nm))
        origin = sources[f"channels.{i}.name"]
        color = f"#{channel.color}" if channel.color else "no colour"
        lines.append(
            f"  channel {i}   {channel.name or '?':<16} {origin:<8} excitation/emission {ex}/{em} nm, {color}"
        )
    lines.append(f"  acquired    {volume.acquired or '?':<16} {sources['acquired']}")
    instrument = [f"{k.replace('_', ' ')} {v}" for k, v in vars(volume.instrument).items() if v is not None]
    lines.append(f"  instrument  {'; '.join(instrument) or '?'}")
    if volume.levels:
        lines.append("  pyramid     " + ", ".join("x".join(map(str, v.shape)) for v in (volume, *volume.levels)))
    return "\n".join(lines)
