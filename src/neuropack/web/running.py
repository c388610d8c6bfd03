"""A server that runs until it is told to end, and ends in good order."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from neuropack.errors import OutputError, UsageError

_LAST_SECONDS = 20  # that requests in work have to finish
_IDLE_SECONDS = 75  # of a connection: longer than clients and proxies keep one, so that none asks as it is closed


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        UsageError: another program has the port, or the machine has no such address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError("--host is no address", expected="such as 127.0.0.1", found=host) from error
    try:
        if sys.platform != "win32":  # there it would let two programs have one port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(1024)
    except OSError as error:
        found.close()
        raise UsageError(
            f"cannot listen at {host}, port {port}: {error.strerror}",
            fix="name another port with --port (0: any that is free), or end the program that has this one",
        ) from error
    found.set_inheritable(False)
    return found


def address_of(listening: socket.socket, host: str) -> str:
    """The address of the first page, for people."""
    port = listening.getsockname()[1]
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # noqa: S104 - compared
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"


def run(app: FastAPI, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM comes; requests in work are finished.

    Args:
        app: what answers.
        listening: where.
        ready: called once requests are answered.

    Raises:
        OutputError: the server could not start.
    """

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    server = Server(config)
    if threading.current_thread() is threading.main_thread():
        # uvicorn raises the signal once more at its end, which would kill the process before anything is closed.
        signal.signal(signal.SIGTERM, lambda *_: None)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    if not server.started:
        raise OutputError("the server could not start", fix="see the messages before this one")
