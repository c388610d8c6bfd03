"""Work in threads a little ahead of where its results are used, in order, in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

BUDGET = 256 * 2**20
"""Bytes of the results that wait at most; one result may be larger."""

Job = TypeVar("Job")
Result = TypeVar("Result")


def ahead(jobs: Iterable[tuple[Job, int]], work: Callable[[Job], Result]) -> Iterator[tuple[Job, Result]]:
    """Each job with its result, in the order of the jobs.

    Args:
        jobs: each with the bytes that its result takes.
        work: run in threads; what it raises is raised here.
    """
    threads = os.cpu_count() or 1
    waiting: deque[tuple[Job, int, Future[Result]]] = deque()
    held = 0
    pool = ThreadPoolExecutor(threads, "neuropack-validate")
    try:
        for job, size in jobs:
            while waiting and (held + size > BUDGET or len(waiting) > 4 * threads):
                done, its_size, future = waiting.popleft()
                yield done, future.result()
                held -= its_size
            waiting.append((job, size, pool.submit(work, job)))
            held += size
        while waiting:
            done, _, future = waiting.popleft()
            yield done, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
