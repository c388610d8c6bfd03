"""A release of a few files for the tests of the catalogue: metadata, tables, skeletons and a manifest, no image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neuropack.manifest import files_below, hash_files, write_manifest

STACK = "sub-M01_ses-01_sample-LH_acq-25x_chunk-01_CONF"
STEM = STACK.removesuffix("_CONF")
REGIONS = (
    (1, "root", "everything", "", "FFFFFF"),
    (2, "CTX", "cortex", 1, "70FF71"),
    (3, "VISp", "Primary visual area", 2, "08858C"),
    (4, "VISp5", '"Primary visual area, layer 5"', 3, "08858C"),
    (5, "TH", "thalamus", 1, "FF7080"),
)
SOMATA = ((3, "VISp"), (4, "VISp5"), (5, "TH"), (4, "VISp5"))


def write(root: Path, name: str = "small", count: int = 4, **changes: Any) -> Path:
    """Write it.

    Args:
        root: the folder.
        name: its identifier.
        count: how many neurons it has; the regions of their somata are those of `SOMATA` in turn.
        changes: fields of the metadata in the place of others.
    """
    put(root, "derivatives/registration/atlas/structures.csv", _structures())
    names = [f"{STEM}_desc-n{number + 1:03d}" for number in range(count)]
    for number, one in enumerate(names):
        put(root, swc(one), skeleton(number + 2))
    columns = "neuron_id\timage_stack\tlabel\tlength_um\tannotator\tprovenance\tconfidence\tswc_ccf\tsoma_border_um"
    rows = [
        f"{one}\t{STACK}\t{at + 1}\t{10.5 * (at + 1)}\tJane Doe\tmanual\t{'n/a' if at == 1 else at / 10}\tn/a\t5.0"
        for at, one in enumerate(names)
    ]
    put(root, "derivatives/morphology/neurons.tsv", "\n".join([columns, *rows]) + "\n")
    lengths = [
        f"{one}\t{SOMATA[at % 4][0]}\t{SOMATA[at % 4][1]}\tleft\taxon\t{5.0 * (at + 1)}"
        for at, one in enumerate(names)
    ]
    head = "neuron_id\tregion_id\tregion\themisphere\tcompartment\tlength_um"
    put(root, "derivatives/morphology/regions.tsv", "\n".join([head, *lengths]) + "\n")
    put(root, "metadata/neuropack.json", json.dumps({**document(name, names), **changes}))
    listed(root)
    return root


def listed(root: Path) -> None:
    """Write the manifest for the files as they are."""
    names = [name for name in files_below(root) if name != "manifest.tsv"]
    write_manifest(root, hash_files(root, names))


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def swc(name: str) -> str:
    """The path of a skeleton."""
    return f"derivatives/morphology/sub-M01/ses-01/micr/{name}.swc"


def skeleton(tips: int) -> str:
    """A soma and so many straight neurites."""
    ends = [f"{at + 2} 2 {10 + 10 * at} {5 * at + 1} {at} 1 1" for at in range(tips)]
    return "\n".join(["1 1 0 0 0 5 -1", *ends]) + "\n"


def document(dataset: str, names: list[str]) -> dict[str, Any]:
    """The metadata."""
    return {
        "schema_version": "0.2.0",
        "dataset": {
            "id": dataset,
            "title": f"Neurons of {dataset}",
            "version": "1.0.0",
            "creators": [{"name": "Jane Doe"}],
            "license": {"spdx": "CC0-1.0"},
            "keywords": ["test"],
        },
        "release": {"schema_version": "0.2.0"},
        "subjects": [{"id": "M01", "species": "NCBITaxon:10090", "sex": "F", "strain": "C57BL/6J"}],
        "specimens": [{"id": "M01-LH", "subject": "M01", "specimen_type": "block", "hemisphere": "left"}],
        "labellings": [
            {"id": "l", "specimen": "M01-LH", "strategy": "brainbow", "reporters": [{"fluorophore": "EYFP"}]}
        ],
        "acquisitions": [
            {
                "id": "a",
                "specimen": "M01-LH",
                "channels": [{"name": "yellow"}],
                "start_time": "2026-01-01T10:00:00Z",
            }
        ],
        "image_stacks": [
            {
                "id": STACK,
                "subject": "M01",
                "specimen": "M01-LH",
                "acquisition": "a",
                "path": f"sub-M01/ses-01/micr/{STACK}.ome.zarr",
                "shape": [1, 8, 16, 16],
                "axes": "CZYX",
            }
        ],
        "neurons": [
            {
                "id": name,
                "image_stack": STACK,
                "soma_space": "AllenCCFv3",
                **{f"soma_{axis}": 1000.0 + 100 * at + shift for shift, axis in enumerate("xyz")},
                "region_id": SOMATA[at % 4][0],
                "region_acronym": SOMATA[at % 4][1],
                "ontology_version": "test",
                "hemisphere": ("left", "right")[at % 2],
                "completeness": "complete",
                "morphology": swc(name),
                "color_vector": [0.5, 1],
                "annotators": ["Jane Doe", "John Roe"],
            }
            | ({"cell_type": "CL:0000598"} if at == 0 else {})
            for at, name in enumerate(names)
        ],
        "annotations": [
            {"id": "b", "kind": "boxes", "image_stack": STACK, "label_map": [{"value": 1, "name": "soma"}]}
        ],
    }


def _structures() -> str:
    head = "id,acronym,name,parent_structure_id,color_hex_triplet"
    return "\n".join([head, *(",".join(map(str, row)) for row in REGIONS)]) + "\n"
