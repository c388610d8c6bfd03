"""The figure of a brain: from above, from the left and from the front, with regions and neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.page.atlas import figure as paper
from neuropack.page.atlas.neurites import Drawn, Lines
from neuropack.page.atlas.region_shapes import SCALE, Scene, draw_regions, draw_surface
from neuropack.page.projections import scale_bar
from neuropack.space.frames import EXTENT_UM, MIDLINE_UM
from neuropack.space.levels import Area, Level
from neuropack.space.outlines import VIEWS, Ring, View, ViewName

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT, _TOP, _GAP = 7.0, 17.0, 12.0
_MOST_REGIONS, _MOST_NEURONS = 18, 21  # that a legend names
_MOST_VECTORS = 60_000  # points of lines that an SVG holds as such; more become an image in it
_WIDTHS, _FINE = ((50, 0.5), (200, 0.3)), 0.12  # points, of an axon by the number of neurons
_SMALLEST, _NEAR_UM = 30.0, 600.0  # millimetres of paper that a close-up needs; neurons that it shows together
_NAME = 30  # letters that a region has in the legend
_TITLES = {"top": "from above", "side": "from the left", "front": "from the front"}


def brain_figure(
    neurons: Sequence[Drawn],
    views: Mapping[ViewName, Scene] | None,
    level: Level,
    reached: Sequence[Area],
    title: str,
    notes: Sequence[str],
) -> Figure:
    """Draw it.

    Args:
        neurons: their lines.
        views: the regions; None without an annotation.
        level: their names and colours.
        reached: regions that hold something of the neurons, the fullest first.
        title: of the figure.
        notes: lines below, such as which annotation it is.
    """
    wide, high, deep = (EXTENT_UM[axis] / 1000 * SCALE for axis in (2, 0, 1))
    right = _LEFT + wide + _GAP
    below = _TOP + high + _GAP
    figure = paper.new_figure(below + deep + 11 + 3.2 * len(notes), right + high + 5)
    paper.write_at(figure, 3, 3.5, title, size=9, weight="bold")
    vectors = sum(one.size for one in neurons) <= _MOST_VECTORS
    areas = {one.id: one for one in level.areas()}
    places = {
        "top": (_LEFT, _TOP, wide, high),
        "front": (_LEFT, below, wide, deep),
        "side": (right, below, high, deep),
    }
    overview: Axes | None = None
    for name, view in VIEWS.items():
        axes = paper.axes_at(figure, *places[name])
        overview = axes if name == "top" else overview
        _frame(axes, view, _TITLES[name])
        if views is not None:
            draw_regions(axes, views[name], areas, [one.id for one in reached], neurons)
        else:
            axes.add_patch(_box(view))
        _neurons(axes, neurons, view, vectors=vectors)
    shown = _shown(views, reached)
    down = _legend(figure, right, _TOP, neurons, shown)
    _close_up(figure, (right, down, high, _TOP + high - down), overview, neurons, views, areas, vectors=vectors)
    paper.write_notes(figure, notes)
    return figure


def _frame(axes: Axes, view: View, title: str) -> None:
    """Limits, directions, the midline and a scale bar."""
    from matplotlib.patheffects import withStroke

    wide, high = view.extent_um
    axes.set(xlim=(0, wide), ylim=(high, 0), xticks=[], yticks=[], aspect="equal")
    axes.set_axis_off()
    axes.set_title(title, loc="left", pad=7, color=paper.SOFT, size=7)
    away = 230
    left, right, top, bottom = view.ends
    style: dict[str, Any] = {"size": 7, "weight": "bold", "color": paper.SOFT, "clip_on": False}
    axes.text(-away, high / 2, left, ha="right", va="center", **style)
    axes.text(wide + away, high / 2, right, ha="left", va="center", **style)
    axes.text(wide / 2, -away, top, ha="center", va="bottom", **style)
    axes.text(wide / 2, high + away, bottom, ha="center", va="top", **style)
    if view.across == 2:
        axes.plot([MIDLINE_UM] * 2, [0, high], color=paper.SOFT, lw=0.5, ls=(0, (6, 2, 1, 2)), zorder=2.5)
    axes.plot([0, 2000], [high - 60] * 2, color=paper.INK, lw=1.6, solid_capstyle="butt", zorder=9)
    halo = withStroke(linewidth=1.4, foreground="white", alpha=0.85)
    axes.text(1000, high - 150, "2 mm", ha="center", va="bottom", size=6, zorder=9, path_effects=[halo])


def _box(view: View) -> Any:
    from matplotlib.patches import Rectangle

    wide, high = view.extent_um
    return Rectangle((0, 0), wide, high, fill=False, ec=paper.FAINT, lw=0.6, ls=(0, (2, 2)))


def _close_up(
    figure: Figure,
    place: tuple[float, float, float, float],
    overview: Axes | None,
    neurons: Sequence[Drawn],
    views: Mapping[ViewName, Scene] | None,
    areas: Mapping[int, Area],
    *,
    vectors: bool,
) -> None:
    """Most of the neurons that lie near each other, from above, larger; if they and the paper have room for it."""
    from matplotlib.patches import Rectangle

    view = VIEWS["top"]
    boxes = [box for one in neurons if (box := _box_of(one)) is not None]
    left, top, height = place[0], place[1] + 5, place[3] - 8
    if overview is None or not boxes or height < _SMALLEST:
        return
    width = min(place[2], 1.3 * height)
    middles = np.array([box.mean(axis=0) for box in boxes])
    near = np.linalg.norm(middles[:, None] - middles, axis=2) < _NEAR_UM
    chosen = np.array(boxes)[near[int(near.sum(axis=1).argmax())]]
    low, high = chosen[:, 0].min(axis=0), chosen[:, 1].max(axis=0)
    wide, tall = np.maximum(high - low, 100.0) * 1.15
    wide, tall = max(wide, tall * width / height), max(tall, wide * height / width)
    if wide * SCALE / 1000 > width / 3:  # it would not even be three times as large
        return
    across, down = (low + high) / 2 - (wide / 2, tall / 2)
    axes = paper.axes_at(figure, left, top, width, height)
    if views is not None:
        draw_surface(axes, views["top"], areas)
    _neurons(axes, neurons, view, vectors=vectors)
    axes.set(xlim=(across, across + wide), ylim=(down + tall, down), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set(linewidth=0.6, color=paper.SOFT)
    axes.set_title(
        f"close-up of {len(chosen)}, framed in the view from above", loc="left", pad=4, color=paper.SOFT, size=7
    )
    bar = scale_bar(wide)
    at = across + 0.03 * wide
    axes.plot([at, at + bar], [down + 0.93 * tall] * 2, color=paper.INK, lw=1.6, solid_capstyle="butt", zorder=9)
    axes.text(at + bar / 2, down + 0.90 * tall, f"{bar:g} µm", ha="center", va="bottom", size=6, zorder=9)
    overview.add_patch(Rectangle((across, down), wide, tall, fill=False, ec=paper.SOFT, lw=0.6, zorder=7))


def _box_of(one: Drawn) -> Ring | None:
    """The smallest and largest coordinates of a neuron from above, (2, 2); None where it has no line."""
    found = [part["top"].points for part in (one.axon, one.rest) if len(part["top"].points)]
    if not found:
        return None
    points = np.concatenate(found).astype(np.float64)
    return np.array([points.min(axis=0), points.max(axis=0)])


def _neurons(axes: Axes, neurons: Sequence[Drawn], view: View, *, vectors: bool) -> None:
    """Axons, on them dendrites, on them somata."""
    from matplotlib.patches import PathPatch

    thin = next((width for most, width in _WIDTHS if len(neurons) <= most), _FINE)
    for zorder, part, width in ((4, "axon", thin), (5, "rest", 1.6 * thin)):
        for n, one in enumerate(neurons):
            found: Lines = getattr(one, part)[view.name]
            if len(found.points):
                style = {"ec": paper.neuron_colour(n), "lw": width, "capstyle": "round", "joinstyle": "round"}
                axes.add_patch(PathPatch(_path(found), fc="none", zorder=zorder, rasterized=not vectors, **style))
    known = [(n, one.soma) for n, one in enumerate(neurons) if one.soma is not None]
    if known:
        at = np.array([soma for _, soma in known])[:, [view.across, view.down]]
        size = 9 if len(neurons) <= 50 else 3
        colours = [paper.neuron_colour(n) for n, _ in known]
        axes.scatter(at[:, 0], at[:, 1], s=size, c=colours, edgecolors="white", linewidths=0.3, zorder=6)


def _path(found: Lines) -> Any:
    from matplotlib.path import Path as Shape

    return Shape(found.points, np.where(found.begins, Shape.MOVETO, Shape.LINETO).astype(Shape.code_type))


def _shown(views: Mapping[ViewName, Scene] | None, reached: Sequence[Area]) -> list[Area]:
    """The regions that the legend names: those that hold something of the neurons; with outlines, in these."""
    return [one for one in reached if one.kind == "region"] if views is not None else []


def _legend(
    figure: Figure,
    left: float,
    top: float,
    neurons: Sequence[Drawn],
    regions: Sequence[Area],
) -> float:
    """What colours and lines mean, in the empty corner; how far down it reaches, millimetre."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    wide, high = (inch / paper.MM for inch in figure.get_size_inches())

    def block(title: str, handles: list[Any], down: float, columns: int) -> float:
        """One legend; how far down it reaches."""
        paper.write_at(figure, left, down, title, size=7, weight="bold")
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(left / wide, 1 - (down + 3.6) / high),
            ncols=columns,
            frameon=False,
            fontsize=6,
            borderpad=0,
            borderaxespad=0,
            labelspacing=0.45,
            columnspacing=1.6,
            handlelength=1.6,
        )
        return down + 3.6 + 3.15 * -(-len(handles) // columns) + 3

    names = paper.short_names([one.neuron.id for one in neurons[:_MOST_NEURONS]])
    named = [
        Line2D([], [], color=paper.neuron_colour(n), lw=1.2, marker="o", ms=2.6, label=paper.short(names[n], 20))
        for n, one in enumerate(neurons[:_MOST_NEURONS])
    ]
    if len(neurons) > _MOST_NEURONS:
        paper.write_at(figure, left, top, f"{len(neurons):,} neurons, each in a colour", size=7, weight="bold")
        down = top + 6
    else:
        down = block("Neurons", named, top, 3 if max(map(len, names), default=0) <= 13 else 2)
    strokes: list[Any] = [
        Line2D([], [], color=paper.INK, lw=0.5, label="axon"),
        Line2D([], [], color=paper.INK, lw=1.1, label="dendrite"),
        Line2D([], [], color=paper.INK, lw=0, marker="o", ms=3, mec="white", mew=0.3, label="soma"),
    ]
    if regions:
        strokes += [
            Line2D([], [], color=paper.SOFT, lw=0.8, label="region, surface"),
            Line2D([], [], color=paper.SOFT, lw=0.8, ls=(0, (2.5, 1.5)), label="region inside, silhouette"),
        ]
    down = block("Lines", strokes, down, 3)
    if regions:
        some = regions[:_MOST_REGIONS]
        patches: list[Any] = [
            Patch(fc=one.colour, ec=paper.darker(one.colour), lw=0.6, label=_named(one)) for one in some
        ]
        count = f" ({len(some)} of {len(regions)}, those with most)" if len(regions) > len(some) else ""
        down = block(f"Regions with neurites{count}", patches, down, 2)
    return down


def _named(one: Area) -> str:
    room = max(8, _NAME - len(one.acronym))
    name = one.name if len(one.name) <= room else one.name[: room - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    return one.acronym if not one.name or one.name == one.acronym else f"{one.acronym}  {name}"
