"""From the tree of a study to the records of the sheets: the reverse of `tree`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from neuropack.study.annotations import KINDS
from neuropack.study.inherit import SHORT_FORMS, short_forms
from neuropack.study.sheets.cells import raw_of
from neuropack.study.sheets.layout import BENCHMARK, Path, Sheet, sheets
from neuropack.study.yaml import Node, merge

Record = dict[str, Any]
Records = Mapping[str, list[Record]]


def records_of(root: Node) -> Records:
    """The records of every sheet that has some, each value under the name of its column.

    Args:
        root: the tree of a study without mistakes.
    """
    return _Filled().fill(root)


class _Filled:
    """The sheets while they are filled."""

    def __init__(self) -> None:
        self.sheets = {sheet.name: sheet for sheet in sheets()}
        self.columns = {
            sheet.name: {c.path: c for c in sheet.columns if not c.refers and c.path[0] != "instrument"}
            for sheet in self.sheets.values()
        }
        self.records: dict[str, list[Record]] = {name: [] for name in self.sheets}
        self.instruments: dict[str, Record] = {}

    def fill(self, root: Node) -> Records:
        times = Counter(_word(stack, "file") for stack in _stacks(root))
        self._add("study", root, {})
        self._lists(root, {}, [s for s in self.sheets.values() if s.at and not s.address])
        for benchmark in _entries(root, "benchmarks"):
            among = [sheet for sheet in self.sheets.values() if sheet.address == BENCHMARK]
            self._lists(benchmark, {"benchmark": _word(benchmark, "id")}, among)
        self._defaults(root, {})
        for subject in _entries(root, "subjects"):
            animal = {"subject": _word(subject, "id")}
            self._add("subjects", subject, {})
            self._defaults(subject, animal)
            for specimen in _entries(subject, "specimens"):
                tissue = {**animal, "specimen": _word(specimen, "id")}
                self._add("specimens", specimen, animal)
                self._lists(specimen, tissue, self._below("labelling"))
                self._defaults(specimen, tissue)
                for stack in _entries(specimen, "stacks"):
                    self._stack(stack, tissue, _name(stack, times))
        self.records["instruments"] = list(self.instruments.values())
        return self.records

    def _below(self, part: str) -> list[Sheet]:
        return [sheet for sheet in self.sheets.values() if sheet.at[:1] == (part,) and sheet.address]

    def _stack(self, stack: Node, tissue: Record, name: str) -> None:
        acquisition = merge(stack.get("acquisition"), short_forms(stack))
        own = _with(stack, acquisition=acquisition)
        record = self._add("stacks", _shortened(own, own), tissue)
        self._instrument(own.get("instrument"), record)
        self._lists(own, {"stack": name}, [*self._below("acquisition"), *self._below("annotation")])
        self._others(own, {"stack": name})

    def _defaults(self, level: Node, address: Record) -> None:
        said = level.get("defaults")
        if said is None:
            return
        stack = said.get("stack")
        acquisition = merge(merge(said.get("acquisition"), _get(stack, "acquisition")), short_forms(stack))
        instrument = merge(said.get("instrument"), _get(stack, "instrument"))
        own = _with(said, acquisition=acquisition, instrument=instrument)
        if stack is not None or acquisition is not None:
            shared = stack if stack is not None else Node({}, said.at)
            own = _with(own, stack=_shortened(_with(shared, acquisition=acquisition), shared))
        record = self._add("defaults", own, address)
        self._instrument(instrument, record)
        self._lists(own, address, [*self._below("labelling"), *self._below("acquisition")])
        if stack is not None:
            self._lists(stack, address, self._below("annotation"))
            self._others(stack, address)

    def _others(self, stack: Node, address: Record) -> None:
        """Other annotators, and the files of all of which more is said than where they are."""
        self._sources(stack, address)
        for one in _entries(stack, "other_annotators"):
            self._add("other_annotators", one, address)
            self._sources(one, {**address, "other_annotator": _word(one, "annotator")})

    def _sources(self, node: Node, address: Record) -> None:
        for kind in KINDS:
            found = node.get(kind)
            for one in (found.entries or [found]) if found is not None else []:
                if isinstance(one.value, dict):
                    self._add("annotations", one, {**address, "kind": kind})

    def _lists(self, node: Node, address: Record, among: Iterable[Sheet]) -> None:
        for sheet in among:
            for one in _entries(node, *sheet.at):
                self._add(sheet.name, one, address)

    def _add(self, name: str, node: Node, address: Record) -> Record:
        """A record for a node, with the columns that the sheet has."""
        record = {k: v for k, v in address.items() if v} | self._cells(name, node)
        self.records[name].append(record)
        return record

    def _cells(self, name: str, node: Node) -> Record:
        """What a node says, under the names of a sheet's columns."""
        columns = self.columns[name]
        found = {columns[p].name: raw_of(n, columns[p].field) for p, n in _leaves(node, ()) if p in columns}
        return {key: raw for key, raw in found.items() if raw != ""}

    def _instrument(self, node: Node | None, record: Record) -> None:
        """A microscope: by its name, where it has one that no other has; else its fields beside the record."""
        if node is None or not node.items:
            return
        made = self._cells("instruments", node)
        own = made.get("id")
        if own and self.instruments.setdefault(own, made) == made:
            record["instrument"] = own
        else:
            record.update({f"instrument.{key}": value for key, value in made.items()})


def _leaves(node: Node, above: Path) -> Iterator[tuple[Path, Node]]:
    """Every value that is no mapping, with its path; lists as a whole."""
    for key, child in node.items.items():
        if isinstance(child.value, dict):
            yield from _leaves(child, (*above, key))
        else:
            yield (*above, key), child


def _shortened(node: Node, to: Node) -> Node:
    """A stack with the short words for what its acquisition says, and without them there."""
    acquisition = node.get("acquisition")
    if acquisition is None or not acquisition.items:
        return to
    value = dict(to.items)
    for name, path in SHORT_FORMS.items():
        found = acquisition.get(name)
        if found is None:
            continue
        if len(path) == 1:
            value[path[0]] = found
        else:
            size = value.get(path[0])
            inside = {**(size.items if size is not None else {}), path[1]: found}
            value[path[0]] = Node(inside, found.at)
    return replace(to, value=value)


def _with(node: Node, **children: Node | None) -> Node:
    return replace(node, value={**node.items, **{k: n for k, n in children.items() if n is not None}})


def _get(node: Node | None, key: str) -> Node | None:
    return node.get(key) if node is not None else None


def _entries(node: Node, *path: str) -> list[Node]:
    found = node.get(*path)
    return found.entries if found is not None else []


def _word(node: Node, key: str) -> str:
    found = node.get(key)
    return found.text.strip() if found is not None and found.value is not None else ""


def _stacks(root: Node) -> Iterator[Node]:
    for subject in _entries(root, "subjects"):
        for specimen in _entries(subject, "specimens"):
            yield from _entries(specimen, "stacks")


def _name(stack: Node, times: Mapping[str, int]) -> str:
    """What other sheets call a stack: its file, with the scene where that is not enough."""
    file, scene = _word(stack, "file"), _word(stack, "scene")
    return file if times[file] == 1 or not scene else f"{file}#{scene}"
