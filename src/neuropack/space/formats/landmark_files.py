"""Landmarks of either kind: a table with a header line, or what BigWarp saves."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from neuropack.errors import InputError
from neuropack.space.formats.bigwarp import read_bigwarp
from neuropack.space.formats.placement import CENTRES, FIXED, MOVING, Side
from neuropack.space.frames import CCF
from neuropack.space.plausibility import looks_like_mm
from neuropack.space.transforms import Points
from neuropack.table import read_table

XYZ: Final = ("x", "y", "z")
FIXED_XYZ: Final = ("fixed_x", "fixed_y", "fixed_z")
_BIGWARP: Final = 8  # cells of a row


@dataclass(frozen=True, eq=False)
class Pairs:
    """Landmarks in the two frames of a registration, micrometre from the corner.

    Attributes:
        names: (n,).
        moving, fixed: (n, 3).
        format: of the file.
        told: what a person should know of it, a sentence each.
    """

    names: tuple[str, ...]
    moving: Points = field(repr=False)
    fixed: Points = field(repr=False)
    format: str
    told: tuple[str, ...] = ()


def is_bigwarp(line: str) -> bool:
    """Whether a line is a landmark of BigWarp: there is no header."""
    try:
        row = next(csv.reader([line], strict=True), [])
    except csv.Error:
        return False
    return len(row) == _BIGWARP and row[1].strip().lower() in ("true", "false")


def is_table(line: str) -> bool:
    """Whether a line is the header of a table of landmarks."""
    words = {word.strip().strip('"') for word in line.replace("\t", ",").split(",")}
    return words.issuperset((*XYZ, *FIXED_XYZ))


def read_landmarks(path: Path, moving: Side = MOVING, fixed: Side = FIXED) -> Pairs:
    """Read landmarks of either kind.

    BigWarp counts from the centre of the first voxel, in the unit of the images: half a voxel is added. Its x, y, z
    are taken as the three coordinates of the frame, unless `Side.place` says otherwise.

    Args:
        path: a table with the columns name, x, y, z, fixed_x, fixed_y, fixed_z; or a file of BigWarp.
        moving, fixed: the two images; BigWarp's landmarks need their voxel sizes.

    Raises:
        InputError: it cannot be read, is neither, or its places in the CCF look like millimetre.
        UsageError: a voxel size is needed; names the option.
    """
    if not is_bigwarp(_first_line(path)):
        table = read_table(path)
        here, there = table.numbers(*XYZ), table.numbers(*FIXED_XYZ)
        if fixed.frame == CCF and looks_like_mm(there):
            raise InputError(
                "the fixed landmarks look like millimetre",
                file=path,
                expected=f"{', '.join(FIXED_XYZ)} in micrometre, the unit of {CCF}",
                found=f"none beyond {np.abs(there).max():g}",
                fix=f"multiply {', '.join(FIXED_XYZ)} by 1000",
            )
        return Pairs(tuple(table.names("name")), here, there, "table of landmarks")
    here_from, there_from = (side.to_program(CENTRES).inverse() for side in (moving, fixed))
    found = read_bigwarp(path)
    told = [f"{sentence}: left out" for sentence in found.skipped]
    if fixed.place is None and fixed.frame == FIXED.frame:
        told.append("its x, y, z in the fixed image are taken as AP, DV, LR (--fixed-frame says otherwise)")
    return Pairs(found.names, here_from(found.moving), there_from(found.fixed), "landmarks of BigWarp", tuple(told))


def _first_line(path: Path) -> str:
    """The first line that is not empty; nothing where there is none, or no file: its reader says what is wrong."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return next((line for line in iter(lambda: file.readline(4096), "") if line.strip()), "")
    except OSError:
        return ""
