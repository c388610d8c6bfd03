"""What a process does that works on blocks for another: it opens the image once, then takes block after block."""

from __future__ import annotations

import asyncio
import operator
import pickle
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, SupportsIndex

import neuropack
from neuropack.axes import Box
from neuropack.engine import work as working
from neuropack.engine.work import Outcome, Work
from neuropack.errors import NeuropackError, OutputError, UnreadableError, UsageError
from neuropack.volume import Volume
from neuropack.writers.sink import Part

_SHARED = "put it on a file system that every worker sees under the same path"
_IDLE = 4  # images that stay open although nobody works on them
_PATIENCE = 10  # seconds until a file that another machine made is seen through a network file system


@dataclass(frozen=True)
class Job:
    """A pass, as a worker needs to know it. Plain values.

    Attributes:
        name: of the pass; no two have the same.
        files: small files and what they hold, by which a worker knows that it sees what the coordinator sees.
        folders: where it is going to write.
    """

    name: str
    files: Mapping[Path, str]
    folders: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Failed:
    """Why a block could not be done. It comes back as a result: what the library raises is about the workers."""

    error: bytes
    trace: str
    worker: str

    @classmethod
    def of(cls, error: Exception) -> Failed:
        """An error, as it can be sent."""
        trace = "".join(traceback.format_exception(error))
        try:
            data = pickle.dumps(error)
            pickle.loads(data)  # noqa: S301 - made here
        except Exception:  # some library's error that cannot travel
            data = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
        return cls(data, trace, _name())

    def raised(self) -> Exception:
        """The error, with a note about where it happened."""
        error: Exception = pickle.loads(self.error)  # noqa: S301 - the library has unpickled it all already
        error.add_note(f"in the worker {self.worker}:\n{self.trace}")
        return error


def do(version: str, job: bytes, work: bytes, box: Box) -> Outcome | Failed:
    """Work on one block.

    Args:
        version: of the neuropack that asks.
        job: a pickled `Job`.
        work: a pickled `Work`.
        box: the block.
    """
    try:
        _agree(version)
        what: Work = _loads(work)
        with _image(job, what) as volume:
            outcome = what.do(box, volume)
    except Exception as error:
        return Failed.of(error)
    return replace(outcome, parts=tuple(map(_light, outcome.parts)))


async def check(version: str, job: bytes, work: bytes, dask_worker: Any = None) -> Failed | None:
    """Whether this worker could do the work; the library says which one it is."""
    if dask_worker:
        _address.set(dask_worker.address)

    def look() -> Failed | None:
        try:
            _agree(version)
            with _image(job, _loads(work)):
                return None
        except Exception as error:
            return Failed.of(error)

    return await asyncio.to_thread(look)


async def leave(name: str, patience: float) -> bool:
    """Take no more blocks of a pass, and forget it; False where a block is still in work after so many seconds."""
    with _lock:
        _ended.append(name)
        image = _images.pop(name, None) or _Image()
    until = time.monotonic() + patience
    while image.users and time.monotonic() < until:
        await asyncio.sleep(0.05)
    image.close()
    working.forget_buffers()
    return not image.users


class _Bytes:
    """Bytes that are sent from where they are, instead of being copied, wherever the protocol can do that."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        data = pickle.PickleBuffer(self._data) if operator.index(protocol) >= 5 else self._data
        return _same, (data,)


def _same(data: bytes) -> bytes:
    return data


def _light(part: Part) -> Part:
    chunks: list[Any] = [(name, at, _Bytes(stream)) for name, at, stream in part.chunks]
    return replace(part, chunks=chunks)


def _agree(version: str) -> None:
    if neuropack.__version__ != version:
        raise UsageError(
            "a worker has another version of neuropack",
            where=f"worker {_name()}",
            expected=f"neuropack {version}",
            found=f"neuropack {neuropack.__version__}",
            fix="install the same version for all workers",
        )


def _name() -> str:
    """This worker's, as a person finds it."""
    import platform

    from distributed import get_worker

    try:
        address = _address.get() or get_worker().address
    except ValueError:  # a test
        address = "of nobody"
    return f"{address} on {platform.node()}"


_address = ContextVar("_address", default="")
_loads = lru_cache(maxsize=8)(pickle.loads)


@dataclass
class _Image:
    """An image that is open, or going to be, and how many blocks of it are in work."""

    volume: Volume | None = None
    users: int = 0
    opening: Any = field(default_factory=threading.Lock)

    def close(self) -> None:
        with self.opening:
            volume, self.volume = self.volume, None
        if volume is not None:
            volume.close()


_images: dict[str, _Image] = {}  # by the name of the pass, the one used last at the end
_ended: deque[str] = deque(maxlen=100)  # passes that take no more blocks
_lock = threading.Lock()


@contextmanager
def _image(data: bytes, work: Work) -> Iterator[Volume]:
    """The image of a job, opened by the first block and left open for the next."""
    job: Job = _loads(data)
    with _lock:
        if job.name in _ended:
            raise OutputError("the pass has ended")
        image = _images.pop(job.name, None) or _Image()
        _images[job.name] = image
        image.users += 1
        idle = [name for name, one in _images.items() if not one.users]
        old = [_images.pop(name) for name in idle[:-_IDLE]]
    try:
        for one in old:
            one.close()
        with image.opening:
            if image.volume is None:
                _look(job)
                image.volume = _open(work)
            volume = image.volume
        yield volume
    finally:
        with _lock:
            image.users -= 1


def _open(work: Work) -> Volume:
    if work.opens is None:
        raise ValueError("nobody said how to open the image")
    try:
        return work.opens()
    except UsageError:
        raise
    except NeuropackError as error:
        raise UnreadableError(
            f"a worker cannot open the source: {error.what}",
            file=error.file,
            where=f"worker {_name()}",
            expected=error.expected,
            found=error.found,
            fix=_SHARED,
        ) from error


def _look(job: Job) -> None:
    """See that this process sees the coordinator's files.

    Raises:
        OutputError: it does not.
    """
    until = time.monotonic() + _PATIENCE
    for path, text in job.files.items():
        while True:
            found = None
            with suppress(OSError):
                found = path.read_text(encoding="utf-8")
            if found == text:
                break
            if time.monotonic() > until:
                raise _blind(path.parent)
            time.sleep(0.2)
    for folder in job.folders:
        if not folder.is_dir():
            raise _blind(folder)


def _blind(folder: Path) -> OutputError:
    return OutputError(
        "a worker does not see a folder that it needs",
        file=folder,
        where=f"worker {_name()}",
        fix=_SHARED,
    )
