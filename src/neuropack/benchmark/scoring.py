"""Scores of a result for one image: those of `neuropack.evaluate`, by the names of a benchmark's table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from neuropack.benchmark.cases import Case
from neuropack.benchmark.outputs import SKELETONS, labels_in, skeletons_in, somata_in
from neuropack.errors import InputError
from neuropack.evaluate.agreement import Score
from neuropack.evaluate.traces import trace_scores

COMMON: Final = ("f1", "iou", "precision", "recall", "accuracy")
"""The columns that every task has, null where it has no such score."""
MEASURES: Final[dict[str, tuple[str, ...]]] = {
    "foreground": (*COMMON, "prevalence", "cldice", "cl_precision", "cl_recall"),
    "instances": (
        *("f1", "average_f1", "av_f1", "coverage", "fisbe_s", "pq", "sq", "rq"),
        *("voi_split", "voi_merge", "rand_error"),
    ),
    "somata": ("f1", "precision", "recall"),
    "tracing": ("f1", "precision", "recall", "erl_um", "erl_fraction", "erl_omitted", "erl_split", "erl_merged"),
    "classification": ("f1", "precision", "recall", "accuracy", "largest_class", "kappa"),
}
CHOSEN_BY: Final = {
    "foreground": "cldice",
    "instances": "fisbe_s",
    "somata": "f1",
    "tracing": "f1",
    "classification": "f1",
}
"""The score that settings are chosen by, and images are put in order."""
_RENAMED: Final = {
    "f1_50": "f1",
    **{f"point_{name}": name for name in ("f1", "precision", "recall")},
    **{f"length_{name}": name for name in ("f1", "precision", "recall")},
    **{f"macro_{name}": name for name in ("f1", "precision", "recall")},
}


@dataclass(frozen=True)
class Scored:
    """Scores of one image.

    Attributes:
        values: by name; None where one cannot be formed.
        notes: why, by name.
        counts: of objects on each side, and of errors.
    """

    values: Mapping[str, float | None]
    notes: Mapping[str, str]
    counts: Mapping[str, int]

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"values": dict(self.values), "notes": dict(self.notes), "counts": dict(self.counts)}

    @classmethod
    def of(cls, task: str, scores: Iterable[Score], counts: Mapping[str, int]) -> Scored:
        """From scores by their own names; those that a task does not have are left out."""
        named = {_RENAMED.get(one.measure, one.measure): one for one in scores}
        kept = {name: named[name] for name in MEASURES[task] if name in named}
        notes = {name: one.note for name, one in kept.items() if one.value is None}
        return cls({name: one.value for name, one in kept.items()}, notes, counts)


def score(task: str, case: Case, output: Path, tolerance_um: float) -> Scored:
    """The scores of the result for an image.

    Args:
        task: on images.
        case: with its truth.
        output: where the result stands.
        tolerance_um: of somata and skeletons.

    Raises:
        InputError: the result is none, or not of the image.
    """
    if task == "somata":
        return _somata(case, output, tolerance_um)
    if task == "tracing":
        return _tracing(case, output, tolerance_um)
    return _labels(task, case, output)


def _labels(task: str, case: Case, output: Path) -> Scored:
    from neuropack.evaluate.centrelines import fisbe
    from neuropack.evaluate.images import centrelines_of, overlaps_of, see_alike
    from neuropack.readers import open_volume

    if case.labels is None:
        raise InputError("has no labels to be scored by", file=case.image)
    with case.opened() as image, open_volume(case.labels, voxel_size_um=case.voxel_size_um) as truth:
        see_alike(truth, image)
        with labels_in(output, image) as found:
            overlaps = overlaps_of(found, truth)
            lines = centrelines_of(found, truth, each=task == "instances")
    counts = {"true_objects": len(overlaps.labels(0)), "objects_found": len(overlaps.labels(1))}
    if task == "foreground":
        return Scored.of(task, [*overlaps.foreground().scores(), *lines.cldice()], counts)
    return Scored.of(task, [*overlaps.scores(), *overlaps.panoptic(), *fisbe([lines])], counts)


def _somata(case: Case, output: Path, tolerance_um: float) -> Scored:
    from neuropack.evaluate.detections import point_scores

    found, right = somata_in(output), case.places
    counts = {"true_objects": len(right), "objects_found": len(found)}
    return Scored.of("somata", point_scores(found, right, tolerance_um), counts)


def _tracing(case: Case, output: Path, tolerance_um: float) -> Scored:
    found, right = list(skeletons_in(output).values()), list(case.neurons.values())
    scores, errors = trace_scores(output / SKELETONS, found, right, tolerance_um, distances=False)
    counts = {"true_objects": len(right), "objects_found": len(found), **errors}
    return Scored.of("tracing", scores, counts)


CHOICES: Final = {
    "foreground": ("cldice", "f1", "iou", "precision", "recall", "accuracy"),
    "instances": ("fisbe_s", "f1", "average_f1", "av_f1", "coverage", "pq"),
    "somata": ("f1", "precision", "recall"),
    "tracing": ("f1", "precision", "recall", "erl_um", "erl_fraction"),
}
"""The scores that settings can be chosen by: more is better."""


def chosen_by(measure: str, scored: Sequence[Scored]) -> float:
    """The mean of the score that settings are chosen by; an image without a value counts as 0 here."""
    values = [one.values.get(measure) or 0.0 for one in scored]
    return sum(values) / len(values) if values else 0.0
