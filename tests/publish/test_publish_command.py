"""``neuropack publish`` to a bucket, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from neuropack.cli import main
from neuropack.issue import Issue, Report, Where
from neuropack.manifest import write_manifest
from neuropack.publish import gate

if TYPE_CHECKING:
    from s3server import S3Server

pytest_plugins = ["s3server"]
Told = pytest.CaptureFixture[str]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the rules find nothing."""
    root = tmp_path / "release"
    (root / "metadata").mkdir(parents=True)
    (root / "metadata" / "neuropack.json").write_text('{"dataset": {"version": "1.2.0"}}', encoding="utf-8")
    (root / "a.txt").write_bytes(b"12345")
    write_manifest(root)
    monkeypatch.setattr(gate, "judged", lambda *_: Report())
    return root


@pytest.fixture
def place(s3: S3Server) -> str:
    return f"s3://{s3.bucket()}/lab/mouse"


def test_dry_by_default_then_sent_then_up_to_date(s3: S3Server, release: Path, place: str, capsys: Told) -> None:
    bucket, line = place.split("/")[2], ["publish", str(release), "--to", place]
    assert main(line) == 0
    out = capsys.readouterr().out
    assert "would send 2 files, 38 B, and the manifest; --go does it" in out
    assert s3.keys(bucket) == []
    assert not [r for r in s3.requests if r.key == "curator" and r.method != "GET"]
    assert main([*line, "--go"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "complete: sent 2 files, 38 B"
    assert s3.keys(bucket) == [f"lab/mouse/{name}" for name in ("a.txt", "manifest.tsv", "metadata/neuropack.json")]
    assert main(line) == 0
    assert "dry run, nothing was changed: up to date" in capsys.readouterr().out
    assert main([*line, "--go", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["dry_run"], said["complete"]) == (False, True)
    assert (said["sent"], said["same"]) == ({"files": 0, "bytes": 0}, {"files": 2, "bytes": 38})


def test_verify_reads_finds_and_mends(s3: S3Server, release: Path, place: str, capsys: Told) -> None:
    bucket, line = place.split("/")[2], ["publish", str(release), "--to", place]
    assert main([*line, "--verify"]) == 1
    assert "publish.missing" in capsys.readouterr().out
    main([*line, "--go"])
    capsys.readouterr()
    assert main([*line, "--verify"]) == 0
    assert "clean: 0 errors" in capsys.readouterr().out
    s3.client.put_object(Bucket=bucket, Key="lab/mouse/a.txt", Body=b"12346")
    assert main([*line, "--verify", "--json"]) == 1
    issues = json.loads(capsys.readouterr().out)["issues"]
    assert [(i["rule"], i["where"]["file"]) for i in issues] == [("publish.digest", "a.txt")]
    assert main([*line, "--verify", "--go"]) == 0
    assert main([*line, "--verify"]) == 0


def test_extra_objects_are_shown_and_deleted_on_request(
    s3: S3Server, release: Path, place: str, capsys: Told
) -> None:
    bucket, line = place.split("/")[2], ["publish", str(release), "--to", place]
    main([*line, "--go"])
    s3.client.put_object(Bucket=bucket, Key="lab/mouse/old\u202ename", Body=b"1")
    capsys.readouterr()
    main([*line, "--delete"])
    out = capsys.readouterr().out
    assert "extra: old\\u202ename" in out  # names are not trusted with a terminal
    assert "would delete 1 files" in out
    main([*line, "--delete", "--go"])
    assert "deleted 1 files" in capsys.readouterr().out
    assert "lab/mouse/old\u202ename" not in s3.keys(bucket)


def test_a_version_has_a_place_of_its_own_and_stays(s3: S3Server, release: Path, place: str, capsys: Told) -> None:
    line = ["publish", str(release), "--to", place, "--versioned", "--go"]
    assert main(line) == 0
    assert "lab/mouse/1.2.0/manifest.tsv" in s3.keys(place.split("/")[2])
    (release / "a.txt").write_bytes(b"other")
    write_manifest(release)
    assert main(line) == 2
    assert "published there already" in capsys.readouterr().err
    (release / "metadata" / "neuropack.json").write_text('{"dataset": {"version": "../1"}}', encoding="utf-8")
    write_manifest(release)
    assert main(line) == 3
    assert "no version that can name a folder" in capsys.readouterr().err


def test_an_unclean_release_stays_here(
    s3: S3Server, release: Path, place: str, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    bad = Report([Issue("files.digest", "error", Where("a"), "b", "c", "d")])
    line = ["publish", str(release), "--to", place, "--go"]
    with monkeypatch.context() as patch:
        patch.setattr(gate, "judged", lambda *_: bad)
        assert main(line) == 1
    assert "files.digest" in capsys.readouterr().out
    assert s3.keys(place.split("/")[2]) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "is no document of metadata"),
        ('{"dataset": ["1.2.0"]}', "no version that can name a folder"),
    ],
)
def test_damaged_metadata_name_no_version(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Told, text: str, told: str
) -> None:
    (release / "metadata" / "neuropack.json").write_text(text, encoding="utf-8")
    write_manifest(release)
    line = ["publish", str(release), "--to", str(tmp_path / "copy"), "--versioned", "--go"]
    assert main(line) == 3
    assert told in capsys.readouterr().err
    monkeypatch.setattr("neuropack.publish.staging.JSON_LIMIT", 0)
    assert main(line) == 3
    assert "is no document of metadata" in capsys.readouterr().err  # and is not read
    assert not (tmp_path / "copy").exists()


def test_what_goes_out_is_read_whole(tmp_path: Path) -> None:
    checked = gate.judged(tmp_path).checked
    assert (checked.level, checked.left_out) == ("full", [])


def test_the_rules_themselves_are_asked(tmp_path: Path, capsys: Told) -> None:
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "a.txt").write_bytes(b"1")
    write_manifest(tmp_path / "release")
    assert main(["publish", str(tmp_path / "release"), "--to", str(tmp_path / "copy"), "--go"]) == 1
    assert "not clean" in capsys.readouterr().out
    assert not (tmp_path / "copy").exists()
    assert main(["publish", str(tmp_path / "nothing"), "--to", str(tmp_path / "copy")]) == 3
    assert "the folder of a release" in capsys.readouterr().err
