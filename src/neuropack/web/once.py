"""One request without a port: for tests, scripts, and people who want to see an answer."""

from __future__ import annotations

import asyncio
import sys
from typing import BinaryIO
from urllib.parse import quote, unquote

from fastapi import FastAPI
from starlette.types import Message

HOST = "127.0.0.1"


def answer_to(app: FastAPI, path: str, out: BinaryIO | None = None) -> int:
    """Print the answer of an application to a GET, as it comes and whatever its length.

    Args:
        app: the application.
        path: with its query, percent-encoded where need be.
        out: where the answer goes, by default standard output.

    Returns:
        The status of HTTP.
    """
    return asyncio.run(_get(app, path, sys.stdout.buffer if out is None else out))


async def _get(app: FastAPI, path: str, out: BinaryIO) -> int:
    raw, _, query = path.partition("?")
    raw = quote(raw if raw.startswith("/") else f"/{raw}", safe="/%:@!$&'()*+,;=~")
    status = 0

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            out.write(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(raw),
        "raw_path": raw.encode("ascii"),
        "query_string": quote(query, safe="%&=+:/?,;@!$'()*~").encode("ascii"),
        "root_path": "",
        "headers": [(b"host", HOST.encode()), (b"accept", b"*/*")],
        "client": (HOST, 0),
        "server": (HOST, 0),
        "state": {},
    }
    await app(scope, receive, send)
    out.flush()
    return status
