"""TIFF and what microscopes made of it: OME-TIFF, ImageJ, LSM, tifffile's own, pyramids, plain stacks, BigTIFF."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neuropack.errors import InputError
from neuropack.readers.ome_xml import looks_like_ome
from neuropack.readers.problems import reading
from neuropack.readers.tiff_file import MAGIC, TiffSet, TiffSource
from neuropack.readers.tiff_metadata import (
    Facts,
    imagej_facts,
    level_size,
    lsm_facts,
    plain_facts,
    unique,
)
from neuropack.readers.tiff_ome import open_companion, open_ome
from neuropack.readers.tiff_pixels import TiffPixels
from neuropack.readers.tiff_planes import Plane, series_plane
from neuropack.volume import Volume

if TYPE_CHECKING:
    from tifffile import TiffPageSeries

_SPARE = "QIABDEFGHJKLMNOPRUVW"  # letters for dimensions whose own letter is taken
_FORMATS = {"imagej": "ImageJ TIFF", "lsm": "LSM"}


def sniff(head: bytes, path: Path) -> bool:
    """True for TIFF, BigTIFF, LSM, and the XML companion of an OME-TIFF set."""
    return head[:4] in MAGIC or looks_like_ome(head)


def open_file(path: Path) -> tuple[Volume, ...]:
    """Open every image of a TIFF file, together with the other files of its set.

    Raises:
        InputError: it is no TIFF, is cut short, or contradicts its own metadata.
    """
    try:
        with path.open("rb") as file:
            text = looks_like_ome(file.read(4096))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    shared = TiffSet()
    with reading(path, "TIFF"):
        if text:
            return open_companion(path, shared)
        source = shared.get(path)
        if looks_like_ome(source.tif.pages.first.description):
            return open_ome(source, shared)
        return _open_series(source, shared)


def _open_series(source: TiffSource, shared: TiffSet) -> tuple[Volume, ...]:
    """The images as tifffile groups the pages."""
    path, tif = source.path, source.tif
    series = tif.series
    flags = {"shaped": tif.is_shaped, "lsm": tif.is_lsm, "imagej": tif.is_imagej}
    stated = [kind for kind, flag in flags.items() if flag]
    if stated and not any(s.kind in stated for s in series):
        raise InputError(
            "its pages are not what its description says: it is cut short or was edited",
            file=path,
            expected=tif.pages.first.description.strip().replace("\n", ", ")[:200],
            found=f"{len(tif.pages)} pages, {source.raw.size} bytes",
            fix="copy the file again from its source",
        )
    whole = [s for s in series if not s.keyframe.is_reduced and not s.keyframe.is_mask] or series[:1]
    for one in whole:
        if one.dtype is None or 0 in one.shape:
            raise InputError(
                "holds an image that cannot be read",
                file=path,
                found=f"{one.dtype} {'x'.join(map(str, one.shape))}",
            )
        if one.transform is not None or one.is_multifile:
            raise InputError(f"is of a kind ({one.kind}) that is not read", file=path, fix="export it as OME-TIFF")
    parts = [_Part(source, shared, one, position) for one in whole for position in _positions(one)]
    names = unique([part.name or f"Image {number}" for number, part in enumerate(parts, 1)])
    scenes = names if len(parts) > 1 else [None]
    return tuple(part.volume(scene) for part, scene in zip(parts, scenes, strict=True))


def _layout(series: TiffPageSeries) -> tuple[str, tuple[int, ...]]:
    """Axes and shape of a series, such that the last dimensions are those of a page."""
    page = series.keyframe.shape
    if series.shape[len(series.shape) - len(page) :] == page:
        return series.axes, series.shape
    # tifffile drops lengths of 1, those of a page too: put the page's own dimensions back
    kept = [(a, n) for a, n in zip(series.keyframe.axes, page, strict=True) if n > 1]
    split = len(series.shape) - len(kept)
    if list(zip(series.axes, series.shape, strict=True))[split:] == kept:
        return series.axes[:split] + series.keyframe.axes, series.shape[:split] + page
    raise InputError(
        "its pages do not fit its description",
        file=Path(str(series.keyframe.parent.filename)),
        expected=f"{series.axes} {'x'.join(map(str, series.shape))}",
        found=f"pages of {'x'.join(map(str, page))}",
    )


def _positions(series: TiffPageSeries) -> Iterator[dict[str, int]]:
    """One entry for each stage position or mosaic tile of an LSM file: nothing tells how they become one image."""
    axes, shape = _layout(series)
    several = [(a, n) for a, n in zip(axes, shape, strict=True) if series.kind == "lsm" and a in "PM" and n > 1]
    for index in product(*(range(n) for _, n in several)):
        yield {a: i for (a, _), i in zip(several, index, strict=True)}


def _letters(axes: str) -> str:
    """The same letters, each once: a dimension whose letter is taken gets one that means nothing."""
    result = ""
    for i, letter in enumerate(axes):
        taken = letter in axes[i + 1 :] or letter in result or not letter.isupper()
        spare = (a for a in _SPARE if a not in axes and a not in result)
        result += next(spare) if taken else letter
    return result


class _Part:
    """An image of a series: all of it, or one position of an LSM file."""

    def __init__(
        self, source: TiffSource, shared: TiffSet, series: TiffPageSeries, position: dict[str, int]
    ) -> None:
        self.source, self.shared, self.series, self.position = source, shared, series, position
        where = "".join(f" {a}{i + 1}" for a, i in position.items())
        self.name = f"{series.name}{where}".strip()

    def _pixels(self, series: TiffPageSeries) -> TiffPixels:
        axes, shape = _layout(series)
        page = series.keyframe
        split = len(shape) - len(page.shape)
        numbers = np.arange(math.prod(shape[:split])).reshape(shape[:split])
        pick = tuple(self.position.get(a, slice(None)) for a in axes[:split])
        numbers = numbers[pick].reshape(-1)
        kept = [i for i, a in enumerate(axes) if a not in self.position]
        offset = series.dataoffset if math.prod(shape[:split]) > 1 else None

        def plane(number: int) -> Plane:
            at = int(numbers[number])
            if offset:
                return Plane(self.source, f"plane {at + 1}", page, (offset + at * page.nbytes,), contiguous=True)
            return series_plane(self.source, series, at)

        return TiffPixels(
            _letters("".join(axes[i] for i in kept)),
            tuple(shape[i] for i in kept),
            len(page.shape),
            np.dtype(series.dtype),
            plane,
            (self.source.path,),
            self.shared,
        )

    def _facts(self, axes: dict[str, int]) -> Facts:
        tif, page = self.source.tif, self.series.keyframe
        if self.series.kind == "imagej":
            return imagej_facts(tif.imagej_metadata or {}, page, axes)
        if self.series.kind == "lsm":
            return lsm_facts(tif.lsm_metadata or {}, axes)
        return plain_facts(page)

    def volume(self, scene: str | None) -> Volume:
        """The image with the coarser levels of its pyramid."""
        pixels = self._pixels(self.series)
        facts = self._facts(dict(zip(pixels.axes, pixels.shape, strict=True)))
        volume = Volume(
            path=self.source.path,
            format=_FORMATS.get(self.series.kind, "TIFF"),
            native_axes=pixels.axes,
            native_shape=pixels.shape,
            dtype=pixels.dtype,
            pixels=pixels,
            scene=scene,
            voxel_size_um=facts.voxel_size_um,
            channels=facts.channels,
            times_s=facts.times_s,
            acquired=facts.acquired,
            instrument=facts.instrument,
        )
        levels: list[Volume] = []
        for series in self.series.levels[1:]:
            coarse = self._pixels(series)
            if coarse.axes != pixels.axes:
                break
            size = level_size(volume.voxel_size_um, volume.native_axes, volume.native_shape, coarse.shape)
            levels.append(replace(volume, native_shape=coarse.shape, pixels=coarse, voxel_size_um=size))
        return replace(volume, levels=tuple(levels))
