"""Where the report of ``neuropack validate`` goes: printed in one form, written in those of file endings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neuropack.issue import Report
from neuropack.report import Threshold

if TYPE_CHECKING:
    from neuropack.report.html import Thumbnail

Form = Literal["text", "json", "jsonl", "sarif", "junit", "html", "github"]
Outputs = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        metavar="FILE",
        readable=False,
        help="Write the report here too: .txt, .json, .jsonl, .sarif, .xml (JUnit), .html, .md; may be repeated.",
    ),
]
_ENDINGS = {
    ".txt": "text",
    ".json": "json",
    ".jsonl": "jsonl",
    ".sarif": "sarif",
    ".sarif.json": "sarif",
    ".xml": "junit",
    ".html": "html",
    ".md": "summary",
}


def forms(outputs: Sequence[Path], release: Path | None) -> dict[Path, str]:
    """The form of each output by the ending of its name, looked at before anything that takes time.

    Raises:
        UsageError: an ending that stands for none, or a file in the release, which is not to be changed.
        OutputError: its folder is not there.
    """
    from neuropack.errors import OutputError, UsageError

    found = {}
    for path in outputs:
        ending = next((e for e in sorted(_ENDINGS, key=len, reverse=True) if path.name.lower().endswith(e)), None)
        if ending is None:
            raise UsageError(
                "its ending names no form of a report",
                file=path,
                expected=f"one of {', '.join(_ENDINGS)}",
                found=path.suffix or "no ending",
            )
        outside_of(release, path)
        if not path.absolute().parent.is_dir():
            raise OutputError("cannot be written: there is no such folder", file=path, fix="make the folder")
        found[path] = _ENDINGS[ending]
    return found


def outside_of(release: Path | None, path: Path) -> None:
    """See that a file is not to be written into the release.

    Raises:
        UsageError: it is.
    """
    from neuropack.errors import UsageError

    if release is not None and path.resolve().is_relative_to(release.resolve()):
        raise UsageError(
            "lies in the release, which would not be the one that was checked",
            file=path,
            fix="name a place outside",
        )


def show(report: Report, form: Form, outputs: dict[Path, str], fail_on: Threshold, release: Path | None) -> None:
    """Print the report in one form and write it in others.

    Args:
        report: the report.
        form: how to print it.
        outputs: the form of each file to write.
        fail_on: the least level that fails, for the forms that tell what failed.
        release: where the pictures of a page come from; none without it.

    Raises:
        OutputError: a file cannot be written.
    """
    from neuropack.whole import published

    made: dict[str, str] = {}  # each form once: the pictures of a page take a moment

    def text(name: str) -> str:
        if name not in made:
            made[name] = _text(report, name, fail_on, release)
        return made[name]

    for path, name in outputs.items():
        with published(path, overwrite=True) as partial:
            partial.write_text(text(name).rstrip("\n") + "\n", encoding="utf-8", newline="\n")
    if form == "github" and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
        _append(Path(summary), text("summary"))
    typer.echo(_for_terminal(report) if form == "text" and sys.stdout.isatty() else text(form))


def _text(report: Report, name: str, fail_on: Threshold, release: Path | None) -> str:
    from neuropack import report as reports
    from neuropack.report.github import to_github, to_summary
    from neuropack.report.html import to_html
    from neuropack.report.junit import to_junit
    from neuropack.report.sarif import to_sarif

    makers: dict[str, Callable[[], str]] = {
        "text": lambda: reports.to_text(report),
        "json": lambda: reports.to_json(report),
        "jsonl": lambda: reports.to_jsonl(report),
        "sarif": lambda: to_sarif(report),
        "junit": lambda: to_junit(report, "error" if fail_on == "never" else fail_on),
        "html": lambda: to_html(report, _pictures(report, release)),
        "github": lambda: to_github(report),
        "summary": lambda: to_summary(report),
    }
    return makers[name]()


def _pictures(report: Report, release: Path | None) -> list[Thumbnail]:
    if release is None:
        return []
    from neuropack.page.thumbnails import thumbnails

    return thumbnails(release, report)


def _for_terminal(report: Report) -> str:
    import shutil

    from neuropack.report import to_text

    return to_text(report, shutil.get_terminal_size().columns)


def _append(path: Path, text: str) -> None:
    from neuropack.errors import OutputError

    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise OutputError(
            f"cannot be written: {error.strerror}", file=path, fix="unset GITHUB_STEP_SUMMARY, or mend it"
        ) from error
