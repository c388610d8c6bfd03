"""A small release whose neurons lie in a simulated atlas, by hand: what `neuropack atlas summary` reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nrrd
import numpy as np

from neuropack.simulate.atlas import simulated_atlas
from neuropack.simulate.trees import Habit, grow
from neuropack.skeleton import Skeleton
from neuropack.space.annotation import Annotation, hemisphere
from neuropack.space.atlas import Atlas, Version
from neuropack.space.frames import CCF, EXTENT_UM, MIDLINE_UM
from neuropack.space.mapping import AXON, DENDRITES, lengths_by_region
from neuropack.space.structures import Structure, Structures
from neuropack.swc import write_swc
from neuropack.table import tsv_text

LONG = Habit(
    soma_radius_um=(8.0, 10.0),
    stems=(3, 4),
    dendrite_length_um=350.0,
    axon_length_um=5000.0,
    step_um=25.0,
    branches_per_um=0.002,
    branching_decay=0.7,
    turn=0.22,
)
NEURON_COLUMNS = (
    *("participant_id", "neuron_id", "swc", "image_stack", "n_nodes", "length_um", "swc_ccf"),
    *(
        "soma_ap_um",
        "soma_dv_um",
        "soma_lr_um",
        "soma_region_id",
        "soma_region",
        "soma_hemisphere",
        "soma_border_um",
    ),
    *("axon_length_um", "dendrite_length_um"),
)
REGION_COLUMNS = ("participant_id", "neuron_id", "region_id", "region", "hemisphere", "compartment", "length_um")
STACK = "sub-M01_ses-01_sample-brain_acq-25x_chunk-01"
PLACED = "sub-M01_ses-01_sample-brain_acq-25x_space-AllenCCFv3_chunk-01"


def small_atlas(resolution_um: float = 200.0) -> Atlas:
    """The simulated atlas, in memory."""
    made = simulated_atlas(resolution_um)
    tree = [
        Structure(
            id=int(one["id"] or 0),
            acronym=str(one["acronym"]),
            name=str(one["name"]),
            parent=None if one["parent_structure_id"] is None else int(one["parent_structure_id"]),
            colour=f"#{one['color_hex_triplet']}",
        )
        for one in made.structures
    ]
    version = Version("simulated", "user")
    return Atlas(Annotation(made.labels, Path("annotation.nrrd")), Structures(tree, "structures.csv"), version)


def write_atlas(folder: Path, atlas: Atlas) -> None:
    """The atlas as a release shares it."""
    folder.mkdir(parents=True)
    nrrd.write(str(folder / "annotation.nrrd"), atlas.annotation.labels, {"encoding": "gzip"})
    with (folder / "structures.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "acronym", "name", "parent_structure_id", "color_hex_triplet"])
        for one in atlas.structures:
            parent = "" if one.parent is None else one.parent
            writer.writerow([one.id, one.acronym, one.name, parent, one.colour.removeprefix("#")])


def grown(count: int, seed: int = 0, habit: Habit = LONG) -> list[Skeleton]:
    """Neurons in the CCF, micrometre: AP, DV, LR. Half of them leave the brain somewhere."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        soma = np.array([rng.uniform(2500, 8500), rng.uniform(1800, 4500), MIDLINE_UM + rng.uniform(-3200, 3200)])
        tree = grow(rng, EXTENT_UM, soma, habit)
        found.append(Skeleton(tree.id, tree.type, tree.xyz, tree.radius, tree.parent, CCF))
    return found


def rows_of(
    name: str, skeleton: Skeleton, atlas: Atlas | None, participant: str = "sub-M01"
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row of neurons.tsv, and those of regions.tsv."""
    soma = skeleton.xyz[np.flatnonzero(skeleton.type == 1)[:1]]
    row: dict[str, Any] = {
        "participant_id": participant,
        "neuron_id": f"{STACK}_desc-{name}",
        "swc": f"{STACK}_desc-{name}.swc",
        "swc_ccf": f"{PLACED}_desc-{name}.swc",
        "image_stack": STACK,
        "n_nodes": len(skeleton),
        "length_um": round(skeleton.length_um(), 1),
    }
    if len(soma):
        row |= {f"soma_{axis}_um": value for axis, value in zip(("ap", "dv", "lr"), soma[0].tolist(), strict=True)}
        row["soma_hemisphere"] = hemisphere(soma)[0]
    if atlas is None:
        return row, []
    tree, lookup = atlas.structures, atlas.annotation.lookup
    if len(soma):
        region = int(lookup(soma)[0])
        row |= {"soma_region_id": region, "soma_region": tree[region].acronym if region in tree else None}
    others = tuple(set(skeleton.type.tolist()) - {*AXON, *DENDRITES})
    parts, sums = [], {}
    for compartment, types in (("axon", AXON), ("dendrite", DENDRITES), ("other", others)):
        found = lengths_by_region(skeleton, lookup, atlas.annotation.resolution_um / 2, types)
        sums[compartment] = sum(found.values())
        for (region, side), length in found.items():
            parts.append(
                {
                    "participant_id": participant,
                    "neuron_id": row["neuron_id"],
                    "region_id": region,
                    "region": tree[region].acronym if region in tree else None,
                    "hemisphere": side,
                    "compartment": compartment,
                    "length_um": round(length, 3),
                }
            )
    return row | {f"{name}_length_um": round(sums[name], 3) for name in ("axon", "dendrite")}, parts


def write_release(
    folder: Path,
    skeletons: Sequence[Skeleton],
    atlas: Atlas | None,
    *,
    share: bool = True,
    version: str = "simulated",
    atlas_name: str = "simulated atlas",
) -> Path:
    """A release with these neurons. Without an atlas they are placed, but no region is known."""
    morphology = folder / "derivatives" / "morphology"
    morphology.mkdir(parents=True)
    neurons, regions = [], []
    for n, skeleton in enumerate(skeletons, 1):
        row, parts = rows_of(f"n{n:03}", skeleton, atlas)
        write_swc(morphology / row["swc_ccf"], skeleton)
        neurons.append(row)
        regions += parts
    (morphology / "neurons.tsv").write_text(tsv_text(NEURON_COLUMNS, neurons), encoding="utf-8")
    if atlas is not None:
        (morphology / "regions.tsv").write_text(tsv_text(REGION_COLUMNS, regions), encoding="utf-8")
        if share:
            write_atlas(folder / "derivatives" / "registration" / "atlas", atlas)
    registration: dict[str, Any] = {"id": "r1", "image_stack": STACK, "atlas": atlas_name}
    if atlas is not None:
        registration |= {"annotation_version": version, "annotation_resolution_um": atlas.annotation.resolution_um}
    document = {
        "dataset": {"id": "placed", "title": "Neurons in a simulated atlas", "version": "1.0.0"},
        "registrations": [registration],
        "neurons": [{"id": row["neuron_id"], "region_acronym": row.get("soma_region")} for row in neurons],
    }
    (folder / "metadata").mkdir()
    (folder / "metadata" / "neuropack.json").write_text(json.dumps(document), encoding="utf-8")
    return folder
