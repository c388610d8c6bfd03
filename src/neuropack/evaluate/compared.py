"""Annotators compared pair by pair, object by object; and summed up."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from neuropack.axes import Array
from neuropack.errors import InputError
from neuropack.evaluate import agreement
from neuropack.evaluate.agreement import TOLERANCE_UM, Score
from neuropack.progress import Progress
from neuropack.skeleton import Skeleton
from neuropack.table import MISSING
from neuropack.volume import Volume

COLUMNS: Final = ("kind", "object", "annotator_a", "annotator_b", "measure", "value", "n", "note")
MAIN: Final[Mapping[str, str]] = {
    "skeletons": "length_f1",
    "labels": "iou",
    "classes": "kappa",
    "boxes": "box_f1",
    "points": "point_f1",
}
"""The measure of each kind that stands for its agreement."""


@dataclass(frozen=True)
class Compared:
    """One measure of one object, of two annotators.

    Attributes:
        kind: skeletons, labels, classes, boxes or points.
        object: name of the neuron, or value of the label; "" for all objects of a kind.
        annotator_a, annotator_b: who were compared; for Fleiss' kappa b is "".
        score: the measure.
    """

    kind: str
    object: str
    annotator_a: str
    annotator_b: str
    score: Score

    def row(self) -> dict[str, Any]:
        """A row of the table of agreement, by column of `COLUMNS`."""
        told = asdict(self.score)
        return {
            **{name: getattr(self, name) for name in ("kind", "object", "annotator_a", "annotator_b")},
            **told,
            "value": None if self.score.value is None else round(self.score.value, 6),
            "n": f"{round(self.score.n, 3):.12g}",
            "note": self.score.note or None,
        }


def as_row(cells: Mapping[str, str]) -> dict[str, Any]:
    """A row of the table of agreement as its text has it, with numbers again."""
    row: dict[str, Any] = {name: None if cells[name] == MISSING else cells[name] for name in COLUMNS}
    row["value"] = None if row["value"] is None else float(row["value"])
    return row


def compare_traces(
    said: Mapping[str, Mapping[str, Skeleton]], tolerance_um: float = TOLERANCE_UM
) -> Iterator[Compared]:
    """The skeletons of annotators, by annotator and neuron: every neuron that two of them have."""
    for one, other in combinations(said, 2):
        for name in said[one]:
            if name in said[other]:
                for score in agreement.traces(said[one][name], said[other][name], tolerance_um):
                    yield Compared("skeletons", name, one, other, score)


def compare_labels(said: Mapping[str, Volume], progress: Progress | None = None) -> Iterator[Compared]:
    """The label images of annotators, by annotator: every value that one of two has.

    Memory: a block of each of two images, and a few numbers for each value.

    Raises:
        InputError: two images have not the same shape.
    """
    for one, other in combinations(said, 2):
        mine, theirs, both = _overlaps(said[one], said[other], progress)
        for value in sorted(mine.keys() | theirs.keys()):
            for score in agreement.masks(mine.get(value, 0), theirs.get(value, 0), both.get(value, 0)):
                yield Compared("labels", str(value), one, other, score)


def compare_classes(said: Mapping[str, Mapping[Hashable, str]]) -> Iterator[Compared]:
    """The classes of annotators, by annotator and object."""
    for one, other in combinations(said, 2):
        for score in agreement.classes(said[one], said[other]):
            yield Compared("classes", "", one, other, score)
    if len(said) > 2:
        yield Compared("classes", "", ", ".join(said), "", agreement.fleiss(list(said.values())))


def compare_boxes(said: Mapping[str, agreement.Floats]) -> Iterator[Compared]:
    """The boxes (n, 6) of annotators."""
    for one, other in combinations(said, 2):
        for score in agreement.boxes(said[one], said[other]):
            yield Compared("boxes", "", one, other, score)


def compare_points(said: Mapping[str, agreement.Floats], tolerance_um: float = TOLERANCE_UM) -> Iterator[Compared]:
    """The points (n, 3) of annotators, micrometre."""
    for one, other in combinations(said, 2):
        for score in agreement.points(said[one], said[other], tolerance_um):
            yield Compared("points", "", one, other, score)


@dataclass(frozen=True)
class Sum:
    """A measure over the pairs of annotators and the objects that were compared.

    Attributes:
        kind, measure: of what.
        mean, least: of the values; None where there is none.
        n: how many values.
        without: how many comparisons have no value.
    """

    kind: str
    measure: str
    mean: float | None
    least: float | None
    n: int
    without: int


def summed_up(compared: Iterable[Compared]) -> list[Sum]:
    """Each measure of each kind, over all pairs and objects."""
    values: dict[tuple[str, str], list[float | None]] = {}
    for one in compared:
        values.setdefault((one.kind, one.score.measure), []).append(one.score.value)
    sums = []
    for (kind, measure), found in values.items():
        known = [value for value in found if value is not None]
        mean, least = (float(np.mean(known)), min(known)) if known else (None, None)
        sums.append(Sum(kind, measure, mean, least, len(known), len(found) - len(known)))
    return sums


def _overlaps(
    a: Volume, b: Volume, progress: Progress | None
) -> tuple[dict[int, int], dict[int, int], dict[int, int]]:
    """Voxels of each value in a, in b, and in both; each block of a is decoded once, and b alike."""
    if a.shape != b.shape:
        raise InputError(
            "the label images have not the same shape",
            file=b.path,
            expected=" x ".join(map(str, a.shape)),
            found=" x ".join(map(str, b.shape)),
        )
    mine, theirs, both = dict[int, int](), dict[int, int](), dict[int, int]()
    done = 0
    for box in a.native_blocks():
        one, other = a.read(box).ravel(), b.read(box).ravel()
        done += one.nbytes
        _count(one[one != 0], mine)
        _count(other[other != 0], theirs)
        _count(one[(one != 0) & (one == other)], both)
        if progress:
            progress("comparing labels", done, a.nbytes)
    return mine, theirs, both


def _count(values: Array, counts: dict[int, int]) -> None:
    ordered = np.sort(values)
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.empty(0, np.int64)
    lengths = np.diff(np.r_[first, len(ordered)])
    for value, count in zip(ordered[first].tolist(), lengths.tolist(), strict=True):
        counts[value] = counts.get(value, 0) + count


def told(sums: Sequence[Sum]) -> list[str]:
    """A line for a person for each sum."""
    lines = []
    for one in sums:
        if one.mean is None or one.least is None:
            lines.append(f"{one.kind}: {one.measure}: no value")
        else:
            without = f", {one.without} without a value" if one.without else ""
            lines.append(f"{one.kind}: {one.measure} {one.mean:.3f} (least {one.least:.3f}, n {one.n}{without})")
    return lines
