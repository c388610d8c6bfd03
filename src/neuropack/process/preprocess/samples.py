"""Blocks of an image that speak for all of it: how an estimate stays bounded, whatever the size of the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array
from neuropack.errors import InputError
from neuropack.volume import Volume

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """A piece of the image.

    Attributes:
        corner: its first voxel (z, y, x).
        voxels: (c, z, y, x), float32.
    """

    corner: tuple[int, int, int]
    voxels: Floats


def sampled(
    volume: Volume, size: tuple[int, int, int], limit: int, seed: int, *, every_plane: bool = False
) -> list[Block]:
    """Blocks of one size spread evenly over the image: a grid whose cells hold one block each, at a random place.

    Args:
        volume: of a time series the first frame.
        size: of a block along z, y, x; blocks of a thinner image are as thick as it is.
        limit: blocks at most; of an image that has no more, all, side by side.
        seed: of the places.
        every_plane: as many rows of blocks along z as it takes to see each plane, as far as the limit goes.

    Raises:
        InputError: the image holds NaN or infinite values there.
    """
    size = tuple(min(n, s) for n, s in zip(volume.size_zyx, size, strict=True))  # type: ignore[assignment]
    corners = corners_of(volume.size_zyx, size, limit, seed, every_plane=every_plane)
    return [block_at(volume, corner, size) for corner in corners]


def corners_of(
    shape: tuple[int, int, int], size: tuple[int, int, int], limit: int, seed: int, *, every_plane: bool = False
) -> list[tuple[int, int, int]]:
    """Where the blocks of `sampled` begin in an image of a shape; none of them is read."""
    counts = _counts(shape, size, limit, every_plane)
    rng = np.random.default_rng([seed, *shape])
    corners = []
    for cell in np.ndindex(*counts):
        corner = []
        for at, count, length, side in zip(cell, counts, shape, size, strict=True):
            first, last = at * length // count, (at + 1) * length // count - side
            corner.append(int(rng.integers(first, last + 1)) if last > first else min(first, length - side))
        corners.append((corner[0], corner[1], corner[2]))
    return corners


def block_at(volume: Volume, corner: tuple[int, int, int], size: Sequence[int]) -> Block:
    """The block at a place, all channels.

    Raises:
        InputError: it holds NaN or infinite values.
    """
    lead = (slice(0, 1),) if volume.axes[0] == "T" else ()
    box = (slice(0, volume.n_channels), *(slice(c, c + s) for c, s in zip(corner, size, strict=True)))
    voxels = volume.read((*lead, *box)).reshape(volume.n_channels, *size).astype(np.float32)
    require_numbers(voxels, volume.path, corner)
    return Block(corner, voxels)


def require_numbers(voxels: Array, file: Path, corner: Sequence[int]) -> None:
    """Refuse NaN and infinite values.

    Raises:
        InputError: there is one in the voxels that begin at this corner (z, y, x) of the image.
    """
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise InputError(
            "the image holds values that are no numbers",
            file=file,
            where=f"in the block at voxel z, y, x = {', '.join(map(str, corner))}",
            expected="finite numbers",
            found="NaN or infinity",
            fix="mend the image where it was computed",
        )


def require_planes(volume: Volume, least: int, step: str, purpose: str) -> int:
    """The planes of a stack.

    Raises:
        InputError: there are too few for a step.
    """
    depth = volume.size_zyx[0]
    if depth < least:
        raise InputError(
            f"the stack is too thin {purpose}",
            file=volume.path,
            expected=f"{least} planes or more",
            found=str(depth),
            fix=f"leave the step {step} out",
        )
    return depth


def _counts(shape: tuple[int, ...], size: tuple[int, ...], limit: int, every_plane: bool) -> tuple[int, int, int]:
    """Blocks along z, y, x: as many as fit side by side, thinned out along the longest axis until they are few."""
    counts = [max(1, n // s) for n, s in zip(shape, size, strict=True)]
    while counts[0] * counts[1] * counts[2] > limit:
        lateral = max(counts[1:])
        axis = 0 if counts[0] >= lateral and not (every_plane and lateral > 1) else 1 + int(counts[2] >= counts[1])
        counts[axis] -= max(1, counts[axis] // 8)
    return counts[0], counts[1], counts[2]


def levels_of(blocks: Sequence[Block]) -> npt.NDArray[np.float64]:
    """Background of each channel: the median of the blocks' medians, which sparse structure does not move."""
    medians = [np.median(block.voxels.reshape(len(block.voxels), -1), axis=1) for block in blocks]
    return np.median(np.array(medians, np.float64), axis=0)


def noise_of(voxels: Floats) -> float:
    """Standard deviation of white noise in (z, y, x), from second differences along x, which smooth light passes.

    The median of the absolute values stands for the spread, so sparse edges do not count; it is that of a normal
    distribution over 0.6745.
    """
    if voxels.shape[-1] < 3:
        return float(voxels.std())
    second = voxels[..., 2:] - 2 * voxels[..., 1:-1] + voxels[..., :-2]
    return float(np.median(np.abs(second)) / 0.6745 / np.sqrt(6))


def pairs(blocks: Sequence[Block]) -> Iterator[tuple[npt.NDArray[np.float64], Floats]]:
    """Each block with the place of its centre (z, y, x), in voxels of which the first one's centre is 0."""
    for block in blocks:
        half = (np.array(block.voxels.shape[1:]) - 1) / 2
        yield np.array(block.corner) + half, block.voxels
