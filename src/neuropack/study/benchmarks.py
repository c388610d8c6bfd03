"""Benchmarks of a study: which subjects a method learns from, and which it is tested on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from neuropack.study.records import Record, record, suggestion
from neuropack.study.yaml import Node, Place, Problem

_FIX = "leave it in one split only: what a method has learnt from is no test of it"


def benchmarks_of(root: Node, subjects: Collection[str], problems: list[Problem]) -> tuple[Record, ...]:
    """The benchmarks of a study, in its order.

    A subject is in one split, in all benchmarks together: a network that was trained for one task may serve
    another, and ``splits.tsv`` has one word for each subject.

    Args:
        root: the tree of the study.
        subjects: the ids of all its subjects.
        problems: where mistakes are noted.
    """
    node = root.get("benchmarks")
    if node is None or node.value is None:
        return ()
    if not isinstance(node.value, list):
        problems.append(Problem(node.at, "benchmarks is a list", "an entry for each task", node.shown()))
        return ()
    made: list[Record] = []
    first: dict[str, Place] = {}
    for entry in node.entries:
        noted = len(problems)
        found = record("Benchmark", entry, problems, at=entry.at)
        if len(problems) > noted:
            continue
        at = (entry.get("id") or entry).at
        if found["id"] in first:
            where = f"in {first[found['id']].short()} already"
            problems.append(Problem(at, f"the benchmark {found['id']} comes twice", found=where, fix="rename one"))
        first.setdefault(found["id"], at)
        _check_splits(entry, subjects, problems)
        made.append(found)
    _check_subjects(node, problems)
    return tuple(made)


def splits_of(benchmarks: Iterable[Record]) -> dict[str, str]:
    """The split of each subject that a benchmark names: train, validation or test."""
    return {
        subject: split["name"] for one in benchmarks for split in one["splits"] for subject in split["subjects"]
    }


def _check_splits(benchmark: Node, subjects: Collection[str], problems: list[Problem]) -> None:
    """Note subjects that the study does not have, a split that comes twice, and a benchmark without a test."""
    splits = _entries([benchmark], "splits")
    names: dict[str, Place] = {}
    for split in splits:
        name = split.get("name")
        if name is None:
            continue
        if name.text in names:
            found = f"in {names[name.text].short()} already"
            problems.append(Problem(name.at, f"the split {name.text} comes twice", found=found, fix="join them"))
        names.setdefault(name.text, name.at)
    if "test" not in names:
        place = (benchmark.get("splits") or benchmark).at
        found, fix = ", ".join(names), "keep subjects for a split of the name test"
        problems.append(Problem(place, "the benchmark has nothing to test on", "a split named test", found, fix))
    for subject in _entries(splits, "subjects"):
        if subject.text not in subjects:
            fix = suggestion(subject.text, subjects)
            problems.append(Problem(subject.at, "no such subject", "an id of subjects", subject.text, fix))


def _check_subjects(benchmarks: Node, problems: list[Problem]) -> None:
    """Note each subject that is in two splits, or twice in one, in all benchmarks together."""
    first: dict[str, tuple[str, Place]] = {}
    for benchmark in benchmarks.entries:
        own: set[str] = set()
        for split in _entries([benchmark], "splits"):
            name = split.get("name")
            for subject in _entries([split], "subjects"):
                said = first.setdefault(subject.text, (name.text if name is not None else "", subject.at))
                if name is not None and said[0] != name.text:
                    found = f"it is in {said[0]} in {said[1].short()}"
                    what = f"the subject {subject.text} is in two splits"
                    problems.append(Problem(subject.at, what, "whole subjects in one split", found, _FIX))
                elif subject.text in own:
                    what = f"the subject {subject.text} comes twice in a split"
                    problems.append(Problem(subject.at, what, found="it stands there already", fix="name it once"))
                own.add(subject.text)


def _entries(nodes: Sequence[Node], key: str) -> list[Node]:
    """The entries of the lists at a key."""
    return [entry for node in nodes if (found := node.get(key)) is not None for entry in found.entries]
