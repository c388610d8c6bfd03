"""Neurons in the CCF: where the soma lies, which regions axon and dendrites pass, and the rows that say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from neuropack.errors import InputError
from neuropack.skeleton import Skeleton
from neuropack.space.annotation import VOID, hemisphere
from neuropack.space.atlas import Atlas
from neuropack.space.mapping import AXON, DENDRITES, compartment_lengths, lengths_by_region, map_skeleton
from neuropack.space.regions import Region, look_up
from neuropack.space.structures import Structures
from neuropack.space.transforms import Transform

Row = dict[str, object]
COLUMNS: Final = (
    *("swc_ccf", "soma_ap_um", "soma_dv_um", "soma_lr_um", "soma_region_id", "soma_region", "soma_hemisphere"),
    *("soma_border_um", "axon_length_um", "dendrite_length_um"),
)
"""The columns of neurons.tsv about the CCF."""


@dataclass(frozen=True)
class PlacedNeuron:
    """A neuron in the CCF.

    Attributes:
        skeleton: in the CCF.
        soma: AP, DV, LR of its centre; None where no node is a soma.
        region: of the soma; None without a soma or an annotation.
        lengths: micrometre by (region, hemisphere, compartment), None without an annotation; region 0 is outside
            of the brain, and all sum to the length of the skeleton.
    """

    skeleton: Skeleton
    soma: tuple[float, float, float] | None
    region: Region | None
    lengths: Mapping[tuple[int, str, str], float] | None


def place_neuron(skeleton: Skeleton, transform: Transform, atlas: Atlas | None) -> PlacedNeuron:
    """A neuron mapped into the CCF, and what the atlas says of it.

    Args:
        skeleton: in the frame where the transform begins.
        transform: of points to the CCF.
        atlas: where regions are looked up; None without one.

    Raises:
        InputError: the annotation has labels that the tree lacks.
        UsageError: the skeleton lies in another frame.
    """
    mapped = map_skeleton(skeleton, transform)
    centre = skeleton.soma()
    soma, region, lengths = None, None, None
    if centre is not None:
        ap, dv, lr = np.round(transform(centre), 3).tolist()
        soma = (ap, dv, lr)
        if atlas is not None:
            (region,) = look_up(atlas, np.array([soma]))
    if atlas is not None:
        lengths = _lengths(mapped, atlas)
    return PlacedNeuron(mapped, soma, region, lengths)


def _lengths(skeleton: Skeleton, atlas: Atlas) -> dict[tuple[int, str, str], float]:
    annotation = atlas.annotation
    others = tuple(sorted({int(t) for t in skeleton.type} - {*AXON, *DENDRITES}))
    found: dict[tuple[int, str, str], float] = {}
    for compartment, types in (("axon", AXON), ("dendrite", DENDRITES), ("other", others)):
        rows = lengths_by_region(skeleton, annotation.lookup, annotation.resolution_um / 2, types)
        found |= {(region, side, compartment): length for (region, side), length in rows.items()}
    unknown = sorted({region for region, *_ in found if region != VOID and region not in atlas.structures})
    if unknown:
        raise InputError(
            "has labels that the tree of structures lacks",
            file=annotation.source,
            expected=f"ids of {atlas.structures.source}",
            found=", ".join(map(str, unknown[:5])),
            fix="name the tree that belongs to the annotation as structures",
        )
    return found


def ccf_columns(neuron: PlacedNeuron, swc: str) -> Row:
    """Its values of `COLUMNS`; None for what is not known.

    Args:
        neuron: in the CCF.
        swc: the path of its skeleton there.
    """
    row: Row = {**dict.fromkeys(COLUMNS), "swc_ccf": swc}
    if neuron.soma is not None:
        row |= dict(zip(("soma_ap_um", "soma_dv_um", "soma_lr_um"), neuron.soma, strict=True))
        row["soma_hemisphere"] = hemisphere([neuron.soma])[0]
    if neuron.region is not None:
        structure = neuron.region.structure
        row["soma_region_id"] = structure.id if structure else VOID
        row["soma_region"] = structure.acronym if structure else None
        row["soma_border_um"] = neuron.region.border_um
    lengths = compartment_lengths(neuron.skeleton)
    return row | {f"{name}_length_um": round(lengths[name], 3) for name in ("axon", "dendrite")}


def region_rows(neuron: PlacedNeuron, name: Row, structures: Structures) -> list[Row]:
    """Its rows of regions.tsv.

    Args:
        neuron: in the CCF; without lengths it has no row.
        name: the columns that say which neuron it is.
        structures: what the regions are called.
    """
    return [
        {
            **name,
            "region_id": region,
            "region": structures[region].acronym if region != VOID else None,
            "hemisphere": side,
            "compartment": compartment,
            "length_um": round(length, 3),
        }
        for (region, side, compartment), length in (neuron.lengths or {}).items()
    ]
