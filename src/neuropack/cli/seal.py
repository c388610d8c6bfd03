"""``neuropack seal``: files of a release were changed on purpose, and somebody vouches for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from neuropack.cli.progress import Watch, progress


def seal(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", readable=False, help="The folder of a release.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who vouches for the changes.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why they were made.")],
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="PATTERN", help="Seal what fits only, such as CHANGES or 'sub-M01/*'."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what was changed, and write nothing.")] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> int:
    """Write the manifest anew for files that were changed on purpose, with a record of who did it and why."""
    from neuropack import report
    from neuropack.issue import Report
    from neuropack.mend.seal import seal as job
    from neuropack.mend.show import change_lines
    from neuropack.report.words import printable

    with progress(show) as tell:
        done = job(release, by=by, reason=reason, only=only or (), dry_run=dry_run, progress=tell)
    status = 1 if done.forbidden else 0
    if as_json:
        typer.echo(json.dumps({"release": str(release), "dry_run": dry_run, **done.to_dict()}, indent=2))
        return status
    if done.finished:
        typer.echo(f"completed what an interrupted run had begun: {', '.join(map(printable, done.finished))}")
    if done.forbidden:
        typer.echo(report.to_text(Report(list(done.forbidden))).rpartition("\n")[0].rstrip())
        typer.echo(f"{release}: not sealed; mend this first")
        return status
    for line in change_lines(done.changes):
        typer.echo(line)
    if done.left.names:
        typer.echo(f"left as the manifest has them: {len(done.left.names)} other change(s)")
    if done.changes.names and done.published:
        typer.echo(f"note: this version is published ({done.published}); with these changes it is another one")
    if not done.changes.names:
        typer.echo(f"{release}: nothing was changed since the manifest was written")
    elif dry_run:
        typer.echo(f"{release}: not sealed, as --dry-run wants it")
    else:
        typer.echo(f"{release}: sealed; next: neuropack validate {release}")
    return status
