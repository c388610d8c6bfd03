"""Transforms of ITK by their kind and parameters: what its files, ANTs' and elastix' have in common.

Sources: the classes' SetParameters and SetFixedParameters in ITK 5.4, and elastix 5 for its own names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.space.fields import DisplacementField
from neuropack.space.formats.files import counted
from neuropack.space.grids import Grid
from neuropack.space.splines import BSpline
from neuropack.space.transforms import Affine, Chain, Transform

Numbers = npt.NDArray[np.float64]

LINEAR = {
    "AffineTransform": 12,
    "MatrixOffsetTransformBase": 12,
    "Euler3DTransform": 6,
    "VersorRigid3DTransform": 6,
    "Similarity3DTransform": 7,
    "TranslationTransform": 3,
    "IdentityTransform": 0,
}
"""Number of parameters of each kind of transform that is a matrix."""
ON_GRIDS = ("DisplacementFieldTransform", "BSplineTransform")


@dataclass(frozen=True)
class Vectors:
    """A transform that has vectors on a grid, without its frames."""

    kind: type[DisplacementField] | type[BSpline]
    vectors: npt.NDArray[Any]
    grid: Grid


Part = Numbers | Vectors


def kind_of(name: str, path: Path, where: str) -> str:
    """The kind in a name such as ``AffineTransform_double_3_3``.

    Raises:
        InputError: it is not of three dimensions, or not among those that are read.
    """
    known = ", ".join([*LINEAR, *ON_GRIDS, "CompositeTransform"])
    match = re.fullmatch(r"(\w+?)(?:_(?:double|float)_(\d+)_(\d+))?", name.strip())
    if not match or match[1] not in known.split(", "):
        raise InputError(
            "is a transform that neuropack does not read", file=path, where=where, expected=known, found=name[:80]
        )
    if (match[2] or "3", match[3] or "3") != ("3", "3"):
        raise InputError("is not a transform of space", file=path, where=where, expected="3_3", found=name[:80])
    return match[1]


def matrix_of(
    kind: str, parameters: Numbers, centre: Numbers, path: Path, where: str, *, zyx: bool = False
) -> Numbers:
    """The (3, 4) matrix of a linear transform: y = M (x - centre) + translation + centre.

    Args:
        kind: a name in `LINEAR`.
        parameters: as the file has them: M row by row, three angles, or a versor; the translation; a scale.
        centre: (3,); not used by a translation.
        path, where: for messages.
        zyx: whether the angles of an Euler3DTransform are those of Rz Ry Rx and not Rz Rx Ry.
    """
    counted(parameters, path, where, LINEAR[kind])
    if kind == "IdentityTransform":
        return np.eye(3, 4)
    if kind == "TranslationTransform":
        return np.column_stack([np.eye(3), parameters])
    translation = parameters[3:6]
    if kind == "Euler3DTransform":
        linear = _euler(parameters[:3], zyx)
    elif kind in ("VersorRigid3DTransform", "Similarity3DTransform"):
        linear = _versor(parameters[:3], path, where) * (parameters[6] if len(parameters) == 7 else 1.0)
    else:
        linear, translation = parameters[:9].reshape(3, 3), parameters[9:]
    return np.column_stack([linear, translation + centre - linear @ centre])


def part_of(kind: str, parameters: npt.NDArray[Any], fixed: Numbers, path: Path, where: str) -> Part:
    """A transform from its parameters and fixed parameters, as ITK's own files hold both.

    Raises:
        InputError: they do not fit the kind.
    """
    if kind in ON_GRIDS:
        grid, shape = itk_grid(fixed, path, where)
        counted(parameters, path, where, 3 * math.prod(shape))
        if kind == "BSplineTransform":  # all coefficients of x, then y, then z; the first axis fastest
            return Vectors(
                BSpline, np.moveaxis(parameters.reshape(3, *shape[::-1]), 0, -1).transpose(2, 1, 0, 3), grid
            )
        return Vectors(DisplacementField, parameters.reshape(*shape[::-1], 3).transpose(2, 1, 0, 3), grid)
    flag = len(fixed) == 4 and kind == "Euler3DTransform"  # the fourth: whether the order is ZYX
    centre = fixed[:3] if flag else fixed
    if LINEAR[kind] > 3:
        counted(centre, path, f"{where}, fixed parameters", 3)
    return matrix_of(kind, np.asarray(parameters, np.float64), centre, path, where, zyx=flag and bool(fixed[3]))


def itk_grid(fixed: Numbers, path: Path, where: str) -> tuple[Grid, tuple[int, int, int]]:
    """Grid and number of samples from fixed parameters: size, origin, spacing, direction row by row."""
    counted(fixed, path, f"{where}, fixed parameters", 18)
    size = fixed[:3]
    if (size != np.floor(size)).any() or (size < 1).any() or (size > 2**31).any():
        raise InputError(
            "has no size", file=path, where=where, expected="three whole numbers above 0", found=str(size.tolist())
        )
    grid = Grid(fixed[3:6], fixed[6:9], fixed[9:].reshape(3, 3))
    return grid, (int(size[0]), int(size[1]), int(size[2]))


def assemble(parts: Sequence[Part], moving: str, fixed: str) -> Transform:
    """The transform of fixed points to moving ones: of several, the last comes first (itk::CompositeTransform)."""
    n = len(parts)
    names = [fixed, *(f"{fixed}, step {i} of {n}" for i in range(1, n)), moving]
    steps: list[Transform] = []
    for part, source, target in zip(reversed(parts), names, names[1:], strict=False):
        if isinstance(part, Vectors):
            steps.append(part.kind(source, target, part.vectors, part.grid))
        else:
            steps.append(Affine(source, target, part))
    return steps[0] if n == 1 else Chain(tuple(steps))


def _euler(angles: Numbers, zyx: bool) -> Numbers:
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(z @ y @ x if zyx else z @ x @ y, np.float64)


def _versor(v: Numbers, path: Path, where: str) -> Numbers:
    """The rotation of a unit quaternion by its vector part."""
    length = float(v @ v)
    if length > 1 + 1e-9:
        raise InputError(
            "is not a versor", file=path, where=where, expected="a length up to 1", found=f"{length**0.5:g}"
        )
    x, y, z = v
    w = max(1 - length, 0.0) ** 0.5
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + 2 * w * cross + 2 * cross @ cross, np.float64)
