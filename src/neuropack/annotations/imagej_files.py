"""ROIs of ImageJ from their files: a single ``.roi``, or the ZIP archive of a ROI Manager. Nothing is unpacked.

Sizes are bounded before anything is decoded: an archive of a few kilobytes can promise terabytes.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuropack.annotations.archives import ZIP, ZIP_ERRORS
from neuropack.annotations.roi_shapes import WORDS
from neuropack.errors import InputError

MAGIC = b"Iout"
_MOST = 100_000  # ROIs of an archive
_LARGEST = 64 << 20  # bytes of one
_ALL = 256 << 20  # bytes of all
_CENTRAL = b"PK\x01\x02"  # begins the entry of each member
_HEADER, _SECOND = 64, 52


@dataclass(frozen=True)
class NamedRoi:
    """A ROI.

    Attributes:
        name: that it has among the others: of its member in the archive, else its own, or that of the file.
        title: that it has in itself, which others may have too.
        place: where it stands, for messages.
        roi: as the library `roifile` decodes it.
    """

    name: str
    title: str
    place: str
    roi: Any


def holds_rois(path: Path) -> bool:
    """Whether a file is a ROI, or an archive with one among its members, told by content."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
        if not head.startswith(ZIP):
            return head.startswith(MAGIC)
        if _is_roi(head[30 : 30 + int.from_bytes(head[26:28], "little")].decode("latin-1")):
            return True  # of a damaged archive too, so that its error is that of ROIs
        _bounded(path)
        with zipfile.ZipFile(path) as archive:
            return any(_is_roi(info.filename) for info in archive.infolist())
    except (OSError, InputError, *ZIP_ERRORS):
        return False


def _is_roi(name: str) -> bool:
    """Whether a member is a ROI; what macOS adds beside each file is none."""
    return name.lower().endswith(".roi") and not name.startswith("__MACOSX/")


def _bounded(path: Path) -> None:
    """See that an archive is not of more members than ROIs are kept in: each is an object when it is opened."""
    _fits(path.stat().st_size, _ALL, path, None)
    count, tail = 0, b""
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            count += (tail + piece).count(_CENTRAL)
            tail = piece[-3:]
    if count > _MOST:
        raise InputError("holds too many ROIs", file=path, expected=f"at most {_MOST:,}", found=f"{count:,}")


def read_rois(path: Path) -> tuple[list[NamedRoi], list[str]]:
    """The ROIs of a file in its order, and notes on members that are none.

    Raises:
        InputError: the file is damaged, or larger than it may be; names the member.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
        if head != ZIP:
            size = path.stat().st_size
            _fits(size, _LARGEST, path, None)
            roi = _decoded(path.read_bytes(), path, None)
            name = str(roi.name or path.stem)
            return [NamedRoi(name, name, "the ROI", roi)], []
        _bounded(path)
        with zipfile.ZipFile(path) as archive:
            return _members(archive, path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path) from error
    except ZIP_ERRORS as error:
        raise _damaged(path, None, error) from error


def _members(archive: zipfile.ZipFile, path: Path) -> tuple[list[NamedRoi], list[str]]:
    found: dict[str, NamedRoi] = {}
    total = 0
    others = 0
    for info in archive.infolist():
        if not _is_roi(info.filename):
            others += not info.filename.endswith("/")
            continue
        name = info.filename[:-4]
        where = f"member {info.filename!r}"[:100]
        data = b"".join(_data(archive, info, path, where))
        total += len(data)
        _fits(total, _ALL, path, None)
        if name in found:
            raise InputError("holds two ROIs of one name", file=path, where=where)
        roi = _decoded(data, path, where)
        found[name] = NamedRoi(name, str(roi.name or name), where, roi)
    notes = [f"left out: {others} member(s) of the archive that are no ROI"] if others else []
    return [*found.values()], notes


def _data(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, where: str) -> Iterator[bytes]:
    """The bytes of a member, as many as it may have whatever it promises."""
    _fits(info.file_size, _LARGEST, path, where)
    try:
        with archive.open(info) as stream:
            total = 0
            while piece := stream.read(1 << 20):
                total += len(piece)
                _fits(total, _LARGEST, path, where)
                yield piece
    except ZIP_ERRORS as error:
        raise _damaged(path, where, error) from error


def _fits(size: int, most: int, path: Path, where: str | None) -> None:
    if size > most:
        raise InputError(
            "is larger than ROIs are",
            file=path,
            where=where,
            expected=f"at most {most:,} bytes",
            found=f"{size:,} bytes",
        )


def _decoded(data: bytes, path: Path, where: str | None) -> Any:
    import roifile

    try:
        if not data.startswith(MAGIC):
            raise ValueError(f"it begins with {data[:4]!r}, not {MAGIC!r}")
        _check_parts(data)
        roi = roifile.ImagejRoi.frombytes(data)
        if roi.roitype in _WITH_POINTS and roi.integer_coordinates is not None:
            _ends(roi, len(data))
        return roi
    except Exception as error:  # the library meets damage with many kinds
        raise _damaged(path, where, error) from error


def _check_parts(data: bytes) -> None:
    """What the library only warns of: a second header or a name behind the end, a type that nobody knows.

    Raises:
        ValueError: says which.
    """
    if len(data) < _HEADER:
        raise ValueError(f"{_HEADER} bytes of a header are expected, {len(data)} are there")
    if data[6] > max(WORDS):
        raise ValueError(f"there is no type {data[6]} of ROIs")
    second = int.from_bytes(data[60:64], "big", signed=True)
    if second == 0:
        return
    if not _HEADER <= second < len(data) - _SECOND:
        raise ValueError(f"its second header should lie at byte {second} of {len(data)}")
    for at in (16, 40):  # of the name, and of the properties
        offset, length = struct.unpack(">ii", data[second + at : second + at + 8])
        if offset > 0 and length > 0 and offset + 2 * length > len(data):
            raise ValueError(f"{2 * length} bytes of text should lie at byte {offset} of {len(data)}")


_WITH_POINTS = {0, 4, 5, 7, 8, 9, 10}  # types of ROI whose coordinates follow the header


def _ends(roi: Any, size: int) -> None:
    needed = 64 + len(roi.integer_coordinates) * (12 if roi.subpixel_coordinates is not None else 4)
    if needed > size:
        raise ValueError(f"{needed} bytes of coordinates are promised, {size} are there")


def _damaged(path: Path, where: str | None, error: Exception) -> InputError:
    why = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(
        "this ROI of ImageJ cannot be read: it is cut short or damaged",
        file=path,
        where=where,
        found=why[:200],
        fix="save it again in the ROI Manager (More > Save)",
    )
