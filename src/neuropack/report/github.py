"""A report as annotations of GitHub Actions, and as the Markdown that a step shows as its summary.

Everything that comes from a release is escaped: a line that begins with ``::`` is a command to the runner.
"""

from __future__ import annotations

from neuropack.issue import LEVELS, Issue, Report
from neuropack.report.docs import documented
from neuropack.report.places import from_tree
from neuropack.report.text import summary
from neuropack.report.words import printable, shortened

MOST_ANNOTATIONS = 10  # of each level: GitHub shows no more of one step
MOST_ROWS = 200
MOST_TEXT = 500  # characters of one value
# a colon could make a link, and an at call a person
_MARKUP = {ord(mark): f"&#{ord(mark)};" for mark in "&<>\"'\\`*_[]|~#@:"} | {ord("\n"): "<br>"}
_WORDS = {"error": "error", "warning": "warning", "info": "notice"}
_MARKS = {"error": "\u274c error", "warning": "\u26a0\ufe0f warning", "info": "\u2139\ufe0f remark"}


def to_github(report: Report) -> str:
    """Workflow commands, the worst first, and a last line that sums up."""
    lines, left = [], 0
    for level in LEVELS:
        found = [i for i in report.issues if i.level == level]
        lines += [_command(report, issue) for issue in found[:MOST_ANNOTATIONS]]
        left += max(0, len(found) - MOST_ANNOTATIONS)
    if left:
        lines.append(f"::notice title=neuropack::{left} more findings are in the summary and in the other reports")
    lines += [
        f"::notice title={_property(f'accepted {a.issue.rule}')}::{_data(f'{a.issue.where}: {a}')}"
        for a in report.accepted[:MOST_ANNOTATIONS]
    ]
    return "\n".join([*lines, printable(f"neuropack: {summary(report)}")])


def to_summary(report: Report) -> str:
    """Markdown for ``$GITHUB_STEP_SUMMARY``, in which at most `MOST_ROWS` findings are listed."""
    worst_first = sorted(report.issues, key=lambda i: LEVELS.index(i.level))
    lines = ["## neuropack validate", "", _markdown(summary(report)), ""]
    if worst_first:
        urls = {rule.id: rule.url for rule in documented(report)}
        lines += ["| | rule | place | expected | found | to do |", "|---|---|---|---|---|---|"]
        for issue in worst_first[:MOST_ROWS]:
            rule = _markdown(issue.rule)
            rule = f"[{rule}]({urls[issue.rule]})" if urls[issue.rule] else rule
            cells = [str(issue.where), issue.expected, issue.found, issue.fix]
            lines.append(f"| {_MARKS[issue.level]} | {rule} | {' | '.join(map(_markdown, cells))} |")
        if len(worst_first) > MOST_ROWS:
            lines += ["", f"and {len(worst_first) - MOST_ROWS} more, in the other reports"]
    if report.accepted:
        lines += ["", f"### Accepted ({len(report.accepted)})", "", "| rule | place | reason |", "|---|---|---|"]
        for one in report.accepted[:MOST_ROWS]:
            cells = [one.issue.rule, str(one.issue.where), str(one)]
            lines.append(f"| {' | '.join(map(_markdown, cells))} |")
    return "\n".join(lines) + "\n"


def _command(report: Report, issue: Issue) -> str:
    where = issue.where
    parts = {"file": from_tree(report, issue), "line": where.line, "col": where.column, "title": issue.rule}
    given = ",".join(f"{k}={_property(str(v))}" for k, v in parts.items() if v is not None)
    told = (("expected", issue.expected), ("found", issue.found), ("to do", issue.fix))
    lines = [where.path or where.file, *(f"{word}: {shortened(text, MOST_TEXT)}" for word, text in told)]
    return f"::{_WORDS[issue.level]} {given}::{_data(chr(10).join(lines))}"


def _data(text: str) -> str:
    """A message as the runner reads it: lines in one, nothing that could begin another command."""
    return printable(text, "\r\n").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """A value of a property: there colon and comma end it, too."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _markdown(text: str) -> str:
    """Text for a cell of a table, in which nothing is markup: what could be is written as its number."""
    return printable(shortened(text, MOST_TEXT), "\n").translate(_MARKUP)
