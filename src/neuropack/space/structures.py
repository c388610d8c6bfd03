"""The tree of brain structures: which region is which, and what lies within what.

Nothing of it is stored here: it is read from the table that the package iblatlas ships, from the structure graph of
the Allen Institute (AllenSDK's files too), or from a BrainGlobe atlas.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from neuropack.errors import InputError, UsageError

_LAYER = re.compile(r"layers? (\d[\dab/-]*)$", re.IGNORECASE)  # two names have no space before it: arealayer 5
_CORTICAL_PLATE = "CTXpl"


@dataclass(frozen=True)
class Structure:
    """A structure of the brain.

    Attributes:
        id: the number that stands for it in an annotation.
        acronym: such as ``VISp5``.
        name: such as ``Primary visual area, layer 5``; iblatlas's table leaves commas out.
        parent: id of the structure that it is a part of; None for the root.
        colour: ``#RRGGBB``, the Allen Institute's.
    """

    id: int
    acronym: str
    name: str
    parent: int | None
    colour: str


class Structures:
    """A tree of structures, in the order of its source (the Allen Institute's: each before its parts).

    Args:
        structures: all of them.
        source: where they come from, for messages.

    Raises:
        InputError: no structure, an id twice, a parent that is not there, a cycle, or not exactly one root.
    """

    def __init__(self, structures: Iterable[Structure], source: Path | str) -> None:
        self.source = source
        self._by_id: dict[int, Structure] = {}
        self._parts: dict[int, list[int]] = {}
        self._by_word: dict[str, Structure] = {}
        for one in structures:
            if one.id in self._by_id:
                raise InputError("two structures have one id", file=source, found=str(one.id))
            self._by_id[one.id] = one
        self._check()
        for one in self:
            if one.parent is not None:
                self._parts.setdefault(one.parent, []).append(one.id)
            self._by_word.setdefault(_word(one.acronym), one)
        for one in self:  # an acronym comes before a name
            self._by_word.setdefault(_word(one.name), one)

    def _check(self) -> None:
        roots = [one.id for one in self if one.parent is None]
        for one in self:
            if one.parent is not None and one.parent not in self._by_id:
                found = f"structure {one.id} is a part of {one.parent}, which is not there"
                raise InputError("the structures are no tree", file=self.source, found=found)
        reached, parents = set(roots), {one.id: one.parent for one in self}
        for start in parents:
            way: set[int] = set()
            at: int | None = start
            while at is not None and at not in reached:
                if at in way:
                    found = f"structure {at} is a part of itself"
                    raise InputError("the structures are no tree", file=self.source, found=found)
                way.add(at)
                at = parents[at]
            reached.update(way)
        if len(roots) != 1:
            found = f"{len(roots)} structures that are part of none"
            raise InputError("the structures are no tree", file=self.source, expected="one root", found=found)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Structure]:
        return iter(self._by_id.values())

    def __contains__(self, id: object) -> bool:
        return id in self._by_id

    def __getitem__(self, id: int) -> Structure:
        """A structure by its id; KeyError where there is none."""
        return self._by_id[id]

    def find(self, word: str | int) -> Structure:
        """A structure by its id, acronym or name; capitals matter, commas do not.

        Raises:
            UsageError: there is none.
        """
        text = str(word).strip()
        found = self._by_word.get(_word(text)) or self._by_id.get(int(text) if text.isdecimal() else -1)
        if found:
            return found
        near = difflib.get_close_matches(_word(text), self._by_word, 3, 0.6)
        root = next(one.acronym for one in self if one.parent is None)
        fix = f"did you mean {', '.join(near)}?" if near else f"neuropack atlas info --tree {root} lists them all"
        raise UsageError(
            f"{text!r} is no structure of the tree",
            file=self.source,
            expected="an id, an acronym or a name",
            found=text,
            fix=fix,
        )

    def ancestors(self, id: int) -> list[Structure]:
        """What a structure is a part of: its parent first, the root last."""
        found, at = [], self._by_id[id].parent
        while at is not None:
            found.append(self._by_id[at])
            at = found[-1].parent
        return found

    def descendants(self, id: int) -> list[Structure]:
        """All parts of a structure, and their parts; each before its own.

        A parent often owns no voxel of an annotation: its region is that of its descendants and itself.
        """
        found: list[Structure] = []
        ahead = self._parts.get(id, [])[::-1]
        while ahead:
            at = ahead.pop()
            found.append(self._by_id[at])
            ahead += self._parts.get(at, [])[::-1]
        return found

    def children(self, id: int) -> list[Structure]:
        """The structures whose parent it is."""
        return [self._by_id[part] for part in self._parts.get(id, [])]

    def depth(self, id: int) -> int:
        """How many structures it is a part of; 0 for the root."""
        return len(self.ancestors(id))

    def layer(self, id: int) -> str | None:
        """Which layer of the cortical plate a structure is, such as ``2/3``, ``6a`` or ``1-3``; None for others."""
        match = _LAYER.search(self._by_id[id].name)
        if match and any(one.acronym == _CORTICAL_PLATE for one in self.ancestors(id)):
            return match[1]
        return None


def _word(text: str) -> str:
    """By which acronyms and names are found: iblatlas's table has lost their commas."""
    return text.replace(",", "")
