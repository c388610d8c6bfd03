"""What the study says, in the words of NWB."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neuropack.build import registration
from neuropack.build.labels import label_neurons
from neuropack.build.plan import Planned
from neuropack.describe.terms import binomial
from neuropack.study import Study
from neuropack.study.records import Record

if TYPE_CHECKING:
    from neuropack.build.annotations import Annotations
    from neuropack.marks import Credit
    from neuropack.space.neurons import PlacedNeuron
    from neuropack.writers.nwb import NwbMetadata, NwbNeuron
    from neuropack.writers.nwb_annotations import NwbAnnotations

OUTSIDE = "outside of the brain"
_NAMESPACE = uuid.UUID("4e2d2f0e-0f62-5b0b-8a5e-0b8f0a3f7c11")  # of the files' identifiers
TECHNIQUES = {
    "CONF": "confocal microscopy",
    "2PE": "two-photon excitation microscopy",
    "MPE": "multi-photon excitation microscopy",
    "SPIM": "light-sheet microscopy",
    "FLUO": "fluorescence microscopy",
    "BF": "bright-field microscopy",
}


def nwb_metadata(study: Study, planned: Planned, annotations: Annotations) -> NwbMetadata:
    """The metadata of a stack's NWB file; its date of creation is the dataset's, so that two builds are equal."""
    from neuropack.writers.nwb import NwbMetadata, NwbSubject

    stack, dataset, animal = planned.stack, study.dataset, planned.stack.subject
    weight = animal.get("weight_g")
    affiliation: str | None = dataset["creators"][0].get("affiliation", {}).get("name")
    place = stack.specimen.get("anatomical_entity_name") or stack.specimen["anatomical_entity"]
    side = stack.specimen["hemisphere"]
    tissue = f"{stack.specimen['specimen_type'].replace('_', ' ')} of the {place}".replace("unknown", "piece")
    return NwbMetadata(
        identifier=str(uuid.uuid5(_NAMESPACE, f"{dataset['id']}/{stack.id}")),
        session_start_time=datetime.fromisoformat(planned.acquisition["start_time"]),
        created=datetime.fromisoformat(dataset["date"]).replace(tzinfo=UTC),
        session_description=f"{dataset['title']}: stack {stack.title}, {tissue}, hemisphere: {side}",
        session_id=stack.session,
        experimenter=tuple(_last_first(person) for person in dataset["creators"]),
        institution=affiliation,
        keywords=tuple(dataset["keywords"]),
        experiment_description=dataset["abstract"],
        virus=_viruses(stack.labelling),
        notes="; ".join(planned.notes) or None,
        related_publications=tuple(f"doi:{r['doi']}" for r in dataset.get("related", ())),
        subject=NwbSubject(
            subject_id=animal["id"],
            species=binomial(animal["species"]),
            sex=animal["sex"],
            age=animal["age"],
            age_reference="gestational" if animal["age_reference"] == "gestation" else "birth",
            strain=animal["strain"],
            genotype=animal.get("genotype"),
            weight=f"{weight / 1000:.9g} kg" if weight is not None else None,
            description=animal.get("description"),
        ),
        anatomical_target=place,
        illumination="plane" if stack.suffix == "SPIM" else None,
        technique=TECHNIQUES.get(stack.suffix),
        stack_description=f"{stack.title}.",
        neurons=tuple(_neurons(planned)),
        localization=_localization(planned),
        annotations=_annotations(planned, annotations),
    )


def _neurons(planned: Planned) -> Iterator[NwbNeuron]:
    stack, placement = planned.stack, planned.placement
    values = {neuron: value for value, neuron in label_neurons(planned).items()}
    for traced in planned.annotated.neurons:
        name = traced.id
        placed = placement.neurons[name] if placement is not None else None
        yield nwb_neuron(name, stack.morphology(name), placed, values.get(name), traced.credit)


def nwb_neuron(
    id_: str, morphology: str, placed: PlacedNeuron | None, label: int | None, credit: Credit
) -> NwbNeuron:
    """What the NWB file says of a neuron, where it lies in the CCF if it was placed there."""
    from neuropack.writers.nwb import NwbNeuron

    region = placed.region if placed is not None else None
    return NwbNeuron(
        neuron_id=id_,
        morphology=morphology,
        soma_um=placed.soma if placed is not None else None,
        region=None if region is None else region.structure.acronym if region.structure else OUTSIDE,
        label=label,
        annotator=credit.annotator,
        provenance=credit.provenance,
        guideline_version=credit.guideline_version,
        confidence=credit.confidence,
    )


def _annotations(planned: Planned, made: Annotations) -> NwbAnnotations | None:
    """The annotations; the masks of a label image are worked out only when the file is made."""
    from neuropack.writers.nwb_annotations import NwbAnnotations

    masks = made.masked
    if not (planned.skeletons or made.marks or masks):
        return None
    return NwbAnnotations(
        skeletons=planned.skeletons,
        boxes=made.marks.get("boxes"),
        points=made.marks.get("points"),
        classes=made.marks.get("classes"),
        masks=made.masks if masks else None,
        masks_identity=made.masks_identity if masks else None,
        mask_neurons=label_neurons(planned),
    )


def _localization(planned: Planned) -> str | None:
    """How the coordinates in the CCF were found, in words."""
    if planned.placement is None:
        return None
    placement, used = planned.placement, planned.atlas
    how = f"{registration.kind_of(placement.transform).replace('_', ' ')} of the skeleton's coordinates"
    if placement.landmarks is not None:
        how += f", {len(placement.landmarks.names)} landmarks, median error {placement.error_um:.1f} um"
    where = f"{used.name}, annotation {used.version}" if used is not None else registration.NO_ANNOTATION
    return f"{how}; regions: {where}"


def _last_first(person: Record) -> str:
    """``Family, Given``; the printed name where the two are not told apart."""
    family, given = person.get("family_name"), person.get("given_name")
    return f"{family}, {given}" if family and given else str(person["name"])


def _viruses(labelling: Record | None) -> str | None:
    viruses = labelling.get("viruses", ()) if labelling else ()
    return "; ".join(", ".join(f"{k}: {v}" for k, v in virus.items()) for virus in viruses) or None
