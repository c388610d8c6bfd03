"""Labels for programs that read NumPy: a label image as NPY, block by block, and lists of voxels as NPZ."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from neuropack.axes import Array, Box
from neuropack.errors import UsageError
from neuropack.labels import LabelVolume
from neuropack.progress import Progress
from neuropack.volume import Volume
from neuropack.whole import published

VERSION = 1
_PIECE = 32 << 20  # bytes decoded at a time
_DATE = (1980, 1, 1, 0, 0, 0)  # of members, so that the same lists make the same file


def write_label_array(
    path: Path, volume: Volume, *, overwrite: bool = False, progress: Progress | None = None
) -> None:
    """Write a label image as a NPY array (z, y, x), or (t, z, y, x) where there is time, in bounded memory.

    Args:
        path: ends in .npy.
        volume: of one channel of integers.
        overwrite: replace a file.
        progress: called as the work goes on.

    Raises:
        UsageError: the image is none of labels.
        InputError: it cannot be decoded.
        OutputError: the file is there already, or cannot be written.
    """
    volume.require_axes()
    if volume.n_channels != 1 or volume.dtype.kind not in "iu":
        raise UsageError(
            "is no label image",
            file=volume.path,
            expected="one channel of integers",
            found=f"{volume.n_channels} channel(s) of {volume.dtype}",
        )
    channel = volume.axes.index("C")
    shape = volume.shape[:channel] + volume.shape[channel + 1 :]
    whole = tuple(slice(0, n) for n in volume.shape)
    done = 0
    with published(path, overwrite) as partial, partial.open("wb") as file:
        header = {"descr": volume.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        file.truncate(start + volume.nbytes)
        for box, pixels in volume.stream(whole, _PIECE):
            _put(file, start, shape, box[:channel] + box[channel + 1 :], np.squeeze(pixels, channel))
            done += pixels.nbytes
            if progress:
                progress("writing labels", done, volume.nbytes)
            del pixels  # or it would still be there while the next one is decoded


def _put(file: BinaryIO, start: int, shape: tuple[int, ...], box: Box, pixels: Array) -> None:
    """Write a box of an array to its file: rows, or planes where the box is as wide as the array."""
    wide = pixels.shape[-1] == shape[-1]
    for index in np.ndindex(pixels.shape[:-2] if wide else pixels.shape[:-1]):
        place = [s.start + i for s, i in zip(box, index, strict=False)] + [s.start for s in box[len(index) :]]
        file.seek(start + int(np.ravel_multi_index(place, shape)) * pixels.dtype.itemsize)
        file.write(np.ascontiguousarray(pixels[index]).data)


def write_voxel_lists(path: Path, labels: LabelVolume, *, overwrite: bool = False) -> None:
    """Write a label volume as NPZ: ids, offsets and voxels as they are, overlaps and all.

    Arrays: ``neuropack_voxel_lists`` (the version), ``shape`` and ``voxel_size_um`` (z, y, x; NaN where not known),
    ``ids``, ``offsets``, ``voxels``. NumPy reads it without unpickling.

    Raises:
        OutputError: the file is there already, or cannot be written.
    """
    sizes = [np.nan if size is None else size for size in labels.voxel_size_um]
    arrays: dict[str, Any] = {
        "neuropack_voxel_lists": np.array([VERSION], np.int64),
        "shape": np.array(labels.shape, np.int64),
        "voxel_size_um": np.array(sizes, np.float64),
        "ids": labels.ids,
        "offsets": labels.offsets,
        "voxels": labels.voxels,
    }
    with published(path, overwrite) as partial, zipfile.ZipFile(partial, "w", allowZip64=True) as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
