"""The regions of several releases, numbered so that a region and all below it are one span of numbers.

Releases of one atlas share a tree. Where two releases disagree about a region of an atlas of one name, each has a
tree of its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from neuropack.errors import UsageError

Key = tuple[str, ...]
Numbers = tuple[int, int]


@dataclass
class _Node:
    acronym: str | None
    name: str | None
    parent: int | None


@dataclass
class Forest:
    """The trees of the regions of releases.

    Attributes:
        order: the number of each region of each tree: parts follow what they are parts of.
        last: the last number in each region, by its own.
        of: the tree of each release.
    """

    order: dict[tuple[Key, int], int] = field(default_factory=dict)
    last: list[int] = field(default_factory=list)
    of: dict[str, Key] = field(default_factory=dict)
    _trees: dict[Key, dict[int, _Node]] = field(default_factory=dict)
    _words: dict[str, set[int]] = field(default_factory=dict)
    _shown: dict[str, str] = field(default_factory=dict)

    @classmethod
    def grow(cls, regions: Mapping[str, Iterable[Mapping[str, Any]]]) -> Forest:
        """The forest of the tables ``regions`` of releases."""
        forest = cls()
        for release, rows in regions.items():
            forest._add(release, list(rows))
        for key, tree in forest._trees.items():
            forest._number(key, tree)
        return forest

    def _add(self, release: str, rows: list[Mapping[str, Any]]) -> None:
        nodes = {
            r["region_id"]: _Node(r["acronym"], r["name"], r["parent"]) for r in rows if r["region_id"] is not None
        }
        key: Key = (next((r["ontology"] for r in rows if r["ontology"]), ""),)
        if not _agree(nodes, self._trees.get(key, {})):
            key = (*key, release)
        tree = self._trees.setdefault(key, {})
        for id_, node in nodes.items():
            if tree.get(id_) is None or (tree[id_].parent is None and node.parent is not None):
                tree[id_] = node
        self.of[release] = key

    def _number(self, key: Key, tree: dict[int, _Node]) -> None:
        parts: dict[int | None, list[int]] = {}
        for id_ in sorted(tree):
            parent = tree[id_].parent
            parts.setdefault(parent if parent in tree else None, []).append(id_)
        for root in (*parts.get(None, ()), *sorted(tree)):  # what is a part of itself is reached from no root
            if (key, root) not in self.order:
                self._walk(key, tree, parts, root)

    def _walk(self, key: Key, tree: dict[int, _Node], parts: dict[int | None, list[int]], root: int) -> None:
        ahead: list[tuple[int, Iterator[int]]] = []

        def enter(id_: int) -> None:
            number = self.order[key, id_] = len(self.last)
            self.last.append(number)
            for word in (tree[id_].acronym, tree[id_].name, str(id_)):
                if word:
                    self._words.setdefault(_plain(word), set()).add(number)
                    self._shown.setdefault(_plain(word), word)
            ahead.append((id_, iter(parts.get(id_, ()))))

        enter(root)
        while ahead:
            id_, rest = ahead[-1]
            part = next((p for p in rest if (key, p) not in self.order), None)
            if part is not None:
                enter(part)
            else:
                ahead.pop()
                self.last[self.order[key, id_]] = len(self.last) - 1

    def find(self, word: str | int) -> list[Numbers]:
        """The spans of numbers of a region and all below it, in every tree that has it.

        Raises:
            UsageError: no tree has such a region.
        """
        plain = _plain(str(word))
        found = self._words.get(plain)
        if not found:
            near = difflib.get_close_matches(plain, self._words, 3, 0.6)
            raise UsageError(
                f"{str(word)[:60]!r} is no region of these releases",
                expected="an acronym, a name or a number",
                found=str(word)[:60],
                fix=f"did you mean {', '.join(self._shown[n] for n in near)}?"
                if near
                else "the table regions lists them",
            )
        spans: list[Numbers] = []
        for first, last in sorted((number, self.last[number]) for number in found):
            if not spans or first > spans[-1][1]:
                spans.append((first, last))
        return spans


def _agree(some: dict[int, _Node], others: dict[int, _Node]) -> bool:
    for id_, node in some.items():
        other = others.get(id_)
        if other is None:
            continue
        if node.acronym != other.acronym or (
            None not in (node.parent, other.parent) and node.parent != other.parent
        ):
            return False
    return True


def _plain(text: str) -> str:
    """By which regions are found: without capitals and commas, which tables of the Allen atlas have lost."""
    return " ".join(text.replace(",", " ").casefold().split())
