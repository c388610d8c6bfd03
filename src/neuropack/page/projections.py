"""Maximum projections of a stack as small PNG images: those that the conversion took, or of a pyramid level."""

from __future__ import annotations

import base64
import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array
from neuropack.errors import InputError
from neuropack.volume import Volume
from neuropack.writers.planes import planes
from neuropack.writers.summaries import read_projections

MAX_VOXELS = 64_000_000  # of all channels: what a page may read of a stack
CONTRAST = (1.0, 99.8)  # percentiles of a projection that become black and full colour
_PALETTE = ("00A2FF", "33DD55", "FF4433", "FFCC00", "DD55FF", "00DDDD", "FF8800")
_GOLDEN = 0.618034  # steps of this part of a circle give hues that keep apart

Floats = npt.NDArray[np.float64]
Colours = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Projection:
    """Maxima of each channel along z (channels, y, x), along y (channels, z, x) and along x (channels, z, y).

    `level`: of the pyramid that they are of; None for all voxels, a few of them to a cell where there are many.
    """

    along_z: Floats
    along_y: Floats
    along_x: Floats
    level: int | None


def choose_level(volume: Volume, max_voxels: int = MAX_VOXELS) -> int:
    """The finest level of the pyramid that a page can afford to read.

    Raises:
        InputError: even the coarsest level has more than `max_voxels` voxels.
    """
    sizes = [v.n_channels * math.prod(v.size_zyx) for v in (volume, *volume.levels)]
    for number, size in enumerate(sizes):
        if size <= max_voxels:
            return number
    raise InputError(
        "is too large to be shown: it has no pyramid level that is small enough",
        file=volume.path,
        expected=f"a level of at most {max_voxels} voxels",
        found=f"{sizes[-1]} voxels at the coarsest level",
        fix="convert it again: neuropack writes a pyramid",
    )


def project(volume: Volume, max_voxels: int = MAX_VOXELS) -> Projection:
    """Project a stack; of a time series the first frame. Values that are no numbers count as 0.

    Raises:
        InputError: the stack holds no projections, and even its coarsest level has more than `max_voxels` voxels.
    """
    stored = read_projections(volume)
    if stored is not None:
        return Projection(_numbers(stored.along_z), _numbers(stored.along_y), _numbers(stored.along_x), None)
    number = choose_level(volume, max_voxels)
    level = volume.level(number)
    (z, y, x), c = level.size_zyx, level.n_channels
    result = Projection(np.full((c, y, x), -np.inf), np.empty((c, z, x)), np.empty((c, z, y)), number)
    for t, k, channel, raw in planes(level):
        if t > 0:
            break
        plane = _numbers(raw)
        np.maximum(result.along_z[channel], plane, out=result.along_z[channel])
        result.along_y[channel, k] = plane.max(axis=0)
        result.along_x[channel, k] = plane.max(axis=1)
    return result


def _numbers(values: Array) -> Floats:
    return np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)


def project_labels(volume: Volume, max_voxels: int = MAX_VOXELS) -> npt.NDArray[np.int64]:
    """What one sees of a label image from above: the first label that is not 0 along z, shape (y, x)."""
    level = volume.level(choose_level(volume, max_voxels))
    seen = np.zeros(level.size_zyx[1:], np.int64)
    for t, _, _, plane in planes(level):
        if t > 0:
            break
        seen = np.where(seen == 0, plane.astype(np.int64), seen)
    return seen


def window(projection: Floats) -> tuple[float, float]:
    """The values that become black and full colour."""
    low, high = (float(v) for v in np.percentile(projection, CONTRAST))
    return (low, high) if high > low else (low, low + 1)


def tints(given: Sequence[str | None]) -> list[str]:
    """Display colours RRGGBB: those given, a palette for the others; one channel without a colour is white."""
    if len(given) == 1:
        return [given[0] or "FFFFFF"]
    return [colour or _PALETTE[i % len(_PALETTE)] for i, colour in enumerate(given)]


def tinted(channels: Floats, windows: Sequence[tuple[float, float]], colours: Sequence[str]) -> Colours:
    """Channels (c, rows, columns) added up in their colours: (rows, columns, RGB)."""
    out = np.zeros((*channels.shape[1:], 3))
    for values, (low, high), colour in zip(channels, windows, colours, strict=True):
        bright = np.clip((values - low) / (high - low), 0, 1)
        out += bright[..., None] * [int(colour[i : i + 2], 16) for i in (0, 2, 4)]
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def label_colour(value: int) -> str:
    """RRGGBB of a label; neighbouring values get hues far apart."""
    rgb = colorsys.hsv_to_rgb(value % 10_000 * _GOLDEN % 1.0, 0.65, 1.0)
    return "".join(f"{round(255 * part):02X}" for part in rgb)


def coloured_labels(seen: npt.NDArray[np.int64]) -> Colours:
    """Labels (rows, columns) in their colours, the background black: (rows, columns, RGB)."""
    values, at = np.unique(seen, return_inverse=True)
    rows = [bytes.fromhex(label_colour(int(v))) if v else b"\0\0\0" for v in values]
    table = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 3)
    coloured: Colours = table[at.reshape(seen.shape)]
    return coloured


def shrunk(image: Floats, side: int) -> Floats:
    """The last two axes no longer than `side`: the maximum of each square, so that thin neurites stay visible."""
    for axis in (-2, -1):
        step = -(-image.shape[axis] // side)
        if step > 1:
            image = np.maximum.reduceat(image, np.arange(0, image.shape[axis], step), axis=axis)
    return image


def data_uri(image: Colours) -> str:
    """An RGB image as a PNG that stands in the page itself."""
    import imagecodecs

    png = imagecodecs.png_encode(np.ascontiguousarray(image), level=6)
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def scale_bar(width_um: float) -> float:
    """A round length, 1, 2 or 5 times a power of ten, of about a fifth of the width."""
    wanted = width_um / 4
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(max(f * power for f in (1, 2, 5) if f * power <= wanted))
