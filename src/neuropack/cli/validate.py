"""``neuropack validate`` and ``neuropack explain``: is a release fit to go out, and what does a rule want?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuropack.cli.progress import progress

Folders = Annotated[
    list[Path] | None, typer.Option(metavar="DIR", readable=False, help="A folder with rules of your own.")
]


def validate(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", readable=False, help="The folder of a release.")],
    format: Annotated[Literal["text", "json"], typer.Option(help="How to print the report.")] = "text",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    fail_on: Annotated[
        Literal["error", "warning"], typer.Option(help="The least level that makes the exit status 1.")
    ] = "error",
    level: Annotated[
        Literal["quick", "sample", "full"],
        typer.Option(help="How much is read: names and text; a sample of the chunks of large images too; all."),
    ] = "sample",
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Another one makes another sample.")] = 0,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither use nor keep results of earlier runs.")
    ] = False,
    rules: Folders = None,
    annotation: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            readable=False,
            help="A file or folder: the annotation to judge regions by, where the release carries none.",
        ),
    ] = None,
    structures: Annotated[
        Path | None, typer.Option(metavar="FILE", readable=False, help="The tree of structures that goes with it.")
    ] = None,
) -> int:
    """Check a release: files, metadata, and the chunks of its images. Exit status 1 where something is wrong."""
    import shutil
    import sys

    from neuropack import report
    from neuropack.rules import check
    from neuropack.space.cache import cache_folder

    with progress() as tell:
        result = check(
            release,
            level=level,
            seed=seed,
            cache=None if no_cache else cache_folder(),
            rule_folders=rules or (),
            annotation=annotation,
            structures=structures,
            progress=tell,
        )
    if not (release / "manifest.tsv").exists() and (release / "release" / "manifest.tsv").exists():
        typer.echo(f"{release}: holds no manifest.tsv; did you mean {release / 'release'}?", err=True)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    typer.echo(report.to_json(result) if json or format == "json" else report.to_text(result, width))
    return 1 if report.fails(result, fail_on) else 0


def explain(
    rule: Annotated[str | None, typer.Argument(metavar="RULE", help="A rule, such as files.digest.")] = None,
    all: Annotated[bool, typer.Option("--list", help="List all rules.")] = False,
    format: Annotated[
        Literal["text", "json", "markdown"], typer.Option(help="markdown prints the page of the manual.")
    ] = "text",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    rules: Folders = None,
) -> int:
    """Say what a rule wants, why, and how to mend what it finds."""
    from json import dumps

    from neuropack.errors import UsageError
    from neuropack.rules import explain as text
    from neuropack.rules import load_rules

    if (rule is None) != all:
        raise UsageError("explain takes either the name of a rule or --list", fix="neuropack explain files.digest")
    loaded = load_rules(rules or ())
    chosen = loaded if rule is None else [text.find(loaded, rule)]
    if json or format == "json":
        typer.echo(dumps([text.as_dict(r) for r in chosen], indent=2, ensure_ascii=False))
    elif format == "markdown":
        typer.echo(text.as_markdown(chosen), nl=False)
    else:
        typer.echo(text.as_list(chosen) if rule is None else text.as_text(chosen[0]))
    return 0
