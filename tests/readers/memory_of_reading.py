"""Run in a process of its own: read an image in blocks or as a stream, and tell what that added to memory.

    python memory_of_reading.py FILE blocks 1,64,256,8192
    python memory_of_reading.py FILE stream 8388608

Prints the growth of resident memory at its peak (bytes), the bytes of pixels read, and their sum.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np

from neuropack.axes import Array, full_box
from neuropack.readers import open_volume
from neuropack.volume import Volume


def status(name: str) -> int:
    """A line of the process's status, in bytes. getrusage will not do: its peak includes the parent's."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def in_blocks(volume: Volume, shape: tuple[int, ...]) -> Iterator[Array]:
    """The blocks of an image in the order of a pass, all in one buffer."""
    memory = np.zeros(int(np.prod(shape)), volume.dtype)
    for corner in product(*(range(0, n, step) for n, step in zip(volume.shape, shape, strict=True))):
        box = tuple(slice(c, min(c + s, n)) for c, s, n in zip(corner, shape, volume.shape, strict=True))
        lengths = [s.stop - s.start for s in box]
        yield volume.read(box, memory[: int(np.prod(lengths))].reshape(lengths))


def main(file: str, way: str, size: str) -> None:
    """Read and print."""
    volume = open_volume(file)
    volume.read(tuple(slice(0, 1) for _ in volume.shape))  # what is loaded only once
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before = status("VmRSS")
    blocks = (
        in_blocks(volume, tuple(map(int, size.split(","))))
        if way == "blocks"
        else (pixels for _, pixels in volume.stream(full_box(volume.shape), int(size)))
    )
    read = total = 0
    for block in blocks:
        read += block.nbytes
        if block.any():
            total += int(block.sum(dtype=np.uint64))
        del block
    print(status("VmHWM") - before, read, total)


if __name__ == "__main__":
    main(*sys.argv[1:])
