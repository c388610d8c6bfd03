"""The work on one block: read, look, encode. It runs in any thread, process or machine that reaches the files."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np

from neuropack.axes import Array, Box, box_shape, overlap, relative
from neuropack.engine.spool import Spool
from neuropack.errors import InputError, UnreadableError
from neuropack.volume import Volume
from neuropack.writers.sink import Encoder, Missing, Part
from neuropack.writers.survey import Projections, Statistics, measure


class Readable(Protocol):
    """What blocks are read from: the image, or a slab of it that was spooled."""

    def read(self, box: Box, out: Array | None = None) -> Array:
        """The pixels of a box of the image."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of a block: per output what encoding left, and what was seen on the way."""

    parts: tuple[Part, ...]
    statistics: list[Statistics]
    projections: Projections | None
    missing: list[Missing]


@dataclass(frozen=True)
class Work:
    """What to do with each block. Plain values that can be sent to another process.

    Attributes:
        opens: opens the image where it is not open yet.
        encoders: of the outputs.
        shape: of the image.
        keep_going: go on where a raw unit cannot be decoded.
        spool: the slab to read from, where there is one.
    """

    opens: Callable[[], Volume] | None
    encoders: tuple[Encoder, ...]
    shape: tuple[int, ...]
    keep_going: bool = False
    spool: Spool | None = None

    def do(self, box: Box, volume: Volume, pool: Executor | None = None) -> Outcome:
        """Work on one block.

        Raises:
            InputError: the source cannot be decoded.
            OutputError: a file cannot be written.
        """
        _keep_freed_memory()
        buffer = _buffer(box_shape(box), volume.dtype)
        missing: list[Missing] = []
        if self.spool:
            block = self.spool.read(box, buffer)
            missing = self.spool.missing_in(box)
        else:
            try:
                block = volume.read(box, buffer)
            except InputError as error:
                if not self.keep_going or isinstance(error, UnreadableError):
                    raise
                block = buffer
                missing = _read_what_there_is(volume, box, block)
        statistics, projections = measure(box, block, self.shape)
        parts = tuple(encoder.encode(box, block, pool) for encoder in self.encoders)
        return Outcome(parts, statistics, projections, missing)


@cache
def _keep_freed_memory() -> None:
    """Have the allocator keep what the chunks of one block took for those of the next.

    glibc returns freed memory to the system, and the next block faults in every page anew: half the system time
    of a conversion. It stops that up to twice the size of the largest mapped block that it has seen freed, at most
    32 MiB (M_MMAP_THRESHOLD in mallopt(3)); nothing is ever written to this one. Elsewhere this does nothing.
    """
    np.empty((32 << 20) - (64 << 10), np.uint8)


_here = threading.local()


def _buffer(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Memory of this thread, the same for every block: fresh memory costs as much time as reading."""
    needed = math.prod(shape) * dtype.itemsize
    here = _here
    held: Array | None = getattr(here, "buffer", None)
    if held is None or held.nbytes < needed:
        held = here.buffer = np.empty(needed, np.uint8)
    return held[:needed].view(dtype).reshape(shape)


def forget_buffers() -> None:
    """Give the memory of all threads back."""
    global _here  # noqa: PLW0603 - with the old object go the buffers of all its threads
    _here = threading.local()


def _read_what_there_is(volume: Volume, box: Box, out: Array) -> list[Missing]:
    """Fill a block raw unit by raw unit, with zeros where one cannot be decoded."""
    missing = []
    out[...] = 0
    for unit in volume.native_blocks():
        common = overlap(unit, box)
        if not common:
            continue
        try:
            out[relative(common, box)] = volume.read(common)
        except UnreadableError:
            raise  # a share that is gone has no damaged units: the run stops, and continues when it is back
        except InputError as error:
            missing.append(Missing.of(common, error))
    return missing
