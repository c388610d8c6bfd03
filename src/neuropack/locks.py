"""One run at a time on one destination on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuropack.errors import OutputError


@contextmanager
def only_one(destination: Path) -> Iterator[None]:
    """Keep other runs off a destination until this one ends; the operating system lets go when a process dies.

    Raises:
        OutputError: another run is at work there.
    """
    from filelock import FileLock, Timeout

    path = destination.absolute()  # of "." the name is known only then
    path = path.with_name(f".{path.name}.lock")
    lock = FileLock(path, thread_local=False)  # a thread may end what another one began
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(
            "another neuropack is writing here at this moment", file=destination, fix="wait until it has finished"
        ) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is still held, so that nobody's fresh lock is taken away
        lock.release()
