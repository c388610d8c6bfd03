"""The hub between every reader and every writer: an image that is read box by box."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np

from neuropack.axes import Array, AxisMap, Box, box_shape, example, full_box, overlap, relabel, relative
from neuropack.errors import InputError, UnreadableError, UsageError

Source = Literal["file", "user", "missing"]
VoxelSize = tuple[float | None, float | None, float | None]
MICROMETRE = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}
"""Micrometre in each unit of length that OME-Zarr knows and microscopes use."""
_ZYX = ("z", "y", "x")


class Pixels(Protocol):
    """What a reader implements: decoding boxes of its file, in the file's own axes. Safe to call from threads."""

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Decode just this box of the native axes; the result has the box's shape.

        Args:
            box: slices with start and stop, one per native axis.
            out: an array of the box's shape and the image's dtype, with any strides, to decode into; it is returned
                then. A reader that cannot do so ignores it and returns another array.
        """
        ...

    def native_blocks(self) -> Iterator[Box]:
        """The native boxes, in the order in which the file is cheapest to read: each raw block once."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


@runtime_checkable
class StreamedPixels(Pixels, Protocol):
    """What a reader implements besides that can decode less than a native block."""

    def stream(self, box: Box, limit: int) -> Iterator[tuple[Box, Array]]:
        """Decode a box of the native axes in pieces of about `limit` bytes, in the file's order, each unit once."""
        ...

    def piece_bytes(self) -> int:
        """Memory that the smallest piece needs, with what its decoder takes."""
        ...


@runtime_checkable
class DistantPixels(Pixels, Protocol):
    """What a reader implements besides whose every read is a request to a server far away."""

    def expect(self, boxes: Sequence[Box]) -> None:
        """Begin to fetch what boxes of the native axes will need, the first ones first; returns at once."""
        ...


@dataclass(frozen=True)
class Channel:
    """One channel as the file or the user describes it; what neither says is None. colour: RRGGBB."""

    name: str | None = None
    fluorophore: str | None = None
    excitation_nm: float | None = None
    emission_nm: float | None = None
    color: str | None = None


@dataclass(frozen=True)
class Instrument:
    """The microscope as the file or the user describes it."""

    manufacturer: str | None = None
    model: str | None = None
    objective: str | None = None
    magnification: float | None = None
    numerical_aperture: float | None = None
    immersion: str | None = None


def stated(value: Any, smallest: float = 1e-6) -> float | None:
    """A positive, finite length or None. Formats and libraries write 0, -1, 1e-13 or nan for "not known"."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number > smallest else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """A lazily readable image of one file or scene. Axes are CZYX, with T in front where there is time.

    A reader fills a field only with what the file states and leaves None where it says nothing: `sources` is
    derived from that. A voxel size that is not stated stays None; it is never 1.

    Attributes:
        path: the file, or the folder of a multi-file image.
        format: the format as a person calls it, such as ``OME-TIFF``.
        scene: name of the scene where a file holds several images, else None.
        native_axes: the file's own dimensions, a letter each: the axes that `pixels` speaks.
        native_shape: their lengths.
        dtype: of the pixels, in the machine's byte order.
        pixels: the decoder.
        voxel_size_um: (z, y, x) in micrometre.
        channels: one per channel; filled up with empty ones where the file describes fewer.
        times_s: the time of each frame in seconds from the first, where the file states it.
        origin_um: position (z, y, x) of the first voxel's centre, micrometre: of the stage, or in `frame`.
        frame: the frame in which the image lies, such as ``AllenCCFv3``: there z, y, x are AP, DV, LR. None where
            that is no other than its own.
        labels: True where the file says that its values are labels.
        made_by: what was done to the pixels of the file, where these are others; all that decides their values.
        files: all files that the pixels come from, where these are several and `path` does not hold them alone.
        acquired: start of the acquisition, ISO 8601, with a zone only where the file states one.
        instrument: the microscope.
        levels: the coarser levels of a pyramid, each a Volume; empty where there are none.
        user: the paths of the fields that the user stated.
    """

    path: Path
    format: str
    native_axes: str
    native_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pixels: Pixels
    scene: str | None = None
    voxel_size_um: VoxelSize = (None, None, None)
    channels: tuple[Channel, ...] = ()
    times_s: tuple[float, ...] | None = None
    origin_um: VoxelSize = (None, None, None)
    frame: str | None = None
    labels: bool = False
    made_by: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    acquired: str | None = None
    instrument: Instrument = field(default_factory=Instrument)
    levels: tuple[Volume, ...] = ()
    user: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        try:
            count = 0 if self.axis_map.unknown else self.shape[self.axes.index("C")]
        except ValueError as error:  # axes and shape of the file disagree
            raise InputError(f"the file contradicts itself: {error}", file=self.path) from error
        channels = self.channels[:count] if count else self.channels
        object.__setattr__(self, "channels", channels + (Channel(),) * (count - len(channels)))

    @cached_property
    def axis_map(self) -> AxisMap:
        """The mapping from the file's dimensions to the canonical ones."""
        return AxisMap(self.native_axes, self.native_shape)

    @property
    def axes(self) -> str:
        """``CZYX`` or ``TCZYX``; the file's own letters while some of them mean nothing."""
        return self.axis_map.axes

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths along `axes`."""
        return self.axis_map.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size_zyx(self) -> tuple[int, int, int]:
        """Number of planes, rows and columns."""
        z, y, x = self.shape[-3:]
        return z, y, x

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.shape[self.axes.index("C")]

    @property
    def n_times(self) -> int:
        """Number of time points, 1 where there is no time axis."""
        return self.shape[0] if self.axes[0] == "T" else 1

    @property
    def planar(self) -> bool:
        """True for a single plane whose z spacing nobody stated: it is written as an image, not a volume."""
        return self.size_zyx[0] == 1 and self.voxel_size_um[0] is None

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels, decoded."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def sources(self) -> dict[str, Source]:
        """Where every field comes from, by path: ``file``, ``user`` or ``missing``."""
        values: dict[str, Any] = {"axes": None if self.axis_map.unknown else self.axes}
        for name in ("voxel_size_um", "origin_um"):
            values |= {f"{name}.{a}": v for a, v in zip(_ZYX, getattr(self, name), strict=True)}
        for i, channel in enumerate(self.channels):
            values |= {f"channels.{i}.{k}": v for k, v in asdict(channel).items()}
        if "T" in self.axes:
            values["times_s"] = self.times_s
        values["acquired"] = self.acquired
        values |= {f"instrument.{k}": v for k, v in asdict(self.instrument).items()}
        return {
            path: "user" if path in self.user else "missing" if value is None else "file"
            for path, value in values.items()
        }

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Decode a box (a slice with start and stop per axis).

        Args:
            box: in the canonical axes.
            out: an array of the box's shape that holds the image's dtype without loss; it is filled and returned,
                and no memory of the block's size is taken where the reader can decode into it. None: a new array.

        Raises:
            InputError: the file has changed, is damaged or cannot be read.
            ValueError, TypeError: `out` has another shape, or a dtype that cannot hold the pixels.
        """
        native = self.axis_map.to_native(box)
        if out is None:
            with self._reading():
                return self._canonical(self.pixels.read(native), native, box)
        if out.shape != box_shape(box):
            raise ValueError(f"an array of {out.shape} for a box of {box_shape(box)}")
        view = self.axis_map.native_view(out, box) if out.dtype == self.dtype else None
        with self._reading():
            block = self.pixels.read(native) if view is None else self.pixels.read(native, view)
        if block is not view:
            np.copyto(out, self._canonical(block, native, box), casting="safe")
        return out

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """What the system says of the file, as an error about the file."""
        try:
            yield
        except OSError as error:
            raise UnreadableError(
                f"cannot be read: {error.strerror or error}",
                file=error.filename or self.path,
                fix="see that the disk or the network share is there and whole, then run the same command again",
            ) from error

    @property
    def distant(self) -> bool:
        """True where each read waits for a server: what will be wanted is then better said before, by `expect`."""
        return isinstance(self.pixels, DistantPixels)

    def expect(self, boxes: Sequence[Box]) -> None:
        """Say what will be read soon, so that a server is asked for it together. Never fails, and does not wait.

        Args:
            boxes: in the canonical axes, the most urgent ones first; a reader fetches as many as it keeps.
        """
        if isinstance(self.pixels, DistantPixels):
            self.pixels.expect([self.axis_map.to_native(box) for box in boxes])

    def _canonical(self, block: Array, native: Box, box: Box) -> Array:
        """The pixels of a canonical box among those read from a native box."""
        whole = self.axis_map.arrange(block)
        return whole[relative(box, self.axis_map.to_canonical(native))].astype(self.dtype, copy=False)

    def stream(self, box: Box, limit: int) -> Iterator[tuple[Box, Array]]:
        """Decode a box in pieces, in the order of the file, each raw unit once: for boxes larger than memory.

        Args:
            box: in the canonical axes.
            limit: bytes of one piece, decoded; a piece is larger where it is a unit that cannot be decoded in part.

        Yields:
            boxes that tile the given one, and their pixels.

        Raises:
            InputError: the file has changed, is damaged or cannot be read.
        """
        native = self.axis_map.to_native(box)
        if isinstance(self.pixels, StreamedPixels):
            pieces = self.pixels.stream(native, limit)
        else:
            parts = (overlap(block, native) for block in self.pixels.native_blocks())
            pieces = ((part, self.pixels.read(part)) for part in parts if part)
        while True:
            with self._reading():
                part, block = next(pieces, (None, None))
            if part is None or block is None:
                return
            piece = overlap(self.axis_map.to_canonical(part), box)
            if piece:
                yield piece, self._canonical(block, part, piece)
            del block  # or it would still be there while the next one is decoded

    def piece_bytes(self) -> int:
        """Memory that `stream` needs for its smallest piece: a raw block, or what its reader can decode of one."""
        if isinstance(self.pixels, StreamedPixels):
            return self.pixels.piece_bytes()
        sizes = {math.prod(box_shape(block)) for block in self.pixels.native_blocks()}
        return 3 * max(sizes) * self.dtype.itemsize  # as stored, as the library decodes it, and as it is wanted

    @property
    def overhead_bytes(self) -> int:
        """What the reader keeps in memory beside blocks: its libraries, decoded units that it may need again."""
        return int(getattr(self.pixels, "overhead_bytes", 32 << 20))

    @property
    def cheap_parts(self) -> bool:
        """True where reading a part of a native block costs no more than that part: nothing needs to be decoded."""
        return bool(getattr(self.pixels, "cheap_parts", False))

    def native_blocks(self) -> Iterator[Box]:
        """Canonical boxes in the order and units in which the file is cheapest to read; they tile the image."""
        for box in self.pixels.native_blocks():
            yield self.axis_map.to_canonical(box)

    def __getitem__(self, key: Any) -> Array:
        """NumPy's basic indexing, read from the file: ``volume[c, z0:z1, y0:y1, x0:x1]``."""
        keys = key if isinstance(key, tuple) else (key,)
        if Ellipsis in keys:
            at = keys.index(Ellipsis)
            keys = keys[:at] + (slice(None),) * (self.ndim - len(keys) + 1) + keys[at + 1 :]
        if len(keys) > self.ndim:
            raise IndexError(f"{len(keys)} indices for the axes {self.axes}")
        keys += (slice(None),) * (self.ndim - len(keys))
        box: list[slice] = []
        pick: list[slice | int] = []
        for k, n, axis in zip(keys, self.shape, self.axes, strict=True):
            if isinstance(k, slice):
                start, stop, step = k.indices(n)
                if step < 1:
                    raise IndexError("a step must be positive")
                box.append(slice(start, max(start, stop)))
                pick.append(slice(None, None, step))
            else:
                i = operator.index(k)
                if not -n <= i < n:
                    raise IndexError(f"index {i} is outside axis {axis} of length {n}")
                box.append(slice(i % n, i % n + 1))
                pick.append(0)
        if any(s.start == s.stop for s in box):
            empty = np.empty([s.stop - s.start for s in box], self.dtype)
            return empty[tuple(pick)]
        return self.read(tuple(box))[tuple(pick)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.read(full_box(self.shape)), dtype=dtype)

    def level(self, number: int) -> Volume:
        """A level of the pyramid; 0 is the full resolution.

        Raises:
            IndexError: there is no such level.
        """
        if not 0 <= number <= len(self.levels):
            raise IndexError(f"level {number} is none of the levels 0 to {len(self.levels)}")
        return (self, *self.levels)[number]

    def with_axes(self, given: str) -> Volume:
        """The same image with the file's dimensions named by the user, one letter of TCZYXS for each."""
        axis_map = relabel(self.native_axes, self.native_shape, given)
        return replace(self, native_axes=axis_map.native, user=self.user | {"axes"})

    def with_voxel_size(self, zyx: VoxelSize) -> Volume:
        """The same image with a voxel size stated by the user; None keeps what the file says."""
        z, y, x = (n if n is not None else o for n, o in zip(zyx, self.voxel_size_um, strict=True))
        paths = {f"voxel_size_um.{a}" for a, new in zip(_ZYX, zyx, strict=True) if new is not None}
        return replace(self, voxel_size_um=(z, y, x), user=self.user | paths)

    def with_channels(self, stated_by_user: tuple[Channel, ...]) -> Volume:
        """The same image with channels described by the user; what a Channel leaves None stays the file's."""
        if len(stated_by_user) != self.n_channels:
            raise UsageError(
                "the number of channels described is not that of the image",
                file=self.path,
                expected=f"{self.n_channels} channels",
                found=f"{len(stated_by_user)} described",
                fix="describe every channel, in the file's order",
            )
        channels, paths = [], set()
        for i, (old, new) in enumerate(zip(self.channels, stated_by_user, strict=True)):
            told = {k: v for k, v in asdict(new).items() if v is not None}
            channels.append(replace(old, **told))
            paths |= {f"channels.{i}.{k}" for k in told}
        return replace(self, channels=tuple(channels), user=self.user | paths)

    def require_voxel_size(self) -> None:
        """Refuse to go on while nobody stated the voxel size; the z of a single plane is not needed.

        Raises:
            UsageError: names the flag.
        """
        lacking = [a for a, v in zip(_ZYX, self.voxel_size_um, strict=True) if v is None]
        if lacking == ["z"] and self.size_zyx[0] == 1:
            lacking = []
        if lacking:
            shown = ", ".join("?" if v is None else f"{v:g}" for v in self.voxel_size_um)
            raise UsageError(
                f"the file does not state its voxel size along {', '.join(lacking)}",
                file=self.path,
                expected="the size along z, y and x in micrometre",
                found=f"z, y, x = {shown}",
                fix="give it with --voxel-size z,y,x (in micrometre), as the microscope's log has it",
            )

    def require_axes(self) -> None:
        """Refuse to go on while the meaning of an axis is not known.

        Raises:
            UsageError: names the flag and the axes in question.
        """
        if self.axis_map.unknown:
            shown = " x ".join(f"{a}={n}" for a, n in zip(self.native_axes, self.native_shape, strict=True))
            raise UsageError(
                "the file does not say what its axes mean",
                file=self.path,
                expected="one letter of T C Z Y X S for each dimension",
                found=f"{shown}: {', '.join(self.axis_map.unknown)} unknown",
                fix=f"give them with --axes, for example --axes {example(self.ndim)}",
            )

    def close(self) -> None:
        """Close the file."""
        self.pixels.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        lengths = " ".join(f"{a}={n}" for a, n in zip(self.axes, self.shape, strict=True))
        size = " x ".join("?" if v is None else f"{v:g}" for v in self.voxel_size_um)
        names = ", ".join(c.name or "unnamed" for c in self.channels)
        scene = f", scene {self.scene!r}" if self.scene else ""
        return (
            f"<Volume {self.path.name}{scene} ({self.format}): {lengths} {self.dtype}, "
            f"voxel {size} um (z, y, x), channels: {names or 'unknown'}"
            + (f", {len(self.levels) + 1} levels" if self.levels else "")
            + ">"
        )

    def describe(self) -> dict[str, Any]:
        """The record that ``neuropack inspect --json`` prints."""
        sources: Mapping[str, Source] = self.sources
        return {
            "file": str(self.path),
            "format": self.format,
            "scene": self.scene,
            "axes": self.axes,
            "shape": list(self.shape),
            "dtype": self.dtype.name,
            "voxel_size_um": list(self.voxel_size_um),
            "channels": [asdict(c) for c in self.channels],
            "times_s": None if self.times_s is None else list(self.times_s),
            "origin_um": list(self.origin_um),
            "acquired": self.acquired,
            "instrument": asdict(self.instrument),
            "levels": [list(level.shape) for level in (self, *self.levels)],
            "sources": dict(sources),
            **({"frame": self.frame} if self.frame else {}),
            **({"labels": True} if self.labels else {}),
            **({"made_by": dict(self.made_by)} if self.made_by else {}),
        }


class ArrayPixels:
    """Pixels that are in memory already."""

    cheap_parts = True
    overhead_bytes = 0

    def __init__(self, array: Array) -> None:
        self._array = array

    def read(self, box: Box, out: Array | None = None) -> Array:
        """A copy of the box."""
        if out is None:
            return self._array[box].copy()
        out[...] = self._array[box]
        return out

    def native_blocks(self) -> Iterator[Box]:
        """The whole array."""
        yield full_box(self._array.shape)

    def close(self) -> None:
        """Nothing is open."""


def from_array(array: Array, axes: str, *, path: Path | str = "array", **fields: Any) -> Volume:
    """An image from an array in memory.

    Args:
        array: the pixels.
        axes: one letter of TCZYXS for each dimension of the array.
        path: a name to show in messages.
        fields: further fields of `Volume`, such as ``voxel_size_um=(z, y, x)``.
    """
    return Volume(
        path=Path(path),
        format="array",
        native_axes=axes,
        native_shape=array.shape,
        dtype=array.dtype,
        pixels=ArrayPixels(array),
        **fields,
    )
