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
from neuropack.npy_header import read_header
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
    if not types or len(shape) != 3 or arrays["voxel_size_um"].shape != (3,) or ids.ndim != 1 or offsets.ndim != 1:
        raise ValueError("The arrays have other types or lengths.")
    if min(shape) < 1 or math.prod(shape) >= 2**63 or voxels.ndim != 2 or voxels.shape[1:] != (3,):
        raise ValueError("The shape is none of an image.")
    sizes = arrays["voxel_size_um"].tolist()
    z, y, x = (None if math.isnan(size) else float(size) for size in sizes)
    depth, height, width = shape
    made = LabelVolume((depth, height, width), (z, y, x), ids, offsets, voxels)
    if len(voxels) and (voxels >= np.array(shape)).any():
        raise ValueError("A voxel lies outside of the image.")
    flat = np.ravel_multi_index(tuple(voxels.T.astype(np.int64)), shape) if len(voxels) else np.empty(0, np.int64)
    behind = np.diff(flat) <= 0
    behind[offsets[1:-1][(offsets[1:-1] > 0) & (offsets[1:-1] < len(flat))] - 1] = False  # a new object begins
    if behind.any():
        raise ValueError("The voxels of an object are not in order.")
    return made


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

    @property
    def overhead_bytes(self) -> int:
        """The lists themselves."""
        return self._labels.voxels.nbytes

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Draw a box."""
        return self._labels.read(box, np.empty(box_shape(box), self._dtype) if out is None else out)

    def native_blocks(self) -> Iterator[Box]:
        """Some planes at a time."""
        depth, height, width = self._labels.shape
        step = max(1, _PLANE_BYTES // (self._dtype.itemsize * height * width))
        rest = full_box((height, width))
        for first in range(0, depth, step):
            yield slice(first, min(first + step, depth)), *rest

    def close(self) -> None:
        """Nothing is open."""
