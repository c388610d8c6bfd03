"""A report as text for a person."""

from __future__ import annotations

import textwrap
from itertools import groupby

from neuropack.issue import LEVELS, Checked, Issue, Report
from neuropack.report.words import counts_text, printable
from neuropack.words import size_text


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
    for rule, those in groupby(sorted(report.accepted, key=lambda a: a.issue.rule), key=lambda a: a.issue.rule):
        told = [f"{_issue(a.issue, width)}\n{_wrapped('    accepted: ', printable(str(a)), width)}" for a in those]
        paragraphs.append("\n".join([f"accepted  {rule}", *told]) + "\n")
    notes = [_wrapped("", printable(f"note: {note}"), width) for note in report.checked.notes]
    return "\n".join([*paragraphs, *notes, _wrapped("", summary(report), width)])


def _issue(issue: Issue, width: int | None) -> str:
    told = (("expected", issue.expected), ("found", issue.found), ("to do", issue.fix))
    lines = [_wrapped(f"    {label + ':':<10}", printable(text), width) for label, text in told]
    return "\n".join([printable(f"  {issue.where}"), *lines])


def _wrapped(label: str, text: str, width: int | None) -> str:
    """A sentence beside its label, wrapped beside it as well; a path is never broken, so that it can be copied."""
    if width is None or len(label + text) <= width:
        return label + text
    lines = textwrap.wrap(text, max(width - len(label), 20), break_long_words=False, break_on_hyphens=False)
    return label + ("\n" + " " * len(label)).join(lines)


def summary(report: Report) -> str:
    """Whether the release is clean, how many issues there are, and how much was looked at, in one line."""
    seen = report.checked
    return (
        f"{'clean' if report.clean else 'not clean'}: {counts_text(report)}; checked {seen.files} files, "
        f"{size_text(seen.bytes)}, by {seen.rules} rules, {size_text(seen.decoded_bytes)} of pixels decoded; "
        f"{_depth(seen)}"
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
