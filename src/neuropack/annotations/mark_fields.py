"""The columns of a table of marks that are no coordinates: names, classes, labels, and who made a mark."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from neuropack.annotations.mark_columns import ROLES
from neuropack.annotations.mark_rows import HasPlaces, Rows, normal, number, whole
from neuropack.errors import InputError
from neuropack.marks import PROVENANCES, MarkKind

_WHOLE_TEXT = re.compile(r"[+-]?\d+(\.0*)?")
_FEW = 8


@dataclass
class Fields:
    """The columns of a table that are not coordinates, by what they are; and those that nothing was made of."""

    rows: Rows
    kind: MarkKind
    used: set[int] = field(default_factory=set)
    told: list[str] = field(default_factory=list)

    def at(self, *names: str) -> int | None:
        """The first column of one of these names that is not taken yet."""
        words = [normal(name) for name in self.rows.names]
        return next((words.index(name) for name in names if name in words), None)

    def take(self, *names: str) -> list[str | None]:
        """The text of the first column of one of these names; nothing where there is none."""
        column = self.at(*names)
        if column is None:
            return [None] * len(self.rows)
        self.used.add(column)
        return self.rows.texts(column)

    def ids(self) -> list[str]:
        """A name of its own for every mark; numbers from 1 where the table has none.

        Raises:
            InputError: one has none, or one comes twice.
        """
        names = ROLES["id"] if self.kind == "boxes" else tuple(n for n in ROLES["id"] if n != "box_id")
        column = self.at(*names)
        if column is None:
            self.told.append(f"no column names the {self.kind}: they are numbered from 1")
            return [str(i + 1) for i in range(len(self.rows))]
        self.used.add(column)
        return unique(self.rows.texts(column), self.rows, self.rows.names[column])

    def common(self) -> dict[str, list[Any]]:
        """Class and credit, and the neuron of a mark."""
        found: dict[str, list[Any]] = {"class": self.take(*ROLES["class"])}
        if self.kind != "classes":
            found["neuron_id"] = self.take(*ROLES["neuron_id"])
        for name in ("annotator", "guideline_version"):
            found[name] = self.take(*ROLES[name])
        at = self.at(*ROLES["provenance"])
        found["provenance"] = [
            None if word is None else known_word(self.rows, row, at, word, PROVENANCES)
            for row, word in enumerate(self.take(*ROLES["provenance"]))
        ]
        found["confidence"] = self._confidence()
        if self.at(*ROLES["class"]) is None and self._texts_in_label():
            self.told.append("the column label holds words: they are classes")
            found["class"] = self.take("label")
        return found

    def _confidence(self) -> list[float | None]:
        column = self.at(*ROLES["confidence"])
        if column is None:
            return [None] * len(self.rows)
        self.used.add(column)
        found: list[float | None] = []
        for row, cell in enumerate(self.rows.columns[column]):
            try:
                found.append(None if cell is None else confidence(cell))
            except ValueError:
                raise self.rows.wrong("a confidence is out of range", row, column, "a number from 0 to 1") from None
        return found

    def _texts_in_label(self) -> bool:
        """Whether a column ``label`` holds words: then they are classes."""
        column = self.at("label")
        cells = [] if column is None or column in self.used else self.rows.columns[column]
        return any(isinstance(cell, str) and not _WHOLE_TEXT.fullmatch(cell) for cell in cells)

    def labels(self) -> list[int | None]:
        """The values that boxes have in a label image, exact.

        Raises:
            InputError: one is no such value.
        """
        column = self.at(*ROLES["label"])
        if column is None or column in self.used:
            return [None] * len(self.rows)
        self.used.add(column)
        found: list[int | None] = []
        for row, cell in enumerate(self.rows.columns[column]):
            try:
                found.append(None if cell is None else label(cell))
            except ValueError as error:
                raise self.rows.wrong("is no value of a label image", row, column, str(error)) from None
        return found

    def notes(self) -> tuple[str, ...]:
        """What was numbered, and which columns were left out."""
        out = [name for i, name in enumerate(self.rows.names) if i not in self.used]
        if out:
            more = f" and {len(out) - _FEW} more" if len(out) > _FEW else ""
            self.told.append(f"left out: the column(s) {', '.join(out[:_FEW])}{more}")
        return tuple(self.told)


def confidence(cell: object) -> float:
    """A confidence from 0 to 1.

    Raises:
        ValueError: it is none.
    """
    value = float(number(cell))
    if not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1")
    return value


def label(cell: object) -> int:
    """A value of a label image, 1 to 2^63 - 1.

    Raises:
        ValueError: it is none; says what was expected.
    """
    value = whole(cell)
    if value < 1:
        raise ValueError("a whole number above 0, which is the background")
    return value


def unique(names: Iterable[str | None], rows: HasPlaces, column: str) -> list[str]:
    """Names, each of which is there and comes once.

    Raises:
        InputError: one does not.
    """
    seen: dict[str, int] = {}
    for row, name in enumerate(names):
        if name is None or name in seen:
            raise InputError(
                "a name comes twice" if name is not None else "a row needs a name of its own",
                file=rows.path,
                where=f"{rows.place(row)}, column {column}",
                expected="a name of its own for every row",
                found="nothing" if name is None else f"{name}, as in {rows.place(seen[name])}",
            )
        seen[name] = row
    return list(seen)


def known_word(rows: Rows, row: int, column: int | None, word: str | None, known: Sequence[str]) -> str:
    """A word of a list.

    Raises:
        InputError: it is another; names the nearest.
    """
    if word in known:
        return str(word)
    near = difflib.get_close_matches(str(word).lower(), known, 1)
    raise rows.wrong(
        "is no known word", row, column or 0, ", ".join(known), f"did you mean {near[0]}?" if near else None
    )
