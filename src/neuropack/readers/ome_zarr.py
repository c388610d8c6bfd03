"""OME-Zarr 0.4 (Zarr v2) and 0.5 (Zarr v3): images and labels with their pyramid."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from neuropack.axes import Array, Box, box_shape, overlap
from neuropack.errors import InputError
from neuropack.readers.problems import Original, from_system, unreadable
from neuropack.volume import MICROMETRE, Channel, Instrument, Volume, VoxelSize, stated

_SECOND = {"nanosecond": 1e-9, "microsecond": 1e-6, "millisecond": 1e-3, "second": 1.0, "minute": 60.0}
MAX_JSON = 64 << 20  # bytes
T = TypeVar("T", Channel, Instrument)


def sniff(head: bytes, path: Path) -> bool:
    """A folder with a Zarr node at its root."""
    return path.is_dir() and ((path / "zarr.json").is_file() or (path / ".zattrs").is_file())


class Folder(Protocol):
    """Where an OME-Zarr lies: a folder of this machine, or elsewhere."""

    @property
    def path(self) -> Path:
        """What messages call it."""
        ...

    def read(self, name: str) -> bytes | None:
        """A metadata file; None where there is none.

        Raises:
            InputError: it is too large, or cannot be read.
        """
        ...

    def expect(self, names: Sequence[str]) -> None:
        """Told which arrays will be opened."""
        ...

    def array(self, name: str) -> Any:
        """An array in it, as zarr opens it. Raises what zarr likes."""
        ...

    def pixels(self, array: Any, name: str, *, complete: bool) -> ZarrPixels:
        """The pixels of an array; of a `complete` one every shard must be there."""
        ...


class _Local:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes | None:
        file = self.path / name
        if not file.is_file():
            return None
        try:
            if file.stat().st_size > MAX_JSON:
                raise too_large(file)
            return file.read_bytes()
        except OSError as error:
            raise InputError(f"is not readable JSON: {error}", file=file) from error

    def expect(self, names: Sequence[str]) -> None:
        pass

    def array(self, name: str) -> Any:
        import zarr

        return zarr.open_array(self.path / name, mode="r")

    def pixels(self, array: Any, name: str, *, complete: bool) -> ZarrPixels:
        return LocalPixels(array, self.path / name, complete=complete)


def too_large(file: Path) -> InputError:
    """The error of a metadata file that no program wrote as such."""
    return InputError("is too large for a metadata file", file=file, expected="at most 64 MiB")


def open_file(path: Path) -> tuple[Volume, ...]:
    """Open the image of an OME-Zarr; its levels are in `Volume.levels`.

    Raises:
        InputError: the metadata is damaged or describes no image.
    """
    return open_folder(_Local(path))


def open_folder(folder: Folder) -> tuple[Volume, ...]:
    """The same, wherever it lies."""
    attributes = _attributes(folder)
    ome = attributes.get("ome", attributes)
    record = attributes.get("neuropack")
    described = record.get("image") if isinstance(record, dict) else None
    try:
        multiscale = ome["multiscales"][0]
        axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in multiscale["axes"]]
        native = "".join(str(axis["name"]).upper() for axis in axes)
        datasets = [(str(d["path"]), _scale(d, multiscale)) for d in multiscale["datasets"]]
        folder.expect([name for name, _ in datasets])
        levels = [
            _level(folder, name, scale, axes, native, ome, complete=bool(described)) for name, scale in datasets
        ]
        fields = levels[0] | (_ours(described) if isinstance(described, dict) else {})
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            "the OME-Zarr metadata does not describe an image",
            file=folder.path,
            where="zarr.json",
            expected="attributes.ome.multiscales with axes and datasets (OME-Zarr 0.4 or 0.5)",
            found=f"{type(error).__name__}: {error}",
        ) from error
    return (Volume(**fields, levels=tuple(Volume(**level) for level in levels[1:])),)


def _attributes(folder: Folder) -> dict[str, Any]:
    for name in ("zarr.json", ".zattrs"):
        data = folder.read(name)
        if data is None:
            continue
        try:
            node = json.loads(data.decode("utf-8"))
        except ValueError as error:
            raise InputError(f"is not readable JSON: {error}", file=folder.path / name) from error
        attributes = node.get("attributes", {}) if name == "zarr.json" and isinstance(node, dict) else node
        if isinstance(attributes, dict):
            return attributes
    raise InputError("holds no attributes of an image", file=folder.path, expected="an OME-Zarr 0.4 or 0.5 image")


def _scale(dataset: Mapping[str, Any], multiscale: Mapping[str, Any]) -> list[float]:
    """The product of the scales of a level and of the whole image."""
    scale: list[float] = []
    for part in (dataset, multiscale):
        for transform in part.get("coordinateTransformations", ()):
            if transform.get("type") == "scale":
                new = [float(v) for v in transform["scale"]]
                scale = [a * b for a, b in zip(scale, new, strict=True)] if scale else new
    return scale


def _level(
    folder: Folder,
    name: str,
    scale: list[float],
    axes: list[dict[str, Any]],
    native: str,
    ome: dict[str, Any],
    *,
    complete: bool,
) -> dict[str, Any]:
    """The fields of one level's Volume."""
    path = folder.path
    try:
        array = folder.array(name)
    except InputError:
        raise
    except Exception as error:  # zarr raises many kinds; each means that this level cannot be opened
        raise InputError(
            f"level {name} cannot be opened", file=path, where=name, found=f"{type(error).__name__}: {error}"
        ) from error
    if len(scale) != len(native):
        scale = [float("nan")] * len(native)
    by_axis = {letter: (value, axis.get("unit")) for letter, value, axis in zip(native, scale, axes, strict=True)}

    def length(letter: str) -> float | None:
        value, unit = by_axis.get(letter, (None, None))
        factor = MICROMETRE.get(str(unit))
        return None if factor is None or value is None else stated(value * factor)

    voxel: VoxelSize = (length("Z"), length("Y"), length("X"))
    interval, unit = by_axis.get("T", (None, None))
    times = None
    if interval is not None and str(unit) in _SECOND and np.isfinite(interval):
        frames = array.shape[native.index("T")]
        times = tuple(float(v) for v in np.arange(frames) * interval * _SECOND[str(unit)])
    return {
        "path": path,
        "format": "OME-Zarr",
        "native_axes": native,
        "native_shape": tuple(array.shape),
        "dtype": np.dtype(array.dtype).newbyteorder("="),
        "pixels": folder.pixels(array, name, complete=complete),
        "voxel_size_um": voxel,
        "channels": _channels(ome),
        "times_s": times,
        "labels": "image-label" in ome,
    }


def _channels(ome: Mapping[str, Any]) -> tuple[Channel, ...]:
    channels = ome.get("omero", {}).get("channels", ()) if isinstance(ome.get("omero"), dict) else ()
    return tuple(
        Channel(name=c.get("label") or None, color=str(c["color"]).upper() if c.get("color") else None)
        for c in channels
    )


def _ours(image: Mapping[str, Any]) -> dict[str, Any]:
    """What neuropack's own record says of the image beyond OME: unknown names stay unknown."""
    known: dict[str, Any] = {
        "channels": tuple(_typed(Channel, c) for c in image.get("channels", ())),
        "instrument": _typed(Instrument, image.get("instrument", {})),
    }
    if image.get("acquired") is not None:
        known["acquired"] = datetime.fromisoformat(image["acquired"]).isoformat()
    if image.get("times_s") is not None:
        known["times_s"] = tuple(float(t) for t in image["times_s"])
    if image.get("frame") is not None:  # elsewhere the origin is that of the stage, which the copy does not have
        z, y, x = (float(v) for v in image["origin_um"])
        known |= {"frame": str(image["frame"]), "origin_um": (z, y, x)}
    return known


def _typed(kind: Callable[..., T], data: Mapping[str, Any]) -> T:
    """A record of ours with numbers where numbers belong and text elsewhere: anybody may have edited it."""
    numbers = {"excitation_nm", "emission_nm", "magnification", "numerical_aperture"}
    return kind(**{k: v if v is None else float(v) if k in numbers else str(v) for k, v in data.items()})


class ZarrPixels:
    """Boxes of a Zarr array; zarr decodes only the chunks that a box touches.

    Args:
        array: the array.
        path: its folder.
    """

    def __init__(self, array: Any, path: Path) -> None:
        self._array, self._path = array, path

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Decode a box."""
        if out is None:
            out = np.empty(box_shape(box), self._array.dtype.newbyteorder("="))
        self._read(box, out, " ".join(f"{s.start}:{s.stop}" for s in box))
        return out

    def _read(self, box: Box, out: Array, where: str) -> None:
        self._fill(box, out, where)

    def _fill(self, box: Box, out: Array, where: str) -> None:
        from zarr.core.buffer import default_buffer_prototype

        try:
            self._array.get_basic_selection(box, out=default_buffer_prototype().nd_buffer.from_numpy_array(out))
        except InputError:
            raise
        except Exception as error:  # the codecs' own errors, one per codec
            if system := from_system(error):
                raise unreadable(Path(system.filename or self._path), system, where=where) from error
            raise InputError(
                "a chunk cannot be decoded",
                file=self._path,
                where=where,
                expected=f"chunks of {self._array.dtype} {'x'.join(map(str, self._array.chunks))}",
                found=f"{type(error).__name__}: {error}",
                fix="run neuropack validate to find every damaged chunk, then copy or convert the image again",
            ) from error

    def native_blocks(self) -> Iterator[Box]:
        """Shards, or chunks where there are no shards."""
        step = self._array.shards or self._array.chunks
        starts = (range(0, n, s) for n, s in zip(self._array.shape, step, strict=True))
        for corner in product(*starts):
            yield tuple(slice(c, min(c + s, n)) for c, s, n in zip(corner, step, self._array.shape, strict=True))

    def stream(self, box: Box, limit: int) -> Iterator[tuple[Box, Array]]:
        """Decode a box shard by shard, larger ones by as many whole chunks as `limit` allows."""
        array = self._array
        step, most = list(array.chunks), array.shards or array.chunks
        for axis in reversed(range(array.ndim)):
            size = math.prod(step) * array.dtype.itemsize
            step[axis] *= max(1, min(limit // size, most[axis] // step[axis]))
            if step[axis] < most[axis]:
                break
        for block in self.native_blocks():
            whole = overlap(block, box)
            if whole is None:
                continue
            starts = (range(s.start // n * n, s.stop, n) for s, n in zip(whole, step, strict=True))
            for corner in product(*starts):
                part = overlap(whole, tuple(slice(c, c + n) for c, n in zip(corner, step, strict=True)))
                if part:
                    yield part, self.read(part)

    def piece_bytes(self) -> int:
        """A chunk, as it is stored and as it is decoded."""
        size: int = math.prod(self._array.chunks) * self._array.dtype.itemsize
        return 2 * size

    def close(self) -> None:
        """Zarr keeps no file open."""


def touched(box: Box, step: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The index of each chunk, of a size, that a box touches."""
    yield from product(*(range(s.start // n, -(-s.stop // n)) for s, n in zip(box, step, strict=True)))


class LocalPixels(ZarrPixels):
    """Those of an array on this machine.

    Args:
        array: the array.
        path: its folder.
        complete: True where the writer stores every shard (neuropack does), so that one that is not there is a
            defect. Zarr itself would fill it with zeros and say nothing.
    """

    def __init__(self, array: Any, path: Path, *, complete: bool) -> None:
        super().__init__(array, path)
        self._complete = complete
        self._metadata = Original(path / ("zarr.json" if array.metadata.zarr_format == 3 else ".zarray"))

    def _read(self, box: Box, out: Array, where: str) -> None:
        with self._metadata.unchanged(where):  # of a lost share, Zarr would make an image of zeros
            if self._complete:
                self._require_shards(box)
            self._fill(box, out, where)

    def _require_shards(self, box: Box) -> None:
        step = self._array.shards or self._array.chunks
        for index in touched(box, step):
            key = self._array.metadata.encode_chunk_key(index)
            if not (self._path / key).is_file():
                raise InputError(
                    "a shard is missing",
                    file=self._path / key,
                    expected="a file for every shard, as neuropack writes them",
                    found="none",
                    fix="copy the image again from its source, or convert it again",
                )
