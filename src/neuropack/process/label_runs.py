"""One pass over a label image: every voxel decoded once, and what is labelled told as runs along x."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape, full_box
from neuropack.errors import InputError, UsageError
from neuropack.labels import check_labels
from neuropack.progress import Progress
from neuropack.volume import Volume

PIECE = 32 << 20
"""Bytes of a label image that are decoded at a time, where its file allows it."""


class Runs(NamedTuple):
    """Neighbours along x that have one label, of a piece of the image, sorted by label and then in C order.

    Attributes:
        labels: of the objects in the piece (m,), ascending.
        bounds: where the runs of each begin and end, (m + 1,).
        zyx: the first voxel of each run (r, 3), in voxels of the image.
        lengths: of the runs (r,).
    """

    labels: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    zyx: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]


def label_runs(volume: Volume, progress: Progress | None = None) -> Iterator[Runs]:
    """The labelled voxels of an image, piece by piece in the order of its file.

    Memory: a piece, and three times its labelled voxels. A file that cannot be decoded in part costs its largest
    raw block.

    Args:
        volume: one channel, one time point, whole numbers.
        progress: told bytes done and in all.

    Raises:
        UsageError: several channels or time points.
        InputError: not whole numbers, a negative label or one above 2^63 - 1; says where. Or the file is damaged.
    """
    check_label_image(volume)
    done = 0
    for box, block in pieces(volume):
        runs = _runs(block[(0,) * (block.ndim - 3)], box[-3:], volume)
        done += block.nbytes
        if progress:
            progress("reading labels", done, volume.nbytes)
        del block
        if len(runs.labels):
            yield runs


def check_label_image(volume: Volume) -> None:
    """See that an image can hold labels.

    Raises:
        UsageError: several channels or time points, or axes without a meaning.
        InputError: its values are no whole numbers.
    """
    volume.require_axes()
    if volume.n_channels != 1 or volume.n_times != 1:
        raise UsageError(
            "is no single label image",
            file=volume.path,
            expected="one channel, one time point",
            found=f"{volume.n_channels} channel(s), {volume.n_times} time point(s)",
            fix="write each as an image of its own",
        )
    if volume.dtype.kind not in "bui":
        raise InputError("labels are whole numbers", file=volume.path, expected="integers", found=str(volume.dtype))


def pieces(volume: Volume, limit: int = PIECE) -> Iterator[tuple[Box, Array]]:
    """Boxes that tile an image, and their pixels: each raw unit once, no more than it takes at a time."""
    if not volume.cheap_parts:
        yield from volume.stream(full_box(volume.shape), limit)
        return
    for block in volume.native_blocks():  # nothing needs decoding: a large block is read by parts
        for part in parts(block, limit // volume.dtype.itemsize):
            yield part, volume.read(part)


def parts(box: Box, limit: int) -> Iterator[Box]:
    """Boxes of whole rows that tile a box, of about `limit` voxels."""
    row = math.prod(box_shape(box[:-3])) * (box[-1].stop - box[-1].start)
    *front, z, y, x = box
    high = min(y.stop - y.start, max(1, limit // row))
    deep = max(1, limit // (row * high))
    for z0 in range(z.start, z.stop, deep):
        for y0 in range(y.start, y.stop, high):
            yield (*front, slice(z0, min(z0 + deep, z.stop)), slice(y0, min(y0 + high, y.stop)), x)


def _runs(block: Array, box: Box, volume: Volume) -> Runs:
    """The runs of a block (z, y, x)."""
    corner = np.array([s.start for s in box], np.int64)
    at = np.flatnonzero(block)
    values = block.reshape(-1)[at]

    def place(row: int) -> tuple[int, int, int]:
        z, y, x = np.array(np.unravel_index(at[row], block.shape)) + corner
        return int(z), int(y), int(x)

    try:
        check_labels(values, place)
    except InputError as error:
        raise InputError(
            error.what, file=volume.path, where=error.where, expected=error.expected, found=error.found
        ) from None
    new = np.ones(len(at), bool)
    if len(at) > 1:
        new[1:] = (np.diff(at) != 1) | (values[1:] != values[:-1]) | (at[1:] % block.shape[-1] == 0)
    first = np.flatnonzero(new)
    lengths = np.diff(first, append=len(at))
    order = np.argsort(values[first], kind="stable")
    first, lengths = first[order], lengths[order]
    labels, begin = np.unique(values[first].astype(np.int64), return_index=True)
    zyx = np.column_stack(np.unravel_index(at[first], block.shape)) + corner
    return Runs(labels, np.append(begin, len(first)).astype(np.int64), zyx.astype(np.int64), lengths)
