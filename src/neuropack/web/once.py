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

    Raises:
        OSError: the answer cannot be written.
    """
    return asyncio.run(_get(app, path, sys.stdout.buffer if out is None else out))


async def _get(app: FastAPI, path: str, out: BinaryIO) -> int:
    raw, _, query = path.partition("?")
    raw = quote(raw if raw.startswith("/") else f"/{raw}", safe="/%:@!$&'()*+,;=~")
    status, asked = 0, False
    failed: OSError | None = None
    gone = asyncio.Event()

    async def receive() -> Message:
        nonlocal asked
        if asked:  # who listens for the other side to go away waits; an answer at once would keep it busy for good
            await gone.wait()
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, failed
        if message["type"] == "http.response.start":
            status = message["status"]
        elif failed is None:
            try:
                out.write(message.get("body", b""))
            except OSError as error:  # of the reader, as `| head` ends; it is no crash of the application
                failed = error
                gone.set()

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
    if failed is not None:
        raise failed
    out.flush()
    return status
