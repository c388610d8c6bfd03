"""Neurons of an NWB file added or replaced, in a copy of it: the pixels, and all else, stay as they are.

The tables that `neuropack.writers.nwb_neurons` and `nwb_annotations` make have columns that can grow. Where a file
has no such table yet, it is made here; identifiers of objects are derived from that of the file, as everywhere.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.skeleton import Skeleton
from neuropack.writers.nwb_annotations import NODES, OPHYS

if TYPE_CHECKING:
    from neuropack.writers.nwb import NwbNeuron

_NAMESPACE = uuid.UUID("0c2b0a52-4a0e-5d43-9b7c-6f0d3f9c1c55")  # of the objects made here
_NEURONS, _SOMATA = f"{OPHYS}/neurons", "/general/localization/somata_ccf"
_EMPTY: dict[str, Any] = {"O": b"", "i": -1, "f": float("nan")}
_WORDS = {
    "neuron_id": "name of the neuron",
    "morphology": "SWC file, relative to the root of the release",
    "annotator": "the person who traced it, or the model with its version",
    "provenance": "manual, model, corrected or simulated",
    "guideline_version": "version of the guideline that was followed",
    "confidence": "from 0 to 1, NaN where it is not known",
    "n_nodes": "nodes of its skeleton, 0 where it has none",
    "length_um": "length of its skeleton in micrometre",
}
_NODE_WORDS = {
    "neuron": "its neuron",
    "node_id": "identifier of the node within its neuron",
    "type": "SWC type: 0 undefined, 1 soma, 2 axon, 3 basal dendrite, 4 apical dendrite, above custom",
    "x": "micrometre from the corner of the first voxel, along x",
    "y": "micrometre from the corner of the first voxel, along y",
    "z": "micrometre from the corner of the first voxel, along z",
    "radius": "micrometre",
    "parent_id": "node_id of the parent, below 0 at a root",
}


def amend_neurons(path: Path, neurons: Sequence[NwbNeuron], skeletons: Mapping[str, Skeleton]) -> None:
    """Add neurons to an NWB file, or replace those of the same name. The file is changed: give it a copy.

    Args:
        path: the file.
        neurons: what the table of neurons is to say.
        skeletons: of each, in the frame ``stack``.

    Raises:
        InputError: the file cannot be changed, or has other columns than neuropack writes.
        ValueError: a neuron has no skeleton, or it lies in another frame.
    """
    import h5py

    for one in neurons:
        if one.neuron_id not in skeletons or skeletons[one.neuron_id].frame != "stack":
            raise ValueError(f"{one.neuron_id} has no skeleton in the frame stack")
    try:
        with h5py.File(path, "r+") as file:
            _require(file, _NEURONS, "Neurons that were traced in the image.", ("neuron_id", "morphology"))
            table = file[_NEURONS]
            names = [text.decode() for text in table["neuron_id"][()]]
            rows = _neuron_rows(file, table, names, neurons, skeletons)
            _nodes(file, rows, skeletons)
            if _SOMATA in file:
                _somata(file[_SOMATA], rows, neurons)
            file.flush()
    except (OSError, RuntimeError, KeyError, AttributeError) as error:
        fix = "build the release again from its study, with the neurons among its skeletons"
        what = "is no NWB file that neurons can be added to"
        raise InputError(what, file=path, found=str(error), fix=fix) from error


def _neuron_rows(
    file: Any, table: Any, names: list[str], neurons: Sequence[NwbNeuron], skeletons: Mapping[str, Skeleton]
) -> dict[str, int]:
    """Write the rows of neurons; the row of each of them."""
    rows = {name: row for row, name in enumerate(names)}
    for one in neurons:
        rows.setdefault(one.neuron_id, len(rows))
    _grow(table, len(rows))
    for one in neurons:
        skeleton, row = skeletons[one.neuron_id], rows[one.neuron_id]
        said = asdict(one) | {"n_nodes": len(skeleton), "length_um": skeleton.length_um()}
        for column in ("neuron_id", *_WORDS):
            value = said[column]
            if column not in table and value is not None:
                _column(file, table, column, _WORDS[column], value)
            if column in table:
                data = table[column]
                data[row] = _EMPTY[data.dtype.kind] if value is None else value
        if "label" in table and one.label is not None:
            table["label"][row] = one.label
    return {one.neuron_id: rows[one.neuron_id] for one in neurons}


def _nodes(file: Any, rows: Mapping[str, int], skeletons: Mapping[str, Skeleton]) -> None:
    """Write the nodes of neurons behind those of all others, which move up."""
    _require(
        file,
        f"{OPHYS}/{NODES}",
        "Nodes of the skeletons: a row each, the nodes of a neuron together. Micrometre, x, y, z, counted from the "
        "corner of the first voxel of the image.",
        tuple(_NODE_WORDS),
    )
    table = file[f"{OPHYS}/{NODES}"]
    old = {name: table[name][()] for name in _NODE_WORDS}
    left = ~np.isin(old["neuron"], list(rows.values()))
    parts = {name: [values[left]] for name, values in old.items()}
    for name, row in rows.items():
        one = skeletons[name]
        columns: dict[str, npt.NDArray[Any]] = {"node_id": one.id, "type": one.type, "radius": one.radius}
        columns |= {"parent_id": one.parent, "neuron": np.full(len(one), row)}
        columns |= {axis: one.xyz[:, i] for i, axis in enumerate("xyz")}
        for column, values in columns.items():
            parts[column].append(values)
    whole = {name: np.concatenate(values) for name, values in parts.items()}
    _grow(table, len(whole["node_id"]))
    for name, values in whole.items():
        table[name][...] = values


def _somata(table: Any, rows: Mapping[str, int], neurons: Sequence[NwbNeuron]) -> None:
    """Write where somata lie in the CCF."""
    entities = table["localized_entity"][()].tolist()
    for one in neurons:
        if one.soma_um is None:
            continue
        row = rows[one.neuron_id]
        if row not in entities:
            entities.append(row)
            _grow(table, len(entities))
        at = entities.index(row)
        said: dict[str, Any] = dict(zip("xyz", one.soma_um, strict=True))
        said |= {"localized_entity": row, "brain_region": one.region or "not looked up"}
        for column, value in said.items():
            table[column][at] = value


def _grow(table: Any, length: int) -> None:
    """Give all columns of a table a length; new rows are numbered, and empty."""
    import h5py

    for name, data in table.items():
        if not isinstance(data, h5py.Dataset):
            continue  # a link to the space
        before = data.shape[0]
        data.resize(length, axis=0)
        if length > before:
            data[before:] = np.arange(before, length) if name == "id" else _EMPTY.get(data.dtype.kind, 0)


def _require(file: Any, place: str, description: str, columns: Sequence[str]) -> None:
    """Make a table where there is none."""
    if OPHYS not in file:
        module = file["processing"].create_group("ophys")
        module.attrs.update(_about(file, OPHYS, "core", "ProcessingModule", "Tables that belong to the image."))
    if place in file:
        return
    table = file.create_group(place)
    table.attrs.update(_about(file, place, "hdmf-common", "DynamicTable", description))
    table.attrs["colnames"] = np.array([], dtype=_text())
    ids = table.create_dataset("id", (0,), "<i8", maxshape=(None,), chunks=(256,))
    ids.attrs.update(_about(file, f"{place}/id", "hdmf-common", "ElementIdentifiers"))
    for name in columns:
        texts, whole = name in ("neuron_id", "morphology"), name in ("node_id", "type", "parent_id", "neuron")
        _column(file, table, name, (_WORDS | _NODE_WORDS)[name], "" if texts else 0 if whole else 0.0)


def _column(file: Any, table: Any, name: str, description: str, value: Any) -> None:
    """Add a column that is empty so far, of the type of a value."""
    dtype = _text() if isinstance(value, str) else np.dtype("<i8" if isinstance(value, int) else "<f8")
    length = table["id"].shape[0]
    data = table.create_dataset(name, (length,), dtype, maxshape=(None,), chunks=(max(length, 256),))
    data[...] = _EMPTY["O" if isinstance(value, str) else np.dtype(dtype).kind]
    kind = "DynamicTableRegion" if name == "neuron" else "VectorData"
    data.attrs.update(_about(file, f"{table.name}/{name}", "hdmf-common", kind, description))
    if name == "neuron":
        data.attrs["table"] = file[_NEURONS].ref
    before = [_str(text) for text in table.attrs["colnames"]]
    table.attrs["colnames"] = np.array([*before, name], dtype=_text())


def _about(file: Any, place: str, namespace: str, kind: str, description: str | None = None) -> dict[str, Any]:
    base = _str(file["identifier"][()])
    found = {"namespace": namespace, "neurodata_type": kind}
    found["object_id"] = str(uuid.uuid5(_NAMESPACE, f"{base}/{place}"))
    return found | ({} if description is None else {"description": description})


def _text() -> Any:
    import h5py

    return h5py.string_dtype()


def _str(text: Any) -> str:
    return text.decode() if isinstance(text, bytes) else str(text)
