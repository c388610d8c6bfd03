"""The host of the compiled search: gives it blocks, looks at the clock, and stops when it is told to."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.trace.blocks import Grid
from neuropack.trace.path import PathError
from neuropack.trace.signal import LOWEST, PER_NOISE, Model

Voxels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Corridor = Mapping[int, Floats]
"""The points (n, 3), in voxels, that make a corridor through a block; blocks that are not there are shut."""

_SLICE = 20_000  # nodes that are expanded before the clock is looked at: some hundredths of a second
_PATIENCE = 0.02  # seconds between two looks at the clock while a block is read
_KEPT = 64  # blocks: the arrays of larger searches are given back
_MORE = 8  # times: room for more blocks takes no memory before they come, and each time all are copied
_SLOT = (1 << 15) * 9  # bytes that the search keeps of a block


@dataclass
class Watch:
    """What ends a search before its time: asked before and while every block is read.

    Attributes:
        cancel: true when it is to end.
        deadline: on the monotonic clock; None: there is none.
        most: voxels that may be expanded.
        expanded: so far, all levels together.
        tell: told that number whenever it is asked.
    """

    cancel: Callable[[], bool] | None = None
    deadline: float | None = None
    most: int = 1 << 40
    expanded: int = 0
    tell: Callable[[int], None] | None = None

    def look(self) -> None:
        """Raise where it is time to end.

        Raises:
            PathError: it is.
        """
        if self.cancel is not None and self.cancel():
            raise PathError("the search was cancelled", "cancelled")
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise PathError(
                "the search took longer than it may",
                "time-out",
                found=f"{self.expanded:,} voxels were looked at until then",
                fix="set points nearer to each other, or allow more time (--timeout)",
            )
        if self.expanded >= self.most:
            raise PathError(
                "the search has looked at as many voxels as it may",
                "budget",
                found=f"{self.expanded:,} voxels",
                fix="set points nearer to each other",
            )
        if self.tell is not None:
            self.tell(self.expanded)

    def during(self, work: Callable[[], Any]) -> Any:
        """Do work that may hang (a share that is lost, a slow server) and look at the clock meanwhile.

        A read cannot be torn off: it ends on its own, and nobody waits for it.
        """
        if self.cancel is None and self.deadline is None:
            return work()
        self.look()
        done = threading.Event()
        result: list[tuple[Any, BaseException | None]] = []

        def run() -> None:
            try:
                result.append((work(), None))
            except BaseException as error:
                result.append((None, error))
            done.set()

        threading.Thread(target=run, daemon=True).start()
        while not done.wait(_PATIENCE):
            self.look()
        value, error = result[0]
        if error is not None:
            raise error
        return value


@dataclass(frozen=True, eq=False)
class Found:
    """What a search that came to its goal knows: to one the other way, the least that is left from each voxel.

    Attributes:
        reached, came, table: its arrays.
        price: of the way that it found.
        memory: bytes that they take, with those of its costs.
    """

    reached: npt.NDArray[np.float32]
    came: npt.NDArray[np.uint8]
    table: npt.NDArray[np.int32]
    price: float
    memory: int


_NOTHING = Found(np.empty((0, 0), np.float32), np.empty((0, 0), np.uint8), np.empty(0, np.int32), 0.0, 0)


@dataclass(eq=False)
class Work:
    """The arrays of a search that has ended, for the next one in the same grid; nothing in them is looked at."""

    kept: tuple[npt.NDArray[Any], ...] | None = None


class Search:
    """One run of A*.

    Args:
        grid: the blocks.
        size: of a voxel, z, y, x, um.
        model: signal and noise, which make costs.
        memory: bytes that the search may take, beside those of the grid.
        turning: what a turn costs, see the kernel.
        recall: steps that the direction of a way is taken from.
        corridor: where it may go; None: anywhere.
        radius: of the corridor, z, y, x in voxels.
        shut: (n, 3) voxels around which it may not go, nor within `shut_um` of them.
        shut_um: micrometre.
        dearest: ways of a higher price are not looked for.
        most: voxels that it may look around in; None: as many as the watch allows.
        known: what a search the other way found in the same grid, at costs that were nowhere higher.
        work: of searches before in the same grid.
    """

    def __init__(
        self,
        grid: Grid,
        size: tuple[float, float, float],
        model: Model,
        memory: int,
        *,
        turning: float = 0.0,
        recall: int = 16,
        corridor: Corridor | None = None,
        radius: Floats | None = None,
        shut: Floats | None = None,
        shut_um: float = 0.0,
        dearest: float = math.inf,
        most: int | None = None,
        known: Found | None = None,
        work: Work | None = None,
    ) -> None:
        self._grid, self._model, self._corridor = grid, model, corridor
        self._turning, self._recall = turning, recall
        self._radius = np.ones(3) if radius is None else radius
        self._shut = np.empty((0, 3)) if shut is None else shut
        self._shut_um, self._dearest = shut_um, dearest
        self._most_expanded = 1 << 62 if most is None else most
        self._known = known or _NOTHING
        self._most = max(memory // _SLOT, 8)
        self._size = np.array(size, np.float64)
        steps = np.array(list(np.ndindex(3, 3, 3))) - 1
        self._lengths = np.linalg.norm(steps * self._size, axis=1)
        self._shape, self._offset = np.array(grid.extent, np.int64), np.array(grid.offset, np.int64)
        self._shifts = np.array(grid.shifts, np.int64)
        self._table = np.full(int(np.prod(grid.counts)), -1, np.int32)
        self._slots = 0
        self._inside = np.empty(grid.edge, np.bool_)
        self._work = work or Work()
        if self._work.kept is None:
            self._cost, self._reached = np.empty((0, 0), np.float32), np.empty((0, 0), np.float32)
            self._came, self._block_of = np.empty((0, 0), np.uint8), np.empty(0, np.int64)
            self._grow(min(16, self._most))
            self._keys, self._nodes = np.empty(1 << 15, np.float32), np.empty(1 << 15, np.int64)
        else:
            self._cost, self._reached, self._came, self._block_of, self._keys, self._nodes = self._work.kept
        self._work.kept = None

    def _grow(self, slots: int) -> None:
        """Room for so many blocks."""
        voxels = 1 << int(self._shifts.sum())
        self._cost = _longer(self._cost, slots, voxels)
        self._reached = _longer(self._reached, slots, voxels)
        self._came = _longer(self._came, slots, voxels)
        self._block_of = _longer(self._block_of, slots)

    def run(self, start: Voxels, goal: Voxels, watch: Watch) -> tuple[Voxels, float]:
        """The voxels (n, 3) of the cheapest way, and its price.

        Raises:
            PathError: there is none, or it took too long.
        """
        from neuropack.trace import kernel

        start, goal = start + self._offset, goal + self._offset
        self._load(self._number(start), watch)
        self._load(self._number(goal), watch)
        slot, place = self._place(start)
        if slot < 0 or not np.isfinite(self._cost[slot, place]):
            raise PathError("nothing is known of the image at the start")
        other, spot = self._place(goal)
        if other < 0 or not np.isfinite(self._cost[other, spot]):
            raise PathError("nothing is known of the image at the end")
        self._reached[slot, place], self._came[slot, place] = 0.0, kernel.START
        voxels = self._cost.shape[1]
        control = np.array([1, -1, 0, 0], np.int64)
        self._keys[0], self._nodes[0] = 0.0, slot * voxels + place
        least, most = float(self._model.costs.min()), self._most_expanded
        while True:
            before = int(control[kernel.EXPANDED])
            told = kernel.search(
                self._cost,
                self._reached,
                self._came,
                self._table,
                self._block_of,
                self._keys,
                self._nodes,
                control,
                self._shape,
                self._shifts,
                self._size,
                self._lengths,
                goal,
                least,
                self._turning,
                self._recall,
                self._dearest,
                self._known.reached,
                self._known.came,
                self._known.table,
                start,
                self._known.price,
                max(1, min(_SLICE, watch.most - watch.expanded, most - int(control[kernel.EXPANDED]))),
            )
            watch.expanded += int(control[kernel.EXPANDED]) - before
            if told == kernel.DONE:
                found = self._way(goal), float(self._reached[other, spot])
                self._keep()
                return found
            if told == kernel.EXHAUSTED:
                raise PathError("there is no way between the points that leads through known voxels")
            if told == kernel.HEAP_FULL:
                self._keys = np.concatenate([self._keys, np.empty_like(self._keys)])
                self._nodes = np.concatenate([self._nodes, np.empty_like(self._nodes)])
            elif told == kernel.NEED_BLOCK:
                self._load(int(control[kernel.NEEDED]), watch)
            elif control[kernel.EXPANDED] >= most:
                raise PathError("the search has looked at as many voxels as it may", "budget")
            watch.look()

    def found(self, price: float) -> Found:
        """What it knows, once it came to its goal at this price, and if no other one ran in the grid since."""
        self._work.kept = None  # no other one may write into these arrays
        return Found(self._reached, self._came, self._table, price, self._slots * _SLOT)

    def _keep(self) -> None:
        """Leave the arrays, where they are not large, to the next search: new memory is as dear as a short one."""
        if self._slots <= _KEPT and len(self._keys) <= _KEPT << 12:
            self._work.kept = (self._cost, self._reached, self._came, self._block_of, self._keys, self._nodes)

    def _way(self, goal: Voxels) -> Voxels:
        from neuropack.trace import kernel

        room = 4096
        while True:
            out = np.empty((room, 3), np.int64)
            count = kernel.walk_back(self._came, self._table, self._shape, self._shifts, goal, out)
            if count >= 0:
                return out[:count][::-1] - self._offset
            room *= 4

    def _number(self, voxel: Voxels) -> int:
        z, y, x = (int(v) >> s for v, s in zip(voxel, self._grid.shifts, strict=True))
        return self._grid.number((z, y, x))

    def _place(self, voxel: Voxels) -> tuple[int, int]:
        _, sy, sx = self._grid.shifts
        z, y, x = (int(v) & (e - 1) for v, e in zip(voxel, self._grid.edge, strict=True))
        return int(self._table[self._number(voxel)]), (z << (sy + sx)) | (y << sx) | x

    def _load(self, number: int, watch: Watch) -> None:
        """Put the costs of a block into the next slot, or shut it."""
        from neuropack.trace import block_kernel, kernel

        if self._table[number] != kernel.NOT_LOADED:
            return
        points = None
        if self._corridor is not None:
            points = self._corridor.get(number)
            if points is None:
                self._table[number] = kernel.SHUT
                return
        image = (
            self._grid.block(number) if self._grid.has(number) else watch.during(lambda: self._grid.block(number))
        )
        if self._slots >= self._most:
            raise PathError(
                "the search has come to more blocks than its memory holds",
                "budget",
                found=f"{self._slots:,} blocks, {self._slots * _SLOT >> 20} MiB",
                fix="set points nearer to each other, or allow more memory",
            )
        if self._slots == len(self._block_of):
            self._grow(min(_MORE * self._slots, self._most))
        slot, m = self._slots, self._model
        block = self._cost[slot].reshape(self._grid.edge)
        scale = (1 / m.noise).astype(np.float32)
        known = block_kernel.price(image, m.floor, scale, m.colour, m.width, m.costs, PER_NOISE, LOWEST, block)
        if known and points is not None:
            corner = np.array(self._grid.corner(number), np.int64)
            known = block_kernel.keep_near(points, corner, self._radius, block, self._inside)
        if known and len(self._shut):
            self._close(block, number)
        if not known:
            self._table[number] = kernel.SHUT
            return
        self._reached[slot] = np.inf
        self._came[slot] = 0
        self._block_of[slot] = number
        self._table[number] = slot
        self._slots += 1

    def _close(self, block: npt.NDArray[np.float32], number: int) -> None:
        """Shut the places of a block (z, y, x) where nobody may go."""
        axes = [
            (c + np.arange(n)) * s
            for c, n, s in zip(self._grid.corner(number), block.shape, self._size, strict=True)
        ]
        for z, y, x in self._shut * self._size:
            near = ((axes[0] - z) ** 2)[:, None, None] + ((axes[1] - y) ** 2)[:, None] + (axes[2] - x) ** 2
            block[near <= self._shut_um**2] = np.inf


def _longer(rows: npt.NDArray[Any], count: int, *width: int) -> npt.NDArray[Any]:
    """The same rows with room behind them."""
    made = np.empty((count, *width), rows.dtype)
    if len(rows):
        made[: len(rows)] = rows
    return made


def corridor_blocks(grid: Grid, points: Floats, radius: Floats) -> dict[int, Floats]:
    """The blocks that a tube around some points touches, each with those points.

    Args:
        grid: the blocks.
        points: (n, 3) voxels.
        radius: z, y, x in voxels.
    """
    low = np.maximum(np.floor(points - radius), 0).astype(np.int64) + grid.offset
    high = np.minimum(np.ceil(points + radius), np.array(grid.shape) - 1).astype(np.int64) + grid.offset
    found: dict[int, list[int]] = {}
    first, last = low >> np.array(grid.shifts), high >> np.array(grid.shifts)
    for i, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        for z in range(a[0], b[0] + 1):
            for y in range(a[1], b[1] + 1):
                for x in range(a[2], b[2] + 1):
                    found.setdefault(grid.number((z, y, x)), []).append(i)
    return {number: points[rows] for number, rows in found.items()}
