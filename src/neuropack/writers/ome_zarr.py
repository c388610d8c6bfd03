"""OME-Zarr 0.5: sharded Zarr v3 with a pyramid, readable by any implementation of the specification."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.axes import Array, Box, box_shape
from neuropack.errors import UsageError
from neuropack.volume import Volume
from neuropack.writers.pyramid import LevelShape, downsample, plan_levels
from neuropack.writers.shards import Codec, ShardedArray
from neuropack.writers.sink import Findings, Part
from neuropack.writers.store import Store
from neuropack.writers.summaries import LABEL_VALUES, PROJECTIONS, distinct, label_value_files, projection_files
from neuropack.writers.survey import Statistics

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
_MOST_COLORS = 10_000  # of labels; a root of many megabytes would be slow to open
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

    @property
    def overhead(self) -> int:
        """zarr-python, and what writing past the cache and the last levels take."""
        return 32 << 20

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
        labels = distinct(block) if self.labels else None
        for i, (level, grid, array) in enumerate(zip(self.levels, self.grids, self.arrays, strict=True)):
            if not grid.direct:
                break
            if i:
                block = self.shrink(block, i, pool)
            zyx = [slice(s.start // f, -(-s.stop // f)) for s, f in zip(box[-3:], level.factor, strict=True)]
            target = lead + self.spatial(tuple(zyx))
            files |= array.write(target, block.reshape(box_shape(target)), pool)
        self.store.sync(files)
        return Part(files, labels=labels)

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
        from zarr.codecs import Crc32cCodec

        encoder = self.encoder
        return [
            zarr.create_array(
                encoder.store.zarr(),
                name=array.name,
                shape=array.shape,
                dtype=array.dtype,
                chunks=array.chunk,
                shards=array.shard,
                # blosc is in the Zarr v3 core: a bare shuffle codec is not, and viewers lack it
                compressors=[encoder.codec.zarr(), Crc32cCodec()],
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
        """Make the coarser levels, each from the one before; store what was learned; write the metadata last."""
        self.record = {**self.record, **findings.to_json()}
        with ThreadPoolExecutor(os.cpu_count() or 1, "neuropack-zarr") as pool:
            for i, grid in enumerate(self.encoder.grids):
                if not grid.direct:
                    self._make(i, pool)
        store = self.encoder.store
        written = {f"{a.name}/zarr.json": store.read(f"{a.name}/zarr.json") or b"" for a in self.encoder.arrays}
        if findings.labels is not None:
            written |= self._store(label_value_files(findings.labels, self.encoder.codec), LABEL_VALUES)
        elif findings.projections is not None:
            written |= self._store(projection_files(findings.projections, self.encoder.codec), PROJECTIONS)
        store.sync(written)
        attributes = {"ome": self.ome(findings), "neuropack": self.record}
        node = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        written["zarr.json"] = json.dumps(node, indent=2).encode()
        store.write("zarr.json", [written["zarr.json"]])
        store.sync(["zarr.json"])
        for name, data in written.items():
            self.files[name] = len(data), hashlib.sha256(data).hexdigest() if self.encoder.digests else ""

    def _store(self, files: Mapping[str, bytes], name: str) -> Mapping[str, bytes]:
        """Store what lies beside the levels, and name it in the record."""
        for key, data in files.items():
            self.encoder.store.write(key, [data])
        self.record[name] = name
        return files

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

    def ome(self, findings: Findings) -> dict[str, Any]:
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
        extra = {"omero": self._omero(name, findings)}
        if self.labels:
            extra = {"image-label": _image_label(findings.labels)}
        return {"version": VERSION, "multiscales": [multiscale], **extra}

    def _transforms(self, level: LevelShape) -> list[dict[str, Any]]:
        lead = [self._frame_interval() if a == "T" else 1.0 for a in self.axes if a in "TC"]
        zyx = self.encoder.spatial(tuple(zip(self._spacing, level.factor, strict=True)))
        scale = lead + [s * f for s, f in zyx]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        # The origin is the centre of the first voxel, and what is said of one that lies in a frame: where that is.
        origin = self.encoder.spatial(self.volume.origin_um if self.volume.frame else (0.0, 0.0, 0.0))
        if self.volume.frame or any(f > 1 for f in level.factor):  # a binned voxel's lies (f - 1) / 2 further in
            shift = [0.0] * len(lead) + [
                (o or 0.0) + (f - 1) / 2 * s for o, (s, f) in zip(origin, zyx, strict=True)
            ]
            transforms.append({"type": "translation", "translation": shift})
        return transforms

    def _frame_interval(self) -> float:
        times = self.volume.times_s
        return float(np.mean(np.diff(times))) if times is not None and len(times) > 1 else 1.0

    def _omero(self, name: str, findings: Findings) -> dict[str, Any]:
        kind = np.iinfo(self.volume.dtype) if self.volume.dtype.kind in "iu" else None
        windows = [_window(seen) for seen in findings.statistics]
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
            for i, (c, (low, high)) in enumerate(zip(self.volume.channels, windows, strict=True))
        ]
        rdefs = {"defaultT": 0, "defaultZ": self.volume.size_zyx[0] // 2, "model": "color"}
        return {"version": VERSION, "name": name, "rdefs": rdefs, "channels": channels}


def _window(seen: Statistics) -> tuple[float, float]:
    """Where a display window may start and end: the 1st and the 99.9th percentile."""
    low, high = seen.percentile(1), seen.percentile(99.9)
    return (low, max(high, low + 1)) if math.isfinite(low) else (0.0, 1.0)


def _image_label(labels: Array | None) -> dict[str, Any]:
    """Colours by the golden angle, so that neighbouring labels differ; left to viewers where there are many."""
    import colorsys

    colors = []
    for value in labels.tolist() if labels is not None and len(labels) <= _MOST_COLORS else ():
        rgb = colorsys.hsv_to_rgb(value * 0.618033988749895 % 1, 0.75, 1.0)
        colors.append({"label-value": value, "rgba": [*(round(255 * v) for v in rgb), 255]})
    return {"version": VERSION, **({"colors": colors} if colors else {})}


def _tiles(shape: tuple[int, ...], step: tuple[int, ...]) -> Iterator[Box]:
    starts = (range(0, n, s) for n, s in zip(shape, step, strict=True))
    for corner in product(*starts):
        yield tuple(slice(c, min(c + s, n)) for c, s, n in zip(corner, step, shape, strict=True))


def read_record(path: Path) -> dict[str, Any] | None:
    """The conversion record of an OME-Zarr that neuropack wrote, None where it is not one."""
    try:
        return record_in((path / "zarr.json").read_bytes())
    except OSError:
        return None


def record_in(root: bytes) -> dict[str, Any] | None:
    """The conversion record in the root ``zarr.json`` of an OME-Zarr; None where there is none of neuropack's."""
    try:
        record = json.loads(root)["attributes"]["neuropack"]
    except (ValueError, KeyError, TypeError):
        return None
    return record if isinstance(record, dict) else None
