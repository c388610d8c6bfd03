"""Boxes, points and class labels from tables of annotators: CSV, TSV and Parquet.

The names of columns state the unit and the axes; what they leave open, the user states. Nothing is guessed, and
what a table of marks has no column for is named in the notes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.annotations.box_voxels import Number, require_stack, voxel_boxes
from neuropack.annotations.mark_columns import OBJECTS, ROLES, Coordinates, box_columns, point_columns
from neuropack.annotations.mark_rows import (
    NOBODY,
    UNSTATED,
    Ends,
    HasPlaces,
    Marks,
    Rows,
    normal,
    number,
    read_rows,
    whole,
)
from neuropack.annotations.stated import Stated
from neuropack.errors import InputError, UsageError
from neuropack.marks import OBJECT_KINDS, PROVENANCES, Credit, MarkKind, marks_table

_WHOLE_TEXT = re.compile(r"[+-]?\d+(\.0*)?")
_FEW = 8


def read_boxes(
    path: Path, stated: Stated = UNSTATED, credit: Credit = NOBODY, *, ends: Ends | None = None
) -> Marks:
    """Read a table of boxes.

    Args:
        path: CSV, TSV or Parquet.
        stated: what its columns leave open.
        credit: who made them, where a row does not say it.
        ends: whether the upper numbers are inside of the boxes, where the columns leave it open.

    Raises:
        InputError: a row is no box; names the file, the line or row, and the column.
        UsageError: something that is needed was not stated, or contradicts the file.
    """
    return boxes_of(read_rows(path), stated, credit, ends)


def read_points(path: Path, stated: Stated = UNSTATED, credit: Credit = NOBODY) -> Marks:
    """Read a table of points, in micrometre from the corner of the first voxel.

    Raises:
        InputError, UsageError: as `read_boxes`.
    """
    return points_of(read_rows(path), stated, credit)


def read_classes(path: Path, credit: Credit = NOBODY) -> Marks:
    """Read a table of class labels: of images, neurons, boxes, points or values of a label image.

    Raises:
        InputError: a row names no class, or no object.
    """
    return classes_of(read_rows(path), credit)


def boxes_of(rows: Rows, stated: Stated, credit: Credit, ends: Ends | None) -> Marks:
    """Boxes from the rows of a table, see `read_boxes`."""
    made = _Columns(rows, "boxes")
    where = _the_one(
        rows, box_columns(rows.names), stated, "boxes", "z0, y0, x0, z1, y1, x1 or xmin, ymin, zmin, ..."
    )
    said = _said(where, stated, rows)
    if where.ends and ends and ends != where.ends:
        raise UsageError(
            "the file states other ends than you",
            file=rows.path,
            expected=where.ends,
            found=ends,
            fix="leave it out",
        )
    ends = where.ends or ends
    made.used.update(where.columns)
    if where.style == "napari shapes":
        left = [name for i, name in enumerate(rows.names) if i not in where.columns]
        rows, corners = _of_shapes(rows, where)
        made = _Columns(rows, "boxes", told=[f"the smallest box around each shape; left out: {', '.join(left)}"])
    elif where.style == "vectors":
        corners = [axis for column in where.columns for axis in _vectors(rows, column, where.order)]
    else:
        corners = [rows.numbers(column) for column in where.columns]
    shapes = where.style == "napari shapes"
    columns, notes = voxel_boxes(corners, rows, said, ends, faces=shapes, on_slice=where.on_slice)
    found: dict[str, Any] = {"box_id": made.ids(), **columns, **made.common(), "label": made.labels()}
    return Marks(marks_table("boxes", found, credit, rows.path), "boxes", (*notes, *made.notes()))


def points_of(rows: Rows, stated: Stated, credit: Credit) -> Marks:
    """Points from the rows of a table, see `read_points`."""
    made = _Columns(rows, "points")
    where = _the_one(rows, point_columns(rows.names), stated, "points", "x, y and z, or x_um, y_um, z_um")
    said = _said(where, stated, rows)
    zyx = [rows.numbers(column) for column in where.columns]
    made.used.update(where.columns)
    xyz = points_um(zyx[::-1], rows, said)
    found: dict[str, Any] = {"point_id": made.ids(), **xyz, **made.common()}
    return Marks(marks_table("points", found, credit, rows.path), "points", made.notes())


def classes_of(rows: Rows, credit: Credit) -> Marks:
    """Class labels from the rows of a table, see `read_classes`."""
    made = _Columns(rows, "classes")
    words = [normal(name) for name in rows.names]
    if "object_id" in words and "object_kind" in words:
        ids, at = made.take("object_id"), made.at("object_kind")
        kinds = [_word(rows, row, at, kind, OBJECT_KINDS) for row, kind in enumerate(made.take("object_kind"))]
    else:
        kind = next((k for k, names in OBJECTS.items() if set(names) & set(words)), None)
        if kind is None:
            raise _lacks(
                rows, "classes", "object_kind and object_id, or one of neuron_id, box_id, label_id, image_id"
            )
        ids = made.take(*OBJECTS[kind])
        kinds = [kind] * len(rows)
    common = made.common()
    if rows and all(name is None for name in common["class"]) and made.at(*ROLES["class"]) is None:
        raise _lacks(rows, "classes", "class")
    for row, (of, name, one) in enumerate(zip(kinds, common["class"], ids, strict=True)):
        if name is None or one is None:
            raise InputError(
                f"a class label has no {'class' if name is None else 'object'}",
                file=rows.path,
                where=rows.place(row),
                fix="fill it in, or take the row out",
            )
        if of == "label":
            ids[row] = _value(rows, row, one)
    found = {"object_kind": kinds, "object_id": ids, **common}
    return Marks(marks_table("classes", found, credit, rows.path), "classes", made.notes())


def points_um(
    xyz: Sequence[Sequence[Number]], rows: HasPlaces, stated: Stated
) -> dict[str, npt.NDArray[np.float64]]:
    """The columns of points in micrometre.

    Args:
        xyz: the numbers of all points along each axis.
        rows: where they stand, for messages.
        stated: what they count, and from where.

    Raises:
        InputError: a point lies before the first voxel.
        UsageError: something that is needed was not stated.
    """
    require_stack(stated, rows)
    values = np.array(xyz, np.float64).reshape(3, -1).T
    found = replace(stated, order="xyz").to_um(values, rows.path)
    wrong = np.flatnonzero((found < 0).any(axis=1) | ~np.isfinite(found).all(axis=1))
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            "a point lies before the first voxel of the image",
            file=rows.path,
            where=rows.place(row),
            expected="x, y, z of 0 or more from the corner of the first voxel",
            found=", ".join(f"{v:.6g}" for v in found[row]) + " um",
        )
    return {f"{axis}_um": found[:, i] for i, axis in enumerate("xyz")}


@dataclass
class _Columns:
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
            None if word is None else _word(self.rows, row, at, word, PROVENANCES)
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


def _value(rows: Rows, row: int, text: str) -> str:
    try:
        return str(label(text))
    except ValueError as error:
        raise InputError(
            "is no value of a label image",
            file=rows.path,
            where=rows.place(row),
            expected=str(error),
            found=text[:80],
        ) from None


def _word(rows: Rows, row: int, column: int | None, word: str | None, known: Sequence[str]) -> str:
    if word in known:
        return str(word)
    near = difflib.get_close_matches(str(word).lower(), known, 1)
    raise rows.wrong(
        "is no known word", row, column or 0, ", ".join(known), f"did you mean {near[0]}?" if near else None
    )


def _the_one(rows: Rows, found: Sequence[Coordinates], stated: Stated, kind: str, needed: str) -> Coordinates:
    """The coordinates to take: the only ones, or those in the unit that the user states."""
    if not found:
        raise _lacks(rows, kind, needed)
    if len(found) > 1:
        fitting = [one for one in found if one.unit == stated.unit]
        if len(fitting) != 1:
            raise UsageError(
                "gives its coordinates more than once",
                file=rows.path,
                found="; ".join(", ".join(rows.names[i] for i in one.columns) for one in found),
                fix="say in which unit to take them: --unit on the line, unit: in a study",
            )
        return fitting[0]
    return found[0]


def _said(where: Coordinates, stated: Stated, rows: Rows) -> Stated:
    """What the names of columns say and, of the rest, the user. The axes are named, so that there is no order."""
    file = Stated(unit=where.unit, origin=where.origin)
    made = file.completed(replace(stated, order=None), rows.path)
    return replace(made, origin="corner") if where.ours and made.origin is None else made


def _lacks(rows: Rows, kind: str, needed: str) -> InputError:
    return InputError(
        f"is no table of {kind}",
        file=rows.path,
        expected=f"columns {needed}",
        found=", ".join(rows.names)[:200] or "no columns",
        fix="name the columns so; see the page on boxes and points of the manual",
    )


def _vectors(rows: Rows, column: int, order: str) -> list[list[Number]]:
    """The numbers along z, y, x of cells that hold three."""
    found: list[list[Number]] = [[], [], []]
    for row, cell in enumerate(rows.columns[column]):
        parts = re.split(r"[\s,;]+", cell.strip(" ()[]")) if isinstance(cell, str) else cell
        try:
            if not isinstance(parts, list) or len(parts) != 3:
                raise ValueError("three numbers")
            numbers = [number(part) for part in parts]
        except ValueError as error:
            raise rows.wrong("is no corner of a box", row, column, f"three numbers ({error})") from None
        for axis, value in zip(found, numbers if order == "zyx" else numbers[::-1], strict=True):
            axis.append(value)
    return found


def _of_shapes(rows: Rows, where: Coordinates) -> tuple[Rows, list[list[Number]]]:
    """The smallest boxes around the shapes of napari, whose rows are vertices."""
    index, _, *axes = where.columns
    zyx = [rows.numbers(column) for column in axes]
    shapes: dict[str, list[int]] = {}
    for row, name in enumerate(rows.texts(index)):
        if name is None:
            raise rows.wrong("a vertex belongs to no shape", row, index, "the number of its shape")
        shapes.setdefault(name, []).append(row)
    corners = [[end(axis[row] for row in of) for of in shapes.values()] for end in (min, max) for axis in zyx]
    places = [rows.place(of[0]) for of in shapes.values()]
    return Rows(rows.path, ["index"], [list(shapes)], places), corners
