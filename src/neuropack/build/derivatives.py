"""The annotations of a study inside a release: label images, skeletons, and their tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from neuropack.build.bids import Texts, tsv_text
from neuropack.build.document import Made
from neuropack.build.place import Place
from neuropack.errors import InputError
from neuropack.release import CLASSES, MORPHOLOGY, NEURONS, REGIONS
from neuropack.space.neurons import COLUMNS, Row, ccf_columns, region_rows
from neuropack.writers.summaries import read_label_values

MOST_LISTED = 10_000  # values of a label image; more are an over-segmentation that nobody reads as a table


def label_values(place: Place, image: str, named: Iterable[int], notes: list[str]) -> tuple[int, ...]:
    """The values of a label image that are listed one by one: all but 0; of very many, those that have a name."""
    values = read_label_values(place.at(image), place.store(image))
    if len(values) > MOST_LISTED:
        notes.append(f"the label image has {len(values)} values: only those that the study names are listed")
        values = values[np.isin(values, list(named))]
    return tuple(int(v) for v in values)


def copy(source: Path, place: Place, name: str) -> bytes:
    """Copy a file into the release byte for byte, whole or not at all, and not where it is there already.

    Returns:
        Its content.

    Raises:
        InputError: the source cannot be read.
    """
    try:
        data = source.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=source) from error
    place.put(name, data)
    return data


def tables(made: Iterable[Made]) -> Texts:
    """neurons.tsv, regions.tsv and classes.tsv, each only where there is something to list."""
    made = list(made)
    registered = any(one.planned.placement is not None for one in made)
    neurons: list[Row] = []
    regions: list[Row] = []
    classes: list[Row] = []
    for one in made:
        stack = one.planned.stack
        for path in stack.skeletons:
            name = stack.neuron(path)
            skeleton = one.planned.skeletons[name]
            row: Row = {"participant_id": f"sub-{stack.subject['id']}", "neuron_id": name}
            row["swc"] = stack.morphology(path).removeprefix(f"{MORPHOLOGY}/")
            length = round(skeleton.length_um(), 3)
            row |= {"image_stack": stack.id, "n_nodes": len(skeleton), "length_um": length}
            neurons.append({**row, **(_in_ccf(one, path) if registered else {})})
            regions += _by_region(one, path)
        if stack.labels is not None:
            typed = {e["value"]: e["name"] for e in stack.annotation.get("label_map", ())}
            image = stack.label_image.removeprefix("derivatives/segmentation/")
            rows = [{"value": v, "name": typed.get(v, f"neuron {v}"), "image": image} for v in one.label_values]
            classes += rows or [{"value": 0, "name": "background", "image": image}]
    texts: Texts = {}
    if neurons:
        texts[NEURONS] = tsv_text(list(neurons[0]), neurons)
    if regions:
        texts[REGIONS] = tsv_text(list(regions[0]), regions)
    if classes:
        texts[CLASSES] = tsv_text(list(classes[0]), classes)
    return texts


def _in_ccf(made: Made, path: Path) -> Row:
    """The columns of neurons.tsv about the CCF; None in a stack that is not registered."""
    stack, placement = made.planned.stack, made.planned.placement
    if placement is None:
        return dict.fromkeys(COLUMNS)
    swc = stack.morphology_ccf(path).removeprefix(f"{MORPHOLOGY}/")
    return ccf_columns(placement.neurons[stack.neuron(path)], swc)


def _by_region(made: Made, path: Path) -> list[Row]:
    """The rows of regions.tsv for a neuron."""
    stack, placement, used = made.planned.stack, made.planned.placement, made.planned.atlas
    if placement is None or used is None:
        return []
    name: Row = {"participant_id": f"sub-{stack.subject['id']}", "neuron_id": stack.neuron(path)}
    return region_rows(placement.neurons[stack.neuron(path)], name, used.atlas.structures)
