"""``neuropack init`` and ``neuropack build``: from an empty folder to a release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from neuropack.cli import common
from neuropack.cli.progress import Watch, progress


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", readable=False, help="The folder to begin a study in.")],
    spreadsheet: Annotated[
        Literal["xlsx", "tsv"] | None,
        typer.Option("--spreadsheet", help="A workbook, or a folder of TSV files, instead of study.yaml."),
    ] = None,
) -> None:
    """Write a commented study.yaml to fill in, a README and a folder for raw files. Nothing is overwritten."""
    from neuropack.study.begin import begin

    written = begin(folder, spreadsheet)
    for path in written:
        typer.echo(f"wrote {path}")
    typer.echo(f"next: fill in {written[0]}, then: neuropack build {folder} RELEASE")


def build(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY", readable=False, help="study.yaml, study.xlsx, or their folder.")
    ],
    release: Annotated[
        str,
        typer.Argument(
            metavar="RELEASE", help="A new folder, or an earlier build; also a URL such as s3://b/name."
        ),
    ],
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove from the release what the study no longer has.")
    ] = False,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going", help="Write zeros for what cannot be decoded, note it, and end with exit status 1."
        ),
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="Go on with a release in a bucket whose build died elsewhere."),
    ] = False,
    new_version: Annotated[
        str | None,
        typer.Option(
            "--new-version", metavar="VERSION", help="Make it a new version: major, minor, patch, or such as 1.1.0."
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--changes", metavar="TEXT", help="What the new version brings; once for each sentence."),
    ] = None,
    memory: common.Memory = None,
    workers: common.Workers = None,
    cluster: common.Cluster = None,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> int:
    """Build a release from a study. Run it again to continue after an interruption, or to bring in changes."""
    budget = common.size(memory)
    common.one_of(workers, cluster)
    if (new_version is None) != (not changes):
        from neuropack.errors import UsageError

        raise UsageError("--new-version and --changes go together", fix="say what the new version brings")
    from neuropack.build import build as job

    with progress(show) as tell:
        result = job(
            study,
            common.destination(str(release)),
            prune=prune,
            keep_going=keep_going,
            take_over=take_over,
            memory=budget,
            processes=workers,
            cluster=cluster,
            progress=tell,
            version=new_version,
            changes=changes or (),
        )
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2))
        return 1 if result.missing else 0
    for stack, status in result.stacks.items():
        typer.echo(f"{stack}: {status}")
        for note in result.notes[stack]:
            typer.echo(f"  note: {note}")
    for name in result.removed:
        typer.echo(f"removed {name}")
    for name in result.restored:
        typer.echo(f"made again, since it was not what neuropack had written: {name}")
    typer.echo(f"{release}: {result.files} files, {result.bytes} bytes")
    return 1 if result.missing else 0
