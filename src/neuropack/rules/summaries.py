"""What an OME-Zarr of neuropack holds beside its levels (projections, label values), checked against level 0.

They are what people look at first, and nothing else would show that they are those of another image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.axes import Array, Box, full_box
from neuropack.rules.ome_zarr import Level, OmeZarr
from neuropack.rules.rule import Finding
from neuropack.rules.zarr_array import ZarrArray, read_array
from neuropack.rules.zarr_chunks import read_box
from neuropack.writers.summaries import union

if TYPE_CHECKING:
    from neuropack.rules.release_files import ReleaseFiles

LIMIT = 2**28
"""Decoded bytes of the largest one that is read: they are small, but a small file may claim any size."""

_SEEN = {"z": "cyx", "y": "czx", "x": "czy"}
_FIX = "build the release again"


@dataclass(frozen=True)
class Differs:
    """A summary that is not that of its image: its file, what level 0 gives, and what is stored."""

    file: str
    expected: str
    found: str


@dataclass
class Summary:
    """An array beside the levels, and what level 0 says that it should hold.

    Attributes:
        array: its metadata.
        along: ``z``, ``y`` or ``x`` for the maxima along that axis; "" for the values of a label image.
        factor: voxels to a cell along z, y, x.
        seen: what level 0 gives, as far as it was looked at.
    """

    array: ZarrArray
    along: str
    factor: dict[str, int]
    seen: Array = field(default_factory=lambda: np.zeros(0))

    @property
    def file(self) -> str:
        """Its first file of values; its metadata where there is none, for no values."""
        return next(self.array.files(), self.array.folder + "/zarr.json")

    def look(self, axes: str, box: Box, block: Array) -> None:
        """Take in a decoded box of level 0."""
        if not self.along:
            if self.seen.size <= self.array.shape[0] + 1:  # else it is clear already that they differ
                self.seen = union(self.seen.astype(block.dtype), _distinct(block))
            return
        if not self.seen.size:
            self.seen = np.full(self.array.shape, _lowest(block.dtype), block.dtype)
        at = dict(zip(axes, box, strict=True))
        if "t" in at:
            if at["t"].start > 0:
                return
            block = block[0]
        full = block.reshape([at[a].stop - at[a].start if a in at else 1 for a in "czyx"])
        flat = np.fmax.reduce(full, axis="czyx".index(self.along))
        place = [at.get("c", slice(0, 1))]
        for axis, name in enumerate(_SEEN[self.along][1:], 1):
            span, f = at.get(name, slice(0, 1)), self.factor[name]
            first = span.start // f
            starts = np.maximum(np.arange(first * f, span.stop, f) - span.start, 0)
            flat = np.fmax.reduceat(flat, starts, axis=axis)
            place.append(slice(first, first + len(starts)))
        whole = self.seen[tuple(place)]
        np.fmax(whole, flat, out=whole)

    def stored(self, release: ReleaseFiles) -> Array | Exception:
        """What is stored; what cannot be decoded comes as the exception it caused."""
        try:
            return read_box(self.array, release.root, full_box(self.array.shape))
        except Exception as error:  # the codecs raise RuntimeError, ValueError, zlib.error and more
            return error

    def compare(self, release: ReleaseFiles) -> Differs | Exception | None:
        """What is stored against what was seen; what cannot be decoded comes as the exception it caused."""
        stored = self.stored(release)
        if isinstance(stored, Exception):
            return stored
        if not self.along:
            values = self.seen[self.seen != 0]
            if np.array_equal(stored, values):
                return None
            odd = np.setxor1d(stored, values)
            told = f"{len(stored)} values" + (f"; {odd[0]} in one of the two only" if len(odd) else ", not sorted")
            return Differs(self.file, "the values but 0 of level 0, sorted", told)
        differ = stored != self.seen
        if not differ.any():
            return None
        first = tuple(int(i[0]) for i in np.nonzero(differ))
        expected = f"the maxima along {self.along} of level 0: {self.seen[first]} at {list(first)}"
        return Differs(self.file, expected, f"{stored[first]} there; cells that differ: {int(differ.sum())}")


class SummaryLook:
    """Sees level 0 of images that have summaries (`neuropack.rules.looks.Look`).

    Attributes:
        differs: the summaries that are not those of their image.
        failures: those that cannot be decoded: file, folder, and what the decoder says.
    """

    needs_whole = True

    def __init__(self, release: ReleaseFiles) -> None:
        self.differs: list[Differs] = []
        self.failures: list[tuple[str, str, Exception]] = []
        self._release = release
        self._here: list[Summary] = []
        self._troubled: set[str] = set()

    def wants(self, image: OmeZarr, level: Level) -> bool:
        """Level 0, where something is made of it."""
        self._here = find_summaries(self._release, image)[0] if level is image.levels[0] else []
        return bool(self._here)

    def look(self, image: OmeZarr, level: Level, box: Box, block: Array) -> None:
        """Take in a box of level 0."""
        for summary in self._here:
            summary.look(image.axes, box, block)

    def end(self, image: OmeZarr, level: Level) -> None:
        """Compare what was seen with what is stored."""
        for summary in self._here:
            found = summary.compare(self._release)
            if isinstance(found, Differs):
                self.differs.append(found)
            elif found is not None:
                self.failures.append((summary.file, summary.array.folder, found))
            if found is not None:
                self._troubled.add(image.folder)

    def clean(self, image: OmeZarr) -> bool:
        """Whether all summaries of an image are its own."""
        return image.folder not in self._troubled


def find_summaries(release: ReleaseFiles, image: OmeZarr) -> tuple[list[Summary], list[Finding]]:
    """What the record of an image names beside its levels, as far as it can be read, and what is wrong with it."""
    record = image.meta.data["attributes"].get("neuropack")
    level = image.levels[0]
    if not isinstance(record, dict) or level.array is None:
        return [], []
    summaries: list[Summary] = []
    findings: list[Finding] = []
    for name, read in (("projections", _projections), ("label_values", _label_values)):
        if name not in record:
            continue
        where, path = image.meta.where("attributes", "neuropack", name), record[name]
        if not isinstance(path, str):
            findings.append(Finding(where, "the name of a node inside the image", repr(path)[:200], _FIX))
            continue
        for found in read(release, image, level.array, f"{image.folder}/{path}"):
            if isinstance(found, Summary):
                summaries.append(found)
            else:
                findings.append(found)
    return summaries, findings


def _projections(
    release: ReleaseFiles, image: OmeZarr, first: ZarrArray, folder: str
) -> Iterator[Summary | Finding]:
    group = release.json(folder + "/zarr.json")
    if group is None:
        if folder + "/zarr.json" not in release.files:
            yield Finding(folder + "/zarr.json", f"the projections of {image.folder}", "no such file", _FIX)
        return
    try:
        about: Any = group.data["attributes"]["neuropack"]
        factor = dict(zip("zyx", about["factor"], strict=True))
        known = {k: about[k] for k in ("kind", "level", "time")} == {"kind": "maximum", "level": 0, "time": 0}
        sound = known and all(type(f) is int and f > 0 for f in factor.values())
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        found = repr(group.data.get("attributes") if isinstance(group.data, dict) else group.data)[:200]
        expected = "kind maximum of level 0 and time 0, and the factor along z, y and x"
        yield Finding(group.where("attributes"), expected, found, _FIX)
        return
    length = dict(zip(image.axes, first.shape, strict=True))
    for along, axes in _SEEN.items():
        shape = tuple(-(-length.get(a, 1) // factor.get(a, 1)) for a in axes)
        yield from _array(release, f"{folder}/{along}", shape, first, along, factor)


def _label_values(
    release: ReleaseFiles, image: OmeZarr, first: ZarrArray, folder: str
) -> Iterator[Summary | Finding]:
    yield from _array(release, folder, None, first, "", {})


def _array(
    release: ReleaseFiles,
    folder: str,
    shape: tuple[int, ...] | None,
    first: ZarrArray,
    along: str,
    factor: dict[str, int],
) -> Iterator[Summary | Finding]:
    """An array that can be read and fits the image, else what is wrong with it."""
    if folder + "/zarr.json" not in release.files:
        yield Finding(folder + "/zarr.json", "an array, as the image's zarr.json says", "no such file", _FIX)
        return
    array, problem = read_array(release, folder, len(shape) if shape else 1)
    if problem is not None:
        yield problem
    if array is None:
        return
    where = folder + "/zarr.json"
    if (shape and array.shape != shape) or array.dtype != first.dtype:
        expected = f"{list(shape) if shape else 'any number'} values of {first.dtype}, as the image has"
        yield Finding(where, expected, f"{list(array.shape)} of {array.dtype}", _FIX)
    elif array.bytes > LIMIT or array.dtype.itemsize * math.prod(array.shard) > LIMIT:
        yield Finding(where, f"at most {LIMIT} bytes", f"{array.bytes}, in shards of {list(array.shard)}", _FIX)
    else:
        gone = [name for name in array.files() if not release.files.get(name)]
        for name in gone:
            yield Finding(name, "a chunk", "no such file, or an empty one: it would read as zeros", _FIX)
        if not gone:
            yield Summary(array, along, factor)


def _lowest(dtype: np.dtype[Any]) -> Any:
    """What every other value of a type is at least as large as; what no number was seen in keeps it."""
    if dtype.kind in "iu":
        return np.iinfo(dtype).min
    return -np.inf if dtype.kind == "f" else False


def _distinct(block: Array) -> Array:
    """The values of a block of labels, which come in runs along x."""
    rows = block.reshape(-1, block.shape[-1])
    first = np.ones(rows.shape, bool)
    np.not_equal(rows[:, 1:], rows[:, :-1], out=first[:, 1:])
    return union(rows[first])
