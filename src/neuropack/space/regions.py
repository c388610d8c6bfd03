"""What an atlas says of points: region, hemisphere, and distance to the next region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, UsageError
from neuropack.progress import Progress
from neuropack.space.annotation import VOID, hemisphere
from neuropack.space.atlas import Atlas
from neuropack.space.frames import CCF, between, frame_of
from neuropack.space.structures import Structure

_LARGEST_MM = 14.0  # the CCF is 13.2 mm long


@dataclass(frozen=True)
class Region:
    """Where a point lies.

    Attributes:
        point: as given: in its own frame and unit.
        structure: the region; None outside of the brain.
        inside: whether the point lies in the volume at all.
        hemisphere: ``left`` or ``right`` of the midline, also outside of the brain.
        border_um: distance to the nearest voxel of another region, micrometre; None outside of the volume.
    """

    point: tuple[float, float, float]
    structure: Structure | None
    inside: bool
    hemisphere: str
    border_um: float | None

    def to_json(self) -> dict[str, Any]:
        """An object of ``neuropack atlas lookup --json``."""
        return {
            **dict(zip("xyz", self.point, strict=True)),
            "id": self.structure.id if self.structure else VOID,
            "acronym": self.structure.acronym if self.structure else None,
            "name": self.structure.name if self.structure else None,
            "hemisphere": self.hemisphere,
            "border_um": self.border_um,
        }


def look_up(
    atlas: Atlas, points: npt.NDArray[np.float64], frame: str = CCF, progress: Progress | None = None
) -> list[Region]:
    """The regions of points.

    For millions of points whose borders do not matter, `Annotation.lookup` gives the ids alone, far faster.

    Args:
        atlas: the atlas.
        points: (n, 3) in the frame, in its unit.
        frame: by its name in `neuropack.space.frames`.
        progress: told a name, bytes of points done, bytes in all.

    Raises:
        UsageError: there is no such frame, or the points look like millimetre where it wants micrometre.
        InputError: a label is not in the tree of structures.
    """
    if frame_of(frame).unit == "um" and len(points) and np.abs(points).max() < _LARGEST_MM:
        raise UsageError(
            "the points look like millimetre",
            expected=f"micrometre, the unit of {frame}",
            found=f"no coordinate beyond {np.abs(points).max():g}",
            fix="name a frame in millimetre with --frame, such as AllenCCFv3-mm",
        )
    placed = between(frame, CCF)(points)
    ids, inside = atlas.annotation.lookup(placed), atlas.annotation.inside(placed)
    unknown = sorted(id for id in set(ids.tolist()) - {VOID} if id not in atlas.structures)
    if unknown:
        raise InputError(
            "has labels that the tree of structures lacks",
            file=atlas.annotation.source,
            expected=f"ids of {atlas.structures.source}",
            found=", ".join(map(str, unknown[:5])),
            fix="name the tree that belongs to the annotation with --structures",
        )
    borders = atlas.annotation.border_um(placed, progress)
    return [
        Region(
            point=(x, y, z),
            structure=None if id == VOID else atlas.structures[id],
            inside=within,
            hemisphere=side,
            border_um=None if np.isnan(border) else round(border, 3),
        )
        for (x, y, z), id, within, side, border in zip(
            points.tolist(), ids.tolist(), inside.tolist(), hemisphere(placed), borders.tolist(), strict=True
        )
    ]
