"""NWB files of a release, read with h5py alone: no extension runs code, and no link leads out of the file.

Type and field names are those of NWB 2, ndx-microscopy 0.4 and ndx-anatomical-localization 0.1.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.axes import Array, Box
from neuropack.hdf5_bounds import attribute, foreign_filter, too_large
from neuropack.rules.private import Kind, told

if TYPE_CHECKING:
    import h5py

    from neuropack.rules.release_files import ReleaseFiles

IMAGE_TYPES = {
    "VolumetricMicroscopyStaticImage": "zyx",
    "PlanarMicroscopyStaticImage": "yx",
    "VolumetricMicroscopySeries": "tzyx",
    "PlanarMicroscopySeries": "tyx",
}
RECORD = "/general/source_script"
_BLOCK = 64 * 2**20
_MOST_ROWS = 10**7
_MOST_NEURONS = 10**6
_MOST_TEXTS = 10**5


@dataclass(frozen=True)
class Dataset:
    """One HDF5 dataset of plain numbers.

    Attributes:
        path, shape, dtype: as in the file.
        chunk: shape of its chunks; None where its values lie in one piece.
        missing: what was never written, in words; None where all of it was. It would read back as the fill value.
        stored_chunks: how many there are; the runs in which one piece is read.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: tuple[int, ...] | None
    missing: str | None
    stored_chunks: int = 0

    @property
    def bytes(self) -> int:
        """Decoded size."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class NwbImage:
    """One microscopy image or series: one channel.

    Attributes:
        path: of its group; `name` is the last part.
        axes: of the data, such as ``zyx``.
        data: the pixels; None where there are none.
        channel, indicator: name of the MicroscopyChannel, label of its indicator.
        index: number of the channel, where neuropack wrote it into the channel's description.
        excitation_nm, emission_nm: NaN or None where not known.
        space: path of the imaging space.
        voxel_size_um, dimensions: as the space has them, in (x, y, z).
    """

    path: str
    axes: str
    data: Dataset | None
    channel: str | None
    indicator: str | None
    index: int | None
    excitation_nm: float | None
    emission_nm: float | None
    space: str | None
    voxel_size_um: tuple[float, ...] | None
    dimensions: tuple[int, ...] | None

    @property
    def name(self) -> str:
        """Name of the image in its container."""
        return self.path.rsplit("/", 1)[-1]


@dataclass
class NwbFile:
    """What the rules look at in one NWB file.

    Attributes:
        name: path relative to the release.
        problem: why the file cannot be opened or walked through; the rest is then empty.
        outside: links and datasets whose content lies in another file. Where there are any, nothing was read.
        filters: path and the filter, in words, of each dataset that nothing here undoes: nothing else was read.
        bombs: path, and what is wrong with it, of each table or text that takes far more memory than its size.
        nwb_version, session_start, identifier: as written, None where absent.
        subject: the text fields of /general/subject; None where there is none.
        record: what neuropack noted of the conversion in /general/source_script; empty where it did not.
        images: the microscopy images, in the order of the file.
        spaces: path, type and space_name of each space of ndx-anatomical-localization.
        datasets: every dataset of plain numbers.
        ccf_tables: path and points (n, 3) of each AnatomicalCoordinatesTable in the CCF.
        targets: the anatomical target of each imaging space, by its path.
        namespaces, defined: those of the types in use, and those whose definitions the file carries.
        neurons: path, and for each row the name of the neuron and its SWC file, of the table of neurons.
        experimenter: names of people.
        private: path, kind and what it is of every text that tells of a person or a machine.
    """

    name: str
    problem: str | None = None
    outside: list[str] = field(default_factory=list)
    filters: list[tuple[str, str]] = field(default_factory=list)
    bombs: list[tuple[str, str]] = field(default_factory=list)
    nwb_version: str | None = None
    session_start: str | None = None
    identifier: str | None = None
    subject: dict[str, str] | None = None
    record: dict[str, Any] = field(default_factory=dict)
    images: list[NwbImage] = field(default_factory=list)
    spaces: list[tuple[str, str, str]] = field(default_factory=list)
    datasets: list[Dataset] = field(default_factory=list)
    ccf_tables: list[tuple[str, Array]] = field(default_factory=list)
    targets: dict[str, str] = field(default_factory=dict)
    namespaces: set[str] = field(default_factory=set)
    defined: set[str] = field(default_factory=set)
    neurons: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    experimenter: list[str] = field(default_factory=list)
    private: list[tuple[str, Kind, str]] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """True where the file could be read."""
        return self.problem is None and not (self.outside or self.filters or self.bombs)


def open_hdf5(release: ReleaseFiles, name: str) -> h5py.File:
    """Open an HDF5 file of the release for reading, without locking it."""
    import h5py

    return h5py.File(release.path(name), "r", locking=False)


def read_nwb(release: ReleaseFiles, name: str) -> NwbFile:
    """Read the structure of an NWB file, no pixels."""
    nwb = NwbFile(name)
    try:
        with open_hdf5(release, name) as file:
            groups, datasets, nwb.outside = _walk(file)
            if nwb.usable:
                nwb.filters = [(p, told) for p, d in datasets.items() if (told := foreign_filter(d)) is not None]
            if nwb.usable:
                nwb.bombs = [(p, told) for p, d in datasets.items() if (told := too_large(d)) is not None]
            if nwb.usable:
                _fill(nwb, file, groups, datasets)
    except Exception as error:  # HDF5 reports damage as OSError, RuntimeError, KeyError or ValueError
        return NwbFile(name, problem=f"{type(error).__name__}: {error}")
    return nwb


def blocks(data: Dataset) -> Iterator[Box]:
    """Boxes of about 64 MiB of a dataset that lies in one piece; none where not all of it is stored."""
    if data.missing is not None or not data.shape or not data.bytes:
        return
    step, left = [1] * len(data.shape), max(_BLOCK // data.dtype.itemsize, 1)
    for axis in reversed(range(len(step))):
        step[axis] = min(data.shape[axis], left)
        left = max(left // step[axis], 1)
    for corner in itertools.product(*(range(0, n, s) for n, s in zip(data.shape, step, strict=True))):
        yield tuple(slice(b, min(b + s, n)) for b, s, n in zip(corner, step, data.shape, strict=True))


def read_block(file: h5py.File, data: Dataset, box: Box) -> Array | Exception:
    """Decode a box of a dataset; what cannot be decoded comes as the exception it caused."""
    try:
        return np.asarray(file[data.path][box])
    except Exception as error:  # filters raise OSError, HDF5 RuntimeError, a huge chunk MemoryError
        return error


def _walk(file: h5py.File) -> tuple[dict[str, h5py.Group], dict[str, h5py.Dataset], list[str]]:
    """Groups and datasets by path, each once, and what lies outside of the file. Soft links are not followed."""
    import h5py

    groups, datasets, outside = {"/": file["/"]}, {}, []
    seen, todo = {hash(file["/"].id)}, [("", file["/"])]
    while todo:
        base, group = todo.pop()
        for key in group:
            path, link = f"{base}/{key}", group.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                outside.append(f"{path} -> {link.filename}:{link.path}")
            elif isinstance(link, h5py.HardLink):
                item = group[key]
                if hash(item.id) in seen:
                    continue
                seen.add(hash(item.id))
                if isinstance(item, h5py.Group):
                    groups[path] = item
                    todo.append((path, item))
                elif isinstance(item, h5py.Dataset):
                    datasets[path] = item
                    if item.external or item.is_virtual:
                        outside.append(f"{path} keeps its values in another file")
    return dict(sorted(groups.items())), dict(sorted(datasets.items())), sorted(outside)


def _record(text: str) -> dict[str, Any]:
    """The record of a conversion; empty where the text is another script, as NWB means the field."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _fill(nwb: NwbFile, file: h5py.File, groups: dict[str, h5py.Group], datasets: dict[str, h5py.Dataset]) -> None:
    nwb.nwb_version = _said(file, "nwb_version")
    nwb.session_start = next(iter(_strings(datasets.get("/session_start_time"))), None)
    nwb.defined = set(groups["/specifications"]) if "/specifications" in groups else set()
    if "/general/subject" in groups:
        fields = {p.rpartition("/"): d for p, d in datasets.items() if d.shape == ()}
        inside = {key: d for (folder, _, key), d in fields.items() if folder == "/general/subject"}
        nwb.subject = {key: v for key, d in inside.items() for v in _strings(d)}
    nwb.identifier = next(iter(_strings(datasets.get("/identifier"))), None)
    nwb.experimenter = _strings(datasets.get("/general/experimenter"))
    nwb.private = list(_private(groups, datasets))
    nwb.record = _record(next(iter(_strings(datasets.get(RECORD))), ""))
    described = {p: _dataset(p, d) for p, d in datasets.items() if _plain(d.dtype) and d.shape is not None}
    nwb.datasets = list(described.values())
    for path, group in groups.items():
        kind = _said(group, "neurodata_type") or ""
        if kind and (namespace := _said(group, "namespace")) is not None:
            nwb.namespaces.add(namespace)
        if kind.endswith("ImagingSpace") and (target := _said(group, "anatomical_target")) is not None:
            nwb.targets[path] = target
        if kind in IMAGE_TYPES:
            nwb.images.append(_image(path, group, IMAGE_TYPES[kind], described))
        elif _said(group, "namespace") == "ndx-anatomical-localization" and kind.endswith("Space"):
            nwb.spaces.append((path, kind, _said(group, "space_name") or group.name.rsplit("/", 1)[-1]))
        elif kind == "AnatomicalCoordinatesTable":
            points = _coordinates(group, path, described)
            if points is not None:
                nwb.ccf_tables.append((path, points))
        elif kind == "DynamicTable" and f"{path}/neuron_id" in datasets:
            nwb.neurons.append((path, _neurons(path, datasets)))


def _private(groups: dict[str, h5py.Group], datasets: dict[str, h5py.Dataset]) -> Iterator[tuple[str, Kind, str]]:
    """The attributes and texts that tell of a person or a machine; not those of the definitions of NWB itself."""
    for path, item in {**groups, **datasets}.items():
        if path.startswith("/specifications"):
            continue
        values = {f"{path}@{name}": (name, _said(item, name)) for name in item.attrs}
        if path in datasets:
            key = path.rpartition("/")[2]
            values |= {f"{path}/{i}" if i else path: (key, v) for i, v in enumerate(_strings(datasets[path]))}
        for place, (key, value) in values.items():
            found = told(key, value, path.startswith("/general/subject"))
            if found is not None:
                yield place, *found


def _strings(data: h5py.Dataset | None) -> list[str]:
    """The texts of a dataset, the first ones of very many; none where it holds something else."""
    import h5py

    if data is None or data.shape is None or h5py.check_string_dtype(data.dtype) is None or data.ndim > 1:
        return []
    rows = min(_MOST_TEXTS, _BLOCK // max(data.dtype.itemsize, 1))  # those of a fixed length may all be long
    if not rows:
        return []
    values = [data[()]] if data.shape == () else list(data[:rows])
    return [v for v in map(_text, values) if v is not None]


def _plain(dtype: np.dtype[Any]) -> bool:
    """Numbers, or records of numbers, such as the voxels of masks."""
    return all(dtype[name].kind in "uifb" for name in dtype.names) if dtype.names else dtype.kind in "uifb"


def _coordinates(group: h5py.Group, path: str, datasets: dict[str, Dataset]) -> Array | None:
    """The points (n, 3) of a table of coordinates in the CCF; None for one in another space, or of another form."""
    space = group.get("space")
    columns = [datasets.get(f"{path}/{axis}") for axis in "xyz"]
    if space is None or _said(space, "neurodata_type") != "AllenCCFv3Space":
        return None
    if any(c is None or len(c.shape) != 1 or c.shape[0] > _MOST_ROWS or c.missing for c in columns):
        return None
    values = [np.asarray(group[axis][()], np.float64) for axis in "xyz"]
    return np.column_stack(values) if len({len(v) for v in values}) == 1 else None


def _neurons(path: str, datasets: dict[str, h5py.Dataset]) -> list[tuple[str, str]]:
    """Name and SWC file of each neuron of a table; an empty text for what is not there."""
    import h5py

    columns: list[list[str]] = []
    for name in ("neuron_id", "morphology"):
        data = datasets.get(f"{path}/{name}")
        text = h5py.check_string_dtype(data.dtype) if data is not None else None
        if data is None or text is None or text.length is not None or data.ndim != 1 or len(data) > _MOST_NEURONS:
            columns.append([])
        else:
            columns.append([_text(v) or "" for v in data[()]])
    names, files = columns
    return list(zip(names, files + [""] * (len(names) - len(files)), strict=False))


def _dataset(path: str, data: h5py.Dataset) -> Dataset:
    missing = None
    if data.chunks is None:
        stored, whole = data.id.get_storage_size(), math.prod(data.shape) * data.dtype.itemsize
        if stored < whole:
            missing = f"{stored} of {whole} bytes are stored"
    else:
        stored = data.id.get_num_chunks()
        whole = math.prod(-(-n // c) for n, c in zip(data.shape, data.chunks, strict=True))
        if stored < whole:
            missing = f"{stored} of {whole} chunks are stored"
        return Dataset(path, data.shape, data.dtype, data.chunks, missing, stored)
    piece = Dataset(path, data.shape, data.dtype, data.chunks, missing)
    return replace(piece, stored_chunks=sum(1 for _ in blocks(piece)))


def _image(path: str, group: h5py.Group, axes: str, datasets: dict[str, Dataset]) -> NwbImage:
    channel = _child(group, "MicroscopyChannel")
    indicator = _child(channel, "Indicator")
    space = _child(group, "VolumetricImagingSpace", "PlanarImagingSpace")
    size = _vector(space, "voxel_size_in_um", "pixel_size_in_um")
    dimensions = _vector(space, "dimensions_in_voxels", "dimensions_in_pixels")
    return NwbImage(
        path,
        axes,
        datasets.get(path + "/data"),
        channel.name.rsplit("/", 1)[-1] if channel is not None else None,
        _said(indicator, "label") or indicator.name.rsplit("/", 1)[-1] if indicator is not None else None,
        _channel_index(channel),
        _number(channel, "excitation_wavelength_in_nm"),
        _number(channel, "emission_wavelength_in_nm"),
        space.name if space is not None else None,
        size,
        None if dimensions is None else tuple(int(n) for n in dimensions),
    )


def _channel_index(channel: h5py.Group | None) -> int | None:
    """NWB keeps no order of the channels; neuropack's writer puts it as JSON at the end of the description."""
    text = _said(channel, "description") if channel is not None else None
    try:
        index = json.loads((text or "").rpartition("As stated: ")[2])["index"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return index if type(index) is int and index >= 0 else None


def _child(group: h5py.Group | None, *kinds: str) -> h5py.Group | None:
    """The group inside `group`, or linked from it, of one of these types."""
    for item in group.values() if group is not None else ():
        if item is not None and _said(item, "neurodata_type") in kinds:
            return item
    return None


def _vector(group: h5py.Group | None, *names: str) -> tuple[float, ...] | None:
    for name in names:
        data = group.get(name) if group is not None else None
        if data is not None and data.ndim == 1 and data.size <= 3 and data.dtype.kind in "iuf":
            return tuple(float(v) for v in data[()])
    return None


def _number(group: h5py.Group | None, name: str) -> float | None:
    value = attribute(group, name) if group is not None else None
    return None if value is None else float(value)


def _said(item: Any, name: str) -> str | None:
    """A text that is an attribute of a group or dataset."""
    return _text(attribute(item, name))


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None
