"""One request without a port: for tests, scripts, and people who want to see an answer."""

from __future__ import annotations

import asyncio
import sys

import httpx
from fastapi import FastAPI


def answer_to(app: FastAPI, path: str) -> int:
    """Print the answer of an application to a GET; 0 where it is one, 1 where it is a problem."""
    answer = asyncio.run(_get(app, path))
    sys.stdout.buffer.write(answer.content)
    return 0 if answer.is_success else 1


async def _get(app: FastAPI, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get(path)
