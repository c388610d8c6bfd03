"""HDF5 files of ITK transforms: the composite of an affine map and a displacement field that ANTs writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.hdf5_bounds import foreign_filter, too_large
from neuropack.space.formats.files import counted, parsing, room
from neuropack.space.formats.itk import LINEAR, Part, assemble, kind_of, part_of
from neuropack.space.transforms import Transform

_MAGIC = b"\x89HDF\r\n\x1a\n"
_GROUP = "TransformGroup"
_LONGEST = 4096  # bytes of the name of a type


def read_itk_hdf5(path: Path, *, moving: str, fixed: str) -> Transform:
    """Read an HDF5 file of ITK: one transform, or a composite.

    Args:
        path: the file.
        moving, fixed: names of the frames of the two images, LPS mm.

    Returns:
        The transform of fixed points to moving ones, as the file holds it. Of a composite the last part is applied
        first.

    Raises:
        InputError: it cannot be read, or is no such file.
    """
    import h5py

    with parsing(path, "an HDF5 file of ITK"):
        with path.open("rb") as raw:
            head = raw.read(len(_MAGIC))
        if head != _MAGIC:
            raise InputError("is not an HDF5 file of ITK", expected=f"first bytes {_MAGIC!r}", found=f"{head!r}")
        with h5py.File(path, "r") as file:
            group = _member(file, _GROUP, path)
            names = sorted(group, key=lambda name: (len(name), name))
            if names != [str(i) for i in range(len(names))] or not names:
                raise InputError(
                    "has no numbered transforms", where=_GROUP, expected="0, 1, ...", found=", ".join(names[:9])
                )
            kinds = [kind_of(_word(group, name, path), path, f"{_GROUP}/{name}") for name in names]
            if kinds[0] == "CompositeTransform":
                names, kinds = names[1:], kinds[1:]
            elif len(kinds) > 1:
                found = ", ".join(kinds)
                raise InputError("does not say how its transforms follow each other", where=_GROUP, found=found)
            if not kinds or "CompositeTransform" in kinds:
                raise InputError(
                    "is not one composite with parts", where=_GROUP, found=", ".join(kinds) or "no part"
                )
            parts = [_part(group, name, kind, path) for name, kind in zip(names, kinds, strict=True)]
            return assemble(parts, moving, fixed)


def _part(group: Any, name: str, kind: str, path: Path) -> Part:
    where = f"{_GROUP}/{name}"
    node = _member(group, name, path)
    # until 2017 ITK wrote the names without the first s
    prefix = "Transform" if "TransformParameters" in node or "TransformFixedParameters" in node else "Tranform"
    fixed = _values(node, f"{prefix}FixedParameters", path, where)
    parameters = _values(node, f"{prefix}Parameters", path, where)
    if kind in LINEAR:
        counted(parameters, path, where, LINEAR[kind])
    with parsing(path, "a transform of ITK", where):
        return part_of(kind, parameters, np.asarray(fixed, np.float64), path, where)


def _values(node: Any, name: str, path: Path, where: str) -> npt.NDArray[Any]:
    if name not in node and name.endswith("FixedParameters"):
        return np.empty(0)
    data = _member(node, name, path)
    place = f"{where}/{name}"
    if data.dtype.kind != "f" or data.ndim > 1 or data.external or data.is_virtual:
        expected = "a list of floating-point numbers in this file"
        raise InputError("is not parameters", file=path, where=place, expected=expected, found=str(data.dtype))
    if data.size:
        stored = data.id.get_storage_size()
        room((data.size,), data.dtype.itemsize, stored, path, place, packed=data.compression is not None)
        _bounded(data, path, place)
    values: npt.NDArray[Any] = np.atleast_1d(data[()])
    return values


def _bounded(data: Any, path: Path, place: str) -> None:
    """Make sure that values can be read in the memory that their size says."""
    if (filtered := foreign_filter(data)) is not None:
        expected = "the filters deflate, shuffle and fletcher32 alone"
        raise InputError(
            "is stored in a way that is not read", file=path, where=place, expected=expected, found=filtered
        )
    if (told := too_large(data)) is not None:
        expected = "values that take no more memory than their size"
        raise InputError("is no part of a transform", file=path, where=place, expected=expected, found=told)


def _word(group: Any, name: str, path: Path) -> str:
    import h5py

    data, place = _member(_member(group, name, path), "TransformType", path), f"{_GROUP}/{name}/TransformType"
    word = h5py.check_string_dtype(data.dtype) is not None and data.size == 1
    if not word or data.external or data.is_virtual or data.dtype.itemsize > _LONGEST:
        raise InputError("has no type", file=path, where=place, expected="a word")
    _bounded(data, path, place)
    return str(data.asstr()[()] if data.ndim == 0 else data.asstr()[0])


def _member(node: Any, name: str, path: Path) -> Any:
    """A member that lies in this file: a link to another file is not followed."""
    import h5py

    if not isinstance(node, h5py.Group) or not isinstance(node.get(name, getlink=True), h5py.HardLink):
        where = f"{getattr(node, 'name', '')}/{name}".replace("//", "/")
        raise InputError("has no such member", file=path, where=where, fix="is it a file of ITK transforms?")
    return node[name]
