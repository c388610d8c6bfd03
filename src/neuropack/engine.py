"""The block pass between a reader and writers: raw data read once, bounded memory, nothing redone.

How a block travels. The plan cuts the image into blocks: whole footprints of every sink (so that no chunk is
touched twice), grown along x, then y, then over the channels, as far as the memory allows, because that is how
microscopes store pixels. One thread reads ahead while the sinks compress and write. A block that all sinks have
on disk is noted in the journal; the same job, started again, continues after the last noted block.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from neuropack.axes import Array, Box, box_shape
from neuropack.errors import OutputError, UsageError
from neuropack.volume import Volume
from neuropack.writers.sink import Sink, Statistics

_ENOUGH = 64 << 20  # bytes; larger blocks only cost time, for the processor's cache and for reading ahead
_LIVE_BLOCKS = 4  # the one being written, the one read ahead, and what decoding and compressing need beside them

Progress = Callable[[str, int, int], None]
"""Called with the stage, the bytes done and the bytes in all."""


def memory_budget() -> int:
    """Bytes a pass may use by default: a quarter of the machine, at most 2 GiB."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        machine = 8 << 30
    return min(machine // 4, 2 << 30)


@contextmanager
def only_one(destination: Path) -> Iterator[None]:
    """Keep other runs off a destination until this one ends; the operating system lets go when a process dies.

    Raises:
        OutputError: another run is at work there.
    """
    from filelock import FileLock, Timeout

    path = destination.with_name(f".{destination.name}.lock")
    lock = FileLock(path)
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


def plan(volume: Volume, sinks: Sequence[Sink], memory: int) -> tuple[int, ...]:
    """The shape of the blocks: whole footprints of every sink, as large as the memory allows.

    Raises:
        UsageError: not even the smallest block fits.
    """
    shape = volume.shape
    block = [
        min(n, math.lcm(*(min(s.footprint[i], n) if s.footprint[i] < n else n for s in sinks)))
        for i, n in enumerate(shape)
    ]
    limit = memory // _LIVE_BLOCKS
    smallest = math.prod(block) * volume.dtype.itemsize
    if smallest > limit:
        needed = -(-smallest * _LIVE_BLOCKS // 2**20)
        raise UsageError(
            "a block of this image does not fit the memory allowed",
            file=volume.path,
            expected=f"at least {needed} MiB",
            found=f"{memory / 2**20:.3g} MiB",
            fix=f"allow more with --memory {needed}MiB",
        )
    unit = box_shape(next(volume.native_blocks()))
    for enough in (0, _ENOUGH):  # first what a raw block needs to be read once, then for a good measure
        for axis in (volume.ndim - 1, volume.ndim - 2, volume.axes.index("C")):
            size = math.prod(block) * volume.dtype.itemsize
            times = max(-(-unit[axis] // block[axis]), enough // size)
            block[axis] = min(shape[axis], block[axis] * max(1, min(times, limit // size)))
    return tuple(block)


def cut(shape: tuple[int, ...], block: tuple[int, ...]) -> list[Box]:
    """The boxes of blocks of one shape that cover an image, in C order."""
    starts = (range(0, n, b) for n, b in zip(shape, block, strict=True))
    return [
        tuple(slice(c, min(c + b, n)) for c, b, n in zip(corner, block, shape, strict=True))
        for corner in product(*starts)
    ]


class Journal:
    """What a job has finished: a JSON line for the job, one for the plan, then one per block.

    Args:
        destination: of the job; the journal lies beside it.
        job: what makes two jobs the same: source, settings, destinations.
    """

    def __init__(self, destination: Path, job: dict[str, Any]) -> None:
        self.destination, self.job = destination, job
        self.path = destination.with_name(f".{destination.name}.journal")
        self.block: tuple[int, ...] = ()
        self.created = ""
        self.done: dict[int, list[Statistics]] = {}
        self.finished = False

    def load(self) -> bool:
        """Read what an earlier run left; False where there is nothing to continue.

        Raises:
            UsageError: what was left belongs to another job.
        """
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            return False
        if lines and not lines[-1].endswith("\n"):  # the interruption tore it
            lines.pop()
            self.path.write_text("".join(lines), encoding="utf-8", newline="\n")
        if not lines:
            return False
        job, *entries = [json.loads(line) for line in lines]
        if job != self.job:
            raise UsageError(
                "an unfinished conversion with other settings, or of another source, lies beside the destination",
                file=self.destination,
                fix="run the earlier command again to complete it, or add --overwrite to discard it",
            )
        for entry in entries:
            if "block" in entry:
                self.block, self.created = tuple(entry["block"]), entry["created"]
            if "done" in entry:
                self.done[entry["done"]] = [Statistics(*s) for s in entry["statistics"]]
            self.finished = self.finished or "finished" in entry
        return bool(self.block)

    def claim(self) -> None:
        """Begin anew: from here on what lies under the temporary names is this job's."""
        self.block, self.done, self.finished = (), {}, False
        self.path.unlink(missing_ok=True)
        self.note(self.job)

    def start(self, block: tuple[int, ...], created: str) -> None:
        """Note the plan; `created` is the date that a continued run must write again."""
        self.block, self.created = block, created
        self.note({"block": list(block), "created": created})

    def note(self, entry: dict[str, Any]) -> None:
        """Add a line and see it to the disk."""
        with self.path.open("a", encoding="utf-8", newline="\n") as out:
            out.write(json.dumps(entry) + "\n")
            out.flush()
            os.fsync(out.fileno())

    def note_block(self, number: int, statistics: list[Statistics]) -> None:
        """Note that a block is on disk everywhere."""
        self.done[number] = statistics
        rows = [[s.minimum, s.maximum, s.saturated, s.voxels] for s in statistics]
        self.note({"done": number, "statistics": rows})

    def note_finished(self) -> None:
        """Note that every sink is complete and only the renaming is left."""
        self.finished = True
        self.note({"finished": True})


def run(volume: Volume, sinks: Sequence[Sink], journal: Journal, progress: Progress | None = None) -> None:
    """Move the blocks that the journal does not list from the volume into every sink."""
    blocks = cut(volume.shape, journal.block)
    done = sum(math.prod(box_shape(blocks[i])) for i in journal.done) * volume.dtype.itemsize
    todo = [i for i in range(len(blocks)) if i not in journal.done]
    for number, block in _read_ahead(volume, blocks, todo):
        for sink in sinks:
            sink.write(blocks[number], block)
        for sink in sinks:
            sink.flush()
        journal.note_block(number, _measure(volume, block))
        done += block.nbytes
        if progress:
            progress("pixels", done, volume.nbytes)


def statistics(volume: Volume, journal: Journal) -> list[Statistics]:
    """Per channel, summed up over the blocks of the journal."""
    blocks, c_axis = cut(volume.shape, journal.block), volume.axes.index("C")
    total: dict[int, Statistics] = {}
    for number, rows in sorted(journal.done.items()):
        for c, row in enumerate(rows, blocks[number][c_axis].start):
            total[c] = total[c] + row if c in total else row
    return [total[c] for c in sorted(total)]


def _read_ahead(volume: Volume, blocks: Sequence[Box], todo: list[int]) -> Iterator[tuple[int, Array]]:
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        ahead: Future[Array] | None = None
        for position, number in enumerate(todo):
            block = ahead.result() if ahead else volume.read(blocks[number])
            more = position + 1 < len(todo)
            ahead = pool.submit(volume.read, blocks[todo[position + 1]]) if more else None
            yield number, block


def _measure(volume: Volume, block: Array) -> list[Statistics]:
    c_axis = volume.axes.index("C")
    by_channel = block.swapaxes(0, c_axis)
    return [Statistics.of(one) for one in by_channel]
