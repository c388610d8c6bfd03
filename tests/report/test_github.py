"""Annotations of GitHub: commands that hold, whatever the release is called, and a summary without markup."""

from __future__ import annotations

import html
import re

from reports import EVIL, report

from neuropack.issue import Issue, Report, Where
from neuropack.report.github import MOST_ANNOTATIONS, MOST_ROWS, to_github, to_summary


def unescaped(text: str, *more: tuple[str, str]) -> str:
    """What the runner makes of a value; the order is its own."""
    for mark, code in (("\r", "%0D"), ("\n", "%0A"), *more, ("%", "%25")):
        text = text.replace(code, mark)
    return text


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Commands as the runner reads them: name, properties, message."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
        if match:
            parts = dict(part.split("=", 1) for part in match[2].split(","))
            values = {k: unescaped(v, (":", "%3A"), (",", "%2C")) for k, v in parts.items()}
            found.append((match[1], values, unescaped(match[3])))
    return found


def test_each_finding_is_one_command_that_comes_back_whole() -> None:
    found = commands(to_github(report()))
    assert [name for name, _, _ in found] == ["error", "error", "warning", "notice", "notice"]
    _, properties, message = found[0]
    assert properties == {"file": "data/release/sub M01/a%b:c,d.json", "line": "3", "title": "files.digest"}
    assert message.splitlines()[-2:] == ["to do: restore", "it"]
    assert " %0A | `code`" in message  # which stands so in the release, and is no end of a line
    assert found[2][1]["col"] == "5"
    assert found[4][1]["title"] == "accepted files.names"


def test_no_line_begins_with_what_a_release_says() -> None:
    lines = to_github(report()).splitlines()
    assert len(lines) == 6
    assert all(re.match(r"::(error|warning|notice) (file|title)=", line) for line in lines[:-1])
    assert lines[-1].startswith("neuropack: not clean: 2 errors, 1 warning, 1 remark, 1 accepted; checked 12 files")


def test_no_more_are_told_than_are_shown() -> None:
    issue = Issue("a.b", "error", Where("f"), "x", "y", "z")
    lines = to_github(Report([issue] * (MOST_ANNOTATIONS + 5))).splitlines()
    assert len(lines) == MOST_ANNOTATIONS + 2
    assert lines[-2].endswith("::5 more findings are in the summary and in the other reports")
    assert to_summary(Report([issue] * (MOST_ROWS + 7))).count("| a.b |") == MOST_ROWS
    assert "and 7 more" in to_summary(Report([issue] * (MOST_ROWS + 7)))


def test_summary_is_a_table_in_which_nothing_is_markup() -> None:
    text = to_summary(report())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {7, 4}  # six cells; three of what is accepted
    for mark in ("<img", "<b>", "`code`", "](http://b.c", "@me"):
        assert mark not in text
    assert EVIL[:20] in html.unescape(text)
    assert "(https://neuropack.readthedocs.io/reference/rules/files.digest.html)" in text
    assert "published so" in text
