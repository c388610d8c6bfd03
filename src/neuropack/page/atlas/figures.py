"""All figures of a summary, as files."""

from __future__ import annotations

from collections.abc import Sequence

from neuropack.page.atlas import figure as paper
from neuropack.page.atlas.atlases import Used
from neuropack.page.atlas.brain import brain_figure
from neuropack.page.atlas.charts import bars_figure, matrix_figure
from neuropack.page.atlas.neurites import Drawn
from neuropack.page.atlas.region_shapes import scenes
from neuropack.page.atlas.tables import Tables
from neuropack.space.levels import Area, Level

_LEVELS = {"summary": "the major divisions of the brain", "annotation": "regions as annotated"}


def draw_all(
    tables: Tables, drawn: Sequence[Drawn], used: Used, level: Level, notes: Sequence[str]
) -> dict[str, bytes]:
    """The brain, the projection matrix and the bars, each as PNG and SVG, by the names of their files."""
    lengths: dict[Area, float] = {}
    for row in tables.regions:
        lengths[row.area] = lengths.get(row.area, 0.0) + sum(row.lengths_um.values())
    reached = sorted((area for area, length in lengths.items() if length), key=lambda area: -lengths[area])
    about = [used.sentence(), f"Level: {_LEVELS.get(level.name, level.name)}"]
    views = scenes(used.atlas.annotation, level) if used.atlas else None
    if views is None:
        drawing = "No annotation was at hand: the frames are those of the volume, without outlines of regions."
    else:
        drawing = "Left is drawn at the left in all views. Outlines are smoothed within a voxel, specks left out."
    count = len(tables.neurons)
    who = f"{count:,} neuron{'s' if count != 1 else ''}"
    told = [paper.short(note, 130) for note in notes if note not in used.notes]
    with paper.look():
        figures = {
            "brain": brain_figure(drawn, views, level, reached, f"{who} in the brain", [*about, drawing, *told]),
            "matrix": matrix_figure(tables, f"Axons of {who} by region", about),
            "lengths": bars_figure(tables, f"Neurites of {who} by region", about),
        }
        files = {
            f"{name}.{suffix}": content
            for name, figure in figures.items()
            if figure is not None
            for suffix, content in paper.files_of(figure).items()
        }
    return files
