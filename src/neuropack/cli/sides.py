"""Options that say of the two images of a registration what its file cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from neuropack.space.formats.placement import Side

MovingVoxelSize = Annotated[
    str | None,
    typer.Option(metavar="Z,Y,X", help="Voxel of the moving image that was registered, where its centre counts."),
]
FixedVoxelSize = Annotated[
    str | None, typer.Option(metavar="AP,DV,LR", help="The same of the fixed image, along the axes of its array.")
]
MovingFrame = Annotated[
    str | None,
    typer.Option(metavar="AXES:UNIT:ZERO", help="How a program saw the moving image, such as xyz:mm:centre."),
]
FixedFrame = Annotated[
    str | None,
    typer.Option(metavar="AXES:UNIT:ZERO", help="The same of the fixed image, such as LPS:mm:corner."),
]


def side(name: Literal["moving", "fixed"], frame: str, voxel_size: str | None, place: str | None) -> Side:
    """One image, from the options.

    Raises:
        UsageError: one of them is not what it should be.
    """
    from neuropack.errors import UsageError
    from neuropack.space.formats.placement import Side, parse_place

    size = None
    if voxel_size is not None:
        try:
            a, b, c = (float(word) for word in voxel_size.split(","))
            if not all(0 < value < float("inf") for value in (a, b, c)):
                raise ValueError
        except ValueError:
            raise UsageError(
                f"--{name}-voxel-size does not name a voxel size",
                expected="three positive numbers in micrometre, along the axes of the array, such as 25,25,25",
                found=voxel_size,
            ) from None
        size = a, b, c
    return Side(name, frame, size, None if place is None else parse_place(place))
