"""The options of ``neuropack validate`` about findings that are accepted for a while."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from neuropack.cli.reported import outside_of
from neuropack.issue import Report

_PANEL = "Accepted findings"
Baseline = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", readable=False, help="Findings that are accepted for a while.", rich_help_panel=_PANEL
    ),
]
WriteBaseline = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", readable=False, help="Accept all that is found now, in a new file.", rich_help_panel=_PANEL
    ),
]
By = Annotated[str | None, typer.Option(metavar="NAME", help="Who accepts it.", rich_help_panel=_PANEL)]
Until = Annotated[
    str | None, typer.Option(metavar="DATE", help="The last day, such as 2027-01-31.", rich_help_panel=_PANEL)
]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why.", rich_help_panel=_PANEL)]


def asked(
    read: Path | None,
    write: Path | None,
    by: str | None,
    until: str | None,
    reason: str | None,
    release: Path | None,
) -> date | None:
    """See that the options fit together, before anything that takes time; the day of a baseline to write.

    Raises:
        UsageError: they do not.
        OutputError: there is no folder to write to.
    """
    from neuropack.cli.common import free
    from neuropack.errors import UsageError

    told = {"--by": by, "--until": until, "--reason": reason}
    if write is None:
        if any(told.values()):
            raise UsageError(f"{', '.join(told)} belong to --write-baseline", fix="add --write-baseline FILE")
        return None
    if read is not None:
        raise UsageError("--baseline and --write-baseline exclude each other", fix="give one of them")
    missing = [name for name, value in told.items() if not (value or "").strip()]
    if missing or until is None:
        raise UsageError(
            f"--write-baseline needs {' and '.join(missing)}", fix="say why, who decides it, and until which day"
        )
    outside_of(release, write)
    free(write, overwrite=False)
    try:
        return date.fromisoformat(until)
    except ValueError:
        raise UsageError("--until is no day", expected="ISO 8601, such as 2027-01-31", found=until) from None


def applied(
    report: Report, read: Path | None, write: Path | None, until: date | None, by: str | None, reason: str | None
) -> Report:
    """The report with what the baseline accepts taken out of what counts; the baseline is written first, if asked.

    Raises:
        InputError: the baseline is wrong.
        OutputError: it cannot be written.
    """
    from neuropack.report.baseline import baseline_text, judged, read_baseline
    from neuropack.whole import published

    if write is not None and until is not None:
        text, left = baseline_text(report, by=by or "", until=until, reason=reason or "")
        with published(write) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")
        made = judged(report, read_baseline(write), write.as_posix(), date.today())
        note = f"; {len(left)} left out, of rules that did not run to their end" if left else ""
        typer.echo(f"{write}: {len(made.accepted)} accepted until {until}{note}", err=True)
        return made
    if read is None:
        return report
    return judged(report, read_baseline(read), read.as_posix(), date.today())
