"""Decode every chunk of every image and NWB file once, and compare what is stored twice.

Memory is bounded by one shard (or HDF5 chunk) and its counterpart.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from neuropack.axes import Array, Box
from neuropack.rules.nwb_file import Dataset, NwbFile, NwbImage, blocks, open_hdf5, read_block
from neuropack.rules.ome_zarr import Level, OmeZarr
from neuropack.rules.pixel_looks import Contents
from neuropack.rules.pyramids import Pyramids
from neuropack.rules.summaries import Differs, Summary, find_summaries

if TYPE_CHECKING:
    import h5py

    from neuropack.rules.looks import Look
    from neuropack.rules.release_files import ReleaseFiles


@dataclass(frozen=True)
class Failure:
    """A piece of pixels that cannot be decoded: its file, the place in it, and what the decoder says."""

    file: str
    path: str
    reason: str


@dataclass
class Mismatch:
    """An NWB dataset that differs from its OME-Zarr level: how often, and first where (axes of the OME-Zarr)."""

    nwb: str
    path: str
    level: str
    voxels: int
    at: tuple[int, ...]
    in_nwb: str
    in_zarr: str


@dataclass
class PixelScan:
    """What the pass over all pixels found; mismatches by level and NWB dataset, summaries that are not theirs."""

    contents: Contents
    pyramids: Pyramids
    zarr_failures: list[Failure] = field(default_factory=list)
    nwb_failures: list[Failure] = field(default_factory=list)
    mismatches: dict[tuple[str, str], Mismatch] = field(default_factory=dict)
    summaries: list[Differs] = field(default_factory=list)


@dataclass(frozen=True)
class Pair:
    """An NWB image and the part of an OME-Zarr level that holds the same pixels.

    `fixed` has the index along the axes of the OME-Zarr (channel, time) that the NWB dataset does not have.
    """

    nwb: str
    data: Dataset
    fixed: dict[int, int]


def scan(release: ReleaseFiles) -> PixelScan:
    """Decode everything. Chunks whose file is absent or empty are left to the rules that look for them."""
    return _Scan(release).run()


def partner(release: ReleaseFiles, image: OmeZarr) -> tuple[NwbFile | None, Level | None, list[Pair]]:
    """The NWB file that the metadata names for an image, the level whose pixels it holds, and which is which."""
    nwb = release.nwb_by_image.get(image.folder)
    if nwb is None:
        return None, None, []
    for level in image.levels:
        pairs = [p for i in nwb.images if i.data and (p := _pair(image, level, nwb.name, i, i.data)) is not None]
        if pairs:
            return nwb, level, pairs
    return nwb, None, []


def absent(image: OmeZarr, pairs: list[Pair]) -> list[str]:
    """The channels, or channels and frames, of an image that no NWB dataset holds."""
    axes = sorted({position for p in pairs for position in p.fixed})
    lengths = [image.length(image.axes[position]) or 0 for position in axes]
    held = {tuple(p.fixed[position] for position in axes) for p in pairs}
    gaps = (at for at in itertools.product(*map(range, lengths)) if at not in held)
    return [", ".join(f"{image.axes[a]} {i}" for a, i in zip(axes, at, strict=True)) for at in gaps]


def _pair(image: OmeZarr, level: Level, nwb: str, nwb_image: NwbImage, data: Dataset) -> Pair | None:
    """Match an NWB image with a channel and, where frames are stored apart, a time point of a level."""
    if level.array is None:
        return None
    length = dict(zip(image.axes, level.array.shape, strict=True))
    if any(a not in length for a in nwb_image.axes) or tuple(length[a] for a in nwb_image.axes) != data.shape:
        return None
    fixed: dict[int, int] = {}
    for position, axis in enumerate(image.axes):
        if axis in nwb_image.axes:
            continue
        index = {"c": _channel(image, nwb_image), "t": _frame(nwb_image), "z": 0}[axis]
        if index is None or index >= length[axis]:
            return None
        fixed[position] = index
    return Pair(nwb, data, fixed)


def _channel(image: OmeZarr, nwb_image: NwbImage) -> int | None:
    if nwb_image.index is not None:
        return nwb_image.index
    labels = image.channel_labels
    names = (nwb_image.name, nwb_image.channel, nwb_image.indicator)
    return next((labels.index(n) for n in names if n in labels), None)


def _frame(nwb_image: NwbImage) -> int | None:
    """Frames without stated times lie in containers of their own, numbered ``stack_t000`` onwards."""
    match = re.search(r"_t(\d+)$", nwb_image.path.rsplit("/", 2)[-2])
    return int(match[1]) if match else None


class _Scan:
    """One pass over the pixels of a release, with the running counts."""

    def __init__(self, release: ReleaseFiles) -> None:
        self.release = release
        self.result = PixelScan(Contents(release), Pyramids(release))
        self.looks: list[Look] = [self.result.contents, self.result.pyramids]
        arrays = [v.array.bytes for i in release.images for v in i.levels if v.array]
        self.total = sum(arrays) + sum(d.bytes for n in release.nwb_files if n.usable for d in n.datasets)

    def run(self) -> PixelScan:
        paired = set()
        for image in self.release.images:
            nwb, level, pairs = partner(self.release, image)
            if nwb is None or nwb.name in paired:
                self._image(image, None, [], None)
                continue
            paired.add(nwb.name)
            with open_hdf5(self.release, nwb.name) as file:
                compared = self._image(image, level, pairs, file)
                self._nwb(nwb, file, compared)
        for nwb in self.release.nwb_files:
            if nwb.usable and nwb.name not in paired:
                with open_hdf5(self.release, nwb.name) as file:
                    self._nwb(nwb, file, set())
        return self.result

    def _decoded(self, block: Array) -> None:
        self.release.checked.decoded_bytes += block.nbytes
        self.release.note("decoding pixels", self.release.checked.decoded_bytes, self.total)

    def _image(self, image: OmeZarr, twin: Level | None, pairs: list[Pair], file: h5py.File | None) -> set[str]:
        """Decode every shard of an image; the paths of the NWB datasets that were read whole on the way."""
        whole = {p.data.path for p in pairs if p.data.missing is None}
        summaries = find_summaries(self.release, image)[0]
        for level in image.levels:
            if level.array is None:
                continue
            partners = [p for p in pairs if p.data.missing is None] if level is twin else []
            shards = [(f, b) for f, b in level.array.shards() if self.release.files.get(f)]
            looking = summaries if level is image.levels[0] else []
            looks, seen = [look for look in self.looks if look.wants(image, level)], 0
            if len(shards) < math.prod(level.array.grid):
                looking = []
                whole -= {p.data.path for p in partners}
            read = image.read(self.release, level, iter([b for _, b in shards]))
            for (shard, box), block in zip(shards, read, strict=True):
                if isinstance(block, Exception):
                    self.result.zarr_failures.append(Failure(shard, level.folder, _reason(block)))
                    whole -= {p.data.path for p in partners}
                    looking = []
                    continue
                self._decoded(block)
                seen += 1
                for look in looks:
                    look.look(image, level, box, block)
                for summary in looking:
                    summary.look(image.axes, box, block)
                for pair in partners:
                    if file is not None and not self._compare(level, box, block, pair, file):
                        whole.discard(pair.data.path)
            for look in looks if seen == math.prod(level.array.grid) else ():
                look.end(image, level)
            self._compare_summaries(looking)
        return whole

    def _compare_summaries(self, summaries: list[Summary]) -> None:
        for summary in summaries:
            found = summary.compare(self.release)
            if isinstance(found, Differs):
                self.result.summaries.append(found)
            elif found is not None:
                self.result.zarr_failures.append(Failure(summary.file, summary.array.folder, _reason(found)))

    def _compare(self, level: Level, box: Box, block: Array, pair: Pair, file: h5py.File) -> bool:
        """Compare a decoded shard with the same voxels in NWB; False where those cannot be decoded."""
        if any(not box[i].start <= k < box[i].stop for i, k in pair.fixed.items()):
            return True
        inside = tuple(
            slice(pair.fixed[i] - s.start, pair.fixed[i] - s.start + 1) if i in pair.fixed else slice(None)
            for i, s in enumerate(box)
        )
        here = block[inside]
        there = read_block(file, pair.data, tuple(s for i, s in enumerate(box) if i not in pair.fixed))
        if isinstance(there, Exception):
            return False
        self._decoded(there)
        there = there.reshape(here.shape)
        differ = here != there
        if here.dtype.kind == "f" and there.dtype.kind == "f":
            differ &= ~(np.isnan(here) & np.isnan(there))
        if differ.any():
            first = tuple(int(i[0]) for i in np.nonzero(differ))
            at = tuple(pair.fixed.get(i, s.start + f) for i, (s, f) in enumerate(zip(box, first, strict=True)))
            new = Mismatch(pair.nwb, pair.data.path, level.folder, 0, at, str(there[first]), str(here[first]))
            seen = self.result.mismatches.setdefault((level.folder, pair.data.path), new)
            seen.voxels += int(differ.sum())
        return True

    def _nwb(self, nwb: NwbFile, file: h5py.File, done: set[str]) -> None:
        """Decode the datasets that were not read whole beside their OME-Zarr twin, chunk by chunk."""
        for data in nwb.datasets:
            if data.path in done:
                continue
            for box in blocks(file, data):
                block = read_block(file, data, box)
                if isinstance(block, Exception):
                    place = f"{data.path}[{', '.join(f'{s.start}:{s.stop}' for s in box)}]"
                    self.result.nwb_failures.append(Failure(nwb.name, place, _reason(block)))
                else:
                    self._decoded(block)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
