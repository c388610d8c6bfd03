"""Masks of an NWB file: the segmentations of ndx-microscopy 0.4, as far as they are lists of voxels."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.annotations.nwb_tables import Table, item, kind_of, modules
from neuropack.axes import Array
from neuropack.labels import LabelVolume
from neuropack.volume import VoxelSize

_KINDS = {"VolumetricSegmentation": "voxel_mask", "PlanarSegmentation": "pixel_mask"}
_AT_ONCE = 1 << 20  # voxels that are decoded at a time
_MOST_BYTES = 256  # of a voxel: three places, a weight, and what others may add
_IN_MEMORY = 1 << 22  # voxels that are not worth a file


def masks_in(path: Path, file: Any) -> Iterator[Any]:
    """The groups of the segmentations in a file that hold lists of voxels."""
    for group, _ in modules(path, file):
        inside = [group]
        if kind_of(group) == "SegmentationContainer":
            inside = [item(path, group, name) for name in group]
        for one in inside:
            column = _KINDS.get(kind_of(one)) if one is not None else None
            if column is not None and column in one:
                yield one


def read_masks(found: Table) -> LabelVolume:
    """The objects of a segmentation. The column ``label`` names them, else their rows from 1.

    A voxel whose weight is 0 or not finite is no member. Where that occurs, or voxels are not in C order, all of
    the masks are in memory at once; neuropack writes none such.

    Raises:
        InputError: a voxel lies outside of the image, or the masks are otherwise not what they should be.
    """
    name = _KINDS[kind_of(found.group)]
    data = found.raw(name)
    axes = "xyz" if name == "voxel_mask" else "xy"
    plain = all(data.dtype[field].kind in "uif" for field in data.dtype.names or ())
    if not set(data.dtype.names or ()) >= set(axes) or not plain or data.dtype.itemsize > _MOST_BYTES:
        raise found.wrong(name, f"voxels as {', '.join(axes)}, weight", str(data.dtype))
    shape, voxel_size = _grid(found)
    ids, offsets = _ids(found), _offsets(found, name, len(data))
    total = len(data)
    if total > _IN_MEMORY:
        with tempfile.TemporaryFile() as spool:  # it goes when nobody holds the map any longer
            spool.truncate(total * 12)
            voxels: npt.NDArray[np.uint32] = np.memmap(spool, np.uint32, "r+", shape=(total, 3))
    else:
        voxels = np.empty((total, 3), np.uint32)
    kept = _decode(found, name, data, shape, offsets, voxels)
    if kept is None and (np.diff(ids) > 0).all():
        return LabelVolume(shape, voxel_size, ids, offsets, voxels)
    members = np.ones(total, np.bool_) if kept is None else kept
    parts = [slice(a, b) for a, b in pairwise(offsets)]
    objects = ((int(i), voxels[p][members[p]]) for i, p in zip(ids, parts, strict=True))
    return LabelVolume.of(shape, voxel_size, objects)


def _decode(
    found: Table,
    name: str,
    data: Any,
    shape: tuple[int, int, int],
    offsets: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint32],
) -> npt.NDArray[np.bool_] | None:
    """Fill `out` with z, y, x; which voxels are members, None where all are and the objects are in C order."""
    members, plain, last = np.ones(len(data), np.bool_), True, -1
    starts = offsets[:-1]
    for start in range(0, len(data), _AT_ONCE):
        block = data[start : start + _AT_ONCE]
        stop = start + len(block)
        columns = [block[axis] if axis in data.dtype.names else np.zeros(len(block), np.uint32) for axis in "zyx"]
        zyx = np.column_stack(columns).astype(np.int64)
        beyond = np.flatnonzero(((zyx < 0) | (zyx >= shape)).any(axis=1))
        if len(beyond):
            row = int(beyond[0])
            place = ", ".join(map(str, zyx[row]))
            expected = f"z, y, x below {' x '.join(map(str, shape))}"
            raise found.wrong(name, expected, f"{place} in row {start + row}; {len(beyond)} of {len(block)} rows")
        out[start:stop] = zyx
        if "weight" in data.dtype.names:
            members[start:stop] = np.isfinite(block["weight"]) & (block["weight"] != 0)
        flat = np.ravel_multi_index(tuple(zyx.T), shape)
        rises = np.diff(flat, prepend=last) > 0
        here = starts[(starts >= start) & (starts < stop)]
        rises[here - start] = True  # the first of an object may lie anywhere
        plain = plain and bool(rises.all()) and bool(members[start:stop].all())
        last = int(flat[-1])
    return None if plain else members


def _ids(found: Table) -> npt.NDArray[np.int64]:
    if not found.has("label"):
        return np.arange(1, len(found) + 1)
    ids = found.numbers("label", "ui").astype(np.int64)
    if (ids <= 0).any() or len(np.unique(ids)) < len(ids):
        raise found.wrong("label", "numbers above 0, each once", ", ".join(map(str, ids[:10])))
    return ids


def _offsets(found: Table, name: str, total: int) -> npt.NDArray[np.int64]:
    index = f"{name}_index"
    ends: Array = found.numbers(index, "ui").astype(np.int64)
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    if (np.diff(offsets) < 0).any() or offsets[-1] != total:
        expected = f"ends that rise to {total}, the number of voxels"
        raise found.wrong(index, expected, f"{', '.join(map(str, ends[:10]))}; the last {offsets[-1]}")
    return offsets


def _grid(found: Table) -> tuple[tuple[int, int, int], VoxelSize]:
    """Lengths and voxel size of the image, z, y, x, from the grid that the segmentation shares with it."""
    for space, count, size in (
        ("volumetric_imaging_space", "dimensions_in_voxels", "voxel_size_in_um"),
        ("planar_imaging_space", "dimensions_in_pixels", "pixel_size_in_um"),
    ):
        grid = item(found.path, found.group, space)
        if grid is None or count not in grid:
            continue
        lengths, sizes = (_three(Table(found.path, grid), name) for name in (count, size))
        lengths += [1] * (3 - len(lengths))
        sizes += [None] * (3 - len(sizes))
        x, y, z = (int(n) for n in lengths[:3])
        sx, sy, sz = (None if s is None else float(s) for s in sizes[:3])
        return (z, y, x), (sz, sy, sx)
    raise found.wrong("volumetric_imaging_space", "the grid of the image, with its number of voxels", "none")


def _three(grid: Table, name: str) -> list[Any]:
    """The first numbers of a grid; none where there are no numbers."""
    values = grid.raw(name) if grid.has(name) else None
    return list(values[:3]) if values is not None and values.dtype.kind in "uif" else []
