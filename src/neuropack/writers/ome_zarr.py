"""OME-Zarr 0.5: sharded Zarr v3 with a pyramid, readable by any implementation of the specification."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.axes import Array, Box, box_shape, full_box
from neuropack.errors import UsageError
from neuropack.volume import Volume
from neuropack.writers.pyramid import LevelShape, downsample, plan_levels
from neuropack.writers.shards import COMPRESSOR, LEVEL, ShardedArray
from neuropack.writers.sink import Statistics

if TYPE_CHECKING:
    import zarr

VERSION = "0.5"
_UNIT = {
    "t": {"type": "time", "unit": "second"},
    "c": {"type": "channel"},
    "z": {"type": "space", "unit": "micrometer"},
    "y": {"type": "space", "unit": "micrometer"},
    "x": {"type": "space", "unit": "micrometer"},
}
# What a viewer gives channels without a colour, in order: green, magenta, cyan, yellow, red, blue.
_SLAB = 16  # planes or rows that a thread downsamples at a time; even
_SMALLEST_SHARD = 32  # along any axis, for a level that is made directly from blocks of level 0
_COLORS = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")


def chunk_zyx(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Inner chunk along z, y, x: near a quarter of a million voxels, cubes where the stack is deep enough."""
    depth = min(shape[0], 64)
    side = 64 if depth > 16 else 128 if depth > 4 else 256
    return depth, min(side, shape[1]), min(side, shape[2])


def shard_zyx(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Shard along z, y, x: up to 64 chunks (8 x 8 in plane, 4 x 4 where chunks are large), one file."""
    z, y, x = chunk_zyx(shape)
    side = 512 if z > 4 else 1024
    return z, min(-(-shape[1] // y), side // y or 1) * y, min(-(-shape[2] // x), side // x or 1) * x


@dataclass(frozen=True)
class Grid:
    """How a level is cut, along z, y, x. `direct`: its shards can be made from whole shards of level 0."""

    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    direct: bool


def plan_grids(levels: Sequence[LevelShape]) -> list[Grid]:
    """Chunks and shards of every level.

    The shards of the finer levels shrink with the voxels, so that a block of level 0 makes whole shards of each and
    nothing is read again. Further up, where shards would become small, levels are made from the level before.
    """
    first = shard_zyx(levels[0].shape)
    grids = [Grid(chunk_zyx(levels[0].shape), first, True)]
    for level in levels[1:]:
        chunk: tuple[int, ...] = chunk_zyx(level.shape)
        shard: list[int] = []
        for n, whole, s, c, f in zip(level.shape, levels[0].shape, first, chunk, level.factor, strict=True):
            if s >= whole:  # a block holds this axis whole
                shard.append(-(-n // c) * c)
            elif s % f == 0 and s // f >= _SMALLEST_SHARD and (s // f) % min(c, s // f) == 0:
                shard.append(s // f)
        if grids[-1].direct and len(shard) == len(level.shape):
            chunk = tuple(min(c, s) for c, s in zip(chunk, shard, strict=True))
            grids.append(Grid(chunk, tuple(shard), True))
        else:
            grids.append(Grid(chunk, shard_zyx(level.shape), False))
    return grids


class OmeZarrSink:
    """Writes one image. The axes written are those of the volume in lower case, without z for a planar image.

    Args:
        path: the folder to fill (a temporary name).
        volume: what is going to be written; its voxel size must be known.
        record: the conversion record kept in the attribute ``neuropack``.
        labels: True for a label image: axes zyx, levels by majority.
        resume: continue in a folder that an earlier run left.
        workers: threads that compress; None for one per processor.

    Raises:
        UsageError: a voxel size is missing.
    """

    def __init__(
        self,
        path: Path,
        volume: Volume,
        *,
        record: dict[str, Any],
        labels: bool = False,
        resume: bool = False,
        workers: int | None = None,
    ) -> None:
        volume.require_voxel_size()
        self.path, self.volume, self.record, self.labels = path, volume, record, labels
        self._drop = ("C" if labels else "") + ("Z" if volume.planar else "")
        if labels and (volume.n_channels != 1 or volume.dtype.kind not in "iu"):
            raise UsageError(
                "is not a label image",
                file=volume.path,
                expected="one channel of integers",
                found=f"{volume.n_channels} channel(s) of {volume.dtype}",
                fix="give a label image, or convert it as an intensity image",
            )
        self.axes = "".join(a for a in volume.axes if a not in self._drop)
        self._spacing = tuple(1.0 if v is None else v for v in volume.voxel_size_um)
        self.levels = plan_levels(volume.size_zyx, self._spacing)
        self._grids = plan_grids(self.levels)
        self.footprint = (1,) * (volume.ndim - 3) + self._grids[0].shard
        self._arrays = self._open() if resume else self._create()
        self._shards = [
            ShardedArray(path / str(i), a.shape, a.chunks, a.shards or a.chunks, volume.dtype)
            for i, a in enumerate(self._arrays)
        ]
        self._pool = ThreadPoolExecutor(workers or os.cpu_count() or 1, "neuropack-zarr")
        self._unsynced: list[Path] = []

    def _lead(self) -> tuple[int, ...]:
        """Lengths of the axes before z, y, x."""
        sizes = dict(zip(self.volume.axes, self.volume.shape, strict=True))
        return tuple(sizes[a] for a in self.axes if a in "TC")

    def _spatial(self, zyx: tuple[Any, ...]) -> tuple[Any, ...]:
        return zyx[1:] if "Z" in self._drop else zyx

    def _create(self) -> list[zarr.Array[Any]]:
        import zarr
        from zarr.codecs import BloscCodec, Crc32cCodec

        group = zarr.open_group(self.path, mode="w", zarr_format=3)
        ones = (1,) * len(self._lead())
        return [
            group.create_array(
                str(i),
                shape=self._lead() + self._spatial(level.shape),
                dtype=self.volume.dtype,
                chunks=ones + self._spatial(grid.chunk),
                shards=ones + self._spatial(grid.shard),
                # blosc is in the Zarr v3 core: a bare shuffle codec is not, and viewers lack it
                compressors=[BloscCodec(cname=COMPRESSOR, clevel=LEVEL, shuffle="shuffle"), Crc32cCodec()],
                fill_value=0,
                dimension_names=[a.lower() for a in self.axes],
            )
            for i, (level, grid) in enumerate(zip(self.levels, self._grids, strict=True))
        ]

    def _open(self) -> list[zarr.Array[Any]]:
        import zarr

        group = zarr.open_group(self.path, mode="r+", zarr_format=3)
        return [group[str(i)] for i in range(len(self.levels))]  # type: ignore[misc]

    def _select(self, box: Box) -> Box:
        return tuple(s for s, a in zip(box, self.volume.axes, strict=True) if a not in self._drop)

    def write(self, box: Box, block: Array) -> None:
        """Store a block of level 0, and what it makes of the finer of the other levels."""
        lead = len(self._lead())
        for i, (level, grid) in enumerate(zip(self.levels, self._grids, strict=True)):
            if not grid.direct:
                break
            if i:
                block = self._shrink(block, self._step(i))
            zyx = [slice(s.start // f, -(-s.stop // f)) for s, f in zip(box[-3:], level.factor, strict=True)]
            target = self._select(box)[:lead] + self._spatial(tuple(zyx))
            self._store(i, target, block.reshape(box_shape(target)))

    def _store(self, i: int, target: Box, block: Array) -> None:
        self._unsynced += self._shards[i].write(target, block, self._pool)

    def _step(self, i: int) -> tuple[int, int, int]:
        """How much smaller a level is than the one before, along z, y, x."""
        z, y, x = (b // a for a, b in zip(self.levels[i - 1].factor, self.levels[i].factor, strict=True))
        return z, y, x

    def _shrink(self, block: Array, step: tuple[int, int, int]) -> Array:
        """Downsample in threads, in slabs along z, or along y where there are few planes."""
        axis = block.ndim - 3 if block.shape[-3] >= _SLAB else block.ndim - 2
        slabs = [block[(slice(None),) * axis + (slice(a, a + _SLAB),)] for a in range(0, block.shape[axis], _SLAB)]
        parts = self._pool.map(lambda slab: downsample(slab, step, labels=self.labels), slabs)
        return np.concatenate(list(parts), axis=axis)

    def flush(self) -> None:
        """Bring the shards written since the last call to the disk, and their names."""
        files, self._unsynced = self._unsynced, []
        folders = sorted({f.parent for f in files})
        for _ in self._pool.map(_sync, [*files, *folders]):
            pass

    def finish(self, statistics: Sequence[Statistics]) -> None:
        """Make the coarser levels, each from the one before, and write the metadata last."""
        self.record = {**self.record, "statistics": [asdict(s) for s in statistics]}
        for i, grid in enumerate(self._grids):
            if not grid.direct:
                self._make(i)
        self.flush()
        attributes = {"ome": self.ome(), "neuropack": self.record}
        root = self.path / "zarr.json"
        node = json.loads(root.read_text(encoding="utf-8"))
        node["attributes"] = attributes
        temporary = root.with_suffix(".tmp")
        with temporary.open("w", encoding="utf-8", newline="\n") as out:
            json.dump(node, out, indent=2)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(root)

    def _make(self, i: int) -> None:
        """Make a level from the one before it, shard by shard."""
        lead, step = len(self._lead()), self._step(i)
        source, target = self._arrays[i - 1], self._shards[i]
        steps = (1,) * lead + self._spatial(step)
        for box in _tiles(target.shape, target.shard):
            wide = tuple(
                slice(s.start * k, min(s.stop * k, n)) for s, k, n in zip(box, steps, source.shape, strict=True)
            )
            fine = np.asarray(source[wide])
            if "Z" in self._drop:
                fine = fine.reshape(*fine.shape[:-2], 1, *fine.shape[-2:])
            self._store(i, box, self._shrink(fine, step).reshape(box_shape(box)))

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(cancel_futures=True)

    def ome(self) -> dict[str, Any]:
        """The ``ome`` attribute: multiscales with scale and translation per level, and omero or image-label."""
        name = self.path.name.split(".ome.zarr")[0]
        multiscale: dict[str, Any] = {
            "name": name,
            "axes": [{"name": a.lower(), **_UNIT[a.lower()]} for a in self.axes],
            "datasets": [
                {"path": str(i), "coordinateTransformations": self._transforms(level)}
                for i, level in enumerate(self.levels)
            ],
            "type": "majority" if self.labels else "mean",
            "metadata": {"method": "neuropack", "version": self.record.get("version")},
        }
        if "T" in self.axes and self.volume.times_s is None:
            # the file states no times: the axis counts frames, and no unit is invented
            multiscale["axes"][0].pop("unit")
        extra = {"image-label": self._image_label()} if self.labels else {"omero": self._omero(name)}
        return {"version": VERSION, "multiscales": [multiscale], **extra}

    def _transforms(self, level: LevelShape) -> list[dict[str, Any]]:
        lead = [self._frame_interval() if a == "T" else 1.0 for a in self.axes if a in "TC"]
        zyx = self._spatial(tuple(zip(self._spacing, level.factor, strict=True)))
        scale = lead + [s * f for s, f in zyx]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if any(f > 1 for f in level.factor):
            # the origin is the centre of the first voxel; a binned voxel's centre lies (f - 1) / 2 further in
            shift = [0.0] * len(lead) + [(f - 1) / 2 * s for s, f in zyx]
            transforms.append({"type": "translation", "translation": shift})
        return transforms

    def _frame_interval(self) -> float:
        times = self.volume.times_s
        return float(np.mean(np.diff(times))) if times is not None and len(times) > 1 else 1.0

    def _omero(self, name: str) -> dict[str, Any]:
        limits = _display_limits(self._arrays[-1], self.axes.index("C"))
        kind = np.iinfo(self.volume.dtype) if self.volume.dtype.kind in "iu" else None
        channels = [
            {
                "label": c.name or f"channel_{i}",
                "color": c.color or _COLORS[i % len(_COLORS)],
                "active": True,
                "family": "linear",
                "coefficient": 1,
                "inverted": False,
                "window": {
                    "min": float(kind.min) if kind else low,
                    "max": float(kind.max) if kind else high,
                    "start": low,
                    "end": high,
                },
            }
            for i, (c, (low, high)) in enumerate(zip(self.volume.channels, limits, strict=True))
        ]
        rdefs = {"defaultT": 0, "defaultZ": self.volume.size_zyx[0] // 2, "model": "color"}
        return {"version": VERSION, "name": name, "rdefs": rdefs, "channels": channels}

    def _image_label(self) -> dict[str, Any]:
        """Colours by the golden angle, so that neighbouring labels differ; from the labels that are there."""
        import colorsys

        values: set[int] = set()
        for box in _tiles(self._arrays[0].shape, self._arrays[0].shards or self._arrays[0].chunks):
            values |= set(np.unique(np.asarray(self._arrays[0][box])).tolist())
        colors = []
        for value in sorted(values - {0}):
            rgb = colorsys.hsv_to_rgb(value * 0.618033988749895 % 1, 0.75, 1.0)
            colors.append({"label-value": value, "rgba": [*(round(255 * v) for v in rgb), 255]})
        return {"version": VERSION, "colors": colors}


def _sync(path: Path) -> None:
    """See a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name != "posix":
        return  # Windows cannot open a folder
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _tiles(shape: tuple[int, ...], step: tuple[int, ...]) -> Iterator[Box]:
    starts = (range(0, n, s) for n, s in zip(shape, step, strict=True))
    for corner in product(*starts):
        yield tuple(slice(c, min(c + s, n)) for c, s, n in zip(corner, step, shape, strict=True))


def _display_limits(array: zarr.Array[Any], c_axis: int) -> list[tuple[float, float]]:
    """Per channel the 1st and 99.9th percentile of the coarsest level, where a display window may start and end."""
    limits = []
    for c in range(array.shape[c_axis]):
        box = list(full_box(array.shape))
        box[c_axis] = slice(c, c + 1)
        # the coarsest level is small in plane; a very deep stack is thinned out along z
        depth = array.ndim - 3
        if depth > c_axis:
            box[depth] = slice(0, array.shape[depth], max(1, array.shape[depth] // 64))
        values = np.asarray(array[tuple(box)])
        values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        low, high = np.percentile(values, [1, 99.9]) if values.size else (0.0, 1.0)
        limits.append((float(low), float(max(high, low + 1))))
    return limits


def read_record(path: Path) -> dict[str, Any] | None:
    """The conversion record of an OME-Zarr that neuropack wrote, None where it is not one."""
    try:
        record = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]["neuropack"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if isinstance(record, dict) else None
