"""The regions of a view as they are drawn: filled surfaces, dashed silhouettes, acronyms where there is room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from neuropack.page.atlas import figure as paper
from neuropack.page.atlas.neurites import Drawn
from neuropack.space.annotation import Annotation
from neuropack.space.frames import MIDLINE_UM
from neuropack.space.levels import Area, Level
from neuropack.space.outlines import VIEWS, Plane, Ring, ViewName, outlines, rings, silhouettes, surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEP_UM: Final = 50.0
"""Edge of a cell of the outlines: a third of a millimetre on paper."""
SCALE: Final = 6.4
"""Millimetres of paper for one of the brain."""

_MOST_INSIDE = 6  # dashed outlines, before they hide each other
_SPECK = 8  # cells: smaller parts of a region are not drawn
_LABEL_PT, _LETTER = 5.5, 0.62  # size of a region's name, and width of a letter as a part of it


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


def draw_regions(
    axes: Axes, scene: Scene, areas: Mapping[int, Area], reached: Sequence[int], neurons: Sequence[Drawn]
) -> None:
    """Surfaces, silhouettes of the first of the reached regions that lie inside, and acronyms."""
    from matplotlib.patches import PathPatch
    from matplotlib.patheffects import withStroke

    draw_surface(axes, scene, areas)
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


def draw_surface(axes: Axes, scene: Scene, areas: Mapping[int, Area]) -> None:
    """What one sees from outside, pale, with an outline."""
    from matplotlib.patches import PathPatch

    for outline in outlines(scene.seen):
        colour = areas[outline.id].colour
        shape = _shape(outline.rings, scene.seen.step_um)
        axes.add_patch(PathPatch(shape, fc=colour, alpha=0.30, lw=0, zorder=1))
        axes.add_patch(PathPatch(shape, fc="none", ec=paper.darker(colour), lw=0.5, joinstyle="round", zorder=2))


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
        half_high = _LABEL_PT * 0.36 / SCALE * 1000 / 2  # points to millimetres of paper, to micrometres
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
    covered: npt.NDArray[np.bool_] = np.zeros(plane.ids.shape, np.bool_)
    for one in neurons:
        for part in (one.axon, one.rest):
            points: Ring = np.asarray(part[plane.view.name].points, np.float64) / plane.step_um
            across, down = np.floor(points[:, 0]).astype(np.int64), np.floor(points[:, 1]).astype(np.int64)
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
