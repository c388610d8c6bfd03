"""How much tracing may take of a server."""

from __future__ import annotations

import os
from dataclasses import dataclass, field


def _cores() -> int:
    """Each search keeps a core busy; one core stays for the rest of the server."""
    return max(2, min(8, (os.cpu_count() or 2) - 1))


@dataclass(frozen=True)
class Budget:
    """How much tracing may take of a server.

    Attributes:
        at_once: searches that run.
        waiting: searches that wait for one to end; more are told to come back.
        retry_s: seconds after which they may.
        timeout_s: seconds that a search may take at most, whatever was asked for.
        most_expansions: voxels that a search may look around in.
        finders: path finders that stay in memory, each with the blocks of its image that it has read.
        memory: bytes as `neuropack.trace.Options` has it: a finder takes five times as much at most,
            for what the search knows, and for raw and for filtered blocks of two resolutions: 2.5 GiB for all.
    """

    at_once: int = field(default_factory=_cores)
    waiting: int = 32
    retry_s: int = 2
    timeout_s: float = 60.0
    most_expansions: int = 50_000_000
    finders: int = 4
    memory: int = 128 << 20
