"""What the columns of a table of marks are, told by their names. A name that does not say it leaves it open."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from neuropack.annotations.mark_rows import Ends, normal
from neuropack.annotations.stated import UNIT_WORDS, Origin, Unit
from neuropack.marks import MarkKind
from neuropack.space.boxes import MICROMETRES, VOXELS

_UNIT = rf"(?:_(?P<unit>{'|'.join(UNIT_WORDS)}))?"
_LOW, _HIGH = "0|min|start|begin|low|lo", "1|max|stop|end|high|hi"
_WORD = r"(?:pos|position|coord|coordinate|centroid|center|centre|point|location)"
_POINT = re.compile(rf"(?:{_WORD}_?)?(?P<axis>[xyz])(?:_?{_WORD})?{_UNIT}")
_BOX = re.compile(
    rf"(?:(?:bbox|box|bb)_)?(?:(?P<axis>[xyz])_?(?P<end>{_LOW}|{_HIGH})|(?P<end2>min|max|start|stop|end)_?"
    rf"(?P<axis2>[xyz])){_UNIT}"
)
_VECTOR = re.compile(rf"(?:(?:bbox|box|bb)_)?(?P<end>{_LOW}|{_HIGH})_(?P<order>zyx|xyz){_UNIT}")
_PARENT = {"parent", "parent_id", "parentid", "parent_sample", "parentnumber"}

ROLES: dict[str, tuple[str, ...]] = {
    "id": ("box_id", "point_id", "id", "name", "index"),
    "neuron_id": ("neuron_id", "neuron", "neuronid"),
    "label": ("label", "label_id", "labelid"),
    "class": ("class", "class_name", "category", "type"),
    "annotator": ("annotator", "annotated_by", "user", "username", "user_name"),
    "provenance": ("provenance",),
    "guideline_version": ("guideline_version", "guideline"),
    "confidence": ("confidence", "score", "probability"),
}
"""The names by which a column is known, beside those of coordinates; the first that is there is taken."""
OBJECTS: dict[str, tuple[str, ...]] = {
    "neuron": ("neuron_id", "neuron", "neuronid"),
    "box": ("box_id",),
    "point": ("point_id",),
    "image": ("image_id", "image", "file_name", "filename"),
    "label": ("label_id", "labelid", "label"),
}
"""The columns that name the object of a class label, where no ``object_kind`` does."""


@dataclass(frozen=True)
class Coordinates:
    """Where the coordinates of points or boxes stand, and what their names state.

    Attributes:
        style: plain columns; whole vectors in a cell; or napari's.
        columns: of points z, y, x; of boxes z0, y0, x0, z1, y1, x1; of vectors those of the two ends.
        unit: that the names state.
        origin: that the names state.
        ends: that the names state.
        ours: they are named as neuropack names them, which states the origin too where nobody says otherwise.
        order: of the numbers in a vector.
        on_slice: z is the one slice that a box lies on.
    """

    style: Literal["columns", "vectors", "napari", "napari shapes"]
    columns: tuple[int, ...]
    unit: Unit | None = None
    origin: Origin | None = None
    ends: Ends | None = None
    ours: bool = False
    order: Literal["zyx", "xyz"] = "zyx"
    on_slice: bool = False


def point_columns(names: list[str]) -> list[Coordinates]:
    """Every complete set of coordinates of points that the names of columns make."""
    words = [normal(name) for name in names]
    if {"index", "axis_0", "axis_1", "axis_2"} <= set(words) and "axis_3" not in words:
        napari = tuple(words.index(f"axis_{i}") for i in range(3))
        return [Coordinates("napari", napari, "voxel", "centre")] if "vertex_index" not in words else []
    sets: dict[Unit | None, dict[str, int]] = {}
    for i, word in enumerate(words):
        if match := _POINT.fullmatch(word):
            sets.setdefault(_unit(match["unit"]), {}).setdefault(match["axis"], i)
    ours = {"x_um", "y_um", "z_um"} <= set(names)
    return [
        Coordinates("columns", tuple(found[a] for a in "zyx"), unit, ours=ours and unit == "um")
        for unit, found in sets.items()
        if len(found) == 3
    ]


def box_columns(names: list[str]) -> list[Coordinates]:
    """Every complete set of coordinates of boxes that the names of columns make; z alone may be that of a slice."""
    words = [normal(name) for name in names]
    if {"shape_type", "vertex_index", "axis_0", "axis_1", "axis_2"} <= set(words) and "axis_3" not in words:
        shapes = tuple(
            words.index(w) for w in ("index", "vertex_index", "axis_0", "axis_1", "axis_2") if w in words
        )
        return [Coordinates("napari shapes", shapes, "voxel", "centre")] if len(shapes) == 5 else []
    if {f"bbox_{i}" for i in range(6)} <= set(words):  # skimage.measure.regionprops_table
        skimage = tuple(words.index(f"bbox_{i}") for i in range(6))
        return [Coordinates("columns", skimage, "voxel", "corner", "half-open")]
    sets: dict[Unit | None, dict[str, int]] = {}
    vectors: dict[tuple[Unit | None, str], dict[str, int]] = {}
    for i, word in enumerate(words):
        if match := _BOX.fullmatch(word):
            end = _end(match["end"] or match["end2"])
            sets.setdefault(_unit(match["unit"]), {}).setdefault((match["axis"] or match["axis2"]) + end, i)
        elif match := _VECTOR.fullmatch(word):
            end = _end(match["end"])
            vectors.setdefault((_unit(match["unit"]), match["order"]), {}).setdefault(end, i)
    found = []
    for unit, places in sets.items():
        on_slice = "z0" not in places and "z1" not in places and "z" in words
        if on_slice:
            places |= {"z0": words.index("z"), "z1": words.index("z")}
        if len(places) == 6:
            ours = unit == "um" and set(MICROMETRES) <= set(names)
            stated: Ends | None = "half-open" if set(VOXELS) <= set(names) and unit is None else None
            columns = tuple(places[name] for name in VOXELS)
            counted: Unit | None = "voxel" if stated else unit
            found.append(Coordinates("columns", columns, counted, None, stated, ours, on_slice=on_slice))
    for (unit, order), places in vectors.items():
        if len(places) == 2:
            ends = (places["0"], places["1"])
            found.append(Coordinates("vectors", ends, unit, order="zyx" if order == "zyx" else "xyz"))
    return found


def kind_of(names: Iterable[str]) -> MarkKind | None:
    """What a table with such columns is of; None where it is no table of marks, or of the nodes of a skeleton."""
    found = list(names)
    words = {normal(name) for name in found}
    if box_columns(found):
        return "boxes"
    if words & _PARENT:
        return None
    if point_columns(found):
        return "points"
    of_objects = {"object_kind", "object_id"} | {word for names in OBJECTS.values() for word in names}
    if words & {"class", "class_name", "category"} and words & of_objects:
        return "classes"
    return None


def _unit(word: str | None) -> Unit | None:
    return None if word is None else UNIT_WORDS[word]


def _end(word: str) -> str:
    return "0" if word in _LOW.split("|") else "1"
