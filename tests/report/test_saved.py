"""A saved report is read again whole, and what is none gets one message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from reports import report

from neuropack.cli import main
from neuropack.errors import InputError
from neuropack.report import to_json
from neuropack.report.saved import read_report


def test_a_saved_report_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(to_json(report()), encoding="utf-8")
    assert read_report(tmp_path / "report.json") == report()


@pytest.mark.parametrize("form", ["text", "json", "jsonl", "sarif", "junit", "html", "github"])
def test_every_form_is_made_without_the_release(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    (tmp_path / "report.json").write_text(to_json(report()), encoding="utf-8")
    assert main(["validate", "--load", str(tmp_path / "report.json"), "--format", form]) == 1
    assert "files.digest" in capsys.readouterr().out
    status = main(["validate", "--load", str(tmp_path / "report.json"), "--format", form, "--fail-on", "never"])
    assert status == 0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "without issues"),
        ('{"issues": [], "counts": {}}', "without issues, counts and checked"),
        ('{"issues": [{"rule": "a.b"}], "counts": {}, "checked": {}}', "Field required"),
        ('{"issues": [], "counts": {"error": 3}, "checked": {}}', "but the issues are"),
        ('{"issues": [], "counts": {}, "checked": {"files": "many"}}', "valid integer"),
    ],
)
def test_what_is_no_report_says_so(text: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_report(path)
    assert caught.value.what == "is no saved report"
    assert found in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_report_of_before_accepted_and_rules_is_read(tmp_path: Path) -> None:
    whole = json.loads(to_json(report()))
    old = {name: whole[name] for name in ("clean", "counts", "issues", "checked")}
    (tmp_path / "old.json").write_text(json.dumps(old), encoding="utf-8")
    read = read_report(tmp_path / "old.json")
    assert (read.issues, read.accepted, read.rules) == (report().issues, [], [])


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--load", str(tmp_path / "none.json")]) == 3
    assert "none.json" in capsys.readouterr().err
