"""Tables of marks in a release, and what a build works out from label images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.build.bids import tsv_text
from neuropack.build.labels import label_neurons
from neuropack.build.place import Place
from neuropack.build.plan import Planned
from neuropack.manifest import entry_of
from neuropack.marks import Credit
from neuropack.release import METADATA
from neuropack.table import parse_tsv

if TYPE_CHECKING:
    import pyarrow as pa

    from neuropack.process.label_boxes import LabelBoxes

_BOX = ("z0", "y0", "x0", "z1", "y1", "x1")


def table_bytes(table: pa.Table) -> bytes:
    """A table of marks as TSV: every column that must be there, and the others where something stands in them."""
    needed = {field.name for field in table.schema if not field.nullable}
    columns = [n for n in table.column_names if n in needed or table.column(n).null_count < len(table)]
    return tsv_text(columns, table.select(columns).to_pylist()).encode()


class Derived:
    """What is worked out from images that lie in the release: once, and again only when they have changed.

    The record of the processing, in the metadata, says from which images a table was made.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._earlier = _processings(place)

    def kept(self, name: str, inputs: Mapping[str, str]) -> bytes | None:
        """The table as an earlier build wrote it, where it was made of these very images (digests by path)."""
        made = self._earlier.get(name)
        if made is None or made["inputs"] != dict(inputs):
            return None
        data = self._place.read(name)
        return data if data is not None and entry_of(data).sha256 == made["sha256"] else None


def _processings(place: Place) -> dict[str, dict[str, Any]]:
    """By path of each output: its digest, and the digests of what it was made from."""
    try:
        records = json.loads(place.read(METADATA) or b"{}").get("processings", ())
        return {
            out["path"]: {"sha256": out["sha256"], "inputs": {i["path"]: i["sha256"] for i in record["inputs"]}}
            for record in records
            for out in record["outputs"]
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # somebody damaged it: everything is made again


def objects_bytes(one: Planned, found: LabelBoxes) -> bytes:
    """The objects of a label image as TSV."""
    neurons = label_neurons(one)
    rows = (
        {"label": label, "neuron_id": neurons.get(label), "n_voxels": count, **dict(zip(_BOX, box, strict=True))}
        for label, count, box in zip(found.ids.tolist(), found.counts.tolist(), found.boxes.tolist(), strict=True)
    )
    return tsv_text(("label", "neuron_id", "n_voxels", *_BOX), rows).encode()


def objects_of(data: bytes, name: str) -> LabelBoxes:
    """The objects that such a table lists."""
    from neuropack.process.label_boxes import LabelBoxes

    rows = parse_tsv(data, name)
    numbers = np.array([[int(row[column]) for column in ("label", "n_voxels", *_BOX)] for row in rows], np.int64)
    numbers = numbers.reshape(-1, 8)
    return LabelBoxes(numbers[:, 0], numbers[:, 2:], numbers[:, 1])


def boxes_table(one: Planned, found: LabelBoxes) -> pa.Table:
    """The box around each label."""
    import pyarrow as pa

    from neuropack.process.label_boxes import table_of_boxes

    source = one.stack.annotations.labels
    table = table_of_boxes(found.ids, found.boxes, source.credit if source is not None else Credit())
    neurons = label_neurons(one)
    at = table.schema.get_field_index("neuron_id")
    names = pa.array([neurons.get(value) for value in found.ids.tolist()], pa.string())
    return table.set_column(at, table.schema.field(at), names)
