"""Run in a process of its own: neuropack with these arguments, and at the end the peak of resident memory.

    python memory_of_converting.py FILE convert raw.ome.tif a.ome.zarr --memory 384MiB

Writes the peak in bytes to FILE. Linux counts mapped pages of files in it.
"""

from __future__ import annotations

import atexit
import re
import sys
from pathlib import Path

from neuropack.cli import entry


def note(file: Path) -> None:
    """Write the peak. getrusage will not do: its peak includes the parent's."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    file.write_text(str(int(found[1]) * 1024 if found else 0))


if __name__ == "__main__":
    atexit.register(note, Path(sys.argv.pop(1)))
    entry()
