"""The figure of a brain: from above, from the left and from the front, with regions and neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from neuropack.page.atlas import figure as paper
from neuropack.page.atlas.neurites import Drawn, Lines
from neuropack.space.annotation import Annotation
from neuropack.space.frames import EXTENT_UM, MIDLINE_UM
from neuropack.space.levels import Area, Level
from neuropack.space.outlines import VIEWS, Plane, Ring, View, ViewName, outlines, rings, silhouettes, surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEP_UM: Final = 50.0
"""Edge of a cell of the outlines: a third of a millimetre on paper."""

_SCALE = 6.4  # millimetre of paper for one of the brain
_LEFT, _TOP, _GAP = 7.0, 17.0, 12.0
_MOST_INSIDE = 6  # dashed outlines, before they hide each other
_SPECK = 8  # cells: smaller parts of a region are not drawn
_MOST_REGIONS, _MOST_NEURONS = 18, 21  # that a legend names
_MOST_VECTORS = 60_000  # points of lines that an SVG holds as such; more become an image in it
_LABEL_PT, _LETTER = 5.5, 0.62  # size of a region's name, and width of a letter as a part of it
_NAME = 30  # letters that a region has in the legend
_ENDS = {0: ("A", "P"), 1: ("D", "V"), 2: ("L", "R")}
_TITLES = {"top": "from above", "side": "from the left", "front": "from the front"}


@dataclass(frozen=True, eq=False)
class Scene:
    """The regions of one view.

    Attributes:
        seen: the surface.
        inside: shadows of regions that the surface does not show, by id.
    """

    seen: Plane
    inside: Mapping[int, npt.NDArray[np.bool_]]


def scenes(annotation: Annotation, level: Level) -> dict[ViewName, Scene]:
    """The regions of a level in all views."""
    found: dict[ViewName, Scene] = {}
    for name, view in VIEWS.items():
        seen = surface(annotation, view, level, STEP_UM)
        visible = set(np.unique(seen.ids).tolist())
        shadows = silhouettes(annotation, view, level, STEP_UM)
        found[name] = Scene(seen, {id: shadow for id, shadow in shadows.items() if id not in visible})
    return found


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
    wide, high, deep = (EXTENT_UM[axis] / 1000 * _SCALE for axis in (2, 0, 1))
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
    for name, view in VIEWS.items():
        axes = paper.axes_at(figure, *places[name])
        _frame(axes, view, _TITLES[name])
        if views is not None:
            _regions(axes, views[name], areas, [one.id for one in reached], neurons)
        else:
            axes.add_patch(_box(view))
        _neurons(axes, neurons, view, vectors=vectors)
    shown = _shown(views, reached)
    _legend(figure, right, _TOP, neurons, shown)
    paper.write_notes(figure, notes)
    return figure


def _frame(axes: Axes, view: View, title: str) -> None:
    """Limits, directions, the midline and a scale bar."""
    wide, high = view.extent_um
    axes.set(xlim=(0, wide), ylim=(high, 0), xticks=[], yticks=[], aspect="equal")
    axes.set_axis_off()
    axes.set_title(title, loc="left", pad=7, color=paper.SOFT, size=7)
    away = 230
    (left, right), (top, bottom) = _ENDS[view.across], _ENDS[view.down]
    style: dict[str, Any] = {"size": 7, "weight": "bold", "color": paper.SOFT, "clip_on": False}
    axes.text(-away, high / 2, left, ha="right", va="center", **style)
    axes.text(wide + away, high / 2, right, ha="left", va="center", **style)
    axes.text(wide / 2, -away, top, ha="center", va="bottom", **style)
    axes.text(wide / 2, high + away, bottom, ha="center", va="top", **style)
    if view.across == 2:
        axes.plot([MIDLINE_UM] * 2, [0, high], color=paper.SOFT, lw=0.5, ls=(0, (6, 2, 1, 2)), zorder=2.5)
    axes.plot([0, 2000], [high - 60] * 2, color=paper.INK, lw=1.6, solid_capstyle="butt", zorder=9)
    axes.text(1000, high - 150, "2 mm", ha="center", va="bottom", size=6, zorder=9)


def _box(view: View) -> Any:
    from matplotlib.patches import Rectangle

    wide, high = view.extent_um
    return Rectangle((0, 0), wide, high, fill=False, ec=paper.FAINT, lw=0.6, ls=(0, (2, 2)))


def _regions(
    axes: Axes, scene: Scene, areas: Mapping[int, Area], reached: Sequence[int], neurons: Sequence[Drawn]
) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.patheffects import withStroke

    for outline in outlines(scene.seen):
        colour = areas[outline.id].colour
        shape = _shape(outline.rings, scene.seen.step_um)
        axes.add_patch(PathPatch(shape, fc=colour, alpha=0.30, lw=0, zorder=1))
        axes.add_patch(PathPatch(shape, fc="none", ec=paper.darker(colour), lw=0.5, joinstyle="round", zorder=2))
    inside = [id for id in reached if id in scene.inside and areas[id].kind == "region"][:_MOST_INSIDE]
    for id in inside:
        shape = _shape(rings(scene.inside[id], scene.seen.step_um), scene.seen.step_um)
        style = {"ec": paper.darker(areas[id].colour, 0.75), "lw": 0.6, "ls": (0, (2.5, 1.5))}
        axes.add_patch(PathPatch(shape, fc="none", zorder=2.2, **style))
    for id, across, down in _names(scene, areas, inside, neurons):
        axes.text(
            across,
            down,
            paper.short(areas[id].acronym, 14),
            size=_LABEL_PT,
            color=paper.darker(areas[id].colour, 0.6) if id in inside else paper.INK,
            style="italic" if id in inside else "normal",
            ha="center",
            va="center",
            zorder=8,
            path_effects=[withStroke(linewidth=1.4, foreground="white", alpha=0.85)],
        )


def _names(
    scene: Scene, areas: Mapping[int, Area], inside: Sequence[int], neurons: Sequence[Drawn]
) -> list[tuple[int, float, float]]:
    """Where there is room for an acronym: in the widest place of a region without neurites, none over another."""
    from scipy.ndimage import distance_transform_edt

    step, found = scene.seen.step_um, []
    taken: list[tuple[float, float, float, float]] = []
    covered = _covered(scene.seen, neurons)
    seen = [(id, scene.seen.ids == id) for id in np.unique(scene.seen.ids).tolist() if id]
    masks = [*sorted(seen, key=lambda one: -int(one[1].sum())), *((id, scene.inside[id]) for id in inside)]
    for id, mask in masks:
        if areas[id].kind != "region":
            continue
        acronym = paper.short(areas[id].acronym, 14)
        half_high = _LABEL_PT * 0.36 / _SCALE * 1000 / 2  # points to millimetres of paper, to micrometres
        half_wide = half_high * _LETTER * (len(acronym) + 0.5)
        for where in (mask & ~covered, mask):
            depth = distance_transform_edt(np.pad(where, 1))[1:-1, 1:-1]
            if depth.max() * step > 0.8 * half_wide:
                break
        down, across = np.unravel_index(int(np.argmax(depth)), depth.shape)
        room = float(depth[down, across]) * step
        x, y = (float(across) + 0.5) * step, (float(down) + 0.5) * step
        box = (x - half_wide, x + half_wide, y - 1.3 * half_high, y + 1.3 * half_high)
        free = all(
            box[1] < other[0] or other[1] < box[0] or box[3] < other[2] or other[3] < box[2] for other in taken
        )
        if free and room > max(half_high, 0.75 * half_wide):
            taken.append(box)
            found.append((id, x, y))
    return found


def _covered(plane: Plane, neurons: Sequence[Drawn]) -> npt.NDArray[np.bool_]:
    """The cells of a picture that neurites or the midline run through."""
    covered = np.zeros(plane.ids.shape, np.bool_)
    for one in neurons:
        for part in (one.axon, one.rest):
            points = part[plane.view.name].points / plane.step_um
            across, down = (np.floor(points[:, n]).astype(np.int64) for n in (0, 1))
            there = (across >= 0) & (down >= 0) & (across < covered.shape[1]) & (down < covered.shape[0])
            covered[down[there], across[there]] = True
    if plane.view.across == 2:
        covered[:, int(MIDLINE_UM / plane.step_um)] = True
    return covered


def _shape(parts: Sequence[Ring], step_um: float) -> Any:
    """Rings as a path; without specks, which the region around them covers, for there they are holes."""
    from matplotlib.path import Path as Shape

    parts = [ring for ring in parts if _area(ring) > _SPECK * step_um**2]
    if not parts:
        return Shape(np.empty((0, 2)))

    return Shape.make_compound_path(
        *(Shape(np.vstack([ring, ring[:1]]), closed=True) for ring in map(_soft, parts))
    )


def _area(ring: Ring) -> float:
    across, down = ring.T
    return abs(float((across * np.roll(down, -1) - np.roll(across, -1) * down).sum())) / 2


def _soft(ring: Ring) -> Ring:
    """A ring without its stairs: the middles of its faces, averaged with those beside them (within a voxel)."""
    steps = np.diff(np.vstack([ring, ring[:1]]), axis=0)
    unit = np.abs(steps).sum(axis=1)
    edge = unit.min()
    counts = np.maximum(1, np.rint(unit / edge)).astype(int)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    middles = np.repeat(ring, counts, axis=0) + (
        (number + 0.5)[:, None] * np.repeat(steps / counts[:, None], counts, axis=0)
    )
    for _ in range(2):
        middles = (np.roll(middles, 1, axis=0) + 2 * middles + np.roll(middles, -1, axis=0)) / 4
    return np.asarray(middles, np.float64)


def _neurons(axes: Axes, neurons: Sequence[Drawn], view: View, *, vectors: bool) -> None:
    """Axons, on them dendrites, on them somata."""
    from matplotlib.patches import PathPatch

    thin = 0.5 if len(neurons) <= 50 else 0.3
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
) -> None:
    """What colours and lines mean, in the empty corner."""
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
        down = block("Neurons", named, top, 3)
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
        block(f"Regions with neurites{count}", patches, down, 2)


def _named(one: Area) -> str:
    room = max(8, _NAME - len(one.acronym))
    name = one.name if len(one.name) <= room else one.name[: room - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    return one.acronym if not one.name or one.name == one.acronym else f"{one.acronym}  {name}"
