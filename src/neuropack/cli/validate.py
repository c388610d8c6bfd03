"""``neuropack validate`` and ``neuropack explain``: is a release fit to go out, and what does a rule want?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuropack.cli import baselines, reported
from neuropack.cli.baselines import Baseline, By, Reason, Until, WriteBaseline
from neuropack.cli.progress import progress
from neuropack.cli.reported import Form, Outputs
from neuropack.report import Threshold

Folders = Annotated[
    list[Path] | None, typer.Option(metavar="DIR", readable=False, help="A folder with rules of your own.")
]


def validate(
    release: Annotated[
        Path | None, typer.Argument(metavar="RELEASE", readable=False, help="The folder of a release.")
    ] = None,
    format: Annotated[Form, typer.Option(help="How to print the report.")] = "text",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Outputs = None,
    load: Annotated[
        Path | None,
        typer.Option(
            metavar="REPORT", readable=False, help="Show a report that was saved as JSON; no release is looked at."
        ),
    ] = None,
    fail_on: Annotated[Threshold, typer.Option(help="The least level that makes the exit status 1.")] = "error",
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
    baseline: Baseline = None,
    write_baseline: WriteBaseline = None,
    by: By = None,
    until: Until = None,
    reason: Reason = None,
    fix: Annotated[bool, typer.Option("--fix", help="First mend what is safe to mend; never pixels.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --fix: show what would be mended, and write nothing.")
    ] = False,
) -> int:
    """Check a release: files, metadata, and the chunks of its images. Exit status 1 where something is wrong."""
    from neuropack import report
    from neuropack.errors import UsageError
    from neuropack.rules import check
    from neuropack.space.cache import cache_folder

    if (release is None) == (load is None):
        raise UsageError("validate takes either a release or --load", fix="neuropack validate RELEASE")
    if fix and load is not None:
        raise UsageError("a saved report mends nothing", fix="neuropack validate RELEASE --fix")
    if dry_run and not fix:
        raise UsageError("--dry-run shows what --fix would mend", fix="add --fix, or leave --dry-run out")
    outputs = reported.forms(output or (), release)
    last_day = baselines.asked(baseline, write_baseline, by, until, reason, release)
    if load is not None:
        from neuropack.report.saved import read_report

        result = read_report(load)
    elif release is not None:
        if fix:
            from neuropack.cli.fix import fix_first

            fix_first(release, dry_run=dry_run, beside=json or format != "text")
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
        _ask_for_release_in(release)
    result = baselines.applied(result, baseline, write_baseline, last_day, by, reason)
    reported.show(result, "json" if json else format, outputs, fail_on, release)
    return 1 if report.fails(result, fail_on) else 0


def _ask_for_release_in(release: Path) -> None:
    """Ask whoever names the folder around a release whether they meant the release."""
    if not (release / "manifest.tsv").exists() and (release / "release" / "manifest.tsv").exists():
        typer.echo(f"{release}: holds no manifest.tsv; did you mean {release / 'release'}?", err=True)


def explain(
    rule: Annotated[str | None, typer.Argument(metavar="RULE", help="A rule, such as files.digest.")] = None,
    all: Annotated[bool, typer.Option("--list", help="List all rules.")] = False,
    format: Annotated[
        Literal["text", "json", "markdown"], typer.Option(help="markdown prints the page of the manual.")
    ] = "text",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    pages: Annotated[
        Path | None,
        typer.Option(metavar="DIR", readable=False, help="Write a page for each rule, and their list."),
    ] = None,
    rules: Folders = None,
) -> int:
    """Say what a rule wants, why, and how to mend what it finds."""
    from json import dumps

    from neuropack.errors import UsageError
    from neuropack.rules import explain as text
    from neuropack.rules import load_rules

    if [rule is not None, all, pages is not None].count(True) != 1:
        raise UsageError(
            "explain takes either the name of a rule, or --list, or --pages DIR",
            fix="neuropack explain files.digest",
        )
    loaded = load_rules(rules or ())
    chosen = loaded if rule is None else [text.find(loaded, rule)]
    if pages is not None:
        _written(pages, text.pages(loaded))
    elif json or format == "json":
        typer.echo(dumps([text.as_dict(r) for r in chosen], indent=2, ensure_ascii=False))
    elif format == "markdown":
        typer.echo(text.as_markdown(chosen) if rule is None else text.as_page(chosen[0]), nl=False)
    else:
        typer.echo(text.as_list(chosen) if rule is None else text.as_text(chosen[0]))
    return 0


def _written(folder: Path, pages: dict[str, str]) -> None:
    """Write pages below a folder; those that it wrote of rules that are gone are removed."""
    from neuropack.rules.explain import PAGE_END
    from neuropack.whole import published

    for name, content in pages.items():
        with published(folder / name, overwrite=True) as partial:
            partial.write_text(content, encoding="utf-8", newline="\n")
    for old in (folder / "rules").glob("*.md"):
        if f"rules/{old.name}" not in pages and old.read_text(encoding="utf-8").endswith(PAGE_END):
            old.unlink()
    typer.echo(f"{len(pages)} pages in {folder}")
