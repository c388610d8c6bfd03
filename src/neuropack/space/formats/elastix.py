"""elastix' ``TransformParameters.*.txt``, and the chain of them that one refers to."""

from __future__ import annotations

import math
import re
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np

from neuropack.errors import InputError
from neuropack.space.formats.files import inside, numbers, parsing, read_text
from neuropack.space.formats.itk import matrix_of
from neuropack.space.grids import Grid
from neuropack.space.splines import BSpline, Sum
from neuropack.space.transforms import Affine, Transform

_LINEAR: Final = {
    "TranslationTransform": "TranslationTransform",
    "EulerTransform": "Euler3DTransform",
    "SimilarityTransform": "Similarity3DTransform",
    "AffineTransform": "AffineTransform",
}
_SPLINES: Final = ("BSplineTransform", "RecursiveBSplineTransform")  # the second computes the same faster
_NONE: Final = "NoInitialTransform"
_MOST: Final = 20  # files in a chain

Parameters = dict[str, list[str]]


def read_elastix(path: Path, *, moving: str, fixed: str) -> Transform:
    """Read a transform of elastix with those that it builds on.

    A file names the one before it by a path of the computer where elastix ran. It is looked for under that name in
    the folder of this file, where elastix writes all of them.

    Args:
        path: the last file, such as ``TransformParameters.1.txt``.
        moving, fixed: names of the frames of the two images, LPS mm.

    Returns:
        The transform of fixed points to moving ones, as the files hold it.

    Raises:
        InputError: a file cannot be read, or holds what neuropack does not read.
    """
    files = [(path, _parameters(path))]
    while (name := _initial(*files[-1])) is not None:
        before = inside(path.parent, name, files[-1][0], "InitialTransformParametersFileName")
        if len(files) >= _MOST:
            raise InputError("refers to itself, or to too many others", file=files[-1][0], found=name)
        files.append((before, _parameters(before)))
    total: Transform | None = None
    for step, (file, parameters) in enumerate(reversed(files), 1):
        end = moving if step == len(files) else f"{fixed}, step {step} of {len(files)}"
        with parsing(file, "a transform of elastix"):
            if total is None:
                total = _one(parameters, fixed, end, file)
            elif _combines(parameters, file) == "Compose":
                total = total.then(_one(parameters, total.target, end, file))
            else:
                total = _added(total, parameters, end, file)
    if total is None:  # the loop has at least the file itself
        raise InputError("holds no transform", file=path)
    return total


def _added(before: Transform, parameters: Parameters, end: str, path: Path) -> Transform:
    first, second = _renamed(before, end, path), _one(parameters, before.source, end, path)
    if isinstance(first, Affine) and isinstance(second, Affine):
        return Affine(first.source, end, first.matrix + second.matrix - np.eye(3, 4))
    splines = [part for part in (first, second) if isinstance(part, BSpline)]
    scale = min((float(spline.grid.spacing.min()) for spline in splines), default=1.0)
    return Sum(first, second, scale)


def _renamed(transform: Transform, target: str, path: Path) -> Transform:
    if isinstance(transform, Affine):
        return Affine(transform.source, target, transform.matrix)
    if isinstance(transform, BSpline):
        return BSpline(transform.source, target, transform.coefficients, transform.grid)
    if isinstance(transform, Sum):
        return Sum(
            _renamed(transform.first, target, path), _renamed(transform.second, target, path), transform.scale
        )
    return transform.then(Affine.identity(transform.target, target))


def _one(parameters: Parameters, source: str, target: str, path: Path) -> Transform:
    kind = _word(parameters, "Transform", path)
    if _word(parameters, "UseBinaryFormatForTransformationParameters", path, "false") == "true":
        raise InputError(
            "has its parameters in a binary file",
            expected="numbers in the text",
            fix='run elastix with (UseBinaryFormatForTransformationParameters "false")',
        )
    dimension = _word(parameters, "FixedImageDimension", path)
    if dimension != "3":
        raise InputError("is not a transform of space", where="FixedImageDimension", expected="3", found=dimension)
    values = numbers(parameters.get("TransformParameters", []), path, "TransformParameters")
    if kind in _SPLINES:
        return _spline(parameters, values, source, target, path)
    if kind not in _LINEAR:
        raise InputError(
            "is a transform that neuropack does not read",
            where="Transform",
            expected=", ".join([*_LINEAR, *_SPLINES]),
            found=kind,
        )
    centre = np.zeros(3)
    if kind != "TranslationTransform":
        centre = numbers(parameters.get("CenterOfRotationPoint", []), path, "CenterOfRotationPoint", 3)
    zyx = _word(parameters, "ComputeZYX", path, "false") == "true"
    return Affine(source, target, matrix_of(_LINEAR[kind], values, centre, path, "TransformParameters", zyx=zyx))


def _spline(
    parameters: Parameters,
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
    source: str,
    target: str,
    path: Path,
) -> BSpline:
    order = _word(parameters, "BSplineTransformSplineOrder", path, "3")
    if order != "3" or _word(parameters, "UseCyclicTransform", path, "false") != "false":
        raise InputError("is not a cubic B-spline", expected="order 3, not cyclic", found=f"order {order}")
    size, index, origin, spacing = (
        numbers(parameters.get(f"Grid{name}", []), path, f"Grid{name}", 3)
        for name in ("Size", "Index", "Origin", "Spacing")
    )
    # column after column: elxAdvancedBSplineTransform.hxx reads entry 3 i + j as (j, i)
    direction = numbers(parameters.get("GridDirection", list("100010001")), path, "GridDirection", 9)
    if (size != np.floor(size)).any() or (size < 1).any() or math.prod(size.tolist()) * 3 != len(values):
        raise InputError(
            "does not have three coefficients for each node",
            where="TransformParameters",
            expected=f"3 x {' x '.join(f'{n:g}' for n in size)}",
            found=str(len(values)),
        )
    grid = Grid(origin, spacing, direction.reshape(3, 3).T)
    # all coefficients of x, then y, then z; the first axis fastest
    shape = (int(size[2]), int(size[1]), int(size[0]))
    coefficients = np.stack([part.reshape(shape).T for part in np.split(values, 3)], axis=-1)
    return BSpline(source, target, coefficients, Grid(grid.position(index), spacing, grid.direction))


def _parameters(path: Path) -> Parameters:
    """The lines ``(Key value value ...)``; ``//`` begins a comment."""
    found: Parameters = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        text = line.split("//")[0].strip() if '"' not in line else line.strip()
        if not text or text.startswith("//"):
            continue
        match = re.match(r"\(\s*(\w+)\s+(.*)\)", text)
        if not match:
            raise InputError(
                "is not a file of elastix parameters",
                file=path,
                where=f"line {number}",
                expected="(Key value ...)",
                found=line.strip()[:80],
            )
        found[match[1]] = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', match[2])]
    return found


def _word(parameters: Parameters, key: str, path: Path, default: str | None = None) -> str:
    values = parameters.get(key) or ([] if default is None else [default])
    if not values:
        raise InputError("lacks an entry", file=path, where=key, fix="is it a TransformParameters file of elastix?")
    return values[0]


def _initial(path: Path, parameters: Parameters) -> str | None:
    """The name of the file of the transform before this one. elastix 5.1 dropped an s of the key."""
    for key in ("InitialTransformParametersFileName", "InitialTransformParameterFileName"):
        name = _word(parameters, key, path, _NONE)
        if name != _NONE:
            return PurePosixPath(name.replace("\\", "/")).name
    return None


def _combines(parameters: Parameters, path: Path) -> str:
    way = _word(parameters, "HowToCombineTransforms", path)
    if way not in ("Compose", "Add"):
        raise InputError(
            "is no way to combine", where="HowToCombineTransforms", expected="Compose or Add", found=way
        )
    return way
