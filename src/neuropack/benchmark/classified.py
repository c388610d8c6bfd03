"""The task classification of a benchmark: rows of the table, as the tasks on images have them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import neuropack
from neuropack.benchmark import classification as task
from neuropack.benchmark.cases import Data, data_of
from neuropack.benchmark.contest import named, see_does
from neuropack.benchmark.intervals import LEAST_IMAGES, interval
from neuropack.benchmark.measured import machine
from neuropack.benchmark.outside import Outside
from neuropack.benchmark.scoring import COMMON, MEASURES, Scored
from neuropack.errors import InputError, UsageError
from neuropack.progress import Progress

Row = dict[str, Any]
Member = task.Classifier | Outside


def members(given: Sequence[str]) -> list[Member]:
    """The methods of a line.

    Raises:
        UsageError: there is no such method, a name comes twice, or one does another task.
        InputError: a file of methods is wrong.
    """
    found = named(given, _classifier)
    for one in found:
        if isinstance(one, Outside):
            see_does(one.name, one.tasks, "classification")
    return found


def _classifier(text: str) -> task.Classifier:
    from neuropack.study.records import suggestion

    if text not in task.CLASSIFIERS:
        raise UsageError(
            f"there is no method {text!r} for this task",
            expected=f"{', '.join(task.CLASSIFIERS)}; NAME=COMMAND, or a file of methods in .yaml",
            found=text,
            fix=suggestion(text, task.CLASSIFIERS),
        )
    return task.CLASSIFIERS[text]


def about_of(one: Member) -> dict[str, Any]:
    """What is told of a method, so that another one is another result."""
    return {"name": one.name, "settings": [dict(settings) for settings in one.settings], **_about(one)}


def _about(one: Member) -> dict[str, Any]:
    return one.told() if isinstance(one, Outside) else {}


def classed_at(path: Path, features: str) -> tuple[Data, task.Neurons]:
    """A release and its neurons that have classes and features; nobody asks for splits.

    Raises:
        UsageError: it has no such neurons.
        InputError: it is no release.
    """
    from neuropack.release import METADATA, open_release

    if not (path / METADATA).is_file():
        raise InputError(
            "is not a release, and the task classification wants one",
            file=path,
            expected=f"a folder with {METADATA}",
            found="no such file" if path.is_dir() else "no such folder",
        )
    with open_release(path) as release:
        neurons = task.neurons_of(release, path, features)
        return data_of(path, release, neurons.digest()), neurons


def rows_of(
    data: Data,
    neurons: task.Neurons,
    members: Sequence[Member],
    work: Path,
    *,
    features: str,
    tune: bool,
    seed: int,
    tell: Progress | None = None,
) -> list[Row]:
    """The results of each method on the neurons of a release.

    Raises:
        InputError: a method failed.
    """
    about, rows = machine(), []
    for n, one in enumerate(members):
        if tell:
            tell(f"testing {one.name}", n, len(members))
        rows.append(_row(one, neurons, data, work / one.name, features, tune, seed, about))
    return rows


def _row(
    one: Member,
    neurons: task.Neurons,
    data: Data,
    work: Path,
    features: str,
    tune: bool,
    seed: int,
    about: Row,
) -> Row:
    from neuropack.evaluate.detections import class_scores

    chosen: list[Any] = []
    if isinstance(one, Outside):
        said, cost = task.by_command(one, neurons, work, seed)
        settings = one.grid("classification")[0]
    else:
        said, chosen, cost = task.cross_validated(one, neurons, tune=tune)
        settings = chosen[0] if all(s == chosen[0] for s in chosen) else {}
    truth: dict[Hashable, str] = dict(zip(neurons.ids, neurons.classes.tolist(), strict=True))
    found: dict[Hashable, str] = dict(said.items())
    whole, by_class = class_scores(found, truth)
    scored = Scored.of("classification", whole, {"true_objects": len(truth), "objects_found": len(said)})
    subjects = sorted(set(neurons.subjects.tolist()))
    parts = []
    for subject in subjects:
        mine: dict[Hashable, str] = {
            i: truth[i] for i, s in zip(neurons.ids, neurons.subjects.tolist(), strict=True) if s == subject
        }
        part, _ = class_scores(found, mine)
        made = Scored.of("classification", part, {"true_objects": len(mine)})
        parts.append({"image": subject, "subject": subject, **made.record()})
    accuracies = [part["values"]["accuracy"] for part in parts]
    span = interval(accuracies, seed)
    spans: dict[str, Any] = dict.fromkeys(MEASURES["classification"])
    spans["accuracy"] = list(span) if span else None
    notes = [f"classes: {neurons.source}; {features}, {len(neurons.names)} feature(s)"]
    if len(subjects) < LEAST_IMAGES:
        notes.append(f"no interval: {len(subjects)} animals, and {LEAST_IMAGES} are needed")
    if chosen and not settings and any(chosen):
        notes.append("settings differ between the animals left out: see settings_by_animal")
    if tune and isinstance(one, Outside) and len(one.settings) > 1:
        notes.append("not tuned: a command classifies with the first of its settings")
    if len(said) < len(truth):
        notes.append(f"{len(truth) - len(said)} neuron(s) without a class: each is missed by its own")
    return {
        "method": one.name,
        "task": "classification",
        "data": data.name,
        **dict.fromkeys(COMMON),
        **scored.values,
        **scored.counts,
        "images": len(subjects),
        "without": {},
        "interval": spans,
        "settings": dict(settings),
        "settings_by_animal": {s: dict(c) for s, c in zip(subjects, chosen, strict=False)},
        "settings_tried": len(one.settings) if not isinstance(one, Outside) and tune else 1,
        "seconds": round(cost.seconds, 4),
        "cpu_seconds": None if cost.cpu_seconds is None else round(cost.cpu_seconds, 4),
        "memory_bytes": cost.memory_bytes if isinstance(one, Outside) else None,
        "seed": seed,
        "data_digest": data.digests[-1] if data.digests else None,
        "about": _about(one),
        "classes": {name: {s.measure: s.value for s in scores} for name, scores in by_class.items()},
        "machine": about,
        "software": f"neuropack {neuropack.__version__}",
        "per_image": parts,
        "notes": notes,
        "pictures": {},
    }
