"""Benchmarks: what a model is tested on it has not seen, and the truth is there to score it by."""

from __future__ import annotations

from collections.abc import Iterator

from neuropack.release import SPLITS
from neuropack.rules import Finding, ReleaseFiles, rule
from neuropack.rules.values import dicts, text, texts

EDIT = "correct the benchmark in the metadata and build the release again"
SPLIT_NAMES = ("train", "validation", "test")
NO_DEFINITION = ("todo", "tbd", "n/a", "unknown")
# the kinds of annotations that a task is scored by
TRUTH = {
    "instance_segmentation": ("labels",),
    "semantic_segmentation": ("labels", "classes"),
    "detection": ("boxes", "points"),
    "tracing": ("skeletons",),
    "classification": ("classes",),
}


@rule(id="benchmark.leak", level="error", reads="text")
def leak(release: ReleaseFiles) -> Iterator[Finding]:
    """No animal is in two splits of a benchmark, and none twice in one.

    Crops of one brain are too much alike: a model that has seen one knows the other, and its score means nothing.

    Leave the animal in one split only.
    """
    if (document := release.metadata) is None:
        return
    for i, benchmark in release.records("benchmarks"):
        seen: dict[str, tuple[int, str]] = {}
        for j, split in dicts(benchmark.get("splits")):
            for k, name in texts(split.get("subjects")):
                if name in seen:
                    found = f"{name}, which is in {seen[name][1]} (/benchmarks/{i}/splits/{seen[name][0]}) too"
                    where = document.where("benchmarks", i, "splits", j, "subjects", k)
                    yield Finding(where, "an animal of no other split", found, EDIT)
                seen.setdefault(name, (j, text(split.get("name"))))


@rule(id="benchmark.splits", level="error", reads="text")
def splits(release: ReleaseFiles) -> Iterator[Finding]:
    """Every benchmark has one split to test on, and no split of a name twice.

    Without a split for the test every group takes its own, and scores cannot be compared.

    Name the animals that are kept for the test in a split of the name test.
    """
    if (document := release.metadata) is None:
        return
    for i, benchmark in release.records("benchmarks"):
        names: dict[str, int] = {}
        for j, split in dicts(benchmark.get("splits")):
            name = text(split.get("name"))
            if name and name in names:
                where = document.where("benchmarks", i, "splits", j, "name")
                found = f"{name}, which /benchmarks/{i}/splits/{names[name]} is too"
                yield Finding(where, "each split once", found, EDIT)
            names.setdefault(name, j)
        if names and "test" not in names:
            found = ", ".join(names) or "none"
            yield Finding(document.where("benchmarks", i, "splits"), "a split of the name test", found, EDIT)


@rule(id="benchmark.table", level="error", reads="text")
def splits_table(release: ReleaseFiles) -> Iterator[Finding]:
    """splits.tsv has each animal once, in the split that the benchmarks of the metadata have it in.

    Programs read the table: one that differs has them learn from what others are tested on.

    Write the split into the study, and build the release again.
    """
    table, document = release.table(SPLITS), release.metadata
    if table is None or document is None:
        return
    known = {f"sub-{text(one.get('id'))}" for _, one in release.records("subjects")}
    said = _splits_said(release)
    seen: dict[str, int] = {}
    for row, cells in enumerate(table.rows):
        name, split = cells.get("participant_id", ""), cells.get("split", "")
        wanted = said.get(name, {})
        where = table.where(row)
        if name in seen:
            yield Finding(where, "each animal once", f"{name}, which is in line {seen[name] + 2} too", EDIT)
        elif name not in known:
            yield Finding(where, "an animal of the metadata", name or "no participant_id", EDIT)
        elif wanted and split not in wanted:
            (right, (i, j)), *_ = wanted.items()
            yield Finding(where, f"{right}, as /benchmarks/{i}/splits/{j} has {name}", split or "none", EDIT)
        elif split not in SPLIT_NAMES:
            yield Finding(where, " or ".join(SPLIT_NAMES), repr(split), EDIT)
        seen.setdefault(name, row)
    for name, wanted in said.items():
        (i, j), *_ = wanted.values()
        if name in known and name not in seen:
            where = document.where("benchmarks", i, "splits", j)
            yield Finding(where, f"a line of {SPLITS} about it", f"{name}, of which there is none", EDIT)


@rule(id="benchmark.metrics", level="error", reads="text")
def metrics(release: ReleaseFiles) -> Iterator[Finding]:
    """Every metric of a benchmark is named once, and its definition says more than its name.

    Two groups that compute "F1" differently publish numbers that look comparable and are not.

    Write down how it is computed: what is matched to what, with which threshold, over what the mean is taken.
    """
    if (document := release.metadata) is None:
        return
    for i, benchmark in release.records("benchmarks"):
        names: dict[str, int] = {}
        for j, metric in dicts(benchmark.get("metrics")):
            name, definition = text(metric.get("name")), text(metric.get("definition"))
            if name and name.casefold() in names:
                where = document.where("benchmarks", i, "metrics", j, "name")
                found = f"{name}, which /benchmarks/{i}/metrics/{names[name.casefold()]} is too"
                yield Finding(where, "each metric once", found, EDIT)
            elif definition and definition.strip(" .").casefold() in (name.casefold(), *NO_DEFINITION):
                where = document.where("benchmarks", i, "metrics", j, "definition")
                yield Finding(where, f"how {name} is computed", repr(definition), EDIT)
            names.setdefault(name.casefold(), j)


@rule(id="benchmark.ground-truth", level="error", reads="text")
def ground_truth(release: ReleaseFiles) -> Iterator[Finding]:
    """Every animal of a benchmark has a ground truth of the kind that the task is scored by.

    An animal without one cannot be scored: each group drops it, or counts everything on it as wrong.

    Add the annotations of the animal to the study, or take it out of the benchmark.
    """
    if (document := release.metadata) is None:
        return
    owners = _owners(release)
    marked: dict[str, set[str]] = {}
    for _, annotation in release.records("annotations"):
        kind = text(annotation.get("kind"))
        if text(annotation.get("image_stack")) not in owners:
            return  # of no stack, as metadata.references tells: whose it is cannot be known
        marked.setdefault(kind, set()).update(owners.get(text(annotation.get("image_stack")), ()))
    registered = {
        o for _, r in release.records("registrations") for o in owners.get(text(r.get("image_stack")), ())
    }
    known = {text(s.get("id")) for _, s in release.records("subjects")}
    for i, benchmark in release.records("benchmarks"):
        task = text(benchmark.get("task"))
        kinds = TRUTH.get(task, ())
        there = registered if task == "registration" else set().union(*(marked.get(k, set()) for k in kinds))
        if not kinds and task != "registration":
            continue
        for j, split in dicts(benchmark.get("splits")):
            for k, name in texts(split.get("subjects")):
                if name in known and name not in there:
                    where = document.where("benchmarks", i, "splits", j, "subjects", k)
                    wanted = " or ".join(kinds) or "a registration"
                    yield Finding(where, f"an animal with {wanted}", f"{name}, which has none", EDIT)


@rule(id="benchmark.truth-by-model", level="warning", reads="text")
def truth_by_model(release: ReleaseFiles) -> Iterator[Finding]:
    """What a benchmark is tested on was marked by people, or is the known truth of a simulation, not by a model.

    A model that is scored by the output of another one learns its mistakes, and beats it by repeating them.

    Have a person correct the annotation (provenance: corrected), or take the animal out of the split.
    """
    if (document := release.metadata) is None:
        return
    owners = _owners(release)
    by_model: dict[tuple[str, str], int] = {}
    for i, annotation in release.records("annotations"):
        if annotation.get("provenance") == "model":
            for owner in owners.get(text(annotation.get("image_stack")), ()):
                by_model.setdefault((owner, text(annotation.get("kind"))), i)
    for i, benchmark in release.records("benchmarks"):
        kinds = TRUTH.get(text(benchmark.get("task")), ())
        for j, split in dicts(benchmark.get("splits")):
            if split.get("name") != "test":
                continue
            for k, name in texts(split.get("subjects")):
                found = next((by_model[name, kind] for kind in kinds if (name, kind) in by_model), None)
                if found is not None:
                    where = document.where("benchmarks", i, "splits", j, "subjects", k)
                    told = f"{name}; /annotations/{found} was made by a model"
                    yield Finding(where, "an animal whose ground truth people made", told, EDIT)


def _splits_said(release: ReleaseFiles) -> dict[str, dict[str, tuple[int, int]]]:
    """Of each animal of a benchmark the splits that it is in, each with the places of benchmark and split."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for i, benchmark in release.records("benchmarks"):
        for j, part in dicts(benchmark.get("splits")):
            for _, subject in texts(part.get("subjects")):
                found.setdefault(f"sub-{subject}", {}).setdefault(text(part.get("name")), (i, j))
    return found


def _owners(release: ReleaseFiles) -> dict[str, set[str]]:
    """The animal of each stack, by its own word and by its specimen's: metadata.one-animal compares the two."""
    tissue = {text(s.get("id")): text(s.get("subject")) for _, s in release.records("specimens")}
    return {
        text(s.get("id")): {text(s.get("subject")), tissue.get(text(s.get("specimen")), "")}
        for _, s in release.records("image_stacks")
    }
