"""From the voxels of branches to the nodes of skeletons."""

from __future__ import annotations
import numpy as np
from neuropack.skeleton import SOMA, Skeleton
from neuropack.trace import front_kernels as k
from neuropack.trace.branches import parents_of, _LARGEST_UM


def skeletons_of(front, ways, seeds, names, neuron, sources, colors, o):
    from neuropack.trace.automatic import Flag, Traced
    n = len(ways.voxels)
    seen = np.empty((n, 7))
    place = (front.table, front.counts, front.shape)
    k.looks(ways.voxels, *place, front.step, front.values, front.gap, front.owner, front.settled, neuron, colors, o.threshold, seen)
    radius = np.empty(n)
    k.radii(ways.voxels, *place, front.step, front.values, front.owner, colors, _LARGEST_UM, radius)
    order = sorted(ways.sources, key=lambda i: (not seeds[i].soma, i))
    parent = parents_of(ways, [ways.sources[i] for i in order])
    zyx = np.column_stack(np.unravel_index(ways.voxels, tuple(front.shape.tolist()))).astype(float)
    zyx[:, 1:] += seen[:, 5:7]
    child = np.flatnonzero(parent >= 0)
    pairs = np.concatenate([np.column_stack([child, parent[child]]), np.column_stack([parent[child], child])])
    degree = np.bincount(pairs[:, 0], minlength=n)
    signal = 1 - np.exp(-0.5 * (np.maximum(seen[:, 0], 0) / o.threshold) ** 2)
    sure = signal * np.exp(-0.5 * np.minimum(seen[:, 1] / o.color_sigma**2, 20)) * np.where(seen[:, 4] >= 0, 0.6, 1)
    moved, logr = zyx.copy(), np.log(radius)
    for _ in range(4):
        total = np.zeros_like(zyx); np.add.at(total, pairs[:, 0], moved[pairs[:, 1]])
        free = degree > 1
        moved[free] = 0.5 * moved[free] + 0.5 * total[free] / degree[free, None]
        tr = np.zeros(n); np.add.at(tr, pairs[:, 0], logr[pairs[:, 1]])
        ts = np.zeros(n); np.add.at(ts, pairs[:, 0], sure[pairs[:, 1]])
        some = degree > 0
        logr[some] = 0.5 * logr[some] + 0.5 * tr[some] / degree[some]
        sure[some] = 0.5 * sure[some] + 0.5 * ts[some] / degree[some]
    xyz = ((moved + 0.5) * front.step)[:, ::-1]
    which = neuron[seen[:, 3].astype(int)]
    out, conf = {}, {}
    for number, name in enumerate(names):
        rows = np.flatnonzero(which == number)
        new = np.full(n, -1); new[rows] = np.arange(len(rows)) + 1
        p = parent[rows]
        out[name] = Skeleton(new[rows], np.zeros(len(rows), int), xyz[rows], np.exp(logr[rows]), np.where(p < 0, -1, new[p]))
        conf[name] = sure[rows]
    return Traced(out, conf, [])
