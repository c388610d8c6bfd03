"""Traces, points and boxes over the projections of their stack: one sees whether they lie on what they mark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from neuropack.page.atlas.neurites import Points, in_chains, lines
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc
from neuropack.table import read_table

Side = Literal["main", "side", "below"]
_VIEWS: Final[Mapping[Side, tuple[int, int]]] = {"main": (0, 1), "side": (2, 1), "below": (0, 2)}
"""Which of x, y, z runs across and which down in each projection."""
_CELLS = 1200  # along the longest side: what lies nearer to each other looks the same
MOST_MARKS = 5_000


@dataclass(frozen=True)
class Trace:
    """A neuron in one projection: an SVG path in micrometre, RRGGBB, and its name."""

    path: str
    colour: str
    name: str


@dataclass(frozen=True)
class Overlay:
    """What is drawn over one projection.

    Attributes:
        width, height: of the projection, micrometre.
        traces: of neurons.
        points: of the stack, as one SVG path of short strokes.
        boxes: of objects, as one SVG path.
    """

    width: float
    height: float
    traces: Sequence[Trace]
    points: str
    boxes: str


def overlays(
    neurons: Mapping[str, tuple[Path, str]], size_um: tuple[float, float, float], points: Points, boxes: Points
) -> dict[Side, Overlay]:
    """The overlay of each projection.

    Args:
        neurons: the SWC file and the colour, RRGGBB, of each.
        size_um: of the stack, x, y, z.
        points: (n, 3), x, y, z, micrometre from the corner of the stack.
        boxes: (n, 6), x0, y0, z0, x1, y1, z1, micrometre.

    Raises:
        InputError: a skeleton cannot be read.
    """
    trees = {name: (read_swc(path), colour) for name, (path, colour) in neurons.items()}
    cell = max(size_um) / _CELLS
    return {
        side: Overlay(
            size_um[across],
            size_um[down],
            [
                Trace(_path(tree, (across, down), cell), colour, name.rsplit("_desc-", 1)[-1])
                for name, (tree, colour) in trees.items()
            ],
            _dots(points[:MOST_MARKS, [across, down]]),
            "".join(_rectangles(boxes[:MOST_MARKS], across, down)),
        )
        for side, (across, down) in _VIEWS.items()
    }


def read_points(table: Path | None) -> Points:
    """Points (n, 3) of a table of the release, x, y, z; none without one.

    Raises:
        InputError: it cannot be read.
    """
    return _numbers(table, ("x_um", "y_um", "z_um"))


def read_boxes(table: Path | None, voxel_um: tuple[float, float, float] | None) -> Points:
    """Boxes (n, 6) of a table of the release, x0, y0, z0, x1, y1, z1, micrometre; none without one.

    Raises:
        InputError: it cannot be read.
    """
    found = _numbers(table, ("x0", "y0", "z0", "x1", "y1", "z1"))
    return found * np.tile(voxel_um[::-1], 2) if voxel_um is not None else found[:0]


def _numbers(table: Path | None, columns: Sequence[str]) -> Points:
    if table is None:
        return np.empty((0, len(columns)))
    found = read_table(table).numbers(*columns)
    return found


def _path(tree: Skeleton, axes: tuple[int, int], cell: float) -> str:
    drawn = lines(tree.xyz, in_chains(tree), axes, cell)
    return "".join(
        f"{'M' if begins else 'L'}{a:.2f},{b:.2f}"
        for (a, b), begins in zip(drawn.points.tolist(), drawn.begins.tolist(), strict=True)
    )


def _dots(points: Points) -> str:
    """Strokes without length: with round ends they are dots."""
    return "".join(f"M{a:.2f},{b:.2f}h0" for a, b in points.tolist())


def _rectangles(boxes: Points, across: int, down: int) -> Iterable[str]:
    for box in np.asarray(boxes, np.float64).reshape(-1, 6).tolist():
        a, b, c, d = box[across], box[down], box[across + 3], box[down + 3]
        yield f"M{a:.2f},{b:.2f}H{c:.2f}V{d:.2f}H{a:.2f}Z"
