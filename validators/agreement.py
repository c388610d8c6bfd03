"""What NWB files, sidecars and tables repeat of the metadata is the same there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from neuropack.describe.terms import binomial
from neuropack.release import METADATA
from neuropack.rules import Finding, ReleaseFiles, Where, rule
from neuropack.rules.nwb_file import NwbFile
from neuropack.rules.pixel_looks import as_number
from neuropack.rules.values import by_id, dicts
from neuropack.table import MISSING

REBUILD = "build the release again"
NEAR_NM = 0.5
NO_DYE = ("unknown", "none", MISSING)


@rule(id="images.nwb-channel", level="error", reads="text")
def nwb_channel(release: ReleaseFiles) -> Iterator[Finding]:
    """Wavelengths and indicator of a channel in the NWB file are those of the metadata.

    By them a reuser knows which dye a channel shows, and what bleeds into it.

    Build the release again.
    """
    acquisitions = by_id(release.records("acquisitions"))
    for nwb, record in _stacks(release):
        said = acquisitions.get(str(record.get("acquisition")), {}).get("channels")
        channels = [channel for _, channel in dicts(said)]
        told: set[str] = set()  # frames of a time series repeat it
        for image in nwb.images:
            mine = [c for c in channels if image.name in (c.get("name"), c.get("fluorophore"))]
            if len(mine) != 1 or image.name in told:
                continue
            told.add(image.name)
            pairs = (("excitation_nm", image.excitation_nm), ("emission_nm", image.emission_nm))
            differ = {k: v for k, v in pairs if v is not None and _apart(mine[0].get(k), v)}
            dye = mine[0].get("fluorophore")
            known = isinstance(dye, str) and dye.lower() not in NO_DYE and image.indicator not in (None, "unknown")
            if known and str(image.indicator).lower() != str(dye).lower():
                yield Finding(
                    Where(nwb.name, image.path), f"{dye}, as {METADATA} says", f"{image.indicator:.200}", REBUILD
                )
            if differ:
                expected = ", ".join(f"{k} {mine[0][k]}" for k in differ) + f", as {METADATA} says"
                found = ", ".join(f"{k} {v:g}" for k, v in differ.items())
                yield Finding(Where(nwb.name, image.path), expected, found, REBUILD)


def _apart(said: Any, stored: float) -> bool:
    number = as_number(said)
    return number is not None and math.isfinite(stored) and abs(number - stored) > NEAR_NM


@rule(id="images.nwb-target", level="error", reads="text")
def nwb_target(release: ReleaseFiles) -> Iterator[Finding]:
    """The imaging space in the NWB file names the structure that the specimen is, or holds.

    DANDI lists files by it.

    Build the release again.
    """
    specimens = by_id(release.records("specimens"))
    for nwb, record in _stacks(release):
        specimen = specimens.get(str(record.get("specimen")), {})
        name, term = specimen.get("anatomical_entity_name"), specimen.get("anatomical_entity")
        for path, target in sorted(nwb.targets.items()) if isinstance(name, str) else ():
            if target not in (name, term):
                yield Finding(Where(nwb.name, path), f"{name}, as {METADATA} says", f"{target!r:.200}", REBUILD)


@rule(id="images.nwb-animal", level="error", reads="text")
def nwb_animal(release: ReleaseFiles) -> Iterator[Finding]:
    """Species, strain and genotype of the animal in the NWB file are those of the metadata.

    An NWB file is found in an archive by them, without the rest of the release.

    Build the release again.
    """
    animals = by_id(release.records("subjects"))
    for nwb, record in _stacks(release):
        animal, stored = animals.get(str(record.get("subject"))), nwb.subject or {}
        if animal is None or stored.get("subject_id") != animal.get("id"):
            continue  # images.nwb-subject tells
        species = animal.get("species")
        right: dict[str, list[Any]] = {
            "species": [None] if species is None else _species(str(species)),
            "strain": [animal.get("strain")],
            "genotype": [animal.get("genotype")],
        }
        for field, accepted in right.items():
            if field in stored and accepted != [None] and stored[field] not in accepted:
                expected = f"{animal[field]}, as {METADATA} says"
                yield Finding(Where(nwb.name, f"/general/subject/{field}"), expected, stored[field][:200], REBUILD)


def _species(curie: str) -> list[Any]:
    """What a species may be written as."""
    number = curie.removeprefix("NCBITaxon:")
    return [curie, binomial(curie), f"http://purl.obolibrary.org/obo/NCBITaxon_{number}"]


@rule(id="images.channel-color", level="warning", reads="text")
def channel_color(release: ReleaseFiles) -> Iterator[Finding]:
    """A channel is shown in the colour that the metadata state for it.

    In two colours, two dyes of a Brainbow image are taken for each other.

    Correct the colour in study.yaml, and build the release again.
    """
    images = {image.folder: image for image in release.images}
    acquisitions = by_id(release.records("acquisitions"))
    for _, record in release.records("image_stacks"):
        image = images.get(str(record.get("path")))
        said = acquisitions.get(str(record.get("acquisition")), {}).get("channels")
        if image is None or not isinstance(said, list) or not image.channels_named:
            continue
        shown: list[dict[str, Any]] = image.ome["omero"]["channels"]
        for i, (channel, label) in enumerate(zip(shown, image.channel_labels, strict=True)):
            mine = [c for c in said if isinstance(c, dict) and label in (c.get("name"), c.get("fluorophore"))]
            colors = [str(c.get("color")).strip("#").upper() for c in (*mine, channel)]
            if len(mine) == 1 and "NONE" not in colors and len(set(colors)) > 1:
                where = image.meta.where("attributes", "ome", "omero", "channels", i, "color")
                yield Finding(where, f"{colors[0]}, as {METADATA} says", colors[1][:100], REBUILD)


@rule(id="nwb.namespaces", level="error", reads="text")
def namespaces(release: ReleaseFiles) -> Iterator[Finding]:
    """Every NWB file carries the definitions of the types that it uses.

    Without them a reader needs the very extensions that the file was written with, and leaves out what it does not
    know.

    Build the release again, or write the file again with cache_spec.
    """
    for nwb in release.nwb_files:
        if nwb.usable and nwb.nwb_version is not None and (absent := sorted(nwb.namespaces - nwb.defined)):
            where = Where(nwb.name, "/specifications")
            yield Finding(
                where, "the definitions of every namespace in use", f"none of {', '.join(absent)}", REBUILD
            )


@rule(id="bids.sidecar-values", level="error", reads="text")
def sidecar_values(release: ReleaseFiles) -> Iterator[Finding]:
    """What the sidecar of an image says of microscope, objective and tissue is what the metadata say.

    BIDS tools read the sidecar alone.

    Correct study.yaml if it is wrong, and build the release again.
    """
    acquisitions, instruments = by_id(release.records("acquisitions")), by_id(release.records("instruments"))
    specimens = by_id(release.records("specimens"))
    for _, record in release.records("image_stacks"):
        sidecar = release.json(str(record.get("path")).removesuffix(".ome.zarr") + ".json")
        if sidecar is None or not isinstance(sidecar.data, dict):
            continue
        scope = instruments.get(str(acquisitions.get(str(record.get("acquisition")), {}).get("instrument")), {})
        lens, tissue = scope.get("objective"), specimens.get(str(record.get("specimen")), {})
        lens = lens if isinstance(lens, dict) else {}
        said = {
            "Manufacturer": scope.get("manufacturer"),
            "ManufacturersModelName": scope.get("model"),
            "Immersion": lens.get("immersion"),
            "NumericalAperture": lens.get("numerical_aperture"),
            "Magnification": lens.get("magnification"),
            "SampleFixation": tissue.get("fixation"),
            "SliceThickness": tissue.get("thickness_um"),
        }
        for field, value in said.items():
            stored = sidecar.data.get(field)
            if value is not None and stored not in (None, MISSING) and not _equal(stored, value):
                expected = f"{field} {value}, as {METADATA} says"
                yield Finding(sidecar.where(field), expected, f"{stored!r:.200}", REBUILD)


def _equal(stored: Any, value: Any) -> bool:
    here, there = as_number(stored), as_number(value)
    if here is not None and there is not None:
        return math.isclose(here, there, rel_tol=1e-6)
    return bool(stored == value)


@rule(id="bids.sources", level="warning", reads="text")
def sources(release: ReleaseFiles) -> Iterator[Finding]:
    """The dataset_description.json of each derivative names the data set that it was made from.

    A derivative that travels alone does not know its images otherwise.

    Build the release again.
    """
    for name in release.named(r"derivatives/[^/]+/dataset_description\.json"):
        file = release.json(name)
        if file is not None and isinstance(file.data, dict) and not file.data.get("SourceDatasets"):
            yield Finding(file.where("SourceDatasets"), "SourceDatasets, such as ../..", "none", REBUILD)


def _stacks(release: ReleaseFiles) -> Iterator[tuple[NwbFile, dict[str, Any]]]:
    """The NWB files that can be read, each with the record of the stack that names it."""
    files = {n.name: n for n in release.nwb_files if n.usable}
    for _, record in release.records("image_stacks"):
        if (nwb := files.get(str(record.get("nwb_path")))) is not None:
            yield nwb, record
