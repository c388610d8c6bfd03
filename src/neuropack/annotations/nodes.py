"""Nodes of neurons in arrays of NumPy, NPY and NPZ; nothing in them is ever unpickled.

A structured array names its columns. A plain one (n, k) has those of SWC where k is 7, positions and radius where
it is 4, positions where it is 3; else a person must name them. An NPZ file holds the columns of one neuron, or a
neuron in each of its arrays.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.annotations.archives import ZIP_ERRORS
from neuropack.annotations.stated import UNIT_WORDS, Stated, Unit
from neuropack.annotations.tree import COLUMNS, Place, skeleton_of
from neuropack.errors import InputError, UsageError
from neuropack.npy_header import ArrayHeader, ReadAt, read_header
from neuropack.skeleton import Skeleton

Columns = Mapping[str, npt.NDArray[Any]]
_BY_WIDTH = {3: ("x", "y", "z"), 4: ("x", "y", "z", "radius"), 7: COLUMNS}
_OURS = ("id", "type", "x_um", "y_um", "z_um", "radius_um", "parent")
_SKIP = "_"
# No columns of numbers are packed this tightly; what claims to be would fill the memory.
_PACKED, _SMALL = 200, 1 << 26


@dataclass(frozen=True)
class _Named:
    """Columns by name, and what their names say of the coordinates."""

    columns: Columns
    stated: Stated


def read_nodes(
    path: Path, stated: Stated, *, columns: Sequence[str] | None = None, path_order: bool = False
) -> dict[str, Skeleton]:
    """Read the neurons of an NPY or NPZ file, by name: that of the array in an NPZ, else of the file.

    Args:
        path: of the file.
        stated: what its coordinates are.
        columns: what the columns of a plain array are: words of `neuropack.annotations.tree.COLUMNS`, ``_`` for one
            that is left out.
        path_order: each node hangs on the one in the row above; for arrays without parents.

    Raises:
        InputError: the file is no such file, is cut off, holds Python objects or no neurons.
        UsageError: something has to be stated.
    """
    arrays = _npz(path) if zipfile.is_zipfile(path) else {"": _npy(path)}
    if not arrays:
        raise InputError("holds no arrays", file=path)
    read = partial(_skeleton, path, stated, names=columns, path_order=path_order)
    if _is_one_neuron(arrays):
        return {path.stem: read("", _of_arrays(path, arrays))}
    return {name or path.stem: read(name, _of_array(path, name, array, columns)) for name, array in arrays.items()}


def write_nodes(path: Path, skeleton: Skeleton) -> None:
    """Write an NPY file: a structured array with the columns id, type, x_um, y_um, z_um, radius_um and parent.

    Its names say what the numbers are, and they are exact. There is no room in it for the frame and the comments.
    """
    kinds = ("<i8", "<i8", "<f8", "<f8", "<f8", "<f8", "<i8")
    made = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.dtype(list(zip(_OURS, kinds, strict=True))), shape=(len(skeleton),)
    )
    values = (skeleton.id, skeleton.type, *skeleton.xyz.T, skeleton.radius, skeleton.parent)
    for name, column in zip(_OURS, values, strict=True):
        made[name] = column
    made.flush()


def _skeleton(
    path: Path, stated: Stated, name: str, named: _Named, names: Sequence[str] | None, path_order: bool
) -> Skeleton:
    columns = dict(named.columns)
    inside = f"array {name}, " if name else ""
    place = Place(path, lambda row: f"{inside}row {row + 1}")
    n = len(columns["xyz"])
    if "parent" not in columns:
        if not path_order:
            raise UsageError(
                "is a list of points: nothing says how they hang together",
                file=path,
                where=f"array {name}" if name else None,
                found=f"{n} rows without a parent",
                fix="add --path where each node hangs on the one in the row above, or a column of parents",
            )
        columns |= {"id": np.arange(1, n + 1), "parent": np.r_[-1, np.arange(1, n)][:n]}
    elif path_order:
        raise UsageError("states its parents", file=path, found="--path", fix="leave out --path")
    elif "id" not in columns:
        raise UsageError(
            "has parents, but no ids that they name",
            file=path,
            found=", ".join(names or named.columns),
            fix="add a column of ids",
        )
    return skeleton_of(columns, named.stated.completed(stated, path), place)


def _of_array(path: Path, name: str, array: npt.NDArray[Any], columns: Sequence[str] | None) -> _Named:
    """The columns of an array (n, k), or of a structured one (n,)."""
    where = f"array {name}" if name else None
    if array.dtype.names is not None:
        if array.ndim != 1:
            raise InputError("is no list of nodes", file=path, where=where, found=f"shape {array.shape}")
        return _by_name(path, where, {field: array[field] for field in array.dtype.names})
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise InputError(
            "is no list of nodes",
            file=path,
            where=where,
            expected="numbers of the shape (nodes, 3 to 7), or an array with named columns",
            found=f"{array.dtype} of the shape {array.shape}",
        )
    names = tuple(columns) if columns is not None else _BY_WIDTH.get(array.shape[1], ())
    if len(names) != array.shape[1]:
        turned = columns is None and array.shape[0] in _BY_WIDTH
        raise UsageError(
            "does not say what its columns are" if columns is None else "has another number of columns",
            file=path,
            where=where,
            expected=f"{len(columns)} columns: {', '.join(columns)}" if columns is not None else None,
            found=f"shape {array.shape}" + (", which seems to be turned: a node has a row" if turned else ""),
            fix="name them in order, such as --columns x,y,z,radius,parent (_ for one that does not count)",
        )
    found = {word: array[:, place] for place, word in enumerate(names) if word != _SKIP}
    if columns is not None or len(names) == len(COLUMNS):
        return _by_name(path, where, found)
    rest = {word: values for word, values in found.items() if word not in "xyz"}
    return _Named({**rest, "xyz": array[:, :3]}, Stated())


def _by_name(path: Path, where: str | None, found: Columns) -> _Named:
    """Columns whose names say which is x, and in which unit where they end in one."""
    columns: dict[str, npt.NDArray[Any]] = {}
    units: set[Unit | None] = set()
    for name, values in found.items():
        word, _, suffix = name.partition("_")
        unit = UNIT_WORDS.get(suffix)
        if word not in COLUMNS or word in columns or (suffix and unit is None) or values.ndim != 1:
            raise InputError(
                "has a column that no node has",
                file=path,
                where=where,
                expected=", ".join(COLUMNS) + "; positions and radius also with _um, _nm, _mm or _voxel",
                found=name if values.ndim == 1 else f"{name} of the shape {values.shape}",
            )
        if values.dtype.kind not in "iuf":
            raise InputError(
                "has a column without numbers", file=path, where=where, found=f"{name}: {values.dtype}"
            )
        columns[word] = values
        if word in ("x", "y", "z", "radius"):
            units.add(unit)
    missing = [axis for axis in "xyz" if axis not in columns]
    if missing or len(units) > 1:
        raise InputError(
            "has columns of several units" if not missing else f"has no column {', '.join(missing)}",
            file=path,
            where=where,
            found=", ".join(found),
        )
    xyz = np.stack([columns.pop(axis) for axis in "xyz"], axis=1, dtype=np.float64)
    ours = tuple(found) == _OURS
    return _Named({**columns, "xyz": xyz}, Stated(unit=units.pop(), order="xyz", origin="corner" if ours else None))


def _is_one_neuron(arrays: Columns) -> bool:
    return all(array.ndim == 1 and array.dtype.names is None for array in arrays.values())


def _of_arrays(path: Path, arrays: Columns) -> _Named:
    """The columns of one neuron, each an array of its own."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise InputError("has columns of several lengths", file=path, found=found)
    return _by_name(path, None, arrays)


def holds_nodes(path: Path) -> bool:
    """Whether the array of an NPY file could be nodes: one with named columns, or (n, 3 to 7) numbers."""
    try:
        header, _ = _npy_header(path)
    except InputError:
        return False
    return header.stored.names is not None or (len(header.shape) == 2 and 3 <= header.shape[1] <= 7)


def _npy_header(path: Path) -> tuple[ArrayHeader, int]:
    """The header of an NPY file, and the size of the file in bytes."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            return read_header(_at(file), size, path, columns=True), size
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path) from error


def _npy(path: Path) -> npt.NDArray[Any]:
    """The array of an NPY file, mapped into memory."""
    header, size = _npy_header(path)
    _see_size(path, None, header, size)
    if not header.nbytes:
        return np.empty(header.shape, header.stored)
    try:
        return np.memmap(path, header.stored, "r", header.start, header.shape, "F" if header.fortran else "C")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path) from error


def _npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if info.file_size > max(_SMALL, _PACKED * info.compress_size):
                    size = f"{info.file_size} bytes out of {info.compress_size}"
                    raise InputError("is packed more tightly than numbers are", file=path, where=name, found=size)
                with archive.open(info) as file:
                    data = file.read(info.file_size)  # no more, whatever it unpacks to
                header = read_header(_at(io.BytesIO(data)), len(data), path, f"array {name}", columns=True)
                _see_size(path, f"array {name}", header, len(data))
                flat = np.frombuffer(data, header.stored, math.prod(header.shape), header.start)
                found[name] = flat.reshape(header.shape, order="F" if header.fortran else "C")
    except (OSError, *ZIP_ERRORS) as error:
        raise InputError("is a broken NPZ file", file=path, found=str(error)) from error
    return found


def _at(file: io.BufferedIOBase) -> ReadAt:
    def read(view: memoryview, offset: int) -> int:
        file.seek(offset)
        return file.readinto(view)

    return read


def _see_size(path: Path, where: str | None, header: ArrayHeader, size: int) -> None:
    """See that the numbers that the header promises are there, before anything is allocated for them."""
    if header.start + header.nbytes > size:
        raise InputError(
            "is cut off, or its header is wrong",
            file=path,
            where=where,
            expected=f"{header.nbytes} bytes: {header.stored} of the shape {header.shape}",
            found=f"{size - header.start} bytes",
        )
