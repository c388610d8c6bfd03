"""Skeletons, boxes, points, class labels and masks of an image in its NWB file.

Where NWB and ndx-microscopy 0.4 have a type, it is used (masks); the rest are DynamicTables, as NWB has no
morphology. What is not known is an empty text, NaN, or -1; where that is also a value of the column, a column of
truth values (``NAME_known``) beside it tells them apart, so that every table comes back exactly
(`neuropack.annotations.nwb`).

A mark names its neuron by text (``neuron_id``), because a reference to a row cannot be empty. Where every mark of a
table has a neuron of the file, the column ``neuron`` refers to it as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.axes import Array
from neuropack.labels import LabelVolume
from neuropack.skeleton import Skeleton
from neuropack.writers.nwb_fill import Column

if TYPE_CHECKING:
    import pyarrow as pa

OPHYS = "/processing/ophys"
NODES = "skeleton_nodes"
KNOWN = "_known"
NONE: dict[str, Any] = {"string": "", "int64": -1, "double": float("nan")}
"""What stands for a value that is not known, by the Arrow type of the column."""
STORED = {"object_kind": "target_kind", "object_id": "target_id"}
"""Columns that have another name in NWB, where every object has an ``object_id`` of its own."""

_WORDS = {
    "box_id": "name of the box",
    "point_id": "name of the point",
    "neuron_id": "name of the neuron, empty where there is none",
    "label": "value of the object in the label image, -1 where it has none",
    "class": "class label",
    "target_kind": "what the class label is given to: image, neuron, label, box or point",
    "target_id": "which one: its identifier, or the value of the label",
    "annotator": "the person, or the model with its version",
    "provenance": "manual, model, corrected or simulated",
    "guideline_version": "version of the guideline that was followed",
    "confidence": "from 0 to 1, NaN where it is not known",
    "x_um": "micrometre from the corner of the first voxel, along x",
    "y_um": "micrometre from the corner of the first voxel, along y",
    "z_um": "micrometre from the corner of the first voxel, along z",
    "bbox_min_zyx": "first voxel inside: z, y, x",
    "bbox_max_zyx": "the voxel behind the last one inside: z, y, x",
}
NODE_WORDS = {
    "node_id": "identifier of the node within its neuron",
    "type": "SWC type: 0 undefined, 1 soma, 2 axon, 3 basal dendrite, 4 apical dendrite, above custom",
    "x": "micrometre from the corner of the first voxel, along x",
    "y": "micrometre from the corner of the first voxel, along y",
    "z": "micrometre from the corner of the first voxel, along z",
    "radius": "micrometre",
    "parent_id": "node_id of the parent, below 0 at a root",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class NwbAnnotations:
    """What was annotated in an image.

    Attributes:
        skeletons: by the name of the neuron, which is one of `NwbMetadata.neurons`; in the frame ``stack``.
        boxes, points, classes: Arrow tables as `neuropack.marks` makes them; None where there are none.
        masks: gives the voxels of objects; called only when a file is really made, because it may cost a pass over
            a label image.
        masks_identity: what those are known by, such as the fingerprint of the label image: where it stays the same
            and nothing else changes, the file is not made again.
        mask_neurons: name of the neuron of an object, by its label, where it has one.
    """

    skeletons: Mapping[str, Skeleton] = field(default_factory=dict)
    boxes: pa.Table | None = None
    points: pa.Table | None = None
    classes: pa.Table | None = None
    masks: Callable[[], LabelVolume] | None = None
    masks_identity: str | None = None
    mask_neurons: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.masks is None) != (not self.masks_identity):
            raise ValueError("masks need an identity, and an identity needs masks")

    def identity(self) -> dict[str, Any]:
        """What a conversion knows them by: digests, so that it can be kept as text. Calls nothing for the masks."""
        skeletons = hashlib.sha256()
        for name, one in self.skeletons.items():
            skeletons.update(f"{len(name)} {name} {len(one)} {one.frame}".encode())
            for array in (one.id, one.type, one.xyz, one.radius, one.parent):
                skeletons.update(np.ascontiguousarray(array).data)
        tables = {"boxes": self.boxes, "points": self.points, "classes": self.classes}
        return {
            "skeletons": skeletons.hexdigest(),
            **{kind: None if table is None else _digest(table) for kind, table in tables.items()},
            "masks": self.masks_identity,
            "mask_neurons": sorted([label, name] for label, name in self.mask_neurons.items()),
        }


def _digest(table: pa.Table) -> str:
    found = hashlib.sha256(str(table.schema.to_string(show_schema_metadata=False)).encode())
    for column in table.columns:
        array = column.combine_chunks()
        found.update(np.asarray(array.is_null()).tobytes())
        if str(array.type) == "string":
            for text in array.fill_null("").to_pylist():
                found.update(f"{len(text)} {text}".encode())
        else:
            found.update(np.asarray(array.fill_null(0)).tobytes())
    return found.hexdigest()


def add_nodes(module: Any, neurons: Any, names: Sequence[str], annotations: NwbAnnotations) -> list[Column]:
    """The table of all nodes of all skeletons, neuron after neuron; the columns that are to be filled.

    Args:
        module: where the table goes.
        neurons: the table of neurons, None where there is none.
        names: of the neurons, in the order of that table.
        annotations: of the image.

    Raises:
        ValueError: a skeleton is of no neuron, or in another frame than ``stack``.
    """
    from hdmf.common import DynamicTable, DynamicTableRegion, ElementIdentifiers, VectorData

    rows = {name: row for row, name in enumerate(names)}
    strange = [n for n, s in annotations.skeletons.items() if n not in rows or s.frame != "stack"]
    if strange:
        raise ValueError(f"the skeleton {strange[0]} is of none of the neurons, or not in the frame stack")
    ordered = sorted((rows[name], one) for name, one in annotations.skeletons.items() if len(one))
    if not ordered:
        return []
    columns = {c.path.rsplit("/", 1)[-1]: c for c in _node_columns(ordered)}
    module.add(
        DynamicTable(
            name=NODES,
            description="Nodes of the skeletons: a row each, the nodes of a neuron together. Micrometre, x, y, z, "
            "counted from the corner of the first voxel of the image.",
            id=ElementIdentifiers(name="id", data=columns["id"].empty()),
            columns=[
                DynamicTableRegion(
                    name="neuron", description="its neuron", data=columns["neuron"].empty(), table=neurons
                ),
                *(VectorData(name=n, description=w, data=columns[n].empty()) for n, w in NODE_WORDS.items()),
            ],
        )
    )
    return list(columns.values())


def _node_columns(ordered: list[tuple[int, Skeleton]]) -> Iterator[Column]:
    ends = np.cumsum([len(one) for _, one in ordered])
    total = int(ends[-1])

    def of(take: Callable[[int, Skeleton], Array]) -> Callable[[int, int], Array]:
        def values(start: int, stop: int) -> Array:
            parts = []
            for i in range(int(np.searchsorted(ends, start, "right")), len(ordered)):
                row, one = ordered[i]
                first = int(ends[i]) - len(one)
                if first >= stop:
                    break
                parts.append(take(row, one)[max(start - first, 0) : stop - first])
            return np.concatenate(parts)

        return values

    def column(name: str, dtype: str, values: Callable[[int, int], Array]) -> Column:
        return Column(f"{OPHYS}/{NODES}/{name}", np.dtype(dtype), total, values)

    yield column("id", "<i8", np.arange)
    yield column("neuron", "<i4", of(lambda row, one: np.broadcast_to(np.int32(row), len(one))))
    yield column("node_id", "<i8", of(lambda _, one: one.id))
    yield column("type", "<i8", of(lambda _, one: one.type))
    for i, axis in enumerate("xyz"):
        yield column(axis, "<f8", of(lambda _, one, i=i: one.xyz[:, i]))  # type: ignore[misc]
    yield column("radius", "<f8", of(lambda _, one: one.radius))
    yield column("parent_id", "<i8", of(lambda _, one: one.parent))


def add_marks(module: Any, neurons: Any, names: Sequence[str], annotations: NwbAnnotations) -> None:
    """The tables of boxes, points and class labels, each only where it has a row.

    Raises:
        ValueError: a text holds a NUL character, which HDF5 ends a text at.
    """
    rows = {name: row for row, name in enumerate(names)}
    for name, table, what in (
        ("boxes", annotations.boxes, "Boxes around objects, in voxels of the image, half open."),
        ("points", annotations.points, "Points that were marked in the image."),
        ("class_labels", annotations.classes, "Class labels of the image and of what was annotated in it."),
    ):
        if table is not None and table.num_rows:
            module.add(_mark_table(name, what, table, neurons, rows))


def _mark_table(name: str, what: str, table: pa.Table, neurons: Any, rows: Mapping[str, int]) -> Any:
    from hdmf.common import DynamicTable, DynamicTableRegion, VectorData

    columns = [
        VectorData(name=column, description=_WORDS.get(column, "false where the value is not known"), data=data)
        for column, data in _columns(table)
    ]
    owners = [rows.get(n) for n in table["neuron_id"].to_pylist()] if "neuron_id" in table.column_names else [None]
    if None not in owners:
        region = DynamicTableRegion(name="neuron", description="its neuron", data=owners, table=neurons)
        columns.insert(1, region)
    return DynamicTable(name=name, description=what, columns=columns)


def _columns(table: pa.Table) -> Iterator[tuple[str, Any]]:
    """The columns of a table as NWB has them; the corners of boxes are one column each."""
    for end, corner in enumerate(("bbox_min_zyx", "bbox_max_zyx")):
        if f"z{end}" in table.column_names:
            yield corner, np.column_stack([np.asarray(table[f"{axis}{end}"]) for axis in "zyx"])
    for name in table.column_names:
        if name in ("z0", "y0", "x0", "z1", "y1", "x1"):
            continue
        array, field = table[name].combine_chunks(), table.schema.field(name)
        none, unknown = NONE[str(array.type)], np.asarray(array.is_null())
        if str(array.type) == "string":
            data: Any = array.fill_null(none).to_pylist()
            if any("\0" in text for text in data):
                raise ValueError(f"a text of the column {name} holds a NUL character")
            real = np.array([text == none for text in data]) & ~unknown
        else:
            data = np.asarray(array.fill_null(none))
            real = (np.isnan(data) if str(array.type) == "double" else data == none) & ~unknown
        stored = STORED.get(name, name)
        yield stored, data
        if field.nullable and real.any():
            yield stored + KNOWN, ~unknown
