"""OME-Zarr images of a release, read from their metadata alone and with suspicion.

Source: OME-Zarr 0.5, sections "multiscales" and "omero". Their arrays are in `neuropack.rules.zarr_array`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from neuropack.axes import Array, Box
from neuropack.rules.json_text import JsonFile
from neuropack.rules.release_files import unsafe
from neuropack.rules.rule import Finding
from neuropack.rules.zarr_array import BROKEN, ZarrArray, read_array, short
from neuropack.rules.zarr_chunks import read_box
from neuropack.volume import MICROMETRE

if TYPE_CHECKING:
    from neuropack.rules.release_files import ReleaseFiles

VERSION = "0.5"


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
        factors = (MICROMETRE.get(u, 1.0) if isinstance(u, str) else 1.0 for u in self.units)
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
    except BROKEN:
        return False


def _read_image(release: ReleaseFiles, folder: str, meta: JsonFile) -> tuple[OmeZarr | None, list[Finding]]:
    findings: list[Finding] = []

    def wrong(expected: str, found: object, *keys: str | int) -> None:
        fix = "correct the value, or write the image again"
        findings.append(Finding(meta.where(*keys), expected, short(found), fix))

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
    except BROKEN as error:
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
    except BROKEN:
        return None
    right = kinds in (["scale"], ["scale", "translation"]) and len(scale) == len(translation) == ndim
    if not right or not all(math.isfinite(v) for v in (*scale, *translation)) or min(scale) <= 0:
        return None
    return scale, translation
