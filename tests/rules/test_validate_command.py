"""The commands validate and explain: exit statuses, and one kind of output on each stream."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neuropack.cli import main
from neuropack.rules import load_rules
from neuropack.rules.explain import pages
from neuropack.rules.rule import READS

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
LAB = '''
from neuropack.rules import Finding, rule


@rule(id="lab.readme", level="warning", reads="names")
def readme(release):
    """There is a README."""
    if "README.md" not in release.files:
        yield Finding("README.md", "a README", "none", "write one")
'''


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    (tmp_path / "release").mkdir()
    return tmp_path / "release"


@pytest.mark.parametrize("flag", [["--json"], ["--format", "json"]])
def test_json_is_all_that_is_printed(flag: list[str], broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(broken), *flag]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["clean"] is False
    assert err == ""


def test_text(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(broken)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "error  files.manifest" in lines
    assert lines[-1].startswith("not clean: ")


def test_rules_of_a_lab(broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "readme.py").write_text(LAB)
    main(["validate", str(broken), "--rules", str(tmp_path / "lab"), "--json"])
    assert "lab.readme" in {i["rule"] for i in json.loads(capsys.readouterr().out)["issues"]}
    assert main(["explain", "lab.readme", "--rules", str(tmp_path / "lab")]) == 0
    assert "There is a README." in capsys.readouterr().out


@pytest.mark.parametrize(("name", "status"), [("absent", 3), ("file", 2)])
def test_what_cannot_be_validated(
    name: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    assert main(["validate", str(tmp_path / name)]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert str(tmp_path / name) in err


def test_broken_rules_stop_before_the_release_is_read(broken: Path, tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "broken.py").write_text("def (")
    assert main(["validate", str(broken), "--rules", str(tmp_path / "lab")]) == 2


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "files.digest"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"files.digest  (error; reads {READS['bytes']})\n\nEvery file has the SHA-256 digest")
    assert main(["explain", "--list", "--json"]) == 0
    assert [r["id"] for r in json.loads(capsys.readouterr().out)] == [r.id for r in load_rules()]
    assert main(["explain", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(load_rules())


def test_explain_helps_with_a_misspelt_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "files.digset"]) == 2
    assert "did you mean files.digest?" in capsys.readouterr().err
    assert main(["explain"]) == 2
    assert main(["explain", "files.digest", "--list"]) == 2


def test_pages_of_the_manual_are_fresh() -> None:
    there = {p.relative_to(REFERENCE).as_posix(): p for p in (REFERENCE / "rules.md", *REFERENCE.glob("rules/*"))}
    stale = [n for n, text in pages(load_rules()).items() if n not in there or there[n].read_text("utf-8") != text]
    assert stale == [], "make them again: make rules"
    assert there.keys() == pages(load_rules()).keys(), "make them again: make rules"


def test_pages_are_written_and_those_of_rules_that_are_gone_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "--pages", str(tmp_path)]) == 0
    page = tmp_path / "rules" / "files.digest.md"
    assert page.read_text("utf-8") == (REFERENCE / "rules" / "files.digest.md").read_text("utf-8")
    page.rename(tmp_path / "rules" / "files.gone.md")
    (tmp_path / "rules" / "notes.md").write_text("of somebody")
    assert main(["explain", "--pages", str(tmp_path)]) == 0
    assert page.exists()
    assert not (tmp_path / "rules" / "files.gone.md").exists()
    assert (tmp_path / "rules" / "notes.md").exists()
    assert main(["explain", "files.digest", "--format", "markdown"]) == 0
    assert capsys.readouterr().out.endswith(page.read_text("utf-8"))


def test_a_page_says_what_why_how_and_where() -> None:
    text = pages(load_rules())["rules/files.digest.md"]
    parts = ("# files.digest\n", "## Why\n", "## How to mend it\n", "| level | error |", "`validators/files.py`")
    assert [part for part in parts if part not in text] == []


def test_warnings_fail_only_where_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import neuropack.rules
    from neuropack.issue import Issue, Report, Where

    warned = Report([Issue("a.b", "warning", Where("f"), "x", "y", "z")])
    monkeypatch.setattr(neuropack.rules, "check", lambda *_, **__: warned)
    assert main(["validate", str(tmp_path)]) == 0
    assert main(["validate", str(tmp_path), "--fail-on", "warning"]) == 1
