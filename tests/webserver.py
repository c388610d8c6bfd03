"""A web server for tests, of files on this machine: it knows GET and ranges, and fails as it is told to."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Asked:
    """A request: the method, the path as it was sent, and the range."""

    method: str
    path: str
    range: str | None


@dataclass(frozen=True)
class Failure:
    """What the server does instead of an answer.

    Attributes:
        status: it says, where this is not 0.
        location: the place that it sends on to.
        cut: it sends so many bytes of the answer, and hangs up.
        silent: seconds until it says anything.
    """

    status: int = 0
    location: str | None = None
    cut: int | None = None
    silent: float = 0.0


class WebServer(ThreadingHTTPServer):
    """Serves a folder.

    Attributes:
        root: the folder.
        asked: all requests.
        sent: bytes of all answers, without their heads.
        delay: seconds that each answer takes.
        knows_ranges: False where it answers every request with the whole file.
        fails: told the path and how often it was asked for before, gives how it fails, if it does.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.asked: list[Asked] = []
        self.sent = 0
        self.delay = 0.0
        self.knows_ranges = True
        self.fails: Callable[[str, int], Failure | None] = lambda path, before: None
        self.busy, self.busiest, self.lock = 0, 0, threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def times(self, end: str) -> int:
        """How often files were asked for whose path ends so."""
        return sum(one.path.endswith(end) for one in self.asked)

    def forget(self) -> None:
        """Count anew."""
        self.asked.clear()
        self.sent = self.busiest = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error of the test."""


class _Handler(BaseHTTPRequestHandler):
    server: WebServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server, path = self.server, self.path
        with server.lock:
            before = sum(one.path == path for one in server.asked)
            server.asked.append(Asked("GET", path, self.headers.get("Range")))
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
        try:
            self._answer(server.fails(path, before) or Failure())
        finally:
            with server.lock:
                server.busy -= 1

    def do_HEAD(self) -> None:
        self.server.asked.append(Asked("HEAD", self.path, None))
        self._say(405)

    def _answer(self, failure: Failure) -> None:
        time.sleep(self.server.delay + failure.silent)
        file = self.server.root / unquote(self.path.partition("?")[0]).lstrip("/")
        if failure.status:
            self._say(failure.status, location=failure.location)
        elif not file.is_file():
            self._say(404)
        else:
            self._send(file.read_bytes(), failure)

    def _send(self, whole: bytes, failure: Failure) -> None:
        asked = _RANGE.fullmatch(self.headers.get("Range", "")) if self.server.knows_ranges else None
        if asked is None:
            self._say(200, whole, cut=failure.cut)
            return
        first, last = asked.groups()
        start = int(first) if first else max(0, len(whole) - int(last))
        stop = min(len(whole), int(last) + 1) if first and last else len(whole)
        if start >= len(whole):
            self._say(416)
        else:
            self._say(206, whole[start:stop], f"bytes {start}-{stop - 1}/{len(whole)}", cut=failure.cut)

    def _say(
        self,
        status: int,
        body: bytes = b"",
        part: str | None = None,
        *,
        location: str | None = None,
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (("Content-Range", part), ("Location", location)):
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        sent = body if cut is None else body[:cut]
        with self.server.lock:
            self.server.sent += len(sent)
        self.wfile.write(sent)
        if cut is not None:
            self.close_connection = True


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A server of the folder ``web`` of this test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    root = tmp_path / "web"
    root.mkdir()
    server = WebServer(root)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
