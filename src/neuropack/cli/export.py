"""``neuropack export``: what an archive wants beside the files of a release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

export = typer.Typer(help="Write what an archive wants beside the files of a release.", no_args_is_help=True)


@export.callback()
def _group() -> None:
    """Write what an archive wants beside the files of a release."""


@export.command()
def bil(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", readable=False, help="The folder of a release.")],
    workbook: Annotated[Path, typer.Argument(metavar="WORKBOOK", help="The .xlsx file to write.")],
    directory: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Where the data lie in the library's landing zone."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a workbook that is there already.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> int:
    """Write the metadata workbook of the Brain Image Library. Exit status 1 where a required cell stays empty."""
    from json import dumps

    from neuropack.cli.common import free
    from neuropack.describe.bil import bil_rows, missing
    from neuropack.describe.bil_workbook import write_bil
    from neuropack.errors import UsageError
    from neuropack.manifest import read_manifest
    from neuropack.release import open_release

    if workbook.suffix.lower() != ".xlsx":
        raise UsageError("the workbook is no .xlsx file", file=workbook, fix="give it a name that ends in .xlsx")
    free(workbook, overwrite=overwrite)
    with open_release(release) as opened:
        size = sum(entry.bytes for entry in read_manifest(release).values())
        sheets = bil_rows(opened.metadata, size, directory)
    lacking = missing(sheets)
    write_bil(sheets, workbook)
    if json:
        rows = {name: len(found) for name, found in sheets.items()}
        told = {"workbook": str(workbook), "rows": rows, "missing": [m.to_dict() for m in lacking]}
        typer.echo(dumps(told, indent=2, ensure_ascii=False))
        return 1 if lacking else 0
    typer.echo(f"{workbook}: " + ", ".join(f"{name} {len(rows)}" for name, rows in sheets.items()))
    cells: dict[tuple[str, str, str], list[str]] = {}
    for cell in lacking:
        cells.setdefault((cell.sheet, cell.column, cell.fix), []).append(str(cell.row))
    for (sheet, column, fix), found in cells.items():
        where = f"row {found[0]}" if len(found) == 1 else f"{len(found)} rows from {found[0]} to {found[-1]}"
        typer.echo(f"missing: {sheet}, {where}, {column}\n  to do: {fix}")
    return 1 if lacking else 0
