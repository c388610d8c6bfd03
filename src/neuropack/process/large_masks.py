"""Skeletons of masks of any size: those too large to be thinned as they are, are thinned with coarser voxels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from neuropack.labels import LabelVolume
from neuropack.process.objects import LARGEST_BOX, known_size, object_of
from neuropack.process.skeletonise import skeleton_of_object
from neuropack.progress import Progress
from neuropack.skeleton import Skeleton

_AT_ONCE = 1 << 22  # voxels that are made coarser at one time


class MaskSkeleton(NamedTuple):
    """The skeleton of one mask.

    Attributes:
        label: of the object.
        skeleton: in the frame ``stack``.
        coarser: how many voxels along z, y, x went into one for the thinning; 1, 1, 1 where all were told apart.
    """

    label: int
    skeleton: Skeleton
    coarser: tuple[int, int, int]


def skeletons_one_by_one(
    labels: LabelVolume, largest_box: int = LARGEST_BOX, progress: Progress | None = None
) -> Iterator[MaskSkeleton]:
    """The skeleton of each object, as `neuropack.process.skeletonise.skeletons_of_masks`, but one at a time.

    An object whose box has more voxels than `largest_box` is thinned in voxels of twice the size along the axis
    where they are smallest, and again, until it fits. A coarser voxel belongs to it where one of its voxels does:
    nothing is torn, but radii are too large by up to a coarser voxel, and neurites nearer than that become one.

    Args:
        labels: the masks, with their voxel size.
        largest_box: voxels of the box of an object that are thinned at one time, about 60 bytes each.
        progress: told voxels done and in all.

    Raises:
        UsageError: scikit-image is not installed, or the voxel size is not known.
    """
    size = known_size(labels.voxel_size_um)
    boxes = labels.boxes()
    lengths = (boxes[:, 3:] - boxes[:, :3]).tolist()
    for row, label in enumerate(labels.ids.tolist()):
        if labels.counts[row]:
            factor = _factor(lengths[row], size, largest_box)
            one = labels if factor == (1, 1, 1) else _coarser(labels, row, size, factor)
            at = row if one is labels else 0
            yield MaskSkeleton(label, skeleton_of_object(object_of(one, at, largest_box)), factor)
        if progress:
            progress("thinning masks", int(labels.offsets[row + 1]), len(labels.voxels))


def _factor(lengths: list[int], size: tuple[float, float, float], largest_box: int) -> tuple[int, int, int]:
    factor = [1, 1, 1]
    while np.prod([n // f + 4 for n, f in zip(lengths, factor, strict=True)], dtype=np.int64) > largest_box:
        axes = [a for a in range(3) if lengths[a] > factor[a]]
        if not axes:
            break
        finest = min(axes, key=lambda a: (size[a] * factor[a], -a))
        factor[finest] *= 2
    return factor[0], factor[1], factor[2]


def _coarser(
    labels: LabelVolume, row: int, size: tuple[float, float, float], factor: tuple[int, int, int]
) -> LabelVolume:
    """One object in coarser voxels, which begin at the corner of the image as the fine ones do."""
    z, y, x = (-(-n // f) for n, f in zip(labels.shape, factor, strict=True))
    found = np.empty(0, np.int64)
    first, end = int(labels.offsets[row]), int(labels.offsets[row + 1])
    for start in range(first, end, _AT_ONCE):
        voxels = labels.voxels[start : min(start + _AT_ONCE, end)].astype(np.int64) // factor
        found = np.union1d(found, np.ravel_multi_index(tuple(voxels.T), (z, y, x)))
    step = (size[0] * factor[0], size[1] * factor[1], size[2] * factor[2])
    voxels = np.column_stack(np.unravel_index(found, (z, y, x)))
    return LabelVolume.of((z, y, x), step, [(int(labels.ids[row]), voxels)])
