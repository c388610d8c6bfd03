"""What a writer offers the engine: an encoder that works on any machine, and a sink that completes the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from neuropack.axes import Array, Box
from neuropack.errors import InputError, NeuropackError
from neuropack.writers.survey import Projections, Statistics


class Unresumable(NeuropackError):  # noqa: N818 - a state of a file, which the engine answers by starting over
    """What lies under the temporary name is not a file that can be continued: start it over."""


@dataclass(frozen=True)
class Part:
    """What encoding one block left.

    Attributes:
        files: stored already: path below the output to bytes and SHA-256 ("" where it was not asked for).
        chunks: still to be put in place: dataset, offset in it, stored stream.
        labels: of a label image, the values but 0 that the block holds, sorted.
    """

    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    chunks: Sequence[tuple[str, tuple[int, ...], bytes]] = ()
    labels: Array | None = None


@dataclass(frozen=True)
class Missing:
    """A box of level 0 whose source could not be decoded, and why. It holds zeros in the output."""

    box: tuple[tuple[int, int], ...]
    reason: str

    @classmethod
    def of(cls, box: Box, error: InputError) -> Self:
        """What an error kept from being decoded. The reason has no path: no result tells where it was made."""
        told = (error.where, error.what, error.found)
        return cls(tuple((s.start, s.stop) for s in box), ": ".join(t for t in told if t))


@dataclass(frozen=True)
class Findings:
    """What the pass learned about level 0.

    Attributes:
        statistics: one per channel.
        missing: what could not be decoded; empty but where the user asked to go on.
        projections: maxima of the first time point, where they were made.
        labels: of a label image, every value but 0, sorted.
    """

    statistics: tuple[Statistics, ...] = ()
    missing: tuple[Missing, ...] = ()
    projections: Projections | None = None
    labels: Array | None = None

    def to_json(self) -> dict[str, Any]:
        """What the conversion record of an output says of them."""
        found: dict[str, Any] = {"statistics": [s.to_json() for s in self.statistics]}
        if self.missing:
            found["missing"] = [{"box": m.box, "reason": m.reason} for m in self.missing]
        return found


class Encoder(Protocol):
    """Turns blocks into what is stored. Plain values that can be sent to another process; safe in threads.

    Attributes:
        footprint: lengths along the volume's axes. A block starts on a multiple of it along every axis and ends
            on one or at the border, so that no two blocks ever touch one chunk.
        overhead: bytes that a process takes for this output whatever the size of its blocks: libraries, scratch.
    """

    @property
    def footprint(self) -> tuple[int, ...]:
        """See above."""
        ...

    @property
    def overhead(self) -> int:
        """See above."""
        ...

    def encode(self, box: Box, block: Array, pool: Executor | None) -> Part:
        """Compress a block of level 0, in the volume's axes; files that it writes are on disk on return.

        Args:
            box: where the block lies.
            block: its pixels; they may be overwritten once this returns.
            pool: threads to spread the chunks over; None to work in the calling thread.
        """
        ...


class Sink(Protocol):
    """The side of one output that only one process has. The engine publishes the finished file.

    Attributes:
        encoder: what works on the blocks.
    """

    @property
    def encoder(self) -> Encoder:
        """See above."""
        ...

    def commit(self, part: Part) -> None:
        """Put the chunks of a block in place. One thread calls, in the order of the plan."""
        ...

    def flush(self) -> None:
        """Return when everything committed so far is on disk: the engine then notes it in its journal."""
        ...

    def finish(self, findings: Findings) -> None:
        """Complete the file (coarser levels, metadata); it still has its temporary name."""
        ...

    def close(self) -> None:
        """Let go of all handles, also after an error. May be called twice."""
        ...
