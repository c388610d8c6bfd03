"""How the coordinates of another program lie to those of neuropack: axes, unit, and where the first voxel is.

A file of a registration holds numbers in a frame that the program made of an image: millimetres, perhaps, along the
axes of the array, from the centre of its first voxel. No file says so. The user does, in words such as
``xyz:mm:centre``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from neuropack.errors import UsageError
from neuropack.space.frames import CCF, FRAMES, array_order, between, turn
from neuropack.space.grids import Grid
from neuropack.space.transforms import Affine

Name = Literal["moving", "fixed"]
What = Literal["frame", "voxel-size"]


_EXPECTED: Final = (
    "AXES:UNIT:ZERO, such as xyz:mm:centre or LPS:mm:corner. AXES says along which axis of neuropack's frame each"
    " coordinate grows (-x: against it), or in which direction of the brain; UNIT is um or mm; ZERO is corner,"
    " centre, or the coordinates of the centre of the first voxel"
)
_OWN: Final = "PIR"  # what the first, second and third coordinate of any frame are called here
_LETTERS: Final = {"x": "P", "-x": "A", "y": "I", "-y": "S", "z": "R", "-z": "L"}
_PER_UM: Final = {"um": 1.0, "mm": 1e-3}


@dataclass(frozen=True)
class Place:
    """How coordinates of another program lie to a frame of neuropack.

    Attributes:
        axes: three letters in the manner of `neuropack.space.frames`, where P, I and R stand for the first, second
            and third coordinate of neuropack's frame; in the CCF they are these.
        unit: ``um`` or ``mm``.
        zero: ``corner``: of the first voxel, as in neuropack; or where the centre of the first voxel lies.
        anatomy: True where the letters mean directions of the brain.
        named: the frame of the atlas that it is, in place of all others.
    """

    axes: str
    unit: str
    zero: Literal["corner"] | tuple[float, float, float]
    anatomy: bool = False
    named: str | None = None


CENTRES: Final = Place(_OWN, "um", (0.0, 0.0, 0.0))
"""What BigWarp has: micrometre along x, y, z from the centre of the first voxel."""


def parse_place(text: str) -> Place:
    """A place by its words, or by the name of a frame of the atlas.

    Raises:
        UsageError: they are none.
    """
    if text in FRAMES:
        return Place(_OWN, "um", "corner", anatomy=True, named=text)
    try:
        axes, unit, zero = text.split(":")
        signed = re.fullmatch(r"(?:\+?-?[xyz]){3}", axes)
        words = [word.lstrip("+") for word in re.findall(r"[+-]?[xyz]", axes)]
        letters = "".join(_LETTERS[word] for word in words) if signed else axes
        turn("a", "b", _OWN, letters, into_unit=unit)
        at: Literal["corner"] | tuple[float, float, float] = "corner"
        if zero in ("centre", "center"):
            at = (0.0, 0.0, 0.0)
        elif zero != "corner":
            x, y, z = (float(word) for word in zero.split(","))
            if not np.isfinite((x, y, z)).all():
                raise ValueError
            at = (x, y, z)
    except (ValueError, UsageError):
        known = f"{_EXPECTED}; or a frame of the atlas: {', '.join(FRAMES)}"
        raise UsageError("does not say how coordinates lie", expected=known, found=text) from None
    return Place(letters, unit, at, anatomy=not signed)


def option_of(name: Name, what: What) -> str:
    """The option of a command that says something of one of the two images."""
    return f"--{name}-{what}"


@dataclass(frozen=True)
class Side:
    """One of the two images of a registration.

    Attributes:
        name: ``moving`` or ``fixed``.
        frame: what neuropack calls its frame.
        voxel_um: size of its voxels along the axes of its array, where somebody said it.
        place: how the program that registered it saw it, where somebody said it.
        said: what a person writes to say either, for messages.
    """

    name: Name
    frame: str
    voxel_um: tuple[float, float, float] | None = None
    place: Place | None = None
    said: Callable[[Name, What], str] = option_of

    def to_program(self, usual: Place | None = None) -> Affine:
        """The transform from neuropack's frame to the coordinates of the program.

        Args:
            usual: how all images lie in these, where that is known.

        Raises:
            UsageError: what it needs was not said; names the option.
        """
        place, name = self.place or usual, f"{self.frame}, {self.name} image of the program"
        said = self.said(self.name, "frame")
        if place is None:
            raise UsageError(
                f"the file does not say how the {self.name} image lies in its coordinates",
                expected=_EXPECTED,
                found="nothing",
                fix=f"say it with {said}, for example {said} "
                + ("LPS:mm:corner" if self.frame == CCF else "xyz:mm:centre"),
            )
        if place.anatomy and self.frame != CCF:
            raise UsageError(
                f"directions of the brain say nothing of {self.frame}, which may lie in any way",
                expected="x, y and z with a sign, such as xyz or -x-yz",
                fix=f"say it so with {said}",
            )
        if place.named:
            step = between(self.frame, place.named)
            return Affine(self.frame, name, step.matrix)
        step = turn(self.frame, name, _OWN, place.axes, into_unit=place.unit)
        if place.zero == "corner":
            return step
        if self.voxel_um is None:
            raise UsageError(
                f"the coordinates count from the centre of the first voxel of the {self.name} image, and nothing"
                " says how large that is",
                expected="the size of its voxels in micrometre, along the axes of its array",
                fix=f"give it with {self.said(self.name, 'voxel-size')} "
                + ("AP,DV,LR, such as 25,25,25" if self.frame in FRAMES else "Z,Y,X, such as 2,0.5,0.5"),
            )
        size = np.array(self.voxel_um)[array_order(self.frame)]
        per_um = _PER_UM[place.unit]
        grid = Grid(np.array(place.zero), size * per_um, step.matrix[:, :3] / per_um)
        return grid.from_corner(self.frame, name, size, reverse=False)


MOVING: Final = Side("moving", "stack")
FIXED: Final = Side("fixed", CCF)
