"""Tiles of one specimen: which image lies where by the stage, or by a table, before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, UsageError
from neuropack.table import TypedTable, read_table
from neuropack.volume import Volume, VoxelSize

Um = tuple[float, float, float]
Floats = npt.NDArray[np.float64]
_SAME = 1e-3  # voxel sizes that differ by less are the same: formats round them
_AXES = ("z", "y", "x")
_MANY = 10_000  # tiles; every one of them is looked at for each pair


@dataclass(frozen=True, eq=False)
class Tile:
    """An image and its place.

    Attributes:
        volume: the image.
        origin_um: nominal position (z, y, x) of the centre of its first voxel, micrometre.
        name: how tables and messages call it; no other tile has it.
    """

    volume: Volume
    origin_um: Um
    name: str

    @property
    def voxel_um(self) -> Floats:
        """Its voxel size (z, y, x); 1 along z for a single plane whose thickness nobody stated."""
        return np.array([size or 1.0 for size in self.volume.voxel_size_um], np.float64)

    @property
    def size(self) -> npt.NDArray[np.int64]:
        """Its voxels along z, y, x."""
        return np.array(self.volume.size_zyx, np.int64)


@dataclass(frozen=True)
class Place:
    """A row of a table of positions: either a position or a cell of a grid.

    Attributes:
        file: as the table names it, from the table's folder on.
        scene: of the image, where its file holds several.
        origin_um: (z, y, x) of the first voxel's centre; a z of None is not stated, and 0 in all.
        cell: (row, column), counted from any number.
        line: of the table.
    """

    file: Path
    scene: str | None
    origin_um: VoxelSize | None
    cell: tuple[int, int] | None
    line: int


def read_places(path: Path) -> tuple[Place, ...]:
    """Read a table of positions, CSV or TSV, with the columns ``file``, if need be ``scene``, and either ``z_um``
    (or none in all), ``y_um`` and ``x_um`` or ``row`` and ``column``.

    Raises:
        InputError: it cannot be read, or is no such table.
    """
    table = read_table(path)
    header = [word.strip() for word in table.header]
    on_grid = table.has("row", "column") and not table.has("y_um", "x_um")
    names = ("row", "column") if on_grid else ("z_um", "y_um", "x_um")[0 if table.has("z_um") else 1 :]
    values = table.numbers(*names)
    if "file" not in header:
        raise InputError(
            "has no column file",
            file=path,
            where="line 1",
            expected="file and z_um, y_um, x_um, or file and row, column",
            found=", ".join(header)[:200] or "an empty file",
        )
    if not len(values):
        raise InputError("names no tile", file=path, expected="a row for each tile", found="a header alone")
    at, scene_at = header.index("file"), header.index("scene") if "scene" in header else None
    places = []
    for (line, row), numbers in zip(table.rows, values.tolist(), strict=True):
        file = row[at].strip() if at < len(row) else ""
        if not file:
            raise InputError("a row names no file", file=path, where=f"line {line}")
        scene = row[scene_at].strip() if scene_at is not None and scene_at < len(row) else ""
        cell = _cell(table, line, numbers) if on_grid else None
        z, y, x = numbers if len(numbers) == 3 else (None, *numbers)
        places.append(Place(path.parent / file, scene or None, None if on_grid else (z, y, x), cell, line))
    return tuple(places)


def _cell(table: TypedTable, line: int, numbers: list[float]) -> tuple[int, int]:
    row, column = numbers
    if row != int(row) or column != int(column):
        raise InputError(
            "a cell of the grid is no whole number",
            file=table.path,
            where=f"line {line}",
            found=f"row {row:g}, column {column:g}",
        )
    return int(row), int(column)


def layout(
    volumes: Sequence[Volume],
    places: Sequence[Place] | None = None,
    overlap: float | None = None,
    *,
    flip: str = "",
) -> tuple[Tile, ...]:
    """Put images at their nominal positions.

    Args:
        volumes: the images; with `places` one for each of them, in their order.
        places: where they lie; None: where the files say that the stage was.
        overlap: of neighbours on a grid, as a part of a tile: 0.1 for ten per cent.
        flip: axes, letters of zyx, that the positions count against the images; row and column are y and x.

    Returns:
        the tiles in the order given. A z that no file states is 0 in all of them.

    Raises:
        UsageError: a position or a voxel size is known for none, an image is there twice, or no such axis is.
        InputError: images differ in what one image has once.
    """
    if not volumes:
        raise UsageError("there is no tile to put anywhere", fix="name the files of the tiles")
    if len(volumes) > _MANY:
        raise UsageError("are too many tiles", expected=f"at most {_MANY}", found=str(len(volumes)))
    for volume in volumes:
        volume.require_axes()
        volume.require_voxel_size()
    _check_alike(volumes)
    _check_once(volumes)
    if len(set(flip)) < len(flip) or not set(flip) <= set(_AXES):
        raise UsageError("are no axes to flip", expected="letters of zyx, each once", found=flip)
    if places is None:
        origins = _from_stage(volumes)
    elif places[0].cell is not None:
        origins = _from_grid(volumes, places, overlap)
        volumes = [replace(v, origin_um=(None, None, None)) for v in volumes]  # a grid is nowhere on the stage
    else:
        stated = [place.origin_um or (None, None, None) for place in places]
        volumes = [_stated(v, um) for v, um in zip(volumes, stated, strict=True)]
        origins = [(z or 0.0, y or 0.0, x or 0.0) for z, y, x in stated]
    if any(volume.planar for volume in volumes):  # planes of no thickness lie in one plane
        origins = [(origins[0][0], y, x) for _, y, x in origins]
    for axis in map(_AXES.index, flip):
        volumes, origins = _flipped(volumes, origins, axis)
    names = _names(volumes)
    return tuple(Tile(v, o, n) for v, o, n in zip(volumes, origins, names, strict=True))


def _stated(volume: Volume, origin_um: VoxelSize) -> Volume:
    """The same image where the table says that it lies."""
    known = {f"origin_um.{axis}" for axis, um in zip(_AXES, origin_um, strict=True) if um is not None}
    return replace(volume, origin_um=origin_um, user=volume.user | known)


def _flipped(volumes: Sequence[Volume], origins: Sequence[Um], axis: int) -> tuple[list[Volume], list[Um]]:
    """Images at positions that count an axis the other way round: the centre of each at the opposite place."""
    told, found = [], []
    for volume, origin in zip(volumes, origins, strict=True):
        um = list(origin)
        um[axis] = 0.0 - um[axis] - (volume.size_zyx[axis] - 1) * (volume.voxel_size_um[axis] or 1.0)
        found.append((um[0], um[1], um[2]))
        known: list[float | None] = list(volume.origin_um)
        known[axis] = None if known[axis] is None else um[axis]
        said = set() if known[axis] is None else {f"origin_um.{_AXES[axis]}"}
        told.append(replace(volume, origin_um=(known[0], known[1], known[2]), user=volume.user | said))
    return told, found


def _check_alike(volumes: Sequence[Volume]) -> None:
    first = volumes[0]
    for other in volumes[1:]:
        facts: Mapping[str, tuple[object, object]] = {
            "dtype": (first.dtype, other.dtype),
            "number of channels": (first.n_channels, other.n_channels),
            "number of times": (first.n_times, other.n_times),
        }
        unlike = next((name for name, (one, two) in facts.items() if one != two), None)
        shown = facts[unlike] if unlike else None
        sizes = [np.array([s or 1.0 for s in v.voxel_size_um]) for v in (first, other)]
        if (np.abs(sizes[0] - sizes[1]) > _SAME * sizes[0]).any():
            unlike, shown = "voxel size", (_listed(first.voxel_size_um), _listed(other.voxel_size_um))
        names = [[c.name or "" for c in v.channels] for v in (first, other)]
        if unlike is None and names[0] != names[1] and all(map(all, names)):
            unlike, shown = "channels", (", ".join(names[0]), ", ".join(names[1]))
        if unlike and shown:
            raise InputError(
                f"has another {unlike} than the first tile",
                file=other.path,
                where=other.scene,
                expected=f"{shown[0]} as {first.path.name}",
                found=str(shown[1]),
                fix="stitch only tiles that were taken in the same way",
            )


def _check_once(volumes: Sequence[Volume]) -> None:
    seen: set[tuple[Path, str | None]] = set()
    for volume in volumes:
        key = (volume.path.absolute(), volume.scene)
        if key in seen and volume.format not in ("array", "simulated"):
            raise UsageError("is there twice", file=volume.path, where=volume.scene, fix="name each tile once")
        seen.add(key)


def _from_stage(volumes: Sequence[Volume]) -> list[Um]:
    alone, no_z = len(volumes) == 1, all(v.origin_um[0] is None for v in volumes)
    origins: list[Um] = []
    for volume in volumes:
        z, y, x = (0.0 if um is None and alone else um for um in volume.origin_um)
        z = 0.0 if no_z else z
        if z is None or y is None or x is None:
            lacking = [a for a, v in zip(_AXES, (z, y, x), strict=True) if v is None]
            raise UsageError(
                f"the file does not state where the stage was along {', '.join(lacking)}",
                file=volume.path,
                where=volume.scene,
                expected="a position for each tile",
                fix="give a table of positions (file, z_um, y_um, x_um, or file, row, column) with --positions",
            )
        origins.append((z, y, x))
    return origins


def _from_grid(volumes: Sequence[Volume], places: Sequence[Place], overlap: float | None) -> list[Um]:
    if overlap is None or not 0 <= overlap < 1:
        raise UsageError(
            "the overlap of neighbours on the grid is not known",
            expected="a part of a tile, such as 0.1 for ten per cent",
            found="nothing" if overlap is None else f"{overlap:g}",
            fix="give it with --overlap, or positions in micrometre",
        )
    if len({v.size_zyx for v in volumes}) > 1:
        sizes = ", ".join(sorted({_listed(v.size_zyx) for v in volumes}))
        raise UsageError(
            "tiles of a grid have one size", found=sizes, fix="give positions in micrometre (z_um, y_um, x_um)"
        )
    taken: dict[tuple[int, int], Place] = {}
    origins = []
    for volume, place in zip(volumes, places, strict=True):
        cell = place.cell or (0, 0)
        if cell in taken:
            raise InputError(
                "two tiles lie in one cell of the grid",
                file=place.file,
                where=f"row {cell[0]}, column {cell[1]}",
                found=f"{taken[cell].file.name} is there",
            )
        taken[cell] = place
        step = [n * (s or 1.0) * (1 - overlap) for n, s in zip(volume.size_zyx, volume.voxel_size_um, strict=True)]
        origins.append((0.0, cell[0] * step[1], cell[1] * step[2]))
    return origins


def _names(volumes: Sequence[Volume]) -> list[str]:
    """A short name of its own for each: the file's, with as many folders as it takes, and the scene."""
    for folders in range(1, 1 + max(len(v.path.absolute().parts) for v in volumes)):
        names = ["/".join(v.path.absolute().parts[-folders:]) for v in volumes]
        names = [f"{n} [{v.scene}]" if v.scene is not None else n for n, v in zip(names, volumes, strict=True)]
        if len(set(names)) == len(names):
            return names
    return [f"{n} ({i})" for i, n in enumerate(names)]  # images in memory


def _listed(values: Sequence[object]) -> str:
    return " x ".join(f"{v:g}" if isinstance(v, int | float) else "?" for v in values)


def offsets(tiles: Sequence[Tile], positions_um: Floats) -> Floats:
    """Positions (n, z y x) of the first voxels in voxels, from the corner that holds all of them (0 or more)."""
    voxels = positions_um / tiles[0].voxel_um
    found: Floats = voxels - np.floor(voxels.min(axis=0) + 0.5)
    return found


def nominal(tiles: Sequence[Tile]) -> Floats:
    """The nominal positions (n, z y x), micrometre."""
    found = np.array([tile.origin_um for tile in tiles], np.float64)
    if not all(math.isfinite(v) for v in found.ravel()):
        raise InputError("a position is no number", file=tiles[0].volume.path)
    return found
