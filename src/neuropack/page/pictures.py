"""The pictures of one stack: three views in colour, every channel, and the labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from neuropack.page.projections import (
    coloured_labels,
    data_uri,
    project,
    project_labels,
    scale_bar,
    shrunk,
    tinted,
    tints,
    window,
)
from neuropack.page.traces import Overlay, Side
from neuropack.volume import Volume


@dataclass(frozen=True)
class View:
    """A picture and its proportions: the lengths of its sides, in micrometre where they are known."""

    name: str
    src: str
    width: float
    height: float


@dataclass(frozen=True)
class ChannelPicture:
    """One channel in its colour, with the values that are black and full colour."""

    view: View
    name: str
    color: str
    low: float
    high: float


@dataclass
class Pictures:
    """What a page shows of a stack.

    Attributes:
        main: from above, all channels. side: along x (right of it). below: along y.
        channels: each channel from above.
        bar_um, bar_percent: length of the scale bar, and its part of the width; None where no size is known.
        level: the level of the pyramid that was projected; None for all voxels.
        planes: how many planes the stack has.
        labels: the label image from above, where there is one.
        overlays: traces, points and boxes over each projection, where the stack has any.
    """

    main: View
    side: View | None
    below: View | None
    channels: list[ChannelPicture]
    bar_um: float | None
    bar_percent: float
    level: int | None
    planes: int
    labels: View | None = None
    overlays: Mapping[Side, Overlay] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def picture(volume: Volume, colours: list[str | None], side_px: int) -> Pictures:
    """Project a stack and draw it.

    Args:
        volume: the stack with its pyramid.
        colours: RRGGBB of each channel where one is stated.
        side_px: the longest side of the main picture; channels get half of it.

    Raises:
        InputError: the pixels cannot be read.
    """
    projection = project(volume)
    windows = [window(channel) for channel in projection.along_z]
    shown = tints(colours)
    sz, sy, sx = volume.voxel_size_um
    z, y, x = volume.size_zyx
    width, height = (x * sx, y * sy) if sx and sy else (float(x), float(y))
    depth = z * sz if sx and sy and sz and z > 1 else None

    def draw(name: str, values: np.ndarray, across: float, down: float, px: int) -> View:
        return View(name, data_uri(tinted(shrunk(values, px), windows, shown)), across, down)

    channels = []
    for i, (low, high) in enumerate(windows):
        one = shrunk(projection.along_z[i : i + 1], side_px // 2)
        view = View("xy", data_uri(tinted(one, [(low, high)], [shown[i]])), width, height)
        name = volume.channels[i].name or f"channel {i + 1}"
        channels.append(ChannelPicture(view, name, shown[i], low, high))
    bar = scale_bar(width) if sx and sy else None
    return Pictures(
        main=draw("xy", projection.along_z, width, height, side_px),
        side=draw("zy", projection.along_x.swapaxes(1, 2), depth, height, side_px) if depth else None,
        below=draw("xz", projection.along_y, width, depth, side_px) if depth else None,
        channels=channels,
        bar_um=bar,
        bar_percent=100 * bar / width if bar else 0.0,
        level=projection.level,
        planes=z,
        notes=["first frame of a time series"] if volume.n_times > 1 else [],
    )


def label_picture(volume: Volume, pictures: Pictures, side_px: int) -> View:
    """Draw a label image in the proportions of the stack that it belongs to.

    Raises:
        InputError: the labels cannot be read.
    """
    seen = project_labels(volume)
    step = [max(1, -(-n // side_px)) for n in seen.shape]
    view = coloured_labels(seen[:: step[0], :: step[1]])
    return View("xy", data_uri(view), pictures.main.width, pictures.main.height)
