"""The machine in words, as `neuropack benchmark` has it; and beside it what these comparisons need to know."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measure import HERE

from neuropack.benchmark import measured

_LIBRARIES = ("itk", "tifffile", "numcodecs", "h5py", "isal", "pynwb", "distributed")
_PEERS = ("ngff-zarr", "bioio", "neuroconv", "brainglobe-atlasapi", "neurom")


def machine(folder: Path) -> dict[str, Any]:
    """Processor, memory, disk, versions, date.

    Args:
        folder: where the benchmark works; its disk is tried.
    """
    found = measured.machine(_LIBRARIES)
    libraries = {**found["libraries"], **_pinned()}
    return {**found, "libraries": libraries, "disk_write_mb_s": round(_disk_speed(folder))}


def words(of: Mapping[str, Any]) -> str:
    """The machine in a sentence, and its disk in another one."""
    return f"{measured.words(of)} Its disk takes {of['disk_write_mb_s']} MB/s of synced writing."


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


def _pinned() -> dict[str, str]:
    """The versions of peers in their own environments."""
    found: dict[str, str] = {}
    for name in _PEERS:
        wanted = (HERE / f"requirements-{name}.txt").read_text(encoding="utf-8")
        pinned = (line.split("==") for line in wanted.split())
        found |= {name.split("[")[0]: number for name, number in pinned}
    return found
