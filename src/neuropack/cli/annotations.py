"""``neuropack annotations``: one file a subcommand, named ``annotations_*``."""

from __future__ import annotations

import typer

from neuropack.cli.annotations_check import check
from neuropack.cli.annotations_compare import compare
from neuropack.cli.annotations_convert import convert
from neuropack.cli.annotations_derive import derive

group = typer.Typer(name="annotations", help="Skeletons, masks, boxes and labels: convert, derive, compare, check.")
group.command()(convert)
group.add_typer(derive, name="derive")
group.command()(compare)
group.command()(check)
