"""What work costs: time and memory; and the machine in words, of which nothing names it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

_LIBRARIES = ("neuropack", "numpy", "scipy", "numba", "scikit-image", "zarr", "torch")


@dataclass(frozen=True)
class Cost:
    """What a piece of work cost.

    Attributes:
        seconds: on the wall.
        cpu_seconds: of all threads and programs; None where the system does not tell.
        memory_bytes: the most that its process held, libraries and all; None as before.
    """

    seconds: float
    cpu_seconds: float | None
    memory_bytes: int | None

    @classmethod
    def of(cls, seconds: float, cpu_seconds: float | None, largest: int | None) -> Self:
        """From what the system counts memory in: bytes on macOS, kibibytes elsewhere."""
        return cls(seconds, cpu_seconds, largest if largest is None or sys.platform == "darwin" else largest << 10)

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def used() -> tuple[float | None, int | None]:
    """Seconds of CPU of this process and its ended children so far, and the most memory that it held."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None, None
    mine, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = mine.ru_utime + mine.ru_stime + others.ru_utime + others.ru_stime
    return cpu, _largest() or (mine.ru_maxrss if sys.platform == "darwin" else mine.ru_maxrss << 10)


def _largest() -> int | None:
    """The most memory that this process held, as Linux tells it, without that of the process which started it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), None)


def machine(libraries: Sequence[str] = ()) -> dict[str, Any]:
    """Processor, memory, versions and date.

    Args:
        libraries: whose versions are wanted beside those that every benchmark uses.
    """
    pages = getattr(os, "sysconf_names", {})
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if "SC_PHYS_PAGES" in pages else None
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": round(memory / 2**30) if memory else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": _versions((*_LIBRARIES, *libraries)),
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def words(of: Mapping[str, Any]) -> str:
    """The machine in a sentence."""
    memory = f", {of['memory_gib']} GiB of memory" if of["memory_gib"] else ""
    return (
        f"Measured {of['date']} on {of['cores']} cores ({of['processor']}){memory}, {of['system']}, "
        f"Python {of['python']}."
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    return platform.processor() or platform.machine()


def _versions(names: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # an optional library that is not installed
    return found
