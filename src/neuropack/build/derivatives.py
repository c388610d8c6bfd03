"""The annotations of a study inside a release: label images, skeletons, and their tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from neuropack.build.bids import Texts, tsv_text
from neuropack.build.document import Made
from neuropack.build.labels import label_map, label_neurons
from neuropack.build.place import Place
from neuropack.build.plan import Planned
from neuropack.describe.described import json_bytes
from neuropack.marks import Credit
from neuropack.release import CLASSES, MORPHOLOGY, NEURONS, NEURONS_PARQUET, REGIONS
from neuropack.skeleton import Skeleton
from neuropack.space.neurons import COLUMNS, PlacedNeuron, Row, ccf_columns, region_rows
from neuropack.swc import swc_text
from neuropack.table import MISSING
from neuropack.writers.summaries import read_label_values

_WHOLE, _REAL = ("label", "n_nodes", "soma_region_id"), ("confidence",)  # and every length, in um
MOST_LISTED = 10_000  # values of a label image; more are an over-segmentation that nobody reads as a table


def label_values(place: Place, image: str, named: Iterable[int], notes: list[str]) -> tuple[int, ...]:
    """The values of a label image that are listed one by one: all but 0; of very many, those that have a name."""
    values = read_label_values(place.at(image), place.store(image))
    if len(values) > MOST_LISTED:
        notes.append(f"the label image has {len(values)} values: only those that the study names are listed")
        values = values[np.isin(values, list(named))]
    return tuple(int(v) for v in values)


def named_labels(place: Place, one: Planned, values: Iterable[int]) -> tuple[str, bytes]:
    """The root metadata of a label image with the name and the neuron of each value, as viewers show them.

    They are put there after the conversion: a name that changes is no reason to convert the voxels again.
    """
    name = f"{one.stack.label_image}/zarr.json"
    data = place.read(name) or b"{}"
    properties = [
        {"label-value": entry["value"]} | {key: entry[key] for key in ("name", "neuron") if key in entry}
        for entry in label_map(one, values)
    ]
    node = json.loads(data)
    image_label = node.get("attributes", {}).get("ome", {}).get("image-label", {})
    if image_label.get("properties", []) == properties:
        return name, data
    image_label["properties"] = properties
    return name, json_bytes(node)


def neuron_rows(made: Iterable[Made]) -> list[Row]:
    """The rows of the table of neurons."""
    made = list(made)
    registered = any(one.planned.placement is not None for one in made)
    rows: list[Row] = []
    for one in made:
        stack = one.planned.stack
        values = {neuron: value for value, neuron in label_neurons(one.planned).items()}
        for traced in one.planned.annotated.neurons:
            row = neuron_row(
                stack.subject["id"],
                traced.id,
                stack.morphology(traced.id),
                stack.id,
                traced.skeleton,
                traced.credit,
                values.get(traced.id),
            )
            rows.append({**row, **(_in_ccf(one, traced.id) if registered else {})})
    return rows


def neuron_row(
    subject: str, neuron: str, swc: str, stack: str, skeleton: Skeleton, credit: Credit, label: int | None
) -> Row:
    """The row of a neuron in the table of neurons, without the columns about the CCF.

    Args:
        subject: the identifier of the animal.
        neuron: its identifier.
        swc: the path of its SWC file.
        stack: the identifier of its stack.
        skeleton: in the stack.
        credit: who traced it.
        label: its value in the label image, where it has one.
    """
    return {
        "participant_id": f"sub-{subject}",
        "neuron_id": neuron,
        "swc": swc.removeprefix(f"{MORPHOLOGY}/"),
        "image_stack": stack,
        "label": label,
        "n_nodes": len(skeleton),
        "length_um": round(skeleton.length_um(), 3),
        "annotator": credit.annotator,
        "provenance": credit.provenance,
        "confidence": credit.confidence,
    }


def typed(row: Mapping[str, str]) -> Row:
    """A row of neurons.tsv as it was before it became text."""
    found: Row = {}
    for name, text in row.items():
        kind = int if name in _WHOLE else float if name in _REAL or name.endswith("_um") else str
        found[name] = None if text == MISSING else kind(text)
    return found


def parquet(rows: Sequence[Row]) -> dict[str, bytes]:
    """The table of neurons with types: numbers are numbers, and what is not known is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not rows:
        return {}
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    fields = [
        pa.field(
            name,
            pa.int64()
            if name in _WHOLE
            else pa.float64()
            if name in _REAL or name.endswith("_um")
            else pa.string(),
        )
        for name in columns
    ]
    out = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, pa.schema(fields)), out, compression="zstd")
    return {NEURONS_PARQUET: out.getvalue().to_pybytes()}


def tables(made: Iterable[Made], neurons: Sequence[Row]) -> Texts:
    """neurons.tsv, regions.tsv and classes.tsv, each only where there is something to list."""
    regions: list[Row] = []
    classes: list[Row] = []
    for one in made:
        stack = one.planned.stack
        for traced in one.planned.annotated.neurons:
            regions += _by_region(one, traced.id)
        if stack.labels is not None:
            image = stack.label_image.removeprefix("derivatives/segmentation/")
            entries = label_map(one.planned, one.label_values) or [{"value": 0, "name": "background"}]
            classes += [{"value": e["value"], "name": e["name"], "image": image} for e in entries]
    texts: Texts = {}
    if neurons:
        texts[NEURONS] = tsv_text(list(neurons[0]), neurons)
    if regions:
        texts[REGIONS] = tsv_text(list(regions[0]), regions)
    if classes:
        texts[CLASSES] = tsv_text(list(classes[0]), classes)
    return texts


def _in_ccf(made: Made, neuron: str) -> Row:
    """The columns of neurons.tsv about the CCF; None in a stack that is not registered."""
    stack, placement = made.planned.stack, made.planned.placement
    if placement is None:
        return dict.fromkeys(COLUMNS)
    swc = stack.morphology_ccf(neuron).removeprefix(f"{MORPHOLOGY}/")
    return ccf_columns(placement.neurons[neuron], swc)


def _by_region(made: Made, neuron: str) -> list[Row]:
    """The rows of regions.tsv for a neuron."""
    stack, placement, used = made.planned.stack, made.planned.placement, made.planned.atlas
    if placement is None or used is None:
        return []
    name: Row = {"participant_id": f"sub-{stack.subject['id']}", "neuron_id": neuron}
    return region_rows(placement.neurons[neuron], name, used.atlas.structures)


def swc_in_ccf(neuron: PlacedNeuron, source: str) -> bytes:
    """The SWC file of a neuron in the CCF, mapped from its file in the stack."""
    name = source.rsplit("/", 1)[-1]
    comments = [f"mapped by neuropack from {name}; x, y, z are AP, DV, LR from the corner of the atlas"]
    return swc_text(neuron.skeleton, comments, decimals=3).encode()
