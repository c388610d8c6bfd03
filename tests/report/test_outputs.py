"""Where reports go: files by the ending of their names, whole or not at all, and never into the release."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from reports import report

from neuropack.cli import main
from neuropack.report import to_json

BEGINNINGS = {
    "r.txt": "error  files.digest",
    "r.json": "{",
    "r.jsonl": '{"kind": "issue"',
    "r.sarif": "{",
    "r.sarif.json": "{",
    "r.xml": "<?xml",
    "r.html": "<!doctype html>",
    "r.md": "## neuropack validate",
}


@pytest.fixture
def saved(tmp_path: Path) -> str:
    (tmp_path / "saved.json").write_text(to_json(report()), encoding="utf-8")
    return str(tmp_path / "saved.json")


def test_several_files_each_in_the_form_of_its_ending(
    saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.html").write_text("an older report")
    options = [word for name in BEGINNINGS for word in ("--output", str(tmp_path / name))]
    assert main(["validate", "--load", saved, *options]) == 1
    for name, beginning in BEGINNINGS.items():
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(beginning), name
    assert "runs" in json.loads((tmp_path / "r.sarif.json").read_text(encoding="utf-8"))
    assert capsys.readouterr().out.startswith("error  files.digest")
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(("name", "status"), [("r.pdf", 2), ("report", 2), ("none/r.json", 3)])
def test_what_cannot_be_written_is_told_before_the_work(
    name: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # the saved report is not even there: nothing was read before
    assert main(["validate", "--load", "absent.json", "--output", str(tmp_path / name)]) == status
    assert str(tmp_path / name) in capsys.readouterr().err


def test_a_release_is_not_written_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(tmp_path), "--output", str(tmp_path / "r.html")]) == 2
    assert "lies in the release" in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_a_step_of_github_gets_its_summary(
    saved: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("of an earlier step\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert main(["validate", "--load", saved]) == 1
    assert summary.read_text() == "of an earlier step\n"
    assert main(["validate", "--load", saved, "--format", "github"]) == 1
    assert summary.read_text(encoding="utf-8").startswith("of an earlier step\n## neuropack validate\n")
    assert capsys.readouterr().out.count("::error file=data/release/") == 2
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert main(["validate", "--load", saved, "--format", "github"]) == 3


@pytest.mark.parametrize("line", [[], ["release", "--load", "r.json"]])
def test_either_a_release_or_a_saved_report(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", *line]) == 2
    assert "either a release or --load" in capsys.readouterr().err
