"""What the coordinates of an annotation count, from where, and in which order: said by the file or the user."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError

Unit = Literal["voxel", "nm", "um", "mm"]
Order = Literal["xyz", "zyx"]
Origin = Literal["corner", "centre"]
UM: dict[str, float] = {"nm": 1e-3, "um": 1.0, "mm": 1e3}
"""Micrometre in a unit."""
UNIT_WORDS: dict[str, Unit] = {
    **dict.fromkeys(("um", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"), "um"),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), "nm"),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), "mm"),
    **dict.fromkeys(("px", "pixel", "pixels", "voxel", "voxels", "vx", "vox"), "voxel"),
}
"""The words for units that names of columns end in."""
_WHAT = {
    "unit": "what its coordinates count: voxel, nm, um or mm",
    "order": "the order of its coordinates: xyz or zyx",
    "origin": "what 0 is: the corner or the centre of the first voxel",
    "voxel_size_um": "the voxel size, z, y, x, micrometre",
}


@dataclass(frozen=True)
class Stated:
    """How coordinates are meant; None is what nobody said, and nothing is ever assumed in its place.

    Attributes:
        unit: of a coordinate.
        order: of the three columns.
        origin: what 0 is. Voxel coordinates that count centres have voxel i at i; those that count corners, at
            i + 0.5.
        voxel_size_um: z, y, x of the image that voxels are counted of.
        frame: that they lie in.
    """

    unit: Unit | None = None
    order: Order | None = None
    origin: Origin | None = None
    voxel_size_um: tuple[float, float, float] | None = None
    frame: str | None = None

    def completed(self, other: Stated, file: Path) -> Stated:
        """What the file says (self), and of the rest what the user says (`other`).

        Raises:
            UsageError: they contradict each other.
        """
        made = self
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if mine is None:
                made = replace(made, **{field.name: theirs})
            elif theirs is not None and theirs != mine and field.name != "voxel_size_um":
                raise UsageError(
                    f"the file states another {field.name} than you",
                    file=file,
                    expected=f"{mine}, as the file says",
                    found=f"{theirs}",
                    fix="leave out what the file says, or correct the file",
                )
        return made

    def to_um(self, coordinates: npt.NDArray[np.float64], file: Path) -> npt.NDArray[np.float64]:
        """Points (n, 3) in micrometre, x, y, z, from the corner of the first voxel.

        Raises:
            UsageError: something that is needed was not stated; names the file.
        """
        self.require(file, "unit", "order", "origin", *(["voxel_size_um"] if self._needs_voxels else []))
        xyz = coordinates if self.order == "xyz" else coordinates[:, ::-1]
        size = np.array(self.voxel_size_um[::-1]) if self.voxel_size_um is not None else np.zeros(3)
        scaled = xyz * (size if self.unit == "voxel" else UM[str(self.unit)])
        return np.ascontiguousarray(scaled + (size / 2 if self.origin == "centre" else 0.0))

    def radius_um(self, radius: npt.NDArray[np.float64], file: Path) -> npt.NDArray[np.float64]:
        """Radii in micrometre; those in voxels count voxels of the plane, y and x."""
        self.require(file, "unit", *(["voxel_size_um"] if self.unit == "voxel" else []))
        if self.unit == "voxel" and self.voxel_size_um is not None:
            return radius * float(np.sqrt(self.voxel_size_um[1] * self.voxel_size_um[2]))
        return radius * UM[str(self.unit)]

    @property
    def _needs_voxels(self) -> bool:
        return self.unit == "voxel" or self.origin == "centre"

    def require(self, file: Path, *names: str) -> None:
        """See that something was stated.

        Raises:
            UsageError: it was not.
        """
        for name in names:
            if getattr(self, name) is None:
                raise UsageError(
                    f"does not state {_WHAT[name]}",
                    file=file,
                    fix=f"state it: --{name.replace('_um', '').replace('_', '-')} on the line, {name}: in a study",
                )
