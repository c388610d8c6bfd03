"""How well the annotators of a stack agree: worked out when a release is built, and stored with the annotation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.build.annotated import Annotated
from neuropack.evaluate.agreement import LEAST_IOU, TOLERANCE_UM
from neuropack.evaluate.compared import (
    MAIN,
    Compared,
    compare_boxes,
    compare_classes,
    compare_points,
    compare_traces,
)
from neuropack.study.records import Record

if TYPE_CHECKING:
    from neuropack.build.plan import Planned

_MEASURE: Mapping[str, str] = {
    "skeletons": f"length F1 within {TOLERANCE_UM:g} um",
    "labels": "IoU of the voxels, mean over the labels",
    "classes": "Cohen's kappa",
    "boxes": f"F1 of boxes with an IoU of at least {LEAST_IOU:g}",
    "points": f"F1 of points within {TOLERANCE_UM:g} um",
}


@dataclass(frozen=True)
class Agreements:
    """How well annotators agree.

    Attributes:
        rows: of the table, by column of `neuropack.evaluate.compared.COLUMNS`.
    """

    rows: Sequence[Mapping[str, Any]] = field(default_factory=list)

    def of(self, kind: str, name: str = "") -> Record:
        """The fields of an annotation's record about agreement; none where nobody else made one.

        Args:
            kind: of annotation.
            name: the neuron that it is of; "" for all objects of the kind.
        """
        rows = [
            row
            for row in self.rows
            if (row["kind"], row["measure"]) == (kind, MAIN[kind]) and name in ("", row["object"])
        ]
        values = [float(row["value"]) for row in rows if row["value"] is not None]
        if not values:
            return {}
        people = dict.fromkeys(row[end] for row in rows for end in ("annotator_a", "annotator_b"))
        return {
            "agreement": round(min(max(float(np.mean(values)), 0.0), 1.0), 6),
            "agreement_measure": _MEASURE[kind] + (", mean of the pairs of annotators" if len(people) > 2 else ""),
            "agreement_annotators": list(people),
        }


def small_agreements(one: Planned) -> Iterator[Compared]:
    """Skeletons, classes, boxes and points of all annotators of a stack."""
    said = [(str(made.credit.annotator), made) for made in (one.annotated, *one.others)]
    ids = {traced.name: traced.id for _, made in said for traced in made.neurons}
    yield from compare_traces({who: {ids[t.name]: t.skeleton for t in made.neurons} for who, made in said})
    yield from compare_classes({who: _classes(made) for who, made in _with(said, "classes")})
    yield from compare_boxes({who: _columns(made, "boxes") for who, made in _with(said, "boxes")})
    yield from compare_points({who: _columns(made, "points") for who, made in _with(said, "points")})


def _with(said: Sequence[tuple[str, Annotated]], kind: Any) -> Iterator[tuple[str, Annotated]]:
    return ((who, made) for who, made in said if kind in made.marks)


def _classes(made: Annotated) -> dict[Any, str]:
    table = made.marks["classes"]
    keys = zip(table.column("object_kind").to_pylist(), table.column("object_id").to_pylist(), strict=True)
    return dict(zip(keys, table.column("class").to_pylist(), strict=True))


def _columns(made: Annotated, kind: Any) -> np.ndarray[Any, Any]:
    names = ("z0", "y0", "x0", "z1", "y1", "x1") if kind == "boxes" else ("x_um", "y_um", "z_um")
    return np.column_stack([made.marks[kind].column(name).to_numpy().astype(np.float64) for name in names])
