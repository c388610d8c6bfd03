"""How an image is cut into blocks: whole footprints of every output, as large as the memory allows."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from neuropack.axes import Box, box_shape
from neuropack.errors import UsageError
from neuropack.volume import Volume
from neuropack.writers.sink import Encoder

_ENOUGH = 64 << 20  # bytes; larger blocks only cost time, for the processor's cache and for waiting on the last
_WAITING = 2  # blocks that are done and wait for those before them, so that nobody waits for the one who commits
_PER_BLOCK = 3  # a block in work, in blocks: its pixels, coarser levels, and what was made of them
_WIDE = 64 << 10  # bytes of a row that are worth reading at once
_PROGRAM = 64 << 20  # what the program takes without any block; readers and writers say what they add
_PIECE = 32 << 20  # decoded at a time when pixels are spooled


@dataclass(frozen=True)
class Plan:
    """The blocks of a pass.

    Attributes:
        shape: of the image.
        block: of a block; blocks at the border are shorter.
        slab: of what is spooled at a time, whole blocks; None where raw units are decoded straight into blocks.
        at_once: how many blocks the memory allows in work at one time.
        window: how many may be in work, or done and waiting to be committed; such a one holds a block at most.
        piece: bytes to decode at a time where pixels are spooled.
    """

    shape: tuple[int, ...]
    block: tuple[int, ...]
    slab: tuple[int, ...] | None = None
    at_once: int = 1
    window: int = 1
    piece: int = _PIECE

    def boxes(self) -> list[Box]:
        """The blocks in the order in which they are committed: C order, slab by slab."""
        return [box for slab in self.slabs() for box in cut(slab, self.block)]

    def slabs(self) -> list[Box]:
        """What is spooled at a time; the whole image where nothing is."""
        whole = tuple(slice(0, n) for n in self.shape)
        return cut(whole, self.slab) if self.slab else [whole]

    def within(self, room: int, workers: int, itemsize: int) -> Plan:
        """The same blocks for other memory and other workers: a continued run may have more or less of either.

        Args:
            room: bytes that blocks may take, see `room_of`.
            workers: how many blocks should be in work at one time.
            itemsize: bytes of a voxel.
        """
        size = math.prod(self.block) * itemsize
        at_once = _concurrent(size, room, workers)
        return replace(self, at_once=at_once, window=_window(size, room, at_once), piece=_piece(room))

    def to_json(self) -> dict[str, Any]:
        """What decides the order of the work: a continued run goes by it, whatever memory it has."""
        return {"shape": list(self.shape), "block": list(self.block), "slab": self.slab and list(self.slab)}


def memory_budget(processes: int = 1) -> int:
    """Bytes a pass may use by default: a quarter of the machine, at most 2 GiB for each process that works."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        machine = 8 << 30
    return min(machine // 4, processes * (2 << 30))


def cut(box: Box, step: tuple[int, ...]) -> list[Box]:
    """The boxes of one shape that cover a box from its first corner on, in C order."""
    starts = (range(s.start, s.stop, n) for s, n in zip(box, step, strict=True))
    return [
        tuple(slice(c, min(c + n, s.stop)) for c, n, s in zip(corner, step, box, strict=True))
        for corner in product(*starts)
    ]


def plan(volume: Volume, encoders: Sequence[Encoder], memory: int, workers: int, programs: int = 1) -> Plan:
    """Cut an image into blocks.

    A block grows along x, then y, then over the channels, because that is how microscopes store pixels: until a
    raw unit (a strip, a tile, a frame with all its channels) lies in it whole and is decoded once. Where the memory
    does not allow that, decoded pixels are spooled to the disk a slab at a time.

    Args:
        volume: the image.
        encoders: of all outputs.
        memory: bytes that the pass may use.
        workers: how many blocks should be in work at one time.
        programs: how many processes share the memory.

    Raises:
        UsageError: not even the smallest block, or the smallest part that can be decoded, fits.
    """
    shape, item = volume.shape, volume.dtype.itemsize
    least = tuple(
        min(n, math.lcm(*(e.footprint[i] if e.footprint[i] < n else n for e in encoders)))
        for i, n in enumerate(shape)
    )
    room = room_of(volume, encoders, memory, programs)
    smallest = math.prod(least) * item
    if smallest * _PER_BLOCK > room:
        raise _too_little(volume, "a block of this image", smallest * _PER_BLOCK, memory, room)
    at_once = _concurrent(smallest, room, workers)
    limit = room // (_PER_BLOCK * at_once)
    unit = box_shape(next(volume.native_blocks()))
    if volume.cheap_parts:  # whole rows are still read faster than many short pieces
        unit = (1,) * (volume.ndim - 1) + (min(unit[-1], _WIDE // item),)
    block = list(least)
    order = (volume.ndim - 1, volume.ndim - 2, volume.axes.index("C"))
    for enough in (0, _ENOUGH):  # first what a raw unit needs to be decoded once, then for a good measure
        for axis in order:
            size = math.prod(block) * item
            times = max(-(-unit[axis] // block[axis]), enough // size)
            block[axis] = min(shape[axis], block[axis] * max(1, min(times, limit // size)))
    slab = None
    split = any(b < min(u, n) for b, u, n in zip(block, unit, shape, strict=True))
    if split and not volume.cheap_parts:
        piece = volume.piece_bytes()
        if piece * 2 > room:
            what = "a part of this file that can only be decoded as a whole"
            raise _too_little(volume, what, piece * 2, memory, room)
        slab = tuple(min(n, -(-max(b, u) // b) * b) for b, u, n in zip(block, unit, shape, strict=True))
    window = _window(math.prod(block) * item, room, at_once)
    return Plan(shape, tuple(block), slab, at_once, window, _piece(room))


def room_of(volume: Volume, encoders: Sequence[Encoder], memory: int, programs: int = 1) -> int:
    """What is left of the memory for blocks, once every process has loaded what it needs.

    Args:
        volume: the image.
        encoders: of all outputs.
        memory: bytes that the pass may use.
        programs: how many processes share the memory.
    """
    return memory - programs * (_PROGRAM + volume.overhead_bytes + sum(e.overhead for e in encoders))


def _concurrent(block_bytes: int, room: int, workers: int) -> int:
    """How many blocks may be in work at one time: one more than workers, so that none waits for a disk."""
    return max(1, min(workers + 1, room // (_PER_BLOCK * block_bytes)))


def _window(block_bytes: int, room: int, at_once: int) -> int:
    return at_once + max(0, min(_WAITING, room // block_bytes - _PER_BLOCK * at_once))


def _piece(room: int) -> int:
    return max(1, min(_PIECE, room // 4))


def _too_little(volume: Volume, what: str, needed: int, memory: int, room: int) -> UsageError:
    mib = -(-(needed + memory - room) // 2**20)
    return UsageError(
        f"{what} does not fit the memory allowed",
        file=volume.path,
        expected=f"at least {mib} MiB",
        found=f"{memory / 2**20:.3g} MiB",
        fix=f"allow more with --memory {mib}MiB",
    )
