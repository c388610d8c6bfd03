"""Neurons as SVG, drawn by the server: a page shows them without a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.page.atlas.neurites import in_chains, lines
from neuropack.page.projections import scale_bar
from neuropack.skeleton import Skeleton
from neuropack.space.mapping import AXON, DENDRITES
from neuropack.swc import read_swc

_VIEWS = (
    ("from above", (0, 1), "x", "y"),
    ("from the front", (0, 2), "x", "z"),
    ("from the side", (1, 2), "y", "z"),
)
_CELLS = 1500  # along the longest side: nodes that are nearer to each other look the same
_ROOM = 0.06  # around the neuron
MOST_BYTES = 256 << 20
"""Of an SWC file that a page reads."""


@dataclass(frozen=True)
class Part:
    """Neurites of one kind: the name of their class, ``axon``, ``dendrite`` or ``other``, and an SVG path."""

    kind: str
    path: str


@dataclass(frozen=True)
class Drawing:
    """A neuron in one view. `box`: x, y, width, height in micrometre; `soma`: its place and radius, or None."""

    title: str
    across: str
    down: str
    box: tuple[float, float, float, float]
    parts: tuple[Part, ...]
    soma: tuple[float, float, float] | None
    bar_um: float

    @property
    def bar(self) -> tuple[float, float, float]:
        """Where the scale bar begins and ends, and its height."""
        x, y, wide, high = self.box
        return x + 0.04 * wide, x + 0.04 * wide + self.bar_um, y + high - 0.05 * high

    @property
    def text_size(self) -> float:
        """Height of letters, micrometre."""
        return 0.042 * self.box[2]


def drawings(skeleton: Skeleton) -> list[Drawing]:
    """Three views of a neuron at one scale."""
    if not len(skeleton):
        return []
    low, high = skeleton.xyz.min(axis=0), skeleton.xyz.max(axis=0)
    widest = max(float((high - low).max()), 1.0)
    room, finest = widest * _ROOM, widest / _CELLS
    wide = widest + 2 * room  # of all views, so that one length is as long in each of them
    edges = in_chains(skeleton)
    kinds = kinds_of(skeleton.type[edges[:, 0]])
    soma = skeleton.soma()
    radius = float(skeleton.radius[skeleton.type == 1].max()) if soma is not None else 0.0
    found = []
    for title, axes, across, down in _VIEWS:
        a, b = axes
        box = (
            float((low[a] + high[a] - wide) / 2),
            float(low[b] - room),
            wide,
            float(max(high[b] - low[b] + 2 * room, widest * 0.25)),
        )
        parts = tuple(
            Part(kind, svg_path(skeleton.xyz, edges[kinds == kind], axes, finest))
            for kind in ("other", "dendrite", "axon")
            if (kinds == kind).any()
        )
        place = None if soma is None else (float(soma[a]), float(soma[b]), max(radius, widest * 0.006))
        found.append(Drawing(title, across, down, box, parts, place, scale_bar(box[2])))
    return found


def kinds_of(types: npt.NDArray[np.int64]) -> npt.NDArray[np.str_]:
    """The class of edges by the SWC type of their child."""
    return np.where(np.isin(types, AXON), "axon", np.where(np.isin(types, DENDRITES), "dendrite", "other"))


def svg_path(
    xyz: npt.NDArray[np.float64], edges: npt.NDArray[np.int64], axes: tuple[int, int], finest: float
) -> str:
    """Edges as an SVG path in micrometre."""
    drawn = lines(xyz, edges, axes, finest)
    return "".join(
        f"{'M' if begins else 'L'}{a:.6g} {b:.6g}"
        for (a, b), begins in zip(drawn.points.tolist(), drawn.begins.tolist(), strict=True)
    )


def over_stack(files: Sequence[tuple[str, Path]], widest_um: float) -> list[tuple[str, str]]:
    """The neurons of a stack seen from above: name and SVG path of each."""
    found = []
    for name, path in files:
        tree = read_swc(path)
        found.append((name, svg_path(tree.xyz, in_chains(tree), (0, 1), widest_um / _CELLS)))
    return found
