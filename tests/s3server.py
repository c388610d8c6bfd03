"""An S3 server for tests: moto's, in a thread, on a free port of this machine.

It speaks the protocol to any client. It checks no signatures, so the tests look at which key signed a request.
"""

from __future__ import annotations

import gc
import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3", "AWS_SKIP_SIGNATURE")


@dataclass(frozen=True)
class Request:
    """What the server was asked: method, path with the bucket, query, who signed it (if anyone), a short body."""

    method: str
    path: str
    query: str
    key: str | None
    body: bytes


class S3Server:
    """The server, its buckets, and what it was asked."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import (
            DomainDispatcherApplication,
            MotoRequestHandler,
            create_backend_app,
        )
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self.requests: list[Request] = []
        self._fail: list[tuple[str, str, bool]] = []
        self._app = DomainDispatcherApplication(create_backend_app)
        self._one = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._buckets = 0

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        signed = re.search(r"Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        body = b""
        if method == "POST":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
        key = signed[1] if signed else None
        self.requests.append(Request(method, path, environ["QUERY_STRING"], key, body))
        if self._fail and method == self._fail[0][0]:
            _, status, after = self._fail.pop(0)
            if after:
                self._do(environ, lambda *_: lambda _: None)
            else:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(status, [("Content-Length", "0")])
            return [b""]
        return self._do(environ, start)

    def _do(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        with self._one:  # moto looks whether an object exists and stores it in two steps; S3 does not
            return list(self._app(environ, start))

    def fail(self, method: str, *statuses: str, after: bool = False) -> None:
        """Answer the next requests of a method with these statuses; `after`: when what they ask for is done."""
        self._fail = [(method, status, after) for status in statuses]

    @cached_property
    def client(self) -> Any:
        """Amazon's own client of this server."""
        import botocore.session

        return botocore.session.Session().create_client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="owner",
            aws_secret_access_key="secret",  # noqa: S106 - no secret
        )

    def bucket(self) -> str:
        """Make a bucket with a new name."""
        self._buckets += 1
        name = f"lab-{self._buckets}"
        self.client.create_bucket(Bucket=name)
        return name

    def keys(self, bucket: str) -> list[str]:
        """The keys in a bucket, as Amazon's client lists them."""
        found = self.client.list_objects_v2(Bucket=bucket)
        return [entry["Key"] for entry in found.get("Contents", [])]

    def deny(self, bucket: str, *actions: str) -> None:
        """Forbid actions such as PutObject to everybody."""
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": [f"s3:{action}" for action in actions],
            "Resource": f"arn:aws:s3:::{bucket}/*",
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.client.put_bucket_policy(Bucket=bucket, Policy=policy)

    def stop(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The server of this test process."""
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def no_collection() -> Iterator[None]:
    """No search for garbage while the server shares the process with its client.

    h5py holds its lock while it reads a file from a bucket. Should a thread of the server collect an object of h5py
    meanwhile, it waits for that lock, and the read for its answer: only the client's timeout of 300 s ends it.
    """
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def s3(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_collection: None) -> S3Server:
    """The server, with an environment in which it is the one that ``s3://`` means."""
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
    settings = {
        "AWS_ENDPOINT_URL": s3_server.url,
        "AWS_ACCESS_KEY_ID": "curator",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",  # nobody asks the network for credentials
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
        "NEUROPACK_STATE": str(tmp_path / "state"),
        "NO_PROXY": "127.0.0.1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    s3_server.requests.clear()
    return s3_server
