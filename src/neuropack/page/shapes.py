"""Figures of the shapes of neurons: Sholl profiles and persistence, of each and of all together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from neuropack.morphology.table import Shape
from neuropack.page.atlas import figure as paper
from neuropack.progress import Progress
from neuropack.table import tsv_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGE = "figures"
ALL = "all-neurons"
SHOLL_TABLE, PERSISTENCE_TABLE = "sholl.tsv", "persistence.tsv"

# Okabe & Ito 2008, without yellow, which is too faint on white; told apart by people with any colour vision.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_STYLES: Final = ("-", "--")  # with seven colours: fourteen lines that can be told apart
MOST_NAMED: Final = len(_COLOURS) * len(_STYLES)
_MARKS: Final = ("o", "^")
_HEIGHT_MM, _TOP_MM, _PANEL_MM = 68.0, 15.0, 40.0
_LEFTS_MM, _WIDTH_MM = (13.0, 74.0, 134.0), 43.0


def write_figures(shapes: Sequence[Shape], folder: Path, progress: Progress | None = None) -> list[Path]:
    """Write a figure of each neuron (PNG), one of all where there are several (PNG and SVG), and what they show.

    Args:
        shapes: the neurons. Where two have the same name, their files are numbered.
        folder: where to; it is there already.
        progress: told a name, figures done, figures in all.

    Returns:
        The files: figures, then the tables ``sholl.tsv`` and ``persistence.tsv``.
    """
    written = []
    total = len(shapes) + (len(shapes) > 1)
    with paper.look():
        for number, (name, shape) in enumerate(zip(file_names(shapes), shapes, strict=True), 1):
            written.append(folder / f"{name}.png")
            written[-1].write_bytes(_png(neuron_figure(shape)))
            if progress:
                progress(STAGE, number, total)
        if len(shapes) > 1:
            for suffix, content in paper.files_of(all_figure(shapes)).items():
                written.append(folder / f"{ALL}.{suffix}")
                written[-1].write_bytes(content)
            if progress:
                progress(STAGE, total, total)
    for name, text in ((SHOLL_TABLE, _sholl_text(shapes)), (PERSISTENCE_TABLE, _persistence_text(shapes))):
        written.append(folder / name)
        written[-1].write_text(text, encoding="utf-8", newline="\n")
    return written


def file_names(shapes: Sequence[Shape]) -> list[str]:
    """A name of its own for the figure of each neuron, with no letter that a file system minds."""
    taken = {ALL}
    names = []
    for shape in shapes:
        plain = "".join(c if c.isalnum() or c in "-_. " else "-" for c in shape.neuron).strip(". ") or "neuron"
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def neuron_figure(shape: Shape) -> Figure:
    """The Sholl profile, the barcode and the persistence diagram of a neuron."""
    titles = (_sholl_title("Sholl profile", shape), "Persistence barcode", "Persistence diagram")
    figure, (sholl, barcode, diagram) = _panels(paper.short(shape.neuron, 70), titles)
    colour = _COLOURS[0]
    _sholl_axes(sholl, [shape])
    sholl.plot(shape.sholl.radii_um, shape.sholl.crossings, color=colour, linewidth=1.2)
    radius = shape.features["sholl_radius_of_max_um"]
    if radius is not None:
        most = float(shape.features["sholl_max_crossings"] or 0)
        sholl.plot([radius], [most], "o", color=_COLOURS[1], markersize=3.5)
        side, shift = ("left", 4) if radius < 0.5 * shape.sholl.radii_um[-1] else ("right", -4)
        label = f"{most:g} at {radius:g} \N{MICRO SIGN}m"
        sholl.annotate(label, (radius, most), (shift, 3), textcoords="offset points", size=6, ha=side)
    _barcode(barcode, shape.persistence, colour)
    _diagram_axes(diagram, [shape])
    diagram.plot(*shape.persistence.T, "o", color=colour, markersize=2.2, alpha=0.7, markeredgewidth=0)
    return figure


def all_figure(shapes: Sequence[Shape]) -> Figure:
    """The Sholl profiles and persistence diagrams of several neurons on each other.

    A few have a colour and a name each. Of more, the median and the middle half are drawn over thin lines.
    """
    titles = (_sholl_title("Sholl profiles", shapes[0]), "Branches by path distance", "Persistence diagrams")
    figure, (sholl, reach, diagram) = _panels(f"{len(shapes):,} neurons", titles)
    _sholl_axes(sholl, shapes)
    _diagram_axes(diagram, shapes)
    named = len(shapes) <= MOST_NAMED
    short = paper.short_names([shape.neuron for shape in shapes])
    for number, shape in enumerate(shapes):
        style = _style(number) if named else {"color": paper.SOFT, "linewidth": 0.4, "alpha": 0.35}
        label = paper.short(short[number], 22) if named else None
        sholl.plot(shape.sholl.radii_um, shape.sholl.crossings, label=label, **style)
        reach.plot(*_reach(shape.persistence), **style)
        mark = _MARKS[number // len(_COLOURS) % len(_MARKS)] if named else "o"
        colour = style["color"] if named else _COLOURS[0]
        size, alpha = (2.2, 0.6) if named else (1.4, 0.15)
        diagram.plot(*shape.persistence.T, mark, color=colour, markersize=size, alpha=alpha, markeredgewidth=0)
    if not named and any(len(shape.sholl.radii_um) for shape in shapes):
        _middle(sholl, shapes)
    reach.set(xlabel=_um("path distance"), ylabel="branches there", ylim=(0, None), xlim=(0, None))
    if named:
        figure.set_figheight((_HEIGHT_MM + 4.2 * -(-len(shapes) // 4)) * paper.MM)
        _place(figure, (sholl, reach, diagram))
        figure.legend(
            *sholl.get_legend_handles_labels(),
            loc="lower center",
            ncols=4,
            frameon=False,
            fontsize=6,
            handlelength=2.5,
            borderaxespad=0.3,
        )
    return figure


def _um(what: str) -> str:
    return f"{what} (\N{MICRO SIGN}m)"


def _sholl_title(words: str, shape: Shape) -> str:
    return f"{words}, every {shape.features['sholl_step_um']:g} \N{MICRO SIGN}m"


def _style(number: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "linestyle": _STYLES[number // len(_COLOURS) % len(_STYLES)],
        "linewidth": 1.0,
    }


def _panels(title: str, titles: Sequence[str]) -> tuple[Figure, list[Axes]]:
    figure = paper.new_figure(_HEIGHT_MM)
    axes = [paper.axes_at(figure, left, _TOP_MM, _WIDTH_MM, _PANEL_MM) for left in _LEFTS_MM]
    for one, words in zip(axes, titles, strict=True):
        one.set_title(words, loc="left", size=7)
        one.spines[["top", "right"]].set_visible(False)
    _title(figure, title)
    return figure, axes


def _title(figure: Figure, title: str) -> None:
    for old in list(figure.texts):
        old.remove()
    paper.write_at(figure, 3, 2.5, title, size=9, weight="bold")


def _place(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put panels and title of a figure that has grown back to their distance from its top."""
    high = figure.get_size_inches()[1] / paper.MM
    wide = figure.get_size_inches()[0] / paper.MM
    for left, one in zip(_LEFTS_MM, axes, strict=True):
        bottom = 1 - (_TOP_MM + _PANEL_MM) / high
        one.set_position((left / wide, bottom, _WIDTH_MM / wide, _PANEL_MM / high))
    _title(figure, figure.texts[0].get_text())


def _sholl_axes(axes: Axes, shapes: Sequence[Shape]) -> None:
    far = max((float(one.sholl.radii_um[-1]) for one in shapes if len(one.sholl.radii_um)), default=1.0)
    most = max((int(one.sholl.crossings.max()) for one in shapes if len(one.sholl.crossings)), default=1)
    axes.set(xlabel=_um("distance from the origin"), ylabel="crossings", xlim=(0, 1.03 * far))
    axes.set_ylim(0, 1.12 * max(most, 1))
    if not any(one.sholl.crossings.any() for one in shapes):
        axes.text(0.5, 0.5, "no sphere is reached", transform=axes.transAxes, ha="center", color=paper.SOFT)
    _whole(axes)


def _whole(axes: Axes) -> None:
    """Ticks of counts are whole."""
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def _barcode(axes: Axes, bars: npt.NDArray[np.float64], colour: str) -> None:
    """The bars, the longest at the top."""
    from matplotlib.collections import LineCollection

    order = np.argsort(bars[:, 1] - bars[:, 0], kind="stable")
    heights = np.arange(1, len(bars) + 1)
    lines = [[(a, y), (b, y)] for (a, b), y in zip(bars[order].tolist(), heights.tolist(), strict=True)]
    thick = min(2.0, _PANEL_MM * paper.MM * 72 / max(len(bars), 1) * 0.7)
    axes.add_collection(LineCollection(lines, colors=colour, linewidths=thick))
    far = float(bars.max()) if bars.size else 1.0
    axes.set(xlabel=_um("path distance"), ylabel="bars, longest on top", ylim=(0, len(bars) + 1))
    axes.set_xlim(0, 1.03 * (far or 1.0))
    _whole(axes)


def _diagram_axes(axes: Axes, shapes: Sequence[Shape]) -> None:
    far = 1.05 * (max((float(one.persistence.max()) for one in shapes if one.persistence.size), default=0) or 1)
    axes.plot([0, far], [0, far], color=paper.FAINT, linewidth=0.8, zorder=0)
    axes.set(xlabel=_um("branch leaves at"), ylabel=_um("and reaches"), ylim=(0, far))
    axes.set_xlim(-0.03 * far, far)


def _reach(bars: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """How many bars there are at each path distance: a step up where one begins, down where it ends."""
    ends = np.concatenate([bars[:, 0], bars[:, 1]])
    steps = np.repeat([1, -1], len(bars))
    order = np.argsort(ends, kind="stable")
    counts = np.cumsum(steps[order])
    return np.repeat(ends[order], 2)[1:], np.repeat(counts, 2)[:-1]


def _middle(axes: Axes, shapes: Sequence[Shape]) -> None:
    """Median and middle half of the profiles; a neuron that does not reach a sphere crosses it 0 times."""
    longest = max((one.sholl.radii_um for one in shapes), key=len)
    counts = np.zeros((len(shapes), len(longest)))
    for row, one in zip(counts, shapes, strict=True):
        row[: len(one.sholl.crossings)] = one.sholl.crossings
    low, middle, high = np.percentile(counts, (25, 50, 75), axis=0)
    axes.fill_between(longest, low, high, color=_COLOURS[4], alpha=0.45, linewidth=0, label="middle half")
    axes.plot(longest, middle, color=_COLOURS[0], linewidth=1.6, label="median")
    axes.legend(frameon=False, fontsize=6, loc="upper right")


def _png(figure: Figure) -> bytes:
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg

    out = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(
        out, format="png", dpi=paper.DPI, facecolor="white", metadata={"Software": "neuropack"}
    )
    return out.getvalue()


def _sholl_text(shapes: Sequence[Shape]) -> str:
    rows = [
        {"neuron": shape.neuron, "radius_um": radius, "crossings": count}
        for shape in shapes
        for radius, count in zip(shape.sholl.radii_um.tolist(), shape.sholl.crossings.tolist(), strict=True)
    ]
    return tsv_text(["neuron", "radius_um", "crossings"], rows)


def _persistence_text(shapes: Sequence[Shape]) -> str:
    rows = [
        {"neuron": shape.neuron, "start_um": start, "end_um": end}
        for shape in shapes
        for start, end in shape.persistence.tolist()
    ]
    return tsv_text(["neuron", "start_um", "end_um"], rows)
