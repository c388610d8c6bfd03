"""What the DANDI archive asks of a release: licence, depth of Zarrs, and metadata in the terms of dandischema.

The names are those of the model Dandiset of dandischema 0.8. What its server fills in (citation, assetsSummary,
version) is left out. DANDI writes a person as "Family, Given"; where a study states no such names, they are not
guessed from the full one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from neuropack.issue import Checked, Issue, Report, Where
from neuropack.release import METADATA

LICENSES = ("CC0-1.0", "CC-BY-4.0")
"""What the archive takes; `dandischema` lists the same two."""
PLACEHOLDER = "000000"
"""Stands for the number of a Dandiset that is not registered yet."""
DEPTH = 7
"""Parts that the path of a file in a Zarr may have, the name of the Zarr not counted."""
_TITLE, _ABSTRACT = 150, 10_000  # characters
_NAME = re.compile(r"([\w\s\-.']+),\s+([\w\s\-.']+)")


def fit(document: Mapping[str, Any], files: Iterable[str]) -> Report:
    """What keeps a release from the DANDI archive, as findings.

    Args:
        document: the metadata of the release, valid by its schema.
        files: the paths of its files.
    """
    names = list(files)
    report = Report(checked=Checked(files=len(names), rules=4))
    report.add(_licences(document))
    report.add(_depths(names))
    report.add(_people(document["dataset"]))
    report.add(_lengths(document["dataset"]))
    return report


def _licences(document: Mapping[str, Any]) -> Iterator[Issue]:
    whole = document["dataset"]["license"]["spdx"]
    parts = {"/dataset/license": whole}
    for i, one in enumerate(document.get("release", {}).get("licenses", ())):
        if one["license"]["spdx"] != whole:
            parts[f"/release/licenses/{i}/license"] = one["license"]["spdx"]
    for path, spdx in parts.items():
        if spdx not in LICENSES:
            yield Issue(
                "dandi.licence",
                "error",
                Where(METADATA, f"{path}/spdx"),
                " or ".join(LICENSES),
                f"{spdx}, which the DANDI archive does not take",
                "if all who own the data agree, state one of these as the license in the study and build again; "
                "else publish to a bucket",
            )


def _depths(names: Iterable[str]) -> Iterator[Issue]:
    for name in names:
        parts = PurePosixPath(name).parts
        root = next((i for i, part in enumerate(parts) if part.endswith((".zarr", ".ngff"))), None)
        if root is not None and len(parts) - root - 1 > DEPTH:
            yield Issue(
                "dandi.zarr-depth",
                "error",
                Where(name),
                f"{DEPTH} parts at most below {parts[root]}",
                f"{len(parts) - root - 1} parts",
                'write labels as an OME-Zarr of their own, or its chunks with the separator "."',
            )


def _people(dataset: Mapping[str, Any]) -> Iterator[Issue]:
    people = [(f"/dataset/creators/{i}", one) for i, one in enumerate(dataset["creators"])]
    for path, person in [*people, ("/dataset/contact", _contact(dataset))]:
        if _NAME.fullmatch(person_name(person)) is None:
            yield Issue(
                "dandi.person",
                "error",
                Where(METADATA, path),
                'a name that DANDI can write as "Family, Given", in letters',
                person["name"],
                "state given_name and family_name of the person in the study, and build again",
            )


def _lengths(dataset: Mapping[str, Any]) -> Iterator[Issue]:
    for key, limit in (("title", _TITLE), ("abstract", _ABSTRACT)):
        if len(dataset[key]) > limit:
            where, found = Where(METADATA, f"/dataset/{key}"), f"{len(dataset[key])} characters"
            fix = "shorten it in the study, and build again"
            yield Issue("dandi.length", "error", where, f"{limit} characters at most", found, fix)


def person_name(person: Mapping[str, Any]) -> str:
    """The name as DANDI writes it; the full name where its parts are not stated."""
    if person.get("family_name") and person.get("given_name"):
        return f"{person['family_name']}, {person['given_name']}"
    return str(person["name"])


def _contact(dataset: Mapping[str, Any]) -> Mapping[str, Any]:
    """The contact, with what is stated of the creator of the same name."""
    contact = dataset["contact"]
    same: Mapping[str, Any] = next((one for one in dataset["creators"] if one["name"] == contact["name"]), {})
    return {**same, **contact}


def metadata(document: Mapping[str, Any], number: str) -> dict[str, Any]:
    """The content of ``dandiset.yaml``.

    Args:
        document: the metadata of a release that is `fit`.
        number: of the Dandiset, six digits.
    """
    data = document["dataset"]
    found: dict[str, Any] = {
        "schemaKey": "Dandiset",
        "identifier": f"DANDI:{number}",
        "name": data["title"],
        "description": data["abstract"],
        "contributor": [*_contributors(data), *_funders(data)],
        "license": [f"spdx:{data['license']['spdx']}"],
        "keywords": list(data["keywords"]),
        "about": _about(document),
        "access": [
            {
                "schemaKey": "AccessRequirements",
                "status": "dandi:OpenAccess",
                "contactPoint": {"schemaKey": "ContactPoint", "email": data["contact"]["email"]},
            }
        ],
        "acknowledgement": data.get("acknowledgements"),
        "ethicsApproval": [{"schemaKey": "EthicsApproval", "identifier": text} for text in data.get("ethics", ())],
        "relatedResource": [
            {"schemaKey": "Resource", "identifier": f"doi:{one['doi']}", "relation": f"dcite:{one['relation']}"}
            for one in data.get("related", ())
        ],
    }
    return {key: value for key, value in found.items() if value}


def _contributors(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    contact = _contact(data)
    for one in data["creators"]:
        is_contact = one["name"] == contact["name"]
        yield _person(contact if is_contact else one, ["Author", "ContactPerson"] if is_contact else ["Author"])
    if contact["name"] not in [one["name"] for one in data["creators"]]:
        yield {**_person(contact, ["ContactPerson"]), "includeInCitation": False}


def _person(person: Mapping[str, Any], roles: list[str]) -> dict[str, Any]:
    found = {
        "schemaKey": "Person",
        "name": person_name(person),
        "identifier": person.get("orcid"),
        "email": person.get("email"),
        "roleName": [f"dcite:{role}" for role in roles],
        "includeInCitation": True,
        "affiliation": [_place(person["affiliation"], "Affiliation")] if person.get("affiliation") else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _place(organisation: Mapping[str, Any], kind: str) -> dict[str, Any]:
    ror = {"identifier": organisation["ror"]} if organisation.get("ror") else {}
    return {"schemaKey": kind, "name": organisation["name"], **ror}


def _funders(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One for each award, for DANDI knows one number of each contributor."""
    for one in data.get("funders", ()):
        for award in one.get("awards") or [None]:
            number = {"awardNumber": award} if award else {}
            role = {"roleName": ["dcite:Funder"], "includeInCitation": False}
            yield {**_place(one, "Organization"), **role, **number}


def _about(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What part of the body the specimens are of."""
    found = {}
    for one in document.get("specimens", ()):
        name = {"name": one["anatomical_entity_name"]} if one.get("anatomical_entity_name") else {}
        found[one["anatomical_entity"]] = {"schemaKey": "Anatomy", "identifier": one["anatomical_entity"], **name}
    return list(found.values())
