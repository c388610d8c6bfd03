"""How NRRD, NIfTI, TIFF and Zarr hold a volume of the CCF: labels, or a template.

One function a format; files are told by the first bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.space.frames import EXTENT_UM

Labels = npt.NDArray[np.integer[Any]]

_STEP = 8 << 20
_AT_ONCE, _LARGEST_CHUNK = 64 << 20, 256 << 20  # bytes decoded of a Zarr array
_SHAPES = {10: (1320, 800, 1140), 25: (528, 320, 456), 50: (264, 160, 228), 100: (132, 80, 114)}
_NRRD_TYPES = {
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i1": ("signed char", "int8", "int8_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "f4": ("float",),
    "f8": ("double",),
}


def _as_it_is(labels: Labels) -> Labels:
    return labels


@dataclass(frozen=True)
class Encoded:
    """A label volume in a file.

    Attributes:
        shape: as stored.
        dtype: an integer type.
        order: ``F`` where the first axis varies fastest in the file, else ``C``.
        mapped: the array, where the file can be mapped.
        blocks: its decoded bytes, in order, for a file that cannot.
        arrange: makes an array (AP, DV, LR) of the stored one.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: str
    mapped: Labels | None
    blocks: Callable[[], Iterator[bytes]]
    arrange: Callable[[Labels], Labels] = _as_it_is

    @property
    def nbytes(self) -> int:
        """Bytes, decoded."""
        return math.prod(self.shape) * self.dtype.itemsize


class Opener(Protocol):
    """Opens a file: of labels, or of any numbers; of any shape, where it need not fill the CCF."""

    def __call__(self, path: Path, *, labels: bool = True, fills_ccf: bool = True) -> Encoded:
        """The volume in a file."""


def opener(head: bytes, path: Path) -> Opener:
    """What opens a file that begins with these bytes (at least 8, of a file that has them).

    It takes the file, and whether it holds labels: then what is no integer is refused. A template may be of any
    numbers.

    Raises:
        InputError: nothing does.
    """
    if head.startswith(b"NRRD"):
        return nrrd
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return tiff
    if head[:2] == b"\x1f\x8b" or head[:4] in (b"\x5c\1\0\0", b"\0\0\1\x5c", b"\x1c\2\0\0", b"\0\0\2\x1c"):
        return nifti  # gzip, or the length of its header, 348 or 540, in either byte order
    raise InputError(
        "is no volume of the CCF that neuropack reads",
        file=path,
        expected="NRRD, NIfTI or TIFF",
        found=f"a file that starts with {head[:8]!r}" if head else "an empty file",
        fix="check that the file is what its name says and was copied completely",
    )


def resolution_of(shape: tuple[int, ...], file: Path) -> float:
    """The voxel size in micrometre of a volume (AP, DV, LR) that fills the CCF.

    Raises:
        InputError: no isotropic voxel makes this shape fill it.
    """
    if len(shape) == 3 and min(shape) > 0:
        sizes = {extent / n for extent, n in zip(EXTENT_UM, shape, strict=True)}
        if len(sizes) == 1:
            return sizes.pop()
    turned = sorted(shape) in [sorted(known) for known in _SHAPES.values()]
    raise InputError(
        "is no volume of the CCF" + (": its axes stand in another order" if turned else ""),
        file=file,
        expected="AP x DV x LR: " + ", ".join(f"{_times(known)} ({um} um)" for um, known in _SHAPES.items()),
        found=_times(shape),
    )


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "no axis"


def _require_numbers(dtype: np.dtype[Any], path: Path, *, labels: bool) -> None:
    if not labels and dtype.kind not in "iuf":
        raise InputError("holds no numbers", file=path, found=f"values of type {dtype.name}")
    if labels and dtype.kind not in "iu":
        raise InputError(
            "holds no labels",
            file=path,
            expected="integers: in float32, ids of the atlas become those of other regions",
            found=f"values of type {dtype.name}",
            fix="use the annotation as it was published",
        )


def nrrd(path: Path, *, labels: bool = True, fills_ccf: bool = True) -> Encoded:
    """NRRD with raw or gzip data in the file. What its header says of the orientation is not looked at."""
    import nrrd as library

    with path.open("rb") as file:
        try:
            header = library.read_header(file)
        except (library.NRRDError, ValueError, IndexError, StopIteration) as error:
            raise InputError("has a damaged NRRD header", file=path, found=str(error)) from error
        start = file.tell()
    fields = {key.replace(" ", ""): value for key, value in header.items()}
    shape = tuple(int(n) for n in fields.get("sizes", ()))
    kind = next((k for k, names in _NRRD_TYPES.items() if str(fields.get("type")).lower() in names), "V")
    dtype = np.dtype(kind).newbyteorder(">" if str(fields.get("endian")).lower() == "big" else "<")
    _require_numbers(dtype, path, labels=labels)
    if fills_ccf:
        resolution_of(shape, path)
    encoding = str(fields.get("encoding")).lower()
    apart = [f"{key}: {fields[key]}" for key in ("datafile", "lineskip", "byteskip") if fields.get(key)]
    if apart or encoding not in ("raw", "gzip", "gz"):
        raise InputError(
            "is NRRD of a kind that is not read here",
            file=path,
            expected="raw or gzip data behind the header",
            found=apart[0] if apart else f"encoding: {encoding}",
        )
    if encoding == "raw":
        wanted, size = start + math.prod(shape) * dtype.itemsize, path.stat().st_size
        if size != wanted:
            raise InputError(
                "is longer or shorter than its header says", file=path, expected=f"{wanted} bytes", found=f"{size}"
            )
        return Encoded(shape, dtype, "F", np.memmap(path, dtype, "r", start, shape, "F"), lambda: iter(()))
    return Encoded(shape, dtype, "F", None, lambda: _unpacked(path, start))


def _unpacked(path: Path, start: int, leave: int = 0) -> Iterator[bytes]:
    """What gzip data from a place in a file on hold, piece by piece, but the first bytes of it."""
    from isal import igzip

    with path.open("rb") as file:
        file.seek(start)
        with igzip.open(file, "rb") as unpacked:  # type: ignore[no-untyped-call]
            unpacked.read(leave)
            while piece := unpacked.read(_STEP):
                yield piece


def nifti(path: Path, *, labels: bool = True, fills_ccf: bool = True) -> Encoded:
    """NIfTI. The lengths of its axes say which is which; the header, where it agrees, which way each one runs."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image: Any = nibabel.load(path, mmap="r")  # as it comes it maps copy-on-write, and claims memory for all
    except (ImageFileError, HeaderDataError) as error:
        raise InputError("is no NIfTI file", file=path, found=str(error)) from error
    if not isinstance(image, nibabel.Nifti1Image):
        raise InputError("is no NIfTI file of one part", file=path, found=type(image).__name__)
    proxy: Any = image.dataobj
    shape, dtype = tuple(int(n) for n in proxy.shape), proxy.dtype
    _require_numbers(dtype, path, labels=labels)
    if labels and (proxy.slope, proxy.inter) != (1, 0):
        found = f"slope {proxy.slope:g}, intercept {proxy.inter:g}"
        raise InputError("scales its values, so they are no labels", file=path, found=found)
    codes: Any = nibabel.aff2axcodes(image.affine)
    axes, reversed_ = _orientation(shape, "".join(map(str, codes)))
    if fills_ccf:
        resolution_of(tuple(shape[axis] for axis in axes), path)

    def arrange(labels: Labels) -> Labels:
        return labels.transpose(axes)[tuple(slice(None, None, -1 if back else None) for back in reversed_)]

    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    mapped = None if packed else np.asanyarray(proxy)
    return Encoded(shape, dtype, "F", mapped, lambda: _unpacked(path, 0, proxy.offset), arrange)


def _orientation(shape: tuple[int, ...], codes: str) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Which stored axis is AP, DV and LR, and which of these run the other way.

    AP is the longest and DV the shortest axis of the CCF. A header that calls an axis otherwise than its length
    does was made without thought (it says RAS of everything, mostly): then the array is taken to be AP, DV, LR.
    """
    if len(shape) == 3:
        shortest, middle, longest = (int(axis) for axis in np.argsort(shape, kind="stable"))
        axes = (longest, shortest, middle)
        letters = [codes[axis] for axis in axes]
        if all(letter in pair for letter, pair in zip(letters, ("PA", "IS", "RL"), strict=True)):
            return axes, tuple(letter not in "PIR" for letter in letters)
    return tuple(range(len(shape))), (False,) * len(shape)


def tiff(path: Path, *, labels: bool = True, fills_ccf: bool = True) -> Encoded:
    """TIFF with a page for each AP plane, as BrainGlobe writes it."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            shape, dtype, plain = tuple(series.shape), np.dtype(series.dtype), series.dataoffset is not None
    except (tifffile.TiffFileError, IndexError) as error:
        raise InputError("is a damaged TIFF file", file=path, found=str(error)) from error
    _require_numbers(dtype, path, labels=labels)
    if fills_ccf:
        resolution_of(shape, path)

    def blocks() -> Iterator[bytes]:
        with tifffile.TiffFile(path) as file:
            for page in file.series[0].pages:
                if page is None:
                    raise InputError("lacks a page", file=path)
                yield np.ascontiguousarray(page.asarray(), dtype).tobytes()

    mapped = tifffile.memmap(path, mode="r", series=0) if plain else None
    return Encoded(shape, dtype, "C", mapped, blocks)


def zarr_array(path: Path, *, labels: bool = True) -> Encoded:
    """A folder that is an array of Zarr, version 3 (AP, DV, LR). What it does not store is void."""
    import zarr
    from zarr.errors import BaseZarrError

    try:
        array: Any = zarr.open_array(path, mode="r", zarr_format=3)
        shape, dtype = tuple(array.shape), np.dtype(array.dtype)
        chunk = array.shards or array.chunks
    except (BaseZarrError, ValueError, TypeError, KeyError, OSError) as error:
        raise InputError("is no array of Zarr", file=path, found=f"{type(error).__name__}: {error}") from error
    _require_numbers(dtype, path, labels=labels)
    resolution_of(shape, path)
    if math.prod(chunk) * dtype.itemsize > _LARGEST_CHUNK:
        raise InputError(
            "has chunks that are too large",
            file=path,
            expected=f"{_LARGEST_CHUNK} bytes",
            found=_times(tuple(chunk)),
        )
    deep = max(1, min(chunk[0], _AT_ONCE // (shape[1] * shape[2] * dtype.itemsize)))

    def blocks() -> Iterator[bytes]:
        for first in range(0, shape[0], deep):
            yield np.ascontiguousarray(array[first : first + deep]).tobytes()

    return Encoded(shape, dtype, "C", None, blocks)
