"""The compiled part of the path search: A* over blocks that it asks for, one after the other, and can go on with.

Import it inside functions only: it needs Numba.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.compiled import compiled

DONE, NEED_BLOCK, HEAP_FULL, PAUSE, EXHAUSTED = 0, 1, 2, 3, 4
"""What `search` returns with. All but the first and the last: see to it, and call again with the same arrays."""
NOT_LOADED, SHUT = -1, -2
"""In place of the slot of a block: not asked for yet, and never to be entered."""
HEAP, PENDING, EXPANDED, NEEDED = 0, 1, 2, 3
"""Of `control`: entries of the heap, the node that is not expanded yet or -1, nodes expanded, the block wanted."""
_STRAIGHT = 0.8  # cosine: a step that turns by less than 37 degrees costs nothing more
START, _CLOSED = 27, 32  # of `came`, beside the number of the step (0 to 26)


@compiled
def search(  # noqa: PLR0912, PLR0915 - one loop: a call would cost as much as its work
    cost: npt.NDArray[np.float32],
    reached: npt.NDArray[np.float32],
    came: npt.NDArray[np.uint8],
    table: npt.NDArray[np.int32],
    block_of: npt.NDArray[np.int64],
    keys: npt.NDArray[np.float32],
    nodes: npt.NDArray[np.int64],
    control: npt.NDArray[np.int64],
    shape: npt.NDArray[np.int64],
    shifts: npt.NDArray[np.int64],
    size: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.float64],
    goal: npt.NDArray[np.int64],
    least: float,
    turning: float,
    memory: int,
    dearest: float,
    known: npt.NDArray[np.float32],
    closed: npt.NDArray[np.uint8],
    slot_of: npt.NDArray[np.int32],
    origin: npt.NDArray[np.int64],
    whole: float,
    most: int,
) -> int:
    """Go on with a search until it is done, wants something, or has expanded `most` nodes more.

    A node is slot * voxels of a block + place in the block. The price of a step is its length times the mean of the
    costs of its two voxels (per um); the estimate of what is left is the straight distance at the `least` cost, or
    what a search from the goal found, where there was one before.

    Args:
        cost: (slots, voxels of a block), above 0; inf where nobody may go.
        reached: the same: the price of the best way to a voxel, inf where there is none yet.
        came: the same: the step by which that way arrives.
        table: the slot of each block, C order; `NOT_LOADED` or `SHUT`.
        block_of: the number of the block in each slot.
        keys, nodes: the heap.
        control: see `HEAP` and the others.
        shape: z, y, x in voxels.
        shifts: logarithms to the base 2 of the lengths of a block.
        size: of a voxel, z, y, x, um.
        lengths: of the 27 steps, um.
        goal: voxel.
        least: the lowest cost that there is.
        turning: how much dearer a step against the direction of the way is; 0: turns cost nothing.
        memory: steps that the direction of the way is taken from.
        dearest: ways of a higher price are not looked for.
        known, closed, slot_of: `reached`, `came` and `table` of a search from `goal` to `origin` that is done, at
            costs that were nowhere higher; `known` is empty where there is none.
        origin: voxel where this search begins.
        whole: the price of the way that the other one found.
        most: nodes to expand before it returns.
    """
    sz, sy, sx = shifts[0], shifts[1], shifts[2]
    mz, my, mx = (1 << sz) - 1, (1 << sy) - 1, (1 << sx) - 1
    voxels = 1 << (sz + sy + sx)
    ny = (shape[1] + my) >> sy
    nx = (shape[2] + mx) >> sx
    done, informed = 0, len(known) > 0
    steps = np.empty((27, 3), np.int64)
    units, beside = np.empty((27, 3)), np.empty(27, np.int64)
    for step in range(27):
        steps[step, 0], steps[step, 1], steps[step, 2] = step // 9 - 1, step // 3 % 3 - 1, step % 3 - 1
        beside[step] = (steps[step, 0] << (sy + sx)) + (steps[step, 1] << sx) + steps[step, 2]
        for axis in range(3):
            units[step, axis] = steps[step, axis] * size[axis] / max(lengths[step], 1e-300)
    while True:
        node = control[PENDING]
        if node < 0:
            if done >= most:
                return PAUSE
            found = False
            while control[HEAP] > 0:
                node = nodes[0]
                if keys[0] > dearest:
                    return EXHAUSTED
                _pop(keys, nodes, control)
                if came[node // voxels, node % voxels] < _CLOSED:
                    found = True
                    break
            if not found:
                return EXHAUSTED
            control[PENDING] = node
        slot, place = node // voxels, node % voxels
        block = block_of[slot]
        z = ((block // (ny * nx)) << sz) + (place >> (sy + sx))
        y = ((block // nx % ny) << sy) + ((place >> sx) & my)
        x = ((block % nx) << sx) + (place & mx)
        if z == goal[0] and y == goal[1] and x == goal[2]:
            return DONE
        # all blocks that the neighbours lie in must be there before the first of them is looked at
        for bz in range(max(z - 1, 0) >> sz, (min(z + 1, shape[0] - 1) >> sz) + 1):
            for by in range(max(y - 1, 0) >> sy, (min(y + 1, shape[1] - 1) >> sy) + 1):
                for bx in range(max(x - 1, 0) >> sx, (min(x + 1, shape[2] - 1) >> sx) + 1):
                    other = (bz * ny + by) * nx + bx
                    if table[other] == NOT_LOADED:
                        control[NEEDED] = other
                        return NEED_BLOCK
        if control[HEAP] + 26 > len(keys):
            return HEAP_FULL
        came[slot, place] |= _CLOSED
        control[PENDING] = -1
        control[EXPANDED] += 1
        done += 1
        here, price = cost[slot, place], reached[slot, place]
        # where the way comes from: its last steps together
        tz, ty, tx = z, y, x
        if turning > 0.0:
            at, spot = slot, place
            lz, ly, lx = z - (z & mz), y - (y & my), x - (x & mx)
            for _ in range(memory):
                step = came[at, spot] & 31
                if step == START:
                    break
                tz -= steps[step, 0]
                ty -= steps[step, 1]
                tx -= steps[step, 2]
                rz, ry, rx = tz - lz, ty - ly, tx - lx
                if (rz | ry | rx) >= 0 and rz <= mz and ry <= my and rx <= mx:  # the same block
                    spot -= beside[step]
                    continue
                at = table[((tz >> sz) * ny + (ty >> sy)) * nx + (tx >> sx)]
                spot = ((tz & mz) << (sy + sx)) | ((ty & my) << sx) | (tx & mx)
                lz, ly, lx = tz - (tz & mz), ty - (ty & my), tx - (tx & mx)
        vz, vy, vx = (z - tz) * size[0], (y - ty) * size[1], (x - tx) * size[2]
        way = math.sqrt(vz * vz + vy * vy + vx * vx)
        inner = 0 < place >> (sy + sx) < mz and 0 < (place >> sx) & my < my and 0 < place & mx < mx
        if way > 0.0:
            vz, vy, vx = vz / way, vy / way, vx / way
        for step in range(27):
            if step == 13:
                continue
            tz, ty, tx = z + steps[step, 0], y + steps[step, 1], x + steps[step, 2]
            if inner and tz < shape[0] and ty < shape[1] and tx < shape[2]:  # in the same block, as most are
                other, spot = np.int64(slot), place + beside[step]
            else:
                if tz < 0 or tz >= shape[0] or ty < 0 or ty >= shape[1] or tx < 0 or tx >= shape[2]:
                    continue
                other = np.int64(table[((tz >> sz) * ny + (ty >> sy)) * nx + (tx >> sx)])
                if other < 0:
                    continue
                spot = ((tz & mz) << (sy + sx)) | ((ty & my) << sx) | (tx & mx)
            old = reached[other, spot]
            half = 0.5 * (here + cost[other, spot])
            length = lengths[step]
            if price + length * half >= old or came[other, spot] >= _CLOSED:
                continue
            if way > 0.0:
                along = vz * units[step, 0] + vy * units[step, 1] + vx * units[step, 2]
                if along < _STRAIGHT:
                    length *= 1.0 + turning * (_STRAIGHT - along)
            new = np.float32(price + length * half)
            if new < old:
                reached[other, spot] = new
                came[other, spot] = step
                az, ay, ax = (tz - goal[0]) * size[0], (ty - goal[1]) * size[1], (tx - goal[2]) * size[2]
                left = least * math.sqrt(az * az + ay * ay + ax * ax)
                if informed:
                    there = slot_of[((tz >> sz) * ny + (ty >> sy)) * nx + (tx >> sx)]
                    if there >= 0 and closed[there, spot] >= _CLOSED:
                        left = np.float64(known[there, spot])
                    else:  # the other search left it: a way through here would have been dearer
                        az, ay = (tz - origin[0]) * size[0], (ty - origin[1]) * size[1]
                        ax = (tx - origin[2]) * size[2]
                        left = max(left, whole - least * math.sqrt(az * az + ay * ay + ax * ax))
                _push(keys, nodes, control, np.float32(new + left), other * voxels + spot)


@compiled
def _push(
    keys: npt.NDArray[np.float32],
    nodes: npt.NDArray[np.int64],
    control: npt.NDArray[np.int64],
    key: Any,
    node: int,
) -> None:
    """Onto a heap in which each entry has four below it: half as deep as one of two."""
    at = control[HEAP]
    control[HEAP] += 1
    while at > 0:
        above = (at - 1) >> 2
        if keys[above] <= key:
            break
        keys[at], nodes[at] = keys[above], nodes[above]
        at = above
    keys[at], nodes[at] = key, node


@compiled
def _pop(keys: npt.NDArray[np.float32], nodes: npt.NDArray[np.int64], control: npt.NDArray[np.int64]) -> None:
    control[HEAP] -= 1
    last = control[HEAP]
    key, node = keys[last], nodes[last]
    at = 0
    while True:
        first = 4 * at + 1
        if first >= last:
            break
        below, least = first, keys[first]
        for other in range(first + 1, min(first + 4, last)):
            if keys[other] < least:
                below, least = other, keys[other]
        if key <= least:
            break
        keys[at], nodes[at] = least, nodes[below]
        at = below
    keys[at], nodes[at] = key, node


@compiled
def walk_back(
    came: npt.NDArray[np.uint8],
    table: npt.NDArray[np.int32],
    shape: npt.NDArray[np.int64],
    shifts: npt.NDArray[np.int64],
    goal: npt.NDArray[np.int64],
    out: npt.NDArray[np.int64],
) -> int:
    """The voxels of the way from the goal back to the start go into `out` (n, 3); their number, or -1: no room."""
    sz, sy, sx = shifts[0], shifts[1], shifts[2]
    ny = (shape[1] + (1 << sy) - 1) >> sy
    nx = (shape[2] + (1 << sx) - 1) >> sx
    z, y, x = goal[0], goal[1], goal[2]
    count = 0
    while count < len(out):
        out[count, 0], out[count, 1], out[count, 2] = z, y, x
        count += 1
        slot = table[((z >> sz) * ny + (y >> sy)) * nx + (x >> sx)]
        spot = ((z & ((1 << sz) - 1)) << (sy + sx)) | ((y & ((1 << sy) - 1)) << sx) | (x & ((1 << sx) - 1))
        step = came[slot, spot] & 31
        if step == START:
            return count
        z -= step // 9 - 1
        y -= step // 3 % 3 - 1
        x -= step % 3 - 1
    return -1
