"""One measurement: a fresh process with a fresh output; its wall time, its peak memory, the size of what it wrote.

This module and the program that uses it import no library: a child is charged with the memory that its parent had.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCRIPTS = "Scripts" if os.name == "nt" else "bin"
_SAMPLE_S = 0.1
_UNKNOWN = "No such option"


@dataclass
class Row:
    """One way to do a job, and every measurement of it.

    Attributes:
        key: by which goals find it.
        name: for people.
        command: the process.
        source: what it reads; read once before each run, so that it lies in the page cache for everybody.
        outputs: files or folders that it writes.
        decoded_bytes: of the pixels that it converts, level 0; 0 where it converts none.
        points: that it moves or looks up; 0 where it converts pixels.
        prints_seconds: the process measures a part of itself and prints the seconds.
        against: keys of the rows that it is compared with; of several, the dearest.
        note: what a reader must know about it.
        absent: why it is not measured; empty where it is.
        seconds, peak_mib: of every run, the peak only of whole processes.
        output_bytes: of the last run.
        found: what a check of the output found (levels, codec, chunks).
    """

    key: str
    name: str
    command: list[str]
    source: Path | None = None
    outputs: tuple[Path, ...] = ()
    decoded_bytes: int = 0
    points: int = 0
    prints_seconds: bool = False
    against: tuple[str, ...] = ()
    note: str = ""
    absent: str = ""
    seconds: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)
    output_bytes: int = 0
    found: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """What is stored: no path and no command line, which would name a machine's folders."""
        row = asdict(self)
        return {k: v for k, v in row.items() if k not in {"command", "source", "outputs", "prints_seconds"}}

    def clear(self) -> None:
        """Remove its outputs, and what an interrupted run left beside them."""
        for output in self.outputs:
            for path in [output, *output.parent.glob(f".{output.name}.*"), *output.parent.glob(f"{output.name}.*")]:
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


def measure(row: Row) -> None:
    """Run a row once. What it wrote stays until the next run.

    Raises:
        SystemExit: the process failed; what it printed is told.
    """
    row.clear()
    if row.source:
        _warm(row.source)
    os.sync()  # another job's dirty pages are not this one's cost
    seconds, peak, status, said = _run(row.command)
    if status:
        raise SystemExit(f"{row.name} ended with {status}:\n{said[-3000:]}")
    row.seconds.append(float(said) if row.prints_seconds else seconds)
    if not row.prints_seconds:  # a part of a process has no peak of its own
        row.peak_mib.append(round(peak / 2**20, 1))
    row.output_bytes = sum(_size(path) for path in row.outputs)


def knows(command: list[str], outputs: tuple[Path, ...]) -> bool:
    """Whether a command of neuropack has its options yet: it works on a small file, or says that there is no such.

    Raises:
        SystemExit: it fails in another way.
    """
    probe = Row("probe", "a trial on a small file", command, outputs=outputs)
    probe.clear()
    _, _, status, said = _run(command)
    probe.clear()
    if status and _UNKNOWN not in said:
        raise SystemExit(f"{' '.join(command[1:3])} ... ended with {status}:\n{said[-3000:]}")
    return status == 0


def say(command: list[str]) -> str:
    """What a helper of the benchmark prints, which is not measured.

    Raises:
        SystemExit: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:3])} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def _run(command: list[str]) -> tuple[float, int, int, str]:
    """Wall seconds, peak bytes, exit status and output of a process."""
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        watch = _Watch(process.pid)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        watch.over.set()
        watch.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        said = log.read().decode(errors="replace")
    own = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return seconds, max(own, watch.peak), process.returncode, said


class _Watch(threading.Thread):
    """The resident memory of a process and its children together, looked at ten times a second.

    One process alone is known exactly from the operating system; only of several is the sum needed.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak, self.over = pid, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(_SAMPLE_S):
            family = _family(self.pid)
            if len(family) > 1:
                self.peak = max(self.peak, sum(_resident(pid) for pid in family))


def _family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:
                continue  # the thread has ended
    return found


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0  # the process has ended
    return pages * os.sysconf("SC_PAGE_SIZE")


def _warm(path: Path) -> None:
    with path.open("rb", buffering=0) as source:
        while source.read(16 << 20):
            pass


def _size(path: Path) -> int:
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    return sum(p.stat().st_size for p in files)


def environment(name: str) -> Path:
    """The Python of a peer's environment below .gates/, made where it is not there yet."""
    folder = ROOT / ".gates" / f"bench-{name}"
    python = folder / SCRIPTS / ("python.exe" if os.name == "nt" else "python")
    wanted = (HERE / f"requirements-{name}.txt").read_text(encoding="utf-8")
    stamp = folder / ".installed"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"making the environment of {name}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "-r", str(HERE / f"requirements-{name}.txt")]
        subprocess.run(install, check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return python
