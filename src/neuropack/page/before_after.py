"""Pictures of an image before and after some work: maxima along z side by side, at the same contrast."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from neuropack.errors import OutputError
from neuropack.page.projections import Colours, Floats, tinted, tints, window
from neuropack.volume import Volume
from neuropack.whole import published

_VIEW = (64, 768, 768)  # voxels z, y, x that are shown: the middle of the image
_SLAB = 8  # planes that are read at a time


def write_pictures(folder: Path, before: Volume, after: Volume) -> list[Path]:
    """A picture for each channel, before on the left and after on the right, and one of all in their colours.

    Only the middle of a large image is read. Black and white are those of the image before; in noise units, which
    are no counts, the image after has its own.

    Returns:
        the files.

    Raises:
        OutputError: the folder cannot be written.
    """
    import imagecodecs

    box = [
        slice((n - k) // 2, (n - k) // 2 + k)
        for n, k in ((n, min(n, v)) for n, v in zip(before.size_zyx, _VIEW, strict=True))
    ]
    sides = [_maxima(volume, box) for volume in (before, after)]
    windows = [[window(channel) for channel in side] for side in sides]
    if after.dtype == before.dtype:
        windows[1] = windows[0]
    colours = tints([channel.color for channel in before.channels])
    pictures: dict[str, list[Colours]] = {}
    for c, channel in enumerate(before.channels):
        name = re.sub("[^0-9A-Za-z]+", "-", channel.name or "").strip("-")
        pictures[f"channel-{c}" + (f"-{name}" if name else "")] = [
            tinted(side[c : c + 1], own[c : c + 1], ["FFFFFF"]) for side, own in zip(sides, windows, strict=True)
        ]
    if before.n_channels > 1:
        pictures["channels"] = [tinted(side, own, colours) for side, own in zip(sides, windows, strict=True)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made: {error.strerror}", file=folder, fix="name another folder") from error
    written = []
    for name, (left, right) in pictures.items():
        between = np.full((left.shape[0], 4, 3), 255, np.uint8)
        png = imagecodecs.png_encode(np.ascontiguousarray(np.hstack([left, between, right])), level=9)
        with published(folder / f"{name}.png", overwrite=True) as path:
            path.write_bytes(png)
        written.append(folder / f"{name}.png")
    return written


def _maxima(volume: Volume, box: list[slice]) -> Floats:
    """Maxima along z (c, y, x) of a box of the first frame."""
    lead = (slice(0, 1),) if volume.axes[0] == "T" else ()
    every = slice(0, volume.n_channels)
    total: Floats | None = None
    for z in range(box[0].start, box[0].stop, _SLAB):
        slab = slice(z, min(z + _SLAB, box[0].stop))
        found = volume.read((*lead, every, slab, *box[1:])).reshape(
            volume.n_channels, slab.stop - slab.start, *(s.stop - s.start for s in box[1:])
        )
        top = np.nan_to_num(found.max(axis=1).astype(np.float64), posinf=0, neginf=0)
        total = top if total is None else np.maximum(total, top)
    return total if total is not None else np.zeros((volume.n_channels, 1, 1))
