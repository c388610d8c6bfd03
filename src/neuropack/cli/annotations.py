"""``neuropack annotations``: one file a subcommand, named ``annotations_*``."""

from __future__ import annotations

import typer

annotations: typer.Typer = typer.Typer(
    name="annotations",
    help="Skeletons, masks, boxes and labels: convert, derive, compare, check.",
    no_args_is_help=True,
)
