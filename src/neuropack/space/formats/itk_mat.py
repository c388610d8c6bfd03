"""Affine transforms of ANTs and ITK in MATLAB files of version 4: ``0GenericAffine.mat``."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.space.formats.files import counted, parsing, room
from neuropack.space.formats.itk import LINEAR, assemble, kind_of, part_of
from neuropack.space.transforms import Transform

_LIMIT = 1 << 16  # bytes: the real ones have some 250
_TYPES = {0: "f8", 10: "f4"}  # P of the type number MOPT, after M, the byte order, and O, which is 0


def read_itk_mat(path: Path, *, moving: str, fixed: str) -> Transform:
    """Read a MATLAB file with one ITK transform: its parameters, then ``fixed``, the centre.

    The format is simple enough to be read here (MATLAB MAT-File Format, chapter 2): nothing in it is an object.

    Args:
        path: the file.
        moving, fixed: names of the frames of the two images, LPS mm.

    Returns:
        The transform of fixed points to moving ones, as the file holds it.

    Raises:
        InputError: it cannot be read, or is no such file.
    """
    with parsing(path, "a MATLAB file of version 4"):
        size = path.stat().st_size
        if size > _LIMIT:
            raise InputError("is too large for an affine transform", found=f"{size} bytes")
        variables = _variables(path.read_bytes(), path)
    names = [name for name in variables if name != "fixed"]
    if len(names) != 1 or "fixed" not in variables:
        raise InputError(
            "does not hold one transform of ITK",
            file=path,
            expected="a variable named after its kind, and fixed",
            found=", ".join(variables) or "nothing",
        )
    kind = kind_of(names[0], path, names[0])
    if kind not in LINEAR:
        raise InputError("is not an affine transform", file=path, where=names[0], expected=", ".join(LINEAR))
    centre = counted(variables["fixed"], path, "fixed")
    with parsing(path, "a transform of ITK", names[0]):
        return assemble([part_of(kind, variables[names[0]], centre, path, names[0])], moving, fixed)


def _variables(data: bytes, path: Path) -> dict[str, npt.NDArray[np.float64]]:
    found: dict[str, npt.NDArray[np.float64]] = {}
    at = 0
    while at < len(data):
        order = "<" if data[at : at + 4] in (b"\0\0\0\0", b"\x0a\0\0\0") else ">"
        head = struct.unpack_from(f"{order}5i", data, at)
        code, rows, columns, imaginary, length = head
        kind = _TYPES.get(code - (1000 if order == ">" else 0))
        if kind is None or imaginary or not 1 < length <= 256:
            raise InputError(
                "is not a MATLAB file of version 4 with real numbers",
                where=f"byte {at}",
                expected="type 0 or 10, a name",
                found=f"type {code}",
                fix="write the transform with ANTs or ITK",
            )
        at += 20
        name = data[at : at + length].split(b"\0")[0].decode("ascii", "replace")
        at += length
        room((rows, columns), int(kind[1]), len(data) - at, path, name, packed=False)
        values = np.frombuffer(data, order + kind, rows * columns, at)
        at += values.nbytes
        found[name] = values.astype(np.float64)
    return found
