"""Fetching from a server on this machine: whole, torn, changed, wrong, and none."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from neuropack.errors import InputError, OutputError, UsageError
from neuropack.space import fetch as module
from neuropack.space.fetch import fetch

CONTENT = bytes(range(256)) * 20_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves one content; what it does otherwise is set by the tests."""

    content = CONTENT
    etag = '"one"'
    stops_after: int | None = None  # bytes of an answer, then the connection is cut
    knows_ranges = True
    status = 0
    asked: list[str | None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/annotation_100.nrrd"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        if server.status:
            self.send_error(server.status)
            return
        start = 0
        same = not server.etag or self.headers.get("If-Range") == server.etag
        if asked and server.knows_ranges and same:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        body = server.content[start:]
        if start >= len(server.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.stops_after])

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "atlas" / "annotation_100.nrrd"


def names(path: Path) -> list[str]:
    return sorted(p.name for p in path.parent.iterdir())


def torn(server: Server, path: Path, after: int = 2_000_000) -> None:
    server.stops_after = after
    with pytest.raises(InputError, match="broke off"):
        fetch(server.url, path)
    assert not path.exists()
    server.stops_after = None


def test_a_file_is_fetched_once(server: Server, path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    done = fetch(server.url, path, progress=lambda *step: told.append(step))
    assert (done.status, done.checked, done.sha256, path.read_bytes()) == ("fetched", "first", DIGEST, CONTENT)
    assert told[-1] == ("fetching", len(CONTENT), len(CONTENT))
    assert (path.parent / "annotation_100.nrrd.sha256").read_text() == f"{DIGEST}  annotation_100.nrrd\n"
    assert names(path) == ["annotation_100.nrrd", "annotation_100.nrrd.sha256"]
    again = fetch(server.url, path)
    assert (again.status, again.checked, server.asked) == ("up to date", "recorded", [None])


def test_a_torn_download_goes_on(server: Server, path: Path) -> None:
    torn(server, path)
    assert names(path) == ["annotation_100.nrrd.part", "annotation_100.nrrd.part.json"]
    fetch(server.url, path)
    assert server.asked == [None, "bytes=2000000-"]
    assert path.read_bytes() == CONTENT
    assert names(path) == ["annotation_100.nrrd", "annotation_100.nrrd.sha256"]


def test_a_server_without_ranges_begins_anew(server: Server, path: Path) -> None:
    server.knows_ranges = False
    torn(server, path)
    fetch(server.url, path)
    assert server.asked == [None, "bytes=2000000-"]
    assert path.read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_begins_anew(server: Server, path: Path) -> None:
    torn(server, path)
    server.content, server.etag = CONTENT[::-1], '"two"'
    fetch(server.url, path)
    assert path.read_bytes() == CONTENT[::-1]


def test_a_server_that_does_not_tell_versions_begins_anew(server: Server, path: Path) -> None:
    server.etag = ""
    torn(server, path)
    fetch(server.url, path)
    assert server.asked == [None, None]
    assert path.read_bytes() == CONTENT


def test_a_part_that_is_past_the_end(server: Server, path: Path) -> None:
    torn(server, path)
    server.content = CONTENT[:1000]
    fetch(server.url, path)
    assert path.read_bytes() == CONTENT[:1000]


def test_a_part_of_another_address(server: Server, path: Path) -> None:
    torn(server, path)
    fetch(server.url + "?other", path)
    assert server.asked == [None, None]


def test_a_wrong_checksum_is_not_kept(server: Server, path: Path) -> None:
    with pytest.raises(InputError, match="another checksum") as caught:
        fetch(server.url, path, "0" * 64)
    assert (caught.value.expected, caught.value.found) == ("0" * 64, DIGEST)
    assert names(path) == []
    assert fetch(server.url, path, DIGEST.upper()).checked == "given"


def test_a_published_checksum_is_asked_for(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "annotation_25.nrrd"
    with pytest.raises(InputError, match=module.PUBLISHED["annotation_25.nrrd"]):
        fetch(server.url, path)
    assert not path.exists()


def test_a_file_that_changed_here_is_told(server: Server, path: Path) -> None:
    fetch(server.url, path)
    path.write_bytes(b"other")
    with pytest.raises(InputError, match="it changed since"):
        fetch(server.url, path)


def test_offline(path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match="cannot be reached") as caught:
        fetch(f"http://127.0.0.1:{port}/annotation_100.nrrd", path)
    assert "--annotation" in (caught.value.fix or "")


def test_a_server_that_does_not_have_it(server: Server, path: Path) -> None:
    server.status = 404
    with pytest.raises(InputError, match="404"):
        fetch(server.url, path)


@pytest.mark.parametrize(("url", "sha256"), [("file:///etc/hosts", None), ("http://127.0.0.1/", "abc")])
def test_what_is_no_address_or_checksum(url: str, sha256: str | None, path: Path) -> None:
    with pytest.raises(UsageError):
        fetch(url, path, sha256)


def test_two_at_once(server: Server, path: Path) -> None:
    path.parent.mkdir()
    with FileLock(path.with_name(f".{path.name}.lock")), pytest.raises(OutputError, match="another neuropack"):
        fetch(server.url, path)
    assert fetch(server.url, path).status == "fetched"


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "atlas").write_text("in the way", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        fetch(server.url, tmp_path / "atlas" / "annotation_100.nrrd")
