"""What defects of metadata, texts and names are planted with."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import h5py
import zarr
from small_release import CHANNELS, IMAGE, METADATA, NWB, SIDECAR, SWC

from defects import edited
from neuropack.manifest import digest_of

DATACITE = "metadata/datacite.json"
DESCRIPTION = "dataset_description.json"
LABELS = [{"value": 1, "name": "soma", "neuron": "n002"}]
SAMPLE = "sample-LH\tsub-M02\ttissue\tleft\n"


def metadata(root: Path) -> Any:
    return edited(root / METADATA)


def of_its_own(image: Path, nwb: Path) -> None:
    """Make another image of a copy: two pixels change, whose mean stays what the coarser levels have."""
    array = zarr.open_array(image / "0", mode="r+")
    with h5py.File(nwb, "r+") as file:
        pixels = file[f"/acquisition/stack/{CHANNELS[0][0]}/data"]
        for x, change in ((0, 1), (1, -1)):
            value = int(array[0, 0, 0, x]) + change  # type: ignore[arg-type, call-overload]
            array[0, 0, 0, x] = pixels[0, 0, x] = value


def another_stack(root: Path, identifier: str) -> None:
    """A second stack of the same tissue, with an NWB file of this identifier."""
    names = {n: n.replace("chunk-01", "chunk-02") for n in (IMAGE, SIDECAR, NWB)}
    for old, new in names.items():
        (shutil.copytree if (root / old).is_dir() else shutil.copy)(root / old, root / new)
    of_its_own(root / names[IMAGE], root / names[NWB])
    with h5py.File(root / names[NWB], "r+") as file:
        del file["identifier"]
        file["identifier"] = identifier
    with metadata(root) as document:
        stack, step = document["image_stacks"][0], document["processings"][0]
        digests = {n: digest_of(root / names[n]) for n in (IMAGE, NWB)}
        document["image_stacks"].append(
            {**stack, "id": "stack2", "path": names[IMAGE], "nwb_path": names[NWB], "digest": digests[IMAGE]}
        )
        outputs = [{"path": names[n], "sha256": digests[n]} for n in (IMAGE, NWB)]
        document["processings"].append({**step, "id": "conversion2", "outputs": outputs})


def another_animal(root: Path) -> None:
    """A second animal, M02: its tissue, image, NWB file and neuron are those of the first, but for two pixels."""
    names = {n: n.replace("M01", "M02") for n in (IMAGE, SIDECAR, NWB, SWC)}
    for old, new in names.items():
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (root / old).is_dir() else shutil.copy)(root / old, root / new)
    of_its_own(root / names[IMAGE], root / names[NWB])
    with h5py.File(root / names[NWB], "r+") as file:
        for name, value in (("identifier", "small too"), ("general/subject/subject_id", "M02")):
            del file[name]
            file[name] = value
    digests = {n: digest_of(root / names[n]) for n in (IMAGE, NWB)}
    with metadata(root) as document:
        for collection, changed in {
            "subjects": {"id": "M02"},
            "specimens": {"id": "M02-LH", "subject": "M02"},
            "acquisitions": {"id": "acq2", "specimen": "M02-LH"},
            "image_stacks": {
                **{"id": "stack2", "subject": "M02", "specimen": "M02-LH", "acquisition": "acq2"},
                **{"path": names[IMAGE], "nwb_path": names[NWB], "digest": digests[IMAGE]},
            },
            "processings": {
                "id": "conversion2",
                "outputs": [{"path": names[n], "sha256": digests[n]} for n in (IMAGE, NWB)],
            },
            "annotations": {"id": "skeletons2", "image_stack": "stack2", "path": names[SWC], "label_map": LABELS},
            "neurons": {"id": "n002", "image_stack": "stack2", "morphology": names[SWC]},
        }.items():
            document[collection].append({**document[collection][0], **changed})
    for name, row in (("participants.tsv", "sub-M02\tmus musculus\tM\n"), ("samples.tsv", SAMPLE)):
        with (root / name).open("a") as table:
            table.write(row)
        data = (root / name).read_bytes()
        with edited(root / "croissant.json") as croissant:
            for entry in croissant["distribution"]:
                if entry["contentUrl"] == name:
                    entry["sha256"], entry["contentSize"] = hashlib.sha256(data).hexdigest(), f"{len(data)} B"
