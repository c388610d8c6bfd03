"""A skeleton from the columns of a file, as they stand there: what every format has in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.annotations.stated import Stated
from neuropack.errors import InputError
from neuropack.skeleton import Skeleton, see_trees

COLUMNS = ("id", "type", "x", "y", "z", "radius", "parent")
"""The columns of a node, in the order of SWC."""


@dataclass(frozen=True)
class Place:
    """Where columns come from.

    Attributes:
        file: it is.
        row: names the place of a row in it.
    """

    file: Path
    row: Callable[[int], str]


def skeleton_of(
    columns: Mapping[str, npt.NDArray[Any]],
    stated: Stated,
    place: Place,
    comments: tuple[str, ...] = (),
) -> Skeleton:
    """A skeleton in micrometre from the corner.

    Args:
        columns: id, parent and xyz (n, 3), and type and radius where they are known; xyz as it is stated.
        stated: what the coordinates are.
        place: they come from.
        comments: of the skeleton. That types or radii are not known becomes another.

    Raises:
        InputError: no rows, a number that is not finite or should be whole, or rows that make no trees.
        UsageError: the unit, the order or the origin was not stated.
    """
    n = len(columns["xyz"])
    if not n:
        raise InputError("holds no nodes", file=place.file)
    xyz = np.asarray(columns["xyz"], np.float64)
    radius = np.asarray(columns.get("radius", np.zeros(n)), np.float64)
    for name, values in (("position", xyz), ("radius", radius[:, None])):
        wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(wrong):
            at = int(wrong[0])
            found = " ".join(f"{value:g}" for value in values[at])
            raise InputError(
                f"a {name} is not finite", file=place.file, where=place.row(at), expected="numbers", found=found
            )
    ids, parents = (whole(columns[name], name, place) for name in ("id", "parent"))
    types = whole(columns["type"], "type", place) if "type" in columns else np.zeros(n, np.int64)
    see_trees(ids, parents, place.file, place.row)
    missing = tuple(
        f"{name}: not in the file this was made from, 0 stands for it"
        for name in ("type", "radius")
        if name not in columns
    )
    return Skeleton(
        id=ids,
        type=types,
        xyz=stated.to_um(xyz, place.file),
        radius=stated.radius_um(radius, place.file),
        parent=np.where(parents < 0, -1, parents),
        frame=stated.frame or "stack",
        comments=(*comments, *missing),
    )


def whole(values: npt.NDArray[Any], name: str, place: Place) -> npt.NDArray[np.int64]:
    """Whole numbers of a column.

    Raises:
        InputError: one is not whole, or does not fit 64 bits.
    """
    if values.dtype.kind in "iu":
        wrong = np.flatnonzero(values > np.iinfo(np.int64).max) if values.dtype == np.uint64 else np.empty(0, int)
    else:
        numbers = np.asarray(values, np.float64)
        with np.errstate(invalid="ignore"):
            wrong = np.flatnonzero(~((numbers == np.trunc(numbers)) & (np.abs(numbers) < 2.0**53)))
    if len(wrong):
        at = int(wrong[0])
        raise InputError(
            f"the {name} of a node is no whole number",
            file=place.file,
            where=place.row(at),
            expected=f"a whole number below 2**{53 if values.dtype.kind == 'f' else 63}",
            found=str(values[at]),
        )
    return values.astype(np.int64)
