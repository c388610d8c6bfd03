"""The metadata of a release as the workbook that the Brain Image Library takes with a submission, version 2.

Sheets, columns, the rows that they stand in, which columns must be filled and the words that some of them take are
those that the library's own check of a workbook asks for:
https://github.com/brain-image-library/bil_site, ingest/views.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuropack.describe.bil_sheets import SHEETS, Field
from neuropack.describe.terms import binomial

Row = dict[str, str]
Record = Mapping[str, Any]

FIRST_ROW = 7
"""The row of a sheet that its records begin in, counted from 1."""

_TECHNIQUES = {"confocal": "confocal microscopy"}
_SEX = {"M": "Male", "F": "Female", "U": "Unknown", "O": "Unknown"}
_UNITS = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}
_TYPES = {
    "FBbi:00000251": "confocal",
    "FBbi:00000254": "two photon",
    "FBbi:00000255": "multi-photon",
    "FBbi:00000369": "light sheet",
    "FBbi:00000246": "widefield fluorescence",
    "FBbi:00000243": "bright field",
}
_RELATIONS = ("IsCitedBy", "IsDocumentedBy")


@dataclass(frozen=True)
class Missing:
    """A cell that must be filled and is not.

    Attributes:
        sheet, row, column: where it is; rows count from 1.
        fix: what fills it.
    """

    sheet: str
    row: int
    column: str
    fix: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"sheet": self.sheet, "row": self.row, "column": self.column, "fix": self.fix}


def bil_rows(document: Record, size: int, directory: str | None = None) -> dict[str, list[Row]]:
    """The records of every sheet; what the metadata do not state stays empty.

    Args:
        document: the metadata of a release. It may be damaged: what is no value of its field counts as not stated.
        size: bytes of the release.
        directory: where in the landing zone of the library the data lie.
    """
    data = _inner(document, "dataset")
    return {
        "Contributors": list(_contributors(data)),
        "Funders": list(_funders(data)),
        "Publication": list(_publications(data)),
        "Instrument": list(_instruments(document)),
        "Dataset": [_dataset(document, data, directory)],
        "Specimen": list(_specimens(document)),
        "Image": list(_images(document, size)),
    }


def missing(sheets: Mapping[str, Sequence[Row]]) -> list[Missing]:
    """Every cell that the library requires and that is empty; of cells of a row with one cause, the first."""
    found: list[Missing] = []
    for name, rows in sheets.items():
        columns: Mapping[str, Field] = SHEETS[name].columns
        for number, row in enumerate(rows, FIRST_ROW):
            told: set[str] = set()
            for column, field in columns.items():
                other = column == "Other" and row.get("Technique") == "other"
                if (field.required or other) and not row.get(column) and field.fix not in told:
                    told.add(field.fix)
                    found.append(Missing(name, number, column, field.fix))
        if not rows and SHEETS[name].needed:
            column, field = next(iter(columns.items()))
            found.append(Missing(name, FIRST_ROW, column, field.fix))
    return found


def _records(record: Record, name: str) -> list[Record]:
    found = record.get(name)
    return [r for r in found if isinstance(r, Mapping)] if isinstance(found, list) else []


def _inner(record: Record, name: str) -> Record:
    found = record.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(record: Record, name: str) -> str:
    """A value as text; "" for none, and for unknown, which is none."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return "" if shown == "unknown" else shown


def _words(record: Record, name: str) -> list[str]:
    found = record.get(name)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _by_id(document: Record, name: str) -> dict[str, Record]:
    return {_text(r, "id"): r for r in _records(document, name)}


def _contributors(data: Record) -> Iterator[Row]:
    """Creators in their order, then the contact where that is another person.

    The metadata do not state what a creator did: the type is Other, which claims nothing.
    """
    contact = _inner(data, "contact")
    names = [_text(p, "name") for p in _records(data, "creators")]
    for person in _records(data, "creators"):
        is_contact = _text(person, "name") == _text(contact, "name")
        yield _person(person, "Yes", "ContactPerson" if is_contact else "Other")
    if _text(contact, "name") not in names:
        yield _person(contact, "No", "ContactPerson")


def _person(person: Record, creator: str, kind: str) -> Row:
    place = _inner(person, "affiliation")
    orcid, ror = _text(person, "orcid"), _text(place, "ror")
    return {
        "contributorName": _text(person, "name"),
        "Creator": creator,
        "contributorType": kind,
        "nameType": "Personal",
        "nameIdentifier": orcid,
        "nameIdentifierScheme": "ORCID" if orcid else "",
        "affiliation": _text(place, "name"),
        "affiliationIdentifier": ror,
        "affiliationIdentifierScheme": "ROR" if ror else "",
    }


def _funders(data: Record) -> Iterator[Row]:
    for funder in _records(data, "funders"):
        ror, titles = _text(funder, "ror"), _words(funder, "award_titles")
        for i, award in enumerate(_words(funder, "awards") or [""]):
            yield {
                "funderName": _text(funder, "name"),
                "fundingReferenceIdentifier": ror,
                "fundingReferenceIdentifierType": "ROR" if ror else "",
                "awardNumber": award,
                "awardTitle": titles[i] if i < len(titles) else "",
            }


def _publications(data: Record) -> Iterator[Row]:
    """Related resources; the library knows two relations only, others are left out of its column."""
    for one in _records(data, "related"):
        relation = _text(one, "relation")
        yield {
            "relatedIdentifier": _text(one, "doi"),
            "relatedIdentifierType": "DOI",
            "relationType": relation if relation in _RELATIONS else "",
        }


def _instruments(document: Record) -> Iterator[Row]:
    for one in _records(document, "instruments"):
        lens = _inner(one, "objective")
        channels = [
            c
            for a in _records(document, "acquisitions")
            if _text(a, "instrument") == _text(one, "id")
            for c in _records(a, "channels")
        ]
        made = " ".join(w for w in (_text(one, "manufacturer"), _text(one, "model")) if w)
        yield {
            "MicroscopeType": _TYPES.get(_text(one, "instrument_type"), _text(one, "instrument_type")),
            "MicroscopeManufacturerAndModel": made,
            "ObjectiveName": _text(lens, "name"),
            "ObjectiveImmersion": _text(lens, "immersion"),
            "ObjectiveNA": _text(lens, "numerical_aperture"),
            "ObjectiveMagnification": _text(lens, "magnification"),
            "DetectorType": _each(_text(c, "detector") for c in channels),
            "IlluminationWavelength": _each(_text(c, "excitation_nm") for c in channels),
            "DetectionWavelength": _each(_emission(c) for c in channels),
        }


def _each(words: Iterator[str]) -> str:
    return ", ".join(dict.fromkeys(w for w in words if w))


def _emission(channel: Record) -> str:
    low, high = _text(channel, "emission_min_nm"), _text(channel, "emission_max_nm")
    return f"{low}-{high}" if low and high else _text(channel, "emission_nm")


def _dataset(document: Record, data: Record, directory: str | None) -> Row:
    sheet, licence = _inner(data, "datasheet"), _inner(data, "license")
    modalities = _words(data, "modalities")
    technique = _TECHNIQUES.get(modalities[0], "other") if modalities else ""
    steps = {
        f"{_text(p, 'activity')} ({_text(p, 'software')} {_text(p, 'software_version')})": None
        for p in _records(document, "processings")
    }
    return {
        "BILDirectory": directory or "",
        "title": _text(data, "title"),
        "subject": ", ".join(_words(data, "keywords")),
        "rights": _text(licence, "spdx"),
        "rightsURI": _text(licence, "uri"),
        "rightsIdentifier": _text(licence, "spdx"),
        "GeneralModality": "cell morphology" if _records(document, "neurons") else "",
        "Technique": technique,
        "Other": ", ".join(m.replace("_", " ") for m in modalities) if technique == "other" else "",
        "Abstract": _text(data, "abstract"),
        "Methods": " ".join(_text(sheet, k) for k in ("collection", "preprocessing") if _text(sheet, k)),
        "TechnicalInfo": ", ".join(steps),
    }


def _specimens(document: Record) -> Iterator[Row]:
    animals = _by_id(document, "subjects")
    atlases = {_text(r, "image_stack"): _text(r, "atlas") for r in _records(document, "registrations")}
    for one in _records(document, "specimens"):
        animal = animals.get(_text(one, "subject"), {})
        stacks = [s for s in _records(document, "image_stacks") if _text(s, "specimen") == _text(one, "id")]
        age, unit = _age(_text(animal, "age"))
        species = _text(animal, "species")
        yield {
            "LocalID": _text(animal, "id"),
            "Species": binomial(species) if species else "",
            "NCBITaxonomy": species,
            "Age": age,
            "Ageunit": unit,
            "Sex": _SEX.get(str(animal.get("sex")), ""),
            "Genotype": _text(animal, "genotype"),
            "OrganLocalID": _text(one, "anatomical_entity"),
            "OrganName": _text(one, "anatomical_entity_name"),
            "SampleLocalID": _text(one, "id"),
            "Atlas": _each(atlases.get(_text(s, "id"), "") for s in stacks),
            "Locations": _text(one, "hemisphere"),
        }


def _age(duration: str) -> tuple[str, str]:
    """Number and unit of an age; one of several units, or a range, stays the ISO 8601 duration."""
    match = re.fullmatch(r"P([0-9.]+)([YMWD])", duration)
    if match is None:
        return duration, "ISO 8601 duration" if duration else ""
    return match[1], _UNITS[match[2]]


def _images(document: Record, size: int) -> Iterator[Row]:
    """A row for each channel of each stack."""
    runs = _by_id(document, "acquisitions")
    stacks = _records(document, "image_stacks")
    for stack in stacks:
        run, shape = runs.get(_text(stack, "acquisition"), {}), stack.get("shape")
        lengths = dict(zip(_text(stack, "axes"), shape if isinstance(shape, list) else [], strict=False))
        channels = _records(run, "channels")
        for number, channel in enumerate(channels, 1):
            yield {
                **{f"{a}Axis": _axis(_text(run, f"axis_{a}")) for a in "xyz"},
                "Number": str(number),
                "displayColor": _text(channel, "color"),
                "Representation": _text(channel, "name"),
                "Flurophore": _text(channel, "fluorophore"),
                **{f"stepSize{a.upper()}": _text(stack, f"voxel_size_{a}_um") for a in "xyz"},
                "Channels": str(len(channels)),
                "Slices": str(lengths.get("Z", 1)),
                "z": str(lengths.get("Z", 1)),
                **{f"{a}size": str(lengths.get(a.upper(), "")) for a in "XY"},
                "Zsize": str(lengths.get("Z", 1)),
                "Gbytes": f"{size / 1e9:.3f}" if len(stacks) == 1 else "",
                "Files": _text(stack, "path"),
                "DimensionOrder": _text(stack, "axes"),
            }


def _axis(direction: str) -> str:
    """Which way an axis goes, in the library's words; "" where it is not stated."""
    return "NA" if direction == "single_plane" else direction.replace("_", "-")
