"""Many tiles as one image that is put together as it is read: nothing is copied until somebody converts it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from neuropack.axes import Array, Box, box_shape, full_box, overlap, relative
from neuropack.errors import UsageError
from neuropack.process.mosaic_cells import Index, cells
from neuropack.process.mosaic_layout import Floats, Tile, offsets
from neuropack.process.tile_files import unit_of
from neuropack.volume import Volume

Blend = Literal["feather", "none"]
_AT_ONCE = 1 << 18  # voxels that are blended at a time: they stay in the processor's cache
_HELD = 8 << 20  # bytes of what several tiles show that are held at a time, or as many as the box has
_EPS = 1e-6  # voxels; less is rounding


def mosaic(
    tiles: Sequence[Tile],
    positions_um: Floats,
    *,
    blend: Blend = "feather",
    interpolate: bool = False,
    gains: Floats | None = None,
    darks: Floats | None = None,
) -> Volume:
    """One image of many tiles.

    A voxel that lies in one tile only has exactly that tile's value, unless gains or interpolation are asked for.
    In an overlap, ``feather`` takes the mean, weighted by the product of the distances to the tile's faces along z,
    y and x; ``none`` takes the tile in which the voxel lies deepest by that measure, its value untouched. Where no
    tile lies, the value is 0.

    Args:
        tiles: alike, as `layout` checks them.
        positions_um: (n, z y x) of the centres of their first voxels.
        blend: how overlaps become one.
        interpolate: False moves tiles by whole voxels, the nearest, so each lies up to half a voxel off along each
            axis and its noise stays as it is. True interpolates linearly between voxels, which places it exactly
            and smooths it; the outermost voxels of a tile, for which a neighbour is missing, are left out.
        gains, darks: (n, channels): a value v becomes gain v + dark, rounded into the image's range.

    Returns:
        a Volume whose `files` are those of all tiles; closing it closes the tiles.

    Raises:
        UsageError: the tiles hold labels, of which means would be taken.
    """
    first = tiles[0].volume
    if first.labels and (blend != "none" or interpolate or gains is not None or darks is not None):
        raise UsageError(
            "holds labels, of which no mean can be taken",
            file=first.path,
            expected="an image",
            fix="take labels as they are: --blend none, without --interpolate and --equalise",
        )
    exact = offsets(tiles, positions_um)
    at = exact if interpolate else np.floor(exact + 0.5)
    boxes = [_covered(p, tile.size.tolist()) for p, tile in zip(at, tiles, strict=True)]
    low = np.array([[s.start for s in box] for box in boxes]).min(axis=0)
    at = at - low
    boxes = [tuple(slice(s.start - int(k), s.stop - int(k)) for s, k in zip(b, low, strict=True)) for b in boxes]
    shape = tuple(max(box[axis].stop for box in boxes) for axis in range(3))
    z, y, x = (
        value if any(tile.volume.origin_um[axis] is not None for tile in tiles) else None
        for axis, value in enumerate(_origin(tiles, positions_um, at))
    )
    files = tuple(dict.fromkeys(tile.volume.path for tile in tiles))
    files = files if any(file.exists() for file in files) else ()  # images in memory have none
    settings = {
        "blend": blend,
        "interpolation": "linear" if interpolate else "none",
        "tiles": [
            {
                "tile": tile.name,
                "at_voxel": [round(float(v), 4) for v in p],
                **({} if gains is None else {"gain": np.round(gains[i], 6).tolist()}),
                **({} if darks is None else {"offset": np.round(darks[i], 4).tolist()}),
            }
            for i, (tile, p) in enumerate(zip(tiles, at, strict=True))
        ],
    }
    pixels = MosaicPixels(tiles, at, boxes, shape, blend, gains, darks)
    return replace(
        first,
        path=_folder(files) if files else first.path,
        format="mosaic",
        scene=None,
        native_axes=first.axes,
        native_shape=(*first.shape[:-3], *shape),
        pixels=pixels,
        origin_um=(z, y, x),
        acquired=min((t.volume.acquired for t in tiles if t.volume.acquired), default=None),
        levels=(),
        made_by={**first.made_by, "stitch": settings},
        files=files,
    )


def _covered(at: Floats, size: list[int]) -> Box:
    """Voxels of the mosaic that a tile has values for."""
    sides = []
    for p, n in zip(at.tolist(), size, strict=True):
        start = int(np.ceil(p - _EPS))
        sides.append(slice(start, max(start + 1, int(np.floor(p + n - 1 + _EPS)) + 1)))
    return tuple(sides)


def _origin(tiles: Sequence[Tile], positions_um: Floats, at: Floats) -> list[float]:
    """Of the first voxel: what rounding to voxels moves tiles by has no mean then."""
    found: list[float] = (positions_um - at * tiles[0].voxel_um).mean(axis=0).tolist()
    return found


def _folder(files: Sequence[Path]) -> Path:
    """What messages call the whole: the one file, or the folder that holds all."""
    if len(files) == 1:
        return files[0]
    try:
        return Path(os.path.commonpath([file.absolute().parent for file in files]))
    except ValueError:  # on several drives
        return files[0].absolute().parent


class MosaicPixels:
    """Pixels of `mosaic`, axes (t,) c, z, y, x. Any thread may read; a box reads only the tiles that it touches."""

    def __init__(
        self,
        tiles: Sequence[Tile],
        at: Floats,
        boxes: Sequence[Box],
        shape: tuple[int, ...],
        blend: Blend,
        gains: Floats | None,
        darks: Floats | None,
    ) -> None:
        self._tiles, self._at, self.boxes, self._shape = tuple(tiles), at, list(boxes), shape
        self._blend, self._gains, self._darks = blend, gains, darks
        self._dtype = tiles[0].volume.dtype
        self._float = np.dtype(np.float64 if self._dtype.itemsize > 2 else np.float32)  # holds 16 bits exactly
        self._index = Index(boxes)
        self._plain = gains is None and darks is None and not (at % 1 > _EPS).any()
        self.cheap_parts = all(tile.volume.cheap_parts for tile in tiles)

    @property
    def overhead_bytes(self) -> int:
        """That of the tiles, which those of `open_tiles` share, and what is blended at a time."""
        return max(tile.volume.overhead_bytes for tile in self._tiles) + (16 << 20)

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Read the tiles that a box touches, each once, and put them together."""
        out = np.empty(box_shape(box), self._dtype) if out is None else out
        lead, inner = box[:-3], box[-3:]
        parts = {i: overlap(self.boxes[i], inner) or inner for i in self._index.touching(inner)}
        if self._plain and len(parts) == 1 and next(iter(parts.values())) == inner:
            (i,) = parts
            self._tiles[i].volume.read((*lead, *relative(inner, self.boxes[i])), out)
            return out
        both = {
            i: {j: seen for j, other in parts.items() if j != i and (seen := overlap(part, other))}
            for i, part in parts.items()
        }
        if self._held(lead, parts, both) > max(_HELD, out.nbytes) and (halves := _halves(box)):
            for half in halves:  # dozens of tiles lie on one another: a stage that states one place for all
                self.read(half, out[relative(half, box)])
            return out
        apart = [*cells([*parts.values()])]
        numbers = [*parts]
        if sum(_voxels(cell) for cell, _ in apart) < _voxels(inner):
            out[...] = 0
        kept = {i: self._fill(out, i, lead, inner, parts[i], both[i]) for i in numbers}
        for cell, members in apart:
            if len(members) > 1:
                self._compose(out, inner, cell, [numbers[m] for m in members], kept, parts)
        return out

    def _held(self, lead: Box, parts: dict[int, Box], both: dict[int, dict[int, Box]]) -> int:
        """Bytes of what `_fill` gives of all tiles."""
        voxels = sum(min(_voxels(part), sum(map(_voxels, both[i].values()))) for i, part in parts.items())
        return voxels * math.prod(box_shape(lead)) * (self._dtype if self._plain else self._float).itemsize

    def _fill(self, out: Array, i: int, lead: Box, inner: Box, part: Box, both: dict[int, Box]) -> dict[int, Array]:
        """Read a tile straight into its place; a copy of what it has where others lie too, which overwrite it."""
        view = _inner(out, relative(part, inner))
        if self._plain:
            values = self._tiles[i].volume.read((*lead, *relative(part, self.boxes[i])), view)
        else:
            values = self._values(i, lead, part)
            view[...] = self._rounded(values)
        if sum(map(_voxels, both.values())) > _voxels(part):  # one copy for all then
            values = values.copy() if self._plain else values
            return {j: _inner(values, relative(box, part)) for j, box in both.items()}
        return {j: _inner(values, relative(box, part)).copy() for j, box in both.items()}

    def _values(self, i: int, lead: Box, part: Box) -> Array:
        """A tile's values in a box of the mosaic, moved by a part of a voxel and equalised, as floats."""
        tile = self._tiles[i]
        start = [s.start - p for s, p in zip(part, self._at[i].tolist(), strict=True)]
        first = [int(np.floor(s + _EPS)) for s in start]
        between = [max(0.0, s - f) if s - f > _EPS else 0.0 for s, f in zip(start, first, strict=True)]
        box = tuple(slice(f, f + s.stop - s.start + (b > 0)) for f, s, b in zip(first, part, between, strict=True))
        box = tuple(slice(s.start, min(s.stop, int(n))) for s, n in zip(box, tile.size, strict=True))
        values = tile.volume.read((*lead, *box)).astype(self._float)
        for axis, (share, side) in enumerate(zip(between, part, strict=True), -3):
            n = side.stop - side.start
            if share and values.shape[axis] > n:
                low, high = (_along(values, axis, k, n) for k in (0, 1))
                values = low + (high - low) * self._float.type(share)
        shape = [1] * (len(lead) - 1) + [-1, 1, 1, 1]
        if self._gains is not None:
            values *= self._gains[i][lead[-1]].astype(self._float).reshape(shape)
        if self._darks is not None:
            values += self._darks[i][lead[-1]].astype(self._float).reshape(shape)
        return values

    def _rounded(self, values: Array) -> Array:
        """As the image's dtype."""
        if values.dtype == self._dtype or self._dtype.kind == "f":
            return values.astype(self._dtype, copy=False)
        info: Any = np.iinfo(self._dtype)
        top = self._float.type(info.max)
        top = np.nextafter(top, self._float.type(0)) if int(top) > info.max else top  # of 64 bits
        return np.clip(np.floor(values + self._float.type(0.5)), info.min, top).astype(self._dtype)

    def _compose(
        self,
        out: Array,
        inner: Box,
        cell: Box,
        members: list[int],
        kept: dict[int, dict[int, Array]],
        parts: dict[int, Box],
    ) -> None:
        """Fill a cell in which the same tiles lie everywhere."""
        view = _inner(out, relative(cell, inner))
        sources = []  # values of each member, and the box that they fill: its overlap with one of the others
        for i in members:
            other = next(j for j in members if j != i)
            sources.append((kept[i][other], overlap(parts[i], parts[other]) or cell))
        rows = max(1, _AT_ONCE // max(1, view[..., 0, :, :].size))
        for first in range(cell[0].start, cell[0].stop, rows):
            small = (slice(first, min(first + rows, cell[0].stop)), *cell[1:])
            seen = [_inner(values, relative(small, box)) for values, box in sources]
            weights = [self._weight(i, small) for i in members]
            mix = self._deepest if self._blend == "none" else self._mean
            _inner(view, relative(small, cell))[...] = self._rounded(mix(seen, weights))

    def _weight(self, i: int, cell: Box) -> Array:
        """Product of the distances to the faces of a tile, in voxels; it hangs on the place alone."""
        total = np.ones((1, 1, 1), self._float)
        for axis, (side, whole) in enumerate(zip(cell, self.boxes[i], strict=True)):
            place = np.arange(side.start, side.stop)
            deep = np.minimum(place - whole.start + 1, whole.stop - place).astype(self._float)
            total = total * deep.reshape([-1 if axis == k else 1 for k in range(3)])
        return total

    def _mean(self, seen: list[Array], weights: list[Array]) -> Array:
        shape = np.broadcast_shapes(seen[0].shape, weights[0].shape)
        total, weight, finite = np.zeros(shape, self._float), np.zeros((1, 1, 1), self._float), True
        for one, w in zip(seen, weights, strict=True):
            if one.dtype.kind == "f" and not np.isfinite(one).all():  # no value: the other tiles have it
                w = np.where(np.isfinite(one), w, 0)  # noqa: PLW2901
                one = np.where(np.isfinite(one), one, 0)  # noqa: PLW2901
                finite = False
            total += one * w
            weight = weight + w
        if finite:
            return total / weight
        return np.divide(total, weight, out=np.full(shape, np.nan, self._float), where=weight > 0)

    def _deepest(self, seen: list[Array], weights: list[Array]) -> Array:
        best, deep = seen[0], weights[0]
        for one, w in zip(seen[1:], weights[1:], strict=True):
            best = np.where(w > deep, one, best)
            deep = np.maximum(w, deep)
        return best

    def native_blocks(self) -> Iterator[Box]:
        """As much of the depth as a raw block of a tile has, by cells that begin where tiles begin."""
        unit = unit_of(self._tiles[0].volume)
        rows, columns = (_cuts([box[axis] for box in self.boxes], self._shape[axis]) for axis in (1, 2))
        whole = full_box((*self._tiles[0].volume.shape[:-3], self._shape[0]))
        outer = (
            [slice(k, min(k + n, s.stop)) for k in range(0, s.stop, n)]
            for s, n in zip(whole, unit[:-2], strict=True)
        )
        for lead in product(*outer):
            for row, column in product(rows, columns):
                yield (*lead, row, column)

    def close(self) -> None:
        """Close the tiles."""
        for tile in self._tiles:
            tile.volume.close()


def _voxels(box: Box) -> int:
    return math.prod(box_shape(box))


def _halves(box: Box) -> tuple[Box, Box] | None:
    """A box cut in two along the first axis that can be: planes are cut last, for files hold them whole."""
    axis = next((k for k, s in enumerate(box) if s.stop - s.start > 1), None)
    if axis is None:
        return None
    side = box[axis]
    middle = (side.start + side.stop) // 2
    low, high = slice(side.start, middle), slice(middle, side.stop)
    return (*box[:axis], low, *box[axis + 1 :]), (*box[:axis], high, *box[axis + 1 :])


def _inner(values: Array, box: Box) -> Array:
    """A box along the last axes."""
    keys: Any = (..., *box)
    part: Array = values[keys]
    return part


def _along(values: Array, axis: int, start: int, n: int) -> Array:
    keys = [slice(None)] * values.ndim
    keys[axis] = slice(start, start + n)
    return values[tuple(keys)]


def _cuts(sides: Sequence[slice], end: int) -> list[slice]:
    """Intervals that begin where tiles begin; jitter of the stage cuts no slivers off."""
    apart = max(1, int(np.median([s.stop - s.start for s in sides])) // 2)
    cuts = [0]
    for start in sorted({s.start for s in sides}):
        if start - cuts[-1] >= apart:
            cuts.append(start)
    return [slice(a, b) for a, b in pairwise([*cuts, end])]
