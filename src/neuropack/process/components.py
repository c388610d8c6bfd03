"""Objects of an image: voxels above a threshold with 26 neighbours, of any size, the same however it is cut.

Each block of the image is reduced to runs of voxels along x, which are joined to objects and written to a folder.
Then the objects of neighbouring blocks are united where they touch, over faces, edges and corners, and numbered by
their first voxel in C order: what comes out is the labelling of the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape, overlap, relative
from neuropack.errors import UsageError
from neuropack.process.block_faces import neighbours
from neuropack.process.block_store import BOX, FIRST, OPEN, STRONG, VOXELS, BlockStore, Part, Rows
from neuropack.progress import Progress
from neuropack.volume import Channel, Volume

BLOCK = (64, 256, 256)
"""Voxels z, y, x of the image that are looked at together, where nobody says otherwise."""

Unite = Callable[[BlockStore, Rows, Rows, Progress | None], Rows]
"""Gives the root of each part from the blocks, the facts, and the number of the first part of each block."""


@dataclass(frozen=True, eq=False)
class Components:
    """The objects of an image.

    Attributes:
        labels: the label image, uint32, computed as it is read from the folder of the blocks, which must stay.
        counts: voxels of each object (n,): that of the label 1 first.
        strong: voxels of each that reach the upper threshold (n,).
        boxes: of each, half open, in voxels (n, 6): z0, y0, x0, z1, y1, x1.
        weak: how many objects were left out, since no voxel of them reaches the upper threshold.
        small: how many were left out since they have too few voxels.
        parts: entries of the table in which the objects of all blocks were united.
        shown: the second channel of the image, its largest values along z, `step` voxels to a pixel (y, x); None
            where it has one channel.
        drawn: the labels that are seen from above, as `shown`.
        step: voxels to a pixel.
    """

    labels: Volume
    counts: Rows
    strong: Rows
    boxes: Rows
    weak: int
    small: int
    parts: int
    shown: npt.NDArray[np.float32] | None
    drawn: npt.NDArray[np.uint32]
    step: int


def components(
    response: Volume,
    low: float,
    high: float,
    folder: Path,
    *,
    min_voxels: int = 1,
    block: tuple[int, int, int] = BLOCK,
    workers: int = 1,
    progress: Progress | None = None,
) -> Components:
    """Label the objects of an image.

    An object is what hangs together of the voxels that are `low` or more, if one of its voxels, wherever it lies,
    is `high` or more. What is not finite belongs to no object.

    Memory: for each worker what a block takes to be read; 170 bytes for each part of an object in a block, without
    those that end inside of their block and are left out; the faces of one layer of blocks, 8 bytes for each voxel
    of an object on them; and 128 MiB of blocks at hand. Disk: 16 bytes for each run of voxels along x.

    Args:
        response: one time; the first channel is looked at. A second one is only shown.
        low, high: thresholds, in its values.
        folder: for the blocks; it is made. With what an interrupted run left there the work goes on: it is for the
            caller to see that it is of the same image and thresholds.
        min_voxels: objects of fewer are left out.
        block: voxels z, y, x that are looked at together; the result does not hang on it.
        workers: threads.
        progress: told voxels done and in all.

    Raises:
        UsageError: the thresholds or the sizes are none, there are several times, or Numba is not installed.
    """
    _check(response, low, high, min_voxels, block)
    store = BlockStore(folder / "x".join(map(str, block)), response.size_zyx, block)

    def parts_of(values: Array, box: Box) -> tuple[Part]:
        return (part_of(values, box, store.shape, low, high, min_voxels, store.step),)

    fill((store,), response, parts_of, workers, progress)
    made_by = {"components": {"low": low, "high": high, "min_voxels": min_voxels}}
    return objects_of_parts(store, response, made_by, min_voxels, progress=progress)


def objects_of_parts(
    store: BlockStore,
    response: Volume,
    made_by: Mapping[str, Any],
    min_voxels: int,
    unite: Unite | None = None,
    progress: Progress | None = None,
) -> Components:
    """The objects of an image from what is kept of its blocks, all of which are done.

    Args:
        store: the blocks.
        response: what they are of.
        made_by: what decides the objects, by the name of the step.
        min_voxels: objects of fewer are left out.
        unite: tells which parts are one object; None: those that touch, over faces, edges and corners.
        progress: told blocks done and in all.
    """
    facts, first_of, left_out = store.facts()
    parent = (unite or _united)(store, facts, first_of, progress)
    table, chosen, more = _numbered(parent, facts, min_voxels)
    weak, small = (left_out + more).tolist()
    pixels = _Labels(store, table, first_of)
    labels = replace(
        response,
        native_axes="ZYX",
        native_shape=response.size_zyx,
        dtype=np.dtype(np.uint32),
        pixels=pixels,
        channels=(Channel(name="objects"),),
        levels=(),
        labels=True,
        made_by={**response.made_by, **made_by},
    )
    shown, drawn = _from_above(store, pixels)
    return Components(
        labels,
        chosen[:, VOXELS],
        chosen[:, STRONG],
        chosen[:, BOX],
        weak,
        small,
        len(parent),
        shown if response.n_channels > 1 else None,
        drawn,
        store.step,
    )


def _check(response: Volume, low: float, high: float, min_voxels: int, block: tuple[int, ...]) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise UsageError(
            "the thresholds are no pair of a lower and an upper one",
            expected="two numbers, low not above high",
            found=f"low {low:g}, high {high:g}",
        )
    if min_voxels < 1 or min(block) < 1:
        raise UsageError("sizes are 1 voxel or more", found=f"smallest object {min_voxels}, block {block}")
    if response.n_times != 1:
        raise UsageError(
            "has several time points",
            file=response.path,
            expected="one",
            found=str(response.n_times),
            fix="write each as an image of its own",
        )


def fill(
    stores: Sequence[BlockStore],
    response: Volume,
    parts_of: Callable[[Array, Box], Sequence[Part]],
    workers: int = 1,
    progress: Progress | None = None,
) -> None:
    """Do the blocks that are not done yet.

    Args:
        stores: of the same blocks.
        response: the image.
        parts_of: what is kept of a block (c, z, y, x) and its box, for each of the stores.
        workers: threads.
        progress: told voxels done and in all.
    """
    store = stores[0]
    total, done = math.prod(store.shape), 0

    def work(number: int) -> int:
        box = store.box(number)
        values = response.read((slice(0, response.n_channels), *box))
        for one, part in zip(stores, parts_of(values, box), strict=True):
            one.put(number, part)
        return math.prod(box_shape(box))

    todo = []
    for number in range(len(store)):
        if all(one.has(number) for one in stores):
            done += math.prod(box_shape(store.box(number)))
        else:
            todo.append(number)
    if progress:
        progress("finding objects", done, total)
    with ThreadPoolExecutor(workers) as pool:
        running: set[Future[int]] = set()
        try:
            for number in todo:
                if len(running) >= workers:
                    ready, running = wait(running, return_when=FIRST_COMPLETED)
                    done += sum(one.result() for one in ready)
                    if progress:
                        progress("finding objects", done, total)
                running.add(pool.submit(work, number))
            done += sum(one.result() for one in running)
        finally:
            pool.shutdown(cancel_futures=True)
    if progress:
        progress("finding objects", done, total)


def part_of(
    values: Array,
    box: Box,
    shape: tuple[int, int, int],
    low: float,
    high: float,
    min_voxels: int,
    step: int,
    sure: Array | None = None,
) -> Part:
    """What is kept of a block (c, z, y, x): the runs of objects that may become ones of the image.

    With `sure`, a whole number above 0 for each voxel (z, y, x), it is their sum that is kept as `strong`.
    """
    from neuropack.process import component_kernels as kernels

    block = np.ascontiguousarray(values[0], np.float32)
    size, corner = np.array(block.shape), np.array([s.start for s in box])
    runs, begin = kernels.runs_of(block, low, high)
    if sure is not None:
        sums = np.zeros((len(begin) - 1, block.shape[2] + 1), np.int32)
        np.cumsum(sure.reshape(len(begin) - 1, -1), axis=1, out=sums[:, 1:])
        line = np.repeat(np.arange(len(begin) - 1), np.diff(begin))
        runs[:, 2] = sums[line, runs[:, 0] + runs[:, 1]] - sums[line, runs[:, 0]]
    number, count = kernels.objects_of(runs, begin, block.shape[1])
    facts = kernels.facts_of(runs, begin, number, count, corner, size, np.array(shape))
    whole = facts[:, OPEN] == 0
    weak = whole & (facts[:, STRONG] == 0)
    small = whole & ~weak & (facts[:, VOXELS] < min_voxels)
    kept = ~(weak | small)
    return kept_part(
        runs,
        begin,
        number,
        facts,
        kept,
        left_out=np.array([weak.sum(), small.sum()], np.int64),
        shown=seen_from_above(values[1] if len(values) > 1 else None, box, step),
    )


def kept_part(
    runs: Array, begin: Rows, number: Array, facts: Rows, kept: npt.NDArray[np.bool_], **rest: Array
) -> Part:
    """The runs and the facts of the objects of a block that are kept (k,), numbered anew, and the rest of it."""
    number = renumbered(kept)[number - 1] if len(kept) else number
    line = np.repeat(np.arange(len(begin) - 1), np.diff(begin)).astype(np.int32)
    stays = number > 0
    return Part(line[stays], runs[stays, 0], runs[stays, 1], number[stays], facts[kept], **rest)


def renumbered(kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """The new number of each object (k,), from 1 on; 0 of those that are not kept."""
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)


def seen_from_above(values: Array | None, box: Box, step: int) -> npt.NDArray[np.float32]:
    """The largest values along z, `step` voxels to a pixel, cut as the image is."""
    if values is None:
        return np.empty((0, 0), np.float32)
    seen = np.nan_to_num(np.fmax.reduce(values, axis=0).astype(np.float32), nan=0.0)
    for axis in (0, 1):
        side = box[axis + 1]
        pixels = np.arange(side.start, side.stop) // step
        seen = np.maximum.reduceat(seen, np.flatnonzero(np.diff(pixels, prepend=-1)), axis=axis)
    return np.asarray(seen, np.float32)


def _united(store: BlockStore, facts: Rows, first_of: Rows, progress: Progress | None) -> Rows:
    """The root of each part of an object, where those that touch are one."""
    from neuropack.process import component_kernels as kernels

    parent = np.arange(first_of[-1])
    before = [(z, y, x) for z, y, x in product((-1, 0, 1), repeat=3) if (z, y, x) < (0, 0, 0)]
    for _, mine, other, d in neighbours(store, first_of, before, progress):
        back = (-d[0], -d[1], -d[2])
        kernels.join(parent, mine.towards(d), mine.first, other.towards(back), other.first)
    kernels.settle(parent)
    return parent


def _numbered(parent: Rows, facts: Rows, min_voxels: int) -> tuple[npt.NDArray[np.uint32], Rows, Rows]:
    """The label of each part; the facts of the objects that stay, by label; how many are too weak and too small."""
    from neuropack.process import component_kernels as kernels

    kernels.gather(parent, facts)
    root = parent == np.arange(len(parent))
    weak = root & (facts[:, STRONG] == 0)
    small = root & ~weak & (facts[:, VOXELS] < min_voxels)
    stays = np.flatnonzero(root & ~weak & ~small)
    stays = stays[np.argsort(facts[stays, FIRST])]
    if len(stays) > np.iinfo(np.uint32).max:
        raise UsageError("there are more objects than 32 bits can count", fix="raise the thresholds")
    label = np.zeros(len(parent), np.uint32)
    label[stays] = np.arange(1, len(stays) + 1, dtype=np.uint32)
    return label[parent], facts[stays], np.array([weak.sum(), small.sum()], np.int64)


class _Labels:
    """Labels from the runs of blocks. Holds no state that changes, so any thread may read."""

    cheap_parts = True
    overhead_bytes = 64 << 20

    def __init__(self, store: BlockStore, table: npt.NDArray[np.uint32], first_of: Rows) -> None:
        self._store, self._table, self._first_of = store, table, first_of

    def part(self, number: int) -> tuple[Part, npt.NDArray[np.uint32]]:
        """The runs of a block, and the labels of its objects."""
        return self._store.get(number), self._table[self._first_of[number] : self._first_of[number + 1]]

    def read(self, box: Box, out: Array | None = None) -> Array:
        """The labels of a box (z, y, x)."""
        from neuropack.process import component_kernels as kernels

        made = np.zeros(box_shape(box), np.uint32)
        for number in self._store.touching(box):
            part, labels = self.part(number)
            block = self._store.box(number)
            common = overlap(block, box)
            if common is None or not labels.any():
                continue
            inner = made[relative(common, box)]
            begin = part.begin(math.prod(box_shape(block)[:2]))
            corner, origin = (np.array([s.start for s in b]) for b in (common, block))
            kernels.paint(
                inner, corner, part.runs(), begin, part.number, labels, origin, block[1].stop - block[1].start
            )
        if out is None:
            return made
        out[...] = made
        return out

    def native_blocks(self) -> Iterator[Box]:
        """Those of the pass."""
        for number in range(len(self._store)):
            yield self._store.box(number)

    def close(self) -> None:
        """Nothing is open."""


def _from_above(store: BlockStore, labels: _Labels) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]:
    """The image and the labels from above, small; of labels in one pixel the highest."""
    step = store.step
    size = [-(-n // step) for n in store.shape[1:]]
    shown, drawn = np.full(size, -np.inf, np.float32), np.zeros(size, np.uint32)
    for number in range(len(store)):
        part, table = labels.part(number)
        _, y, x = store.box(number)
        if part.shown.size:
            here = shown[y.start // step : (y.stop - 1) // step + 1, x.start // step : (x.stop - 1) // step + 1]
            np.maximum(here, part.shown, out=here)
        rows = (part.line % (y.stop - y.start) + y.start) // step
        for at in range(0, int(part.length.max(initial=0)) + step, step):
            inside = at < part.length + step - 1
            columns = (np.minimum(part.x[inside] + at, part.x[inside] + part.length[inside] - 1) + x.start) // step
            np.maximum.at(drawn, (rows[inside], columns), table[part.number[inside] - 1])
    return shown, drawn


def described(found: Components) -> Mapping[str, Any]:
    """The numbers of a labelling, for a record."""
    return {
        "objects": len(found.counts),
        "voxels": int(found.counts.sum()),
        "left_out_weak": found.weak,
        "left_out_small": found.small,
        "parts_of_blocks": found.parts,
    }
