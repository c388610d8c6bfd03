"""Nikon ND2, decoded by the nd2 library; one stage position is a Volume.

The library fills a frame that the file has lost with zeros and calls an uncalibrated axis 1.0 um. Neither is
passed on: a lost frame is an error, an axis counts as calibrated only where the file says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neuropack.readers import nd2_metadata as about
from neuropack.readers.nd2_pixels import MAGIC, Layout, Nd2Pixels, find_frame, open_nd2
from neuropack.readers.nd2_stage import origins
from neuropack.readers.positioned_file import PositionedFile
from neuropack.readers.problems import Original, reading
from neuropack.volume import Volume

if TYPE_CHECKING:
    from nd2 import ND2File

_LEGACY_MAGIC = bytes.fromhex("0000000c6a502020")  # JPEG 2000, until NIS-Elements 3
_LEGACY_END = b"LABORATORY IMAGING ND BOX MAP"
_LOOPS = {"TimeLoop": "T", "NETimeLoop": "T", "ZStackLoop": "Z", "XYPosLoop": "P"}
_UNNAMED = "QIRHUVW"  # letters for loops that mean nothing yet: the user says what they are


def sniff(head: bytes, path: Path) -> bool:
    """True for an ND2 file; one of the old kind is a JPEG 2000 file that ends with Nikon's map."""
    if head.startswith(_LEGACY_MAGIC):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64))
            return _LEGACY_END in file.read()
    return head.startswith(MAGIC)


def _layout(file: ND2File) -> Layout:
    attributes = file.attributes
    unnamed = iter(_UNNAMED)
    loops, counts = "", [loop.count for loop in file.experiment]
    for loop in file.experiment:
        letter = _LOOPS.get(loop.type)
        loops += letter if letter and letter not in loops else next(unnamed)
    frames = attributes.sequenceCount
    if not loops and frames > 1:  # the file says nothing about its frames but their number
        loops, counts = "Q", [frames]
    components = file.components_per_channel
    width = attributes.widthPx or 0
    line = width * attributes.componentCount * file.dtype.itemsize
    if (attributes.widthBytes or line) < line:
        raise ValueError(f"A row of {width} pixels has {attributes.widthBytes} of {line} bytes.")
    return Layout(
        loops=loops,
        counts=tuple(counts),
        channels=attributes.componentCount // (3 if components == 3 else 1),
        components=components,
        height=attributes.heightPx,
        width=width,
        dtype=file.dtype,
        line_bytes=None if file.is_legacy else attributes.widthBytes or line,
        deflated=attributes.compressionType == "lossless",
    )


def open_file(path: Path) -> tuple[Volume, ...]:
    """One Volume per stage position.

    Raises:
        InputError: when the file is cut short or damaged.
    """
    original = Original(path)
    with reading(path, "ND2"), open_nd2(path) as file:
        layout = _layout(file)
        with PositionedFile(path) as raw:
            find_frame(file, raw, int(np.prod(layout.counts, dtype=np.int64)) - 1)
        metadata = about.read_metadata(file)
        voxel_um = about.voxel_size(file, metadata)
        names = about.position_names(file, layout.positions)
        places = origins(file, metadata, layout.positions, voxel_um)
        return tuple(
            Volume(
                path=path,
                format="ND2",
                scene=name,
                native_axes=layout.axes,
                native_shape=layout.loop_shape + layout.frame_shape,
                dtype=file.dtype,
                pixels=Nd2Pixels(original, layout, position),
                voxel_size_um=voxel_um,
                channels=() if layout.samples > 1 else about.channels(metadata, layout.channels),
                times_s=about.times(file, layout.time_points(position)) if "T" in layout.loops else None,
                origin_um=origin_um,
                acquired=about.acquired(about.stamp(file, 0)),
                instrument=about.instrument(file, metadata),
            )
            for position, (name, origin_um) in enumerate(zip(names, places, strict=True))
        )
