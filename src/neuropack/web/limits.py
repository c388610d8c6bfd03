"""How much one person may ask for, and how long a request may be."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

_BUCKETS = 10_000
"""So many people are kept in mind, those who asked last."""


class Rate:
    """Requests a second, for each person: a bucket that holds ten seconds' worth and is filled again steadily.

    Args:
        rate: requests a second; 0: as many as they like.
        clock: tells seconds.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._most, self._clock = rate, max(1.0, 10 * rate), clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, who: str, cost: float = 1.0) -> float:
        """Take a request out of somebody's bucket: 0 where there was one, else the seconds until there is."""
        if self._rate <= 0:
            return 0.0
        with self._lock:
            now = self._clock()
            left, then = self._buckets.pop(who, (self._most, now))
            left = min(self._most, left + (now - then) * self._rate)
            wait = 0.0 if left >= cost else (cost - left) / self._rate
            self._buckets[who] = (left if wait else left - cost, now)
            if len(self._buckets) > _BUCKETS:
                self._buckets.popitem(last=False)
        return wait


def at_most(receive: Receive, limit: int) -> Receive:
    """The messages of a request, which end with the status 413 where its body is longer than it says or may be."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                raise HTTPException(413, f"at most {limit} bytes")
        return message

    return limited
