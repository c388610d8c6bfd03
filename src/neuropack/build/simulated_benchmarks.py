"""What methods are compared on in a simulated dataset: the benchmarks of its study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from neuropack.build.simulated_truth import Simulated

_MEAN = "mean over the stacks of the split."
# The scores are those of `neuropack evaluate`, see docs/reference/scores.md.
BENCHMARKS: tuple[dict[str, Any], ...] = (
    {
        "id": "foreground",
        "task": "semantic_segmentation",
        "metrics": {
            "iou": f"TP / (TP + FP + FN) over the voxels of a stack; {_MEAN}",
            "f1": f"2 TP / (2 TP + FP + FN) over the voxels of a stack; {_MEAN}",
            "cldice": "Harmonic mean of the part of the centreline found that lies in the true mask, and of the"
            f" true one that lies in the mask found; {_MEAN}",
        },
    },
    {
        "id": "instances",
        "task": "instance_segmentation",
        "metrics": {
            "fisbe_s": "Half the F1 of neurons matched one to one, the greatest clDice first, with a clDice above"
            " 0.1, 0.2 ... 0.9 (mean over these), plus half the part of the true centreline that lies in the"
            f" neurons given to it; {_MEAN}",
            "f1_50": f"F1 of neurons matched one to one with an IoU of 0.5 at least; {_MEAN}",
            "pq": f"Sum of the IoU of matches above 0.5, by TP + FP / 2 + FN / 2; {_MEAN}",
        },
    },
    {
        "id": "tracing",
        "task": "tracing",
        "metrics": {
            "length_f1": "Harmonic mean of the parts of the cable found and of the true cable that lie within 2 um"
            f" of the other; {_MEAN}",
        },
    },
    {
        "id": "somata",
        "task": "detection",
        "metrics": {
            "point_f1": f"F1 of points matched one to one with the centres of somata within 2 um; {_MEAN}",
        },
    },
)


def by_subject(stacks: Sequence[Simulated]) -> Iterator[list[Simulated]]:
    """The stacks of each subject."""
    found: dict[str, list[Simulated]] = {}
    for one in stacks:
        found.setdefault(one.subject, []).append(one)
    yield from found.values()


def splits_of(stacks: Sequence[Simulated]) -> dict[str, list[str]]:
    """The subjects of each split, for the benchmarks; none where nobody is kept for a test."""
    found: dict[str, list[str]] = {}
    for group in by_subject(stacks):
        found.setdefault(group[0].split, []).append(group[0].subject)
    return found if "test" in found else {}


def benchmarks_of(stacks: Sequence[Simulated]) -> list[dict[str, Any]]:
    """The benchmarks of which every subject has the truth: one without neurons has empty labels alone."""
    groups = list(by_subject(stacks))
    has = {
        "tracing": all(any(one.made.skeletons for one in group) for group in groups),
        "detection": all(any(s is not None for one in group for s in one.somata) for group in groups),
    }
    return [one for one in BENCHMARKS if has.get(one["task"], True)]
