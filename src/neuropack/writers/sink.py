"""What a writer offers the engine: a place where blocks of pixels go."""

from __future__ import annotations

from typing import Protocol

from neuropack.axes import Array, Box


class Sink(Protocol):
    """Takes the blocks of one image under a temporary name; the engine publishes the finished file.

    Attributes:
        footprint: lengths along the volume's axes. A block starts on a multiple of it along every axis and ends
            on one or at the border, so that no two blocks ever touch one chunk.
    """

    footprint: tuple[int, ...]

    def write(self, box: Box, block: Array) -> None:
        """Store a block of level 0, in the volume's axes. One thread calls, in the order of the engine's plan."""
        ...

    def flush(self) -> None:
        """Return when everything written so far is on disk: the engine then notes it in its journal."""
        ...

    def finish(self) -> None:
        """Complete the file (coarser levels, metadata) and close it; it still has its temporary name."""
        ...

    def close(self) -> None:
        """Let go of all handles, also after an error. May be called twice."""
        ...
