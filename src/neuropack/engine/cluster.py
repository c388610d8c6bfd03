"""Blocks that are worked on in other processes, on this machine or on many, through dask.distributed.

The scheduler hands out the same jobs that threads take (`neuropack.engine.work`). Where a process dies, its blocks
are done again elsewhere, with the same bytes. Shards are written where they are made; chunks of NWB come back to
the one process that puts them in place. At most two blocks for each thread are in flight; what is made of them
waits in the workers, so neither the scheduler nor this process ever holds more than one.
"""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import neuropack
from neuropack.axes import Box
from neuropack.engine import worker
from neuropack.engine.local import Keeper, cannot_keep
from neuropack.engine.work import Outcome, Work
from neuropack.errors import OutputError, UsageError
from neuropack.writers.store import LocalStore

if TYPE_CHECKING:
    from neuropack.engine import Submit

CONNECT_S = 10  # to a scheduler
WORKERS_S = 60  # without any worker
ENDING_S = 60  # for blocks that are in work on other machines when the pass is given up
_ASK_S = 5  # between two looks at who is there
_DEATHS = 5  # of workers with one block, before it is given up


class Team:
    """Processes that work on blocks, behind a scheduler: on this machine where there is a keeper."""

    def __init__(self, client: Any, keeper: Keeper | None, processes: int, threads: int) -> None:
        self._client, self._keeper = client, keeper
        self._processes, self._threads = processes, threads
        self._looked = self._seen = time.monotonic()

    def plan_for(self, memory: int) -> tuple[int, int, int]:
        """What a plan has to go by: bytes, how many blocks less one share them, and how many processes.

        Args:
            memory: what the whole pass may use on this machine, or each worker on others.
        """
        if self._keeper:
            return memory, self._processes * _in_flight(self._threads) - 1, self._processes + 1
        # half of what the library allows a worker: from there on it would spill results to the disk
        limits = [w["memory_limit"] for w in self._workers().values() if w["memory_limit"]]
        return min([memory, *(limit // 2 for limit in limits)]), _in_flight(self._threads) - 1, 1

    def window(self, at_once: int) -> int:
        """How many blocks may be in work, or wait to be taken, by a plan that was made for this team."""
        if self._keeper:
            return at_once
        self._look()
        return at_once * max(1, self._processes)

    @contextmanager
    def on(self, work: Work, token: Path, *, spooled: bool) -> Iterator[Submit]:
        """Begin a pass; when it is over, workers on this machine go, and others forget it.

        Args:
            work: what is done with its blocks, but for the spooled slab.
            token: a file to make, by which workers know that they see the same folders, where they need any.
            spooled: they read decoded pixels from the folder where the token is.

        Raises:
            InputError, OutputError, UsageError: a worker cannot do the work.
        """
        name, count, files = uuid.uuid4().hex, itertools.count(), {}
        roots = [s.root for s in (getattr(e, "store", None) for e in work.encoders) if isinstance(s, LocalStore)]
        try:
            if (roots or spooled) and not self._keeper:
                token.write_text(name, encoding="utf-8")
                files = {token.absolute(): name}
            job = pickle.dumps(worker.Job(name, files, tuple(roots)))
            if not self._keeper:
                self._check(job, pickle.dumps(work))

            def submit(work: Work, box: Box) -> _Block:
                key = f"neuropack-{name}-{next(count)}"
                future = self._client.submit(
                    worker.do, neuropack.__version__, job, pickle.dumps(work), box, key=key, pure=False
                )
                return _Block(self, future, box)

            yield submit
        finally:
            if self._keeper:
                self._keeper.end()
            else:
                self._leave(name)
            for path in files:
                path.unlink(missing_ok=True)

    def check_alive(self) -> None:
        """See that somebody is there to do the work.

        Raises:
            OutputError: nobody has been for a while.
        """
        if self._keeper and not self._keeper.alive():
            raise cannot_keep()
        self._look()
        if time.monotonic() - self._seen > WORKERS_S:
            raise OutputError(
                "the cluster has no worker left",
                file=self._client.scheduler.address,
                fix="start workers, then run the same command again: it continues",
            )

    def _workers(self) -> Mapping[str, Any]:
        workers: Mapping[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return workers

    def _look(self) -> None:
        """Ask from time to time how many workers there are: clusters grow and shrink."""
        now = time.monotonic()
        if now - self._looked < _ASK_S:
            return
        self._looked = now
        with suppress(OSError):  # the scheduler is away for a moment
            workers = self._workers()
            if workers:
                self._seen = now
            if not self._keeper:
                self._processes = len(workers)

    def _check(self, job: bytes, work: bytes) -> None:
        """Ask every worker whether it could do the work."""
        for address, found in self._ask(worker.check, neuropack.__version__, job, work).items():
            if isinstance(found, worker.Failed):
                raise found.raised()
            if isinstance(found, Exception) and not isinstance(found, OSError):
                raise UsageError(
                    "a worker has no neuropack, or a very different one",
                    where=f"worker {address}",
                    expected=f"neuropack {neuropack.__version__}",
                    found=f"{type(found).__name__}: {found}",
                    fix="install the same version of neuropack for all workers",
                )

    def _ask(self, function: Any, *arguments: Any) -> dict[str, Any]:
        """What a function answers in every worker; an OSError where one did not answer, for it has just died."""
        answers: dict[str, Any] = self._client.run(function, *arguments, on_error="return")
        return answers

    def _leave(self, name: str) -> None:
        """Wait until no worker writes any more: the next run may write other bytes to the same files."""
        with suppress(OSError):
            self._ask(worker.leave, name, ENDING_S)


class _Block:
    """A block that a worker has, or is going to have."""

    def __init__(self, team: Team, future: Any, box: Box) -> None:
        self._team, self._future, self._box = team, future, box
        self._done = threading.Event()
        future.add_done_callback(lambda _: self._done.set())

    def cancel(self) -> None:
        """Do not begin with it."""
        self._future.cancel()

    def result(self) -> Outcome:
        """What became of it.

        Raises:
            NeuropackError, OSError: as the work raised it, in whatever process.
            OutputError: too many workers died of it, or none is left.
        """
        from distributed import KilledWorker

        while not self._done.wait(_ASK_S):
            self._team.check_alive()
        while True:
            try:
                answer = self._future.result(timeout=WORKERS_S)
                break
            except KilledWorker as error:
                raise self._deadly() from error
            except TimeoutError:  # the worker that had the result died, or the network is slow
                self._team.check_alive()
            except (CancelledError, OSError) as error:
                raise OutputError(
                    "the scheduler of the cluster went away",
                    found=str(error),
                    fix="run the same command again: it continues",
                ) from error
            except Exception as error:
                raise OutputError(
                    "a worker cannot do the work at all",
                    found=f"{type(error).__name__}: {error}",
                    fix="install the same version of neuropack, and of Python, for all workers",
                ) from error
        if isinstance(answer, worker.Failed):
            raise answer.raised()
        outcome: Outcome = answer
        return outcome

    def _deadly(self) -> OutputError:
        place = ", ".join(f"{s.start}:{s.stop}" for s in self._box)
        return OutputError(
            "workers keep dying with the same block of the image",
            where=f"[{place}]",
            found="the machine most likely has too little memory, and its system kills them",
            fix="start fewer workers, or allow less memory with --memory; the same command continues",
        )


@contextmanager
def team(processes: int | None = None, address: str | None = None, modules: Sequence[str] = ()) -> Iterator[Team]:
    """Processes that do the work, until the end.

    Args:
        processes: how many to start on this machine.
        address: of a scheduler that is there already, with its workers; wins.
        modules: what the processes are going to need.

    Raises:
        UsageError: the library is missing, or there is no scheduler.
        OutputError: the scheduler has no workers.
    """
    if address:
        with _there(address) as made:
            yield made
    elif processes and processes > 0:
        with _here(processes, modules) as made:
            yield made
    else:
        raise UsageError("there must be at least one worker", found=str(processes))


@contextmanager
def _here(processes: int, modules: Sequence[str]) -> Iterator[Team]:
    """A scheduler in this process, and workers beside it that only it can reach."""
    threads = _cores() // processes + 1  # one more than there are processors for, so that none waits for a disk
    keeper = Keeper(processes, threads, modules)  # it loads libraries while this process does
    try:
        dask = _library()
        from dask import config as configured

        keys = dask.Security.temporary()
        scheduler = partial(
            dask.LocalCluster,
            n_workers=0,
            threads_per_worker=threads,
            host="127.0.0.1",
            security=keys,
            scheduler_kwargs={
                "allowed_failures": _DEATHS,
                "dashboard": False,
                "dashboard_address": "127.0.0.1:0",  # it listens somewhere in any case, with nothing to show
            },
        )
        connect = partial(dask.Client, set_as_default=False, direct_to_workers=True)
        silent = configured.set({"distributed.scheduler.http.routes": []})
        with _quiet(), silent, scheduler() as cluster, connect(cluster) as client:
            files = ("tls_ca_file", "tls_worker_cert", "tls_worker_key")
            keeper.start(cluster.scheduler_address, {name: getattr(keys, name) for name in files})
            try:
                yield Team(client, keeper, processes, threads)
            finally:
                keeper.end()
    finally:
        keeper.wait()


@contextmanager
def _there(address: str) -> Iterator[Team]:
    """A scheduler somewhere, and its workers."""
    dask = _library()
    try:
        dask.comm.parse_host_port(dask.comm.parse_address(address)[1])  # a client only fails after a while
        client = dask.Client(address, timeout=CONNECT_S, set_as_default=False, name="neuropack")
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            "no scheduler answers there",
            file=address,
            expected="the address of a Dask scheduler, such as tcp://head-node:8786",
            found=str(error),
            fix="see that it runs and that its port can be reached from here",
        ) from error
    with _quiet(), client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_S)
        except TimeoutError as error:
            raise OutputError(
                "the scheduler has no workers",
                file=address,
                fix=f"start some, for example with: dask worker {address}",
            ) from error
        workers = client.scheduler_info(n_workers=-1)["workers"]
        yield Team(client, None, len(workers), max((w["nthreads"] for w in workers.values()), default=1))


def _in_flight(threads: int) -> int:
    """Blocks of one process: those in work, and some that wait to be next, or to be taken."""
    return threads + max(1, threads // 2)


def _library() -> Any:
    """The library that does it; it says nothing about its types.

    Raises:
        UsageError: it is not there.
    """
    try:
        import cryptography  # noqa: F401 - it keeps others on this machine out, see `_here`
        import distributed
    except ModuleNotFoundError as error:
        raise UsageError(
            f"work in other processes needs the library {error.name}", fix="pip install 'neuropack[cluster]'"
        ) from error
    return distributed


def _cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library, which is loaded now, from printing what this module tells, or mends."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "tornado.application")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
