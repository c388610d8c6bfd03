"""Where planted defects are gathered: each a rule, words of its finding, and what is done to a good release.

A twin is the same with something that looks like the defect and is none: nothing may be found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Plant = Callable[[Path], None]


@dataclass(frozen=True)
class Planted:
    """A defect.

    Attributes:
        rule: the one that must tell it.
        word: what its finding says, among other things.
        plant: what is done.
        sealed: whether it is one still when the manifest was written again.
    """

    rule: str
    word: str
    plant: Plant
    sealed: bool = True


class Plants:
    """The defects and the twins of one file, in the order in which they stand there."""

    def __init__(self) -> None:
        self.defects: list[Planted] = []
        self.twins: list[Plant] = []

    def defect(self, rule: str, word: str = "", *, sealed: bool = True) -> Callable[[Plant], Plant]:
        """Register what is decorated as a defect."""

        def register(plant: Plant) -> Plant:
            self.defects.append(Planted(rule, word, plant, sealed))
            return plant

        return register

    def twin(self, plant: Plant) -> Plant:
        """Register what is decorated as no defect."""
        self.twins.append(plant)
        return plant
