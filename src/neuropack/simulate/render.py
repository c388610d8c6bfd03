"""From skeletons to voxels: tapered capsules with soft edges, and the instance labels that belong to them.

Any box can be asked for, also one that reaches past the stack, and a voxel's value depends on its own place
only: sums and products element by element, never a reduction whose order depends on the size of the array.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box, box_shape
from neuropack.skeleton import Skeleton

Floats = npt.NDArray[np.float64]


class Scene:
    """The neurons of a stack as capsules.

    Args:
        skeletons: in the frame ``stack``; neuron n has label n + 1.
        voxel_size_um: (z, y, x). Voxel i covers [i * s, (i + 1) * s).
    """

    def __init__(self, skeletons: Sequence[Skeleton], voxel_size_um: tuple[float, float, float]) -> None:
        self.neurons = len(skeletons)
        self._step = voxel_size_um
        ends = [_capsules(s) for s in skeletons] or [np.empty((0, 8))]
        self._capsules = np.concatenate(ends)
        self._neuron = np.repeat(np.arange(len(ends)), [len(e) for e in ends])
        near, far = self._capsules[:, 0:3], self._capsules[:, 3:6]
        reach = self._capsules[:, 6:8].max(axis=1, initial=0, keepdims=True)
        reach = reach + 0.5 * float(np.linalg.norm(voxel_size_um))  # the widest soft edge, see _coverage
        size = np.asarray(voxel_size_um)
        self._first = np.floor((np.minimum(near, far) - reach) / size).astype(np.int64)
        self._last = np.floor((np.maximum(near, far) + reach) / size).astype(np.int64)

    def coverage(self, neuron: int, box: Box) -> npt.NDArray[np.float32] | None:
        """How much of each voxel (z, y, x) of a box a neuron fills, 0 to 1; None where it does not come near."""
        rows = self._near(box, neuron)
        if not len(rows):
            return None
        filled = np.zeros(box_shape(box), np.float32)
        for row in rows:
            part, local = self._window(row, box)
            np.maximum(filled[local], self._coverage(row, part)[0], out=filled[local])
        return filled

    def labels(self, box: Box) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
        """Instance labels of a box (z, y, x), and the voxels that more than one neuron claims.

        A voxel belongs to a neuron when its centre lies inside, or when the centreline crosses it, so that
        neurites thinner than a voxel are not broken. The later neuron wins.

        Returns:
            The labels, and rows (z, y, x, label) of the labels that a later neuron replaced, in stack voxels.
        """
        labels = np.zeros(box_shape(box), np.uint16)
        hidden = [np.empty((0, 4), np.int64)]
        for neuron in range(self.neurons):
            rows = self._near(box, neuron)
            if not len(rows):
                continue
            mine = np.zeros(labels.shape, bool)
            for row in rows:
                part, local = self._window(row, box)
                mine[local] |= self._coverage(row, part)[1] | self._crossed(row, part)
            lost = np.argwhere(mine & (labels > 0))
            before = labels[tuple(lost.T)].astype(np.int64)
            hidden.append(np.column_stack([lost + [s.start for s in box], before]))
            labels[mine] = neuron + 1
        return labels, np.concatenate(hidden)

    def _near(self, box: Box, neuron: int) -> npt.NDArray[np.int64]:
        start, stop = np.array([s.start for s in box]), np.array([s.stop for s in box])
        hit = (self._neuron == neuron) & (self._first < stop).all(axis=1) & (self._last >= start).all(axis=1)
        return np.flatnonzero(hit)

    def _window(self, row: int, box: Box) -> tuple[Box, Box]:
        """The part of a box that a capsule may touch, in voxels of the stack and of the box."""
        part = tuple(
            slice(max(s.start, int(a)), min(s.stop, int(b) + 1))
            for s, a, b in zip(box, self._first[row], self._last[row], strict=True)
        )
        return part, tuple(slice(p.start - s.start, p.stop - s.start) for p, s in zip(part, box, strict=True))

    def _coverage(self, row: int, box: Box) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Soft coverage of a box by one capsule, and the voxels whose centre lies inside it.

        The edge is a ramp over the length of the voxel along the direction to the axis, the first-order
        estimate of the part of an anisotropic voxel that a flat surface cuts off.
        """
        z0, y0, x0, z1, y1, x1, r0, r1 = (float(v) for v in self._capsules[row])
        sz, sy, sx = self._step
        z, y, x = (
            ((np.arange(s.start, s.stop) + 0.5) * d).reshape([-1 if i == j else 1 for j in range(3)]) - o
            for i, (s, d, o) in enumerate(zip(box, self._step, (z0, y0, x0), strict=True))
        )
        az, ay, ax = z1 - z0, y1 - y0, x1 - x0
        squared = az * az + ay * ay + ax * ax
        along = np.clip((z * az + y * ay + x * ax) / squared, 0.0, 1.0) if squared else np.zeros((1, 1, 1))
        dz, dy, dx = z - along * az, y - along * ay, x - along * ax
        distance = np.sqrt(dz * dz + dy * dy + dx * dx)
        ramp = np.abs(dz) * sz + np.abs(dy) * sy + np.abs(dx) * sx
        inside = r0 + along * (r1 - r0) - distance
        with np.errstate(divide="ignore", invalid="ignore"):
            soft = 0.5 + inside * distance / ramp
        return np.where(distance > 0, np.clip(soft, 0.0, 1.0), 1.0), inside >= 0

    def _crossed(self, row: int, box: Box) -> npt.NDArray[np.bool_]:
        """The voxels of a box that the axis of a capsule passes through (the slab test of ray tracing)."""
        enter, leave = np.zeros((1, 1, 1)), np.ones((1, 1, 1))
        for axis, (s, step) in enumerate(zip(box, self._step, strict=True)):
            low = np.arange(s.start, s.stop).reshape([-1 if axis == j else 1 for j in range(3)])
            start = float(self._capsules[row, axis] / step)
            move = float(self._capsules[row, 3 + axis] / step) - start
            if move == 0:
                within = (low <= start) & (start < low + 1)
                enter, leave = np.where(within, enter, 2.0), np.where(within, leave, -1.0)
            else:
                a, b = (low - start) / move, (low + 1 - start) / move
                enter, leave = np.maximum(enter, np.minimum(a, b)), np.minimum(leave, np.maximum(a, b))
        return enter <= leave


def _capsules(skeleton: Skeleton) -> Floats:
    """Rows (z, y, x of one end, z, y, x of the other, their radii): every edge, and every root as a ball."""
    zyx, radius = skeleton.xyz[:, ::-1], skeleton.radius
    edges = skeleton.edges()
    roots = np.flatnonzero(skeleton.parent < 0)
    one, other = np.concatenate([edges[:, 0], roots]), np.concatenate([edges[:, 1], roots])
    return np.column_stack([zyx[one], zyx[other], radius[one], radius[other]])
