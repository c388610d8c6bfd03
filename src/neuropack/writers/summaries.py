"""What an OME-Zarr of neuropack holds beside its levels: maximum projections, or the values of a label image.

Both are plain Zarr v3 nodes, which readers of OME-Zarr pass over. The root's attribute ``neuropack`` names them:
``"projections": "projections"`` is a group with the arrays z (c, y, x), y (c, z, x) and x (c, z, y), each the
maximum along the axis of its name, in cells of ``factor`` voxels; ``"label_values": "label_values"`` is one array
of the labels but 0, sorted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from neuropack.axes import Array
from neuropack.errors import InputError, NeuropackError
from neuropack.volume import Volume
from neuropack.writers.shards import Codec
from neuropack.writers.store import LocalStore, Store
from neuropack.writers.survey import Projections

PROJECTIONS, LABEL_VALUES = "projections", "label_values"
_VALUES_PER_CHUNK = 1 << 18


def union(*arrays: Array) -> Array:
    """The values of arrays of one type, each once, sorted. NumPy's own hashes them, which is 50 times slower."""
    values = np.concatenate([a.reshape(-1) for a in arrays])
    values.sort(kind="stable")  # of what is sorted in parts, it merges the parts
    first = np.ones(values.shape, bool)
    np.not_equal(values[1:], values[:-1], out=first[1:])
    once: Array = values[first]
    return once


def distinct(block: Array) -> Array:
    """The values but 0 of a block of labels, sorted. Labels come in runs along x, so few voxels need sorting."""
    found = []
    for plane in block.reshape(-1, *block.shape[-2:]):
        starts = np.ones(plane.shape, bool)
        np.not_equal(plane[:, 1:], plane[:, :-1], out=starts[:, 1:])
        found.append(union(plane[starts]))
    values = union(*found)
    kept: Array = values[values != 0]
    return kept


def projection_files(projections: Projections, codec: Codec) -> dict[str, bytes]:
    """The files of the group of projections, by their key in the image."""
    arrays = {
        "z": (projections.along_z, "cyx"),
        "y": (projections.along_y, "czx"),
        "x": (projections.along_x, "czy"),
    }
    memory: dict[str, Any] = {}
    group = _group(memory, {PROJECTIONS: {"neuropack": _about(projections)}})[PROJECTIONS]
    for name, (array, axes) in arrays.items():
        _put(group, name, array, (1, *array.shape[1:]), array.shape, tuple(axes), codec)
    return _files(memory, PROJECTIONS)


def label_value_files(values: Array, codec: Codec) -> dict[str, bytes]:
    """The files of the array of label values, by their key in the image."""
    memory: dict[str, Any] = {}
    chunk = min(_VALUES_PER_CHUNK, max(1, len(values)))
    _put(_group(memory, {}), LABEL_VALUES, values, (chunk,), None, ("label",), codec)
    return _files(memory, LABEL_VALUES)


def _about(projections: Projections) -> dict[str, Any]:
    return {"kind": "maximum", "level": 0, "time": 0, "factor": list(projections.factor)}


def _group(memory: dict[str, Any], groups: dict[str, dict[str, Any]]) -> Any:
    """A Zarr group in memory, with groups of these attributes inside."""
    import zarr

    root = zarr.create_group(zarr.storage.MemoryStore(memory), zarr_format=3)
    for name, attributes in groups.items():
        root.create_group(name, attributes=attributes)
    return root


def _put(
    group: Any,
    name: str,
    values: Array,
    chunks: tuple[int, ...],
    shards: tuple[int, ...] | None,
    axes: tuple[str, ...],
    codec: Codec,
) -> None:
    from zarr.codecs import Crc32cCodec

    group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=chunks,
        shards=shards,
        compressors=[codec.zarr(), Crc32cCodec()],
        fill_value=0,
        dimension_names=axes,
        config={"write_empty_chunks": True},
    )[...] = values


def _files(memory: dict[str, Any], name: str) -> dict[str, bytes]:
    return {key: data.to_bytes() for key, data in sorted(memory.items()) if key.startswith(f"{name}/")}


def read_projections(volume: Volume) -> Projections | None:
    """The projections stored in an OME-Zarr; None where there are none, or they are not those of this image.

    What is stored may be damaged or made up by a stranger, and is but a picture: what cannot be read is not there.
    """
    import zarr

    try:
        wanted = Projections.empty(volume.n_channels, volume.size_zyx, volume.dtype)
        root = zarr.open_group(volume.path, mode="r", zarr_format=3)
        record: Any = root.attrs["neuropack"]
        if record["projections"] != PROJECTIONS or root[PROJECTIONS].attrs["neuropack"] != _about(wanted):
            return None
        for name, into in (("z", wanted.along_z), ("y", wanted.along_y), ("x", wanted.along_x)):
            array: Any = root[f"{PROJECTIONS}/{name}"]
            file = volume.path / PROJECTIONS / name / "c/0/0/0"  # Zarr reads zeros where it is not there
            shape = array.shards or array.chunks  # a shard may claim to be larger than the array
            if (array.shape, array.dtype, shape) != (into.shape, into.dtype, into.shape) or not file.is_file():
                return None
            into[...] = array[...]
    except Exception:  # whatever the library makes of broken files
        return None
    return wanted


def read_label_values(image: Path | str, store: Store | None = None) -> Array:
    """The values but 0 of a label image that neuropack wrote, sorted.

    Args:
        image: the path of the image, or its URL.
        store: the place of its files, where it has a URL.

    Raises:
        InputError: they are not there, or cannot be read.
    """
    import zarr

    place = (store or LocalStore(Path(image))).zarr()
    try:
        return np.asarray(zarr.open_array(place, path=LABEL_VALUES, mode="r")[...])
    except NeuropackError:
        raise  # of a server
    except Exception as error:  # whatever the library makes of broken files
        raise InputError(
            "the values of the labels cannot be read",
            file=image / LABEL_VALUES if isinstance(image, Path) else f"{image}/{LABEL_VALUES}",
            found=f"{type(error).__name__}: {error}",
            fix="remove the label image and build again",
        ) from error
