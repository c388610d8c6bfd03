"""Kernels of `components`: runs of voxels above a threshold, joined to objects of 26 neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array
from neuropack.compiled import compiled

Rows = npt.NDArray[np.int64]
Small = npt.NDArray[np.int32]


@compiled
def find(parent: Rows, one: int) -> int:
    """The root of an element, which is the lowest of its set; paths are halved on the way."""
    while parent[one] != one:
        parent[one] = parent[parent[one]]
        one = parent[one]
    return one


@compiled
def unite(parent: Rows, one: int, other: int) -> None:
    """Make one set of two."""
    a, b = find(parent, one), find(parent, other)
    if a < b:
        parent[b] = a
    elif b < a:
        parent[a] = b


@compiled
def settle(parent: Rows) -> None:
    """Point each element at its root; parents are never above their children."""
    for one in range(len(parent)):
        parent[one] = parent[parent[one]]


@compiled
def numbered(parent: Rows, inside: Array) -> tuple[Small, int]:
    """The number of the set of each element that is inside, from 1 on; and how many there are."""
    numbers, count = np.zeros(len(parent), np.int32), 0
    for here in range(len(parent)):
        if inside[here]:
            root = find(parent, here)
            if root == here:
                count += 1
                numbers[here] = count
            else:
                numbers[here] = numbers[root]
    return numbers, count


@compiled
def runs_of(values: npt.NDArray[np.float32], low: float, high: float) -> tuple[Small, Rows]:
    """Neighbours along x that are `low` or more, in C order; what is not finite is none of them.

    Args:
        values: of a block (z, y, x).
        low, high: thresholds.

    Returns:
        rows (r, 3): the first voxel along x, the length, and how many are `high` or more; and where the rows of
        each line of the block begin, (z * y + 1,).
    """
    depth, height, width = values.shape
    begin = np.zeros(depth * height + 1, np.int64)
    for line in range(depth * height):
        row = values[line // height, line % height]
        count, inside = 0, False
        for x in range(width):
            now = row[x] >= low and row[x] < np.inf
            count += now and not inside
            inside = now
        begin[line + 1] = begin[line] + count
    runs = np.zeros((begin[-1], 3), np.int32)
    for line in range(depth * height):
        if begin[line + 1] == begin[line]:
            continue
        row = values[line // height, line % height]
        at, inside = begin[line] - 1, False
        for x in range(width):
            now = row[x] >= low and row[x] < np.inf
            if now and not inside:
                at += 1
                runs[at, 0] = x
            if now:
                runs[at, 1] += 1
                runs[at, 2] += row[x] >= high
            inside = now
    return runs, begin


@compiled
def objects_of(runs: Small, begin: Rows, height: int) -> tuple[Small, int]:
    """The object (r,) of each run, counted from 1 by first voxel in C order; and how many there are."""
    parent = np.arange(len(runs))
    for line in range(len(begin) - 1):
        if begin[line] == begin[line + 1]:
            continue
        z, y = line // height, line % height
        for dz, dy in ((0, -1), (-1, -1), (-1, 0), (-1, 1)):
            if z + dz < 0 or y + dy < 0 or y + dy >= height:
                continue
            near = line + dz * height + dy
            i, j = begin[line], begin[near]
            while i < begin[line + 1] and j < begin[near + 1]:
                i_end, j_end = runs[i, 0] + runs[i, 1], runs[j, 0] + runs[j, 1]
                if runs[i, 0] <= j_end and runs[j, 0] <= i_end:
                    unite(parent, i, j)
                if i_end <= j_end:
                    i += 1
                else:
                    j += 1
    return numbered(parent, np.ones(len(runs), np.bool_))


@compiled
def facts_of(runs: Small, begin: Rows, number: Small, count: int, corner: Rows, size: Rows, shape: Rows) -> Rows:
    """What is known of each object of a block (count, 10).

    Columns: voxels, those that are strong, the first voxel in C order of the image, z0, y0, x0, z1, y1, x1 half
    open, and 1 where the object may go on in another block.

    Args:
        runs, begin, number, count: as `runs_of` and `objects_of` give them.
        corner: first voxel of the block in the image (3,).
        size: of the block.
        shape: of the image.
    """
    facts = np.zeros((count, 10), np.int64)
    last = corner + size
    for line in range(len(begin) - 1):
        z, y = corner[0] + line // size[1], corner[1] + line % size[1]
        on_face = (z == corner[0] and z > 0) or (z == last[0] - 1 and z < shape[0] - 1)
        on_face = on_face or (y == corner[1] and y > 0) or (y == last[1] - 1 and y < shape[1] - 1)
        for one in range(begin[line], begin[line + 1]):
            fact = facts[number[one] - 1]
            x0 = corner[2] + runs[one, 0]
            x1 = x0 + runs[one, 1]
            if fact[0] == 0:
                fact[2] = (z * shape[1] + y) * shape[2] + x0
                fact[3], fact[4], fact[5] = z, y, x0
            fact[0] += runs[one, 1]
            fact[1] += runs[one, 2]
            fact[4], fact[5] = min(fact[4], y), min(fact[5], x0)
            fact[6], fact[7], fact[8] = max(fact[6], z + 1), max(fact[7], y + 1), max(fact[8], x1)
            beside = (x0 == corner[2] and x0 > 0) or (x1 == last[2] and x1 < shape[2])
            if on_face or beside:
                fact[9] = 1
    return facts


@compiled
def face_of(runs: Small, begin: Rows, number: Small, size: Rows, axis: int, at: int) -> Small:
    """The objects on a plane of a block: of z (y, x), of y (z, x), of x (z, y); 0 where there is none."""
    if axis == 0:
        face = np.zeros((size[1], size[2]), np.int32)
    elif axis == 1:
        face = np.zeros((size[0], size[2]), np.int32)
    else:
        face = np.zeros((size[0], size[1]), np.int32)
    for line in range(len(begin) - 1):
        z, y = line // size[1], line % size[1]
        if (axis == 0 and z != at) or (axis == 1 and y != at):
            continue
        for one in range(begin[line], begin[line + 1]):
            x0, x1 = runs[one, 0], runs[one, 0] + runs[one, 1]
            if axis == 2:
                if x0 <= at < x1:
                    face[z, y] = number[one]
            else:
                face[y if axis == 0 else z, x0:x1] = number[one]
    return face


@compiled
def join(parent: Rows, mine: Small, my_first: int, other: Small, other_first: int) -> None:
    """Unite the objects of two planes that lie face to face, each with its 9 neighbours.

    A plane of one line or one voxel is the edge or the corner of a block. `my_first`: the place in `parent` of the
    object 1.
    """
    rows, columns = mine.shape
    for i in range(rows):
        for j in range(columns):
            if mine[i, j] == 0:
                continue
            for k in range(max(0, i - 1), min(rows, i + 2)):
                for m in range(max(0, j - 1), min(columns, j + 2)):
                    if other[k, m] != 0:
                        unite(parent, my_first + mine[i, j] - 1, other_first + other[k, m] - 1)


@compiled
def gather(parent: Rows, facts: Rows) -> None:
    """Add what is known of each part to what is known of its root."""
    for one in range(len(parent)):
        root = parent[one]
        if root == one:
            continue
        for column in range(10):
            if column < 2:
                facts[root, column] += facts[one, column]
            elif column < 6:
                facts[root, column] = min(facts[root, column], facts[one, column])
            else:
                facts[root, column] = max(facts[root, column], facts[one, column])


@compiled
def paint(
    out: Array, corner: Rows, runs: Small, begin: Rows, number: Small, table: Array, origin: Rows, height: int
) -> None:
    """Write the labels of a block's runs into a box.

    Args:
        out: the box (z, y, x).
        corner: its first voxel in the image.
        runs, begin, number: of the block.
        table: the label of each object of the block, from 1 on.
        origin: first voxel of the block in the image.
        height: of the block.
    """
    depth, rows, columns = out.shape
    for z in range(depth):
        for y in range(rows):
            up, down = z + corner[0] - origin[0], y + corner[1] - origin[1]
            line = up * height + down
            if up < 0 or down < 0 or down >= height or line >= len(begin) - 1:
                continue
            for one in range(begin[line], begin[line + 1]):
                label = table[number[one] - 1]
                if label != 0:
                    first = runs[one, 0] + origin[2] - corner[2]
                    for x in range(max(0, first), min(columns, first + runs[one, 1])):
                        out[z, y, x] = label
