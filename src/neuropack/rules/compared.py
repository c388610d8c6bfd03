"""A shard of an OME-Zarr image, decoded, and beside it the same voxels of NWB datasets, compared chunk by chunk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from neuropack.axes import Array, Box, overlap, relative
from neuropack.rules.hdf5_chunks import DatasetChunks
from neuropack.rules.nwb_file import read_block
from neuropack.rules.pixels import Pair
from neuropack.rules.zarr_chunks import decode_shard, read_shard

if TYPE_CHECKING:
    import h5py

    from neuropack.rules.release_files import ReleaseFiles
    from neuropack.rules.zarr_array import ZarrArray

Start = tuple[int, ...]


@dataclass
class Compared:
    """What a pair has in a shard.

    Attributes:
        pair: the NWB dataset and its place in the image.
        bytes: decoded on the NWB side.
        read: first indices of the chunks that decoded.
        failures: those that did not, each with the exception.
        voxels: that differ.
        first: the first of them, along the axes of the image, with its values in NWB and OME-Zarr.
    """

    pair: Pair
    bytes: int = 0
    read: list[Start] = field(default_factory=list)
    failures: list[tuple[Start, Exception]] = field(default_factory=list)
    voxels: int = 0
    first: tuple[tuple[int, ...], str, str] | None = None


@dataclass
class Shard:
    """A decoded shard, or why it does not decode; its digest; and how NWB compares."""

    block: Array | Exception
    sha256: str | None = None
    compared: list[Compared] = field(default_factory=list)


class Beside:
    """The NWB datasets that an image is compared with: an open file and the chunks of each."""

    def __init__(self, file: h5py.File, pairs: list[Pair]) -> None:
        self.file = file
        self.pairs = pairs
        self.chunks: Mapping[str, DatasetChunks] = {
            p.data.path: DatasetChunks(file, p.data) for p in pairs if p.data.chunk is not None
        }

    def compare(self, box: Box, block: Array) -> list[Compared]:
        """Compare a decoded box of the image with all that hold a part of it."""
        here = [p for p in self.pairs if all(box[i].start <= k < box[i].stop for i, k in p.fixed.items())]
        return [self._one(pair, box, block) for pair in here]

    def _one(self, pair: Pair, box: Box, block: Array) -> Compared:
        found = Compared(pair)
        view = block[tuple(pair.fixed[i] - s.start if i in pair.fixed else slice(None) for i, s in enumerate(box))]
        mine = tuple(s for i, s in enumerate(box) if i not in pair.fixed)
        chunks = self.chunks.get(pair.data.path)
        if chunks is None:
            stored = read_block(self.file, pair.data, mine)
            if isinstance(stored, Exception):
                return found  # those in one piece are read by themselves too
            _differ(found, mine, view, stored)
            return found
        for start in chunks.touched(mine):
            part = chunks.box(start)
            both = overlap(part, mine)
            if both is None:
                continue
            chunk = chunks.read(start, keep=both != part)
            if isinstance(chunk, Exception):
                found.failures.append((start, chunk))
                continue
            found.read.append(start)
            _differ(found, both, view[relative(both, mine)], chunk[relative(both, part)])
        return found


def read_and_compare(release: ReleaseFiles, array: ZarrArray, name: str, box: Box, beside: Beside | None) -> Shard:
    """Read a shard once: its digest, its pixels, and how those of NWB compare with them."""
    digest = None
    try:
        data = read_shard(array, release.path(name))
        digest = hashlib.sha256(data).hexdigest()
        block = decode_shard(array, data, box)
    except Exception as error:  # the codecs raise RuntimeError, ValueError, zlib.error and more
        return Shard(error, digest)
    return Shard(block, digest, beside.compare(box, block) if beside is not None else [])


def _differ(found: Compared, box: Box, here: Array, there: Array) -> None:
    """Count the voxels that differ in a box of the NWB dataset, and note the first."""
    found.bytes += there.nbytes
    differ = here != there
    if not differ.any():
        return
    if here.dtype.kind == "f" and there.dtype.kind == "f":
        differ &= ~(np.isnan(here) & np.isnan(there))
        if not differ.any():
            return
    found.voxels += int(np.count_nonzero(differ))
    first = tuple(int(i) for i in np.unravel_index(int(differ.argmax()), differ.shape))
    along = iter(s.start + i for s, i in zip(box, first, strict=True))
    axes = len(box) + len(found.pair.fixed)
    at = tuple(found.pair.fixed[i] if i in found.pair.fixed else next(along) for i in range(axes))
    if found.first is None or at < found.first[0]:
        found.first = (at, str(there[first]), str(here[first]))
