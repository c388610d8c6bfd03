"""``neuropack migrate``: metadata of an older schema carried to a newer one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def migrate(
    path: Annotated[
        Path, typer.Argument(metavar="STUDY_OR_RELEASE", readable=False, help="A release, or a study.yaml.")
    ],
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="The version to go to (default: the newest).")
    ] = None,
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Who is named in the record of a release.")
    ] = "neuropack",
    backup: Annotated[
        Path | None, typer.Option(metavar="FILE", readable=False, help="Keep the document as it was in a new file.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> int:
    """Carry the metadata of a release, or a study, to a newer version of the schema."""
    from neuropack.mend.migrate import migration

    found = migration(path, to=to, by=by, finishing=not dry_run)
    written = not found.current and not dry_run
    if not as_json:
        for line in found.lines:
            typer.echo(line)
        for sentence in found.steps:
            typer.echo(f"step: {sentence}")
    if written:
        found.write(backup)
    if as_json:
        typer.echo(json.dumps({**found.to_dict(), "written": written}, indent=2))
        return 0
    if found.current:
        typer.echo(f"{found.file}: is at schema {found.old} already")
        return 0
    typer.echo(f"{found.file}: schema {found.old} -> {found.new}" + ("" if written else ", not written: --dry-run"))
    if found.open:
        typer.echo(
            f"the schema asks for {found.open} more thing(s) that no step can know: neuropack validate {path}"
        )
    return 0
