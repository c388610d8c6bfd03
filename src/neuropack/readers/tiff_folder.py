"""A folder of TIFF slices, one plane a file, as one image.

By the universal habit of microscopes and of ImageJ's image sequences, the files in natural order of their names
(``9`` before ``10``) are the planes of a Z stack. Where all names carry tokens of dimensions, such as
``_C001_Z003``, ``_ch00_t02`` or ``C001Z003``, these say what is what, and every combination must be there; without
a z token the files of one channel and time are its planes, in order. A folder that holds a multi-file OME-TIFF set
is that set.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np

from neuropack.errors import InputError
from neuropack.readers.ome_xml import looks_like_ome, read_ome
from neuropack.readers.problems import reading
from neuropack.readers.tiff import open_file as open_tiff
from neuropack.readers.tiff_file import MAGIC, TiffSet, TiffSource
from neuropack.readers.tiff_metadata import Facts, imagej_facts, plain_facts
from neuropack.readers.tiff_pixels import TiffPixels
from neuropack.readers.tiff_planes import Plane, page_plane
from neuropack.volume import Volume

_TOKENS = re.compile(r"(?<![a-z0-9])((?:(?:ch|c|z|t)\d+)+)(?![a-z0-9])")
_TOKEN = re.compile(r"(ch|c|z|t)(\d+)")
_AXIS = {"ch": "C", "c": "C", "z": "Z", "t": "T"}


def sniff(head: bytes, path: Path) -> bool:
    """True for a folder with a TIFF file in it."""
    return path.is_dir() and any(start[:4] in MAGIC for _, start in _files(path))


def open_file(path: Path) -> tuple[Volume, ...]:
    """Open a folder of slices.

    Raises:
        InputError: slices differ from each other, hold several planes, or some are missing.
    """
    texts, slices = [], []
    for file, start in sorted(_files(path), key=lambda found: natural(found[0].name)):
        if start[:4] in MAGIC:
            slices.append(file)
        elif looks_like_ome(start):
            texts.append(file)
    if not slices:
        raise InputError("holds no TIFF file", file=path)
    if len(texts) > 1:
        raise InputError(
            "holds several OME-TIFF sets",
            file=path,
            found=", ".join(f.name for f in texts),
            fix="open one of these",
        )
    shared = TiffSet()
    whole = texts or [f for f in slices[:1] if len(slices) == 1 or _many_planes(shared.get(f))]
    if whole:
        return _one_set(path, whole[0], slices)
    _check_equal(path, slices, shared)
    axes, shape, ordered = arrange(path, slices)
    first = shared.get(ordered[0])
    page = page_plane(first, 0).page

    def plane(number: int) -> Plane:
        return page_plane(shared.get(ordered[number]), 0)

    pixels = TiffPixels(
        axes + page.axes, shape + page.shape, len(page.shape), np.dtype(page.dtype), plane, tuple(ordered), shared
    )
    facts = _facts(first)
    volume = Volume(
        path=path,
        format="TIFF folder",
        native_axes=pixels.axes,
        native_shape=pixels.shape,
        dtype=pixels.dtype,
        pixels=pixels,
        voxel_size_um=facts.voxel_size_um,
        channels=facts.channels,
        acquired=facts.acquired,
        instrument=facts.instrument,
    )
    return (volume,)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """The key that sorts names by the numbers in them: ``a9`` before ``a10``."""
    parts = re.split(r"(\d+)", name.lower())
    return (*((0, int(p), "") if i % 2 else (1, 0, p) for i, p in enumerate(parts)), (2, 0, name))


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """The files of a folder and what they begin with; hidden ones are the litter of operating systems."""
    try:
        for path in folder.iterdir():
            if path.name.startswith(".") or not path.is_file():
                continue
            with path.open("rb") as file:
                yield path, file.read(4096)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=error.filename or folder) from error


def _many_planes(source: TiffSource) -> bool:
    """True for a file of an OME-TIFF set: what it says of itself covers more than its own plane."""
    first = source.tif.pages.first
    if not looks_like_ome(first.description):
        return False
    document = read_ome(first.description, source.path)
    planes = sum(i.sizes["T"] * i.sizes["Z"] * i.sizes["C"] // first.samplesperpixel for i in document.images)
    return document.binary_only or planes > 1


def _one_set(folder: Path, start: Path, slices: list[Path]) -> tuple[Volume, ...]:
    """The set that one file of the folder describes; it must be all there is in the folder."""
    volumes = open_tiff(start)
    known = {file for v in volumes if isinstance(v.pixels, TiffPixels) for file in v.pixels.files}
    odd = [file.name for file in slices if file not in known]
    if odd:
        raise InputError(
            f"holds {len(odd)} TIFF file(s) that do not belong to the OME-TIFF set of {start.name}",
            file=folder,
            found=", ".join(odd[:5]),
            fix=f"open {start.name} itself, or move the others away",
        )
    return volumes


def _check_equal(folder: Path, slices: list[Path], shared: TiffSet) -> None:
    """Every slice is one plane, and all have one shape and data type."""
    kinds: dict[Path, str] = {}
    for file in slices:
        source = shared.get(file)
        page = source.tif.pages.first
        with reading(file, "TIFF"):
            planes = sum(not p.aspage().is_reduced for p in source.tif.pages) if len(source.tif.pages) > 1 else 1
            if source.tif.is_imagej or source.tif.is_shaped:  # such a page may stand for a whole stack
                planes = max(planes, source.tif.series[0].size // max(1, page.size))
        kinds[file] = f"{page.dtype} {'x'.join(map(str, page.shape))}" + (
            f", {planes} planes" if planes > 1 else ""
        )
    usual = Counter(kinds.values()).most_common(1)[0][0]
    for file, kind in kinds.items():
        if kind != usual:
            raise InputError("a slice differs from the others of its folder", file=file, expected=usual, found=kind)
    if usual.endswith("planes"):
        raise InputError(
            "holds stacks, not slices",
            file=folder,
            expected="one plane in every TIFF file",
            found=f"{slices[0].name}: {usual}",
            fix="open these files one by one",
        )


def arrange(folder: Path, slices: list[Path]) -> tuple[str, tuple[int, ...], list[Path]]:
    """Axes and shape of the grid of slices, and the slices in its C order.

    Args:
        folder: for messages.
        slices: in natural order.

    Raises:
        InputError: tokens are in some names only, or a slice is missing.
    """
    tokens = {file: _tokens(file.stem) for file in slices}
    named = Counter("".join(sorted(t)) for t in tokens.values())
    usual = named.most_common(1)[0][0]
    for file, found in tokens.items():
        if "".join(sorted(found)) != usual:
            raise InputError(
                "the name of a slice differs from the others: it is not clear which plane it is",
                file=file,
                expected=f"numbers for {', '.join(usual) or 'no dimension'}, as in most names of the folder",
                found=", ".join(f"{a}{n}" for a, n in found.items()) or "none",
                fix="rename it, or move it away",
            )
    axes = "".join(a for a in "TCZ" if a in usual)
    groups: dict[tuple[int, ...], list[Path]] = {}
    for file in slices:
        groups.setdefault(tuple(tokens[file][a] for a in axes), []).append(file)
    values = [sorted({key[i] for key in groups}) for i in range(len(axes))]
    depth = Counter(len(files) for files in groups.values()).most_common(1)[0][0]
    if "Z" not in axes:
        axes += "Z"
    elif max(map(len, groups.values())) > 1:
        twice = max(groups.values(), key=len)
        raise InputError(
            "several slices have the same numbers in their names",
            file=folder,
            found=", ".join(f.name for f in twice[:3]),
            fix="give each its own folder",
        )
    for key in product(*values):
        here = groups.get(key, [])
        if len(here) != depth:
            place = " ".join(f"{a}={v}" for a, v in zip(axes, key, strict=False))
            raise InputError(
                "a slice is missing" if len(here) < depth else "there is a slice too many",
                file=folder,
                where=place or None,
                expected=f"{depth} slice(s), as for the others",
                found=str(len(here)),
            )
    lengths = tuple(map(len, values)) + ((depth,) if len(values) < len(axes) else ())
    return axes, lengths, [file for key in product(*values) for file in groups[key]]


def _tokens(stem: str) -> dict[str, int]:
    """The numbers of dimensions in a name; the last one of a letter counts."""
    return {
        _AXIS[letter]: int(number)
        for group in _TOKENS.findall(stem.lower())
        for letter, number in _TOKEN.findall(group)
    }


def _facts(source: TiffSource) -> Facts:
    """What the first slice states."""
    tif, page = source.tif, source.tif.pages.first
    if looks_like_ome(page.description):
        image = read_ome(page.description, source.path).images[0]
        return Facts(image.voxel_size_um, acquired=image.acquired, instrument=image.instrument)
    if tif.is_imagej:
        return imagej_facts(tif.imagej_metadata or {}, page, {})
    return plain_facts(page)
