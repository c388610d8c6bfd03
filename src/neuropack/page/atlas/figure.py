"""How the figures of a summary look: millimetres of paper, fonts, colours, and the files that they become."""

from __future__ import annotations

import colorsys
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MM: Final = 1 / 25.4  # inch
WIDTH_MM: Final = 183.0
"""Two columns of a journal."""
DPI: Final = 300
INK, SOFT, FAINT = "#16202C", "#5A6778", "#C9D0D9"

_LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "neuropack",  # the same figure, the same bytes
    "text.parse_math": False,  # a name with two dollar signs is no formula
}
_PALETTE = (
    *("#0B5CAD", "#C8372D", "#1E8449", "#B9770E", "#7D3C98", "#117A8B", "#A0522D", "#B03A77", "#5B6B1F", "#34495E"),
)
_GOLDEN = 0.618034  # steps of this part of a circle give hues that keep apart


@contextmanager
def look() -> Iterator[None]:
    """The look of the figures, for what is drawn and written inside."""
    import matplotlib

    with matplotlib.rc_context(_LOOK), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a name in another script is a box
        yield


def new_figure(height_mm: float, width_mm: float = WIDTH_MM) -> Figure:
    """An empty figure of so much paper."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_mm * MM, height_mm * MM), dpi=DPI)


def axes_at(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place of the paper, millimetre from its left and top edge."""
    wide, high = (inch / MM for inch in figure.get_size_inches())
    return figure.add_axes((left / wide, 1 - (top + height) / high, width / wide, height / high))


def write_at(figure: Figure, left: float, top: float, text: str, **style: Any) -> None:
    """Text at a place of the paper, millimetre from its left and top edge to the top of the text."""
    wide, high = (inch / MM for inch in figure.get_size_inches())
    figure.text(left / wide, 1 - top / high, text, **{"va": "top", **style})


def write_notes(figure: Figure, notes: Sequence[str]) -> None:
    """Lines at the bottom of the paper."""
    high = figure.get_size_inches()[1] / MM
    write_at(figure, 3, high - 2 - 3.2 * len(notes), "\n".join(notes), size=6, color=SOFT, linespacing=1.5)


def files_of(figure: Figure) -> dict[str, bytes]:
    """The figure as PNG and SVG, by suffix."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    found = {}
    for suffix, canvas, metadata in (
        ("png", FigureCanvasAgg(figure), {"Software": "neuropack"}),
        ("svg", FigureCanvasSVG(figure), {"Date": None, "Creator": "neuropack"}),
    ):
        out = io.BytesIO()
        canvas.print_figure(out, format=suffix, dpi=DPI, facecolor="white", metadata=metadata)
        found[suffix] = out.getvalue()
    return found


def neuron_colour(number: int) -> str:
    """The colour of a neuron, dark enough for white paper; neighbours are far apart."""
    if number < len(_PALETTE):
        return _PALETTE[number]
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1.0, 0.8, 0.5 + 0.25 * (number % 3) / 2)
    return f"#{round(255 * red):02X}{round(255 * green):02X}{round(255 * blue):02X}"


def darker(colour: str, part: float = 0.55) -> str:
    """A colour ``#RRGGBB`` mixed with black."""
    return "#" + "".join(f"{round(int(colour[n : n + 2], 16) * part):02X}" for n in (1, 3, 5))


def short_names(neurons: Sequence[str]) -> list[str]:
    """What tells neurons from each other: of identifiers in the style of BIDS, the parts that differ."""
    parts = [one.split("_") for one in neurons]
    if len({len(one) for one in parts}) != 1:
        return list(neurons)
    told = [n for n, column in enumerate(zip(*parts, strict=True)) if len(set(column)) > 1] or [len(parts[0]) - 1]
    return [" ".join(one[n].split("-", 1)[-1] for n in told) for one in parts]


def short(text: str, most: int = 28) -> str:
    """A name that is not longer than there is room for."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[half + 1 - most :]}"
