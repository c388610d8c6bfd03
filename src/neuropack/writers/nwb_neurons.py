"""The neurons of an image in its NWB file, where their somata lie in the Allen CCFv3, and files beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from neuropack.writers.nwb import NwbMetadata


def ophys(nwb: Any) -> Any:
    """The module for the tables of the image."""
    found = nwb.processing.get("ophys")
    return found or nwb.create_processing_module("ophys", "Tables that belong to the image.")


def add_neurons(nwb: Any, meta: NwbMetadata) -> Any:
    """The neurons of the image, and where their somata lie in the Allen CCFv3; the table of neurons."""
    from hdmf.common import DynamicTable, VectorData

    neurons = DynamicTable(
        name="neurons",
        description="Neurons that were traced in the image.",
        columns=[VectorData(name=name, description=what, data=data) for name, what, data in _columns(meta)],
    )
    ophys(nwb).add(neurons)
    placed = [(row, n, n.soma_um) for row, n in enumerate(meta.neurons) if n.soma_um is not None]
    if meta.localization is None or not placed:
        return neurons
    from ndx_anatomical_localization import AllenCCFv3Space, AnatomicalCoordinatesTable, Localization

    space = AllenCCFv3Space()
    localization = Localization(spaces=[space])
    nwb.add_lab_meta_data(localization)  # before its table is filled, which points at rows elsewhere in the file
    somata = AnatomicalCoordinatesTable(
        name="somata_ccf",
        description="Centres of the somata in the Allen CCFv3: micrometre, x is AP, y is DV, z is LR.",
        space=space,
        method=meta.localization,
        target=neurons,
    )
    for row, neuron, (ap, dv, lr) in placed:
        somata.add_row(x=ap, y=dv, z=lr, localized_entity=row, brain_region=neuron.region or "not looked up")
    localization.add_anatomical_coordinates_tables(somata)
    return neurons


def _columns(meta: NwbMetadata) -> Iterator[tuple[str, str, Any]]:
    """Name, description and values of each column; what nobody knows of any neuron has none."""
    neurons = meta.neurons
    yield "neuron_id", "name of the neuron", [n.neuron_id for n in neurons]
    yield (
        "morphology",
        "SWC file, relative to the root of the release",
        [n.morphology for n in neurons],
    )
    if any(n.label is not None for n in neurons):
        labels = [-1 if n.label is None else n.label for n in neurons]
        yield "label", "its value in the label image, -1 where it has none", np.array(labels, np.int64)
    for name, what in (
        ("annotator", "the person who traced it, or the model with its version"),
        ("provenance", "manual, model, corrected or simulated"),
        ("guideline_version", "version of the guideline that was followed"),
    ):
        if any(getattr(n, name) is not None for n in neurons):
            yield name, what, [getattr(n, name) or "" for n in neurons]
    if any(n.confidence is not None for n in neurons):
        sure = [math.nan if n.confidence is None else n.confidence for n in neurons]
        yield "confidence", "from 0 to 1, NaN where it is not known", np.array(sure, np.float64)
    skeletons = meta.annotations.skeletons if meta.annotations is not None else {}
    if skeletons:
        traced = [skeletons.get(n.neuron_id) for n in neurons]
        counts = [0 if s is None else len(s) for s in traced]
        lengths = [math.nan if s is None else s.length_um() for s in traced]
        yield "n_nodes", "nodes of its skeleton, 0 where it has none", np.array(counts, np.int64)
        yield "length_um", "length of its skeleton in micrometre", np.array(lengths, np.float64)


def add_external_files(nwb: Any, meta: NwbMetadata) -> None:
    """A table of files outside, such as the full pixels in OME-Zarr. NWB has no standard link to them."""
    from hdmf.common import DynamicTable, VectorData

    paths, digests = zip(*meta.external_files, strict=True)
    table = DynamicTable(
        name="external_files",
        description="Files that belong to this one: path relative to the root of the release, and SHA-256.",
        columns=[
            VectorData(name="path", description="relative path, / between folders", data=list(paths)),
            VectorData(name="sha256", description="SHA-256, hexadecimal", data=list(digests)),
        ],
    )
    ophys(nwb).add(table)
