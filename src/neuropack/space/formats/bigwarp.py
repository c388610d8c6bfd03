"""Landmarks of BigWarp: rows of name, active, x, y, z in the moving image, x, y, z in the fixed one."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.space.formats.files import read_text


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Pairs of points.

    Attributes:
        names: (n,).
        moving: (n, 3), x, y, z in the physical unit of the moving image; its first voxel's centre is 0.
        fixed: (n, 3), the same in the fixed image.
        skipped: what was left out and why, one sentence each.
    """

    names: tuple[str, ...]
    moving: npt.NDArray[np.float64] = field(repr=False)
    fixed: npt.NDArray[np.float64] = field(repr=False)
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)


def read_bigwarp(path: Path) -> Landmarks:
    """Read a landmark file of BigWarp.

    Inactive landmarks, and those placed in one image only (Infinity in the other), are left out and named.

    Raises:
        InputError: it cannot be read, or a row is no landmark.
    """
    names, rows, skipped = [], [], []
    reader = csv.reader(read_text(path).splitlines(), strict=True)
    try:
        for row in reader:
            if not row:
                continue
            name, active, values = _row(row, path, reader.line_num)
            if not active:
                skipped.append(f"{name} is not active")
            elif not np.isfinite(values).all():
                missing = "moving" if not np.isfinite(values[:3]).all() else "fixed"
                skipped.append(f"{name} has no position in the {missing} image")
            else:
                names.append(name)
                rows.append(values)
    except csv.Error as error:
        raise InputError("is not CSV", file=path, where=f"line {reader.line_num}", found=str(error)) from error
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Landmarks(tuple(names), table[:, :3], table[:, 3:], tuple(skipped))


def _row(row: Sequence[str], path: Path, line: int) -> tuple[str, bool, npt.NDArray[np.float64]]:
    try:
        if len(row) != 8 or row[1].strip().lower() not in ("true", "false"):
            raise ValueError
        return row[0], row[1].strip().lower() == "true", np.array([float(word) for word in row[2:]])
    except ValueError:
        raise InputError(
            "is not a landmark of BigWarp",
            file=path,
            where=f"line {line}",
            expected="name, true or false, three moving and three fixed coordinates",
            found=",".join(row)[:80],
        ) from None


def write_bigwarp(path: Path, landmarks: Landmarks) -> None:
    """Write a landmark file of BigWarp; numbers read back the same."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for name, moving, fixed in zip(landmarks.names, landmarks.moving, landmarks.fixed, strict=True):
            writer.writerow([name, "true", *(repr(float(value)) for value in (*moving, *fixed))])
