"""OME-Zarr images of a release, read from their metadata alone and with suspicion.

Sources: OME-Zarr 0.5 (sections "multiscales", "omero"), Zarr v3 core and its sharding codec.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.axes import Array, Box
from neuropack.rules.decode import CODECS, Chain, chain
from neuropack.rules.json_text import JsonFile
from neuropack.rules.release_files import unsafe
from neuropack.rules.rule import Finding
from neuropack.rules.zarr_chunks import read_box

if TYPE_CHECKING:
    from neuropack.rules.release_files import ReleaseFiles

VERSION = "0.5"
SHARD_LIMIT = 4 * 2**30
"""Decoded bytes of the largest shard that is read: a small file may claim any size."""

GRID_LIMIT = 10**7
"""Shards of the largest level that is gone through, for the same reason."""
KNOWN = CODECS | {"sharding_indexed"}
_LENGTHS = {"angstrom": 1e-4, "nanometer": 1e-3, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6}
"""Units of OME-Zarr other than the one we write, in micrometre."""

_NOT_THERE = 2**64 - 1  # offset and length of an inner chunk that was left out of its shard
_BROKEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""What reading a document of the wrong shape raises."""


@dataclass(frozen=True)
class ZarrArray:
    """One level of an image.

    Attributes:
        folder: path relative to the release.
        shape, dtype: of the level.
        shard: shape of what one file holds (a shard, or a chunk where the array is not sharded).
        chunk: shape of a chunk inside a shard; None where the array is not sharded.
        index_codecs: names of the codecs of a shard's index; `index_at_end`: where it stands.
        prefix, separator: how the grid position becomes a file name.
        chain: how a chunk is encoded.
        fill: what a chunk that was left out reads as.
    """

    folder: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    shard: tuple[int, ...]
    chunk: tuple[int, ...] | None
    index_codecs: tuple[str, ...]
    index_at_end: bool
    prefix: str
    separator: str
    chain: Chain
    fill: Any

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of shards along each axis."""
        return tuple(-(-n // s) for n, s in zip(self.shape, self.shard, strict=True))

    def shards(self) -> Iterator[tuple[str, Box]]:
        """File and box of every shard, in C order."""
        for at in itertools.product(*(range(n) for n in self.grid)):
            yield self.file_of(at), self.box_of(at)

    def files(self) -> Iterator[str]:
        """File of every shard, in C order."""
        start = f"{self.folder}/{self.prefix and self.prefix + self.separator}"
        names = itertools.product(*([str(i) for i in range(n)] for n in self.grid))
        return map(start.__add__, map(self.separator.join, names))

    def place(self, number: int) -> tuple[int, ...]:
        """The place in the grid of a shard, counted in C order."""
        at = []
        for n in reversed(self.grid):
            number, i = divmod(number, n)
            at.append(i)
        return tuple(reversed(at))

    def file_of(self, at: tuple[int, ...]) -> str:
        """File of the shard at a place in the grid."""
        return f"{self.folder}/{self.separator.join([*filter(None, [self.prefix]), *map(str, at)])}"

    def box_of(self, at: tuple[int, ...]) -> Box:
        """What the shard at a place in the grid covers of the array."""
        start = [i * s for i, s in zip(at, self.shard, strict=True)]
        return tuple(slice(b, min(b + s, n)) for b, s, n in zip(start, self.shard, self.shape, strict=True))

    @property
    def bytes(self) -> int:
        """Decoded size."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def shard_bytes(self) -> int:
        """Decoded size of a shard."""
        return math.prod(self.shard) * self.dtype.itemsize

    @property
    def chunk_grid(self) -> tuple[int, ...]:
        """Number of chunks along each axis of a shard."""
        return tuple(s // c for s, c in zip(self.shard, self.chunk or self.shard, strict=True))

    @property
    def index_bytes(self) -> int:
        """Size of the index of a shard."""
        return 16 * math.prod(self.chunk_grid) + 4 * len(self.index_codecs[1:])

    def chunks_in(self, box: Box) -> int:
        """Number of chunks in the box of a shard."""
        chunk = self.chunk or self.shard
        return math.prod(-(-(s.stop - s.start) // c) for s, c in zip(box, chunk, strict=True))

    def chunks_left_out(self, file: Path, box: Box) -> int | None:
        """How many chunks of a box the index of its shard marks as absent; None where it cannot be understood.

        A chunk that is absent reads back as the fill value, without an error. One beyond the border of the array
        has nothing to hold, and writers leave it out.
        """
        if self.chunk is None:
            return None
        size = self.index_bytes
        with file.open("rb") as shard:
            shard.seek(max(file.stat().st_size - size, 0) if self.index_at_end else 0)
            index = shard.read(size)
        if len(index) < size:
            return None
        inside = tuple(slice(-(-(s.stop - s.start) // c)) for s, c in zip(box, self.chunk, strict=True))
        numbers = np.frombuffer(index[: 16 * math.prod(self.chunk_grid)], "<u8").reshape(*self.chunk_grid, 2)
        return int((numbers == _NOT_THERE).all(axis=-1)[inside].sum())


@dataclass(frozen=True)
class Level:
    """One level of the pyramid as the image's metadata describes it.

    Attributes:
        number: 0 is the finest.
        folder: path relative to the release.
        scale, translation: along the image's axes, in the axes' units.
        array: None where the level is absent or cannot be understood (`problem` says why).
        problem: what is wrong with the array's own metadata.
    """

    number: int
    folder: str
    scale: tuple[float, ...]
    translation: tuple[float, ...]
    array: ZarrArray | None
    problem: Finding | None


@dataclass(frozen=True, eq=False)
class OmeZarr:
    """An OME-Zarr image.

    Attributes:
        folder: path relative to the release.
        meta: its zarr.json; `ome` is the part of it that describes the image.
        axes: small letters, such as ``czyx``; `units` has one for each, or None.
        levels: the pyramid, finest first.
    """

    folder: str
    meta: JsonFile
    axes: str
    units: tuple[str | None, ...]
    levels: tuple[Level, ...]

    @property
    def ome(self) -> dict[str, Any]:
        """The image's metadata."""
        ome: dict[str, Any] = self.meta.data["attributes"]["ome"]
        return ome

    @property
    def bytes(self) -> int:
        """Decoded size of all levels."""
        return sum(v.array.bytes for v in self.levels if v.array)

    @property
    def is_label(self) -> bool:
        """True for an image whose values are labels."""
        return "image-label" in self.ome

    @property
    def channel_labels(self) -> list[str | None]:
        """The names of the channels in ``omero``, None for one without a name."""
        omero = self.ome.get("omero")
        channels = omero.get("channels") if isinstance(omero, dict) else None
        labels = [c.get("label") if isinstance(c, dict) else None for c in channels or []]
        return [label if isinstance(label, str) and label.strip() else None for label in labels]

    @property
    def channels_named(self) -> bool:
        """True where each channel has a name of its own, so that it can be told in another file."""
        labels = self.channel_labels
        return None not in labels and len(set(labels)) == len(labels) == self.length("c")

    def length(self, axis: str) -> int | None:
        """Length of level 0 along an axis; None where the image has no such axis or no level 0."""
        array = self.levels[0].array
        return array.shape[self.axes.index(axis)] if array and axis in self.axes else None

    @property
    def voxel_size_um(self) -> tuple[float | None, float | None, float | None]:
        """(z, y, x) of level 0; None for an axis that the image has not, or whose scales contradict each other.

        A wrong unit is for one rule to tell; where it is a length, the others see the length that is meant.
        """
        doubtful = {axis for _, axis, *_ in self.scale_conflicts}
        factors = (_LENGTHS.get(u, 1.0) if isinstance(u, str) else 1.0 for u in self.units)
        scale = {a: s * f for a, s, f in zip(self.axes, self.levels[0].scale, factors, strict=True)}
        z, y, x = (scale.get(a) if a not in doubtful else None for a in "zyx")
        return z, y, x

    @cached_property
    def scale_conflicts(self) -> list[tuple[Level, str, float, float]]:
        """Level, axis, its extent and the extent it should have, where the levels cover different extents.

        Levels agree when they end within one voxel of the coarser one. Where level 0 is alone against levels that
        agree among themselves, level 0 is the one to blame.
        """
        conflicts = []
        for i, axis in enumerate(self.axes):
            if axis not in "zyx":
                continue
            spans = [(v, v.array.shape[i] * v.scale[i], v.scale[i]) for v in self.levels if v.array]
            if not spans or spans[0][0].number != 0:
                continue
            first, rest = spans[0], spans[1:]
            odd = [s for s in rest if not _same_extent(first, s)]
            if len(rest) > 1 and len(odd) == len(rest) and all(_same_extent(rest[0], s) for s in rest[1:]):
                conflicts.append((first[0], axis, first[1], rest[0][1]))
            else:
                conflicts += [(v, axis, extent, first[1]) for v, extent, _ in odd]
        return conflicts

    def read(self, release: ReleaseFiles, level: Level, boxes: Iterator[Box]) -> Iterator[Array | Exception]:
        """Decode boxes of a level; what cannot be decoded comes as the exception it caused."""
        return map(self.reader(release, level), boxes)

    def reader(self, release: ReleaseFiles, level: Level) -> Callable[[Box], Array | Exception]:
        """Decodes a box of a level, or gives the exception that this caused."""
        array = level.array
        if array is None:
            broken = ValueError(f"{level.folder} has no array that can be read")
            return lambda _: broken

        def decoded(box: Box) -> Array | Exception:
            try:
                spans = (s.indices(n)[:2] for s, n in zip(box, array.shape, strict=True))
                return read_box(array, release.root, tuple(slice(*span) for span in spans))
            except Exception as error:  # the codecs raise RuntimeError, ValueError, zlib.error and more
                return error

        return decoded


def _same_extent(a: tuple[Level, float, float], b: tuple[Level, float, float]) -> bool:
    return abs(a[1] - b[1]) <= max(a[2], b[2]) * 1.001


def find_images(release: ReleaseFiles) -> Iterator[tuple[OmeZarr | None, list[Finding]]]:
    """Every OME-Zarr image of the release, and what is wrong in its metadata.

    An image is a folder called ``.ome.zarr`` or a Zarr group (a label image inside it) with ``multiscales``.
    """
    roots = {f: None for f in release.folders if f.endswith(".ome.zarr")}
    for folder in roots:
        if folder + "/zarr.json" not in release.files:
            fix = "write it again as OME-Zarr 0.5"
            yield None, [Finding(folder + "/zarr.json", "a zarr.json, as Zarr v3 has it", "no such file", fix)]
    for name in release.named(r".*\.ome\.zarr/(.*/)?zarr\.json"):
        meta = release.json(name)
        folder = name.removesuffix("/zarr.json")
        if meta is not None and (folder in roots or _has_multiscales(meta.data)):
            yield _read_image(release, folder, meta)


def _has_multiscales(data: Any) -> bool:
    try:
        return bool(data["attributes"]["ome"]["multiscales"])
    except _BROKEN:
        return False


def _read_image(release: ReleaseFiles, folder: str, meta: JsonFile) -> tuple[OmeZarr | None, list[Finding]]:
    findings: list[Finding] = []

    def wrong(expected: str, found: object, *keys: str | int) -> None:
        fix = "correct the value, or write the image again"
        findings.append(Finding(meta.where(*keys), expected, _short(found), fix))

    base = ("attributes", "ome")
    if not _has_multiscales(meta.data):
        wrong(f"attributes.ome with multiscales, as OME-Zarr {VERSION} has it", "none", *base)
        return None, findings
    ome = meta.data["attributes"]["ome"]
    if ome.get("version") != VERSION:
        wrong(f"OME-Zarr version {VERSION!r}", ome.get("version"), *base, "version")
    try:
        multiscale = ome["multiscales"][0]
        axes = "".join(a["name"] for a in multiscale["axes"])
        units = tuple(a.get("unit") for a in multiscale["axes"])
        datasets = list(multiscale["datasets"])
        paths = [d["path"] for d in datasets]
    except _BROKEN as error:
        wrong("multiscales with axes (name, type) and datasets (path)", repr(error), *base, "multiscales", 0)
        return None, findings
    here = (*base, "multiscales", 0)
    if axes not in ("czyx", "tczyx", "zyx", "cyx", "tcyx", "yx", "tzyx", "tyx"):
        wrong("axes named t, c, z, y, x, in this order", axes, *here, "axes")
    if not datasets:
        wrong("at least one level", "none", *here, "datasets")
    levels = []
    for number, dataset in enumerate(datasets):
        if not isinstance(paths[number], str) or unsafe(paths[number]):
            wrong("the path of a level inside the image", paths[number], *here, "datasets", number, "path")
            continue
        transform = _transform(dataset, len(axes))
        if transform is None:
            what = f"a scale of {len(axes)} positive numbers, then perhaps a translation of as many"
            found = dataset.get("coordinateTransformations")
            wrong(what, found, *here, "datasets", number, "coordinateTransformations")
            continue
        array, problem = read_array(release, f"{folder}/{paths[number]}", len(axes))
        levels.append(Level(number, f"{folder}/{paths[number]}", *transform, array, problem))
    for finer, coarser in itertools.pairwise(levels):
        if _exchanged(finer, coarser):
            found = f"level {coarser.number} is finer than level {finer.number}"
            wrong("levels from the finest to the coarsest", found, *here, "datasets")
            break
    if findings:
        return None, findings
    return OmeZarr(folder, meta, axes, units, tuple(levels)), []


def _exchanged(first: Level, second: Level) -> bool:
    """True where the second level is the finer one: by its scale and by its length, for one alone may be wrong."""
    if first.array is None or second.array is None:
        return False
    sizes = zip(first.scale, second.scale, first.array.shape, second.array.shape, strict=True)
    return any(b < a and longer > long for a, b, long, longer in sizes)


def _transform(dataset: dict[str, Any], ndim: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Scale and translation of a level, or None where they are not as the standard has them."""
    try:
        steps = dataset["coordinateTransformations"]
        kinds = [s["type"] for s in steps]
        scale = tuple(float(v) for v in steps[0]["scale"])
        translation = tuple(float(v) for v in steps[1]["translation"]) if len(steps) > 1 else (0.0,) * ndim
    except _BROKEN:
        return None
    right = kinds in (["scale"], ["scale", "translation"]) and len(scale) == len(translation) == ndim
    if not right or not all(math.isfinite(v) for v in (*scale, *translation)) or min(scale) <= 0:
        return None
    return scale, translation


def read_array(release: ReleaseFiles, folder: str, ndim: int) -> tuple[ZarrArray | None, Finding | None]:
    """An array of an image, or what is wrong with its metadata; neither where another rule tells."""
    meta = release.json(folder + "/zarr.json")
    if meta is None:
        return None, None
    try:
        array = _parse_array(folder, meta.data)
    except _BROKEN as error:
        return None, Finding(
            meta.where(),
            "a Zarr v3 array of plain numbers in a regular grid",
            f"{type(error).__name__}: {error}",
            "write the image again",
        )
    problem = None
    if len(array.shape) != ndim:
        problem = (f"{ndim} dimensions, as the image has axes", f"{len(array.shape)}", "shape")
    elif array.dtype.itemsize * math.prod(array.shard) > SHARD_LIMIT:
        problem = (f"shards of at most {SHARD_LIMIT} bytes", f"shape {list(array.shard)}", "chunk_grid")
    elif math.prod(array.grid) > GRID_LIMIT:
        problem = (f"at most {GRID_LIMIT} shards", f"{math.prod(array.grid)}", "shape")
    if problem:
        return None, Finding(meta.where(problem[2]), problem[0], problem[1], "write the image again")
    return array, None


def _parse_array(folder: str, data: dict[str, Any]) -> ZarrArray:
    """The array that a zarr.json describes.

    Raises:
        KeyError, TypeError, ValueError and the like: the document is no such array.
    """
    if data["zarr_format"] != 3 or data["node_type"] != "array":
        raise ValueError("neither zarr_format 3 nor node_type array")
    dtype = np.dtype(str(data["data_type"]))
    if dtype.kind not in "uifb":
        raise ValueError(f"data_type {dtype} is no number")
    if data["chunk_grid"]["name"] != "regular":
        raise ValueError("chunk_grid is not regular")
    encoding = data["chunk_key_encoding"]
    separator = encoding.get("configuration", {}).get("separator", "/" if encoding["name"] == "default" else ".")
    if encoding["name"] not in ("default", "v2") or separator not in ("/", "."):
        raise ValueError("chunk_key_encoding is neither default nor v2")
    codecs = data["codecs"]
    shape, shard = _lengths(data["shape"], 0), _lengths(data["chunk_grid"]["configuration"]["chunk_shape"], 1)
    chunk, at_end = None, True
    index: tuple[str, ...] = ()
    inside: list[dict[str, Any]] = []
    if codecs[0]["name"] == "sharding_indexed":
        inner = codecs[0]["configuration"]
        chunk = _lengths(inner["chunk_shape"], 1)
        index = tuple(c["name"] for c in inner["index_codecs"])
        at_end = inner.get("index_location", "end") == "end"
        inside = [*inner["codecs"], *inner["index_codecs"]]
        if len(chunk) != len(shard) or any(s % c for s, c in zip(shard, chunk, strict=True)):
            raise ValueError(f"chunks of {chunk} do not fill shards of {shard}")
    if unknown := sorted({c["name"] for c in [*codecs, *inside]} - KNOWN):
        raise ValueError(f"codecs {', '.join(unknown)}: not among {', '.join(sorted(KNOWN))}")
    if len(shape) != len(shard):
        raise ValueError(f"shape {shape} and chunk shape {shard} differ in length")
    if chunk is not None:
        if index not in (("bytes",), ("bytes", "crc32c")) or len(codecs) > 1:
            raise ValueError("shards whose index is not little-endian numbers, or that are encoded once more")
        if (inner["index_codecs"][0].get("configuration") or {}).get("endian", "little") != "little":
            raise ValueError("shards whose index is not little-endian numbers")
        codecs = inner["codecs"]
    prefix = "c" if encoding["name"] == "default" else ""
    steps, fill = chain(codecs, dtype, len(shape)), _fill(data.get("fill_value", 0), dtype)
    return ZarrArray(folder, shape, dtype, shard, chunk, index, at_end, prefix, separator, steps, fill)


def _fill(value: Any, dtype: np.dtype[Any]) -> Any:
    """What a chunk that was left out reads as; a float may be spelt, or be its bits in hexadecimal digits."""
    if isinstance(value, str) and value.startswith("0x"):
        return np.array(int(value, 16), f"u{dtype.itemsize}").view(dtype)[()]
    return np.array(float(value) if dtype.kind == "f" else value).astype(dtype, casting="unsafe")[()]


def _lengths(values: Any, least: int) -> tuple[int, ...]:
    lengths = tuple(values)
    if not all(type(n) is int and n >= least for n in lengths):
        raise ValueError(f"{_short(values)} are no lengths")
    return lengths


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else text[:200] + " ..."
