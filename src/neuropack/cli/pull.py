"""``neuropack pull``: a release comes from the web or a bucket into a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from neuropack.cli.progress import Watch, progress
from neuropack.errors import UsageError


def pull(
    url: Annotated[str, typer.Argument(metavar="URL", help="Of a release: https://, s3://, gs:// or az://.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", readable=False, help="Where it comes to lie.")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Only these files: a folder, a path, or a pattern such as '*.swc'. May be given several times.",
        ),
    ] = None,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> int:
    """Download a release, all of it or a part; every file is checked. The same command goes on after a break."""
    from neuropack.address import Address, place
    from neuropack.publish.pull import pull as pull_release

    address = place(url)
    if not isinstance(address, Address):
        raise UsageError(
            "is a place on this machine", file=url, expected="a URL", fix="copy the folder, or use it as it is"
        )
    with progress(show) as tell:
        done = pull_release(address, folder, only or [], progress=tell)
    if as_json:
        typer.echo(json.dumps(done.to_dict(), indent=2))
        return 0
    typer.echo(f"{folder}: {done.files} files, {done.bytes / 1e6:.1f} MB, each as the manifest says")
    typer.echo(f"fetched now: {done.fetched_files} files, {done.fetched_bytes / 1e6:.1f} MB")
    if not done.complete:
        typer.echo(f"This is a part of the release; neuropack pull {url} {folder} fetches the rest.")
    return 0
