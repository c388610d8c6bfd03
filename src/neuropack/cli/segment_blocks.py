"""The blocks in which ``neuropack segment`` looks at an image, and the memory that one takes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from neuropack.errors import UsageError

if TYPE_CHECKING:
    from neuropack.volume import Volume

_BYTES = 28  # for each voxel of a block in work: as it is stored, bright, its tubeness, and the block around it
_PIECE = 1 << 24  # voxels of a block, where the file is decoded in large units
_LEAST_SIDE = 64  # voxels of a block along y and x, or less
_ALWAYS = 1 << 30  # bytes that a block may take with all that lies around it, whatever the budget


def blocks_of(volume: Volume, budget: int, halo: Sequence[int]) -> tuple[tuple[int, int, int], int]:
    """The blocks that an image is looked at in, and how many at one time: as its file is cheap to read.

    A file that is decoded in large units, as planes of a TIFF, is cut into slabs of whole units, up to 16 million
    voxels. Blocks are smaller where much has to be looked at around them: `halo` voxels along z, y, x.
    """
    from neuropack.axes import box_shape
    from neuropack.process.components import BLOCK

    shape, block = volume.size_zyx, list(BLOCK)
    unit = box_shape(next(iter(volume.native_blocks())))[-3:]
    most = min(_PIECE, max(1 << 16, budget // (2 * _BYTES)))
    if not volume.cheap_parts:
        for axis in (1, 2):
            wanted = min(shape[axis], -(-block[axis] // unit[axis]) * unit[axis])
            if 8 * wanted * block[3 - axis] <= most:
                block[axis] = wanted
    block = [min(b, n) for b, n in zip(block, shape, strict=True)]
    while block[0] > 8 and (math.prod(block) > most or _bytes_of(volume, block, halo) > budget):
        block[0] = -(-block[0] // 2)
    for axis in (1, 2):
        while _bytes_of(volume, block, halo) > budget and block[axis] >= 2 * _LEAST_SIDE:
            block[axis] = -(-block[axis] // 2)
    workers = max(1, min(os.cpu_count() or 1, budget // _bytes_of(volume, block, halo)))
    return (block[0], block[1], block[2]), workers


def _bytes_of(volume: Volume, block: Sequence[int], halo: Sequence[int]) -> int:
    """Memory that a block takes while it is looked at, with what lies around it."""
    around = math.prod(b + 2 * h for b, h in zip(block, halo, strict=True))
    return around * (_BYTES + volume.n_channels * volume.dtype.itemsize)


def see_size(volume: Volume, sigmas_um: Sequence[float], budget: int, *, in_cells: bool) -> None:
    """See that tubes are no wider than memory allows: of a wrong voxel size they may be thousands of voxels.

    Args:
        volume: the image.
        sigmas_um: of tubeness.
        budget: bytes.
        in_cells: True where the image is looked at in the cells of colour instances.

    Raises:
        UsageError: they are.
    """
    from neuropack.process.color_instances import CELL
    from neuropack.process.foreground import surroundings_of

    halo = surroundings_of(volume, sigmas_um)
    block: Sequence[int] = [min(n, c) for n, c in zip(volume.size_zyx, CELL, strict=True)]
    if not in_cells:
        block, _ = blocks_of(volume, budget, halo)
    needed = _bytes_of(volume, block, halo)
    if needed > max(budget, _ALWAYS):
        raise UsageError(
            "the tubes are too wide, in voxels, for the memory",
            file=volume.path,
            expected=f"up to {max(budget, _ALWAYS) / 2**30:.3g} GiB for a block and what lies around it",
            found=f"{needed / 2**30:.3g} GiB, of {' x '.join(map(str, halo))} voxels (z, y, x) to each side",
            fix="check the voxel size; else take a coarser level of the image, a smaller --sigma, or more --memory",
        )
