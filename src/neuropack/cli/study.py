"""``neuropack sheets`` and ``neuropack schema``: a study in spreadsheets, and in an editor that knows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer


def sheets(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY", readable=False, help="study.yaml, sheets, or their folder.")
    ],
    kind: Annotated[
        Literal["xlsx", "tsv"], typer.Option("--as", help="A workbook, or a folder of TSV files.")
    ] = "xlsx",
) -> None:
    """Write a study as spreadsheets into its folder, and read them back to see that they say the same."""
    from neuropack.study import study_file
    from neuropack.study.convert import to_sheets

    path = study_file(study)
    made = to_sheets(path, kind)
    typer.echo(f"wrote {made}")
    typer.echo(f"next: move {path.name} away, since a study is read from one place; or build {made}")


def schema(
    study: Annotated[bool, typer.Option("--study", help="Of study.yaml, for editors.")] = False,
) -> None:
    """Print the JSON Schema of a release's metadata, or of study.yaml."""
    from neuropack import schema as metadata

    if study:
        from neuropack.study.json_schema import study_schema

        made = study_schema()
    else:
        made = metadata.json_schema()
    typer.echo(json.dumps(made, indent=2, ensure_ascii=False))
