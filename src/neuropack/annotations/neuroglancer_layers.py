"""Annotations of a neuroglancer viewer as they stand in its state: layers, their scale, and their properties.

Coordinates count steps of the layer's dimensions and are continuous: voxel i lies from i to i + 1, its centre is
i + 0.5 (google/neuroglancer, issue 440 and pull request 761). The format is that of ``src/annotation/index.ts``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from neuropack.annotations.box_voxels import Number
from neuropack.annotations.json_files import Record
from neuropack.annotations.mark_rows import number
from neuropack.errors import UsageError
from neuropack.table import MISSING

# micrometres of a unit, as powers of ten
_POWERS = {"k": 9, "": 6, "d": 5, "c": 4, "m": 3, "u": 0, "µ": 0, "μ": 0, "n": -3, "p": -6}
_SEGMENT = re.compile("[0-9]{1,20}")
_MOST_AXES = 32
AXES = "xyz"
TOLD = ("annotator", "provenance", "guideline_version", "confidence", "neuron_id", "label")
"""The columns that a property of the same name gives."""

Scales = tuple[float, float, float]
"""The micrometres of one step along x, y and z."""


@dataclass(frozen=True)
class ViewerMark:
    """An annotation.

    Attributes:
        type: as the viewer calls it.
        where: it stands in its file.
        layer: that it is in.
        scales: of its coordinates; None where the file does not state them.
        low: of a point its place, of a box one corner: x, y, z.
        high: the opposite corner.
        id: that the viewer gave it.
        description: that a person gave it.
        segments: that it is linked to.
        told: text by column, of the properties that are named like a column.
    """

    type: str
    where: str
    layer: str
    scales: Scales | None
    low: list[Number]
    high: list[Number]
    id: str | None
    description: str | None
    segments: tuple[str, ...] = ()
    told: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Space:
    """The dimensions of a layer, in the order of its coordinates."""

    names: list[str]
    scales: Scales

    def xyz(self, one: Record, key: str) -> list[Number]:
        numbers = one.numbers(key, (len(self.names),))
        return [numbers[self.names.index(axis)] for axis in AXES]


def is_viewer_state(value: Any) -> bool:
    """Whether the content of a JSON file is the state of a viewer, or an annotation layer of one."""
    if not isinstance(value, dict):
        return False
    return isinstance(value.get("layers"), list) or value.get("type") == "annotation"


def marks_of_layers(top: Record, wanted: Collection[str] | None) -> tuple[list[ViewerMark], list[str]]:
    """The annotations of a viewer's state, and notes on what was left out.

    Args:
        top: the state, or an annotation layer.
        wanted: the names of the layers to take; all where it is None.

    Raises:
        InputError: an annotation is not as it should be.
        UsageError: a wanted layer is not there, or the scale of one is not stated.
    """
    layers = [top] if top.members.get("type") == "annotation" else top.records("layers")
    layers = [one for one in layers if one.members.get("type") == "annotation"]
    named = [(one.text("name") or f"layer {i + 1}", one) for i, one in enumerate(layers)]
    missing = [name for name in wanted or () if name not in dict(named)]
    if missing:
        raise UsageError(
            f"holds no annotation layer {missing[0]!r}",
            file=top.path,
            found=", ".join(name for name, _ in named)[:200] or "no annotation layer",
        )
    marks: list[ViewerMark] = []
    notes: list[str] = []
    for name, layer in named:
        if wanted is not None and name not in wanted:
            continue
        found = layer.records("annotations")
        if not found and _elsewhere(layer):
            notes.append(f"left out: the layer {name!r}, which keeps its annotations elsewhere")
        if found:
            space, properties = _space(layer, top), _Properties.of(layer)
            marks += [_mark(one, name, space, properties) for one in found]
            notes += _not_taken(name, space, properties)
    return marks, notes


def _source(layer: Record) -> Any:
    """The source of a layer that annotations are local to, else its first."""
    source = layer.members.get("source")
    if not isinstance(source, list):
        return source
    local = [one for one in source if isinstance(one, dict) and str(one.get("url", "")).startswith("local://")]
    return [*local, *source, None][0]


def _elsewhere(layer: Record) -> bool:
    source = _source(layer)
    url = source.get("url") if isinstance(source, dict) else source
    return isinstance(url, str) and not url.startswith("local://")


def _not_taken(name: str, space: _Space, properties: _Properties) -> list[str]:
    axes = [axis for axis in space.names if axis not in AXES]
    other = [spec.id for spec in properties.specs if spec.id not in TOLD]
    notes = [f"left out: the dimension(s) {', '.join(axes)} of the layer {name!r}"] if axes else []
    return notes + ([f"left out: the properties {', '.join(other)} of the layer {name!r}"] if other else [])


def _space(layer: Record, top: Record) -> _Space:
    """The dimensions that the coordinates of a layer count."""
    source = _source(layer)
    found = layer.inside("annotationDimensions") if "annotationDimensions" in layer.members else None
    if isinstance(source, dict):
        transform = Record.of(source, layer.path, f"{layer.where}/source").inside("transform")
        if not _is_identity(transform.members.get("matrix")):
            raise transform.wrong("matrix", "no matrix but identity: annotations in the coordinates of their layer")
        found = transform.inside("outputDimensions") if "outputDimensions" in transform.members else found
        if transform.members.get("inputDimensions") not in (None, found.members if found else None):
            raise transform.wrong("inputDimensions", "the same as outputDimensions")
    found = found or top.inside("dimensions")
    names = [*found.members]
    if not set(AXES) <= set(names):
        raise UsageError(
            "does not state the scale of its coordinates",
            file=layer.path,
            where=found.where,
            expected='dimensions x, y, z, such as {"x": [8e-9, "m"], ...}',
            found=", ".join(names)[:100] or "no dimensions",
            fix="export the state of the viewer, with the layer in it",
        )
    x, y, z = (_micrometres(found, axis) for axis in AXES)
    return _Space(names, (x, y, z))


def _is_identity(matrix: Any) -> bool:
    if matrix is None:
        return True
    rows = matrix if isinstance(matrix, list) and len(matrix) <= _MOST_AXES else []
    return bool(rows) and rows == [[float(i == j) for j in range(len(rows) + 1)] for i in range(len(rows))]


def _micrometres(dimensions: Record, axis: str) -> float:
    """The length of a step along a dimension."""
    value = dimensions.members[axis]
    try:
        scale, unit = value
        power = _POWERS[unit.removesuffix("m")] if unit.endswith("m") else None
        if power is None or isinstance(scale, str):
            raise ValueError
        size = float(number(scale))
        size = size if not power else float(f"{size * 10**power if power > 0 else size / 10**-power:.15g}")
        if not 0 < size < float("inf"):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise dimensions.wrong(axis, 'a length such as [8e-9, "m"]') from None
    return size


@dataclass(frozen=True)
class _Property:
    """A value that each annotation of a layer has: a number, or a word that it stands for."""

    id: str
    default: Any
    words: dict[Number, str] | None


@dataclass(frozen=True)
class _Properties:
    """The properties of the annotations of a layer, in their order."""

    specs: list[_Property]

    @classmethod
    def of(cls, layer: Record) -> _Properties:
        specs = []
        for one in layer.records("annotationProperties"):
            name = one.text("id")
            if name is None:
                raise one.wrong("id", "the name of a property")
            words = None
            if one.members.get("enum_values") is not None:
                words = _words(one)
            specs.append(_Property(name, one.members.get("default", 0), words))
        return cls(specs)

    def told(self, one: Record) -> dict[str, str]:
        """The text of the known properties that an annotation has."""
        values = one.members.get("props")
        values = [spec.default for spec in self.specs] if values is None else values
        if not isinstance(values, list) or len(values) != len(self.specs):
            raise one.wrong("props", f"a list of {len(self.specs)}, as annotationProperties has them")
        found: dict[str, str] = {}
        for spec, value in zip(self.specs, values, strict=True):
            if spec.id in TOLD:
                word = _word(spec, value, one)
                found |= {} if word is None else {spec.id: word}
        return found


def _words(one: Record) -> dict[Number, str]:
    values, labels = one.members["enum_values"], one.members.get("enum_labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise one.wrong("enum_labels", "a list of texts")
    numbers = one.numbers("enum_values", (len(labels),)) if isinstance(values, list) else []
    if len(set(numbers)) != len(labels):
        raise one.wrong("enum_values", f"{len(labels)} different numbers, one for each of enum_labels")
    return dict(zip(numbers, labels, strict=True))


def _word(spec: _Property, value: Any, one: Record) -> str | None:
    """The text that a property has; none where it says so, or where a plain number is 0: nobody set it."""
    try:
        if isinstance(value, str):
            raise ValueError  # noqa: TRY004 - one kind for all that is no number
        found = number(value)
    except ValueError:
        raise one.wrong("props", f"a finite number for {spec.id}") from None
    if spec.words is None:
        return repr(found) if found else None
    if found not in spec.words:
        raise one.wrong("props", f"for {spec.id} one of {', '.join(map(str, spec.words))[:100]}")
    word = spec.words[found]
    return None if not found and word == MISSING else word


def _mark(one: Record, layer: str, space: _Space, properties: _Properties) -> ViewerMark:
    kind = one.text("type") or ("point" if "point" in one.members else None)
    low: list[Number] = [0, 0, 0]
    high = low
    if kind == "point":
        low = high = space.xyz(one, "point")
    elif kind == "axis_aligned_bounding_box":
        low, high = space.xyz(one, "pointA"), space.xyz(one, "pointB")
    elif kind == "ellipsoid":
        low, high = around(space.xyz(one, "center"), space.xyz(one, "radii"))
    elif kind is None:
        raise one.wrong("type", "point, axis_aligned_bounding_box, ellipsoid, line or polyline")
    about = (one.text("id"), one.text("description"), _segments(one))
    return ViewerMark(kind, one.where, layer, space.scales, low, high, *about, properties.told(one))


def around(centre: Sequence[Number], radii: Sequence[Number]) -> tuple[list[Number], list[Number]]:
    """The corners of the box around an ellipsoid."""
    pairs = [(float(a), float(b)) for a, b in zip(centre, radii, strict=True)]
    return [a - b for a, b in pairs], [a + b for a, b in pairs]


def _segments(one: Record) -> tuple[str, ...]:
    """The segments that an annotation is linked to, of all its relationships."""
    found = one.members.get("segments")
    parts = found if isinstance(found, list) else [] if found is None else [found]
    flat = [s for part in parts for s in (part if isinstance(part, list) else [part])]
    texts = [str(s) for s in flat if isinstance(s, (str, int)) and not isinstance(s, bool)]
    if len(texts) < len(flat) or not all(_SEGMENT.fullmatch(text) for text in texts):
        raise one.wrong("segments", 'lists of segments, such as [["77"]]')
    return tuple(texts)
