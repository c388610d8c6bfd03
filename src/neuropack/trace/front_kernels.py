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
FALLEN, RISEN = 0.7, 1.15  # of the brightness in the middle: where it is dark, and brighter
STRAIGHT = 0.85  # cosine of the angle by which a neurite turns at most where it is lost from sight
ROOT = 26  # in place of a direction
DONE, NEED, GROW, PAUSE = 0, 1, 2, 3  # how `flood` comes back

Ints = npt.NDArray[np.int64]
Table = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Small = npt.NDArray[np.int8]
Values = npt.NDArray[np.int16]


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
        x = here % shape[2]
        y = (here // shape[2]) % shape[1]
        z = here // (shape[2] * shape[1])
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


@compiled
def way_back(
    start: int,
    table: Table,
    counts: Ints,
    shape: Ints,
    steps: Ints,
    pred: Small,
    marks: Small,
    out: Ints,
) -> tuple[int, int]:
    """The way from a voxel to the tree that is there, or to its source.

    Returns:
        How many voxels it has, the last of them of the tree, and how many of the first are not yet covered; the
        first of `out` hold them. Where `out` is full, it ends there.
    """
    n, fresh = 0, 0
    here = start
    while n < out.shape[0]:
        out[n] = here
        n += 1
        x = here % shape[2]
        y = (here // shape[2]) % shape[1]
        z = here // (shape[2] * shape[1])
        slot, at = locate(z, y, x, table, counts)
        if marks[slot, at] == 0:
            fresh = n
        if marks[slot, at] >= 2 or pred[slot, at] == ROOT:
            break
        k = pred[slot, at]
        here = ((z + steps[k, 0]) * shape[1] + y + steps[k, 1]) * shape[2] + x + steps[k, 2]
    return n, fresh


@compiled
def radii(
    path: Ints,
    table: Table,
    counts: Ints,
    shape: Ints,
    step: Doubles,
    values: Values,
    owner: Table,
    colors: Doubles,
    largest: float,
    out: Doubles,
) -> None:
    """The radius at voxels of a path: in the plane, the median distance at which half the brightness is left."""
    reach = np.empty(16)
    for i in range(path.shape[0]):
        x0 = path[i] % shape[2]
        y0 = (path[i] // shape[2]) % shape[1]
        z0 = path[i] // (shape[2] * shape[1])
        slot, at = locate(z0, y0, x0, table, counts)
        color = colors[owner[slot, at]]
        half = 0.5 * seen(values, slot, at, color)[0]
        pace = min(step[1], step[2])
        for a in range(16):
            dy, dx = np.sin(a * np.pi / 8), np.cos(a * np.pi / 8)
            r, before = 0.0, 2 * half
            while r < largest:
                r += pace
                y, x = int(np.floor(y0 + r * dy / step[1] + 0.5)), int(np.floor(x0 + r * dx / step[2] + 0.5))
                if y < 0 or x < 0 or y >= shape[1] or x >= shape[2]:
                    break
                to, there = locate(z0, y, x, table, counts)
                if to < 0:
                    break
                now = seen(values, to, there, color)[0]
                if now < half:
                    r -= pace * (half - now) / max(before - now, 1e-6)
                    break
                before = now
            reach[a] = r
        reach.sort()
        out[i] = max(0.5 * (reach[7] + reach[8]), 0.5 * pace)


@compiled
def reaches(
    path: Ints,
    table: Table,
    counts: Ints,
    shape: Ints,
    step: Doubles,
    values: Values,
    owner: Table,
    colors: Doubles,
    threshold: float,
    largest: float,
    out: Doubles,
) -> None:
    """How far from voxels of a path it is bright, micrometre.

    `out` (n, 2): along z, the mean of both ways; in the plane, the median of eight.
    """
    reach = np.empty(8)
    for i in range(path.shape[0]):
        x0 = path[i] % shape[2]
        y0 = (path[i] // shape[2]) % shape[1]
        z0 = path[i] // (shape[2] * shape[1])
        slot, at = locate(z0, y0, x0, table, counts)
        color = colors[owner[slot, at]]
        for a in range(10):
            dz, dy, dx = 0.0, np.sin(a * np.pi / 4), np.cos(a * np.pi / 4)
            pace = min(step[1], step[2])
            if a >= 8:
                dz, dy, dx, pace = 2.0 * a - 17.0, 0.0, 0.0, step[0]
            r = 0.0
            while r < largest:
                z = int(np.floor(z0 + (r + pace) * dz / step[0] + 0.5))
                y = int(np.floor(y0 + (r + pace) * dy / step[1] + 0.5))
                x = int(np.floor(x0 + (r + pace) * dx / step[2] + 0.5))
                if z < 0 or y < 0 or x < 0 or z >= shape[0] or y >= shape[1] or x >= shape[2]:
                    break
                to, there = locate(z, y, x, table, counts)
                if to < 0 or seen(values, to, there, color)[0] < threshold:
                    break
                r += pace
            if a < 8:
                reach[a] = r
            elif a == 8:
                out[i, 0] = r
            else:
                out[i, 0] = 0.5 * (out[i, 0] + r)
        reach.sort()
        out[i, 1] = 0.5 * (reach[3] + reach[4])


@compiled
def certainty(
    path: Ints,
    table: Table,
    counts: Ints,
    shape: Ints,
    values: Values,
    owner: Table,
    colors: Doubles,
    threshold: float,
    color_sigma: float,
    out: Doubles,
) -> None:
    """How sure it is that a neurite runs through voxels of a path, by brightness and colour, 0 to 1."""
    for i in range(path.shape[0]):
        x = path[i] % shape[2]
        y = (path[i] // shape[2]) % shape[1]
        slot, at = locate(path[i] // (shape[2] * shape[1]), y, x, table, counts)
        along, across = seen(values, slot, at, colors[owner[slot, at]])
        ratio = max(along, 0.0) / threshold
        far = min(strays(along, across, color_sigma), 20.0)
        out[i] = (1.0 - np.exp(-0.5 * ratio * ratio)) * np.exp(-0.5 * far)


@compiled
def falls(
    z: int,
    y0: int,
    x0: int,
    dy: float,
    dx: float,
    table: Table,
    counts: Ints,
    shape: Ints,
    step: Doubles,
    values: Values,
    color: Doubles,
    center: float,
    largest: float,
) -> bool:
    """Whether it gets dark in a direction of the plane before it gets brighter; beyond the image it may."""
    pace = min(step[1], step[2])
    r = 0.0
    while r < largest:
        r += pace
        y, x = int(np.floor(y0 + r * dy / step[1] + 0.5)), int(np.floor(x0 + r * dx / step[2] + 0.5))
        if y < 0 or x < 0 or y >= shape[1] or x >= shape[2]:
            return True
        to, there = locate(z, y, x, table, counts)
        if to < 0:
            return True
        now = seen(values, to, there, color)[0]
        if now < FALLEN * center:
            return True
        if now > RISEN * center:
            return False
    return False


@compiled
def ridges(
    path: Ints,
    table: Table,
    counts: Ints,
    shape: Ints,
    step: Doubles,
    values: Values,
    owner: Table,
    colors: Doubles,
    largest: float,
    out: Doubles,
) -> None:
    """How much voxels of a path lie on a ridge: where it gets dark to both sides of the path, 0 to 1.

    Of eight lines in the plane it is the part on which it gets dark both ways, each weighed by the square of the
    sine of its angle to the path. In the glow of a bright neurite it gets brighter towards that, or not darker
    along it.
    """
    n = path.shape[0]
    for i in range(n):
        a, b = path[max(i - 3, 0)], path[min(i + 3, n - 1)]
        tz = (a // (shape[2] * shape[1]) - b // (shape[2] * shape[1])) * step[0]
        ty = ((a // shape[2]) % shape[1] - (b // shape[2]) % shape[1]) * step[1]
        tx = (a % shape[2] - b % shape[2]) * step[2]
        size = max(np.sqrt(tz * tz + ty * ty + tx * tx), 1e-9)
        x = path[i] % shape[2]
        y = (path[i] // shape[2]) % shape[1]
        z = path[i] // (shape[2] * shape[1])
        slot, at = locate(z, y, x, table, counts)
        color = colors[owner[slot, at]]
        center = seen(values, slot, at, color)[0]
        on, whole = 0.0, 1e-9
        for d in range(8):
            dy, dx = np.sin(d * np.pi / 8), np.cos(d * np.pi / 8)
            along = (ty * dy + tx * dx) / size
            weight = 1.0 - along * along
            whole += weight
            if falls(z, y, x, dy, dx, table, counts, shape, step, values, color, center, largest) and falls(
                z, y, x, -dy, -dx, table, counts, shape, step, values, color, center, largest
            ):
                on += weight
        out[i] = on / whole


@compiled
def cover(
    path: Ints,
    reach: Doubles,
    table: Table,
    counts: Ints,
    shape: Ints,
    step: Doubles,
    owner: Table,
    marks: Small,
) -> None:
    """Mark the voxels of its source around a path as covered (1), and the path itself as tree (2).

    Around a voxel these are an ellipsoid that reaches so far along z, and in the plane: `reach` (n, 2).
    """
    for i in range(path.shape[0]):
        x0 = path[i] % shape[2]
        y0 = (path[i] // shape[2]) % shape[1]
        z0 = path[i] // (shape[2] * shape[1])
        slot, at = locate(z0, y0, x0, table, counts)
        mine = owner[slot, at]
        az, ay, ax = reach[i, 0] / step[0], reach[i, 1] / step[1], reach[i, 1] / step[2]
        for z in range(max(z0 - int(az), 0), min(z0 + int(az) + 1, shape[0])):
            for y in range(max(y0 - int(ay), 0), min(y0 + int(ay) + 1, shape[1])):
                for x in range(max(x0 - int(ax), 0), min(x0 + int(ax) + 1, shape[2])):
                    dz, dy, dx = (z - z0) / az, (y - y0) / ay, (x - x0) / ax
                    if dz * dz + dy * dy + dx * dx > 1.0:
                        continue
                    to, there = locate(z, y, x, table, counts)
                    if to >= 0 and owner[to, there] == mine and marks[to, there] == 0:
                        marks[to, there] = 1
        marks[slot, at] = 2


@compiled
def looks(
    path: Ints,
    table: Table,
    counts: Ints,
    shape: Ints,
    step: Doubles,
    values: Values,
    gap: Floats,
    owner: Table,
    settled: Small,
    neuron: Ints,
    colors: Doubles,
    threshold: float,
    out: Doubles,
) -> None:
    """What is seen at voxels of a path.

    `out` (n, 7): brightness in noises, square of that across its colour, part used up of the dark that is allowed,
    number of the source, of the neuron that touches here or -1, and the centre of brightness near it as an offset
    in y and x, voxels.
    """
    for i in range(path.shape[0]):
        x0 = path[i] % shape[2]
        y0 = (path[i] // shape[2]) % shape[1]
        z0 = path[i] // (shape[2] * shape[1])
        slot, at = locate(z0, y0, x0, table, counts)
        mine = owner[slot, at]
        out[i, 0], out[i, 1] = seen(values, slot, at, colors[mine])
        out[i, 2], out[i, 3], out[i, 4] = gap[slot, at], mine, -1
        total, sy, sx = 0.0, 0.0, 0.0
        for dz in range(-1, 2):
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    z, y, x = z0 + dz, y0 + dy, x0 + dx
                    if z < 0 or y < 0 or x < 0 or z >= shape[0] or y >= shape[1] or x >= shape[2]:
                        continue
                    to, there = locate(z, y, x, table, counts)
                    if to < 0:
                        continue
                    other = owner[to, there]
                    known = settled[to, there] != 0 and gap[to, there] == 0
                    if (
                        known
                        and neuron[other] != neuron[mine]
                        and seen(values, to, there, colors[mine])[0] >= threshold
                    ):
                        out[i, 4] = neuron[other]
                    if dz == 0:
                        w = max(seen(values, to, there, colors[mine])[0], 0.0) ** 2
                        total += w
                        sy += w * dy
                        sx += w * dx
        out[i, 5] = sy / total if total > 0 else 0.0
        out[i, 6] = sx / total if total > 0 else 0.0


@compiled
def neighbours(
    path: Ints,
    table: Table,
    counts: Ints,
    shape: Ints,
    step: Doubles,
    owner: Table,
    settled: Small,
    neuron: Ints,
    reach: float,
    out: Ints,
) -> None:
    """The other neuron whose voxels lie nearest to voxels of a path, within a reach; -1 where there is none."""
    rz, ry, rx = int(reach / step[0]), int(reach / step[1]), int(reach / step[2])
    for i in range(path.shape[0]):
        x0 = path[i] % shape[2]
        y0 = (path[i] // shape[2]) % shape[1]
        z0 = path[i] // (shape[2] * shape[1])
        slot, at = locate(z0, y0, x0, table, counts)
        mine = neuron[owner[slot, at]]
        out[i] = -1
        least = reach * reach
        for z in range(max(z0 - rz, 0), min(z0 + rz + 1, shape[0])):
            for y in range(max(y0 - ry, 0), min(y0 + ry + 1, shape[1])):
                for x in range(max(x0 - rx, 0), min(x0 + rx + 1, shape[2])):
                    dz, dy, dx = (z - z0) * step[0], (y - y0) * step[1], (x - x0) * step[2]
                    far = dz * dz + dy * dy + dx * dx
                    if far >= least:
                        continue
                    to, there = locate(z, y, x, table, counts)
                    if to >= 0 and settled[to, there] != 0 and neuron[owner[to, there]] != mine:
                        out[i] = neuron[owner[to, there]]
                        least = far


@compiled
def ahead(
    tip: int,
    way: Doubles,
    table: Table,
    counts: Ints,
    shape: Ints,
    step: Doubles,
    values: Values,
    owner: Table,
    settled: Small,
    colors: Doubles,
    threshold: float,
    color_sigma: float,
    farthest: float,
    reach: float,
) -> tuple[int, float]:
    """The nearest voxel ahead of an end that is bright, of its colour, and that no front came to; -1 if none is.

    Args:
        tip: the end, settled.
        way: the unit vector (z, y, x), micrometre, in which it looks.
        reach: how far it looks, micrometre; the other arguments are those of `flood`.

    Returns:
        The number of the voxel, and its distance.
    """
    x0 = tip % shape[2]
    y0 = (tip // shape[2]) % shape[1]
    z0 = tip // (shape[2] * shape[1])
    slot, at = locate(z0, y0, x0, table, counts)
    color = colors[owner[slot, at]]
    rz, ry, rx = int(reach / step[0]), int(reach / step[1]), int(reach / step[2])
    best, least = -1, reach
    for z in range(max(z0 - rz, 0), min(z0 + rz + 1, shape[0])):
        for y in range(max(y0 - ry, 0), min(y0 + ry + 1, shape[1])):
            for x in range(max(x0 - rx, 0), min(x0 + rx + 1, shape[2])):
                dz, dy, dx = (z - z0) * step[0], (y - y0) * step[1], (x - x0) * step[2]
                far = np.sqrt(dz * dz + dy * dy + dx * dx)
                if far >= least or dz * way[0] + dy * way[1] + dx * way[2] < STRAIGHT * far:
                    continue
                to, there = locate(z, y, x, table, counts)
                if to < 0 or settled[to, there] != 0:
                    continue
                bright, across = seen(values, to, there, color)
                if bright >= threshold and strays(bright, across, color_sigma) <= farthest:
                    best = (z * shape[1] + y) * shape[2] + x
                    least = far
    return best, least
