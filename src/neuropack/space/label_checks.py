"""What has gone wrong with the ids of a label volume: interpolated between, rounded by float32, of another year.

Ids of the Allen Institute reach 614454277. float32 keeps whole numbers up to 16777216 only, and the mean of two ids
is the id of a third region or of none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.space.annotation import VOID
from neuropack.space.atlas import ONLY_2020
from neuropack.space.label_files import DAMAGED
from neuropack.space.label_formats import opener
from neuropack.space.structures import Structures

ONLY_2017: Final = {382: "CA1", 507: "MOB"}
"""Regions that own voxels in the annotation of 2017; that of 2020 has labels for their layers alone."""
_PIECE = 1 << 22  # elements
_MOST_BYTES = 16 << 30


@dataclass(frozen=True)
class WrongIds:
    """Ids of a volume that no structure has.

    Attributes:
        rounded: by id in the volume, the ids of which float32 makes it.
        unknown: all others, sorted.
        known: how many ids are those of structures.
    """

    rounded: dict[int, tuple[int, ...]]
    unknown: tuple[int, ...]
    known: int

    def __bool__(self) -> bool:
        return bool(self.rounded or self.unknown)

    def __str__(self) -> str:
        """What they are, in words, a few of them by number."""
        words = []
        if self.rounded:
            pairs = sorted(self.rounded.items())[:3]
            few = ", ".join(f"{bad} for {' or '.join(map(str, real))}" for bad, real in pairs)
            words.append(f"{len(self.rounded)} ids rounded by float32: {few}")
        if self.unknown:
            few = ", ".join(map(str, self.unknown[:5])) + (", ..." if len(self.unknown) > 5 else "")
            words.append(f"{len(self.unknown)} ids that no structure has: {few}")
        return f"{'; '.join(words)}; {self.known} ids are known"


def float32_ids(structures: Structures) -> dict[int, tuple[int, ...]]:
    """By what float32 makes of them, the ids that it cannot hold; but for those that become another structure's."""
    made: dict[int, tuple[int, ...]] = {}
    for one in structures:
        rounded = int(np.float32(one.id))
        if rounded != one.id and rounded not in structures:
            made[rounded] = (*made.get(rounded, ()), one.id)
    return made


def wrong_ids(ids: Iterable[int], structures: Structures) -> WrongIds:
    """The ids of a volume that are none of the tree's."""
    corrupt = float32_ids(structures)
    found = {int(id) for id in ids} - {VOID}
    unknown = {id for id in found if id not in structures}
    rounded = {id: corrupt[id] for id in sorted(unknown & corrupt.keys())}
    return WrongIds(rounded, tuple(sorted(unknown - rounded.keys())), len(found) - len(unknown))


def of_another_version(ids: Iterable[int], version: str) -> dict[int, str]:
    """Of ids that voxels are labelled with, those that the annotation of a version has no voxels for, by acronym.

    Args:
        ids: from a look-up in an annotation.
        version: with the year in it, such as ``2017`` or ``ccf_2017``.
    """
    other: dict[int, str] = {}
    if "2017" in version:
        other = ONLY_2020
    elif "2020" in version:
        other = ONLY_2017
    return {id: other[id] for id in sorted({int(i) for i in ids}) if id in other}


def volume_ids(path: Path) -> frozenset[int]:
    """Every label but 0 of a label volume of any shape, piece by piece.

    Raises:
        InputError: it is no label volume (its numbers are not whole, for one), or it is damaged.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
        encoded = opener(head, path)(path, fills_ccf=False)
        if encoded.nbytes > _MOST_BYTES:
            raise InputError("is too large", file=path, expected=f"{_MOST_BYTES} bytes", found=str(encoded.nbytes))
        found: set[int] = set()
        if encoded.mapped is not None:
            flat = np.ravel(encoded.mapped, order="K")
            for first in range(0, flat.size, _PIECE):
                found |= _distinct(flat[first : first + _PIECE])
        else:
            for piece in _aligned(encoded.blocks(), encoded.dtype):
                found |= _distinct(piece)
    except DAMAGED as error:
        raise InputError("cannot be decoded", file=path, found=f"{type(error).__name__}: {error}") from error
    return frozenset(found - {VOID})


def _aligned(blocks: Iterator[bytes], dtype: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
    """Blocks of bytes as whole elements."""
    rest = b""
    for block in blocks:
        data = rest + block
        whole = len(data) // dtype.itemsize * dtype.itemsize
        rest = data[whole:]
        yield np.frombuffer(data[:whole], dtype)


def _distinct(flat: npt.NDArray[Any]) -> set[int]:
    if not flat.size:
        return set()
    begins = np.flatnonzero(flat[1:] != flat[:-1]) + 1  # neighbours are mostly alike
    return {int(flat[0]), *np.unique(flat[begins]).tolist()}


def years(versions: Iterable[str]) -> set[str]:
    """Versions in one spelling: the year where they name one."""
    return {year_of(version) for version in versions}


def year_of(version: str) -> str:
    """The year in the name of a version, such as ``2017`` in ``ccf_2017``; the name where there is none."""
    words = "".join(c if c.isdigit() else " " for c in version).split()
    return next((w for w in words if len(w) == 4 and w.startswith("20")), version)
