"""Loading rules and running them, with rules of a lab beside the shipped ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuropack.errors import InputError, UsageError
from neuropack.rules import ReleaseFiles, check, load_rules
from neuropack.rules import release_files as module
from neuropack.rules.run import LIMIT

RULE = '''
from neuropack.rules import Finding, ReleaseFiles, rule


@rule(id="{id}", level="{level}", reads="names")
def lab_rule(release: ReleaseFiles):
    """{doc}"""
{body}
'''
FIND = '    yield Finding("README.md", "a", "b", "c")'


def lab(folder: Path, body: str = FIND, id: str = "lab.rule", level: str = "warning", doc: str = "Wants.") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "lab.py").write_text(RULE.format(id=id, level=level, doc=doc, body=body))
    return folder


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / "release").mkdir()
    return tmp_path / "release"


def issues_of(rule: str, release: Path, *folders: Path) -> list:
    return [i for i in check(release, rule_folders=folders).issues if i.rule == rule]


def test_rules_of_a_lab_run_beside_the_shipped_ones(tmp_path: Path, empty: Path) -> None:
    (issue,) = issues_of("lab.rule", empty, lab(tmp_path / "rules"))
    assert (issue.level, issue.where.file, issue.expected, issue.found, issue.fix) == (
        *("warning", "README.md"),
        *("a", "b", "c"),
    )
    assert issues_of("metadata.present", empty, tmp_path / "rules")


def test_order_is_that_of_files_and_lines(tmp_path: Path) -> None:
    folder = lab(tmp_path / "rules")
    (folder / "a.py").write_text((folder / "lab.py").read_text().replace("lab.rule", "a.rule"))
    names = [r.id for r in load_rules([folder])]
    assert names[-2:] == ["a.rule", "lab.rule"]
    assert names == [r.id for r in load_rules([folder])]


@pytest.mark.parametrize("body", ["    raise RuntimeError('boom')", "    yield 3", "    return None"])
def test_crash_is_an_error_and_the_others_still_run(body: str, tmp_path: Path, empty: Path) -> None:
    folder = lab(tmp_path / "rules", body)
    (issue,) = issues_of("lab.rule", empty, folder)
    assert issue.level == "error"
    assert "it crashed" in issue.found
    assert str(folder / "lab.py") in issue.fix
    if "boom" in body:
        assert f"RuntimeError: boom ({folder / 'lab.py'}:8)" in issue.found
    assert issues_of("metadata.present", empty, folder)


def test_endless_rule_is_stopped(tmp_path: Path, empty: Path) -> None:
    endless = lab(tmp_path / "rules", "    while True:\n    " + FIND)
    found = issues_of("lab.rule", empty, endless)
    assert len(found) == LIMIT + 1
    assert "stopped" in found[-1].found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"doc": ""}, "no docstring"),
        ({"id": "Lab"}, "topic.what"),
        ({"level": "fatal"}, "none of the levels"),
        ({"id": "files.digest"}, "two rules are called files.digest"),
        ({"body": "  broken"}, "cannot be loaded"),
        ({"body": "    pass\nundefined"}, "NameError"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_place(change: dict[str, str], message: str, tmp_path: Path) -> None:
    folder = lab(tmp_path / "rules", **change)
    with pytest.raises(UsageError, match=message) as refused:
        load_rules([folder])
    assert refused.value.file == folder / "lab.py"
    assert refused.value.where is not None and refused.value.where.startswith("line ")


def test_folder_without_rules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no rule"):
        load_rules([tmp_path])
    with pytest.raises(UsageError, match="not a folder"):
        load_rules([tmp_path / "absent"])


def test_what_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        check(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError):
        check(tmp_path / "file")


def test_empty_folder_is_not_clean(empty: Path) -> None:
    report = check(empty)
    assert not report.clean
    assert {"files.manifest", "metadata.present", "bids.description"} <= {i.rule for i in report.issues}


def test_large_json_is_not_read(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty / "big.json").write_text("[" + "1," * 100 + "1]")
    monkeypatch.setattr(module, "JSON_LIMIT", 100)
    files = ReleaseFiles(empty)
    assert files.json("big.json") is None
    assert files.problems["big.json"].expected == "at most 100 bytes of text"


def test_linked_file_is_not_read(empty: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    (empty / "link.json").symlink_to(tmp_path / "secret.json")
    (empty / "folder").symlink_to(tmp_path, target_is_directory=True)
    files = ReleaseFiles(empty)
    assert files.json("link.json") is None
    assert list(files.files) == []
    assert list(files.others) == ["folder", "link.json"]
    with pytest.raises(KeyError):
        files.path("link.json")


def test_name_that_is_no_unicode_is_reported(empty: Path) -> None:
    try:
        (empty / b"a\xff.txt".decode("utf-8", "surrogateescape")).write_text("x")
    except OSError:
        pytest.skip("this file system takes no such name")
    found = issues_of("files.names", empty)
    assert len(found) == 1
    found[0].where.file.encode("utf-8")


def test_progress_is_told(empty: Path) -> None:
    seen = []
    check(empty, progress=lambda what, done, total: seen.append(what))
    assert "files.digest" in seen


def test_what_the_schema_refuses_is_found_by_its_pointer(empty: Path) -> None:
    (empty / "metadata").mkdir()
    text = '{"subjects": [{"id": "a", "sex": 1}, 3, {"id": "b"}], "subjects-x": [1]}'
    (empty / "metadata" / "neuropack.json").write_text(text)
    release = ReleaseFiles(empty)
    refused = {p.pointer for p in release.schema_problems}
    for pointer in ("", "/subjects", "/subjects/0/sex", "/subjects/0/id", "/subject", "/subjects-", "/subjects-x"):
        inside = any(p == pointer or p.startswith(pointer + "/") for p in refused)
        assert release.refuses(pointer) == inside, pointer
    assert release.records("subjects") == [(0, {"id": "a"}), (2, {"id": "b"})]
    assert release.records("subject") == []
