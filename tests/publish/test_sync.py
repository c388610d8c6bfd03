"""A release published to a bucket, over the real protocol, and to a folder."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from neuropack.errors import InputError, OutputError, UsageError
from neuropack.manifest import sha256_of, write_manifest
from neuropack.publish import compare, sync
from neuropack.publish.sealed import sealed
from neuropack.publish.target import Far, target_of

if TYPE_CHECKING:
    from s3server import S3Server

pytest_plugins = ["s3server"]

BIG = "derivatives/nwb/sub-M01/whole brain.nwb"
ODD = "sub-M01/ü 50%25 #1?&+ {~}.txt"
SHARD = "sub-M01/micr/a.ome.zarr/0/c/0/0/0"
LOCK = "release.neuropack-lock"


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose manifest is right; nothing else is asked of it here. One file goes up in two parts."""
    for module in ("target", "sync"):
        monkeypatch.setattr(f"neuropack.publish.{module}.SMALL", 1 << 20)
    root = tmp_path / "release"
    contents = {ODD: b"odd", SHARD: os.urandom(70_000), "empty.txt": b"", BIG: os.urandom(9_000_000)}
    contents |= {f"tables/{i}.tsv": f"row {i}\n".encode() for i in range(12)}
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    write_manifest(root)
    return root


class Bucket:
    """The copy in a bucket, seen past neuropack."""

    def __init__(self, s3: S3Server) -> None:
        self.s3, self.bucket = s3, s3.bucket()
        self.url = f"s3://{self.bucket}/lab/release"

    def stored(self) -> dict[str, str]:
        """SHA-256 of the bytes of every object in the bucket below lab/, the release's own without its name."""
        return {
            key.removeprefix("lab/").removeprefix("release/"): hashlib.sha256(self.get(key)).hexdigest()
            for key in self.s3.keys(self.bucket)
        }

    def get(self, key: str) -> bytes:
        body: bytes = self.s3.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def put(self, name: str, data: bytes, **more: object) -> None:
        self.s3.client.put_object(Bucket=self.bucket, Key=f"lab/release/{name}", Body=data, **more)

    def changes(self) -> list[str]:
        """What neuropack wrote and deleted, in order, but for the lock."""
        found = []
        for r in self.s3.requests:
            name = r.path.partition("/lab/release/")[2].encode("latin-1").decode()
            put = r.key == "curator" and r.method == "PUT" and name and "partNumber" not in r.query
            if put or (r.method == "POST" and "uploadId" in r.query):
                found.append(f"PUT {name}")
            elif r.method == "POST" and r.query.startswith("delete"):
                keys = [k.split(b"</Key>")[0].decode() for k in r.body.split(b"<Key>")[1:]]
                found += [f"DELETE {k.partition('lab/release/')[2]}" for k in keys if not k.endswith(LOCK)]
            elif r.method == "DELETE" and name and r.key == "curator":
                found.append(f"DELETE {name}")
        return found


@pytest.fixture
def far(s3: S3Server) -> Bucket:
    return Bucket(s3)


@pytest.fixture
def there(far: Bucket, release: Path) -> Bucket:
    """The copy is there, and older than its manifest."""
    go(release, far.url)
    time.sleep(1.01 - time.time() % 1)
    far.put("manifest.tsv", (release / "manifest.tsv").read_bytes())
    far.s3.requests.clear()
    return far


def on_disk(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): sha256_of(path).sha256 for path in files}


def go(release: Path, to: str, **options: bool) -> sync.Outcome:
    return sync.sync(sealed(release), target_of(to, release), **options)


def plan(release: Path, to: str, *, read: bool = False) -> compare.Comparison:
    return compare.compare(sealed(release), target_of(to, release), read=read)


def flipped(path: Path) -> bytes:
    """The bytes of a file with another last one."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    return bytes(data)


def test_the_first_run_sends_all_and_the_manifest_last(far: Bucket, release: Path) -> None:
    dry = sync.dry_run(sealed(release), target_of(far.url, release))
    assert (dry.done, dry.sizes["new"][0], dry.complete) == (False, 16, False)
    assert far.stored() == {}
    outcome = go(release, far.url)
    assert far.stored() == on_disk(release)
    assert far.changes()[-1] == "PUT manifest.tsv"
    assert outcome.to_dict()["sent"] == {
        "files": 16,
        "bytes": sum(e.bytes for e in sealed(release).entries.values()),
    }
    assert sum("partNumber" in r.query for r in far.s3.requests) == 2
    for name in (ODD, BIG):
        head = far.s3.client.head_object(Bucket=far.bucket, Key=f"lab/release/{name}")
        assert head["Metadata"] == {"sha256": sha256_of(release / name).sha256}


def test_the_second_run_sends_nothing(there: Bucket, release: Path) -> None:
    outcome = go(release, there.url)
    assert (outcome.sent, outcome.complete) == ((0, 0), True)
    assert there.changes() == []
    assert not [r for r in there.s3.requests if r.method == "HEAD"]  # the manifest vouches for every object


def test_a_changed_file_is_sent_alone_and_the_manifest_is_gone_meanwhile(there: Bucket, release: Path) -> None:
    (release / ODD).write_bytes(b"new")
    write_manifest(release)
    dry = sync.dry_run(sealed(release), target_of(there.url, release))
    assert (dry.sizes["changed"], dry.sizes["new"], dry.sizes["same"][0]) == ((1, 3), (0, 0), 15)
    go(release, there.url)
    assert there.changes() == ["DELETE manifest.tsv", f"PUT {ODD}", "PUT manifest.tsv"]
    assert there.stored() == on_disk(release)


def test_what_was_stored_after_the_manifest_is_not_trusted(there: Bucket, release: Path) -> None:
    time.sleep(1.01 - time.time() % 1)
    there.put(ODD, b"bad")  # of the same size, by somebody else
    assert plan(release, there.url).changed == [ODD]
    go(release, there.url)
    assert there.stored() == on_disk(release)


KILLED = """
import sys
from pathlib import Path
from neuropack.publish import sync, target
from neuropack.publish.sealed import sealed
release = Path(sys.argv[1])
sync._AT_ONCE = sync._LARGE_AT_ONCE = 1
sync.sync(sealed(release), target.target_of(sys.argv[2], release))
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
@pytest.mark.parametrize("after", [3, 9])
def test_killed_in_the_middle_it_sends_the_rest(far: Bucket, release: Path, after: int) -> None:
    for i in range(100):
        (release / f"tables/more-{i}.tsv").write_bytes(b"x" * i)
    write_manifest(release)
    run = [sys.executable, "-c", textwrap.dedent(KILLED), str(release), far.url]
    with subprocess.Popen(run) as process:
        while process.poll() is None and len(far.changes()) <= after:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    stored = set(far.stored()) - {LOCK}
    assert 0 < len(stored) < 117  # it was in the middle, and
    assert "manifest.tsv" not in stored  # no reader takes it for complete
    outcome = go(release, far.url)
    same = outcome.sizes["same"][0]
    assert len(stored) <= same <= len(stored) + 1  # the server may have stored one more after we looked
    assert outcome.sent[0] == 116 - same
    assert far.stored() == on_disk(release)


def test_a_run_elsewhere_that_died_is_taken_over_only_on_request(
    far: Bucket, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise RuntimeError("died")

    with monkeypatch.context() as patch:
        patch.setattr(Far, "finish", die)
        with pytest.raises(RuntimeError):
            go(release, far.url)
    monkeypatch.setenv("NEUROPACK_STATE", str(tmp_path / "another machine"))
    with pytest.raises(OutputError, match="another run of neuropack has this destination") as caught:
        go(release, far.url)
    assert "--take-over" in str(caught.value)
    assert go(release, far.url, take_over=True).sent == (0, 0)  # all was there but the manifest
    assert far.stored() == on_disk(release)


def test_rot_is_found_by_reading_alone_and_mended(there: Bucket, release: Path) -> None:
    digest = {"sha256": sha256_of(release / SHARD).sha256}
    there.put(SHARD, flipped(release / SHARD), Metadata=digest)
    assert plan(release, there.url).changed == []  # digests that objects carry do not rot with them
    files = sealed(release)
    report = compare.verdict(files, plan(release, there.url, read=True))
    assert [(i.rule, i.where.file) for i in report.issues] == [("publish.digest", SHARD)]
    assert report.issues[0].expected.endswith(digest["sha256"])
    assert report.checked.bytes == sum(e.bytes for e in files.entries.values())
    go(release, there.url, read=True)
    assert there.stored() == on_disk(release)
    assert compare.verdict(files, plan(release, there.url, read=True)).issues == []


def test_what_is_missing_cut_and_extra_is_told(there: Bucket, release: Path) -> None:
    there.s3.client.delete_object(Bucket=there.bucket, Key=f"lab/release/{ODD}")
    there.put(SHARD, b"cut")
    there.put("extra.txt", b"extra")
    there.put("manifest.tsv", b"path\tbytes\tsha256\n")
    report = compare.verdict(sealed(release), plan(release, there.url, read=True))
    assert [(i.rule, i.level, i.where.file) for i in report.issues] == [
        ("publish.manifest", "error", "manifest.tsv"),
        ("publish.missing", "error", ODD),
        ("publish.digest", "error", SHARD),
        ("publish.extra", "warning", "extra.txt"),
    ]


def test_thousands_of_findings_stay_readable(release: Path, tmp_path: Path) -> None:
    for i in range(300):
        (release / f"tables/more-{i}.tsv").write_bytes(b"x")
    write_manifest(release)
    report = compare.verdict(sealed(release), plan(release, str(tmp_path / "nothing"), read=True))
    assert len(report.issues) == 202  # the manifest, 200 of 316 files, and that there are more
    assert report.issues[-1].found == "more than 200 such files"


def test_extra_objects_stay_until_they_are_to_go_and_go_last(there: Bucket, release: Path) -> None:
    there.put("old/a.txt", b"1")
    there.put("old/b.txt", b"22")
    (release / ODD).write_bytes(b"new")
    write_manifest(release)
    kept = go(release, there.url)
    assert (kept.extra, kept.sizes["extra"], kept.deleted) == (["old/a.txt", "old/b.txt"], (2, 3), (0, 0))
    assert "old/a.txt" in there.stored()
    (release / ODD).write_bytes(b"odd")
    write_manifest(release)
    there.s3.requests.clear()
    assert go(release, there.url, delete=True).deleted == (2, 3)
    assert there.changes()[-3:] == ["PUT manifest.tsv", "DELETE old/a.txt", "DELETE old/b.txt"]
    assert there.stored() == on_disk(release)


def test_a_release_below_is_never_deleted(there: Bucket, release: Path) -> None:
    there.put("1.0.0/manifest.tsv", b"of another release")
    before = there.stored()
    with pytest.raises(UsageError, match="another release lies below"):
        go(release, there.url, delete=True)
    assert there.stored() == before


def test_a_published_version_stays_what_it_is(far: Bucket, release: Path) -> None:
    url = f"{far.url}/1.0.0"
    go(release, url, once=True)
    assert go(release, url, once=True).sent == (0, 0)
    (release / ODD).write_bytes(b"new")
    write_manifest(release)
    before = far.stored()
    with pytest.raises(UsageError, match="published there already") as caught:
        go(release, url, once=True)
    assert "new version" in str(caught.value)
    assert far.stored() == before


@pytest.mark.parametrize("name", [SHARD, BIG])
@pytest.mark.parametrize("how", ["changed", "cut", "grown"])
def test_a_file_that_changes_meanwhile_is_not_stored(far: Bucket, release: Path, name: str, how: str) -> None:
    files, data = sealed(release), (release / name).read_bytes()
    changed = {"changed": flipped(release / name), "cut": data[:-1], "grown": data + b"x"}[how]
    (release / name).write_bytes(changed)
    with pytest.raises(InputError, match="has changed since the manifest was written") as caught:
        sync.sync(files, target_of(far.url, release))
    assert caught.value.file == release / name
    assert not {name, "manifest.tsv"} & set(far.stored())
    uploads = far.s3.client.list_multipart_uploads(Bucket=far.bucket)
    assert "Uploads" not in uploads  # its parts are gone, too


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
@pytest.mark.parametrize("link", [SHARD, "tables", "sub-M01"])
def test_no_link_is_followed_out_of_the_release(far: Bucket, release: Path, tmp_path: Path, link: str) -> None:
    files = sealed(release)
    aside = tmp_path / "aside"
    (release / link).rename(aside)
    (release / link).symlink_to(aside)  # the same bytes: only that it is a link is wrong
    with pytest.raises(InputError) as caught:
        sync.sync(files, target_of(far.url, release))
    assert str(caught.value.file).startswith(str(release / link))
    assert "manifest.tsv" not in far.stored()
    with pytest.raises(InputError, match="is not the file that the manifest lists"):
        sealed(release)


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX")
def test_a_pipe_does_not_stop_it(far: Bucket, release: Path) -> None:
    files = sealed(release)
    (release / ODD).unlink()
    os.mkfifo(release / ODD)
    with pytest.raises(InputError, match="no regular file"):
        sync.sync(files, target_of(far.url, release))


def test_a_manifest_that_leads_out_of_the_release_is_refused(release: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    row = f"../secret\t6\t{sha256_of(tmp_path / 'secret').sha256}\n"
    with (release / "manifest.tsv").open("a", encoding="utf-8") as file:
        file.write(row)
    with pytest.raises(InputError, match="rows that cannot be used"):
        sealed(release)
    (release / "manifest.tsv").unlink()
    with pytest.raises(InputError, match="no manifest"):
        sealed(release)


def test_a_busy_server_is_asked_again(far: Bucket, release: Path) -> None:
    far.s3.fail("PUT", "503 Slow Down", "500 Internal Server Error", "429 Too Many Requests")
    go(release, far.url)
    assert far.stored() == on_disk(release)


def test_a_server_that_refuses_is_told_and_what_is_missing(
    far: Bucket, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match="no such bucket"):
        target_of("s3://no-such-bucket/release", release)
    far.s3.deny(far.bucket, "PutObject")
    with pytest.raises(OutputError, match="denies access"):
        go(release, far.url)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(UsageError, match="no credentials"):
        target_of(far.url, release)


def test_a_storage_that_keeps_other_bytes_is_noticed(
    far: Bucket, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Far.send

    def spoil(self: Far, name: str, pieces: Iterator[bytes], size: int, sha256: str) -> None:
        real(self, name, pieces, size, sha256)
        if name == ODD:
            far.put(ODD, b"bad", Metadata={"sha256": sha256})

    monkeypatch.setattr(Far, "send", spoil)
    with pytest.raises(OutputError, match="another content than was sent"):
        go(release, far.url, read=True)
    assert "manifest.tsv" not in far.stored()


def test_a_folder_takes_a_release_too(release: Path, tmp_path: Path) -> None:
    to = tmp_path / "disk" / "copy"
    assert go(release, f"file://{to}").sent[0] == 16
    assert on_disk(to) == on_disk(release)
    when = (to / BIG).stat().st_mtime_ns
    assert go(release, str(to)).sent == (0, 0)
    (to / SHARD).write_bytes(flipped(to / SHARD))
    (to / "old").mkdir()
    (to / "old" / "extra.txt").write_bytes(b"extra")
    assert [i.rule for i in compare.verdict(sealed(release), plan(release, str(to), read=True)).issues] == [
        "publish.digest",
        "publish.extra",
    ]
    outcome = go(release, str(to), delete=True)
    assert (outcome.sent[0], outcome.deleted) == (1, (1, 5))
    assert on_disk(to) == on_disk(release)
    assert (to / BIG).stat().st_mtime_ns == when
    assert not (to / "old").exists()


def test_a_folder_without_a_whole_file_has_no_manifest(release: Path, tmp_path: Path) -> None:
    to = tmp_path / "copy"
    files = sealed(release)
    (release / BIG).write_bytes(flipped(release / BIG))
    with pytest.raises(InputError, match="has changed"):
        sync.sync(files, target_of(str(to), release))
    assert not {path.name for path in to.rglob("*") if path.is_file()} & {"manifest.tsv", Path(BIG).name}
    assert not list(to.rglob("*.neuropack-partial"))


@pytest.mark.parametrize("to", [".", "inside", "..", "file"])
def test_a_place_that_cannot_be_is_refused(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    (tmp_path / "release-2").write_bytes(b"")
    place = {".": str(release), "inside": str(release / "copy"), "..": str(tmp_path), "file": f"{release}-2"}[to]
    with pytest.raises(UsageError):
        target_of(place, release)


def test_progress_counts_every_byte(release: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    sync.sync(sealed(release), target_of(str(tmp_path / "copy"), release), progress=lambda *one: seen.append(one))
    total = sum(e.bytes for e in sealed(release).entries.values())
    assert [one[1] for one in seen] == sorted(one[1] for one in seen)
    assert seen[-1] == ("sending", total, total)
