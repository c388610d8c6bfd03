"""Figures of a registration, each a PNG that stands in the page itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from neuropack.space.annotation import Annotation
from neuropack.space.landmarks import Fit
from neuropack.space.rasters import Raster
from neuropack.space.transforms import Points, Transform, determinants

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 420  # pixels along a plane
_WIDTH = 11.0  # inch, of a row of panels
_DPI = 130
_VIEWS: Final = ((2, 0, 1), (1, 0, 2), (0, 1, 2))  # which coordinate a panel stands on, runs right, runs down
_CCF_VIEWS: Final = ((1, 2, 0), (2, 0, 1), (0, 2, 1))
_FINE = 600  # pixels along a plane with borders
_DARK, _BRIGHT = 1.0, 99.5  # percentiles of what is shown that become black and full colour
_STEP = 0.25  # voxels, of differences
_PERCENT_OF_EXTENT = 6  # that the largest arrow takes
GREEN, RED = "#1d9a57", "#d7263d"


@dataclass(frozen=True, eq=False)
class _Plane:
    """Points on a plane of a stack, (rows, columns, 3), their indices in it, and where its edges lie in mm."""

    index: npt.NDArray[np.intp]
    points: Points
    extent_mm: tuple[float, float, float, float]
    axes: tuple[int, int, int]


def _planes(stack: Raster) -> Iterator[_Plane]:
    """Three planes through the middle of the tissue."""
    tissue = stack.tissue()
    for normal, right, down in _VIEWS:
        amount = tissue.sum(axis=(right, down))
        at = int(np.searchsorted(np.cumsum(amount), amount.sum() / 2))
        steps = [max(1, -(-stack.values.shape[axis] // _MOST)) for axis in (down, right)]
        rows, columns = (
            np.arange(0, stack.values.shape[axis], step) for axis, step in zip((down, right), steps, strict=True)
        )
        index = np.empty((len(rows), len(columns), 3), np.intp)
        index[..., normal], index[..., right], index[..., down] = at, columns, rows[:, None]
        points = stack.position(index.reshape(-1, 3)).reshape(index.shape)
        size = stack.extent_um
        yield _Plane(index, points, (0, size[right] / 1000, size[down] / 1000, 0), (normal, right, down))


def overlay(stack: Raster, template: Raster, way: Transform) -> str:
    """The stack in magenta, the template in green where the transform lays it; white where they agree."""
    wanted = [
        template.sample(way(plane.points.reshape(-1, 3))).reshape(plane.index.shape[:2]) for plane in _planes(stack)
    ]
    # of what is seen alone: a part of a brain may be dimmer than the whole
    every = np.concatenate([one.ravel() for one in wanted])
    floor, ceiling = np.percentile(every, (_DARK, _BRIGHT))
    low, high = np.percentile(
        np.concatenate([_seen(stack, plane).ravel() for plane in _planes(stack)]), (_DARK, _BRIGHT)
    )
    shown = iter(wanted)

    def paint(axis: Any, plane: _Plane) -> None:
        ours = (_seen(stack, plane) - low) / max(high - low, 1e-9)
        theirs = (next(shown) - floor) / max(ceiling - floor, 1e-9)
        axis.imshow(np.clip(np.stack([ours, theirs, ours], axis=-1), 0, 1), extent=plane.extent_mm)

    return _three(stack, paint)


def _seen(stack: Raster, plane: _Plane) -> npt.NDArray[np.float32]:
    seen: npt.NDArray[np.float32] = stack.values[tuple(np.moveaxis(plane.index, -1, 0))]
    return seen


def borders(stack: Raster, annotation: Annotation, way: Transform) -> str:
    """The stack with the borders of the regions that the transform lays on it."""
    low, high = stack.window

    def paint(axis: Any, plane: _Plane) -> None:
        axis.imshow(
            _seen(stack, plane),
            cmap="gray",
            vmin=low,
            vmax=high,
            extent=plane.extent_mm,
        )
        fine = _finer(plane)
        labels = annotation.lookup(way(fine.reshape(-1, 3))).reshape(fine.shape[:2])
        edge = np.zeros(labels.shape, bool)
        edge[:-1] |= labels[:-1] != labels[1:]
        edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
        line = np.zeros((*labels.shape, 4))
        line[edge] = (1.0, 0.84, 0.04, 0.75)
        axis.imshow(line, extent=plane.extent_mm)

    return _three(stack, paint)


def _finer(plane: _Plane) -> Points:
    """Points of the same plane so close that a border is a thin line: voxels may be as wide as a layer."""
    corner, down, right = plane.points[0, 0], plane.points[-1, 0], plane.points[0, -1]
    n = max(1, _FINE // max(plane.points.shape[:2]))
    rows, columns = (k * n for k in plane.points.shape[:2])
    # from the outer edges of the voxels, as the picture goes
    steps = [
        ((np.arange(count) + 0.5) / n - 0.5)[:, None] / max(1, k - 1) * (end - corner)
        for count, k, end in zip((rows, columns), plane.points.shape[:2], (down, right), strict=True)
    ]
    return np.asarray(corner + steps[0][:, None] + steps[1])


def changes(stack: Raster, way: Transform) -> str:
    """How the transform changes volumes in the tissue: blue where it shrinks, red where it grows, black folds."""
    tissue = stack.body()
    sizes = np.asarray(stack.voxel_um)

    def paint(axis: Any, plane: _Plane) -> Any:
        inside = tissue[tuple(np.moveaxis(plane.index, -1, 0))]
        shown = np.full((*inside.shape, 4), (0.93, 0.94, 0.95, 1.0))
        if inside.any():
            found = determinants(way, plane.points[inside], sizes * _STEP)
            colours = colouring.to_rgba(np.log2(np.maximum(found, 1e-6)))
            colours[found <= 0] = (0, 0, 0, 1)
            shown[inside] = colours
        axis.imshow(shown, extent=plane.extent_mm, interpolation="nearest")

    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    colouring = ScalarMappable(Normalize(-1, 1), "RdBu_r")
    return _three(stack, paint, colouring)


def _three(stack: Raster, paint: Any, colouring: Any = None) -> str:
    size = np.array(stack.extent_um)
    widths = [size[right] for _, right, _ in _VIEWS]
    tallest = max(size[down] for _, _, down in _VIEWS)
    figure = _figure(_WIDTH * tallest / sum(widths))
    panels = figure.subplots(1, 3, width_ratios=widths)
    for axis, plane in zip(panels, _planes(stack), strict=True):
        paint(axis, plane)
        normal, right, down = plane.axes
        at = plane.points[0, 0, normal] / 1000
        _label(axis, f"{'xyz'[normal]} = {at:.2f} mm", "xyz"[right], "xyz"[down])
    if colouring is not None:
        bar = figure.colorbar(colouring, ax=list(panels), shrink=0.7, ticks=[-1, 0, 1])
        bar.ax.set_yticklabels(["half", "same", "double"])
    return _png(figure)


def _label(axis: Any, title: str, right: str, down: str) -> None:
    axis.set_title(title, fontsize=9)
    axis.set_xlabel(f"{right} (mm)", fontsize=8)
    axis.set_ylabel(f"{down} (mm)", fontsize=8)
    axis.tick_params(labelsize=7)


def residuals(fit: Fit, moving: Points, fixed: Points, template: Raster | None) -> tuple[str, float]:
    """Landmarks in the fixed frame, an arrow from where the transform puts each to where it should be.

    Returns:
        The picture, and by how much the arrows are enlarged.
    """
    placed = fit.transform(moving)
    every = np.vstack([placed, fixed])
    low, high = every.min(axis=0), every.max(axis=0)
    if template is not None:
        low, high = np.minimum(low, 0), np.maximum(high, template.extent_um)
    extent = np.maximum(high - low, 1.0)
    longest = float(fit.residuals.max())
    factor = 1.0
    if longest > 1e-6 * extent.max():
        factor = max(1.0, float(f"{_PERCENT_OF_EXTENT / 100 * extent.max() / longest:.1g}"))
    widths = [extent[right] for _, right, _ in _CCF_VIEWS]
    figure = _figure(_WIDTH * max(extent[down] for _, _, down in _CCF_VIEWS) / sum(widths))
    names = ("AP", "DV", "LR") if template is not None or fit.transform.target == "AllenCCFv3" else ("0", "1", "2")
    bad = np.array([name in fit.outliers for name in fit.names])
    arrows = (fixed - placed) * factor
    if template is None:  # nothing but the arrows is seen, so they are seen whole
        low, high = np.minimum(low, (placed + arrows).min(axis=0)), np.maximum(high, (placed + arrows).max(axis=0))
    for axis, (normal, right, down) in zip(figure.subplots(1, 3, width_ratios=widths), _CCF_VIEWS, strict=True):
        if template is not None:
            shown = template.values.max(axis=normal)
            shown = shown if right > down else shown.T
            edges = (0, template.extent_um[right] / 1000, template.extent_um[down] / 1000, 0)
            axis.imshow(shown, cmap="gray_r", alpha=0.45, extent=edges, vmax=1.5 * template.window[1])
        for rows, colour in ((~bad, GREEN), (bad, RED)):
            start, step = placed[rows] / 1000, arrows[rows] / 1000
            axis.quiver(
                *(start[:, right], start[:, down], step[:, right], step[:, down]),
                **{
                    "angles": "xy",
                    "scale_units": "xy",
                    "scale": 1,
                    "color": colour,
                    "width": 0.004,
                    "headwidth": 3.5,
                    "headlength": 4,
                },
            )
            axis.plot(start[:, right], start[:, down], ".", color=colour, markersize=4)
        for row in np.flatnonzero(bad):
            spot = (placed[row, right] / 1000, placed[row, down] / 1000)
            axis.annotate(
                fit.names[row][:20], spot, textcoords="offset points", xytext=(4, 4), fontsize=7, parse_math=False
            )
        axis.set_aspect("equal")
        margin = 0.03 * (extent if template is not None else np.full(3, extent.max())) / 1000
        axis.set_xlim(low[right] / 1000 - margin[right], high[right] / 1000 + margin[right])
        axis.set_ylim(high[down] / 1000 + margin[down], low[down] / 1000 - margin[down])
        _label(axis, f"along {names[normal]}", names[right], names[down])
    return _png(figure), factor


def _figure(height: float) -> Figure:
    """A figure of its own: pyplot's global list of figures grows with each."""
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH, min(9.0, max(2.2, height + 0.7))), layout="constrained", facecolor="white")


def _png(figure: Figure) -> str:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")
