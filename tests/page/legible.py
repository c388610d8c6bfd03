"""Whether what is written on a figure can be read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts(figure: Figure) -> Iterator[tuple[str, Bbox]]:
    """What is written on a figure, and where."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    beyond = set()  # labels of ticks that the limits leave out
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        beyond |= {id(tick.label1) for tick in ticks if not low <= tick.get_loc() <= high}
    for one in figure.findobj(Text):
        if id(one) not in beyond and isinstance(one, Text) and one.get_visible() and one.get_text().strip():
            yield one.get_text(), one.get_window_extent(renderer)


def assert_legible(figure: Figure) -> list[str]:
    """No text over another one, none off the paper; what is written."""
    found = list(texts(figure))
    wide, high = figure.bbox.width, figure.bbox.height
    for text, box in found:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= wide, text
        assert box.y1 <= high, text
    for (text, box), (other, below) in itertools.combinations(found, 2):
        shared = Bbox.intersection(box, below)
        assert shared is None or min(shared.width, shared.height) < 1.5, f"{text!r} lies over {other!r}"
    return [text for text, _ in found]
