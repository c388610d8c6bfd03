"""Where the neurons of a stack lie in the CCF: over the borders of regions, in the whole brain and near by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.page.atlas.neurites import in_chains, lines
from neuropack.page.projections import scale_bar
from neuropack.skeleton import Skeleton
from neuropack.space.annotation import Annotation
from neuropack.space.frames import CCF, EXTENT_UM
from neuropack.space.outlines import VIEWS, Plane, Ring, View, cut, outlines, surface
from neuropack.space.structures import Structures
from neuropack.swc import read_swc

_STEP_UM = 50.0  # edge of a cell where the whole brain is shown
_FEWEST_UM = 150.0  # the near view shows so much at least, or a few voxels
_VOXELS = 4
_ROOM = 0.15  # around the neurons
_FINE = 600  # cells along the near view: nodes that are nearer to each other look the same
_SMALLEST = 0.004  # of the near view: smaller parts of a region have no name
_LETTER, _SIZE = 0.62, 0.03  # width of a letter as a part of its height; height as a part of the picture


@dataclass(frozen=True)
class Shape:
    """A region: an SVG path, its colour, its name and where that stands; no name where there is no room."""

    path: str
    colour: str
    title: str
    name: str
    x: float
    y: float


@dataclass(frozen=True)
class Tree:
    """A neuron: an SVG path, its colour, its soma (None without one) and its name."""

    path: str
    colour: str
    name: str
    soma: tuple[float, float] | None


@dataclass(frozen=True)
class Panel:
    """A picture. `box` is what an SVG shows: x, y, width, height in micrometre; `mark` what the near view shows."""

    title: str
    box: tuple[float, float, float, float]
    ends: tuple[str, str, str, str]  # at the left, the right, above, below
    shapes: Sequence[Shape]
    trees: Sequence[Tree]
    mark: tuple[float, float, float, float] | None
    bar_um: float

    @property
    def text_size(self) -> float:
        """Height of names, micrometre."""
        return _SIZE * max(self.box[2:])


@dataclass(frozen=True)
class InAtlas:
    """What a page shows of a stack in the CCF: the panels, and a sentence about the atlas."""

    panels: Sequence[Panel]
    about: str


def in_atlas(
    skeletons: Mapping[str, tuple[Path, str]],
    annotation: Annotation | None,
    structures: Structures | None,
    about: str,
) -> InAtlas:
    """Draw the neurons of a stack.

    Args:
        skeletons: the SWC file in the CCF and the colour, RRGGBB, of each neuron.
        annotation: the regions; without it only neurons are drawn.
        structures: their names and colours.
        about: which atlas it is, in words.

    Raises:
        InputError: a skeleton cannot be read, or lies outside of the CCF.
    """
    neurons = {name: (read_swc(path, frame=CCF), colour) for name, (path, colour) in skeletons.items()}
    points = np.concatenate([skeleton.xyz for skeleton, _ in neurons.values()])
    low, high = points.min(axis=0), points.max(axis=0)
    middle = _middle(neurons)
    if not ((middle >= 0) & (middle < EXTENT_UM)).all():
        found = ", ".join(f"{value:.0f}" for value in middle)
        raise InputError("its neurons lie outside of the atlas", expected="points in the volume", found=found)
    front, top = VIEWS["front"], VIEWS["top"]
    wide = max(_FEWEST_UM, _VOXELS * annotation.resolution_um if annotation else 0, *(high - low) * (1 + 2 * _ROOM))
    plane = cut(annotation, front, float(middle[front.sight])) if annotation else None
    seen = surface(annotation, top, step_um=max(_STEP_UM, annotation.resolution_um)) if annotation else None
    panels = []
    for view, regions, title in (
        (front, plane, f"coronal plane at AP {middle[0]:.0f} µm"),
        (top, seen, "from above"),
    ):
        box = _around(middle, view, wide)
        shapes = _shapes(regions, structures, (0.0, 0.0, *view.extent_um), named=False)
        panels.append(
            Panel(title, (0.0, 0.0, *view.extent_um), view.ends, shapes, _trees(neurons, view, wide), box, 2000.0)
        )
    box = _around(middle, front, wide)
    near = Panel(
        "the neurons in that plane",
        box,
        front.ends,
        _shapes(plane, structures, box, named=True),
        _trees(neurons, front, wide),
        None,
        scale_bar(wide),
    )
    return InAtlas([near, *panels], about)


def _middle(neurons: Mapping[str, tuple[Skeleton, str]]) -> npt.NDArray[np.float64]:
    """The middle of the somata; of all nodes where there is none."""
    somata = [soma for skeleton, _ in neurons.values() if (soma := skeleton.soma()) is not None]
    points = np.array(somata) if somata else np.concatenate([skeleton.xyz for skeleton, _ in neurons.values()])
    middle: npt.NDArray[np.float64] = (points.min(axis=0) + points.max(axis=0)) / 2
    return middle


def _around(middle: npt.NDArray[np.float64], view: View, wide: float) -> tuple[float, float, float, float]:
    return float(middle[view.across] - wide / 2), float(middle[view.down] - wide / 2), float(wide), float(wide)


def _shapes(
    plane: Plane | None, structures: Structures | None, box: tuple[float, float, float, float], *, named: bool
) -> list[Shape]:
    if plane is None:
        return []
    found = []
    for outline in outlines(plane):
        rings = [ring for ring in outline.rings if _meets(ring, box)]
        if not rings:
            continue
        known = structures[outline.id] if structures is not None and outline.id in structures else None
        name, x, y = known.acronym if known else str(outline.id), 0.0, 0.0
        place = _place(plane, outline.id, box, len(name)) if named else None
        if place is not None:
            x, y = place
        path = "".join(f"M{' '.join(f'{a:.0f},{b:.0f}' for a, b in ring)}Z" for ring in rings)
        title = f"{known.acronym}: {known.name}" if known else f"region {outline.id}"
        colour = known.colour if known else "#9AA3AE"
        found.append(Shape(path, colour, title, name if place is not None else "", x, y))
    return found


def _meets(ring: Ring, box: tuple[float, float, float, float]) -> bool:
    x, y, wide, high = box
    low, most = ring.min(axis=0), ring.max(axis=0)
    return bool(low[0] < x + wide and most[0] > x and low[1] < y + high and most[1] > y)


def _place(
    plane: Plane, id: int, box: tuple[float, float, float, float], letters: int
) -> tuple[float, float] | None:
    """Where the name of a region fits into the part of it that a picture shows: deepest inside."""
    from scipy.ndimage import distance_transform_edt

    x, y, wide, high = box
    step = plane.step_um
    rows = slice(max(0, int(y // step)), max(0, int(-(-(y + high) // step))))
    columns = slice(max(0, int(x // step)), max(0, int(-(-(x + wide) // step))))
    mask = plane.ids[rows, columns] == id
    if not mask.any() or mask.mean() < _SMALLEST:
        return None
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    across, down = float((columns.start + column + 0.5) * step), float((rows.start + row + 0.5) * step)
    half = letters * _LETTER * _SIZE * wide / 2
    across = min(max(across, x + half + 0.02 * wide), x + wide - half - 0.02 * wide)
    return across, min(max(down, y + 0.05 * high), y + 0.95 * high)


def _trees(neurons: Mapping[str, tuple[Skeleton, str]], view: View, wide: float) -> list[Tree]:
    found = []
    for name, (skeleton, colour) in neurons.items():
        drawn = lines(skeleton.xyz, in_chains(skeleton), (view.across, view.down), wide / _FINE)
        words = [
            f"{'M' if begins else 'L'}{a:.1f},{b:.1f}"
            for (a, b), begins in zip(drawn.points.tolist(), drawn.begins.tolist(), strict=True)
        ]
        middle = skeleton.soma()
        soma = None if middle is None else (float(middle[view.across]), float(middle[view.down]))
        found.append(Tree("".join(words), colour, name, soma))
    return found
