"""Compiled loops of colour instances. Imported where they are needed."""

from __future__ import annotations

import heapq
import math

import numpy as np
import numpy.typing as npt

from neuropack.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]


@compiled
def _uphill(bright: Pixels, colour: Pixels, power: float, z: int, y: int, x: int) -> int:
    """The neighbour that a voxel goes to, as its place in C order: itself where it is a maximum."""
    channels = colour.shape[0]
    depth, height, width = bright.shape
    here, at = bright[z, y, x], (z * height + y) * width + x
    found = at
    mine = 0.0
    for c in range(channels):
        mine += colour[c, z, y, x] * colour[c, z, y, x]
    best = 0.0
    for step in range(27):
        k, j, i = z + step // 9 - 1, y + step // 3 % 3 - 1, x + step % 3 - 1
        if k < 0 or j < 0 or i < 0 or k >= depth or j >= height or i >= width:
            continue
        there, other = bright[k, j, i], (k * height + j) * width + i
        if there < here or (there == here and other >= at):
            continue
        product, theirs = 0.0, 0.0
        for c in range(channels):
            product += colour[c, z, y, x] * colour[c, k, j, i]
            theirs += colour[c, k, j, i] * colour[c, k, j, i]
        score = there * (max(product, 0.0) / math.sqrt(mine * theirs + 1e-12)) ** power
        if score > best:
            best, found = score, other
    return int(found)


@compiled
def supervoxels(bright: Pixels, colour: Pixels, power: float) -> Labels:
    """Each voxel goes uphill, to the brighter neighbour of its own colour; those that end at one maximum are one.

    Args:
        bright: brightness (z, y, x), 0 outside of the foreground.
        colour: blurred channels (channels, z, y, x).
        power: of the cosine between the colours of two voxels, by which the brightness of the other one counts.

    Returns:
        labels (z, y, x), 1, 2, 3 in the order of the maxima; 0 is background.
    """
    depth, height, width = bright.shape
    above = np.full(depth * height * width, -1, np.int64)
    labels = np.zeros(depth * height * width, np.int32)
    count = 0
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if bright[z, y, x] > 0:
                    at = (z * height + y) * width + x
                    above[at] = _uphill(bright, colour, power, z, y, x)
                    if above[at] == at:
                        count += 1
                        labels[at] = count
    for at in range(len(above)):
        if above[at] < 0:
            continue
        top = at
        while labels[top] == 0:
            top = above[top]
        label = labels[top]
        top = at
        while labels[top] == 0:
            labels[top] = label
            top = above[top]
    return labels.reshape(bright.shape)


@compiled
def measures(labels: Labels, raw: Pixels, bright: Pixels, count: int) -> tuple[Ints, Floats, Floats, Floats]:
    """Of each region: voxels (n,), sums of channels (n, c) and of z, y, x (n, 3), greatest brightness (n,)."""
    channels = raw.shape[0]
    voxels, sums = np.zeros(count, np.int64), np.zeros((count, channels))
    places, peaks = np.zeros((count, 3)), np.zeros(count)
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                row = labels[z, y, x] - 1
                if row < 0:
                    continue
                voxels[row] += 1
                for c in range(channels):
                    sums[row, c] += raw[c, z, y, x]
                places[row, 0] += z
                places[row, 1] += y
                places[row, 2] += x
                peaks[row] = max(peaks[row], bright[z, y, x])
    return voxels, sums, places, peaks


@compiled
def contacts(labels: Labels, bright: Pixels) -> tuple[Ints, Floats]:
    """Pairs of voxels of two regions that touch by a face, an edge or a corner: the regions (m, 2), and the lesser
    brightness of the two (m,)."""
    depth, height, width = labels.shape
    pairs = np.empty((1024, 2), np.int64)
    lows = np.empty(1024)
    found = 0
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                mine = labels[z, y, x]
                if mine == 0:
                    continue
                for step in range(14, 27):
                    k, j, i = z + step // 9 - 1, y + step // 3 % 3 - 1, x + step % 3 - 1
                    if k >= depth or j < 0 or j >= height or i < 0 or i >= width:
                        continue
                    other = labels[k, j, i]
                    if other == 0 or other == mine:  # noqa: PLR1714 - Numba knows no "in" of two types
                        continue
                    if found == len(lows):
                        more, less = np.empty((2 * found, 2), np.int64), np.empty(2 * found)
                        more[:found], less[:found] = pairs, lows
                        pairs, lows = more, less
                    pairs[found, 0], pairs[found, 1] = min(mine, other) - 1, max(mine, other) - 1
                    lows[found] = min(bright[z, y, x], bright[k, j, i])
                    found += 1
    return pairs[:found], lows[:found]


@compiled
def root_of(above: Ints, row: int) -> int:
    """The region that another one went into."""
    top = row
    while above[top] != top:
        top = above[top]
    while above[row] != top:
        above[row], row = top, above[row]
    return top


@compiled
def evidence(
    sums: Floats, voxels: Ints, peaks: Floats, a: int, b: int, saddle: float, bonus: float, rule: Floats
) -> float:
    """Log of how much likelier it is that two regions are of one neuron than of two.

    The angle between their colours is Rayleigh-like around 0 for one neuron, with the width that the noise of both
    gives and what colours vary along a neurite; for two it is anything. What the light falls to between them, as a
    part of the dimmer one, counts by its logarithm.

    Args:
        sums, voxels, peaks: of the regions.
        a, b: two of them.
        saddle: brightness between them; below 0 it does not count.
        bonus: what else speaks for it.
        rule: width of colours (radians), shot noise, log of the solid angle of all colours, weight and half of the
            saddle.
    """
    width, shot, angles, weight, half = rule[0], rule[1], rule[2], rule[3], rule[4]
    channels = sums.shape[1]
    product, mine, theirs = 0.0, 0.0, 0.0
    for c in range(channels):
        product += sums[a, c] * sums[b, c]
        mine += sums[a, c] * sums[a, c]
        theirs += sums[b, c] * sums[b, c]
    mine, theirs = math.sqrt(mine), math.sqrt(theirs)
    found = bonus
    if saddle >= 0:
        found += weight * math.log(max(saddle, 1e-9) / max(min(peaks[a], peaks[b]), 1e-9) / half)
    if channels > 1 and mine > 0 and theirs > 0:
        angle = math.acos(min(1.0, max(-1.0, product / (mine * theirs))))
        spread = width * width
        spread += (voxels[a] + shot * mine) / (mine * mine) + (voxels[b] + shot * theirs) / (theirs * theirs)
        free = channels - 1
        found += angles - 0.5 * free * math.log(2 * math.pi * spread) - 0.5 * angle * angle / spread
    return found


@compiled
def agglomerate(
    pairs: Ints,
    saddles: Floats,
    bonus: Floats,
    voxels: Ints,
    sums: Floats,
    peaks: Floats,
    soma: Ints,
    rule: Floats,
    least: float,
) -> Ints:
    """Join regions along their contacts, what is likeliest first, until none is likelier than not.

    A contact is looked at again when its turn comes and one of its regions has grown since. Regions of two somata
    stay two.

    Args:
        pairs, saddles, bonus: contacts: two regions (m, 2), brightness between them (m,), what else speaks for it.
        voxels, sums, peaks: of the regions (n,), (n, c), (n,); they are summed up in place.
        soma: number of the soma in a region, -1 for none; in place.
        rule: as `evidence`.
        least: evidence that is wanted.

    Returns:
        the region that each one went into (n,): the first of those joined.
    """
    count = len(voxels)
    above = np.arange(count)
    grown = np.zeros(count, np.int64)
    left = np.ones(len(pairs), np.bool_)
    joined = True
    rounds = 0
    while joined and rounds < 8:
        joined = False
        rounds += 1
        heap = [(0.0, 0, 0)]
        heap.pop()
        for row in range(len(pairs)):
            if not left[row]:
                continue
            a, b = root_of(above, pairs[row, 0]), root_of(above, pairs[row, 1])
            if a == b:
                left[row] = False
                continue
            told = evidence(sums, voxels, peaks, a, b, saddles[row], bonus[row], rule)
            heapq.heappush(heap, (-told, row, int(grown[a] + grown[b])))
        while heap:
            _, row, age = heapq.heappop(heap)
            a, b = root_of(above, pairs[row, 0]), root_of(above, pairs[row, 1])
            if a == b:
                left[row] = False
                continue
            told = evidence(sums, voxels, peaks, a, b, saddles[row], bonus[row], rule)
            now = int(grown[a] + grown[b])
            if now != age:
                heapq.heappush(heap, (-told, row, now))
                continue
            if told < least or (soma[a] >= 0 and soma[b] >= 0 and soma[a] != soma[b]):
                continue
            if b < a:
                a, b = b, a
            above[b] = a
            voxels[a] += voxels[b]
            sums[a] += sums[b]
            peaks[a] = max(peaks[a], peaks[b])
            soma[a] = max(soma[a], soma[b])
            grown[a] += grown[b] + 1
            left[row] = False
            joined = True
    for row in range(count):
        above[row] = root_of(above, row)
    return above
