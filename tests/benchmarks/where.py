"""Where the time of a conversion goes: seconds of each step, on the clock and of the processor, over all threads.

    python where.py SOURCE OUTPUT...

Runs the conversion in this process with a clock around every step. Steps that contain others are set in. What the
processor did not work on in a step is waiting: for the disk, for another thread, or for the interpreter's lock.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuropack.benchmark.measured import cores

Clock = tuple[float, float]


def now() -> Clock:
    """Wall seconds, and processor seconds of this thread."""
    return time.perf_counter(), time.thread_time()


spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0])


def note(step: str, since: Clock) -> None:
    """Add what passed since."""
    wall, cpu = now()
    row = spent[step]
    row[0] += wall - since[0]
    row[1] += cpu - since[1]
    row[2] += 1


def watch(owner: Any, name: str, step: str) -> None:
    """Put a clock around a function or a method."""
    inner: Callable[..., Any] = getattr(owner, name)
    spent[step]  # its row comes before those of the steps inside it

    def timed(*args: Any, **options: Any) -> Any:
        since = now()
        try:
            return inner(*args, **options)
        finally:
            note(step, since)

    setattr(owner, name, timed)


def main() -> None:
    """Convert, and print the steps."""
    began = now()
    source, *outputs = map(Path, sys.argv[1:])
    from neuropack import convert, engine
    from neuropack.engine import work
    from neuropack.readers import open_volume
    from neuropack.writers import nwb, ome_zarr, shards, store

    since = now()
    note("import neuropack", began)
    volume = open_volume(source)
    note("open the source", since)
    watch(convert._Job, "sinks", "make the outputs")
    watch(engine, "run", "the pass")
    watch(work.Work, "do", "- blocks, in threads")
    watch(type(volume), "read", "- - read")
    watch(work, "measure", "- - look")
    watch(ome_zarr.OmeZarrEncoder, "encode", "- - OME-Zarr")
    watch(ome_zarr.OmeZarrEncoder, "shrink", "- - - average")
    watch(shards.Codec, "encode", "- - - compress")
    watch(store.LocalStore, "write", "- - - write")
    watch(nwb.NwbEncoder, "encode", "- - NWB")
    watch(nwb.NwbSink, "commit", "- commit to NWB")
    watch(nwb.NwbSink, "flush", "- sync NWB")
    watch(engine.Journal, "note_block", "- journal")
    watch(ome_zarr.OmeZarrSink, "finish", "coarser levels, metadata")
    watch(nwb.NwbSink, "finish", "close NWB")
    processor = time.process_time()
    since = now()
    convert.convert(volume, outputs)
    note("convert", since)
    used, wall = time.process_time() - processor, spent["convert"][0]
    print("| step | times | seconds | of the processor |\n|---|---|---|---|")
    for step, (seconds, cpu, times) in spent.items():
        if times:
            print(f"| {step} | {times:.0f} | {seconds:.2f} | {cpu:.2f} |")
    share = used / wall / cores()
    print(f"\nconvert: {used:.2f} s of the processor in {wall:.2f} s: {share:.0%} of {cores()} cores")


if __name__ == "__main__":
    main()
