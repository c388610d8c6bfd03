"""NWB/HDF5 back in: image stacks as neuropack writes them, with ndx-microscopy 0.4, read with h5py alone.

The classes are told by the attribute ``neurodata_type`` of their groups. One MultiChannelMicroscopyContainer is one
image; containers that differ in a trailing ``_t000`` only are the time points of one. What NWB has no field for
(order, name and colour of a channel) is read from the JSON at the end of the descriptions.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from neuropack.axes import Array, Box, box_shape
from neuropack.errors import InputError
from neuropack.readers.problems import Original, from_system, unreadable
from neuropack.volume import Channel, Instrument, Volume, VoxelSize, stated

_MAGIC = b"\x89HDF\r\n\x1a\n"
_CONTAINER = "MultiChannelMicroscopyContainer"
_IMAGES = {  # class: (planar, with time)
    "VolumetricMicroscopyStaticImage": (False, False),
    "PlanarMicroscopyStaticImage": (True, False),
    "VolumetricMicroscopySeries": (False, True),
    "PlanarMicroscopySeries": (True, True),
}
_ROWS_BYTES = 4 << 20
_FAILURES = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError)
"""What h5py raises for a damaged file: which one depends on the place of the damage."""


def sniff(head: bytes, path: Path) -> bool:
    """True for HDF5 (also behind a user block) with NWB's version at its root, or too damaged to look."""
    if not any(head[at : at + 8] == _MAGIC for at in (0, 512, 1024, 2048)):
        return False
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "nwb_version" in file.attrs
    except _FAILURES:
        return True


def open_file(path: Path) -> tuple[Volume, ...]:
    """The images of an NWB file, one Volume per container; metadata only.

    Raises:
        InputError: the file is damaged, or holds no image of the kind that neuropack writes.
    """
    import h5py

    original = Original(path)
    try:
        with h5py.File(path, "r") as file:
            stacks = [_container(path, name, group) for name, group in _containers(file)]
            contents = "" if stacks else _contents(file)
            acquired = _text(file.get("session_start_time"))
    except _FAILURES as error:
        raise _damaged(path, None, error) from error
    if not stacks:
        raise InputError(
            "is an NWB file without an image stack",
            file=path,
            expected="images of ndx-microscopy, such as neuropack writes",
            found=contents,
            fix="read it with pynwb and save its pixels as OME-TIFF, then convert that",
        )
    stacks = _join_times(stacks)
    return tuple(_volume(original, stack, acquired, len(stacks) > 1) for stack in stacks)


def _damaged(path: Path, where: str | None, error: Exception) -> InputError:
    told = re.search(r"errno = ([1-9]\d*)", str(error))  # HDF5 has it in the text only
    system = OSError(int(told[1]), os.strerror(int(told[1]))) if told else from_system(error)
    if system:
        return unreadable(path, system, where=where)
    return InputError(
        "the HDF5 file is damaged or incomplete",
        file=path,
        where=where,
        expected="data that HDF5 can read",
        found=str(error),
        fix="copy the file again from its source and compare its checksum",
    )


@dataclass(frozen=True)
class _Stack:
    """One image as its containers describe it."""

    name: str
    planar: bool
    series: bool
    shape: tuple[int, ...]  # of one dataset
    chunks: tuple[int, ...] | None
    dtype: np.dtype[Any]
    channels: tuple[Channel, ...]
    voxel_size_um: VoxelSize
    origin_um: VoxelSize
    times_s: tuple[float, ...] | None
    instrument: Instrument
    datasets: tuple[tuple[str, ...], ...]  # one row per time point (one row for a series), one column per channel


def _containers(file: Any) -> Iterator[tuple[str, Any]]:
    """The image containers, and images that stand alone, in acquisition and in the processing modules."""
    import h5py

    places = [file["acquisition"]] if "acquisition" in file else []
    places += list(file["processing"].values()) if "processing" in file else []
    for place in places:
        for name, group in place.items():
            if isinstance(group, h5py.Group) and _kind(group) in (_CONTAINER, *_IMAGES):
                yield name, group


def _kind(group: Any) -> str:
    return str(group.attrs.get("neurodata_type", ""))


def _contents(file: Any) -> str:
    """What a foreign file holds, for the message."""
    import h5py

    kinds: list[str] = []

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and _kind(item):
            kinds.append(f"{_kind(item)} {name}")

    file.visititems(note)
    return ", ".join(kinds[:8]) + (", ..." if len(kinds) > 8 else "") or "nothing but session metadata"


def _container(path: Path, name: str, group: Any) -> _Stack:
    images = [group] if _kind(group) in _IMAGES else [g for g in group.values() if _kind(g) in _IMAGES]
    if not images:
        raise InputError("the container holds no image", file=path, where=group.name)
    told = [_facts(image["microscopy_channel"]) for image in images]
    order = sorted(range(len(images)), key=lambda i: (told[i].get("index", math.inf), images[i].name))
    images, told = [images[i] for i in order], [told[i] for i in order]
    kinds = {(_kind(image), image["data"].shape, image["data"].dtype.str) for image in images}
    if len(kinds) > 1:
        raise InputError(
            "the channels of a stack differ",
            file=path,
            where=group.name,
            expected="one class, shape and type",
            found="; ".join(f"{k} {s} {t}" for k, s, t in sorted(kinds)),
        )
    first, data = images[0], images[0]["data"]
    planar, series = _IMAGES[_kind(first)]
    if data.ndim != 3 - planar + series or data.dtype.kind not in "biuf":
        raise InputError(
            "the pixels are not those of an image",
            file=path,
            where=data.name,
            expected=f"{3 - planar + series} dimensions of numbers",
            found=f"{data.shape} {data.dtype}",
        )
    size, origin = _space(first["planar_imaging_space" if planar else "volumetric_imaging_space"], planar)
    return _Stack(
        name=name,
        planar=planar,
        series=series,
        shape=data.shape,
        chunks=data.chunks,
        dtype=np.dtype(bool) if told[0].get("dtype") == "bool" else data.dtype.newbyteorder("="),
        channels=tuple(_channel(i, t) for i, t in zip(images, told, strict=True)),
        voxel_size_um=size,
        origin_um=origin,
        times_s=_times(first) if series else None,
        instrument=_instrument(first),
        datasets=(tuple(f"{image.name}/data" for image in images),),
    )


def _facts(item: Any) -> dict[str, Any]:
    """The JSON that neuropack leaves at the end of a description; empty where there is none."""
    found = re.search(r"As stated: (\{.*\})$", str(item.attrs.get("description", "")), re.DOTALL)
    try:
        facts = json.loads(found[1]) if found else {}
    except ValueError:  # somebody has rewritten the sentence
        facts = {}
    return facts if isinstance(facts, dict) else {}


def _channel(image: Any, told: Mapping[str, Any]) -> Channel:
    """A channel: ours by what it was called in the source, another program's by its object's name and dye."""
    channel = image["microscopy_channel"]
    if "index" not in told:
        label = str(channel["indicator"].attrs.get("label", "unknown"))
        told = {"name": image.name.rpartition("/")[2], "fluorophore": None if label == "unknown" else label}
    words = {k: v if isinstance(v := told.get(k), str) else None for k in ("name", "fluorophore", "color")}
    return Channel(
        **words,
        excitation_nm=stated(channel.attrs.get("excitation_wavelength_in_nm")),
        emission_nm=stated(channel.attrs.get("emission_wavelength_in_nm")),
    )


def _space(space: Any, planar: bool) -> tuple[VoxelSize, VoxelSize]:
    """Voxel size and origin in (z, y, x); NWB lists (x, y, z)."""
    key = "pixel_size_in_um" if planar else "voxel_size_in_um"
    size = [stated(v) for v in space[key][()][::-1]] if key in space else []
    z, y, x = [None] * (3 - len(size)) + size
    origin = _facts(space).get("origin_zyx_um") or [None] * 3
    oz, oy, ox = (None if v is None else float(v) for v in origin)
    return (z, y, x), (oz, oy, ox)


def _times(series: Any) -> tuple[float, ...] | None:
    if "timestamps" in series:
        seconds = series["timestamps"][()]
        return tuple(float(s) for s in seconds - seconds[0])
    rate = stated(series["starting_time"].attrs.get("rate")) if "starting_time" in series else None
    return None if rate is None else tuple(i / rate for i in range(series["data"].shape[0]))


def _instrument(image: Any) -> Instrument:
    rig = image["microscopy_rig"]
    values: dict[str, Any] = {}
    if "microscope" in rig and "model" in rig["microscope"]:
        values |= _facts(rig["microscope"]["model"])
    if "objective_lens" in rig and "model" in rig["objective_lens"]:
        lens = rig["objective_lens"]["model"]
        values |= _facts(lens)
        values |= {k: stated(lens.attrs.get(k)) for k in ("magnification", "numerical_aperture")}
    known = Instrument.__dataclass_fields__
    return Instrument(**{k: v for k, v in values.items() if k in known})


def _text(dataset: Any) -> str | None:
    return None if dataset is None else str(dataset.asstr()[()])


def _join_times(stacks: list[_Stack]) -> list[_Stack]:
    """Put time points that lie in containers NAME_t000, NAME_t001 ... together."""
    by_base: dict[str, dict[int, _Stack]] = {}
    for stack in stacks:
        match = re.fullmatch(r"(.+)_t(\d{3,})", stack.name)
        if match and not stack.series:
            by_base.setdefault(match[1], {})[int(match[2])] = stack
    joined = list(stacks)
    for base, members in by_base.items():
        points = [members[t] for t in sorted(members)]
        alike = all(replace(s, name="", datasets=()) == replace(points[0], name="", datasets=()) for s in points)
        if len(points) > 1 and sorted(members) == list(range(len(points))) and alike:
            whole = replace(points[0], name=base, datasets=tuple(s.datasets[0] for s in points))
            joined = [whole if s is points[0] else s for s in joined if s is points[0] or s not in points]
    return joined


def _volume(original: Original, stack: _Stack, acquired: str | None, several: bool) -> Volume:
    zyx = stack.shape[1:] if stack.series else stack.shape
    timed = stack.series or len(stack.datasets) > 1
    times = stack.shape[0] if stack.series else len(stack.datasets)
    return Volume(
        path=original.path,
        format="NWB",
        scene=stack.name if several else None,
        native_axes=("T" if timed else "") + "C" + ("YX" if stack.planar else "ZYX"),
        native_shape=((times,) if timed else ()) + (len(stack.channels), *zyx),
        dtype=stack.dtype,
        pixels=_Pixels(original, stack, timed),
        voxel_size_um=stack.voxel_size_um,
        channels=stack.channels,
        times_s=stack.times_s,
        origin_um=stack.origin_um,
        acquired=acquired,
        instrument=stack.instrument,
    )


class _Pixels:
    """Boxes of the datasets of one image. HDF5 decodes whole chunks, one at a time, under its own lock."""

    def __init__(self, original: Original, stack: _Stack, timed: bool) -> None:
        self._path, self._original, self._stack, self._timed = original.path, original, stack, timed
        self._file: Any = None
        self._lock = Lock()

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Decode just this box of the axes (T)CYX or (T)CZYX."""
        if out is None:
            out = np.empty(box_shape(box), self._stack.dtype)
        times = box[0] if self._timed else slice(0, 1)
        channels, zyx = box[self._timed], box[self._timed + 1 :]
        by_time = out if self._timed else out[None]
        with self._lock:
            for c in range(channels.start, channels.stop):
                into = by_time[:, c - channels.start]
                if self._stack.series:
                    self._piece(0, c, (times, *zyx), into)
                    continue
                for t in range(times.start, times.stop):
                    self._piece(t, c, zyx, into[t - times.start])
        return out

    def _piece(self, time: int, channel: int, box: Box, into: Array) -> None:
        name = self._stack.datasets[time][channel]
        with self._original.unchanged(name):
            self._fill(name, box, into)

    def _fill(self, name: str, box: Box, into: Array) -> None:
        import h5py

        try:
            if self._file is None:
                self._file = h5py.File(self._path, "r")
            data = self._file[name]
            if into.flags.c_contiguous and into.dtype == data.dtype:
                data.read_direct(into, box)
            else:
                into[...] = data[box]
        except _FAILURES as error:
            raise _damaged(self._path, name, error) from error

    def native_blocks(self) -> Iterator[Box]:
        """One chunk of one channel at a time; rows of some MiB where the dataset has no chunks."""
        stack = self._stack
        *_, height, width = stack.shape
        rows = min(height, max(1, _ROWS_BYTES // (width * stack.dtype.itemsize)))
        steps = stack.chunks or (1,) * (len(stack.shape) - 2) + (rows, width)
        grid = [range(0, n, step) for n, step in zip(stack.shape, steps, strict=True)]
        if not stack.series:
            grid.insert(0, range(len(stack.datasets)))
            steps = (1, *steps)
        lengths = (stack.shape[0] if stack.series else len(stack.datasets), *stack.shape[int(stack.series) :])
        for corner in product(grid[0], range(len(stack.channels)), *grid[1:]):
            t, c, *zyx = corner
            inner = tuple(slice(i, min(i + s, n)) for i, s, n in zip((t, *zyx), steps, lengths, strict=True))
            box = (inner[0], slice(c, c + 1), *inner[1:])
            yield box if self._timed else box[1:]

    @property
    def cheap_parts(self) -> bool:
        """True for datasets without chunks."""
        return self._stack.chunks is None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
