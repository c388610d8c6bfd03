"""Downloads: what lies in a release, whole or in parts, and nothing else."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from served import Asked, make_release

LETTERS = b"abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_release(tmp_path / "small")


@pytest.fixture
def ask(root: Path) -> Asked:
    return Asked(root)


def test_a_file_has_the_digest_of_the_manifest_as_its_tag(ask: Asked) -> None:
    answer = ask.get("/files/small/letters.txt")
    assert (answer.status_code, answer.content) == (200, LETTERS)
    assert answer.headers["etag"] == f'"{hashlib.sha256(LETTERS).hexdigest()}"'
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-length"] == "26"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["last-modified"].endswith(" GMT")
    assert ask.get("/files/letters.txt").content == LETTERS  # the only release needs no name
    head = ask("HEAD", "/files/small/letters.txt")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "26")


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_text("other letters"),
        lambda file: file.write_bytes(LETTERS.upper()),
    ],
    ids=["size", "content"],
)
def test_a_file_that_was_changed_has_a_weak_tag(root: Path, ask: Asked, change: Callable[[Path], None]) -> None:
    change(root / "letters.txt")
    later = time.time() + 10
    os.utime(root / "letters.txt", (later, later))
    assert ask.get("/files/letters.txt").headers["etag"].startswith('W/"')


def test_an_unsorted_or_broken_manifest_gives_no_wrong_tag(root: Path, ask: Asked) -> None:
    lines = (root / "manifest.tsv").read_text().splitlines()
    good = hashlib.sha256(LETTERS).hexdigest()
    for content in ("", "path\tbytes\tsha256\n", "\n".join(reversed(lines)), "x" * 5000, "letters.txt\t26\tno\n"):
        (root / "manifest.tsv").write_text(content)
        tag = ask.get("/files/letters.txt").headers["etag"]
        assert tag.startswith('W/"') or tag == f'"{good}"'


def test_every_line_of_a_manifest_is_found(root: Path, ask: Asked) -> None:
    listed = [line.split("\t") for line in (root / "manifest.tsv").read_text().splitlines()[1:]]
    assert len(listed) > 10
    for path, _, digest in listed:
        assert ask.get(f"/files/{path}").headers["etag"] == f'"{digest}"', path


@pytest.mark.parametrize(
    ("asked", "status", "content", "where"),
    [
        ("bytes=0-3", 206, b"abcd", "bytes 0-3/26"),
        ("bytes=24-", 206, b"yz", "bytes 24-25/26"),
        ("bytes=-2", 206, b"yz", "bytes 24-25/26"),
        ("bytes=-99", 206, LETTERS, "bytes 0-25/26"),
        ("bytes=20-999", 206, b"uvwxyz", "bytes 20-25/26"),
        ("BYTES = 0-0 , ", 206, b"a", "bytes 0-0/26"),
        ("bytes=0-3,2-5", 206, b"abcdef", "bytes 0-5/26"),
        ("bytes=0-1,99-", 206, b"ab", "bytes 0-1/26"),
        ("bytes=26-", 416, None, "bytes */26"),
        ("bytes=-0", 416, None, "bytes */26"),
        ("bytes=9-3", 200, LETTERS, None),
        ("bytes=a-b", 200, LETTERS, None),
        ("bytes=", 200, LETTERS, None),
        ("bytes=+1-2", 200, LETTERS, None),
        ("bytes=" + "9" * 5000 + "-", 200, LETTERS, None),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 200, 2)), 200, LETTERS, None),
        ("lines=0-3", 200, LETTERS, None),
    ],
)
def test_ranges(ask: Asked, asked: str, status: int, content: bytes | None, where: str | None) -> None:
    answer = ask.get("/files/letters.txt", range=asked)
    assert answer.status_code == status
    assert answer.headers.get("content-range") == where
    assert content is None or answer.content == content
    assert content is None or answer.headers["content-length"] == str(len(content))


def test_several_ranges_come_in_parts(ask: Asked) -> None:
    answer = ask.get("/files/letters.txt", range="bytes=24-25,0-1")
    assert answer.status_code == 206
    kind, _, boundary = answer.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    assert len(answer.content) == int(answer.headers["content-length"])
    parts = answer.content.split(f"--{boundary}".encode())
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]] == [b"yz\r\n", b"ab\r\n"]
    assert b"Content-Range: bytes 24-25/26" in parts[1]
    assert parts[-1] == b"--\r\n"


def test_ranges_of_an_empty_file(root: Path, ask: Asked) -> None:
    (root / "empty.txt").touch()
    assert ask.get("/files/empty.txt").content == b""
    assert ask.get("/files/empty.txt", range="bytes=0-").status_code == 416


def test_what_a_client_has_is_not_sent_again(ask: Asked) -> None:
    answer = ask.get("/files/letters.txt")
    tag, date = answer.headers["etag"], answer.headers["last-modified"]
    for headers in (
        {"if_none_match": tag},
        {"if_none_match": f'"x", W/{tag}'},
        {"if_none_match": "*"},
        {"if_modified_since": date},
    ):
        again = ask.get("/files/letters.txt", **headers)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for headers in (
        {"if_none_match": '"x"'},
        {"if_none_match": '"x"', "if_modified_since": date},
        {"if_modified_since": "Sat, 01 Jan 2000 00:00:00 GMT"},
        {"if_modified_since": "yesterday"},
        {"if_match": tag},
    ):
        assert ask.get("/files/letters.txt", **headers).content == LETTERS
    for headers in ({"if_match": '"x"'}, {"if_unmodified_since": "Sat, 01 Jan 2000 00:00:00 GMT"}):
        assert ask.get("/files/letters.txt", **headers).status_code == 412


def test_a_range_of_a_file_that_changed_is_the_whole_file(ask: Asked) -> None:
    answer = ask.get("/files/letters.txt")
    for same in (answer.headers["etag"], answer.headers["last-modified"]):
        assert ask.get("/files/letters.txt", range="bytes=0-0", if_range=same).content == b"a"
    for other in ('"x"', "W/" + answer.headers["etag"], "Sat, 01 Jan 2000 00:00:00 GMT"):
        assert ask.get("/files/letters.txt", range="bytes=0-0", if_range=other).content == LETTERS


def test_a_missing_chunk_and_a_folder_are_not_there(ask: Asked) -> None:
    for path in ("sub-A/S.ome.zarr/0/c/0/0/0", "sub-A/S.ome.zarr", "sub-A/S.ome.zarr/", "", "small", "small/"):
        answer = ask.get(f"/files/{path}")
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "small/../secret.txt",
        "small/%2e%2e/secret.txt",
        "small/sub-A/%2E%2E/%2e%2e/secret.txt",
        "small/..%2fsecret.txt",
        "small%2f..%2fsecret.txt",
        "small/..%5csecret.txt",
        "small/..\\secret.txt",
        "small/sub-A%2FS.ome.zarr/zarr.json",
        "small//letters.txt",
        "small/./letters.txt",
        "//etc/passwd",
        "/etc/passwd",
        "small//etc/passwd",
        "%2fetc%2fpasswd",
        "letters.txt%00",
        "letters.txt%00.png",
        "out.txt",
        "out/secret.txt",
        "loop",
        ".git/config",
        "git/config",
        ".neuropack-mending/complete",
        "manifest.tsv.partial",
        "%ff%fe",
        "a" * 5000,
        "/".join("a" * 3000),
        "letters.txt/x",
        "pipe",
    ],
)
def test_nothing_else_is_given_out(root: Path, path: str) -> None:
    (root.parent / "secret.txt").write_text("secret")
    (root / "out.txt").symlink_to(root.parent / "secret.txt")
    (root / "out").symlink_to(root.parent)
    (root / "loop").symlink_to("loop")
    (root / "git").symlink_to(".git")
    os.mkfifo(root / "pipe")
    for hidden in (".git/config", ".neuropack-mending/complete", "manifest.tsv.partial"):
        (root / hidden).parent.mkdir(exist_ok=True)
        (root / hidden).write_text("secret")
    status, content = Asked(root).raw(f"/files/{path}")
    assert status == 404
    assert b"secret" not in content.replace(b"secret.txt", b"")


def test_a_link_that_stays_in_the_release_is_followed(root: Path, ask: Asked) -> None:
    (root / "link.txt").symlink_to("letters.txt")
    assert ask.get("/files/link.txt").content == LETTERS
    moved = root.with_name("linked")
    moved.symlink_to(root)
    assert Asked(moved).get("/files/letters.txt").content == LETTERS


def test_a_page_in_a_release_cannot_act_as_one_of_the_server(ask: Asked) -> None:
    answer = ask.get("/files/page.html")
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.nwb", "application/x-hdf5"),
        ("a.swc", "text/plain; charset=utf-8"),
        ("zarr.json", "application/json"),
        (".zarray", "application/json"),
        ("info", "application/json"),
        ("a.tsv", "text/tab-separated-values; charset=utf-8"),
        ("a.parquet", "application/vnd.apache.parquet"),
        ("LICENSE", "text/plain; charset=utf-8"),
        ("0", "application/octet-stream"),
        ("a.JPG", "image/jpeg"),
        ("a.exe", "application/octet-stream"),
    ],
)
def test_media_types(root: Path, ask: Asked, name: str, kind: str) -> None:
    (root / name).write_bytes(b"<script>")
    assert ask.get(f"/files/{name}").headers["content-type"] == kind


def test_each_of_several_releases_is_named(tmp_path: Path) -> None:
    ask = Asked(make_release(tmp_path / "one"), make_release(tmp_path / "two"))
    assert ask.get("/files/two/letters.txt").content == LETTERS
    assert ask.get("/files/letters.txt").status_code == 404
    assert ask.get("/files/three/letters.txt").status_code == 404
