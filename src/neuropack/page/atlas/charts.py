"""Charts of lengths: the projection matrix as a heat map, and bars by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from neuropack.page.atlas import figure as paper
from neuropack.page.atlas.records import Neuron
from neuropack.page.atlas.tables import SIDE_NAMES, RegionRow, Tables
from neuropack.space.levels import GREY, Area

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_COLUMNS, _MOST_BARS = 48, 40
_MOST_NAMES = 64  # neurons whose names can be read beside each other
_SIDE_TITLES = {
    "ipsi": "ipsilateral to the soma",
    "contra": "contralateral",
    "unknown": "side of the soma not known",
}
OTHERS: Final = Area(-1, "others", "all other regions together", GREY, "rest")


@dataclass(frozen=True, eq=False)
class _Grid:
    """The cells of a heat map: axon in millimetre, (side, neuron, region)."""

    sides: list[str]
    rows: list[Neuron]
    areas: list[Area]
    values: npt.NDArray[np.float64]


def _grid(tables: Tables) -> _Grid:
    """Neurons in the order of the regions of their somata, then by length; regions in that of the tree."""
    columns, cells = tables.matrix()
    sums: dict[Area, float] = {}
    for row in cells.values():
        for (area, _), length in row.items():
            sums[area] = sums.get(area, 0.0) + length
    fullest = set(sorted(sums, key=lambda area: -sums[area])[:_MOST_COLUMNS])
    areas = [area for area in dict.fromkeys(area for area, _ in columns) if area in fullest]
    if len(areas) < len(sums):
        areas.append(OTHERS)
    sides = [side for side in SIDE_NAMES if any(side == one for _, one in columns)]
    order = {area: n for n, area in enumerate(dict.fromkeys(row.area for row in tables.regions))}

    def place(one: Neuron) -> tuple[int, str, float]:
        area = tables.somata.get(one.key)
        return (order[area] if area else len(order)), one.region or "", -sum(cells[one.key].values())

    rows = sorted(tables.neurons, key=place)
    values = np.zeros((len(sides), len(rows), len(areas)))
    at = {area: n for n, area in enumerate(areas)}
    for n, one in enumerate(rows):
        for (area, side), length in cells[one.key].items():
            values[sides.index(side), n, at.get(area, len(areas) - 1)] += length / 1000
    return _Grid(sides, rows, areas, values)


def matrix_figure(tables: Tables, title: str, notes: Sequence[str]) -> Figure | None:
    """The projection matrix: neurons by regions, ipsilateral and contralateral; None where there is no axon.

    Where there are more regions than can be read, the last column of a side holds all others together.
    """
    if not tables.projections:
        return None
    grid = _grid(tables)
    rows, count = grid.rows, len(grid.sides)
    named = len(rows) <= _MOST_NAMES
    names = [
        paper.short(f"{name}  {one.region or ''}".rstrip())
        for name, one in zip(paper.short_names([one.id for one in rows]), rows, strict=True)
    ]
    left, right, top = 9 + 1.15 * (max(map(len, names)) if named else 3), 20.0, 17.0
    room = (paper.WIDTH_MM - left - right - 4 * (count - 1)) / count
    cell = min(room, max(7.0 * len(grid.areas), 38.0)) / len(grid.areas)
    wide = cell * len(grid.areas)
    high = max(24.0, 3.1 * len(rows)) if named else 130.0
    size = min(6.0, max(3.5, cell * 2.2))
    bottom = 7 + 0.23 * size * max(len(paper.short(area.acronym, 16)) for area in grid.areas)
    figure = paper.new_figure(top + high + bottom + 4 + 3.2 * len(notes))
    paper.write_at(figure, 3, 3.5, title, size=9, weight="bold")
    norm = _norm(grid.values)
    for n, side in enumerate(grid.sides):
        axes = paper.axes_at(figure, left + n * (wide + 4), top, wide, high)
        shown = np.ma.masked_equal(grid.values[n], 0)
        image = axes.imshow(shown, aspect="auto", cmap="viridis_r", norm=norm, interpolation="nearest")
        axes.set_title(_SIDE_TITLES[side], size=7, pad=6)
        _columns(axes, grid.areas, size, high)
        axes.set_yticks(range(len(rows)) if n == 0 and named else [], names if n == 0 and named else [], size=5.5)
        axes.tick_params(axis="y", length=0, pad=7)
        if n == 0:
            _somata(axes, [tables.somata.get(one.key) for one in rows], wide)
            if not named:
                axes.set_ylabel(f"{len(rows):,} neurons, in the colours of the regions of their somata", labelpad=8)
        if named:
            axes.set_yticks(np.arange(0.5, len(rows) - 1), minor=True)
        axes.set_xticks(np.arange(0.5, len(grid.areas) - 1), minor=True)
        axes.grid(which="minor", color="#EEF1F4", lw=0.4)
        axes.tick_params(which="minor", length=0)
    _scale(figure, image, (left + count * (wide + 4), top, 3, min(high, 50)), grid.values)
    paper.write_notes(figure, notes)
    return figure


def _scale(figure: Figure, image: Any, place: tuple[float, float, float, float], values: Any) -> None:
    from matplotlib.ticker import NullFormatter

    bar = paper.axes_at(figure, *place)
    below = bool((values[values > 0] < image.norm.vmin).any())
    norm = image.norm
    powers = range(int(np.floor(np.log10(norm.vmin))), int(np.ceil(np.log10(norm.vmax))) + 1)
    round_ones = [m * 10.0**e for e in powers for m in (1, 2, 5) if norm.vmin <= m * 10.0**e <= norm.vmax]
    ticks = round_ones if len(round_ones) <= 6 else [one for one in round_ones if f"{one:e}"[0] == "1"]
    figure.colorbar(
        image, cax=bar, label="axon, mm", extend="min" if below else "neither", ticks=ticks or [norm.vmax]
    )
    bar.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    bar.yaxis.set_minor_formatter(NullFormatter())
    bar.tick_params(labelsize=6)


def _norm(values: Any) -> Any:
    """Logarithmic, over three decades at most: lengths of axons differ that much."""
    from matplotlib.colors import LogNorm

    most = float(values.max())
    least = float(values[values > 0].min())
    low = max(least, most / 1000)
    return LogNorm(vmin=min(low, most / 2), vmax=most, clip=True)


def _columns(axes: Axes, areas: Sequence[Area], size: float, high_mm: float) -> None:
    """Acronyms below the columns, and between them and the columns the colours of the tree."""
    from matplotlib.patches import Rectangle

    axes.set_xticks(range(len(areas)), [paper.short(area.acronym, 16) for area in areas], rotation=90, size=size)
    axes.tick_params(axis="x", length=0, pad=5)
    for n, area in enumerate(areas):
        strip = Rectangle(
            (n - 0.5, -1.5 / high_mm), 1, 1.2 / high_mm, transform=axes.get_xaxis_transform(), clip_on=False
        )
        strip.set(facecolor=area.colour, edgecolor="white" if area.kind == "region" else paper.SOFT, linewidth=0.3)
        axes.add_patch(strip)


def _somata(axes: Axes, areas: Sequence[Area | None], wide_mm: float) -> None:
    """The colours of the regions that the somata of the rows lie in."""
    from matplotlib.patches import Rectangle

    for n, area in enumerate(areas):
        if area is not None:
            strip = Rectangle(
                (-1.5 / wide_mm, n - 0.5), 1.2 / wide_mm, 1, transform=axes.get_yaxis_transform(), clip_on=False
            )
            strip.set(facecolor=area.colour, edgecolor="white", linewidth=0.3 if len(areas) <= _MOST_NAMES else 0)
            axes.add_patch(strip)


def bars_figure(tables: Tables, title: str, notes: Sequence[str]) -> Figure:
    """Length of axon and dendrite by region: the left hemisphere filled, the right one hatched."""
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    by_area: dict[Area, list[RegionRow]] = {}
    for row in tables.regions:
        if any(row.lengths_um.values()):
            by_area.setdefault(row.area, []).append(row)
    total = {area: sum(sum(row.lengths_um.values()) for row in rows) for area, rows in by_area.items()}
    fullest = set(sorted(total, key=lambda area: -total[area])[:_MOST_BARS])
    areas = [area for area in by_area if area in fullest]
    if len(areas) < len(by_area):
        areas.append(OTHERS)
        by_area[OTHERS] = [row for area, rows in by_area.items() if area not in fullest for row in rows]
    parts = [
        part for part in ("axon", "dendrite", "other") if any(row.lengths_um[part] for row in tables.regions)
    ] or ["axon"]
    each, top = 4.6, 18.0
    left = 8 + 1.25 * max([len(paper.short(area.acronym, 22)) for area in areas], default=4)
    height = max(12.0, each * len(areas))
    width = (paper.WIDTH_MM - left - 8 - 8 * (len(parts) - 1)) / len(parts)
    figure = paper.new_figure(top + height + 16 + 3.2 * len(notes))
    paper.write_at(figure, 3, 3.5, title, size=9, weight="bold")
    for n, part in enumerate(parts):
        axes = paper.axes_at(figure, left + n * (width + 8), top, width, height)
        for side, away, hatch in (("left", -0.19, None), ("right", 0.19, "//////"), ("n/a", 0.0, "....")):
            lengths = [
                sum(row.lengths_um[part] for row in by_area[area] if row.hemisphere == side) / 1000
                for area in areas
            ]
            places = np.arange(len(areas)) + away
            if not any(lengths):
                continue
            axes.barh(
                places,
                lengths,
                0.36,
                color=[area.colour if not hatch else "white" for area in areas],
                edgecolor=[paper.darker(area.colour, 0.6) for area in areas],
                hatch=hatch,
                linewidth=0.5,
            )
        axes.set(
            ylim=(len(areas) - 0.4, -0.6), xlim=(0, None), xlabel=f"{part}, mm" if part != "other" else "other, mm"
        )
        axes.set_yticks(
            range(len(areas)), [paper.short(area.acronym, 22) for area in areas] if n == 0 else [], size=6
        )
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#EEF1F4", lw=0.6)
        axes.set_axisbelow(True)
    wide, high = (inch / paper.MM for inch in figure.get_size_inches())
    figure.legend(
        handles=[
            Patch(fc="#B9C2CD", ec=paper.SOFT, lw=0.5, label="left hemisphere"),
            Patch(fc="white", ec=paper.SOFT, lw=0.5, hatch="//////", label="right hemisphere"),
        ],
        loc="upper left",
        bbox_to_anchor=(left / wide, 1 - 11 / high),
        ncols=2,
        frameon=False,
        fontsize=6.5,
        borderpad=0,
        borderaxespad=0,
    )
    paper.write_notes(figure, notes)
    return figure
