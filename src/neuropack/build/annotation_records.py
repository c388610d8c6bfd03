"""The records of annotations in the metadata: of each file, who made it, how, and how well others agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from neuropack.build.labels import label_map
from neuropack.marks import Credit, MarkKind
from neuropack.skeleton import Skeleton
from neuropack.study.records import Record

if TYPE_CHECKING:
    from neuropack.build.document import Made

# The node types that SWC fixes; others are the tracer's own.
_NODE_TYPES = {0: "undefined", 1: "soma", 2: "axon", 3: "basal dendrite", 4: "apical dendrite", 5: "fork", 6: "end"}
_CONVENTION: Final[Mapping[MarkKind, str]] = {
    "boxes": "voxel_zyx_half_open",
    "points": "stack_um_xyz_corner",
    "classes": "none",
}


def annotation_records(made: Made) -> Iterable[Record]:
    """One record for each file with annotations of a stack."""
    stack = made.planned.stack
    if (labels := stack.annotations.labels) is not None:
        yield {
            **_base(made, f"{stack.id}-labels", "labels", stack.label_image, labels.credit),
            "label_map": label_map(made.planned, made.label_values) or [{"value": 0, "name": "background"}],
            "coordinate_convention": "voxel_grid",
            **made.agreements.of("labels"),
        }
    for traced in made.planned.annotated.neurons:
        yield {
            **_skeleton(made, f"{traced.id}-skeleton", stack.morphology(traced.id), traced.skeleton, traced.credit),
            **made.agreements.of("skeletons", traced.id),
        }
    for other in made.planned.others:
        for traced in other.neurons:
            path = stack.morphology_by(traced.id, str(other.credit.annotator))
            name = path.rsplit("/", 1)[-1].removesuffix(".swc")
            yield _skeleton(made, f"{name}-skeleton", path, traced.skeleton, traced.credit)
    for kind, table in made.marks.items():
        credit = next((source.credit for source in stack.annotations[kind]), made.planned.annotated.credit)
        named = sorted({v for v in table.column("class").to_pylist() if v is not None}) or [kind]
        yield {
            **_base(made, f"{stack.id}-{kind}", kind, stack.marks(kind), credit),
            "label_map": [{"value": i, "name": name} for i, name in enumerate(named)],
            "coordinate_convention": _CONVENTION[kind],
            **made.agreements.of(kind),
        }


def _base(made: Made, name: str, kind: str, path: str, credit: Credit) -> Record:
    return annotation_record(name, kind, made.planned.stack.id, path, credit)


def annotation_record(name: str, kind: str, stack: str, path: str, credit: Credit) -> Record:
    """What all records of annotations say."""
    said: dict[str, Any] = {key: value for key, value in asdict(credit).items() if value is not None}
    return {"id": name, "kind": kind, "image_stack": stack, "target_level": 0, "path": path, **said}


def _skeleton(made: Made, name: str, path: str, skeleton: Skeleton, credit: Credit) -> Record:
    return skeleton_record(name, made.planned.stack.id, path, skeleton, credit)


def skeleton_record(name: str, stack: str, path: str, skeleton: Skeleton, credit: Credit) -> Record:
    """The record of a skeleton in a stack."""
    types = sorted({int(t) for t in skeleton.type})
    return {
        **annotation_record(name, "skeletons", stack, path, credit),
        "label_map": [{"value": t, "name": _NODE_TYPES.get(t, "custom")} for t in types],
        "coordinate_convention": "stack_um_xyz_corner",
    }
