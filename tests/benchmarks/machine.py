"""The machine in words: what a reader needs to know of it, and nothing that names it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from measure import HERE

_LIBRARIES = (
    "neuropack",
    "numpy",
    "scipy",
    "numba",
    "scikit-image",
    "itk",
    "tifffile",
    "zarr",
    "numcodecs",
    "h5py",
    "isal",
    "pynwb",
    "distributed",
)
_PEERS = ("ngff-zarr", "bioio", "neuroconv", "brainglobe-atlasapi", "neurom")


def machine(folder: Path) -> dict[str, Any]:
    """Processor, memory, disk, versions, date.

    Args:
        folder: where the benchmark works; its disk is tried.
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "disk_write_mb_s": round(_disk_speed(folder)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": _versions(),
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def words(of: Mapping[str, Any]) -> str:
    """The machine in a sentence."""
    return (
        f"Measured {of['date']} on {of['cores']} cores ({of['processor']}), {of['memory_gib']} GiB of memory, a "
        f"disk that takes {of['disk_write_mb_s']} MB/s of synced writing, {of['system']}, Python {of['python']}."
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    return platform.processor() or platform.machine()


def _disk_speed(folder: Path) -> float:
    """MB/s of writing 1 GB and syncing it; random bytes, so that no file system makes less of them."""
    block, path = os.urandom(16 << 20), folder / "disk-speed"
    os.sync()
    began = time.perf_counter()
    try:
        with path.open("wb", buffering=0) as out:
            for _ in range(60):
                out.write(block)
            os.fsync(out.fileno())
        return 60 * len(block) / 1e6 / (time.perf_counter() - began)
    finally:
        path.unlink(missing_ok=True)


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # an optional library that is not installed
    for name in _PEERS:
        wanted = (HERE / f"requirements-{name}.txt").read_text(encoding="utf-8")
        pinned = (line.split("==") for line in wanted.split())
        found |= {name.split("[")[0]: number for name, number in pinned}
    return found
