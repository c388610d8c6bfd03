"""From skeletons to voxels: tapered capsules with soft edges, and the instance labels that belong to them.

Any box can be asked for, also one that reaches past the stack, and a voxel's value depends on its own place
only: sums and products element by element, never a reduction whose order depends on the size of the array.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box, box_shape
from neuropack.capsules import Capsules
from neuropack.skeleton import Skeleton

Floats = npt.NDArray[np.float64]
Pieces = list[tuple[int, int]]
"""Pieces of capsules, each with the number of its capsule."""


class Scene:
    """The neurons of a stack as capsules.

    Args:
        skeletons: in the frame ``stack``; neuron n has label n + 1.
        voxel_size_um: (z, y, x). Voxel i covers [i * s, (i + 1) * s).

    Attributes:
        neurons: how many.
        voxel_size_um: as given.
        neuron_of_capsule: of each capsule, the neuron: edges by their child, then roots, neuron after neuron.
    """

    def __init__(self, skeletons: Sequence[Skeleton], voxel_size_um: tuple[float, float, float]) -> None:
        self.neurons = len(skeletons)
        edge = 0.5 * float(np.linalg.norm(voxel_size_um))  # the widest soft edge, see _coverage
        self._capsules = Capsules(skeletons, voxel_size_um, edge)
        self.voxel_size_um = voxel_size_um
        self.neuron_of_capsule = self._capsules.neuron

    def filled(self, pieces: Pieces, box: Box) -> npt.NDArray[np.float32]:
        """How much of each voxel (z, y, x) of a box pieces of capsules fill, 0 to 1."""
        filled = np.zeros(box_shape(box), np.float32)
        for piece, row in pieces:
            part, local = self._capsules.window(piece, box)
            np.maximum(filled[local], self._coverage(row, part)[0], out=filled[local])
        return filled

    def painted(self, pieces: Pieces, box: Box, paint: Floats) -> npt.NDArray[np.float32]:
        """The same in each channel (c, z, y, x), each piece as bright as its capsule is.

        Args:
            pieces: as `near` gives them.
            box: z, y, x.
            paint: brightness of each capsule, (capsules, c).
        """
        glow = np.zeros((paint.shape[1], *box_shape(box)), np.float32)
        for piece, row in pieces:
            part, local = self._capsules.window(piece, box)
            filled = self._coverage(row, part)[0]
            for channel, bright in zip(glow, paint[row].tolist(), strict=True):
                np.maximum(channel[local], bright * filled, out=channel[local])
        return glow

    def near(self, box: Box) -> list[tuple[int, Pieces]]:
        """The neurons that come near a box, ascending, each with its pieces."""
        pieces, rows = self._capsules.near(box)
        neurons = self._capsules.neuron[rows]
        order = np.argsort(neurons, kind="stable")
        starts = np.flatnonzero(np.diff(neurons[order], prepend=-1))
        found = []
        for mine in np.split(order, starts[1:]) if len(order) else ():
            found.append(
                (int(neurons[mine[0]]), list(zip(pieces[mine].tolist(), rows[mine].tolist(), strict=True)))
            )
        return found

    def labels(self, box: Box) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
        """Instance labels of a box (z, y, x), and the voxels that more than one neuron claims.

        A voxel belongs to a neuron when its centre lies inside, or when the centreline crosses it, so that
        neurites thinner than a voxel are not broken. The later neuron wins.

        Returns:
            The labels, and rows (z, y, x, label) of the labels that a later neuron replaced, in stack voxels.
        """
        labels = np.zeros(box_shape(box), np.uint16)
        hidden = [np.empty((0, 4), np.int64)]
        for neuron, pieces in self.near(box):
            mine = np.zeros(labels.shape, bool)
            for piece, row in pieces:
                part, local = self._capsules.window(piece, box)
                mine[local] |= self._coverage(row, part)[1] | self._crossed(row, part)
            lost = np.argwhere(mine & (labels > 0))
            before = labels[tuple(lost.T)].astype(np.int64)
            hidden.append(np.column_stack([lost + [s.start for s in box], before]))
            labels[mine] = neuron + 1
        return labels, np.concatenate(hidden)

    def _coverage(self, row: int, box: Box) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Soft coverage of a box by one capsule, and the voxels whose centre lies inside it.

        The edge is a ramp over the length of the voxel along the direction to the axis, the first-order
        estimate of the part of an anisotropic voxel that a flat surface cuts off.
        """
        z0, y0, x0, z1, y1, x1, r0, r1 = (float(v) for v in self._capsules.ends[row])
        sz, sy, sx = self._capsules.step
        z, y, x = self._capsules.centres(box, (z0, y0, x0))
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
        for axis, (s, step) in enumerate(zip(box, self._capsules.step, strict=True)):
            low = np.arange(s.start, s.stop).reshape([-1 if axis == j else 1 for j in range(3)])
            start = float(self._capsules.ends[row, axis] / step)
            move = float(self._capsules.ends[row, 3 + axis] / step) - start
            if move == 0:
                within = (low <= start) & (start < low + 1)
                enter, leave = np.where(within, enter, 2.0), np.where(within, leave, -1.0)
            else:
                a, b = (low - start) / move, (low + 1 - start) / move
                enter, leave = np.maximum(enter, np.minimum(a, b)), np.minimum(leave, np.maximum(a, b))
        return enter <= leave
