"""Kernels of the growing front: Dijkstra from many sources over blocks that are loaded when it comes to them.

A voxel is known by its number in C order in the whole image, so that nothing hangs on which block came first.
Arrays of voxels have a row for each loaded block (its slot) and a column for each voxel of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.compiled import compiled

SHIFT = (4, 6, 6)
BLOCK = (1 << SHIFT[0], 1 << SHIFT[1], 1 << SHIFT[2])
SCALE = 32.0  # of a noise unit in the int16 of `values`
ABSENT, WALL = -1, -2  # in the table: not loaded yet; cannot be read
ROOT = 26  # in place of a direction
DONE, NEED, GROW, PAUSE = 0, 1, 2, 3  # how `flood` comes back

Ints = npt.NDArray[np.int64]
Table = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Small = npt.NDArray[np.int8]
Values = npt.NDArray[np.int16]


@compiled
def place(voxel: int, shape: Ints) -> tuple[int, int, int]:
    """Where a voxel lies, z, y, x, by its number."""
    return voxel // (shape[2] * shape[1]), (voxel // shape[2]) % shape[1], voxel % shape[2]


@compiled
def locate(z: int, y: int, x: int, table: Table, counts: Ints) -> tuple[int, int]:
    """The slot of a voxel, or what stands in the table instead, and its column."""
    b = ((z >> 4) * counts[1] + (y >> 6)) * counts[2] + (x >> 6)
    return table[b], ((z & 15) << 12) + ((y & 63) << 6) + (x & 63)


@compiled
def seen(values: Values, slot: int, at: int, color: Doubles) -> tuple[float, float]:
    """The brightness of a voxel along a colour, and the square of that across it beyond the noise, in noises."""
    along, total = 0.0, 0.0
    for c in range(color.shape[0]):
        v = values[slot, at, c] / SCALE
        along += v * color[c]
        total += v * v
    return along, max(total - along * along - (color.shape[0] - 1), 0.0)


@compiled
def strays(along: float, across: float, color_sigma: float) -> float:
    """Squared distance from a colour, in standard deviations of what noise and a colour that strays make."""
    bright = max(along, 0.0) * color_sigma
    return across / (1.0 + bright * bright)


@compiled
def push(heap_d: Floats, heap_i: Ints, n: int, d: float, i: int) -> None:
    """Put a voxel into the heap of n; equal distances go by the number of the voxel."""
    k = n
    while k > 0:
        up = (k - 1) >> 1
        if heap_d[up] < d or (heap_d[up] == d and heap_i[up] <= i):
            break
        heap_d[k] = heap_d[up]
        heap_i[k] = heap_i[up]
        k = up
    heap_d[k] = d
    heap_i[k] = i


@compiled
def pop(heap_d: Floats, heap_i: Ints, n: int) -> None:
    """Take the first voxel out of the heap of n; it was looked at before."""
    d, i = heap_d[n - 1], heap_i[n - 1]
    k, last = 0, n - 1
    while True:
        low = 2 * k + 1
        if low >= last:
            break
        right = low + 1
        if right < last and (
            heap_d[right] < heap_d[low] or (heap_d[right] == heap_d[low] and heap_i[right] < heap_i[low])
        ):
            low = right
        if heap_d[low] > d or (heap_d[low] == d and heap_i[low] >= i):
            break
        heap_d[k] = heap_d[low]
        heap_i[k] = heap_i[low]
        k = low
    heap_d[k] = d
    heap_i[k] = i


@compiled
def flood(  # noqa: PLR0912 - a call for each voxel would cost more than it does
    heap_d: Floats,
    heap_i: Ints,
    n: int,
    table: Table,
    counts: Ints,
    shape: Ints,
    steps: Ints,
    lengths: Doubles,
    values: Values,
    dist: Floats,
    length: Floats,
    gap: Floats,
    pred: Small,
    owner: Table,
    settled: Small,
    colors: Doubles,
    threshold: float,
    dark_rate: float,
    mixed_rate: float,
    color_sigma: float,
    farthest: float,
    most: int,
) -> tuple[int, int, int, int]:
    """Let the front grow until it has come everywhere, needs a block, or has settled `most` voxels.

    The way into a voxel costs its length times (threshold / brightness)^2, dearer with the angle to the colour of
    the source. A way ends where it was dark, or of another colour, for too long: each micrometre of that takes
    `dark_rate` or `mixed_rate` of what is allowed.

    Returns:
        How it ended, the size of the heap, the block that is needed, voxels that were settled.
    """
    found = 0
    while n > 0:
        if found >= most:
            return PAUSE, n, 0, found
        if n + 27 > heap_d.shape[0]:
            return GROW, n, 0, found
        here = heap_i[0]
        z, y, x = place(here, shape)
        slot, at = locate(z, y, x, table, counts)
        if settled[slot, at] != 0:
            pop(heap_d, heap_i, n)
            n -= 1
            continue
        for bz in range(max(z - 1, 0) >> 4, (min(z + 1, shape[0] - 1) >> 4) + 1):
            for by in range(max(y - 1, 0) >> 6, (min(y + 1, shape[1] - 1) >> 6) + 1):
                for bx in range(max(x - 1, 0) >> 6, (min(x + 1, shape[2] - 1) >> 6) + 1):
                    b = (bz * counts[1] + by) * counts[2] + bx
                    if table[b] == ABSENT:
                        return NEED, n, b, found
        pop(heap_d, heap_i, n)
        n -= 1
        settled[slot, at] = 1
        found += 1
        mine = owner[slot, at]
        color = colors[mine]
        for k in range(26):
            wz, wy, wx = z + steps[k, 0], y + steps[k, 1], x + steps[k, 2]
            if wz < 0 or wy < 0 or wx < 0 or wz >= shape[0] or wy >= shape[1] or wx >= shape[2]:
                continue
            to, there = locate(wz, wy, wx, table, counts)
            if to < 0 or settled[to, there] != 0:
                continue
            bright, across = seen(values, to, there, color)
            dark = np.float32(0.0)
            drift = strays(bright, across, color_sigma)
            if bright < threshold or drift > farthest:
                rate = dark_rate if bright < threshold else mixed_rate
                dark = np.float32(gap[slot, at] + lengths[k] * rate)
                if dark > 1.0:
                    continue
            ratio = threshold / max(bright, 0.25 * threshold)
            way = np.float32(dist[slot, at] + lengths[k] * ratio * ratio * np.exp(min(0.5 * drift, 6.0)))
            if way < dist[to, there]:
                dist[to, there] = way
                length[to, there] = np.float32(length[slot, at] + lengths[k])
                gap[to, there] = dark
                pred[to, there] = 25 - k
                owner[to, there] = mine
                push(heap_d, heap_i, n, float(way), (wz * shape[1] + wy) * shape[2] + wx)
                n += 1
    return DONE, 0, 0, found


@compiled
def ends(
    corner: Ints,
    slot: int,
    table: Table,
    counts: Ints,
    shape: Ints,
    steps: Ints,
    length: Floats,
    gap: Floats,
    owner: Table,
    settled: Small,
    out: Ints,
) -> int:
    """Voxels of a block from which no way leads farther from their source: where branches may end.

    Returns:
        How many there are; their numbers stand in `out`.
    """
    n = 0
    for z in range(corner[0], min(corner[0] + 16, shape[0])):
        for y in range(corner[1], min(corner[1] + 64, shape[1])):
            for x in range(corner[2], min(corner[2] + 64, shape[2])):
                at = ((z & 15) << 12) + ((y & 63) << 6) + (x & 63)
                if settled[slot, at] == 0 or gap[slot, at] > 0:
                    continue
                last = True
                for k in range(26):
                    wz, wy, wx = z + steps[k, 0], y + steps[k, 1], x + steps[k, 2]
                    if wz < 0 or wy < 0 or wx < 0 or wz >= shape[0] or wy >= shape[1] or wx >= shape[2]:
                        continue
                    to, there = locate(wz, wy, wx, table, counts)
                    if to < 0 or settled[to, there] == 0 or gap[to, there] > 0:
                        continue
                    if owner[to, there] == owner[slot, at] and length[to, there] > length[slot, at]:
                        last = False
                        break
                if last:
                    out[n] = (z * shape[1] + y) * shape[2] + x
                    n += 1
    return n


@compiled
def meetings(
    corner: Ints,
    slot: int,
    table: Table,
    counts: Ints,
    shape: Ints,
    steps: Ints,
    dist: Floats,
    owner: Table,
    settled: Small,
    neuron: Ints,
    out: Ints,
    cost: Doubles,
) -> int:
    """Pairs of neighbours that two sources of one neuron came to, from the voxels of a block.

    Returns:
        How many there are; the numbers of both voxels stand in `out` (n, 2), the sum of their ways in `cost`. Where
        these are full, the rest is left out.
    """
    n = 0
    for z in range(corner[0], min(corner[0] + 16, shape[0])):
        for y in range(corner[1], min(corner[1] + 64, shape[1])):
            for x in range(corner[2], min(corner[2] + 64, shape[2])):
                at = ((z & 15) << 12) + ((y & 63) << 6) + (x & 63)
                if settled[slot, at] == 0:
                    continue
                for k in range(13):  # half of the neighbours: each pair once
                    wz, wy, wx = z + steps[k, 0], y + steps[k, 1], x + steps[k, 2]
                    if wz < 0 or wy < 0 or wx < 0 or wz >= shape[0] or wy >= shape[1] or wx >= shape[2]:
                        continue
                    to, there = locate(wz, wy, wx, table, counts)
                    if to < 0 or settled[to, there] == 0 or owner[to, there] == owner[slot, at]:
                        continue
                    if neuron[owner[to, there]] == neuron[owner[slot, at]] and n < out.shape[0]:
                        out[n, 0] = (z * shape[1] + y) * shape[2] + x
                        out[n, 1] = (wz * shape[1] + wy) * shape[2] + wx
                        cost[n] = dist[slot, at] + dist[to, there]
                        n += 1
    return n
