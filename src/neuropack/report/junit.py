"""A report as JUnit XML, which every CI shows: a suite a topic, a test case a rule.

A rule fails here with findings at the level that fails the run; what is below it, and what is accepted, stands in
the output of the case. A rule that did not run is skipped.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import groupby

from neuropack.issue import LEVELS, Accepted, Issue, Level, Report, RuleDoc
from neuropack.report.docs import documented
from neuropack.report.places import from_tree
from neuropack.report.text import summary

# what XML 1.0 cannot hold, not even as a reference; half characters as well
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(report: Report, fail_on: Level = "error") -> str:
    """The report as JUnit XML.

    Args:
        report: the report.
        fail_on: the least level of a finding that makes its test case fail.
    """
    root = ET.Element("testsuites", name="neuropack")
    total = failed = skipped = 0
    rules = sorted(documented(report), key=lambda r: r.id.split(".")[0])  # stable: the order of each topic stays
    for topic, group in groupby(rules, key=lambda r: r.id.split(".")[0]):
        suite = ET.SubElement(root, "testsuite", name=topic)
        cases = [_case(suite, rule, report, fail_on) for rule in group]
        marks = {"tests": len(cases), "failures": cases.count("failure"), "errors": 0}
        marks["skipped"] = cases.count("skipped")
        suite.attrib.update({name: str(n) for name, n in marks.items()})
        total, failed, skipped = total + len(cases), failed + marks["failures"], skipped + marks["skipped"]
    root.attrib.update(tests=str(total), failures=str(failed), errors="0", skipped=str(skipped))
    ET.SubElement(ET.SubElement(root, "testsuite", name="summary", tests="0"), "system-out").text = _clean(
        summary(report)
    )
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _case(suite: ET.Element, rule: RuleDoc, report: Report, fail_on: Level) -> str:
    """Add the test case of a rule; ``failure``, ``skipped`` or ``passed``."""
    found = [i for i in report.issues if i.rule == rule.id]
    failing = [i for i in found if LEVELS.index(i.level) <= LEVELS.index(fail_on)]
    accepted = [a for a in report.accepted if a.issue.rule == rule.id]
    case = ET.SubElement(suite, "testcase", classname=f"neuropack.{suite.get('name')}", name=rule.id, time="0")
    if found:
        case.set("file", _clean(from_tree(report, found[0])))
    skipped = bool(rule.not_run) and not found
    if skipped:
        ET.SubElement(case, "skipped", message=_clean(rule.not_run))
    if failing:
        word = f"{len(failing)} findings, first " if len(failing) > 1 else ""
        message = f"{word}{failing[0].where}: expected {failing[0].expected}, found {failing[0].found}"
        failure = ET.SubElement(case, "failure", type=failing[0].level, message=_clean(message))
        failure.text = _clean("\n\n".join(_told(i) for i in failing))
    rest = [i for i in found if i not in failing]
    if rest or accepted:
        ET.SubElement(case, "system-out").text = _clean(_output(rest, accepted))
    return "skipped" if skipped else "failure" if failing else "passed"


def _output(rest: Sequence[Issue], accepted: Sequence[Accepted]) -> str:
    told = [f"{i.level} {_told(i)}" for i in rest]
    return "\n\n".join([*told, *(f"accepted: {a}\n{_told(a.issue)}" for a in accepted)])


def _told(issue: Issue) -> str:
    return f"{issue.where}\n  expected: {issue.expected}\n  found: {issue.found}\n  to do: {issue.fix}"


def _clean(text: str) -> str:
    r"""The text with what XML cannot hold written as ``\x1b``."""
    return _NO_XML.sub(lambda m: m[0].encode("unicode_escape", "surrogatepass").decode(), text)
