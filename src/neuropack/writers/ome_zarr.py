"""OME-Zarr 0.5: sharded Zarr v3 with a pyramid, readable by any implementation of the specification."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.axes import Array, Box, box_shape, full_box
from neuropack.errors import UsageError
from neuropack.volume import Volume
from neuropack.writers.pyramid import LevelShape, downsample, plan_levels
from neuropack.writers.shards import Codec, ShardedArray
from neuropack.writers.sink import Findings, Part
from neuropack.writers.store import Store

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


def shard_zyx(shape: tuple[int, ...], chunk: tuple[int, int, int]) -> tuple[int, int, int]:
    """Shard along z, y, x: up to 64 chunks (8 x 8 in plane, 4 x 4 where chunks are large), one file."""
    z, y, x = chunk
    side = 512 if z > 4 else 1024
    return z, min(-(-shape[1] // y), side // y or 1) * y, min(-(-shape[2] // x), side // x or 1) * x


@dataclass(frozen=True)
class Grid:
    """How a level is cut, along z, y, x. `direct`: its shards can be made from whole shards of level 0."""

    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    direct: bool


def plan_grids(levels: Sequence[LevelShape], wanted: tuple[int, int, int] | None = None) -> list[Grid]:
    """Chunks and shards of every level; chunks as wanted, where that is said and the level is large enough.

    The shards of the finer levels shrink with the voxels, so that a block of level 0 makes whole shards of each and
    nothing is read again. Further up, where shards would become small, levels are made from the level before.
    """

    def chunk_of(shape: tuple[int, ...]) -> tuple[int, int, int]:
        z, y, x = map(min, wanted, shape) if wanted else chunk_zyx(shape)
        return z, y, x

    first = shard_zyx(levels[0].shape, chunk_of(levels[0].shape))
    grids = [Grid(chunk_of(levels[0].shape), first, True)]
    for level in levels[1:]:
        whole_chunk = chunk_of(level.shape)
        chunk: tuple[int, ...] = whole_chunk
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
            grids.append(Grid(whole_chunk, shard_zyx(level.shape, whole_chunk), False))
    return grids


@dataclass(frozen=True)
class OmeZarrEncoder:
    """Turns a block of level 0 into shards of level 0 and of the levels that can be made from it.

    Attributes:
        store: where the shards go.
        axes: of the volume.
        drop: those of them that the output does not have.
        lead: lengths of the axes in front of z, y, x that it has.
        levels, grids: the pyramid and how it is cut.
        dtype: of the pixels.
        labels: True for labels.
        codec: of the chunks.
        digests: True to take the SHA-256 of every shard.
    """

    store: Store
    axes: str
    drop: str
    lead: tuple[int, ...]
    levels: tuple[LevelShape, ...]
    grids: tuple[Grid, ...]
    dtype: np.dtype[Any]
    labels: bool
    codec: Codec
    digests: bool

    @property
    def footprint(self) -> tuple[int, ...]:
        """Whole shards of level 0, and so of the levels made from it."""
        return (1,) * (len(self.axes) - 3) + self.grids[0].shard

    @cached_property
    def arrays(self) -> tuple[ShardedArray, ...]:
        """The arrays of the levels."""
        ones = (1,) * len(self.lead)
        return tuple(
            ShardedArray(
                self.store,
                str(i),
                self.lead + self.spatial(level.shape),
                ones + self.spatial(grid.chunk),
                ones + self.spatial(grid.shard),
                self.dtype,
                self.codec,
                self.digests,
            )
            for i, (level, grid) in enumerate(zip(self.levels, self.grids, strict=True))
        )

    def spatial(self, zyx: tuple[Any, ...]) -> tuple[Any, ...]:
        """What the output has of three values along z, y, x."""
        return zyx[1:] if "Z" in self.drop else zyx

    def encode(self, box: Box, block: Array, pool: Executor | None) -> Part:
        """Store a block of level 0, and what it makes of the finer of the other levels."""
        lead = tuple(s for s, a in zip(box, self.axes, strict=True) if a not in self.drop)[: len(self.lead)]
        files: dict[str, tuple[int, str]] = {}
        for i, (level, grid, array) in enumerate(zip(self.levels, self.grids, self.arrays, strict=True)):
            if not grid.direct:
                break
            if i:
                block = self.shrink(block, i, pool)
            zyx = [slice(s.start // f, -(-s.stop // f)) for s, f in zip(box[-3:], level.factor, strict=True)]
            target = lead + self.spatial(tuple(zyx))
            files |= array.write(target, block.reshape(box_shape(target)), pool)
        self.store.sync(files)
        return Part(files)

    def shrink(self, block: Array, i: int, pool: Executor | None) -> Array:
        """Make a block of level `i` from one of the level before."""
        z, y, x = (b // a for a, b in zip(self.levels[i - 1].factor, self.levels[i].factor, strict=True))
        if pool is None:
            return downsample(block, (z, y, x), labels=self.labels)
        axis = block.ndim - 3 if block.shape[-3] >= _SLAB else block.ndim - 2
        slabs = [block[(slice(None),) * axis + (slice(a, a + _SLAB),)] for a in range(0, block.shape[axis], _SLAB)]
        parts = pool.map(lambda slab: downsample(slab, (z, y, x), labels=self.labels), slabs)
        return np.concatenate(list(parts), axis=axis)


@dataclass(frozen=True)
class Options:
    """How an OME-Zarr is stored.

    Attributes:
        codec: of the chunks.
        chunk: lengths along z, y, x; None for what suits the image.
    """

    codec: Codec = field(default_factory=Codec)
    chunk: tuple[int, int, int] | None = None


class OmeZarrSink:
    """Writes one image. The axes written are those of the volume in lower case, without z for a planar image.

    Args:
        store: the place to fill (a folder of a temporary name, or a bucket).
        name: of the image.
        volume: what is going to be written; its voxel size must be known.
        record: the conversion record kept in the attribute ``neuropack``.
        labels: True for a label image: axes zyx, levels by majority.
        options: codec and chunks.
        digests: True to take the SHA-256 of every file.
        resume: continue in a place that an earlier run left.

    Raises:
        UsageError: a voxel size is missing.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        volume: Volume,
        *,
        record: dict[str, Any],
        labels: bool = False,
        options: Options | None = None,
        digests: bool = False,
        resume: bool = False,
    ) -> None:
        volume.require_voxel_size()
        self.volume, self.record, self.labels, self._name = volume, record, labels, name
        if labels and (volume.n_channels != 1 or volume.dtype.kind not in "iu"):
            raise UsageError(
                "is not a label image",
                file=volume.path,
                expected="one channel of integers",
                found=f"{volume.n_channels} channel(s) of {volume.dtype}",
                fix="give a label image, or convert it as an intensity image",
            )
        drop = ("C" if labels else "") + ("Z" if volume.planar else "")
        self.axes = "".join(a for a in volume.axes if a not in drop)
        self._spacing = tuple(1.0 if v is None else v for v in volume.voxel_size_um)
        self.levels = plan_levels(volume.size_zyx, self._spacing)
        sizes = dict(zip(volume.axes, volume.shape, strict=True))
        options = options or Options()
        self.encoder = OmeZarrEncoder(
            store,
            volume.axes,
            drop,
            tuple(sizes[a] for a in self.axes if a in "TC"),
            tuple(self.levels),
            tuple(plan_grids(self.levels, options.chunk)),
            volume.dtype,
            labels,
            options.codec,
            digests,
        )
        self.files: dict[str, tuple[int, str]] = {}
        self._arrays = self._open() if resume else self._create()

    def _create(self) -> list[zarr.Array[Any]]:
        import zarr
        from zarr.codecs import BloscCname, BloscCodec, BloscShuffle, Crc32cCodec

        encoder = self.encoder
        codec = BloscCodec(
            cname=BloscCname(encoder.codec.name),
            clevel=encoder.codec.level,
            shuffle=BloscShuffle(encoder.codec.mode),
        )
        return [
            zarr.create_array(
                encoder.store.zarr(),
                name=array.name,
                shape=array.shape,
                dtype=array.dtype,
                chunks=array.chunk,
                shards=array.shard,
                # blosc is in the Zarr v3 core: a bare shuffle codec is not, and viewers lack it
                compressors=[codec, Crc32cCodec()],
                fill_value=0,
                dimension_names=[a.lower() for a in self.axes],
                zarr_format=3,
            )
            for array in encoder.arrays
        ]

    def _open(self) -> list[zarr.Array[Any]]:
        import zarr

        store = self.encoder.store.zarr()
        return [zarr.open_array(store, path=array.name, mode="r") for array in self.encoder.arrays]

    def commit(self, part: Part) -> None:
        """The shards are in place already."""

    def flush(self) -> None:
        """The shards are on the disk already."""

    def finish(self, findings: Findings) -> None:
        """Make the coarser levels, each from the one before, and write the metadata last."""
        self.record = {**self.record, "statistics": [s.to_json() for s in findings.statistics]}
        if findings.missing:
            self.record["missing"] = [{"box": m.box, "reason": m.reason} for m in findings.missing]
        with ThreadPoolExecutor(os.cpu_count() or 1, "neuropack-zarr") as pool:
            for i, grid in enumerate(self.encoder.grids):
                if not grid.direct:
                    self._make(i, pool)
        store = self.encoder.store
        names = [f"{array.name}/zarr.json" for array in self.encoder.arrays]
        store.sync(names)
        node = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": self.ome(), "neuropack": self.record}}
        store.write("zarr.json", [json.dumps(node, indent=2).encode()])
        store.sync(["zarr.json"])
        if self.encoder.digests:
            for name in (*names, "zarr.json"):
                data = store.read(name) or b""
                self.files[name] = len(data), hashlib.sha256(data).hexdigest()

    def _make(self, i: int, pool: Executor) -> None:
        """Make a level from the one before it, shard by shard, a row of chunks at a time."""
        encoder = self.encoder
        source, target = self._arrays[i - 1], encoder.arrays[i]
        step = tuple(b // a for a, b in zip(self.levels[i - 1].factor, self.levels[i].factor, strict=True))
        steps = (1,) * len(encoder.lead) + encoder.spatial(step)
        files: dict[str, tuple[int, str]] = {}
        for box in _tiles(target.shape, target.shard):
            made = np.empty(box_shape(box), encoder.dtype)
            wide = [
                slice(s.start * k, min(s.stop * k, n)) for s, k, n in zip(box, steps, source.shape, strict=True)
            ]
            last, k = wide[-2].stop, steps[-2]
            rows = max(1, source.chunks[-2] // k)  # whole chunks of the source, so that none is decoded twice
            for first in range(0, made.shape[-2], rows):
                begin = box[-2].start * k + first * k
                wide[-2] = slice(begin, min(begin + rows * k, last))
                fine = np.asarray(source[tuple(wide)])
                if "Z" in encoder.drop:
                    fine = fine.reshape(*fine.shape[:-2], 1, *fine.shape[-2:])
                part = made[..., first : first + rows, :]
                part[...] = encoder.shrink(fine, i, pool).reshape(part.shape)
            files |= target.write(box, made, pool)
        encoder.store.sync(files)
        self.files |= files

    def close(self) -> None:
        """Nothing is open."""

    def ome(self) -> dict[str, Any]:
        """The ``ome`` attribute: multiscales with scale and translation per level, and omero or image-label."""
        name = self._name
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
        zyx = self.encoder.spatial(tuple(zip(self._spacing, level.factor, strict=True)))
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
