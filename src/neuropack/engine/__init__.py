"""The block pass between a reader and writers: raw data read once, bounded memory, nothing redone.

How a block travels. The plan cuts the image into blocks (`planning`): whole footprints of every output, so that no
chunk is touched twice. Threads, or the workers of a cluster, each take a block through everything (`work`): they
read it, look at it, and encode it for every output. One thread takes what they made in the order of the plan, puts
in place what only one process may (NWB), notes what was seen (`seen`), then the block itself in the journal
(`journal`); the same job, started again, continues after the blocks that are noted. Raw units too large for that go
to the disk first (`spool`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from neuropack.axes import Box, box_shape
from neuropack.engine.journal import Done, Files, Journal
from neuropack.engine.planning import Plan, cut, memory_budget, plan, room_of
from neuropack.engine.seen import SeenLabels, SeenProjections
from neuropack.engine.spool import fill
from neuropack.engine.work import Outcome, Work
from neuropack.progress import Progress
from neuropack.volume import Volume
from neuropack.writers.sink import Findings, Sink

if TYPE_CHECKING:
    from neuropack.engine.cluster import Team

__all__ = [
    "Files",
    "Journal",
    "Pass",
    "Plan",
    "Progress",
    "cut",
    "memory_budget",
    "plan",
    "room_of",
    "run",
    "team",
]

"""Called with the stage, the bytes done and the bytes in all; first with those that earlier runs have done."""


class Running(Protocol):
    """A block in work, or waiting for it."""

    def result(self) -> Outcome:
        """Wait for it."""
        ...

    def cancel(self) -> object:
        """Do not begin with it, where nobody has."""
        ...


Submit = Callable[[Work, Box], Running]


@dataclass(frozen=True)
class Pass:
    """How the blocks of a job are worked on.

    Attributes:
        threads: blocks in work at one time on this machine.
        keep_going: go on where a raw unit cannot be decoded: zeros stand there, and the result says so.
        team: other processes that do it in place of threads here.
        opens: opens the image in them.
        progress: called as the work goes on.
        check: called before a block is noted; it raises where the outputs are no longer this run's.
    """

    threads: int
    keep_going: bool = False
    team: Team | None = None
    opens: Callable[[], Volume] | None = None
    progress: Progress | None = None
    check: Callable[[], None] | None = None


def run(volume: Volume, sinks: Sequence[Sink], journal: Journal, how: Pass) -> Findings:
    """Move the blocks that the journal does not list from the volume into every sink.

    Returns:
        What was learned on the way, by this and all earlier runs of the job.
    """
    plan = journal.plan
    if plan is None:
        raise ValueError("the journal has no plan")
    work = Work(how.opens, tuple(s.encoder for s in sinks), volume.shape, how.keep_going)
    item = volume.dtype.itemsize
    seen = SeenProjections(journal, volume)
    labels = SeenLabels(journal, volume) if any(getattr(e, "labels", False) for e in work.encoders) else None
    done, number, spooled = journal.voxels_done() * item, 0, 0
    tick = how.progress or (lambda *_: None)
    tick("pixels", done, volume.nbytes)
    with _workers(volume, journal, plan, work, how) as (submit, window):
        for slab in plan.slabs():
            boxes = dict(enumerate(cut(slab, plan.block), number))
            number += len(boxes)
            todo = [i for i in boxes if i not in journal.done]
            if not todo:
                spooled += math.prod(box_shape(slab)) * item
                continue
            slab_work = work
            if plan.slab:
                path = journal.path.with_suffix(".spool")
                tick("decoding", spooled, volume.nbytes)

                def decoded(size: int) -> None:
                    nonlocal spooled
                    spooled += size
                    tick("decoding", spooled, volume.nbytes)

                slab_work = replace(
                    work, spool=fill(volume, slab, path, piece=plan.piece, keep_going=how.keep_going, tick=decoded)
                )
            for i, outcome in _in_order(todo, lambda i: submit(slab_work, boxes[i]), window):  # noqa: B023
                for sink, part in zip(sinks, outcome.parts, strict=True):
                    sink.commit(part)
                for sink in sinks:
                    sink.flush()
                seen.add(boxes[i], outcome.projections)
                if labels:
                    labels.add([p.labels for p in outcome.parts if p.labels is not None])
                files = [dict(part.files) for part in outcome.parts]
                if how.check:
                    how.check()
                journal.note_block(i, Done(outcome.statistics, outcome.missing, files))
                done += math.prod(box_shape(boxes[i])) * item
                tick("pixels", done, volume.nbytes)
    statistics = journal.statistics(volume.axes.index("C"))
    return Findings(statistics, journal.missing(), seen.all(), labels.all() if labels else None)


def _in_order(
    todo: Iterable[int], submit: Callable[[int], Running], window: Callable[[], int]
) -> Iterator[tuple[int, Outcome]]:
    """Results in the order of the numbers, while at most `window()` blocks are in work or wait to be taken."""
    waiting: deque[tuple[int, Running]] = deque()
    left = iter(todo)
    try:
        while True:
            while len(waiting) < window() and (number := next(left, None)) is not None:
                waiting.append((number, submit(number)))
            if not waiting:
                return
            number, future = waiting.popleft()
            yield number, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


@contextmanager
def team(processes: int | None = None, address: str | None = None, modules: Sequence[str] = ()) -> Iterator[Team]:
    """Other processes that do the work, see `neuropack.engine.cluster.team`."""
    from neuropack.engine import cluster

    with cluster.team(processes, address, modules) as made:
        yield made


@contextmanager
def _workers(
    volume: Volume, journal: Journal, plan: Plan, work: Work, how: Pass
) -> Iterator[tuple[Submit, Callable[[], int]]]:
    """Who does the work, and how many blocks may be in their hands.

    Threads take a block each; where there are fewer blocks than threads, these share the chunks of one. Or else it
    is other processes.
    """
    if team := how.team:
        with team.on(work, journal.path.with_suffix(".workers"), spooled=plan.slab is not None) as submit:
            yield submit, lambda: team.window(plan.at_once)
        return

    def window() -> int:
        return plan.window

    few = len(plan.boxes()) < 2 * how.threads or plan.at_once < how.threads
    with ThreadPoolExecutor(plan.at_once, "neuropack") as threads:
        if few and how.threads > 1:
            with ThreadPoolExecutor(how.threads, "neuropack-chunks") as chunks:
                yield lambda work, box: threads.submit(work.do, box, volume, chunks), window
        else:
            yield lambda work, box: threads.submit(work.do, box, volume), window
