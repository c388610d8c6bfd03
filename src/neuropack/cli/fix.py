"""``neuropack validate --fix``: what can be mended safely is mended before the release is checked."""

from __future__ import annotations

from pathlib import Path

import typer

from neuropack.cli.progress import progress


def fix_first(release: Path, *, dry_run: bool, beside: bool) -> None:
    """Mend a release, and say what was mended and what was refused.

    Args:
        release: the folder.
        dry_run: show it only.
        beside: print on the error stream, since the output is a program's.
    """
    from neuropack.mend.fix import fix
    from neuropack.report.words import printable

    with progress() as tell:
        done = fix(release, dry_run=dry_run, progress=tell)
    for one in done.files:
        for line in one.lines:
            typer.echo(line, err=beside)
        typer.echo(f"{'would fix' if dry_run else 'fixed'} {printable(one.path)}: {one.sentence}", err=beside)
    for path, why in done.refused:
        typer.echo(f"not fixed {printable(path)}: {printable(why)}", err=beside)
    if not done.files:
        typer.echo("nothing was fixed: no finding that a program may mend", err=beside)
