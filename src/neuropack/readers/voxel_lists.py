"""Label volumes as lists of voxels: from their NPZ file, and as images that are read block by block."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.axes import Array, Box, box_shape, full_box
from neuropack.errors import InputError
from neuropack.labels import LabelVolume
from neuropack.readers.npy_header import read_header
from neuropack.readers.npz_members import InflatedBytes, Member, StoredBytes, members_of
from neuropack.readers.problems import reading
from neuropack.volume import Volume

MARK = "neuropack_voxel_lists"
"""The array by which a NPZ file of lists is known; it holds the version of the format."""
ARRAYS = (MARK, "shape", "voxel_size_um", "ids", "offsets", "voxels")
VOXEL_LISTS = "voxel lists"
_PLANE_BYTES = 8 << 20  # of a native block


def read_voxel_lists(path: Path) -> LabelVolume:
    """Read the file that `neuropack.writers.label_arrays.write_voxel_lists` writes.

    Raises:
        InputError: it is damaged, or its lists contradict each other.
    """
    members = {member.name: member for member in members_of(path)}
    missing = [name for name in ARRAYS if name not in members]
    if missing:
        raise InputError("is no file of voxel lists", file=path, found=f"no array {', '.join(missing)}")
    arrays = {name: _array(path, members[name]) for name in ARRAYS}
    with reading(path, "NPZ"):
        return _checked(arrays)


def holds_voxel_lists(path: Path) -> bool:
    """Whether a NPZ file is one of lists of voxels.

    Raises:
        InputError: it is damaged.
    """
    with reading(path, "NPZ"), zipfile.ZipFile(path) as archive:
        return f"{MARK}.npy" in archive.namelist()


def _array(path: Path, member: Member) -> Array:
    """A whole array, measured before memory is taken for it."""
    where = f"array {member.name!r}"
    values = InflatedBytes(path, member) if member.deflated else StoredBytes(path, member.start, member.size)
    try:
        with reading(path, "NPZ", where):
            header = read_header(values.read_at, values.size, path, where)
            if header.start + header.nbytes != values.size or header.fortran:
                raise ValueError(f"The array has {values.size:,} of {header.start + header.nbytes:,} bytes.")
            data = bytearray(header.nbytes)
            if values.read_at(memoryview(data), header.start) < len(data):
                raise ValueError("The values end too early.")
    finally:
        values.close()
    return np.frombuffer(data, header.stored).reshape(header.shape)


def _checked(arrays: dict[str, Array]) -> LabelVolume:
    """The lists, which must be those of a label volume: in order, inside of the image.

    Raises:
        ValueError: they are not; says why.
    """
    shape = tuple(arrays["shape"].tolist())
    ids, offsets, voxels = arrays["ids"], arrays["offsets"], arrays["voxels"]
    types = ids.dtype == np.int64 and offsets.dtype == np.int64 and voxels.dtype == np.uint32
    if not types or len(shape) != 3 or arrays["voxel_size_um"].shape != (3,) or ids.ndim != 1:
        raise ValueError("The arrays have other types or lengths.")
    if min(shape) < 1 or math.prod(shape) >= 2**63 or voxels.ndim != 2 or voxels.shape[1:] != (3,):
        raise ValueError("The shape is none of an image.")
    if (
        offsets.shape != (len(ids) + 1,)
        or offsets[0] != 0
        or offsets[-1] != len(voxels)
        or (np.diff(offsets) < 0).any()
    ):
        raise ValueError("The offsets do not fit the voxels.")
    if len(ids) and (ids[0] < 1 or (np.diff(ids) <= 0).any()):
        raise ValueError("The ids do not ascend from 1.")
    if len(voxels) and (voxels >= np.array(shape)).any():
        raise ValueError("A voxel lies outside of the image.")
    flat = np.ravel_multi_index(tuple(voxels.T.astype(np.int64)), shape) if len(voxels) else np.empty(0, np.int64)
    behind = np.diff(flat) <= 0
    behind[offsets[1:-1][(offsets[1:-1] > 0) & (offsets[1:-1] < len(flat))] - 1] = False  # a new object begins
    if behind.any():
        raise ValueError("The voxels of an object are not in order.")
    sizes = arrays["voxel_size_um"].tolist()
    z, y, x = (None if math.isnan(size) else float(size) for size in sizes)
    depth, height, width = shape
    return LabelVolume((depth, height, width), (z, y, x), ids, offsets, voxels)


def as_volume(labels: LabelVolume, path: Path, *, format: str = VOXEL_LISTS, **fields: Any) -> Volume:
    """A label volume as an image that is drawn box by box: of a voxel of several objects, the lowest id.

    Args:
        labels: the objects.
        path: the file that they come from.
        format: its name for a person.
        fields: further fields of `Volume`, such as `made_by` where the labels were drawn from other things.
    """
    largest = int(labels.ids[-1]) if len(labels) else 0
    dtype = next(np.dtype(t) for t in ("u1", "u2", "u4", "u8") if largest <= np.iinfo(t).max)
    return Volume(
        path=path,
        format=format,
        native_axes="ZYX",
        native_shape=labels.shape,
        dtype=dtype,
        pixels=_Drawn(labels, dtype),
        voxel_size_um=labels.voxel_size_um,
        labels=True,
        **fields,
    )


class _Drawn:
    """Pixels that lists of voxels make."""

    cheap_parts = True

    def __init__(self, labels: LabelVolume, dtype: np.dtype[Any]) -> None:
        self._labels, self._dtype = labels, dtype
        lengths = np.diff(labels.offsets)
        self._rows = np.flatnonzero(lengths)  # voxels are in C order, so that z ascends in an object
        self._first = labels.voxels[labels.offsets[:-1][self._rows], 0]
        self._last = labels.voxels[labels.offsets[1:][self._rows] - 1, 0]

    @property
    def overhead_bytes(self) -> int:
        """The lists themselves."""
        return self._labels.voxels.nbytes

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Draw a box, the lowest ids last."""
        if out is None:
            out = np.empty(box_shape(box), self._dtype)
        out[...] = 0
        low, high = (np.array([getattr(s, end) for s in box]) for end in ("start", "stop"))
        near = self._rows[(self._first < high[0]) & (self._last >= low[0])]
        for row in near[::-1].tolist():
            voxels = self._labels.voxels[self._labels.offsets[row] : self._labels.offsets[row + 1]]
            part = voxels[slice(*np.searchsorted(voxels[:, 0], [low[0], high[0]]))].astype(np.int64)
            part = part[((part >= low) & (part < high)).all(axis=1)] - low
            out[tuple(part.T)] = self._labels.ids[row]
        return out

    def native_blocks(self) -> Iterator[Box]:
        """Some planes at a time."""
        depth, height, width = self._labels.shape
        step = max(1, _PLANE_BYTES // (self._dtype.itemsize * height * width))
        rest = full_box((height, width))
        for first in range(0, depth, step):
            yield slice(first, min(first + step, depth)), *rest

    def close(self) -> None:
        """Nothing is open."""
