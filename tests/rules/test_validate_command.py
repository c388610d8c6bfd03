"""The commands validate and explain: exit statuses, and one kind of output on each stream."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neuropack.cli import main
from neuropack.rules import load_rules
from neuropack.rules.explain import as_markdown

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "rules.md"
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
    assert text.startswith("files.digest  (error; reads every byte)\n\nEvery file has the SHA-256 digest")
    assert main(["explain", "--list", "--json"]) == 0
    assert [r["id"] for r in json.loads(capsys.readouterr().out)] == [r.id for r in load_rules()]
    assert main(["explain", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(load_rules())


def test_explain_helps_with_a_misspelt_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "files.digset"]) == 2
    assert "did you mean files.digest?" in capsys.readouterr().err
    assert main(["explain"]) == 2
    assert main(["explain", "files.digest", "--list"]) == 2


def test_page_of_the_manual_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == as_markdown(load_rules()), (
        "make it again: neuropack explain --list --format markdown > docs/reference/rules.md"
    )


def test_warnings_fail_only_where_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import neuropack.rules
    from neuropack.issue import Issue, Report, Where

    warned = Report([Issue("a.b", "warning", Where("f"), "x", "y", "z")])
    monkeypatch.setattr(neuropack.rules, "check", lambda *_, **__: warned)
    assert main(["validate", str(tmp_path)]) == 0
    assert main(["validate", str(tmp_path), "--fail-on", "warning"]) == 1
