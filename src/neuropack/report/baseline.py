"""A baseline: findings that somebody accepts for a while, with the reason, who, and the last day.

It lies outside of the release, which does not carry its own pardon. Nothing is accepted for ever: an entry that is
over accepts nothing, and one that is left over is told.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

from neuropack.errors import InputError
from neuropack.issue import Accepted, Issue, Report, RuleDoc, Where
from neuropack.report.docs import EXPIRED, STALE
from neuropack.report.places import is_outside
from neuropack.study.records import suggestion
from neuropack.study.yaml import Node, Place, Problem, StudyError, load

NEEDED = ("rule", "file", "reason", "by", "until")
FIELDS = (*NEEDED, "path")
EXAMPLE = 'accepted: and below it "- {rule: , file: , reason: , by: , until: }"'


@dataclass(frozen=True)
class Entry:
    """What is accepted.

    Attributes:
        rule: the rule whose findings they are.
        file: the file of the release, in which ``*`` stands for anything; "." alone for the release as a whole.
        path: the place in the file; None for any.
        reason, by: why, and who decided it.
        until: the last day on which it counts.
        line, column: of the entry in the baseline.
    """

    rule: str
    file: str
    path: str | None
    reason: str
    by: str
    until: date
    line: int
    column: int

    def covers(self, issue: Issue) -> bool:
        """True for a finding that this entry is about."""
        where = issue.where
        if issue.rule != self.rule or self.path not in (None, where.path):
            return False
        # "." is where a rule that crashed or was stopped says so: it has not looked at all files
        return where.file == self.file or (where.file != "." and fnmatchcase(where.file, self.file))


def read_baseline(path: Path) -> list[Entry]:
    """The entries of a baseline.

    Raises:
        InputError: the file cannot be read; or everything that is wrong with it, each with line and column.
    """
    problems: list[Problem] = []
    try:
        if not path.read_bytes().strip():
            raise InputError("is empty", file=path, expected=EXAMPLE, fix="write a baseline: --write-baseline FILE")
        root = load(path, problems)
    except OSError as error:
        fix = "neuropack validate RELEASE --write-baseline FILE writes one"
        raise InputError(f"cannot be read: {error.strerror}", file=path, fix=fix) from error
    except StudyError as error:
        raise _wrong(path, list(error.problems)) from error
    listed = root.get("accepted")
    if listed is None or not isinstance(listed.value, list):
        problems.append(Problem((listed or root).at, "holds no list of what is accepted", EXAMPLE, root.shown()))
    for key, node in root.items.items():
        if key != "accepted":
            problems.append(_unknown(key, node, ("accepted",)))
    entries = [_entry(node, problems) for node in (listed.entries if listed else [])]
    if problems:
        raise _wrong(path, problems)
    return [entry for entry in entries if entry is not None]


def _wrong(path: Path, problems: list[Problem]) -> InputError:
    told = [p.told(str(path)) for p in sorted(problems, key=lambda p: p.at)]
    lines = "\n".join(told[1:])
    return InputError(told[0] + ("\n" + lines if lines else ""))


def _unknown(key: str, node: Node, known: tuple[str, ...]) -> Problem:
    fix = suggestion(key, known)
    return Problem(node.key_at or node.at, f"a baseline has no field {key!r}", found=key, fix=fix)


def _entry(node: Node, problems: list[Problem]) -> Entry | None:
    if not isinstance(node.value, dict):
        problems.append(Problem(node.at, "is no entry of a baseline", ", ".join(NEEDED), node.shown()))
        return None
    before = len(problems)
    problems.extend(_unknown(key, child, FIELDS) for key, child in node.items.items() if key not in FIELDS)
    text = {}
    for name in FIELDS:
        child = node.get(name)
        if child is not None and not isinstance(child.value, dict | list) and child.text.strip():
            text[name] = child.text  # a file may end with a blank
        elif name in NEEDED:
            fix = {
                "until": "until: 2027-01-31, the last day on which it counts",
                "reason": "reason: and why this may stay for a while",
                "by": "by: and the name of who decided it",
            }.get(name, f"{name}: and what the report says")
            at: Place = (child.key_at or child.at) if child is not None else node.at
            problems.append(Problem(at, f"an entry without {name}", f"a {name}", fix=f"write {fix}"))
    until = _day(text["until"]) if "until" in text else None
    if "until" in text and until is None:
        at = node.value["until"].at
        problems.append(Problem(at, "until is no day", "ISO 8601, such as 2027-01-31", text["until"]))
    if len(problems) > before or until is None:
        return None
    at = node.at
    found = (text["rule"], text["file"], text.get("path"), text["reason"], text["by"])
    return Entry(*found, until, at[0], at[1])


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == len("2027-01-31") else None
    except ValueError:
        return None


def judged(report: Report, entries: list[Entry], file: str, today: date) -> Report:
    """The report with what the entries accept taken out of what counts, and remarks on the baseline added.

    Args:
        report: what was found; what another baseline accepted of it counts again.
        entries: the baseline.
        file: its path, for the remarks.
        today: the day on which they count.
    """
    found = _found(report)
    left: list[Issue] = []
    accepted: list[Accepted] = []
    for issue in found:
        valid = next((e for e in entries if e.until >= today and e.covers(issue)), None)
        if valid is None:
            left.append(issue)
        else:
            accepted.append(Accepted(issue, valid.reason, valid.by, valid.until.isoformat()))
    for entry in entries:
        covered = sum(entry.covers(issue) for issue in found)
        if not covered:
            left.append(_stale(entry, file, report.rules))
        elif entry.until < today:
            left.append(_expired(entry, file, covered))
    return replace(report, issues=left, accepted=accepted)


def _found(report: Report) -> list[Issue]:
    """What was found in the release, whether a baseline accepted it or not."""
    return [i for i in [*report.issues, *(a.issue for a in report.accepted)] if not is_outside(i)]


def _place(entry: Entry, file: str) -> Where:
    return Where(file, line=entry.line, column=entry.column)


def _stale(entry: Entry, file: str, rules: list[RuleDoc]) -> Issue:
    names = [rule.id for rule in rules]
    unknown = bool(names) and entry.rule not in names
    found = f"no rule {entry.rule} was asked" if unknown else f"none of {entry.rule} at {entry.file}"
    fix = "remove the entry" if not unknown else suggestion(entry.rule, names, "remove the entry, or name a rule")
    return Issue(STALE.id, STALE.level, _place(entry, file), "a finding that it accepts", found, fix)


def _expired(entry: Entry, file: str, covered: int) -> Issue:
    found = f"until {entry.until.isoformat()}, by {entry.by}: {entry.reason}; {covered} of {entry.rule} count again"
    fix = "mend the fault, or decide anew until when it may stay"
    return Issue(EXPIRED.id, EXPIRED.level, _place(entry, file), "a day that is not over", found, fix)


def baseline_text(report: Report, *, by: str, until: date, reason: str) -> tuple[str, list[Issue]]:
    """A baseline for all that was found, and what it leaves out: rules that did not run to their end."""
    found = _found(report)
    left = [i for i in found if i.where.file == "."]
    entries = dict.fromkeys(
        (i.rule, glob.escape(i.where.file), i.where.path or "") for i in found if i.where.file != "."
    )
    lines = ["# Findings that are accepted for a while; * in file stands for anything.", "accepted:"]
    for rule, file, path in entries:
        fields = {"rule": rule, "file": file, "path": path, "reason": reason, "by": by, "until": until.isoformat()}
        given = [f"{name}: {_quoted(value)}" for name, value in fields.items() if value]
        lines.append("  - " + "\n    ".join(given))
    return "\n".join(lines if entries else [lines[0], "accepted: []"]) + "\n", left


def _quoted(text: str) -> str:
    """Text as YAML in double quotes; what is no printable character is written as its number."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
