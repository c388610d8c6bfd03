"""What OME-Zarr says beside its levels: types of axes, windows, label images; and nothing that nobody names."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from neuropack.rules import Finding, ReleaseFiles, rule
from neuropack.rules.ome_zarr import OmeZarr
from neuropack.rules.summaries import find_summaries
from neuropack.rules.zarr_array import ZarrArray

OME = ("attributes", "ome")
TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
OWN = {"labels", "OME", "projections", "label_values"}
DEEPEST = 7
MOST_LISTED = 10_000
CORRECT = "correct zarr.json, or build the release again"


@rule(id="ome-zarr.axis-types", level="error", reads="text")
def axis_types(release: ReleaseFiles) -> Iterator[Finding]:
    """Each axis says what it is: time for t, channel for c, space for z, y and x.

    By the types a program knows which axes can be measured along, and which are to be shown one at a time.

    Write the types in zarr.json, or build the release again.
    """
    for image in release.images:
        axes: list[dict[str, Any]] = image.ome["multiscales"][0]["axes"]
        for i, axis in enumerate(axes):
            if axis.get("type") != TYPES[image.axes[i]]:
                where = image.meta.where(*OME, "multiscales", 0, "axes", i)
                found = f"{axis.get('type')!r:.100} for {image.axes[i]}"
                yield Finding(where, f"the type {TYPES[image.axes[i]]}", found, CORRECT)


@rule(id="ome-zarr.dimension-names", level="error", reads="text")
def dimension_names(release: ReleaseFiles) -> Iterator[Finding]:
    """Where the array of a level names its dimensions, they are the axes of the image.

    OME-Zarr wants them to be the same; a program that reads the array alone takes its axes from them.

    Correct dimension_names in the zarr.json of the level, or build the release again.
    """
    for image in release.images:
        for level in image.levels:
            meta = release.json(level.folder + "/zarr.json") if level.array is not None else None
            names = meta.data.get("dimension_names") if meta is not None else None
            if meta is not None and names is not None and names != list(image.axes):
                expected = ", ".join(image.axes) + f", as {image.folder} has"
                yield Finding(meta.where("dimension_names"), expected, f"{names!r:.200}", CORRECT)


@rule(id="ome-zarr.window", level="warning", reads="text")
def window(release: ReleaseFiles) -> Iterator[Finding]:
    """The window in which a channel is shown lies in its range, and does not end before it starts.

    A viewer shows a black image, or an inverted one, and the person takes it for the data.

    Correct the window in zarr.json, or build the release again.
    """
    for image in release.images:
        omero = image.ome.get("omero")
        channels = omero.get("channels") if isinstance(omero, dict) else None
        for i, channel in enumerate(channels if isinstance(channels, list) else ()):
            shown = channel.get("window") if isinstance(channel, dict) else None
            if isinstance(shown, dict) and not _sane(shown):
                where = image.meta.where(*OME, "omero", "channels", i, "window")
                yield Finding(where, "min <= start < end <= max", f"{shown!r:.200}", CORRECT)


def _sane(shown: dict[str, Any]) -> bool:
    try:
        low, start, end, high = (float(shown[k]) for k in ("min", "start", "end", "max"))
    except (KeyError, TypeError, ValueError, OverflowError):
        return False
    # a channel of the greatest value alone is shown up to one above it
    return all(map(math.isfinite, (low, start, end, high))) and low <= start < end <= high + 1


@rule(id="ome-zarr.label-source", level="error", reads="text")
def label_source(release: ReleaseFiles) -> Iterator[Finding]:
    """The image that a label image names as its source is in the release.

    A viewer lays the labels over it.

    Correct the path in image-label, or build the release again.
    """
    known = {image.folder for image in release.images}
    for image in release.images:
        label = image.ome.get("image-label")
        source = label.get("source") if isinstance(label, dict) else None
        path = source.get("image", "../../") if isinstance(source, dict) else None
        if path is not None:
            folder = posixpath.normpath(f"{image.folder}/{path}")
            if not isinstance(path, str) or folder not in known:
                where = image.meta.where(*OME, "image-label", "source")
                yield Finding(where, "the path of an image of the release", f"{path!r:.200}", CORRECT)


@rule(id="ome-zarr.label-colors", level="error", reads="text")
def label_colors(release: ReleaseFiles) -> Iterator[Finding]:
    """Colours and properties of labels are of whole numbers, each once; a colour is four numbers from 0 to 255.

    Of two colours for one label each viewer takes another.

    Correct image-label in zarr.json, or build the release again.
    """
    for image in release.images:
        label = image.ome.get("image-label")
        for key in ("colors", "properties"):
            entries: Any = label.get(key) if isinstance(label, dict) else None
            seen: set[int] = set()
            for i, entry in enumerate(entries if isinstance(entries, list) else ()):
                value = entry.get("label-value") if isinstance(entry, dict) else None
                color = entry.get("rgba") if isinstance(entry, dict) and key == "colors" else None
                if type(value) is not int or value in seen or not (color is None or _is_color(color)):
                    where = image.meta.where(*OME, "image-label", key, i)
                    yield Finding(
                        where, "a label of its own, and a colour of four bytes", f"{entry!r:.200}", CORRECT
                    )
                    break
                seen.add(value)


def _is_color(rgba: Any) -> bool:
    return isinstance(rgba, list) and len(rgba) == 4 and all(type(v) is int and 0 <= v <= 255 for v in rgba)


@rule(id="ome-zarr.stray", level="warning", reads="text")
def stray(release: ReleaseFiles) -> Iterator[Finding]:
    """An OME-Zarr holds what its metadata name: no level that is none, and no chunk outside of its array.

    What is left of an earlier image is published with the new one, and nobody sees it.

    Remove it, or build the release again.
    """
    arrays = {v.folder: v.array for image in release.images for v in image.levels if v.array is not None}
    unread = {v.folder for image in release.images for v in image.levels} - set(arrays)
    for image in release.images:
        if image.folder.count(".ome.zarr") != 1 or not image.folder.endswith(".ome.zarr"):
            continue  # labels inside of an image
        if any(level.array is None for level in image.levels):
            continue  # its files may be those of the level that other rules miss
        inside = [f for f in (*arrays, *unread) if f.startswith(image.folder + "/")]
        found: dict[str, list[str]] = {}
        for name in release.below(image.folder):
            first = name.removeprefix(image.folder + "/").split("/", 1)[0]
            last = name.rsplit("/", 1)[-1]
            if first in OWN or last.startswith(".") or last.endswith(".partial") or last == "Thumbs.db":
                continue
            level = next((f for f in inside if name.startswith(f + "/")), None)
            if name == image.meta.name or level in unread:
                continue
            if level is None or not _of_array(arrays[level], name):
                found.setdefault(first, []).append(name)
        for names in found.values():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield Finding(names[0], "files that the metadata of the image name", f"{names[0]}{more}", "remove it")


def _of_array(array: ZarrArray, name: str) -> bool:
    """Whether a file is the metadata of an array, or a chunk inside of it."""
    key = name.removeprefix(array.folder + "/")
    if key == "zarr.json":
        return True
    parts = re.split("[/.]", key)
    if array.prefix:
        if parts[0] != array.prefix:
            return False
        parts = parts[1:]
    inside = len(parts) == len(array.grid) and all(p.isascii() and p.isdigit() and len(p) < 12 for p in parts)
    return inside and all(int(p) < n for p, n in zip(parts, array.grid, strict=True))


@rule(id="ome-zarr.depth", level="warning", reads="names")
def depth(release: ReleaseFiles) -> Iterator[Finding]:
    """No file lies deeper than seven levels inside of an OME-Zarr.

    The DANDI archive takes none that does.

    Store labels as images of their own, beside the image, as neuropack does.
    """
    told: set[str] = set()
    for name in release.files:
        root, ending, inside = name.partition(".ome.zarr/")
        if ending and root not in told and inside.count("/") >= DEEPEST:
            told.add(root)
            fix = "store what lies so deep as an image of its own"
            yield Finding(
                name, f"at most {DEEPEST} names inside of {root}.ome.zarr", f"{inside.count('/') + 1}", fix
            )


@rule(id="annotations.label-map", level="warning", reads="text")
def label_map(release: ReleaseFiles) -> Iterator[Finding]:
    """The labels that the metadata name are in the label image, and those in the image are named.

    A name without a voxel is a neuron that was not segmented, or was merged into another; a value without a name is
    one that nobody can look up.

    Correct the label map in the study, or the labels, and build the release again.
    """
    images = {image.folder: image for image in release.images if image.is_label}
    for i, record in release.records("annotations"):
        image, entries = images.get(str(record.get("path"))), record.get("label_map")
        if record.get("kind") != "labels" or image is None or not isinstance(entries, list) or not entries:
            continue
        named = {e["value"] for e in entries if isinstance(e, dict) and type(e.get("value")) is int} - {0}
        values = _values(release, image)
        if values is None or release.metadata is None:
            continue
        where, fix = release.metadata.where("annotations", i, "label_map"), "correct the label map, or the labels"
        if gone := sorted(named - values):
            yield Finding(where, f"labels of {image.folder}", f"no voxel has {_some(gone)}", fix)
        if len(values) <= MOST_LISTED and (more := sorted(values - named)):
            yield Finding(where, f"a name for each label of {image.folder}", f"none for {_some(more)}", fix)


def _values(release: ReleaseFiles, image: OmeZarr) -> set[int] | None:
    """The values of a label image that are stored beside it, which ome-zarr.summary-pixels checks."""
    for summary in find_summaries(release, image)[0]:
        stored = summary.stored(release) if not summary.along else None
        if isinstance(stored, np.ndarray) and stored.dtype.kind in "iu":
            return set(stored.tolist())
    return None


def _some(values: list[int]) -> str:
    return ", ".join(map(str, values[:10])) + (f" and {len(values) - 10} more" if len(values) > 10 else "")
