"""A file, or parts of it, sent as an answer in the same few hundred kilobytes of memory, however large it is."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from typing import BinaryIO

import anyio
import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from neuropack.web.ranges import NoneSatisfiableError, Range, range_holds, status_of, wanted

BLOCK = 1 << 18


class Sent(Response):
    """An open file as an answer, to what a request asks of it: conditions, ranges, or its head alone.

    Starlette's own FileResponse answers 400 to a range that the standard has one leave aside, 416 where one range
    of several is beyond the end, and opens the file a second time, when it may be another one.

    Args:
        file: open, in binary; is closed once it was sent.
        media_type: of the file.
        etag: with its quotes, and ``W/`` where it is weak.
        headers: further ones.
    """

    def __init__(self, file: BinaryIO, media_type: str, etag: str, headers: Mapping[str, str]) -> None:
        self.file, self.etag = file, etag
        self.media_type = media_type
        stat = os.fstat(file.fileno())
        self.size, self.modified = stat.st_size, int(stat.st_mtime)
        self.status_code, self.background, self.body = 200, None, b""
        self.init_headers(
            {"accept-ranges": "bytes", "etag": etag, "last-modified": _date(self.modified), **headers}
        )
        self.headers["content-length"] = str(self.size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            ranges = self._begin(Headers(scope=scope))
            bare = self.status_code in (304, 412, 416)
            if bare:
                self.headers["content-length"] = "0"
                if self.status_code == 304:
                    del self.headers["content-length"]
            pieces = self._pieces(ranges)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if not bare and scope["method"] != "HEAD":
                await self._send_watching(pieces, receive, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self.file.close()

    async def _send_watching(self, pieces: list[bytes | Range], receive: Receive, send: Send) -> None:
        """Send until all is sent, or who asked has gone: the server would take and drop all the rest of a file."""
        if int(self.headers["content-length"]) <= BLOCK:
            await self._send(pieces, send)
            return
        failed: EOFError | OSError | None = None
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(watch)
            try:
                await self._send(pieces, send)
            except (EOFError, OSError) as error:
                failed = error
            group.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def _send(self, pieces: list[bytes | Range], send: Send) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                continue
            at, end = piece
            while at < end:
                data = await anyio.to_thread.run_sync(self._read, at, min(BLOCK, end - at))
                await send({"type": "http.response.body", "body": data, "more_body": True})
                at += len(data)

    def _begin(self, asked: Headers) -> list[Range]:
        """Set the status and the headers of the answer, and tell which parts of the file it has."""
        whole = [(0, self.size)]
        self.status_code = status_of(asked, self.etag, self.modified)
        if self.status_code != 200 or not range_holds(asked.get("if-range"), self.etag, self.modified):
            return whole
        try:
            ranges = wanted(asked.get("range"), self.size)
        except NoneSatisfiableError:
            self.status_code = 416
            self.headers["content-range"] = f"bytes */{self.size}"
            return whole
        if ranges is None:
            return whole
        self.status_code = 206
        if len(ranges) == 1:
            begin, end = ranges[0]
            self.headers["content-range"] = f"bytes {begin}-{end - 1}/{self.size}"
            self.headers["content-length"] = str(end - begin)
        return ranges

    def _pieces(self, ranges: list[Range]) -> list[bytes | Range]:
        """What is sent, in order: parts of the file, and for several of them (206) what stands between."""
        if len(ranges) == 1:
            return [*ranges]
        boundary = secrets.token_hex(16)
        pieces = list(self._multipart(ranges, boundary, self.headers["content-type"]))
        self.headers["content-type"] = f"multipart/byteranges; boundary={boundary}"
        length = sum(len(one) if isinstance(one, bytes) else one[1] - one[0] for one in pieces)
        self.headers["content-length"] = str(length)
        return pieces

    def _multipart(self, ranges: list[Range], boundary: str, kind: str) -> Iterator[bytes | Range]:
        for n, (begin, end) in enumerate(ranges):
            yield (
                f"{'' if n == 0 else chr(13) + chr(10)}--{boundary}\r\nContent-Type: {kind}\r\n"
                f"Content-Range: bytes {begin}-{end - 1}/{self.size}\r\n\r\n"
            ).encode("latin-1")
            yield begin, end
        yield f"\r\n--{boundary}--\r\n".encode("latin-1")

    def _read(self, at: int, length: int) -> bytes:
        self.file.seek(at)
        data = self.file.read(length)
        if not data:  # the length is promised already: the connection breaks off, and the other side knows
            raise EOFError("the file became shorter while it was sent")
        return data


def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
