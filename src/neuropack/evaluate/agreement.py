"""Agreement of annotators: every pair that looked at the same object, measure by measure, and what it sums up to.

No measure takes one annotator for the truth: exchanging two annotators exchanges precision and recall and leaves
all others as they are. Where a measure means nothing, its value is null and a reason stands beside it, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

Thing = TypeVar("Thing")


class Score(NamedTuple):
    """One measure of one object and two annotators.

    Attributes:
        object: what both looked at.
        annotator_a, annotator_b: the two; for a measure of all annotators ``all`` and ``all``.
        measure: its name.
        value: None where it means nothing.
        n: of how many voxels, micrometre, marks or objects it is.
        tolerance: micrometre, or the overlap of boxes; None where the measure has none.
        reason: why there is no value.
    """

    object: str
    annotator_a: str
    annotator_b: str
    measure: str
    value: float | None
    n: int
    tolerance: float | None = None
    reason: str | None = None


class Measured(NamedTuple):
    """One measure of two annotations, before it is said whose they are. See `Score`."""

    measure: str
    value: float | None
    n: int
    tolerance: float | None = None
    reason: str | None = None


def compare(
    annotators: Mapping[str, Mapping[str, Thing]], measures: Callable[[Thing, Thing], Iterable[Measured]]
) -> pa.Table:
    """Every pair of annotators on every object.

    An object that one of a pair did not annotate is told as ``annotated by both`` without a value.

    Args:
        annotators: the annotations by object, by annotator; two or more annotators.
        measures: what is measured of two annotations, such as
            `neuropack.evaluate.agreement_skeletons.skeleton_agreement`.

    Returns:
        A table with the columns of `Score`.
    """
    scores: list[Score] = []
    objects = sorted({name for mine in annotators.values() for name in mine})
    for name in objects:
        for a, b in combinations(annotators, 2):
            has = [who for who in (a, b) if name in annotators[who]]
            if len(has) == 2:
                found = measures(annotators[a][name], annotators[b][name])
                scores += [Score(name, a, b, *one) for one in found]
            elif has:
                missing = b if has == [a] else a
                scores.append(Score(name, a, b, "annotated by both", None, 0, None, f"not annotated by {missing}"))
    return score_table(scores)


def score_table(scores: Sequence[Score]) -> pa.Table:
    """Scores as an Arrow table."""
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    types = [text, text, text, text, number, pa.int64(), number, text]
    columns = list(zip(*scores, strict=True)) or [()] * len(types)
    fields = [
        pa.field(name, kind, nullable=name in ("value", "tolerance", "reason"))
        for name, kind in zip(Score._fields, types, strict=True)
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


class Summary(NamedTuple):
    """A measure over all objects and pairs.

    Attributes:
        measure, tolerance: as in `Score`.
        scored: how many values there are.
        without: how many have none.
        mean, median, worst: of the values; None where there are none. The worst is the lowest, of distances the
            largest.
        worst_of: object and annotators of the worst value.
    """

    measure: str
    tolerance: float | None
    scored: int
    without: int
    mean: float | None
    median: float | None
    worst: float | None
    worst_of: tuple[str, str, str] | None


def summary(table: pa.Table) -> list[Summary]:
    """What the scores of each measure come to, in the order in which measures first come."""
    groups: dict[tuple[str, float | None], list[Score]] = {}
    for row in table.to_pylist():
        score = Score(**row)
        groups.setdefault((score.measure, score.tolerance), []).append(score)
    found = []
    for (measure, tolerance), scores in groups.items():
        told = [(score.value, score) for score in scores if score.value is not None]
        if not told:
            found.append(Summary(measure, tolerance, 0, len(scores), None, None, None, None))
            continue
        values = np.array([value for value, _ in told])
        worst, score = told[int(values.argmax() if "distance" in measure else values.argmin())]
        found.append(
            Summary(
                measure,
                tolerance,
                len(told),
                len(scores) - len(told),
                float(values.mean()),
                float(np.median(values)),
                worst,
                (score.object, score.annotator_a, score.annotator_b),
            )
        )
    return found
