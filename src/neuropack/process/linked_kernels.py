"""Kernels of `neuropack.process.linked`: voxels joined to objects where they are told to belong together."""

from __future__ import annotations

import numpy as np

from neuropack.axes import Array
from neuropack.compiled import compiled
from neuropack.process.component_kernels import Rows, Small, numbered, settle, unite


@compiled
def numbers_of(inside: Array, linked: Array) -> tuple[Small, int]:
    """The object of each voxel (z, y, x), counted from 1 by first voxel in C order; and how many there are.

    Args:
        inside: true where a voxel is of an object (z, y, x).
        linked: for z, y and x, true where a voxel belongs with the one before it (3, z, y, x).
    """
    depth, height, width = inside.shape
    parent = np.arange(depth * height * width)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if not inside[z, y, x]:
                    continue
                here = (z * height + y) * width + x
                if z > 0 and linked[0, z, y, x] and inside[z - 1, y, x]:
                    unite(parent, here, here - height * width)
                if y > 0 and linked[1, z, y, x] and inside[z, y - 1, x]:
                    unite(parent, here, here - width)
                if x > 0 and linked[2, z, y, x] and inside[z, y, x - 1]:
                    unite(parent, here, here - 1)
    numbers, count = numbered(parent, inside.ravel())
    return numbers.reshape(depth, height, width), count


@compiled
def runs_of_numbers(numbers: Small, sure: Array) -> tuple[Small, Small, Rows]:
    """Neighbours along x of one object, in C order.

    Args:
        numbers: of objects (z, y, x), 0 is background.
        sure: a whole number for each voxel, which is summed.

    Returns:
        rows (r, 3): the first voxel along x, the length, the sum; the object (r,) of each; where the rows of each
        line begin, (z * y + 1,).
    """
    depth, height, width = numbers.shape
    begin = np.zeros(depth * height + 1, np.int64)
    for line in range(depth * height):
        row, count, last = numbers[line // height, line % height], 0, 0
        for x in range(width):
            count += row[x] != 0 and row[x] != last
            last = row[x]
        begin[line + 1] = begin[line] + count
    runs = np.zeros((begin[-1], 3), np.int32)
    number = np.zeros(begin[-1], np.int32)
    for line in range(depth * height):
        row, at, last = numbers[line // height, line % height], begin[line] - 1, 0
        for x in range(width):
            if row[x] != 0:
                if row[x] != last:
                    at += 1
                    runs[at, 0], number[at] = x, row[x]
                runs[at, 1] += 1
                runs[at, 2] += sure[line // height, line % height, x]
            last = row[x]
    return runs, number, begin


@compiled
def contacts_of(numbers: Small) -> Rows:
    """The two objects on the sides of each face between voxels, the lower number first (n, 2)."""
    depth, height, width = numbers.shape
    found = np.zeros((0, 2), np.int64)
    for counted in range(2):
        n = 0
        for z in range(depth):
            for y in range(height):
                for x in range(width):
                    mine = numbers[z, y, x]
                    if mine == 0:
                        continue
                    for axis in range(3):
                        other = 0
                        if axis == 0 and z > 0:
                            other = numbers[z - 1, y, x]
                        elif axis == 1 and y > 0:
                            other = numbers[z, y - 1, x]
                        elif axis == 2 and x > 0:
                            other = numbers[z, y, x - 1]
                        if other and other != mine:
                            if counted == 1:
                                found[n, 0], found[n, 1] = min(mine, other), max(mine, other)
                            n += 1
        if counted == 0:
            found = np.zeros((n, 2), np.int64)
    return found


@compiled
def link(parent: Rows, mine: Small, my_first: int, other: Small, other_first: int, linked: Array) -> None:
    """Unite the objects of two planes that lie face to face where voxels belong together.

    `my_first`: the place in `parent` of the object 1.
    """
    rows, columns = mine.shape
    for i in range(rows):
        for j in range(columns):
            if linked[i, j] and mine[i, j] != 0 and other[i, j] != 0:
                unite(parent, my_first + mine[i, j] - 1, other_first + other[i, j] - 1)


@compiled
def unite_all(parent: Rows, some: Rows, others: Rows) -> None:
    """Make one set of each pair, and point each element at its root."""
    for n in range(len(some)):
        unite(parent, some[n], others[n])
    settle(parent)
