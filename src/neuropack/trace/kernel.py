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
_MEMORY = 16  # steps that the direction of a way is taken from
_STRAIGHT = 0.8  # cosine: a step that turns by less than 37 degrees costs nothing more
_START, _CLOSED = 27, 32  # of `came`, beside the number of the step (0 to 26)


@compiled
def search(
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
    most: int,
) -> int:
    """Go on with a search until it is done, wants something, or has expanded `most` nodes more.

    A node is slot * voxels of a block + place in the block. The price of a step is its length times the mean of the
    costs of its two voxels (per um); the estimate of what is left is the straight distance at the `least` cost.

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
        most: nodes to expand before it returns.
    """
    sz, sy, sx = shifts[0], shifts[1], shifts[2]
    mz, my, mx = (1 << sz) - 1, (1 << sy) - 1, (1 << sx) - 1
    voxels = 1 << (sz + sy + sx)
    ny = (shape[1] + my) >> sy
    nx = (shape[2] + mx) >> sx
    done = 0
    while True:
        node = control[1]
        if node < 0:
            if done >= most:
                return 3
            found = False
            while control[0] > 0:
                node = nodes[0]
                _pop(keys, nodes, control)
                if came[node // voxels, node % voxels] < _CLOSED:
                    found = True
                    break
            if not found:
                return 4
            control[1] = node
        slot, place = node // voxels, node % voxels
        block = block_of[slot]
        z = ((block // (ny * nx)) << sz) + (place >> (sy + sx))
        y = ((block // nx % ny) << sy) + ((place >> sx) & my)
        x = ((block % nx) << sx) + (place & mx)
        if z == goal[0] and y == goal[1] and x == goal[2]:
            return 0
        # all blocks that the neighbours lie in must be there before the first of them is looked at
        for bz in range(max(z - 1, 0) >> sz, (min(z + 1, shape[0] - 1) >> sz) + 1):
            for by in range(max(y - 1, 0) >> sy, (min(y + 1, shape[1] - 1) >> sy) + 1):
                for bx in range(max(x - 1, 0) >> sx, (min(x + 1, shape[2] - 1) >> sx) + 1):
                    other = (bz * ny + by) * nx + bx
                    if table[other] == -1:
                        control[3] = other
                        return 1
        if control[0] + 26 > len(keys):
            return 2
        came[slot, place] |= _CLOSED
        control[1] = -1
        control[2] += 1
        done += 1
        here, price = cost[slot, place], reached[slot, place]
        # where the way comes from: its last steps together
        tz, ty, tx = z, y, x
        if turning > 0.0:
            at, spot = slot, place
            for _ in range(_MEMORY):
                step = came[at, spot] & 31
                if step == _START:
                    break
                tz -= step // 9 - 1
                ty -= step // 3 % 3 - 1
                tx -= step % 3 - 1
                at = table[((tz >> sz) * ny + (ty >> sy)) * nx + (tx >> sx)]
                spot = ((tz & mz) << (sy + sx)) | ((ty & my) << sx) | (tx & mx)
        vz, vy, vx = (z - tz) * size[0], (y - ty) * size[1], (x - tx) * size[2]
        way = math.sqrt(vz * vz + vy * vy + vx * vx)
        for dz in range(-1, 2):
            tz = z + dz
            if tz < 0 or tz >= shape[0]:
                continue
            for dy in range(-1, 2):
                ty = y + dy
                if ty < 0 or ty >= shape[1]:
                    continue
                for dx in range(-1, 2):
                    tx = x + dx
                    if tx < 0 or tx >= shape[2]:
                        continue
                    other = table[((tz >> sz) * ny + (ty >> sy)) * nx + (tx >> sx)]
                    if other < 0:
                        continue
                    spot = ((tz & mz) << (sy + sx)) | ((ty & my) << sx) | (tx & mx)
                    if came[other, spot] >= _CLOSED:
                        continue
                    step = (dz * 3 + dy) * 3 + dx + 13
                    length = lengths[step]
                    if way > 0.0:
                        along = (vz * dz * size[0] + vy * dy * size[1] + vx * dx * size[2]) / (way * length)
                        if along < _STRAIGHT:
                            length *= 1.0 + turning * (_STRAIGHT - along)
                    new = np.float32(price + length * 0.5 * (here + cost[other, spot]))
                    if new < reached[other, spot]:
                        reached[other, spot] = new
                        came[other, spot] = step
                        az, ay, ax = (tz - goal[0]) * size[0], (ty - goal[1]) * size[1], (tx - goal[2]) * size[2]
                        left = least * math.sqrt(az * az + ay * ay + ax * ax)
                        _push(keys, nodes, control, np.float32(new + left), other * voxels + spot)


@compiled
def _push(
    keys: npt.NDArray[np.float32],
    nodes: npt.NDArray[np.int64],
    control: npt.NDArray[np.int64],
    key: Any,
    node: int,
) -> None:
    at = control[0]
    control[0] += 1
    while at > 0:
        above = (at - 1) >> 1
        if keys[above] <= key:
            break
        keys[at], nodes[at] = keys[above], nodes[above]
        at = above
    keys[at], nodes[at] = key, node


@compiled
def _pop(keys: npt.NDArray[np.float32], nodes: npt.NDArray[np.int64], control: npt.NDArray[np.int64]) -> None:
    control[0] -= 1
    last = control[0]
    key, node = keys[last], nodes[last]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= last:
            break
        if below + 1 < last and keys[below + 1] < keys[below]:
            below += 1
        if key <= keys[below]:
            break
        keys[at], nodes[at] = keys[below], nodes[below]
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
        if step == _START:
            return count
        z -= step // 9 - 1
        y -= step // 3 % 3 - 1
        x -= step % 3 - 1
    return -1


@compiled
def price(
    block: npt.NDArray[np.float32],
    floor: npt.NDArray[np.float32],
    scale: npt.NDArray[np.float32],
    colour: npt.NDArray[np.float32],
    width: float,
    by_contrast: npt.NDArray[np.float32],
    per_noise: float,
    lowest: float,
    out: npt.NDArray[np.float32],
) -> None:
    """The costs of the voxels of a block.

    The contrast of a voxel is that of its channels over their background in units of their noise, projected onto
    `colour`, a unit vector. Where `width` is above 0, the cost is multiplied by exp((angle / width)^2 / 2) of the
    angle between the voxel's own colour and that one.

    Args:
        block: (c, z, y, x); NaN where nothing is known.
        floor, scale: background of each channel, and what a unit of its noise is multiplied with.
        colour: (c,).
        width: radian.
        by_contrast: the cost at `lowest` + i / `per_noise` noises.
        out: (z, y, x) of the same size; inf where nothing is known.
    """
    c, nz, ny, nx = block.shape
    last = len(by_contrast) - 1
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                along, squared = 0.0, 0.0
                for i in range(c):
                    v = (block[i, z, y, x] - floor[i]) * scale[i]
                    along += v * colour[i]
                    squared += v * v
                if not math.isfinite(along):
                    out[z, y, x] = np.inf
                    continue
                at = (along - lowest) * per_noise + 0.5
                worth = by_contrast[int(min(max(at, 0.0), last))]
                if width > 0.0:
                    # a voxel without light has no colour: three noises are added in the wanted one
                    cosine = (along + 3.0) / math.sqrt(squared + 6.0 * along + 9.0 + 1e-9)
                    angle = math.acos(min(max(cosine, -1.0), 1.0)) / width
                    worth *= math.exp(min(0.5 * angle * angle, 5.0))
                out[z, y, x] = worth


@compiled
def keep_near(
    points: npt.NDArray[np.float64],
    corner: npt.NDArray[np.int64],
    radius: npt.NDArray[np.float64],
    cost: npt.NDArray[np.float32],
    inside: npt.NDArray[np.bool_],
) -> int:
    """Shut all voxels (cost inf) of a block that lie farther than an ellipsoid's radii from each of some points.

    Args:
        points: (n, 3) voxels.
        corner: of the block.
        radius: z, y, x in voxels.
        cost: (z, y, x) of the block.
        inside: room for work, the same size.

    Returns:
        how many stay open.
    """
    nz, ny, nx = cost.shape
    inside[:] = False
    for i in range(len(points)):
        pz, py, px = points[i, 0] - corner[0], points[i, 1] - corner[1], points[i, 2] - corner[2]
        for z in range(max(0, math.ceil(pz - radius[0])), min(nz, math.floor(pz + radius[0]) + 1)):
            dz = (z - pz) / radius[0]
            for y in range(max(0, math.ceil(py - radius[1])), min(ny, math.floor(py + radius[1]) + 1)):
                rest = 1.0 - dz * dz - ((y - py) / radius[1]) ** 2
                if rest < 0.0:
                    continue
                half = radius[2] * math.sqrt(rest)
                for x in range(max(0, math.ceil(px - half)), min(nx, math.floor(px + half) + 1)):
                    inside[z, y, x] = True
    count = 0
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if inside[z, y, x]:
                    count += 1
                else:
                    cost[z, y, x] = np.inf
    return count


@compiled
def blurred(
    image: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    reach: npt.NDArray[np.int64],
    halo: npt.NDArray[np.int64],
    out: npt.NDArray[np.float32],
) -> None:
    """Blur along z, y and x with symmetric weights; NaN counts as not there and stays NaN.

    Args:
        image: with `halo` voxels more than `out` on every side.
        weights: (3, most + 1): of the middle voxel and of those beside it, along each axis.
        reach: of the weights along each axis, at most the halo.
        halo: voxels.
        out: (z, y, x).
    """
    hz, hy, hx = halo[0], halo[1], halo[2]
    nz, ny, nx = out.shape
    wz, wy, wx = image.shape
    holes = False
    for v in image.flat:
        if not math.isfinite(v):
            holes = True
            break
    filled = image
    known = image
    if holes:
        filled = image.copy()
        known = np.ones_like(image)
        for z in range(wz):
            for y in range(wy):
                for x in range(wx):
                    if not math.isfinite(image[z, y, x]):
                        filled[z, y, x] = np.float32(0)
                        known[z, y, x] = np.float32(0)
    _three(filled, weights, reach, halo, out)
    if holes:
        share = np.empty_like(out)
        _three(known, weights, reach, halo, share)
        for z in range(nz):
            for y in range(ny):
                for x in range(nx):
                    if known[z + hz, y + hy, x + hx] > 0:
                        out[z, y, x] /= share[z, y, x]
                    else:
                        out[z, y, x] = np.nan


@compiled
def _three(
    image: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    reach: npt.NDArray[np.int64],
    halo: npt.NDArray[np.int64],
    out: npt.NDArray[np.float32],
) -> None:
    hz, hy, hx = halo[0], halo[1], halo[2]
    nz, ny, nx = out.shape
    _, wy, wx = image.shape
    first = np.empty((nz, wy, wx), np.float32)
    for z in range(nz):
        for y in range(wy):
            for x in range(wx):
                first[z, y, x] = weights[0, 0] * image[z + hz, y, x]
            for i in range(1, reach[0] + 1):
                for x in range(wx):
                    first[z, y, x] += weights[0, i] * (image[z + hz - i, y, x] + image[z + hz + i, y, x])
    second = np.empty((nz, ny, wx), np.float32)
    for z in range(nz):
        for y in range(ny):
            for x in range(wx):
                second[z, y, x] = weights[1, 0] * first[z, y + hy, x]
            for i in range(1, reach[1] + 1):
                for x in range(wx):
                    second[z, y, x] += weights[1, i] * (first[z, y + hy - i, x] + first[z, y + hy + i, x])
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                out[z, y, x] = weights[2, 0] * second[z, y, x + hx]
            for i in range(1, reach[2] + 1):
                for x in range(nx):
                    out[z, y, x] += weights[2, i] * (second[z, y, x + hx - i] + second[z, y, x + hx + i])
