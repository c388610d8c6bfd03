"""Annotations of an NWB file back in, exactly as neuropack wrote them (`neuropack.writers.nwb_annotations`).

Files of others are read as far as they have the same tables: ``skeleton_nodes``, ``boxes``, ``points``,
``class_labels`` in a processing module, and masks of ndx-microscopy. What is not there comes empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neuropack.annotations.nwb_masks import masks_in, read_masks
from neuropack.annotations.nwb_tables import Table, opened, table
from neuropack.errors import InputError
from neuropack.marks import MarkKind, marks_schema
from neuropack.skeleton import Skeleton

if TYPE_CHECKING:
    import pyarrow as pa

    from neuropack.labels import LabelVolume

_NAMES: dict[MarkKind, str] = {"boxes": "boxes", "points": "points", "classes": "class_labels"}
_NEURON = {
    **{"neuron_id": "string", "morphology": "string", "label": "int64", "annotator": "string"},
    **{"provenance": "string", "guideline_version": "string", "confidence": "float64"},
    **{"n_nodes": "int64", "length_um": "float64"},
}
_KNOWN = "_known"
_STORED = {"object_kind": "target_kind", "object_id": "target_id"}  # NWB has its own object_id


@dataclass(frozen=True)
class NwbContents:
    """The annotations of an NWB file. Each kind is read when it is asked for, and kept.

    What cannot be read raises an InputError at that moment; it names the file and the place inside.

    Attributes:
        path: of the file.
    """

    path: Path

    @cached_property
    def neurons(self) -> pa.Table:
        """The neurons, a row each; what the file does not say is null."""
        import pyarrow as pa

        types: dict[str, Any] = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}
        schema = pa.schema([pa.field(n, types[t], nullable=n != "neuron_id") for n, t in _NEURON.items()])
        return self._table("neurons", schema)

    @cached_property
    def skeletons(self) -> dict[str, Skeleton]:
        """The skeletons by the name of their neuron, in the order of the neurons; in the frame ``stack``.

        Comments of SWC files are not in NWB.
        """
        with opened(self.path) as file:
            nodes = table(self.path, file, "skeleton_nodes")
            return {} if nodes is None else _skeletons(nodes)

    @cached_property
    def boxes(self) -> pa.Table:
        """Boxes, with the columns of `neuropack.marks`."""
        return self._marks("boxes")

    @cached_property
    def points(self) -> pa.Table:
        """Points, with the columns of `neuropack.marks`."""
        return self._marks("points")

    @cached_property
    def classes(self) -> pa.Table:
        """Class labels, with the columns of `neuropack.marks`."""
        return self._marks("classes")

    @cached_property
    def segmentations(self) -> tuple[str, ...]:
        """Paths of the segmentations that hold masks as lists of voxels."""
        with opened(self.path) as file:
            return tuple(found.name for found in masks_in(self.path, file))

    @cached_property
    def masks(self) -> LabelVolume | None:
        """The masks of the file's segmentation; None where it has none. Many voxels are mapped from a file.

        Raises:
            InputError: there are several: `masks_of` takes the path of one.
        """
        if len(self.segmentations) > 1:
            raise InputError(
                "has several segmentations",
                file=self.path,
                found=", ".join(self.segmentations),
                fix="name one: masks_of(...)",
            )
        return self.masks_of(self.segmentations[0]) if self.segmentations else None

    def masks_of(self, segmentation: str) -> LabelVolume:
        """The masks of one of `segmentations`."""
        with opened(self.path) as file:
            return read_masks(Table(self.path, file[segmentation]))

    def _marks(self, kind: MarkKind) -> pa.Table:
        return self._table(_NAMES[kind], marks_schema(kind))

    def _table(self, name: str, schema: pa.Schema) -> pa.Table:
        with opened(self.path) as file:
            found = table(self.path, file, name)
            return schema.empty_table() if found is None else _arrow(found, schema)


def read_nwb_annotations(path: Path) -> NwbContents:
    """The annotations of an NWB file; nothing but its head is read here.

    Raises:
        InputError: it is no NWB file, or damaged.
    """
    with opened(path):
        return NwbContents(path)


def _skeletons(nodes: Table) -> dict[str, Skeleton]:
    rows, names = _owners(nodes)
    columns = {name: nodes.numbers(name, "ui").astype(np.int64) for name in ("node_id", "parent_id")}
    xyz = np.column_stack([nodes.numbers(axis).astype(np.float64) for axis in "xyz"])
    radius = nodes.numbers("radius").astype(np.float64) if nodes.has("radius") else np.full(len(rows), np.nan)
    types = nodes.numbers("type", "ui") if nodes.has("type") else np.zeros(len(rows), np.int64)
    types = types.astype(np.int64)
    order = None if (np.diff(rows) >= 0).all() else np.argsort(rows, kind="stable")
    if order is not None:
        rows, xyz, radius, types = rows[order], xyz[order], radius[order], types[order]
        columns = {name: values[order] for name, values in columns.items()}
    present, first = np.unique(rows, return_index=True)
    found: dict[str, Skeleton] = {}
    for row, start, stop in zip(present, first, [*first[1:], len(rows)], strict=True):
        part = slice(int(start), int(stop))
        one = Skeleton(columns["node_id"][part], types[part], xyz[part], radius[part], columns["parent_id"][part])
        _check(nodes, names[row], one)
        found[names[row]] = one
    return found


def _owners(nodes: Table) -> tuple[npt.NDArray[np.int64], Sequence[str]]:
    """The row of each node's neuron, and the names by row."""
    if nodes.has("neuron") and nodes.kind("neuron") != "text":
        rows, target = nodes.rows_of("neuron")
        names = target.texts("neuron_id") if target.has("neuron_id") else [str(i) for i in target.numbers("id")]
        if len(set(names)) < len(names):
            twice = next(name for i, name in enumerate(names) if name in names[:i])
            raise target.wrong("neuron_id", "a name of its own for each neuron", f"{twice}, twice")
        return rows, names
    texts = nodes.texts("neuron" if nodes.has("neuron") else "neuron_id")
    names = list(dict.fromkeys(texts))
    place = {name: row for row, name in enumerate(names)}
    return np.array([place[text] for text in texts], np.int64), names


def _check(nodes: Table, name: str, one: Skeleton) -> None:
    ids = np.sort(one.id)
    twice = ids[1:][ids[1:] == ids[:-1]]
    if len(twice):
        raise nodes.wrong("node_id", "each identifier once within a neuron", f"{twice[0]} of {name}, twice")
    parents = one.parent[one.parent >= 0]
    lost = parents[ids[np.searchsorted(ids, parents) % len(ids)] != parents]
    if len(lost):
        raise nodes.wrong("parent_id", f"a node of {name}, or below 0", str(lost[0]))


def _arrow(found: Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    _check_owners(found)
    corners = _corners(found) if "z0" in schema.names else {}
    return pa.Table.from_arrays(
        [pa.array(corners[f.name]) if f.name in corners else _column(found, f) for f in schema], schema=schema
    )


def _check_owners(found: Table) -> None:
    """Where a table names neurons and refers to them, both say the same."""
    if found.has("neuron") and found.has("neuron_id") and found.kind("neuron") != "text":
        rows, names = _owners(found)
        for at, (row, text) in enumerate(zip(rows, found.texts("neuron_id"), strict=True)):
            if names[row] != text:
                raise found.wrong("neuron", f"{text}, as neuron_id has it in row {at}", names[row])


def _corners(found: Table) -> dict[str, npt.NDArray[np.int64]]:
    columns: dict[str, npt.NDArray[np.int64]] = {}
    for end, name in enumerate(("bbox_min_zyx", "bbox_max_zyx")):
        corner = found.numbers(name, "ui").astype(np.int64)
        if corner.shape[1:] != (3,):
            raise found.wrong(name, "three numbers in each row: z, y, x", f"shape {corner.shape}")
        columns |= {f"{axis}{end}": np.ascontiguousarray(corner[:, i]) for i, axis in enumerate("zyx")}
    return columns


def _column(found: Table, field: pa.Field) -> Any:
    """A column; the words for what is not known (see `neuropack.writers.nwb_annotations.NONE`) become null."""
    import pyarrow as pa

    name, is_text = _STORED.get(field.name, field.name), field.type == pa.string()
    if name == "neuron_id" and not found.has(name) and found.has("neuron"):
        rows, names = _owners(found)
        return pa.array([names[row] for row in rows], field.type)
    if not found.has(name):
        if not field.nullable:
            raise found.wrong(name, "a column of this name", "none")
        return pa.nulls(len(found), field.type)
    values: Any = found.texts(name) if is_text else found.numbers(name, "uif" if name != "label" else "ui")
    if not field.nullable:
        unknown = np.zeros(len(found), np.bool_)
    elif found.has(name + _KNOWN):
        unknown = ~found.numbers(name + _KNOWN).astype(np.bool_)
    elif is_text:
        unknown = np.array([text == "" for text in values], np.bool_)
    else:
        unknown = np.isnan(values) if values.dtype.kind == "f" else values == -1
    return pa.array(values, field.type, mask=unknown)
