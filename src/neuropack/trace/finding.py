"""What a tracing session needs of a path search, and of the image that it searches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, UsageError
from neuropack.progress import Progress
from neuropack.trace import edits
from neuropack.trace.edits import Piece, Point
from neuropack.volume import Volume

How = Literal["path", "straight"]


class Found(Protocol):
    """A path that was found."""

    @property
    def xyz(self) -> npt.NDArray[np.float64]:
        """(n, 3) x, y, z, micrometre, from start to end."""
        ...

    @property
    def radius_um(self) -> npt.NDArray[np.float64]:
        """(n,)."""
        ...

    @property
    def confidence(self) -> float:
        """0 to 1."""
        ...


class Finder(Protocol):
    """Finds the way along a neurite, as `neuropack.trace.PathFinder` does."""

    def find(
        self,
        start_zyx: tuple[float, float, float],
        end_zyx: tuple[float, float, float],
        *,
        cancel: Any = None,
        progress: Progress | None = None,
    ) -> Found:
        """The path between two places z, y, x in voxels, whose centres lie at whole numbers."""
        ...


def piece_to(
    finder: Finder | None,
    stack: Mapping[str, Any] | None,
    start: Point,
    end: Point,
    radius: float,
    how: How | None,
    cancel: Any,
    progress: Progress | None,
) -> Piece:
    """The nodes of a way behind its start, which is a node that is there already.

    Args:
        finder: searches.
        stack: as `stack_record` has it.
        start, end: x, y, z, micrometre.
        radius: at the start; of a straight line, and of an end beside it.
        how: None: a path where there is a finder.
        cancel, progress: for the search.

    Raises:
        UsageError: there is no such way to trace, or no finder.
    """
    if how not in (None, "path", "straight"):
        raise UsageError("no such way to trace", expected="path or straight", found=str(how))
    if how == "straight" or (how is None and finder is None):
        return Piece([end], [radius], [0.0], "straight")
    if finder is None or stack is None:
        raise UsageError(
            "there is nothing to search with",
            fix="open the session with its volume and a finder, or how='straight'",
        )
    voxel_size_um = stack["voxel_size_um"]
    found = finder.find(_zyx(start, voxel_size_um), _zyx(end, voxel_size_um), cancel=cancel, progress=progress)
    points = [edits.checked_point(p) for p in found.xyz.tolist()]
    radii = [edits.checked_radius(r) for r in found.radius_um.tolist()]
    # The first point is the node that is there, or where the search moved it to.
    points, radii = (points[1:], radii[1:]) if len(points) > 1 else ([end], [radius])
    return Piece(points, radii, [float(found.confidence)] * len(points), "path")


def _zyx(xyz: Point, voxel_size_um: Sequence[float]) -> tuple[float, float, float]:
    z, y, x = (v / s - 0.5 for v, s in zip(xyz[::-1], voxel_size_um, strict=True))
    return z, y, x


def stack_record(volume: Volume) -> dict[str, Any]:
    """What the log of a session says of an image.

    Raises:
        UsageError: its voxel size is not known.
    """
    volume.require_axes()
    z, y, x = volume.voxel_size_um
    if z is None or y is None or x is None:
        volume.require_voxel_size()
        raise UsageError("a single plane of unknown thickness", file=volume.path, fix="give --voxel-size z,y,x")
    return {
        "name": volume.path.name,
        **({"scene": volume.scene} if volume.scene else {}),
        "size_zyx": list(volume.size_zyx),
        "voxel_size_um": [float(z), float(y), float(x)],
    }


def same_stack(known: Any, stack: dict[str, Any] | None, folder: Path) -> dict[str, Any] | None:
    """What the log of a session says of the image, where it is no other than the one that is open.

    Raises:
        InputError: it is another one, or what the log says is none.
    """
    if known is None:
        return stack
    try:
        size, steps = known["size_zyx"], known["voxel_size_um"]
        good = isinstance(known["name"], str) and len(size) == len(steps) == 3
        good = good and all(0 < v < math.inf for v in (*size, *steps))
    except (KeyError, TypeError):
        good = False
    if not good:
        raise InputError(
            "the log of the session is damaged",
            file=folder,
            expected="the name, size_zyx and voxel_size_um of an image",
            found=repr(known)[:120],
        )
    if stack is None:
        return dict(known)
    for what in ("size_zyx", "voxel_size_um"):
        if known.get(what) != stack[what]:
            raise InputError(
                "the session is of another image",
                file=folder,
                expected=f"{known.get('name')}: {what} {known.get(what)}",
                found=f"{stack['name']}: {what} {stack[what]}",
                fix="open the image that was traced, or another folder",
            )
    return dict(known)


def inside(stack: Mapping[str, Any] | None, xyz: Sequence[float]) -> Point:
    """A place, micrometre, that lies in the image.

    Raises:
        UsageError: it does not, or is no place.
    """
    point = edits.checked_point(xyz)
    if stack is not None:
        size = [n * s for n, s in zip(stack["size_zyx"], stack["voxel_size_um"], strict=True)][::-1]
        if not all(0 <= v <= n for v, n in zip(point, size, strict=True)):
            raise UsageError(
                "the point lies outside of the image",
                expected="x, y, z of 0 to " + ", ".join(f"{n:g}" for n in size) + " um",
                found=", ".join(f"{v:g}" for v in point),
            )
    return point
