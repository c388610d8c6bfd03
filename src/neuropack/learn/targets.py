"""What a network is to say of a patch, from labels, centrelines and somata."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape
from neuropack.learn.stacks import TrainingStack

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

CENTERLINE_UM = 1.0
"""The distance r at which exp(-(d / r)^2) has fallen to 1/e."""
_REACH = 3.0  # in r: what is farther is 0.0001 at most, and counts as 0


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of the voxels (z, y, x) of a patch, in forms that survive flips and turns.

    Attributes:
        labels: of neurons; 0 is background.
        centerline: exp(-(d / r)^2) of the distance d to the nearest centreline.
        soma: 1 in a cell body.
        line: 1 where a centreline crosses the voxel.
        traced: 1 where centrelines and somata are known.
    """

    labels: Array
    centerline: Floats
    soma: Bytes
    line: Bytes
    traced: Bytes


@dataclass(frozen=True, eq=False)
class Targets:
    """What a network is to say, in the order of `neuropack.learn.network.OUTPUTS`.

    Attributes:
        target: (6, z, y, x), 0 to 1.
        weight: (6, z, y, x); 0 where the voxel does not count.
        line: (z, y, x); 1 where a centreline crosses the voxel.
    """

    target: Floats
    weight: Floats
    line: Bytes


def targets(labels: Array, stack: TrainingStack, box: Box, radius_um: float = CENTERLINE_UM) -> Targets:
    """The targets of a box.

    ``same`` counts only where a voxel or its neighbour lies in a neuron, and not for the first voxels of the box,
    whose neighbours are not in it. Centreline and soma do not count in labels that have no skeleton, and
    nowhere in a stack without any.

    Args:
        labels: (z, y, x) of the box.
        stack: that it is in.
        box: z, y, x in voxels of the stack.
        radius_um: see `CENTERLINE_UM`.
    """
    return of_truth(truth(labels, stack, box, radius_um))


def truth(labels: Array, stack: TrainingStack, box: Box, radius_um: float = CENTERLINE_UM) -> Truth:
    """What is known of the voxels of a box; arguments as of `targets`.

    Raises:
        ValueError: labels and box have other shapes.
        UsageError: Numba is not installed.
    """
    from neuropack.learn import target_kernel

    shape = box_shape(box)
    if labels.shape != shape:
        raise ValueError(f"labels of {labels.shape} for a box of {shape}")
    step = np.array(stack.voxel_size_um)
    corner = np.array([s.start for s in box]) * step
    far = np.float32((_REACH * radius_um) ** 2)
    squared, line, soma = np.full(shape, far, np.float32), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    rows = np.unique(stack.capsules.near(box)[1])
    ends = np.ascontiguousarray(stack.capsules.ends[rows, :6])
    target_kernel.near(ends, corner, step, _REACH * radius_um, squared)
    target_kernel.cross(ends, corner, step, line)
    centres = stack.somata[:, 2::-1] - corner
    reached = np.abs(centres - np.clip(centres, 0, step * shape)).max(axis=1, initial=0) <= stack.somata[:, 3]
    for centre, radius in zip(centres[reached], stack.somata[reached, 3].tolist(), strict=True):
        target_kernel.ball(centre, radius, step, soma)
    soma *= labels > 0
    centerline = np.exp(squared * np.float32(-1 / radius_um**2))
    centerline[squared >= far] = 0
    traced = np.full(shape, bool(stack.skeletons), np.uint8)
    if stack.skeletons and len(stack.untraced):
        traced[np.isin(labels, stack.untraced)] = 0
    return Truth(labels, centerline, soma, line, traced)


def of_truth(known: Truth) -> Targets:
    """The targets of voxels, once they are flipped and turned as they stay."""
    labels = known.labels
    target = np.zeros((6, *labels.shape), np.float32)
    weight = np.zeros_like(target)
    inside = labels > 0
    target[0], target[1], target[2] = inside, known.centerline, known.soma
    weight[0] = 1
    weight[1:3] = known.traced
    for axis in range(3):
        here = (slice(None),) * axis + (slice(1, None),)
        before = (slice(None),) * axis + (slice(None, -1),)
        weight[3 + axis][here] = inside[here] | inside[before]
        target[3 + axis][here] = inside[here] & (labels[here] == labels[before])
    return Targets(target, weight, known.line)
