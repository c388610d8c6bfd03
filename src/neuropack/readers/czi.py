"""Zeiss CZI: scenes, mosaics and every compression, decoded by Zeiss's own library.

A scene is a Volume. So is each view, phase, illumination, rotation or block of a file that has several of them:
nothing tells how they would become one image. Tiles of a mosaic are composed as libCZI does it, a later tile over
an earlier one; what no tile covers is 0. A plane without any tile is an error, not an image of zeros.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.axes import Array, Box, box_shape
from neuropack.errors import InputError
from neuropack.readers.czi_metadata import CziMetadata, read_metadata
from neuropack.readers.czi_segments import ZSTD1, Tile, decode_bgr48, read_stage, read_tiles, read_time_stamps
from neuropack.readers.problems import Original, damaged, reading
from neuropack.volume import Volume, VoxelSize

# Numbers of the specification; the others (complex, 32 and 64 bit integers, BGRA) have no decoder.
_PIXEL_TYPES = {0: "Gray8", 1: "Gray16", 2: "Gray32Float", 3: "Bgr24", 4: "Bgr48", 8: "Bgr96Float"}
_DTYPES = {"Gray8": "u1", "Gray16": "u2", "Gray32Float": "f4", "Bgr24": "u1", "Bgr48": "u2", "Bgr96Float": "f4"}
_COMPRESSIONS = {0, 1, 2, 4, 5, 6}  # none, JPEG, LZW, JPEG XR, zstd0, zstd1
_LIBRARY_BYTES = 64 * 2**20  # measured
_CACHE_BYTES = 32 * 2**20  # decoded tiles kept while a mosaic is read: neighbours share their overlaps

Plane = tuple[int, int, int]  # T, C, Z as numbered in the file


def sniff(head: bytes, path: Path) -> bool:
    """True for a CZI file."""
    return head.startswith(b"ZISRAWFILE\0")


@dataclass(frozen=True)
class _Scene:
    """The tiles that make one image, and the plane and pixel at which it starts."""

    index: int | None
    extra: dict[str, int]
    tiles: dict[Plane, list[Tile]]
    pixel_type: str
    origin: tuple[int, int, int, int, int]  # T, C, Z, Y, X
    shape: tuple[int, int, int, int, int]

    @property
    def mosaic(self) -> bool:
        return any(len(tiles) > 1 for tiles in self.tiles.values())

    @property
    def misread_by_libczi(self) -> bool:
        """True where libCZI gives wrong pixels (see `decode_bgr48`)."""
        return self.pixel_type == "Bgr48" and any(
            tile.compression == ZSTD1 for tiles in self.tiles.values() for tile in tiles
        )


def _pixel_type(path: Path, tiles: list[Tile]) -> str:
    """The one pixel type of an image.

    Raises:
        InputError: when its channels differ, or nothing decodes it.
    """
    found: dict[str, set[int]] = {}
    for tile in tiles:
        kind = _PIXEL_TYPES.get(tile.pixel_type, f"number {tile.pixel_type}")
        found.setdefault(kind, set()).add(tile.at.get("C", 0))
        if tile.compression not in _COMPRESSIONS:
            raise InputError(
                f"the compression number {tile.compression} of this CZI file has no decoder",
                file=path,
                fix='save it with another compression in ZEN ("Save As")',
            )
    if len(found) > 1:
        each = "; ".join(f"{kind}: channel {', '.join(map(str, sorted(c)))}" for kind, c in sorted(found.items()))
        raise InputError(
            "the channels of this CZI file have different pixel types",
            file=path,
            expected="one pixel type",
            found=each,
            fix='write the channels as files of their own in ZEN ("Create Image Subset")',
        )
    (kind,) = found
    if kind not in _DTYPES:
        raise InputError(
            f"pixels of the type {kind} have no decoder",
            file=path,
            expected=", ".join(_DTYPES),
            found=kind,
            fix='change the pixel type in ZEN ("Change Pixel Type")',
        )
    return kind


def _scenes(path: Path, tiles: list[Tile]) -> list[_Scene]:
    """Sort the tiles into images."""
    other = sorted({name for tile in tiles for name in tile.at} - set("CZTSM"))
    groups: dict[tuple[int | None, ...], list[Tile]] = {}
    for tile in tiles:
        key = (tile.at.get("S"), *(tile.at.get(name, 0) for name in other))
        groups.setdefault(key, []).append(tile)
    scenes = []
    for (index, *extra), members in sorted(groups.items(), key=lambda item: tuple(v or 0 for v in item[0])):
        planes: dict[Plane, list[Tile]] = {}
        for tile in members:
            planes.setdefault((tile.at.get("T", 0), tile.at.get("C", 0), tile.at.get("Z", 0)), []).append(tile)
        first = [min(values) for values in zip(*planes, strict=True)]
        last = [max(values) for values in zip(*planes, strict=True)]
        for axis, values, a, b in zip("TCZ", zip(*planes, strict=True), first, last, strict=True):
            if len(set(values)) <= b - a:
                raise damaged(
                    path, "CZI", f"{axis} runs from {a} to {b}, with planes at {len(set(values))} of them."
                )
        first += [min(tile.y for tile in members), min(tile.x for tile in members)]
        last += [
            max(tile.y + tile.height for tile in members) - 1,
            max(tile.x + tile.width for tile in members) - 1,
        ]
        t, c, z, y, x = (b - a + 1 for a, b in zip(first, last, strict=True))
        scenes.append(
            _Scene(
                index=index,
                extra={name: v or 0 for name, v in zip(other, extra, strict=True)},
                tiles=planes,
                pixel_type=_pixel_type(path, members),
                origin=(first[0], first[1], first[2], first[3], first[4]),
                shape=(t, c, z, y, x),
            )
        )
    return scenes


def _cuts(starts: set[int], sizes: list[int], end: int) -> list[slice]:
    """Intervals that begin where tiles begin; stage jitter does not cut slivers off."""
    apart = max(1, int(np.median(sizes)) // 2)
    cuts: list[int] = []
    for start in sorted(starts):
        if not cuts or start - cuts[-1] >= apart:
            cuts.append(start)
    return [slice(a, b) for a, b in pairwise([*cuts, end])]


class CziPixels:
    """The pixels of a scene, axes TCZYX or, in colour, TCZYXS.

    The file is opened with the first box. libCZI's reader is used by one thread at a time.
    """

    def __init__(self, original: Original, scene: _Scene) -> None:
        self._path, self._original, self._scene = original.path, original, scene
        self._dtype = np.dtype(_DTYPES[scene.pixel_type])
        self._colour = scene.pixel_type.startswith("Bgr")
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._document: Any = None

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Decode the tiles that a box touches."""
        if out is None:
            out = np.empty(box_shape(box), self._dtype)
        t0, c0, z0, y0, x0 = self._scene.origin
        rows, columns = box[3], box[4]
        roi = (x0 + columns.start, y0 + rows.start, columns.stop - columns.start, rows.stop - rows.start)
        for i, t in enumerate(range(box[0].start, box[0].stop)):
            for j, c in enumerate(range(box[1].start, box[1].stop)):
                for k, z in enumerate(range(box[2].start, box[2].stop)):
                    plane = self._plane((t0 + t, c0 + c, z0 + z), roi)
                    out[i, j, k] = plane[..., ::-1][..., box[5]] if self._colour else plane[..., 0]
        return out

    def _where(self, plane: Plane) -> str:
        t, c, z = plane
        scene = "" if self._scene.index is None else f"scene {self._scene.index}, "
        return f"{scene}plane T={t} C={c} Z={z}"

    def _tiles(self, plane: Plane) -> list[Tile]:
        tiles = self._scene.tiles.get(plane)
        if not tiles:
            raise damaged(self._path, "CZI", "The plane has no tile.", where=self._where(plane))
        return tiles

    def _plane(self, plane: Plane, roi: tuple[int, int, int, int]) -> Array:
        """A rectangle (x, y, width, height; as numbered in the file) of a plane: (Y, X, 1 or 3), blue first."""
        tiles = self._tiles(plane)
        where = self._where(plane)
        with self._original.unchanged(where), reading(self._path, "CZI", where):
            if self._scene.misread_by_libczi:
                return self._compose(tiles, roi)
            at = {"T": plane[0], "C": plane[1], "Z": plane[2], **self._scene.extra}
            with self._lock:
                pixels: Array = self._reader().read(
                    roi=roi, plane=at, scene=self._scene.index, pixel_type=self._scene.pixel_type
                )
            return pixels

    def _compose(self, tiles: list[Tile], roi: tuple[int, int, int, int]) -> Array:
        """What libCZI does, for the tiles that it decodes wrongly."""
        x, y, width, height = roi
        out = np.zeros((height, width, 3), self._dtype)
        for tile in sorted(tiles, key=lambda tile: tile.at.get("M", 0)):
            left, right = max(x, tile.x), min(x + width, tile.x + tile.width)
            top, bottom = max(y, tile.y), min(y + height, tile.y + tile.height)
            if left < right and top < bottom:
                part = decode_bgr48(self._path, tile)[
                    top - tile.y : bottom - tile.y, left - tile.x : right - tile.x
                ]
                out[top - y : bottom - y, left - x : right - x] = part
        return out

    def _reader(self) -> Any:
        if self._document is None:
            from pylibCZIrw import czi

            cache = None
            if self._scene.mosaic:
                cache = czi.CacheOptions(czi.CacheType.Standard, max_memory_usage=_CACHE_BYTES)
            self._document = self._stack.enter_context(czi.open_czi(str(self._path), cache_options=cache))
        return self._document

    @property
    def overhead_bytes(self) -> int:
        """libCZI, with a tile as it is stored, decoded and composed; of a mosaic also the tiles that it keeps."""
        tiles = (tile for members in self._scene.tiles.values() for tile in members)
        largest = max((tile.width * tile.height for tile in tiles), default=0) * self._dtype.itemsize
        return _LIBRARY_BYTES + 4 * largest + (_CACHE_BYTES if self._scene.mosaic else 0)

    def native_blocks(self) -> Iterator[Box]:
        """A block per tile, in the order of the tiles in the file; overlaps are cut where the next tile begins."""
        t0, c0, z0, y0, x0 = self._scene.origin
        nt, nc, nz, ny, nx = self._scene.shape
        if len(self._scene.tiles) < nt * nc * nz:  # a lost plane stops a conversion before it has begun
            for i in range(nt * nc * nz):
                t, c, z = (int(v) for v in np.unravel_index(i, (nt, nc, nz)))
                self._tiles((t0 + t, c0 + c, z0 + z))
        tiles = [tile for members in self._scene.tiles.values() for tile in members]
        rows = _cuts({tile.y - y0 for tile in tiles}, [tile.height for tile in tiles], ny)
        columns = _cuts({tile.x - x0 for tile in tiles}, [tile.width for tile in tiles], nx)
        row_starts, column_starts = [s.start for s in rows], [s.start for s in columns]
        position: dict[tuple[Plane, int, int], int] = {}
        for plane, members in self._scene.tiles.items():
            for tile in members:
                i = int(np.searchsorted(row_starts, tile.y - y0 + tile.height // 2, "right")) - 1
                j = int(np.searchsorted(column_starts, tile.x - x0 + tile.width // 2, "right")) - 1
                key = (plane, i, j)
                position[key] = min(tile.position, position.get(key, tile.position))
        latest = {plane: max(tile.position for tile in members) for plane, members in self._scene.tiles.items()}
        keys = product(sorted(self._scene.tiles), range(len(rows)), range(len(columns)))
        for (t, c, z), i, j in sorted(keys, key=lambda key: (position.get(key, latest[key[0]]), key)):
            box = (
                slice(t - t0, t - t0 + 1),
                slice(c - c0, c - c0 + 1),
                slice(z - z0, z - z0 + 1),
                rows[i],
                columns[j],
            )
            yield (*box, slice(0, 3)) if self._colour else box

    def close(self) -> None:
        """Close the file; a later box opens it again."""
        with self._lock:
            self._stack.close()
            self._document = None


def _times(path: Path, scene: _Scene, metadata: CziMetadata) -> tuple[float, ...] | None:
    """Seconds from the first time point, by the time stamps or else by the interval that the file states."""
    first, n = scene.origin[0], scene.shape[0]
    if n < 2:
        return None
    stamps = read_time_stamps(path)[first : first + n]
    if len(stamps) == n and all(a < b for a, b in pairwise(stamps)):
        return tuple(s - stamps[0] for s in stamps)
    return tuple(i * metadata.interval_s for i in range(n)) if metadata.interval_s else None


def _origin(path: Path, scene: _Scene, metadata: CziMetadata) -> VoxelSize:
    """Stage position of the first voxel, from the centre of the scene or of its first tile, and from the focus.

    Pixel and stage coordinates run in the same direction in ZEN's files (the tile's start times the pixel size is
    its stage position), and the centre is that of the scene's rectangle. A stack whose focus falls from plane to
    plane counts against z: its position has the opposite sign.
    """
    index = scene.index or 0
    lowest, highest = (ends(scene.tiles, key=lambda plane: plane[2]) for ends in (min, max))
    tile = scene.tiles[lowest][0]
    x, y, z = read_stage(path, tile)
    focus = read_stage(path, scene.tiles[highest][0])[2] if highest != lowest else None
    if z is None:
        z = metadata.scene_z_um.get(index)
    elif focus is not None and focus < z:
        z = -z
    height, width, top, left = tile.height, tile.width, scene.origin[3] - tile.y, scene.origin[4] - tile.x
    if index in metadata.scene_centres_um:
        x, y = metadata.scene_centres_um[index]
        (height, width), top, left = scene.shape[3:], 0, 0
    _, y_size, x_size = metadata.voxel_size_um
    corner = (
        z,
        None if y is None or y_size is None else y + (top - (height - 1) / 2) * y_size,
        None if x is None or x_size is None else x + (left - (width - 1) / 2) * x_size,
    )
    z, y, x = (um if um is not None and math.isfinite(um) else None for um in corner)
    return (z, y, x)


def _name(scene: _Scene, scenes: list[_Scene], metadata: CziMetadata) -> str | None:
    """Name of a scene where the file holds several images; its number where the file gives it no name."""
    if len(scenes) == 1:
        return None
    parts = []
    if len({s.index for s in scenes}) > 1:
        index = scene.index or 0
        parts.append(metadata.scene_names.get(index, str(index)))
    parts += [f"{name}{v}" for name, v in scene.extra.items() if len({s.extra[name] for s in scenes}) > 1]
    return " ".join(parts)


def open_file(path: Path) -> tuple[Volume, ...]:
    """One Volume per scene (and per view, phase, illumination, rotation where there are several).

    Raises:
        InputError: when the file is cut short or damaged, or its pixels cannot be decoded.
    """
    from pylibCZIrw import czi

    original = Original(path)
    with reading(path, "CZI"):
        tiles = read_tiles(path)
        with czi.open_czi(str(path)) as document:
            metadata = read_metadata(document.raw_metadata)
    if not tiles:
        raise damaged(path, "CZI", "It holds no image.")
    scenes = _scenes(path, tiles)
    volumes = []
    for scene in scenes:
        colour = scene.pixel_type.startswith("Bgr")
        with reading(path, "CZI"):
            times = _times(path, scene, metadata)
            origin_um = _origin(path, scene, metadata)
        channels = metadata.channels[scene.origin[1] :]
        volumes.append(
            Volume(
                path=path,
                format="CZI",
                scene=_name(scene, scenes, metadata),
                native_axes="TCZYXS" if colour else "TCZYX",
                native_shape=(*scene.shape, 3) if colour else scene.shape,
                dtype=np.dtype(_DTYPES[scene.pixel_type]),
                pixels=CziPixels(original, scene),
                voxel_size_um=metadata.voxel_size_um,
                channels=() if colour else channels,
                times_s=times,
                origin_um=origin_um,
                acquired=metadata.acquired,
                instrument=metadata.instrument,
            )
        )
    return tuple(volumes)
