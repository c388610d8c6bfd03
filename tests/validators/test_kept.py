"""Results of earlier runs: what has not changed is not read again, and a broken cache breaks nothing."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_release import IMAGE, NWB

import neuropack.rules.kept as module
from defects import DEFECTS, flip
from neuropack.cli import main
from neuropack.rules import check, compared, digests
from neuropack.rules.kept import FILE, Kept, stamp


class Reads:
    """The files that are read whole."""

    def __init__(self) -> None:
        self.decoded: list[str] = []
        self.hashed: list[str] = []

    def clear(self) -> None:
        self.decoded, self.hashed = [], []


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    seen = Reads()
    decode, digest = compared.read_shard, digests.sha256_of
    monkeypatch.setattr(compared, "read_shard", lambda a, p: (seen.decoded.append(p.name), decode(a, p))[1])
    monkeypatch.setattr(digests, "sha256_of", lambda p: (seen.hashed.append(p.name), digest(p))[1])
    monkeypatch.setattr(module, "SETTLED_S", -1e9)  # these releases were written a moment ago
    return seen


def test_a_second_run_reads_nothing(release: Path, tmp_path: Path, reads: Reads) -> None:
    first = check(release, cache=tmp_path / "cache")
    assert len(reads.decoded) == 42
    assert first.checked.kept == 0
    reads.clear()
    again = check(release, cache=tmp_path / "cache")
    assert (reads.decoded, reads.hashed) == ([], [])
    assert again.issues == []
    assert again.checked.kept == again.checked.chunks == first.checked.chunks
    assert again.checked.digests == first.checked.digests


def test_one_file_that_changed_is_read_again_with_its_image(release: Path, tmp_path: Path, reads: Reads) -> None:
    check(release, cache=tmp_path / "cache")
    reads.clear()
    flip(release / "README.md", 3, 1)
    report = check(release, cache=tmp_path / "cache")
    assert [(i.rule, i.where.file) for i in report.issues] == [("files.digest", "README.md")]
    assert (reads.hashed, reads.decoded) == (["README.md"], [])
    flip(release / IMAGE / "0/c/0/0/0/0", 20)
    report = check(release, cache=tmp_path / "cache")
    assert "ome-zarr.chunk-damaged" in {i.rule for i in report.issues}
    assert len(reads.decoded) == 42


def test_what_was_found_is_found_again(release: Path, tmp_path: Path, reads: Reads) -> None:
    next(d.plant for d in DEFECTS if d.plant.__name__ == "bytes_flipped_in_an_hdf5_chunk")(release)
    first = check(release, cache=tmp_path / "cache")
    again = check(release, cache=tmp_path / "cache")
    assert [i.rule for i in first.issues] == [i.rule for i in again.issues] == ["nwb.chunk-damaged"]
    assert again.checked.kept == 0


def test_a_change_that_hides_its_date_is_seen(release: Path, tmp_path: Path, reads: Reads) -> None:
    check(release, cache=tmp_path / "cache")
    file = release / NWB
    before = file.stat()
    flip(file, before.st_size - 100, 1)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert check(release, cache=tmp_path / "cache").issues != []


def test_full_and_other_seeds_use_nothing_of_it(release: Path, tmp_path: Path, reads: Reads) -> None:
    check(release, cache=tmp_path / "cache")
    reads.clear()
    assert check(release, level="full", cache=tmp_path / "cache").checked.kept == 0
    assert len(reads.decoded) == 42
    assert check(release, seed=1, cache=tmp_path / "cache").checked.kept == 0


def test_nothing_is_written_into_the_release(release: Path, tmp_path: Path, reads: Reads) -> None:
    before = sorted(release.rglob("*"))
    check(release, cache=tmp_path / "cache")
    assert sorted(release.rglob("*")) == before
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [FILE]


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_cache_is_begun_anew(content: bytes, release: Path, tmp_path: Path, reads: Reads) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / FILE).write_bytes(content)
    report = check(release, cache=tmp_path / "cache")
    assert report.issues == []
    assert [("begun anew" in note) for note in report.checked.notes] == [True] * bool(content)
    assert check(release, cache=tmp_path / "cache").checked.kept > 0


def test_a_cache_that_cannot_be_made_is_told(release: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    report = check(release, cache=tmp_path / "cache")
    assert report.issues == []
    assert "is not used" in report.checked.notes[0]


def test_values_that_are_no_results_are_not_used(release: Path, tmp_path: Path, reads: Reads) -> None:
    check(release, cache=tmp_path / "cache")
    with sqlite3.connect(tmp_path / "cache" / FILE) as base:
        base.execute("UPDATE kept SET value = 'rubbish'")
    base.close()
    report = check(release, cache=tmp_path / "cache")
    assert (report.issues, report.checked.kept) == ([], 0)


def test_two_at_once_keep_both(tmp_path: Path) -> None:
    with Kept(tmp_path) as one, Kept(tmp_path) as two:
        one.put("1", "a")
        two.put("2", "b")
    with Kept(tmp_path) as kept:
        assert (kept.get("a"), kept.get("b"), kept.get("c")) == ("1", "2", None)
        assert one.notes == two.notes == []


def test_another_version_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Kept(tmp_path) as kept:
        kept.put("1", "a")
    monkeypatch.setattr(module, "__version__", "0")
    with Kept(tmp_path) as kept:
        assert kept.get("a") is None


def test_the_oldest_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    for second, name in enumerate("abcd"):
        monkeypatch.setattr(module.time, "time", lambda at=second: at)
        with Kept(tmp_path) as kept:
            kept.put(name, name)
    with Kept(tmp_path) as kept:
        assert [kept.get(name) for name in "abcd"] == [None, "b", "c", "d"]


def test_a_file_of_a_moment_ago_is_not_remembered(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("x")
    assert stamp(tmp_path / "new") is None
    assert stamp(tmp_path / "absent") is None


def test_the_command_keeps_results_unless_told_not_to(
    release: Path,
    tmp_path: Path,
    reads: Reads,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NEUROPACK_CACHE", str(tmp_path / "cache"))
    assert main(["validate", str(release), "--no-cache", "--level", "sample", "--seed", "3"]) == 0
    assert not (tmp_path / "cache").exists()
    assert "level sample, seed 3: " in capsys.readouterr().out
    for _ in range(2):
        assert main(["validate", str(release)]) == 0
    assert "of them in an earlier run" in capsys.readouterr().out
    assert main(["validate", str(release), "--level", "quick"]) == 0
    assert "level quick: no chunk decoded; " in capsys.readouterr().out
