"""Boxes in another frame: the smallest upright box around the image of each."""

from __future__ import annotations

from typing import Final

import numpy as np

from neuropack.errors import UsageError
from neuropack.space.frames import array_order
from neuropack.space.transforms import Affine, Chain, Points, Transform

VOXELS: Final = ("z0", "y0", "x0", "z1", "y1", "x1")
"""Columns of a box in voxels: from the first to the one behind the last, along the axes of the array."""
MICROMETRES: Final = ("x0_um", "y0_um", "z0_um", "x1_um", "y1_um", "z1_um")
"""Columns of a box in the coordinates of a frame, micrometre; in the CCF x, y, z are AP, DV, LR."""
_ALONG: Final = 9  # points along each edge of a box that is bent
_AT_ONCE: Final = 1024  # boxes


def from_voxels(boxes: Points, voxel_um: tuple[float, float, float], frame: str) -> Points:
    """Boxes (n, 6) of the columns `VOXELS`, in those of `MICROMETRES`.

    Voxel i covers [i s, (i + 1) s), so the numbers of a half-open box are those of its corners.

    Args:
        boxes: z0, y0, x0, z1, y1, x1.
        voxel_um: size along the axes of the array.
        frame: in which the image lies; its corner is the origin.
    """
    order = array_order(frame)
    ends = (boxes[:, :3] * voxel_um, boxes[:, 3:] * voxel_um)
    return np.hstack([end[:, order] for end in ends])


def map_boxes(boxes: Points, transform: Transform) -> Points:
    """The smallest upright boxes that hold the images of boxes.

    A box under an affine map lies between the images of its corners. One that is bent may stick out between them:
    there nine by nine points on each face are mapped.

    Args:
        boxes: (n, 6): x0, y0, z0, x1, y1, z1 in the source frame.
        transform: of points.

    Returns:
        (n, 6), the same in the target frame.

    Raises:
        UsageError: a box ends before it begins.
    """
    low, high = boxes[:, :3], boxes[:, 3:]
    wrong = np.flatnonzero((low > high).any(axis=1))
    if len(wrong):
        raise UsageError(
            "a box ends before it begins",
            where=f"box {wrong[0] + 1}",
            expected="x0, y0, z0 not above x1, y1, z1",
            found=", ".join(f"{v:g}" for v in boxes[wrong[0]]),
        )
    share = surface(2 if is_affine(transform) else _ALONG)
    found = np.empty_like(boxes)
    for first in range(0, len(boxes), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        points = low[part, None] + share * (high - low)[part, None]
        mapped = transform(points.reshape(-1, 3)).reshape(points.shape)
        found[part, :3], found[part, 3:] = mapped.min(axis=1), mapped.max(axis=1)
    return found


def is_affine(transform: Transform) -> bool:
    """Whether straight lines stay straight."""
    steps = transform.steps if isinstance(transform, Chain) else (transform,)
    return all(isinstance(step, Affine) for step in steps)


def surface(n: int) -> Points:
    """Points on the faces of the unit cube, n along each edge."""
    t = np.linspace(0, 1, n)
    cube = np.stack(np.meshgrid(t, t, t, indexing="ij"), axis=-1).reshape(-1, 3)
    faces: Points = cube[((cube == 0) | (cube == 1)).any(axis=1)]
    return faces
