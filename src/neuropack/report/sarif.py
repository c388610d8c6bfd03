"""A report as SARIF 2.1.0, the interchange format of static analysis (OASIS, errata 01).

Files are named from the folder in which the check ran where the release lies in it, because code scanning of GitHub
takes no notice of `originalUriBaseIds` and finds them from the root of the repository; else from the release.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import quote

from neuropack.issue import Issue, Report, RuleDoc
from neuropack.report.docs import documented
from neuropack.report.places import from_tree, inside_tree, is_outside
from neuropack.report.text import summary
from neuropack.rules.rule import MANUAL

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
ROOT = "RELEASE"  # the base of files where the release lies elsewhere
TREE = "%SRCROOT%"  # the base where it lies below the folder of the run
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def to_sarif(report: Report) -> str:
    """The report as a SARIF log with one run; accepted findings are suppressed results."""
    import neuropack

    rules = documented(report)
    index = {rule.id: i for i, rule in enumerate(rules)}
    prints: Counter[str] = Counter()
    results = [_result(report, issue, index, prints) for issue in report.issues]
    for one in report.accepted:
        told = [{"kind": "external", "status": "accepted", "justification": str(one)}]
        results.append(_result(report, one.issue, index, prints) | {"suppressions": told})
    if report.accepted:  # a log that suppresses anything says of each result whether it does
        results = [{**result, "suppressions": result.get("suppressions", [])} for result in results]
    driver = {
        "name": "neuropack",
        "version": neuropack.__version__,
        "informationUri": MANUAL,
        "rules": [_rule(rule) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [_invocation(rules, index)],
        "originalUriBaseIds": _bases(report),
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {"checked": asdict(report.checked), "summary": summary(report)},
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False)


def _rule(rule: RuleDoc) -> dict[str, Any]:
    doc = rule.doc or rule.id
    made: dict[str, Any] = {
        "id": rule.id,
        "shortDescription": {"text": rule.wants or rule.id},
        "fullDescription": {"text": " ".join(doc.split())},
        "help": {"text": doc},
        "defaultConfiguration": {"level": _LEVELS[rule.level]},
        "properties": {"tags": [rule.id.split(".")[0]], "reads": rule.reads},
    }
    return made | ({"helpUri": rule.url} if rule.url else {})


def _invocation(rules: list[RuleDoc], index: dict[str, int]) -> dict[str, Any]:
    off = [
        {
            "descriptor": {"id": r.id, "index": index[r.id]},
            "configuration": {"enabled": False},
            "properties": {"why": r.not_run},
        }
        for r in rules
        if r.not_run
    ]
    return {"executionSuccessful": True} | ({"ruleConfigurationOverrides": off} if off else {})


def _bases(report: Report) -> dict[str, Any]:
    tree = {TREE: {"description": {"text": "the folder in which neuropack ran"}}}
    if inside_tree(report):
        return tree
    kind = PurePosixPath if PurePosixPath(report.release).is_absolute() else PureWindowsPath
    return {**tree, ROOT: {"uri": kind(report.release).as_uri().rstrip("/") + "/"}}


def _result(report: Report, issue: Issue, index: dict[str, int], prints: Counter[str]) -> dict[str, Any]:
    where = issue.where
    base = TREE if inside_tree(report) or is_outside(issue) else ROOT
    uri = quote(from_tree(report, issue))  # a colon too, which would end a scheme
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri, "uriBaseId": base}}
    if where.line is not None:
        column = {} if where.column is None else {"startColumn": where.column}
        physical["region"] = {"startLine": where.line, **column}
    location: dict[str, Any] = {"physicalLocation": physical}
    if where.path:
        kind = "property" if where.file.endswith(".json") else "object"
        location["logicalLocations"] = [{"fullyQualifiedName": where.path, "kind": kind}]
    key = "\n".join((issue.rule, where.file, where.path or ""))
    prints[key] += 1  # the place alone, for what is found there changes; its number among those of one place
    digest = hashlib.sha256(f"{key}\n{prints[key]}".encode()).hexdigest()
    return {
        "ruleId": issue.rule,
        "ruleIndex": index[issue.rule],
        "level": _LEVELS[issue.level],
        "message": {"text": f"Expected: {issue.expected}\nFound: {issue.found}\nTo do: {issue.fix}"},
        "locations": [location],
        "partialFingerprints": {"place/v1": digest},
        "properties": {"expected": issue.expected, "found": issue.found, "fix": issue.fix},
    }
