"""``neuropack annotations``: one file a subcommand, named ``annotations_*``."""

from __future__ import annotations

import typer

from neuropack.cli.annotations_check import check
from neuropack.cli.annotations_compare import compare
from neuropack.cli.annotations_convert import convert

group = typer.Typer(name="annotations", help="Skeletons, masks, boxes and labels: convert, derive, compare, check.")
for command in (convert, compare, check):
    group.command()(command)
