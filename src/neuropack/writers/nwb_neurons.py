"""The neurons of an image in its NWB file, and where their somata lie in the Allen CCFv3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuropack.writers.nwb import NwbMetadata


def ophys(nwb: Any) -> Any:
    """The module for the tables of the image."""
    found = nwb.processing.get("ophys")
    return found or nwb.create_processing_module("ophys", "Tables that belong to the image.")


def add_neurons(nwb: Any, meta: NwbMetadata) -> None:
    """The neurons of the image, and where their somata lie in the Allen CCFv3."""
    from hdmf.common import DynamicTable, VectorData

    columns = {
        "neuron_id": ("name of the neuron", [n.neuron_id for n in meta.neurons]),
        "morphology": ("SWC file, relative to the root of the release", [n.morphology for n in meta.neurons]),
    }
    neurons = DynamicTable(
        name="neurons",
        description="Neurons that were traced in the image.",
        columns=[VectorData(name=name, description=what, data=data) for name, (what, data) in columns.items()],
    )
    ophys(nwb).add(neurons)
    placed = [(row, n, n.soma_um) for row, n in enumerate(meta.neurons) if n.soma_um is not None]
    if meta.localization is None or not placed:
        return
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
