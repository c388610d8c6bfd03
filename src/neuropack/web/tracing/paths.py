"""Searches for paths on a server: few at once, each with an end, on path finders that stay warm."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuropack.web.problems import ProblemError
from neuropack.web.tracing.budget import Budget

if TYPE_CHECKING:
    from neuropack.trace import PathFinder, TracedPath
    from neuropack.volume import Volume

Zyx = tuple[float, float, float]
Gone = Callable[[], Awaitable[bool]]
_LOOK_S = 0.05  # between two looks whether the client is still there
_KEPT = 256  # paths that were found: one that a person saw and then takes is not searched for again
_STATUS = {"cancelled": 499, "time-out": 422, "budget": 422, "no way": 422}


@dataclass(frozen=True)
class Asked:
    """A path that is asked for.

    Attributes:
        key: of the image.
        volume: the image.
        start: voxels z, y, x, whose centres lie at whole numbers.
        end: too; without one, the middle of the neurite at the start is asked for.
        color: whether it keeps to the colour at its start.
        timeout_s: seconds that it may take, waiting included.
    """

    key: Hashable
    volume: Volume
    start: Zyx
    end: Zyx | None
    color: bool
    timeout_s: float


class Paths:
    """Searches for paths, for all people of a server.

    Args:
        budget: how much they may take.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._pool = ThreadPoolExecutor(budget.at_once, thread_name_prefix="path")
        self._lock = threading.Lock()
        self._finders: OrderedDict[Hashable, PathFinder] = OrderedDict()
        self._found: OrderedDict[Hashable, TracedPath] = OrderedDict()
        self._asked = 0
        self._closing = threading.Event()

    @property
    def asked(self) -> int:
        """Searches that run or wait."""
        return self._asked

    @property
    def warm(self) -> int:
        """Path finders that are kept."""
        return len(self._finders)

    async def find(self, asked: Asked, gone: Gone) -> TracedPath:
        """A path.

        Args:
            asked: from where to where.
            gone: says whether the client is there no longer; the search ends then.

        Raises:
            ProblemError: too many are searched for, none was found in the budget, or the client is gone.
            UsageError: a point lies outside of the image, or both in one voxel.
        """
        key = (asked.key, asked.color, asked.start, asked.end)
        with self._lock:
            if (known := self._found.get(key)) is not None:
                self._found.move_to_end(key)
                return known
        found: TracedPath = await self._turn(self._search, asked, gone)
        with self._lock:
            self._found[key] = found
            while len(self._found) > _KEPT:
                self._found.popitem(last=False)
        return found

    async def snap(self, asked: Asked, gone: Gone) -> tuple[Zyx, float]:
        """The middle of the neurite at the start, voxels, and its radius, micrometre. All else as `find`."""
        found: tuple[Zyx, float] = await self._turn(self._middle, asked, gone)
        return found

    async def _turn(self, work: Callable[..., Any], asked: Asked, gone: Gone) -> Any:
        with self._lock:
            if self._asked >= self.budget.at_once + self.budget.waiting:
                raise ProblemError(
                    503,
                    "too many paths are searched for",
                    "try again in a moment",
                    headers={"Retry-After": str(self.budget.retry_s)},
                )
            self._asked += 1
        stop = threading.Event()
        ends = time.monotonic() + min(asked.timeout_s, self.budget.timeout_s)
        try:
            future = self._pool.submit(work, asked, stop, ends)
        except RuntimeError:
            self._done()
            raise ProblemError(503, "the server is closing") from None
        future.add_done_callback(lambda _: self._done())
        try:
            return await self._answer(asyncio.wrap_future(future), ends, gone)
        finally:
            stop.set()  # also where the request itself was cancelled
            future.cancel()

    async def _answer(self, work: asyncio.Future[Any], ends: float, gone: Gone) -> Any:
        watch = asyncio.ensure_future(_until(gone))
        try:
            left = max(ends - time.monotonic(), 0) + 2 * _LOOK_S
            done, _ = await asyncio.wait({work, watch}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if work in done:
                return work.result()
            if watch in done:
                raise ProblemError(499, "the client is gone", "the search was ended")
            raise _problem("time-out", "the search took too long")
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
            if not work.done():
                work.add_done_callback(lambda f: f.cancelled() or f.exception())  # nobody asks any more

    def _search(self, asked: Asked, stop: threading.Event, ends: float) -> TracedPath:
        from neuropack.trace import PathError

        def over() -> bool:
            return stop.is_set() or self._closing.is_set() or time.monotonic() > ends

        try:
            return self._finder(asked).find(asked.start, asked.end or asked.start, cancel=over)
        except PathError as error:
            reason, what = error.reason, error.what
            if self._closing.is_set():
                raise ProblemError(503, "the server is closing") from None
            if reason == "cancelled" and not stop.is_set():
                reason, what = "time-out", "the search took too long"
            raise _problem(reason, what, error.fix or "") from None

    def _middle(self, asked: Asked, stop: threading.Event, ends: float) -> tuple[Zyx, float]:
        point, radius = self._finder(asked).snap(asked.start)
        z, y, x = (float(v) for v in point)
        return (z, y, x), float(radius)

    def _finder(self, asked: Asked) -> PathFinder:
        """The path finder of an image, the longest unused one goes where there are too many."""
        from neuropack.trace import Options, PathFinder

        key = (asked.key, asked.color)
        with self._lock:
            if (known := self._finders.get(key)) is not None:
                self._finders.move_to_end(key)
                return known
        options = Options(color=asked.color, memory=self.budget.memory, most_expansions=self.budget.most_expansions)
        made = PathFinder(asked.volume, options)
        with self._lock:
            found = self._finders.setdefault(key, made)
            while len(self._finders) > self.budget.finders:
                self._finders.popitem(last=False)
            return found

    def warm_up(self, key: Hashable, volume: Volume) -> None:
        """Have the finder of an image ready before it is asked for the first time; in the background."""
        z, y, x = (n // 2 for n in volume.size_zyx)
        start, end = (float(z), float(y), float(x)), (float(z), float(y), float(max(x - 8, 0)))
        with suppress(RuntimeError):  # the server closes
            self._pool.submit(self._warm, Asked(key, volume, start, end, volume.n_channels > 1, 0))

    def _warm(self, asked: Asked) -> None:
        """A short search in the middle of an image: what it needs is compiled, and its first blocks are read."""
        from neuropack.errors import NeuropackError

        with suppress(NeuropackError, RuntimeError, OSError):  # who searches next is told
            self._finder(asked).find(asked.start, asked.end or asked.start, cancel=self._closing.is_set)

    def forget(self, key: Hashable) -> None:
        """Let go of an image."""
        with self._lock:
            for kept in (self._finders, self._found):
                for one in [k for k in kept if isinstance(k, tuple) and k[0] == key]:
                    del kept[one]

    def close(self) -> None:
        """End: what runs stops soon, what waits is not begun."""
        self._closing.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _done(self) -> None:
        with self._lock:
            self._asked -= 1


async def _until(gone: Gone) -> None:
    while not await gone():
        await asyncio.sleep(_LOOK_S)


def _problem(reason: str, what: str, fix: str = "") -> ProblemError:
    title = "the client is gone" if reason == "cancelled" else "no path was found"
    return ProblemError(_STATUS[reason], title, "; ".join(filter(None, (what, fix))), reason=reason)
