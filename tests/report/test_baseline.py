"""Findings that are accepted for a while: what an entry covers, when it is over, and what is wrong with one."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from neuropack.cli import main
from neuropack.errors import InputError
from neuropack.issue import Issue, Report, RuleDoc, Where
from neuropack.report import to_json
from neuropack.report.baseline import Entry, baseline_text, judged, read_baseline

TODAY = date(2026, 11, 28)
RULES = [RuleDoc("files.names", "error"), RuleDoc("files.digest", "error")]
GOOD = """accepted:
  - rule: files.names
    file: "sub-M01/*"
    reason: published so
    by: Ada
    until: 2026-12-31
"""


def issue(file: str, rule: str = "files.names", path: str | None = None) -> Issue:
    return Issue(rule, "error", Where(file, path), "x", "y", "z")


def read(tmp_path: Path, text: str) -> list[Entry]:
    path = tmp_path / "baseline.yaml"
    path.write_text(text, encoding="utf-8")
    return read_baseline(path)


def apply(tmp_path: Path, text: str, *issues: Issue, today: date = TODAY) -> Report:
    return judged(Report(list(issues), rules=RULES), read(tmp_path, text), "b.yaml", today)


def test_what_an_entry_covers_is_accepted(tmp_path: Path) -> None:
    found = issue("sub-M01/a/b.tif"), issue("sub-M02/a.tif"), issue("sub-M01/a", "files.digest")
    made = apply(tmp_path, GOOD, *found)
    assert [a.issue.where.file for a in made.accepted] == ["sub-M01/a/b.tif"]
    assert str(made.accepted[0]) == "published so (Ada, until 2026-12-31)"
    assert [(i.rule, i.where.file) for i in made.issues] == [
        ("files.names", "sub-M02/a.tif"),
        ("files.digest", "sub-M01/a"),
    ]


def test_a_path_narrows_an_entry(tmp_path: Path) -> None:
    text = GOOD.replace("    reason", "    path: /dataset/title\n    reason")
    made = apply(
        tmp_path, text, issue("sub-M01/a", path="/dataset/title"), issue("sub-M01/a", path="/dataset/date")
    )
    assert [i.where.path for i in made.issues] == ["/dataset/date"]


def test_the_last_day_counts_and_the_next_does_not(tmp_path: Path) -> None:
    assert apply(tmp_path, GOOD, issue("sub-M01/a"), today=date(2026, 12, 31)).issues == []
    over = apply(tmp_path, GOOD, issue("sub-M01/a"), today=date(2027, 1, 1))
    assert over.accepted == []
    assert [i.rule for i in over.issues] == ["files.names", "baseline.expired"]
    told = over.issues[1]
    assert (told.level, told.where) == ("warning", Where("b.yaml", None, 2, 5))
    assert told.found == "until 2026-12-31, by Ada: published so; 1 of files.names count again"


def test_what_is_left_over_is_a_remark(tmp_path: Path) -> None:
    (told,) = apply(tmp_path, GOOD).issues
    assert (told.rule, told.level, told.where.line) == ("baseline.stale", "info", 2)
    assert told.fix == "remove the entry"
    (told,) = apply(tmp_path, GOOD.replace("files.names", "files.nmaes")).issues
    assert told.fix == "did you mean 'files.names'?"


def test_a_rule_of_a_lab_about_baselines_counts_as_any_other(tmp_path: Path) -> None:
    found = issue("sub-M02/a.tif", "baseline.measured")
    assert apply(tmp_path, GOOD, found).issues[0] == found
    text, left = baseline_text(Report([found]), by="Ada", until=TODAY, reason="x")
    assert (left, len(read(tmp_path, text))) == ([], 1)


def test_a_rule_that_did_not_run_to_its_end_is_not_accepted_by_a_star(tmp_path: Path) -> None:
    crash = issue(".")
    assert apply(tmp_path, GOOD.replace("sub-M01/*", "*"), crash).issues[0] == crash
    text, left = baseline_text(Report([crash]), by="Ada", until=TODAY, reason="x")
    assert left == [crash]
    assert read(tmp_path, text) == []


def test_another_baseline_judges_anew(tmp_path: Path) -> None:
    first = apply(tmp_path, GOOD, issue("sub-M01/a"))
    again = judged(first, read(tmp_path, GOOD.replace("sub-M01", "sub-M02")), "c.yaml", TODAY)
    assert [i.rule for i in again.issues] == ["files.names", "baseline.stale"]
    assert again.accepted == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace("    reason: published so\n", ""), "2:5: an entry without reason"),
        (GOOD.replace("published so", ""), "4:5: an entry without reason"),
        (GOOD.replace("    by: Ada\n", ""), "2:5: an entry without by"),
        (GOOD.replace("    until: 2026-12-31\n", ""), "2:5: an entry without until"),
        (GOOD.replace("2026-12-31", "soon"), "6:12: until is no day"),
        (GOOD.replace("2026-12-31", "2026-13-01"), "6:12: until is no day"),
        (GOOD.replace("reason", "raeson"), "4:5: a baseline has no field 'raeson'"),
        ("acepted: []", "1:1: a baseline has no field 'acepted'"),
        ("accepted: all", "1:11: holds no list of what is accepted"),
        ("accepted:\n  - everything", "2:5: is no entry of a baseline"),
        ("accepted: [", "1:12: is not YAML"),
        ("- a", "1:1: holds no list of what is accepted"),
        ("", "is empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "baseline.yaml") in str(caught.value)
    assert told in str(caught.value)


def test_misspelt_fields_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'reason'"):
        read(tmp_path, GOOD.replace("reason", "raeson"))


@pytest.mark.parametrize(
    "file", ["a[1].tif", "what?*", 'quote".tif', "line\nbreak", "tab\t", "\x1b\u2028 ", "#: \U0001f9e0"]
)
def test_what_is_written_accepts_exactly_what_was_found(file: str, tmp_path: Path) -> None:
    found, other = issue(file, path="/x"), issue("a1.tif", path="/x")
    text, left = baseline_text(Report([found, other]), by='A "B"', until=TODAY, reason="it: is #so")
    assert left == []
    entries = read(tmp_path, text)
    assert len(entries) == 2
    made = judged(Report([found, other], rules=RULES), entries, "b.yaml", TODAY)
    assert (made.issues, len(made.accepted)) == ([], 2)
    assert str(made.accepted[0]) == 'it: is #so (A "B", until 2026-11-28)'
    assert judged(Report([other], rules=RULES), entries[:1], "b.yaml", TODAY).accepted == []


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_text(to_json(Report([issue("a.tif"), issue("b.tif")], rules=RULES)), encoding="utf-8")
    return path


def test_on_the_command_line(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    baseline = tmp_path / "b.yaml"
    day = (date.today() + timedelta(days=2)).isoformat()
    write = ["--write-baseline", str(baseline), "--by", "Ada", "--until", day, "--reason", "old - rule: x"]
    assert main(["validate", "--load", str(saved)]) == 1
    assert main(["validate", "--load", str(saved), *write]) == 0
    assert f"2 accepted until {day}" in capsys.readouterr().err
    assert main(["validate", "--load", str(saved), "--baseline", str(baseline), "--json"]) == 0
    assert [a["reason"] for a in json.loads(capsys.readouterr().out)["accepted"]] == ["old - rule: x"] * 2
    assert main(["validate", "--load", str(saved), *write]) == 2  # it is there already
    assert "is there already" in capsys.readouterr().err


def test_a_new_baseline_has_what_the_old_one_accepted_and_not_its_remarks(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = apply(tmp_path, GOOD + GOOD.removeprefix("accepted:\n").replace("M01", "M03"), issue("sub-M01/a"))
    assert (len(old.accepted), [i.rule for i in old.issues]) == (1, ["baseline.stale"])
    saved.write_text(to_json(old), encoding="utf-8")
    write = [
        "--write-baseline",
        str(tmp_path / "b.yaml"),
        "--by",
        "Ada",
        "--until",
        "2999-01-31",
        "--reason",
        "old",
    ]
    assert main(["validate", "--load", str(saved), *write, "--fail-on", "info"]) == 0
    assert capsys.readouterr().err.endswith("b.yaml: 1 accepted until 2999-01-31\n")


@pytest.mark.parametrize(
    "line",
    [
        ["--by", "Ada"],
        ["--write-baseline", "new.yaml"],
        ["--write-baseline", "new.yaml", "--by", "Ada", "--reason", " ", "--until", "2027-01-31"],
        ["--write-baseline", "new.yaml", "--by", "Ada", "--reason", "x", "--until", "soon"],
        ["--write-baseline", "new.yaml", "--baseline", "b.yaml"],
    ],
)
def test_options_that_do_not_fit(
    line: list[str], saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "--load", str(saved), *line]) == 2
    assert not (tmp_path / "new.yaml").exists()


def test_a_release_is_not_given_its_own_pardon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inside = tmp_path / "release" / "b.yaml"
    inside.parent.mkdir()
    write = ["--write-baseline", str(inside), "--by", "Ada", "--until", "2027-01-31", "--reason", "old"]
    assert main(["validate", str(inside.parent), *write]) == 2
    assert "lies in the release" in capsys.readouterr().err
    assert not inside.exists()
