"""Arrays that NumPy saved: NPY, and NPZ archives of several. They say nothing of axes or voxel size.

Each of several arrays in a NPZ file is a scene of the name that it has there. Bool is read as 0 and 1. Arrays of
Python objects are refused: nothing is ever unpickled.
"""

from __future__ import annotations

from pathlib import Path

from neuropack.errors import InputError
from neuropack.npy_header import MAGIC, ArrayHeader, read_header, require_image
from neuropack.readers.npy_pixels import NpyPixels, Values
from neuropack.readers.npz_members import InflatedBytes, Member, StoredBytes, members_of
from neuropack.readers.problems import Original, reading
from neuropack.readers.voxel_lists import as_volume, holds_voxel_lists, read_voxel_lists
from neuropack.volume import Volume

_ZIP = b"PK\x03\x04"


def sniff(head: bytes, path: Path) -> bool:
    """NumPy's magic bytes, or a ZIP archive whose first member is an array."""
    if head.startswith(_ZIP) and len(head) >= 30:
        return head[30 : 30 + int.from_bytes(head[26:28], "little")].endswith(b".npy")
    return head.startswith(MAGIC)


def open_file(path: Path) -> tuple[Volume, ...]:
    """The array, or the arrays of an archive that can be images; single numbers and lists of them are not.

    Raises:
        InputError: the file is damaged, or holds Python objects.
    """
    original = Original(path)
    with path.open("rb") as file:
        single = file.read(len(MAGIC)) == MAGIC
    if single:
        values = StoredBytes(path)
        header = _header(values, path, "NPY", None)
        require_image(header, values.size, path)
        return (_volume(original, header, values, "NPY"),)
    if holds_voxel_lists(path):
        return (as_volume(read_voxel_lists(path), path, format="NPZ voxel lists"),)
    found = _arrays(path)
    if not found:
        raise InputError("holds no image", file=path, expected="arrays of at least 2 dimensions", found="none")
    return tuple(
        _volume(original, header, values, "NPZ", member.name, named=len(found) > 1)
        for member, header, values in found
    )


def _arrays(path: Path) -> list[tuple[Member, ArrayHeader, Values]]:
    found: list[tuple[Member, ArrayHeader, Values]] = []
    for member in members_of(path):
        values = InflatedBytes(path, member) if member.deflated else StoredBytes(path, member.start, member.size)
        where = f"array {member.name!r}"[:80]
        header = _header(values, path, "NPZ", where)
        if header.image:
            require_image(header, values.size, path, where)
            found.append((member, header, values))
    return found


def _header(values: Values, path: Path, kind: str, where: str | None) -> ArrayHeader:
    try:
        with reading(path, kind, where):
            return read_header(values.read_at, values.size, path, where)
    finally:
        values.close()


def _volume(
    original: Original, header: ArrayHeader, values: Values, kind: str, name: str = "", *, named: bool = False
) -> Volume:
    return Volume(
        path=original.path,
        format=kind,
        scene=name if named else None,
        native_axes=header.axes,
        native_shape=header.shape,
        dtype=header.dtype,
        pixels=NpyPixels(original, header, values, f"array {name!r}"[:80] if name else None),
    )
