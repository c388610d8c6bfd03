"""Runs a command and writes what it cost: a small program of its own, run by its path.

Linux counts the memory of a process from that of the process which started it. Started from a large one, a small
command would seem large; this one holds about 10 MB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def main(report: str, words: list[str]) -> int:
    """Run a command; its exit status, negative where a signal ended it, goes into the report too."""
    began = time.perf_counter()
    said: dict[str, object] = {}
    try:
        if hasattr(os, "posix_spawnp"):
            _, raw, usage = os.wait4(os.posix_spawnp(words[0], words, os.environ), 0)
            status = os.waitstatus_to_exitcode(raw)
            said = {"cpu_seconds": usage.ru_utime + usage.ru_stime, "largest": usage.ru_maxrss}
        else:  # Windows tells neither
            status = subprocess.call(words)  # noqa: S603 - the user's own command
    except OSError as error:
        status, said = 127, {"error": error.strerror or str(error)}
    said |= {"status": status, "seconds": time.perf_counter() - began}
    with open(report, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would be a fifth of this program
        json.dump(said, file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
