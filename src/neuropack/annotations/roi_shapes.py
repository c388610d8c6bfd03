"""The shapes of ImageJ's ROIs: their outlines, bounds and pixels.

Outlines of areas count the corners of pixels, points and lines count their centres (ImageJ's ``Roi.java``,
``useLineSubpixelConvention``). A pixel belongs to an area where its centre lies inside, by the rules of ImageJ's
``PolygonFiller`` and ``OvalRoi`` for centres that lie on an edge; of overlapping parts of an outline, as in a ring,
an even number cancels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Path2 = npt.NDArray[np.float64]
"""The corners of an outline (n, 2): x, y."""

POLYGON, RECT, OVAL, FREEHAND, TRACED, POINT = 0, 1, 2, 7, 8, 10
_ELLIPSE, _ROTATED_RECT = 3, 5  # subtypes
_TEXT, _IMAGE = 1, 4
_NUDGE = 1e-8  # pixels to the right: a centre on a left edge is outside, on a right edge inside
_MOST_CROSSINGS = 1 << 24  # of the edges of an outline with rows
_ALONG = 256  # corners of an outline that is an ellipse
WORDS = {3: "line", 4: "free line", 5: "polyline", 6: "empty ROI", 9: "angle", 10: "point"}


def is_area(roi: Any) -> bool:
    """Whether a ROI has pixels inside."""
    return int(roi.roitype) in (POLYGON, RECT, OVAL, FREEHAND, TRACED) and int(roi.subtype) not in (_TEXT, _IMAGE)


def word(roi: Any) -> str:
    """What a ROI is, for a note."""
    if int(roi.subtype) in (_TEXT, _IMAGE):
        return "text" if int(roi.subtype) == _TEXT else "image"
    return WORDS.get(int(roi.roitype), f"ROI of type {int(roi.roitype)}")


def points(roi: Any) -> Path2:
    """The points (n, 2), x, y, in pixels that count their centres."""
    return _doubles(_points(roi)).reshape(-1, 2)


def outlines(roi: Any) -> list[Path2]:
    """The closed outlines of an area, in pixels that count their corners.

    Raises:
        ValueError: a coordinate is not finite, or there are none.
    """
    kind, subtype = int(roi.roitype), int(roi.subtype)
    if kind == RECT and roi.multi_coordinates is not None:
        found = _composite(roi.multi_coordinates)
    elif kind == FREEHAND and subtype in (_ELLIPSE, _ROTATED_RECT):
        ends = np.array([[roi.x1, roi.y1], [roi.x2, roi.y2]], np.float64)
        _check_finite(ends, _ratio(roi))
        found = [_ellipse_between(ends, _ratio(roi)) if subtype == _ELLIPSE else _strip(ends, _ratio(roi))]
    elif kind == RECT:
        x, y, w, h = _bounds(roi)
        found = [np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])]
    elif kind == OVAL:
        x, y, w, h = _bounds(roi)
        found = [_oval(x + w / 2, y + h / 2, w / 2, h / 2)]
    else:
        found = [_doubles(_points(roi)).reshape(-1, 2)]
    found = [path for path in found if len(path) > 2]
    if not found:
        raise ValueError("the area has no outline")
    _check_finite(*found)
    return found


def extent(roi: Any) -> tuple[float, float, float, float]:
    """The bounds of an area: x0, y0, x1, y1, the faces of its box.

    Raises:
        ValueError: as `outlines`.
    """
    if int(roi.roitype) == OVAL:
        x, y, w, h = _bounds(roi)
        if not all(map(math.isfinite, (x, y, w, h))):
            raise ValueError("a coordinate is no finite number")
        return x, y, x + w, y + h
    corners = np.vstack(outlines(roi))
    (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return x0, y0, x1, y1


def pixels(roi: Any, height: int, width: int) -> npt.NDArray[np.int64]:
    """The pixels (n, 2), y, x, of an area that lie in an image.

    Raises:
        ValueError: as `outlines`.
    """
    if int(roi.roitype) == OVAL:
        return _oval_pixels(*_bounds(roi), height, width)
    paths = outlines(roi)
    ends = [(path, np.roll(path, -1, axis=0)) for path in paths]
    first = np.vstack([a for a, _ in ends])
    second = np.vstack([b for _, b in ends])
    low, high = np.minimum(first[:, 1], second[:, 1]), np.maximum(first[:, 1], second[:, 1])
    top, bottom = (np.clip(np.ceil(end - 0.5), 0, height).astype(np.int64) for end in (low, high))
    counts = bottom - top  # of the rows whose centres an edge crosses, half-open, so that a corner counts once
    if counts.sum() > _MOST_CROSSINGS:
        raise ValueError(f"its outline crosses {counts.sum():,} rows; at most {_MOST_CROSSINGS:,} are drawn")
    edge = np.repeat(np.arange(len(counts)), counts)
    y = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + top[edge]
    a, b = first[edge], second[edge]
    at = a[:, 0] + (y + 0.5 - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    order = np.lexsort((at, y))
    sides = np.clip(np.floor(at[order] + 0.5 + _NUDGE), 0, width).astype(np.int64)
    return _runs(y[order][::2], sides[::2], sides[1::2])


def _runs(
    y: npt.NDArray[np.int64], start: npt.NDArray[np.int64], stop: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The pixels (n, 2), y, x, of runs along rows."""
    counts = np.maximum(stop - start, 0)
    x = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(start, counts)
    return np.column_stack([np.repeat(y, counts), x]).astype(np.int64)


def _points(roi: Any) -> Any:
    """The coordinates of a ROI of points, as fine as they are there."""
    if roi.subpixel_coordinates is not None:
        return roi.subpixel_coordinates
    if roi.integer_coordinates is None:
        return []
    return np.add(roi.integer_coordinates, (roi.left, roi.top))


def _doubles(numbers: Any) -> npt.NDArray[np.float64]:
    """Numbers as they are; among them may be a NaN of the kind that processors signal, which is no news here."""
    with np.errstate(invalid="ignore"):
        return np.asarray(numbers, np.float64)


def _check_finite(*numbers: Any) -> None:
    if not all(np.isfinite(one).all() for one in numbers):
        raise ValueError("a coordinate is no finite number")


def _bounds(roi: Any) -> tuple[float, float, float, float]:
    """x, y, width and height."""
    if roi.subpixelrect and (roi.widthd or roi.heightd):
        return float(roi.xd), float(roi.yd), float(roi.widthd), float(roi.heightd)
    return float(roi.left), float(roi.top), float(roi.right - roi.left), float(roi.bottom - roi.top)


def _oval(x: float, y: float, a: float, b: float) -> Path2:
    angle = np.arange(_ALONG) * (2 * np.pi / _ALONG)
    return np.column_stack([x + a * np.cos(angle), y + b * np.sin(angle)])


def _oval_pixels(x: float, y: float, w: float, h: float, height: int, width: int) -> npt.NDArray[np.int64]:
    """The pixels whose centres lie inside of an upright ellipse, or on it, as ImageJ's ``OvalRoi`` has it."""
    if not all(map(math.isfinite, (x, y, w, h))) or w <= 0 or h <= 0:
        raise ValueError("the oval has no area")
    rows = np.arange(max(0, math.floor(y)), max(0, min(height, math.ceil(y + h))), dtype=np.int64)
    inside = 1 - ((rows + 0.5 - y - h / 2) / (h / 2)) ** 2
    rows, inside = rows[inside >= 0], inside[inside >= 0]
    middle, half = x + w / 2 - 0.5, w / 2 * np.sqrt(inside)
    start = np.clip(np.ceil(middle - half), 0, width).astype(np.int64)
    stop = np.clip(np.floor(middle + half) + 1, 0, width).astype(np.int64)
    return _runs(rows, start, stop)


def _ratio(roi: Any) -> float:
    """The aspect ratio of an ellipse, or the width of a rotated rectangle: a float in the place of an arrow."""
    packed = bytes([roi.arrow_style_or_aspect_ratio, roi.arrow_head_size]) + int(
        roi.rounded_rect_arc_size
    ).to_bytes(2, "big", signed=True)
    return float(np.frombuffer(packed, ">f4")[0])


def _ellipse_between(ends: Path2, ratio: float) -> Path2:
    """An ellipse by the ends of its long axis, and short over long."""
    axis = (ends[1] - ends[0]) / 2
    angle = np.arange(_ALONG)[:, None] * (2 * np.pi / _ALONG)
    across = np.array([-axis[1], axis[0]]) * ratio
    return np.asarray(ends.mean(axis=0) + np.cos(angle) * axis + np.sin(angle) * across)


def _strip(ends: Path2, width: float) -> Path2:
    """A rectangle by the middles of two opposite sides, and their length."""
    along = ends[1] - ends[0]
    length = float(np.linalg.norm(along))
    if not length:
        return np.empty((0, 2))
    half = np.array([-along[1], along[0]]) / length * (width / 2)
    return np.array([ends[0] + half, ends[1] + half, ends[1] - half, ends[0] - half])


def _composite(numbers: Sequence[float]) -> list[Path2]:
    """The outlines of a shape of several: segments of a path, as ``java.awt.geom.PathIterator`` numbers them.

    0 moves, 1 draws a line, 2 and 3 curves of two and three points, 4 closes.

    Raises:
        ValueError: it is no such path.
    """
    counts = {0: 1, 1: 1, 2: 2, 3: 3, 4: 0}
    found: list[list[npt.NDArray[np.float64]]] = []
    values, at = _doubles(numbers), 0
    _check_finite(values)
    while at < len(values):
        kind = values[at]
        if kind not in counts:
            raise ValueError(f"a path has no segment of type {kind:g}")
        n = counts[int(kind)]
        corners = values[at + 1 : at + 1 + 2 * n].reshape(-1, 2)
        at += 1 + 2 * n
        if len(corners) < n or (kind and not found):
            raise ValueError("a path ends within a segment, or begins without a place")
        if kind == 0:
            found.append([corners[0]])
        elif kind == 1:
            found[-1].append(corners[0])
        elif kind != 4:
            found[-1] += _curve(np.vstack([found[-1][-1], corners]))
    return [np.array(path) for path in found]


def _curve(control: Path2) -> list[npt.NDArray[np.float64]]:
    """Points along a curve of Bezier, by de Casteljau."""
    found = []
    for t in np.linspace(0, 1, 17)[1:]:
        left = control
        while len(left) > 1:
            left = left[:-1] + t * (left[1:] - left[:-1])
        found.append(left[0])
    return found
