"""A picture of tiles: where they lie, how far the stage was off, and how the worst seams look before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box, box_shape
from neuropack.process.mosaic_fit import Placed
from neuropack.process.mosaic_layout import Tile
from neuropack.progress import Progress

_SEAMS = 3  # that are shown
_EDGE = (24, 320, 320)  # voxels of a seam that are shown
_SOFTWARE = "neuropack"
Rgb = npt.NDArray[np.float32]


def write_seams(
    out: Path,
    tiles: Sequence[Tile],
    placed: Placed,
    channels: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> None:
    """Draw the map of the tiles, and the seams that moved most, as PNG.

    Of a seam one tile is magenta, the other green: where they agree it is grey or white. Both are the brightest of
    a few planes, each between its own median and its brightest half per cent.

    Raises:
        InputError: a tile cannot be read.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    large = np.median([placed.pairs[i].voxels for i in placed.used]) if placed.used else 0  # not those of corners
    used = [i for i in placed.used if placed.pairs[i].voxels >= large]
    used = sorted(used, key=lambda i: (-_moved(tiles, placed, i), i))[:_SEAMS]
    channel = channels[0] if channels else 0
    figure = Figure((12, 4.2 if not used else max(4.2, 3.1 * len(used))), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(max(1, len(used)), 4 if used else 1)
    _map(figure.add_subplot(grid[:, :2] if used else grid[:, :]), tiles, placed)
    for row, number in enumerate(used):
        pair = placed.pairs[number]
        box = _middle(tiles, placed, number)
        for column, (positions, title) in enumerate(
            ((placed.nominal_um, "by the stage"), (placed.positions_um, "by the overlaps"))
        ):
            axis = figure.add_subplot(grid[row, 2 + column])
            axis.imshow(_seam(tiles, (pair.first, pair.second), positions, box, channel), interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_title(f"{title}, seam {row + 1}", fontsize=9)
            if not column:
                names = f"{_short(tiles[pair.first].name)} /\n{_short(tiles[pair.second].name)}"
                axis.set_ylabel(names, fontsize=7, parse_math=False)  # two dollar signs are no formula
        if progress:
            progress("drawing seams", row + 1, len(used))
    figure.savefig(out, format="png", dpi=110, metadata={"Software": _SOFTWARE})


def drawn_here(path: Path) -> bool:
    """True for a PNG that neuropack drew: what a person has put there under the same name is not replaced."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return head.startswith(b"\x89PNG") and f"Software\0{_SOFTWARE}".encode() in head


def _moved(tiles: Sequence[Tile], placed: Placed, number: int) -> float:
    """Voxels by which a pair lies otherwise than the stage says."""
    pair = placed.pairs[number]
    moved = placed.positions_um - placed.nominal_um
    return float(np.abs((moved[pair.second] - moved[pair.first]) / tiles[0].voxel_um).max())


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"...{name[-21:]}"


def _map(axis: Any, tiles: Sequence[Tile], placed: Placed) -> None:
    """Tiles from above, arrows for how far they moved (stretched), lines for the overlaps by what they leave."""
    from matplotlib.patches import Patch, Rectangle

    voxel = tiles[0].voxel_um
    size = np.array([tile.size for tile in tiles]) * voxel
    corner = placed.positions_um - voxel / 2
    centre = corner + size / 2
    for i, (at, extent) in enumerate(zip(corner, size, strict=True)):
        color = "#d98c00" if i in placed.unplaced else "#7a8899"
        axis.add_patch(Rectangle((at[2], at[1]), extent[2], extent[1], fill=True, alpha=0.12, color=color, lw=0))
        axis.add_patch(Rectangle((at[2], at[1]), extent[2], extent[1], fill=False, color=color, lw=0.8))
    for i, pair in enumerate(placed.pairs):
        color, style = ("#2a7f46", "-") if not pair.problem else ("#999999", ":")
        color, style = ("#c02040", "--") if i in placed.outliers else (color, style)
        ends = centre[[pair.first, pair.second]]
        axis.plot(ends[:, 2], ends[:, 1], style, color=color, lw=1, zorder=2)
    moved = placed.positions_um - placed.nominal_um
    longest = float(np.hypot(moved[:, 1], moved[:, 2]).max(initial=0))
    stretch = 1.0
    if longest > 0:
        stretch = float(f"{0.35 * float(size[:, 1:].min()) / longest:.0e}")
        axis.quiver(
            *(centre[:, 2], centre[:, 1], moved[:, 2] * stretch, moved[:, 1] * stretch),
            angles="xy", scale_units="xy", scale=1, width=0.004, color="#1f4e9e", zorder=3,
        )  # fmt: skip
    axis.autoscale_view()
    axis.set_aspect("equal")
    axis.invert_yaxis()
    axis.set_xlabel("x (um)")
    axis.set_ylabel("y (um)")
    axis.set_title(
        f"{len(tiles)} tiles; arrows: moved, {stretch:g} times as long as it is (at most {longest:.2g} um)",
        fontsize=9,
    )
    shown = [
        Patch(color="#2a7f46", label=f"{len(placed.used)} overlaps that decide"),
        Patch(color="#c02040", label=f"{len(placed.outliers)} that contradict them"),
        Patch(color="#999999", label=f"{sum(bool(p.problem) for p in placed.pairs)} that say nothing"),
        Patch(color="#d98c00", label=f"{len(placed.unplaced)} tiles as the stage says"),
    ]
    axis.legend(handles=shown, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncol=2, frameon=False)


def _middle(tiles: Sequence[Tile], placed: Placed, number: int) -> npt.NDArray[np.float64]:
    """Start and stop (2, z y x) in micrometre of the middle of an overlap, with a rim along y and x."""
    pair, voxel = placed.pairs[number], tiles[0].voxel_um
    low, high = [], []
    for i in (pair.first, pair.second):
        low.append(placed.positions_um[i])
        high.append(placed.positions_um[i] + tiles[i].size * voxel)
    start, stop = np.max(low, axis=0), np.min(high, axis=0)
    half = np.minimum(np.array(_EDGE) * voxel, stop - start + voxel * [0, 40, 40]) / 2
    half[1:] = np.maximum(half[1:], max(half[1], half[2]) / 2)
    middle = (start + stop) / 2
    return np.array([middle - half, middle + half])


def _seam(
    tiles: Sequence[Tile],
    pair: tuple[int, int],
    positions: npt.NDArray[np.float64],
    box: npt.NDArray[np.float64],
    channel: int,
) -> Rgb:
    """Both tiles of a pair in a box, (y, x, 3): the first magenta, the second green."""
    voxel = tiles[0].voxel_um
    shape = np.maximum(1, np.round((box[1] - box[0]) / voxel)).astype(int)
    planes = []
    for i in pair:
        first = np.round((box[0] - positions[i]) / voxel).astype(int)
        start, stop = np.maximum(first, 0), np.minimum(first + shape, tiles[i].size)
        flat = np.zeros(shape[1:], np.float32)
        if (start < stop).all():
            volume = tiles[i].volume
            inner = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
            whole: Box = (*(slice(0, 1) for _ in volume.shape[:-4]), slice(channel, channel + 1), *inner)
            read = volume.read(whole).reshape(box_shape(inner)).astype(np.float32)
            seen = np.where(np.isfinite(read), read, 0).max(axis=0)
            dark, bright = np.percentile(seen, (50, 99.5))
            at = tuple(slice(int(a), int(b)) for a, b in zip(start - first, stop - first, strict=True))[1:]
            flat[at] = np.clip((seen - dark) / max(float(bright - dark), 1e-9), 0, 1)
        planes.append(flat)
    return np.stack([planes[0], planes[1], planes[0]], axis=-1)
