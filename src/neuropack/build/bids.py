"""The files that make a release, and each of its derivatives, a dataset of BIDS 1.11 (microscopy)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import neuropack
from neuropack import table
from neuropack.build.nwb import TECHNIQUES
from neuropack.build.plan import Planned
from neuropack.describe.terms import binomial, purl
from neuropack.schema import fields
from neuropack.study import Study
from neuropack.study.records import Record
from neuropack.table import MISSING
from neuropack.volume import VoxelSize

BIDS_VERSION = "1.11.1"
HOME = "https://neuropack.readthedocs.io"
# What lies in a derivative and is not BIDS; rules of neuropack check it instead.
DERIVATIVES = {
    "preprocessed": ("preprocessed images", ""),
    "nwb": ("NWB files", "*.nwb\n**/*.nwb\n"),
    "segmentation": (
        "labels and marks",
        "**/*_boxes.tsv\n**/*_points.tsv\n**/*_classes.tsv\n**/*_colors.tsv\n**/*_objects.tsv\n**/*_agreement.tsv\nclasses.*\n",
    ),
    "morphology": (
        "skeletons",
        "*.swc\n**/*.swc\n**/*_skeletons\n**/*_skeletons/**\nneurons.*\nregions.*\n",
    ),
    "registration": (
        "registrations",
        "**/*_xfm.*\n**/*_xfm_field-*.npy\n**/*_landmarks.*\nquality.*\natlas\natlas/**\n",
    ),
    "benchmark": ("splits, ground truth and scores", "splits.*\nscores.*\nsimulat*\nsimulat*/**\n"),
}
IGNORED = "croissant.json\nmanifest.tsv\nmetadata\nmetadata/**\n"

_PARTICIPANTS = ["strain", "strain_rrid", "genotype", "weight_g", "age_reference"]
_SAMPLES = ["specimen_type", "anatomical_entity", "anatomical_entity_name", "hemisphere", "fixation"]
_SAMPLES += ["clearing_method", "expansion_factor", "thickness_um"]
_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}

Texts = dict[str, str]
"""The text of every file of a dataset, by its path in it."""


def json_text(data: Any) -> str:
    """JSON as neuropack writes it: two spaces, real letters, a line break at the end."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def tsv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A BIDS table; line breaks and tabs inside a value become spaces."""
    tidy = ({c: " ".join(str(v).split()) for c, v in row.items() if v is not None} for row in rows)
    return table.tsv_text(columns, tidy)


def dataset_texts(study: Study, planned: Sequence[Planned], document: Record) -> Texts:
    """The text files at the root of the release, but those that describe it."""
    license_ = study.dataset["license"]
    return {
        "dataset_description.json": json_text(description(study.dataset)),
        "CHANGES": _changes(document["release"]["changelog"]),
        "LICENSE": f"{license_['spdx']}\n\nThe data of this release are under this licence: {license_['uri']}\n",
        ".bidsignore": IGNORED,
        **_people_and_tissue(study),
        **{p.stack.sidecar: json_text(sidecar(study, p)) for p in planned},
    }


def derivative_texts(study: Study, name: str) -> Texts:
    """The text files at the root of a derivative, by path in the release."""
    return derivative_texts_of(study.dataset, name, _people_and_tissue(study))


def derivative_texts_of(dataset: Record, name: str, people: Texts) -> Texts:
    """The same from the record of the dataset, and the tables of animals and tissue at the root of the release."""
    described = derivative_description(dataset, name)
    readme = (
        f"# {described['Name']}\n\nMade by neuropack from the images two folders up, whose README says what they "
        "show. "
        "Subjects and samples are those of participants.tsv and samples.tsv there; the copies here are the same.\n"
    )
    texts = {
        "dataset_description.json": json_text(described),
        "README.md": readme,
        ".bidsignore": DERIVATIVES[name][1],
        **people,
    }
    return {f"derivatives/{name}/{path}": text for path, text in texts.items()}


def derivative_description(dataset: Record, name: str) -> Record:
    """The dataset_description.json of a derivative, one of `DERIVATIVES`."""
    whole = {k: v for k, v in description(dataset).items() if k != "DatasetDOI"}  # of the release, not of a part
    return {
        **whole,
        "Name": f"{dataset['title']}: {DERIVATIVES[name][0]}",
        "DatasetType": "derivative",
        "DatasetLinks": {"raw": "../.."},
        "SourceDatasets": [{"URL": "../..", "Version": dataset["version"]}],
    }


def description(data: Record) -> Record:
    """The dataset_description.json at the root of the release, from the record of the dataset."""
    maker = {"Name": "neuropack", "Version": neuropack.__version__, "CodeURL": HOME}
    funding = [" ".join([f["name"], *f.get("awards", ())]) for f in data.get("funders", ())]
    found: Record = {
        "Name": data["title"],
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "License": data["license"]["spdx"],
        "Authors": [p["name"] for p in data["creators"]],
        "Keywords": data["keywords"],
        "Acknowledgements": data.get("acknowledgements"),
        "Funding": funding,
        "EthicsApprovals": data.get("ethics"),
        "ReferencesAndLinks": [f"https://doi.org/{r['doi']}" for r in data.get("related", ())],
        "GeneratedBy": [maker],
        "DatasetDOI": f"https://doi.org/{data['doi']}" if "doi" in data else None,
    }
    return {k: v for k, v in found.items() if v}


def _changes(changelog: Iterable[Record]) -> str:
    """CHANGES in the form of CPAN, which BIDS asks for."""
    blocks = []
    for entry in changelog:
        lines = [f"{entry['version']} {entry['date']}", *(f"  - {' '.join(c.split())}" for c in entry["changes"])]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def years(age: str, reference: str) -> float | None:
    """BIDS counts an age in years from birth; None for a range or an age counted from conception."""
    if reference != "birth" or "/" in age:
        return None
    date = age.split("T", maxsplit=1)[0]
    return round(sum(float(n) * _YEARS[unit] for n, unit in re.findall(r"([0-9.]+)([YMWD])", date)), 4)


def _people_and_tissue(study: Study) -> Texts:
    return people_and_tissue(study.subjects, [(s.label, s.subject["id"], s.specimen) for s in study.stacks])


def people_and_tissue(subjects: Iterable[Record], stacks: Iterable[tuple[str, str, Record]]) -> Texts:
    """The tables of animals and of tissue, each with what its columns mean.

    Args:
        subjects: the animals.
        stacks: of each image the label of its sample, the id of its subject, and its specimen.
    """
    animals = [
        {
            **{k: s.get(k) for k in _PARTICIPANTS},
            "participant_id": f"sub-{s['id']}",
            "species": binomial(s["species"]).lower() if ":" not in binomial(s["species"]) else s["species"],
            "age": years(s["age"], s["age_reference"]),
            "sex": None if s["sex"] == "U" else s["sex"],
            "age_iso8601": s["age"],
        }
        for s in subjects
    ]
    tissue = {
        specimen["id"]: {
            **{k: specimen.get(k) for k in _SAMPLES},
            "sample_id": f"sample-{label}",
            "participant_id": f"sub-{subject}",
            "sample_type": "tissue",
        }
        for label, subject, specimen in stacks
    }
    used = [c for c in _SAMPLES if any(t[c] is not None for t in tissue.values())]
    more = [c for c in _PARTICIPANTS if any(a[c] is not None for a in animals)]
    columns = ["participant_id", "species", "age", "sex", *more, "age_iso8601"]
    age = {"LongName": "Age", "Description": "Age as an ISO 8601 duration, counted from age_reference"}
    return {
        "participants.tsv": tsv_text(columns, animals),
        "participants.json": json_text({**_columns("Subject", more), "age_iso8601": age}),
        "samples.tsv": tsv_text(["sample_id", "participant_id", "sample_type", *used], tissue.values()),
        "samples.json": json_text(_columns("Specimen", used)),
    }


def _columns(name: str, columns: Iterable[str]) -> Record:
    """What a column means, in the schema's own words."""
    return {c: {"Description": fields(name)[c]["description"]} for c in columns}


def sidecar(study: Study, planned: Planned) -> Record:
    """The BIDS sidecar of a stack. Text that nobody stated is n/a, a number that nobody stated is left out."""
    stack = planned.stack
    found = sidecar_of(
        study.dataset,
        stack.specimen,
        stack.labelling,
        planned.instrument,
        planned.acquisition,
        planned.volume.voxel_size_um,
        stack.suffix,
    )
    offset = planned.volume.origin_um[0 if planned.volume.voxel_size_um[0] is not None else 1 :]
    if stack.chunk is not None and None not in offset:
        found |= _chunk_place([float(v) for v in offset if v is not None])
    return found


def sidecar_of(
    dataset: Record,
    tissue: Record,
    labelling: Record | None,
    instrument: Record,
    acquisition: Record,
    voxel_size_um: VoxelSize,
    suffix: str,
) -> Record:
    """What the sidecar of a stack says, but for the place of a chunk, from the records of the metadata."""
    z, y, x = voxel_size_um
    objective = instrument["objective"]
    antibodies = (labelling or {}).get("antibodies", ())
    channels = [{k: c[k] for k in ("name", "fluorophore")} for c in acquisition["channels"]]
    found: Record = {
        "PixelSize": [x, y] if z is None else [x, y, z],
        "PixelSizeUnits": "um",
        "Manufacturer": instrument["manufacturer"],
        "ManufacturersModelName": instrument["model"],
        "DeviceSerialNumber": MISSING,
        "StationName": MISSING,
        "SoftwareVersions": MISSING,
        "InstitutionName": dataset["creators"][0].get("affiliation", {}).get("name", MISSING),
        "InstitutionAddress": MISSING,
        "InstitutionalDepartmentName": MISSING,
        "Immersion": objective.get("immersion", MISSING),
        "NumericalAperture": objective.get("numerical_aperture"),
        "Magnification": objective.get("magnification"),
        "BodyPart": "BRAIN",
        "BodyPartDetails": tissue.get("anatomical_entity_name", tissue["anatomical_entity"]),
        "BodyPartDetailsOntology": purl(tissue["anatomical_entity"]),
        "SampleEnvironment": "ex vivo",
        "SampleFixation": tissue["fixation"],
        "SampleStaining": ", ".join(dict.fromkeys(c["fluorophore"] for c in channels)),
        "SamplePrimaryAntibody": ", ".join(a.get("rrid", a["name"]) for a in antibodies) or MISSING,
        "SampleSecondaryAntibody": MISSING,
        "SliceThickness": tissue.get("thickness_um"),
        "TissueDeformationScaling": round(100 * tissue["expansion_factor"], 6)
        if "expansion_factor" in tissue
        else None,
        "ImageAcquisitionProtocol": tissue.get("protocol_doi", MISSING),
        "OtherAcquisitionParameters": f"technique: {TECHNIQUES.get(suffix, suffix)}",
        "Channels": channels,
    }
    return {k: v for k, v in found.items() if v is not None}


def _chunk_place(offset: list[float]) -> Record:
    """Where the stage stood for this chunk, as the matrix that BIDS asks for."""
    size = len(offset)
    rows = [[float(i == j) for j in range(size)] + [offset[i]] for i in range(size)]
    axes = ["Z", "Y", "X"][-size:]
    return {
        "ChunkTransformationMatrix": [*rows, [0.0] * size + [1.0]],
        "ChunkTransformationMatrixAxis": axes,
    }


def label_sidecar(study: Study, planned: Planned) -> Record:
    """The BIDS sidecar of a stack's label image."""
    description = "Label image on the voxel grid of its source: 0 is background, every other value one neuron."
    source = {"Description": description, "Sources": [f"bids:raw:{planned.stack.image}"]}
    return {**sidecar(study, planned), **source}
