"""A report as text for a person and as JSON for a program."""

from __future__ import annotations

import json
import textwrap
from itertools import groupby

from neuropack.issue import LEVELS, Checked, Issue, Level, Report


def to_json(report: Report) -> str:
    """The report as one JSON object: clean, counts, issues, checked."""
    return json.dumps(report.to_dict(), indent=2, ensure_ascii=False)


def to_text(report: Report, width: int | None = None) -> str:
    """The report for a person: the worst first, by rule; the last line sums up.

    Args:
        report: the report.
        width: columns of the terminal, to which sentences are wrapped; without it each stays on one line.
    """
    worst_first = sorted(report.issues, key=lambda i: LEVELS.index(i.level))
    paragraphs = []
    for (level, rule), issues in groupby(worst_first, key=lambda i: (i.level, i.rule)):
        found = list(issues)
        count = f"  ({len(found)})" if len(found) > 1 else ""
        paragraphs.append("\n".join([f"{level}  {rule}{count}", *(_issue(i, width) for i in found)]) + "\n")
    notes = [_wrapped("", _printable(f"note: {note}"), width) for note in report.checked.notes]
    return "\n".join([*paragraphs, *notes, _wrapped("", _summary(report), width)])


def fails(report: Report, level: Level) -> bool:
    """True where the report has an issue at this level or a worse one."""
    return any(report.counts[name] for name in LEVELS[: LEVELS.index(level) + 1])


def _issue(issue: Issue, width: int | None) -> str:
    told = (("expected", issue.expected), ("found", issue.found), ("to do", issue.fix))
    lines = [_wrapped(f"    {label + ':':<10}", _printable(text), width) for label, text in told]
    return "\n".join([_printable(f"  {issue.where}"), *lines])


def _wrapped(label: str, text: str, width: int | None) -> str:
    """A sentence beside its label, wrapped beside it as well; a path is never broken, so that it can be copied."""
    if width is None or len(label + text) <= width:
        return label + text
    lines = textwrap.wrap(text, max(width - len(label), 20), break_long_words=False, break_on_hyphens=False)
    return label + ("\n" + " " * len(label)).join(lines)


def _summary(report: Report) -> str:
    named = {"error": "error", "warning": "warning", "info": "remark"}
    counts = ", ".join(f"{n} {named[level]}{'s' * (n != 1)}" for level, n in report.counts.items())
    seen = report.checked
    return (
        f"{'clean' if report.clean else 'not clean'}: {counts}; checked {seen.files} files, {_size(seen.bytes)}, "
        f"by {seen.rules} rules, {_size(seen.decoded_bytes)} of pixels decoded; {_depth(seen)}"
    )


def _depth(seen: Checked) -> str:
    """How much was read, and what was not: a check that was left out was not passed."""
    seed = f", seed {seen.seed}" if seen.level == "sample" else ""
    parts = [f"level {seen.level}{seed}: {seen.chunks:,} of {seen.all_chunks:,} chunks decoded"]
    if seen.level == "quick":
        parts = ["level quick: no chunk decoded"]
    elif seen.kept:
        parts.append(f"{seen.kept:,} of them in an earlier run")
    if seen.level == "sample" and seen.digests < seen.all_digests:
        parts.append(f"{seen.digests:,} of {seen.all_digests:,} digests compared")
    if (n := len(seen.left_out)) > 0:
        which = "sample or full" if seen.level == "quick" else "full"
        parts.append(f"{n} rule{'s' * (n != 1)} need{'s' * (n == 1)} --level {which}")
    return "; ".join(parts)


def _size(count: int) -> str:
    size, unit = float(count), 0
    while size >= 1000 and unit < 4:
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[unit]}" if unit else f"{count} B"


def _printable(line: str) -> str:
    """A line without control characters: the names in a release are not trusted with somebody's terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
