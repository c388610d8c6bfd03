"""Kernels along the ways of a front: where they lead, how thick and how sure they are, and what they cover.

Voxels and blocks are those of `neuropack.trace.front_kernels`.
"""

from __future__ import annotations

import numpy as np

from neuropack.compiled import compiled
from neuropack.trace.front_kernels import (
    ROOT,
    Doubles,
    Floats,
    Ints,
    Small,
    Table,
    Values,
    locate,
    place,
    seen,
    strays,
)

FALLEN, RISEN = 0.7, 1.15  # of the brightness in the middle: where it is dark, and brighter
STRAIGHT = 0.85  # cosine of the angle by which a neurite turns at most where it is lost from sight


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
        z, y, x = place(here, shape)
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
        z0, y0, x0 = place(path[i], shape)
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
        z0, y0, x0 = place(path[i], shape)
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
        z, y, x = place(path[i], shape)
        slot, at = locate(z, y, x, table, counts)
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
        az, ay, ax = place(path[max(i - 3, 0)], shape)
        bz, by, bx = place(path[min(i + 3, n - 1)], shape)
        tz, ty, tx = (az - bz) * step[0], (ay - by) * step[1], (ax - bx) * step[2]
        size = max(np.sqrt(tz * tz + ty * ty + tx * tx), 1e-9)
        z, y, x = place(path[i], shape)
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
        z0, y0, x0 = place(path[i], shape)
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
        z0, y0, x0 = place(path[i], shape)
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
        z0, y0, x0 = place(path[i], shape)
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
    z0, y0, x0 = place(tip, shape)
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
