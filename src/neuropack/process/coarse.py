"""One channel of a stack at about the voxel size of an atlas: what registration looks at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.address import Address
from neuropack.errors import InputError, UsageError
from neuropack.progress import Progress
from neuropack.readers import open_volume
from neuropack.space.reduced import Reduced
from neuropack.volume import Volume, VoxelSize, from_array

Voxel = tuple[float, float, float]

_NIFTI = (b"\x5c\1\0\0", b"\0\0\1\x5c", b"\x1c\2\0\0", b"\0\0\2\x1c")  # the length of its header, 348 or 540
_GZIP = b"\x1f\x8b"
_UNITS = {"um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "mm": 1000.0, "millimeter": 1000.0}


def is_image(path: Path) -> bool:
    """Whether a file holds an image and not the text of a table; a folder does, and what lies elsewhere."""
    if isinstance(path, Address):
        return True
    try:
        if path.is_dir():
            return True
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return b"\0" in head or head.startswith((b"NRRD", _GZIP))


def open_stack(
    path: Path, *, scene: str | None = None, axes: str | None = None, voxel_size_um: VoxelSize | None = None
) -> Volume:
    """Open an image that is to be registered: of any reader of neuropack, or a volume in NRRD or NIfTI.

    These two name their fastest axis first; as everywhere, that one is x here. What they say of orientation is not
    looked at: a human writes it, and it is mostly wrong.

    Raises:
        InputError: it cannot be read.
        UsageError: its voxel size is stated nowhere, or what its axes mean.
    """
    head = _head(path)
    volume: Volume | None = None
    if head.startswith(b"NRRD"):
        volume = _nrrd(path)
    elif head[:4] in _NIFTI or head.startswith(_GZIP):
        volume = _nifti(path)
    if volume is None:
        volume = open_volume(path, scene=scene, axes=axes, voxel_size_um=voxel_size_um)
    elif voxel_size_um:
        volume = volume.with_voxel_size(voxel_size_um)
    volume.require_axes()
    volume.require_voxel_size()
    return volume


def coarse(
    volume: Volume, target_um: float, channel: int = 0, progress: Progress | None = None
) -> tuple[npt.NDArray[np.float32], Voxel]:
    """Means of blocks of voxels, (z, y, x), and the size of a block.

    A block is as many whole voxels as fit into the target along each axis; what does not fill a block at the far
    ends is left out, so the corner of the first voxel stays the corner. Of a pyramid the coarsest level is read
    whose voxels are at most half of the target: other programs lay a level up to half of its voxel off, which is
    then at most a quarter of the target. Memory: the result, and what `Reduced` keeps.

    Args:
        volume: with its voxel size stated; of a time series the first frame.
        target_um: edge of the wished voxel.
        channel: its number, from 0.
        progress: told bytes done and in all.

    Raises:
        UsageError: there is no such channel.
        InputError: a single plane, or the file is damaged.
    """
    if not 0 <= channel < volume.n_channels:
        names = ", ".join(f"{i}: {c.name or 'unnamed'}" for i, c in enumerate(volume.channels))
        raise UsageError("has no such channel", file=volume.path, expected=names, found=str(channel))
    if volume.size_zyx[0] == 1:
        shape = " x ".join(map(str, volume.size_zyx))
        raise InputError(
            "is a single plane", file=volume.path, expected="a stack of planes", found=f"{shape} voxels (z, y, x)"
        )
    level = _level(volume, target_um)
    voxel = _voxel(level)
    factors = [min(n, max(1, int(target_um / v + 1e-6))) for n, v in zip(level.size_zyx, voxel, strict=True)]
    counts = [n // f for n, f in zip(level.size_zyx, factors, strict=True)]
    bins = Reduced(level, (factors[0], factors[1], factors[2]))
    front = [slice(0, 1)] * (level.ndim - 3)
    front[level.axes.index("C")] = slice(channel, channel + 1)
    total, step = np.empty(counts, np.float32), bins.tile[-3]
    whole = int(np.prod(counts)) * int(np.prod(factors)) * level.dtype.itemsize
    for first in range(0, counts[0], step):
        slab = slice(first, min(first + step, counts[0]))
        box = (*front, slab, *(slice(0, n) for n in counts[1:]))
        total[slab] = bins.read(box).reshape(slab.stop - first, *counts[1:])
        if progress:
            progress("reading", whole * slab.stop // counts[0], whole)
    z, y, x = (v * f for v, f in zip(voxel, factors, strict=True))
    return total, (z, y, x)


def _voxel(volume: Volume) -> Voxel:
    z, y, x = (float(v or np.nan) for v in volume.voxel_size_um)
    return z, y, x


def _level(volume: Volume, target_um: float) -> Volume:
    """The coarsest level that is fine enough and fills the same block of space."""
    best, extent = volume, np.array(volume.size_zyx) * _voxel(volume)
    for level in volume.levels:
        size = np.array(_voxel(level))
        grown = np.array(level.size_zyx) * size
        if (size <= target_um / 2).all() and (np.abs(grown - extent) <= size * (1 + 1e-6)).all():
            best = level
    return best


def _head(path: Path) -> bytes:
    """The first bytes; of a folder none. What cannot be read is told by the readers."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return file.read(8)
    except OSError:
        pass
    return b""


def _nrrd(path: Path) -> Volume:
    import nrrd

    try:
        values, header = nrrd.read(str(path))
    except (nrrd.NRRDError, ValueError, OSError, EOFError, KeyError, IndexError, StopIteration) as error:
        raise InputError("is no NRRD file that can be read", file=path, found=str(error)[:200]) from error
    units = {
        _UNITS.get(str(unit).strip('" ').lower()) for unit in header.get("space units", header.get("units", ()))
    }
    unit = units.pop() if len(units) == 1 else None
    steps = header.get("space directions")
    sizes = np.linalg.norm(steps, axis=1) if steps is not None else header.get("spacings", ())
    return _in_memory(path, "NRRD", values, [float(size) for size in sizes], unit)


def _nifti(path: Path) -> Volume:
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image: Any = nibabel.load(path)
        header = image.header
        values, sizes = np.asanyarray(image.dataobj), header.get_zooms()
        unit = _UNITS.get({"micron": "um"}.get(header.get_xyzt_units()[0], header.get_xyzt_units()[0]))
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise InputError("is no NIfTI file that can be read", file=path, found=str(error)[:200]) from error
    return _in_memory(path, "NIfTI", values, [float(size) for size in sizes[:3]], unit)


def _in_memory(path: Path, kind: str, values: npt.NDArray[Any], sizes: list[float], unit: float | None) -> Volume:
    """A volume whose first axis is x; without a voxel size where it has no unit."""
    if values.ndim != 3 or values.dtype.kind not in "buif":
        found = f"{' x '.join(map(str, values.shape))} of {values.dtype}"
        raise InputError("is no single volume", file=path, expected="three axes of numbers", found=found)
    known = unit is not None and len(sizes) == 3 and all(0 < size < float("inf") for size in sizes)
    z, y, x = (size * (unit or 1.0) for size in reversed(sizes)) if known else (None, None, None)
    array = values.transpose().astype(values.dtype.newbyteorder("="), copy=False)
    return replace(from_array(array, "ZYX", path=path, voxel_size_um=(z, y, x)), format=kind)
