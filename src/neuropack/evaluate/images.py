"""Two label images of one place, read block by block: what they share, and their centrelines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape, full_box
from neuropack.engine.planning import cut
from neuropack.errors import InputError
from neuropack.evaluate.centrelines import Centrelines
from neuropack.evaluate.instances import Overlaps
from neuropack.labels import check_labels
from neuropack.progress import Progress
from neuropack.volume import Volume

BLOCK = (128, 256, 256)
"""Voxels z, y, x of a block whose centrelines are found at a time."""
HALO = 32
"""Voxels around a block that thinning looks at: centrelines of objects thicker than that may hang on the blocks."""
_PIECE = 32 << 20  # bytes that are decoded at a time, where the file allows it


def see_alike(scored: Volume, truth: Volume) -> None:
    """See that two label images are of the same voxels.

    Raises:
        InputError: they have other shapes; or both state a voxel size or a frame, and not the same one.
    """
    for what, mine, theirs in (
        ("shape", scored.size_zyx, truth.size_zyx),
        ("voxel size", scored.voxel_size_um, truth.voxel_size_um),
        ("frame", scored.frame, truth.frame),
    ):
        if not _same(mine, theirs):
            raise InputError(
                f"the images have not the same {what}",
                file=scored.path,
                expected=f"{_told(theirs)}, as {truth.path}",
                found=_told(mine),
                fix="resample one of them to the voxels of the other" if what != "frame" else "map one of them",
            )


def _same(mine: object, theirs: object) -> bool:
    if not isinstance(mine, tuple) or not isinstance(theirs, tuple):
        return mine is None or theirs is None or mine == theirs
    pairs = ((a, b) for a, b in zip(mine, theirs, strict=True) if a is not None and b is not None)
    return all(np.isclose(a, b, rtol=1e-3, atol=0) for a, b in pairs)


def _told(value: object) -> str:
    return " x ".join("?" if v is None else f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)


def overlaps_of(scored: Volume, truth: Volume, progress: Progress | None = None) -> Overlaps:
    """What two label images share, each block of the truth decoded once.

    Memory: a block of each image, and a few numbers for each pair of objects that touch.

    Args:
        scored, truth: one channel and time point of whole numbers each, as `see_alike` wants them.
        progress: told bytes done and in all.

    Raises:
        InputError: a label is negative or above 2^63 - 1, or a file is damaged.
    """
    found, done = Overlaps(), 0
    for box, block in _pieces(truth):
        found.add(_checked(block, box, truth), _read(scored, box[-3:]))
        done += block.nbytes
        if progress:
            progress("comparing labels", done, truth.nbytes)
    return found


def centrelines_of(
    scored: Volume,
    truth: Volume,
    *,
    each: bool = True,
    block: tuple[int, int, int] = BLOCK,
    progress: Progress | None = None,
) -> Centrelines:
    """The centrelines of two label images, block by block with a halo.

    An image of one block is thinned whole. In larger ones a few voxels of a centreline may differ from that where
    blocks meet. Memory: about 30 bytes for each voxel of a block and its halo.

    Args:
        scored, truth: as in `overlaps_of`.
        each: whether objects are told apart; else only their foreground is thinned.
        block: voxels z, y, x.
        progress: told voxels done and in all.

    Raises:
        UsageError: scikit-image is not installed.
        InputError: a file is damaged.
    """
    found, done = Centrelines(each), 0
    whole = full_box(truth.size_zyx)
    total = int(np.prod(truth.size_zyx, dtype=np.int64))
    for core in cut(whole, block):
        wide = tuple(
            slice(max(0, s.start - HALO), min(n, s.stop + HALO)) for s, n in zip(core, truth.size_zyx, strict=True)
        )
        inner = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(core, wide, strict=True))
        found.add(_read(truth, wide), _read(scored, wide), inner)
        done += int(np.prod(box_shape(core)))
        if progress:
            progress("thinning masks", done, total)
    return found


def labels_at(volume: Volume, voxels: npt.NDArray[np.int64], progress: Progress | None = None) -> Array:
    """The labels of voxels (n, 3), z, y, x; 0 outside of the image. Blocks without such a voxel are not read."""
    found = np.zeros(len(voxels), np.int64)
    inside = np.flatnonzero(((voxels >= 0) & (voxels < volume.size_zyx)).all(axis=1))
    step = (64, 128, 128)
    blocks, order = _grouped(voxels[inside] // step)
    for done, (block, rows) in enumerate(zip(blocks, order, strict=True), 1):
        low = block * step
        box = tuple(
            slice(int(a), int(min(a + n, end))) for a, n, end in zip(low, step, volume.size_zyx, strict=True)
        )
        mine = inside[rows]
        found[mine] = _read(volume, box)[tuple((voxels[mine] - low).T)]
        if progress:
            progress("looking labels up", done, len(blocks))
    return found


def _grouped(keys: npt.NDArray[np.int64]) -> tuple[Array, Sequence[Array]]:
    """The different rows (k, 3), and which rows are each of them."""
    if not len(keys):
        return keys, []
    blocks, which = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    return blocks, np.split(order, np.cumsum(np.bincount(which.ravel()))[:-1])


def _pieces(volume: Volume) -> Iterator[tuple[Box, Array]]:
    """Boxes that tile an image, and their labels (z, y, x)."""
    if not volume.cheap_parts:
        for box, block in volume.stream(full_box(volume.shape), _PIECE):
            yield box, block[(0,) * (block.ndim - 3)]
        return
    for inner in cut(full_box(volume.size_zyx), BLOCK):  # nothing needs decoding
        yield inner, _read(volume, inner)


def _read(volume: Volume, box: Box) -> Array:
    """The labels of a box (z, y, x)."""
    lead = (slice(0, 1),) * (volume.ndim - 3)
    return _checked(volume.read((*lead, *box))[(0,) * len(lead)], box, volume)


def _checked(block: Array, box: Box, volume: Volume) -> Array:
    corner = [s.start for s in box[-3:]]

    def place(row: int) -> tuple[int, ...]:
        return tuple(int(a + b) for a, b in zip(np.unravel_index(row, block.shape), corner, strict=True))

    try:
        check_labels(block.ravel(), place)
    except InputError as error:
        raise InputError(
            error.what, file=volume.path, where=error.where, expected=error.expected, found=error.found
        ) from None
    return block
