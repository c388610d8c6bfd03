"""``neuropack diff``: what changed between two versions of a release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from neuropack.cli.progress import progress


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", readable=False, help="The folder of a release.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", readable=False, help="The folder of another version.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all that differs as JSON.")] = False,
) -> int:
    """Compare two versions of a release by manifest and metadata. Exit status 1 where they differ."""
    from neuropack.mend.diff import diff as job
    from neuropack.mend.diff_text import to_text

    with progress() as tell:
        found = job(old, new, tell)
    typer.echo(json.dumps(found.to_dict(), indent=2) if as_json else to_text(found, str(old), str(new)))
    return 0 if found.identical else 1
