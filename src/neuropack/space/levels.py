"""How finely a brain is divided: the labels of an annotation gathered into the regions of a level of the tree.

Every label belongs to exactly one region of a level, so that what is summed by region adds up to the whole: what is
of no region of the level, outside of the brain, or unknown to the tree has a region of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.space.annotation import VOID
from neuropack.space.structures import Structure, Structures

Kind = Literal["region", "rest", "outside", "unknown"]

SUMMARY: Final = "summary"
ANNOTATION: Final = "annotation"
GREY: Final = "#9AA3AE"
"""Colour of what has none in the tree."""

# The twelve divisions of Oh et al. 2014 (A mesoscale connectome of the mouse brain, Nature 508:207), and the fibres
# and the ventricles, so that little of the brain is in none of them.
_DIVISIONS = (
    "Isocortex",
    "OLF",
    "HPF",
    "CTXsp",
    "STR",
    "PAL",
    "TH",
    "HY",
    "MB",
    "P",
    "MY",
    "CB",
    "fiber tracts",
    "VS",
)
_COARSE = 2  # depth in a tree that does not have these


@dataclass(frozen=True)
class Area:
    """A region of a level.

    Attributes:
        id: of its structure; 0 outside of the brain.
        acronym, name, colour: of its structure; the colour as ``#RRGGBB``.
        kind: ``region``: a structure with all its parts; ``rest``: what of the brain is in no region of the level;
            ``outside`` of the brain; ``unknown``: a label that the tree does not have.
    """

    id: int
    acronym: str
    name: str
    colour: str
    kind: Kind


OUTSIDE: Final = Area(VOID, "outside", "outside of the brain", "#DDE2E9", "outside")


class Level:
    """A division of the brain.

    Args:
        name: as the user asked for it.
        regions: the structures that are its regions, none of them a part of another; every structure as it is
            annotated where it is None.
        structures: the tree; None where none is at hand, and then there is no other division than the annotated.
    """

    def __init__(self, name: str, regions: Iterable[Structure] | None, structures: Structures | None) -> None:
        self.name, self.structures = name, structures
        self._areas: dict[int, Area] = {VOID: OUTSIDE}
        if structures is None:
            return
        if regions is None:
            for one in structures:
                self._areas[one.id] = _area(one, "region")
            return
        for one in regions:
            for part in (one, *structures.descendants(one.id)):
                self._areas[part.id] = _area(one, "region")
        root = next(one for one in structures if one.parent is None)
        rest = Area(root.id, "rest", f"{root.name}: in none of these regions", GREY, "rest")
        for one in structures:
            self._areas.setdefault(one.id, rest)

    def area(self, label: int, acronym: str | None = None) -> Area:
        """The region that a label of the annotation belongs to.

        Args:
            label: 0 outside of the brain.
            acronym: what the label is called where there is no tree to tell.
        """
        found = self._areas.get(label)
        if found is None:
            kind: Kind = "region" if self.structures is None else "unknown"
            found = Area(label, acronym or str(label), "" if kind == "region" else "not in the tree", GREY, kind)
            self._areas[label] = found
        return found

    def areas(self) -> list[Area]:
        """Every region met so far: in the order of the tree, the rest, what is unknown, and the outside last."""
        met = list(dict.fromkeys(self._areas.values()))
        order = ("region", "rest", "unknown", "outside")
        if self.structures is None:
            return sorted(met, key=lambda one: (order.index(one.kind), one.acronym, one.id))
        place = {one.id: n for n, one in enumerate(self.structures)}
        return sorted(met, key=lambda one: (order.index(one.kind), place.get(one.id, len(place)), one.id))

    def ids(self, labels: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """The ids of the regions of an array of labels, in its shape."""
        values, at = np.unique(labels, return_inverse=True)
        found = np.array([self.area(int(value)).id for value in values], np.int64)
        return found[at].reshape(labels.shape)


def _area(one: Structure, kind: Kind) -> Area:
    return Area(one.id, one.acronym, one.name, one.colour, kind)


def level_of(text: str, structures: Structures | None) -> Level:
    """The division that a person asks for.

    Args:
        text: ``annotation``: as annotated; ``summary``: the major divisions of the Allen Institute, or what lies
            two steps below the root of a tree that does not have them; a number: the structures at that depth, the
            root being at 0, with those that end above it; or acronyms, with commas between them.
        structures: the tree; without it there is only ``annotation``.

    Raises:
        UsageError: there is no such structure or depth, a structure is named that is a part of another one, or the
            level needs a tree and there is none.
    """
    if text == ANNOTATION:
        return Level(text, None, structures)
    if structures is None:
        raise UsageError(
            "--level needs the tree of structures, and none is at hand",
            found=text,
            fix="name one with --structures FILE, or take --level annotation",
        )
    if text == SUMMARY:
        acronyms = {one.acronym: one for one in structures}
        if all(name in acronyms for name in _DIVISIONS):
            return Level(text, [acronyms[name] for name in _DIVISIONS], structures)
        return Level(text, _at_depth(structures, _COARSE), structures)
    if text.strip().lstrip("-").isdecimal():
        regions = _at_depth(structures, int(text))
        if int(text) < 0 or not any(structures.depth(one.id) == int(text) for one in regions):
            deepest = max(structures.depth(one.id) for one in structures)
            raise UsageError("--level is no depth of the tree", expected=f"0 to {deepest}", found=text)
        return Level(text, regions, structures)
    regions = [structures.find(word) for word in text.split(",")]
    for one in regions:
        above = [other.acronym for other in structures.ancestors(one.id) if other in regions]
        if above or regions.count(one) > 1:
            raise UsageError(
                f"--level names {one.acronym} twice" if not above else f"{one.acronym} is a part of {above[0]}",
                expected="structures that have nothing in common, so that nothing counts twice",
                found=text,
            )
    return Level(text, regions, structures)


def _at_depth(structures: Structures, depth: int) -> list[Structure]:
    """The structures at a depth, and those above it that have no parts."""
    found = []
    for one in structures:
        own = structures.depth(one.id)
        if own == depth or (own < depth and not structures.children(one.id)):
            found.append(one)
    return found
