"""JUnit: read by a library of others, with a case a rule and nothing that XML cannot hold."""

from __future__ import annotations

from dataclasses import replace

import junitparser
import pytest
from reports import NOT_RUN, report

from neuropack.issue import Level, Report
from neuropack.report.junit import to_junit


def cases(made: Report, fail_on: Level = "error") -> dict[str, junitparser.TestCase]:
    read = junitparser.JUnitXml.fromstring(to_junit(made, fail_on).encode())
    return {case.name: case for suite in read for case in suite}


def words(case: junitparser.TestCase) -> list[str]:
    return [type(result).__name__ for result in case.result]


def test_a_case_a_rule_and_a_suite_a_topic() -> None:
    made = report()
    read = junitparser.JUnitXml.fromstring(to_junit(made).encode())
    assert {c.name for suite in read for c in suite} == {rule.id for rule in made.rules}
    assert [s.name for s in read] == ["files", "lab", "metadata", "ome-zarr", "summary"]
    assert (read.tests, read.failures, read.skipped) == (len(made.rules), 1, 1)


def test_failures_tell_all_places_and_escape_what_xml_cannot_hold() -> None:
    case = cases(report())["files.digest"]
    (failure,) = case.result
    assert failure.type == "error"
    assert failure.message.startswith("2 findings, first sub M01/a%b:c,d.json:3: expected sha256 0, found")
    assert "/acquisition/x" in failure.text
    assert "\\x1b[31m\\x00" in failure.text


def test_what_did_not_run_is_skipped_and_what_found_nothing_passes() -> None:
    found = cases(report())
    (skipped,) = found["ome-zarr.summary-pixels"].result
    assert words(found["ome-zarr.summary-pixels"]) == ["Skipped"]
    assert skipped.message == NOT_RUN
    assert words(found["files.manifest"]) == []


@pytest.mark.parametrize(("fail_on", "failing"), [("error", 0), ("warning", 1)])
def test_what_does_not_fail_the_run_is_output(fail_on: Level, failing: int) -> None:
    case = cases(report(), fail_on)["metadata.licence"]
    assert words(case).count("Failure") == failing
    assert bool(case.system_out and "/dataset/a~1b" in case.system_out) is not bool(failing)


def test_what_is_accepted_passes_with_its_reason() -> None:
    case = cases(report())["files.names"]
    assert words(case) == []
    assert case.system_out.startswith("accepted: published so <b> (Ada, until 2027-01-31)\nold:name.txt")


def test_what_is_accepted_of_a_rule_that_did_not_run_to_its_end_is_told() -> None:
    made = report()
    made.rules = [replace(rule, not_run=NOT_RUN) for rule in made.rules if rule.id == "files.names"]
    case = cases(made)["files.names"]
    assert words(case) == ["Skipped"]
    assert "published so" in (case.system_out or "")
