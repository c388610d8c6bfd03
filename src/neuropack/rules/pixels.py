"""What the pass over the pixels of a release finds, and which NWB dataset holds the pixels of which image."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neuropack.rules.nwb_file import Dataset, NwbFile, NwbImage
from neuropack.rules.ome_zarr import Level, OmeZarr
from neuropack.rules.pixel_looks import Contents
from neuropack.rules.pyramids import Pyramids
from neuropack.rules.summaries import Differs

if TYPE_CHECKING:
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
    """What the pass over the pixels found; mismatches by level and NWB dataset, summaries that are not theirs.

    Attributes:
        digests: SHA-256 of the files that were read whole on the way.
        chosen: the files whose chunks were to be decoded, at a level that reads a sample.
    """

    contents: Contents
    pyramids: Pyramids
    zarr_failures: list[Failure] = field(default_factory=list)
    nwb_failures: list[Failure] = field(default_factory=list)
    mismatches: dict[tuple[str, str], Mismatch] = field(default_factory=dict)
    summaries: list[Differs] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    chosen: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Pair:
    """An NWB image and the part of an OME-Zarr level that holds the same pixels.

    `fixed` has the index along the axes of the OME-Zarr (channel, time) that the NWB dataset does not have.
    """

    nwb: str
    data: Dataset
    fixed: dict[int, int]


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
