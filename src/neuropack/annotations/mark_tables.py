"""Boxes, points and class labels from tables of annotators: CSV, TSV and Parquet.

The names of columns state the unit and the axes; what they leave open, the user states. Nothing is guessed, and
what a table of marks has no column for is named in the notes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.annotations.box_voxels import Number, require_stack, voxel_boxes
from neuropack.annotations.mark_columns import OBJECTS, ROLES, Coordinates, box_columns, point_columns
from neuropack.annotations.mark_fields import Fields, known_word, label
from neuropack.annotations.mark_rows import (
    Ends,
    HasPlaces,
    Marks,
    Rows,
    normal,
    number,
)
from neuropack.annotations.stated import Stated
from neuropack.errors import InputError, UsageError
from neuropack.marks import OBJECT_KINDS, Credit, marks_table


def boxes_of(rows: Rows, stated: Stated, credit: Credit, ends: Ends | None) -> Marks:
    """Boxes from the rows of a table.

    Args:
        rows: of the table.
        stated: what its columns leave open.
        credit: who made them, where a row does not say it.
        ends: whether the upper numbers are inside of the boxes, where the columns leave it open.

    Raises:
        InputError: a row is no box; names the file, the line or row, and the column.
        UsageError: something that is needed was not stated, or contradicts the file.
    """
    made = Fields(rows, "boxes")
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
        made = Fields(rows, "boxes", told=[f"the smallest box around each shape; left out: {', '.join(left)}"])
    elif where.style == "vectors":
        corners = [axis for column in where.columns for axis in _vectors(rows, column, where.order)]
    else:
        corners = [rows.numbers(column) for column in where.columns]
    shapes = where.style == "napari shapes"
    columns, notes = voxel_boxes(corners, rows, said, ends, faces=shapes, on_slice=where.on_slice)
    found: dict[str, Any] = {"box_id": made.ids(), **columns, **made.common(), "label": made.labels()}
    return Marks(marks_table("boxes", found, credit, rows.path), "boxes", (*notes, *made.notes()))


def points_of(rows: Rows, stated: Stated, credit: Credit) -> Marks:
    """Points from the rows of a table, in micrometre from the corner of the first voxel.

    Raises:
        InputError, UsageError: as `boxes_of`.
    """
    made = Fields(rows, "points")
    where = _the_one(rows, point_columns(rows.names), stated, "points", "x, y and z, or x_um, y_um, z_um")
    said = _said(where, stated, rows)
    zyx = [rows.numbers(column) for column in where.columns]
    made.used.update(where.columns)
    xyz = points_um(zyx[::-1], rows, said)
    found: dict[str, Any] = {"point_id": made.ids(), **xyz, **made.common()}
    return Marks(marks_table("points", found, credit, rows.path), "points", made.notes())


def classes_of(rows: Rows, credit: Credit) -> Marks:
    """Class labels from the rows of a table: of images, neurons, boxes, points or values of a label image.

    Raises:
        InputError: a row names no class, or no object.
    """
    made = Fields(rows, "classes")
    words = [normal(name) for name in rows.names]
    if "object_id" in words and "object_kind" in words:
        ids, at = made.take("object_id"), made.at("object_kind")
        kinds = [known_word(rows, row, at, kind, OBJECT_KINDS) for row, kind in enumerate(made.take("object_kind"))]
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
