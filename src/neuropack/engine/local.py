"""Worker processes on this machine, and the process that keeps them alive.

``python -m neuropack.engine.local COUNT THREADS MODULE ...`` imports what workers need while its parent still
starts the scheduler, then reads from its standard input where that is, and starts the workers. Where one dies it
starts another. When its input ends, because the work is done or the parent dead, it kills them and ends.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

from neuropack.errors import OutputError

_FORKS = sys.platform == "linux"  # elsewhere a process that has loaded NumPy had better not
_LOOK_S = 0.1  # between two looks at the workers
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",  # nobody looks at it
    "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
}


class Keeper:
    """The process that keeps the workers alive, seen from its parent.

    Args:
        count: how many workers.
        threads: how many blocks each works on at one time.
        modules: what they are going to need.
    """

    def __init__(self, count: int, threads: int, modules: Sequence[str]) -> None:
        path = os.pathsep.join(p for p in sys.path if p)
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", __name__, str(count), str(threads), *modules],
            stdin=subprocess.PIPE,
            env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the parent
        )

    def start(self, address: str, keys: Mapping[str, str]) -> None:
        """Let the workers begin.

        Args:
            address: of the scheduler.
            keys: of its `Security`; they never leave the two processes.

        Raises:
            OutputError: the process has ended.
        """
        try:
            if self._process.stdin:
                self._process.stdin.write(json.dumps([address, dict(keys)]).encode() + b"\n")
                self._process.stdin.flush()
        except OSError as error:
            raise cannot_keep() from error

    def alive(self) -> bool:
        """False where it can keep no worker alive."""
        return self._process.poll() is None

    def end(self) -> None:
        """Let it end, and every worker; returns at once."""
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()

    def wait(self) -> None:
        """Return when all are gone."""
        self.end()
        self._process.wait()


def cannot_keep() -> OutputError:
    """The error of a parent without workers."""
    return OutputError("the worker processes cannot be kept alive", fix="look at what they printed above")


class _Process(Protocol):
    def poll(self) -> int | None: ...  # None while it runs

    def kill(self) -> None: ...


class _Forked:
    """A copy of this process that serves; it shares the memory of the libraries."""

    def __init__(self, serve: Callable[[], None]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the one thread there is waits, and holds no lock
            self.pid = os.fork()
        if not self.pid:
            try:
                serve()
            finally:
                os._exit(1)

    def poll(self) -> int | None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return status if pid else None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _serve(address: str, threads: int, folder: str, keys: Mapping[str, str]) -> None:
    """Be a worker until the scheduler is gone."""
    import distributed

    dask: Any = distributed  # it says nothing about its types
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # the parent tells what matters

    async def serve() -> None:
        worker = dask.Worker(
            address,
            nthreads=threads,
            host="127.0.0.1",
            memory_limit=0,  # the plan keeps to the memory allowed: nothing is spilled, nobody is stopped
            local_directory=folder,
            security=dask.Security(**keys, require_encryption=True),
        )
        async with worker:
            await worker.finished()

    asyncio.run(serve())


def _keep(count: int, start: Callable[[], _Process], over: threading.Event) -> None:
    """Start workers, and others in the place of those that die, until it is over."""
    workers: list[_Process] = []
    try:
        while True:
            workers = [w for w in workers if w.poll() is None]
            workers += [start() for _ in range(count - len(workers))]
            if over.wait(_LOOK_S):
                return
    finally:
        for worker in workers:
            worker.kill()


def main() -> None:
    """Keep workers alive; or be one, where the arguments begin with ``--serve``."""
    if sys.argv[1] == "--serve":
        _serve(sys.argv[2], int(sys.argv[3]), sys.argv[4], json.loads(sys.stdin.readline()))
        return
    count, threads, *modules = sys.argv[1:]
    gc.disable()
    for module in ("distributed", "neuropack.engine.worker", *modules):
        import_module(module)
    gc.freeze()
    gc.enable()
    line = sys.stdin.buffer.readline()
    if not line:
        return
    address, keys = json.loads(line)
    folder = tempfile.mkdtemp(prefix="neuropack-workers-")
    over = threading.Event()

    def start() -> _Process:
        if _FORKS:
            return _Forked(lambda: _serve(address, int(threads), folder, keys))
        command = [sys.executable, "-P", "-m", "neuropack.engine.local", "--serve", address, threads, folder]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)  # noqa: S603
        if process.stdin:
            with process.stdin as pipe:
                print(json.dumps(keys), file=pipe)
        return process

    def wait_for_the_parent() -> None:
        while os.read(0, 1):
            pass
        over.set()

    threading.Thread(target=wait_for_the_parent, daemon=True).start()
    try:
        _keep(int(count), start, over)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)  # nothing else is left to do, and tearing the libraries down takes a while


if __name__ == "__main__":
    main()
