"""How a release is found and cited: DataCite (schema 4.5) and Croissant 1.1 descriptions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from neuropack import resources
from neuropack.study import Study
from neuropack.study.records import Record

# The tables that a record set is made of, and what a row of each is.
TABLES = {
    "participants.tsv": "one row an animal",
    "samples.tsv": "one row a piece of tissue",
    "derivatives/morphology/neurons.tsv": "one row a neuron",
    "derivatives/morphology/regions.tsv": "one row a neuron, region, hemisphere and kind of neurite",
    "derivatives/segmentation/classes.tsv": "one row a value of a label image",
}
_TYPES = {"bytes": "sc:Integer", "value": "sc:Integer", "n_nodes": "sc:Integer", "length_um": "sc:Float"}
_TYPES |= {"region_id": "sc:Integer"}  # what may be n/a stays text
_SETS = {
    "images": ("OME-Zarr images, one folder each", "**/*.ome.zarr/**", "application/vnd.zarr; version=3"),
    "nwb": ("NWB files, one for each image", "derivatives/nwb/**/*.nwb", "application/x-hdf5"),
    "skeletons": ("SWC skeletons, one for each neuron", "derivatives/morphology/**/*.swc", "text/plain"),
}


def datacite(study: Study, release: Record) -> Record:
    """The DataCite record; its DOI is that of the changelog, which comes from where the release is published."""
    data = study.dataset
    dois = {entry["version"]: entry.get("doi") for entry in release["changelog"]}
    earlier = dois.get(release.get("supersedes", {}).get("version"))
    replaced = [{"doi": earlier, "relation": "IsNewVersionOf"}] if earlier else []
    published = data["creators"][0].get("affiliation", {}).get("name", ":unav")
    found: Record = {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "doi": dois.get(data["version"]),
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Microscopy images and neuron morphology"},
        "titles": [{"title": data["title"], "lang": "en"}],
        "creators": [_person(p) for p in data["creators"]],
        "contributors": [{**_person(data["contact"]), "contributorType": "ContactPerson"}],
        "publisher": {"name": published},
        "publicationYear": data["date"][:4],
        "dates": [{"date": data["date"], "dateType": "Issued"}],
        "language": "en",
        "version": data["version"],
        "subjects": [{"subject": k} for k in data["keywords"]],
        "rightsList": [
            {
                "rights": data["license"]["spdx"],
                "rightsUri": data["license"]["uri"],
                "rightsIdentifier": data["license"]["spdx"],
                "rightsIdentifierScheme": "SPDX",
                "schemeUri": "https://spdx.org/licenses/",
            }
        ],
        "descriptions": [{"description": data["abstract"], "descriptionType": "Abstract"}],
        "fundingReferences": [r for f in data.get("funders", ()) for r in _funding(f)],
        "relatedIdentifiers": [
            {"relatedIdentifier": r["doi"], "relatedIdentifierType": "DOI", "relationType": r["relation"]}
            for r in [*data.get("related", ()), *replaced]
        ],
        "formats": ["OME-Zarr 0.5", "NWB 2"],
    }
    return {k: v for k, v in found.items() if v}


def _person(person: Record) -> Record:
    names = {"givenName": person.get("given_name"), "familyName": person.get("family_name")}
    found: Record = {"name": person["name"], "nameType": "Personal", **{k: v for k, v in names.items() if v}}
    if all(names.values()):
        found["name"] = f"{names['familyName']}, {names['givenName']}"
    if "orcid" in person:
        scheme = {"nameIdentifierScheme": "ORCID", "schemeUri": "https://orcid.org"}
        found["nameIdentifiers"] = [{"nameIdentifier": f"https://orcid.org/{person['orcid']}", **scheme}]
    if place := person.get("affiliation"):
        ror = {"affiliationIdentifier": place.get("ror"), "affiliationIdentifierScheme": "ROR"}
        found["affiliation"] = [{"name": place["name"], **(ror if place.get("ror") else {})}]
    return found


def _funding(funder: Record) -> Iterable[Record]:
    who: Record = {"funderName": funder["name"]}
    if "ror" in funder:
        who |= {"funderIdentifier": funder["ror"], "funderIdentifierType": "ROR"}
    for award in funder.get("awards") or [None]:
        yield {**who, **({"awardNumber": award} if award else {})}


def croissant(study: Study, tables: Mapping[str, str], has: Iterable[str]) -> Record:
    """The Croissant description.

    Args:
        study: what the release was built from.
        tables: the text of each table, by path.
        has: the file sets that are there, of images, nwb and skeletons.
    """
    data = study.dataset
    context = resources.folder("templates") / "release" / "croissant_context.json"
    creators = [{"@type": "sc:Person", "name": p["name"]} for p in data["creators"]]
    names = ", ".join(p["name"] for p in data["creators"])
    files: list[Record] = [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path.rsplit("/", 1)[-1],
            "contentUrl": path,
            "contentSize": f"{len(text.encode())} B",
            "encodingFormat": "text/tab-separated-values",
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        for path, text in tables.items()
    ]
    for name in has:
        what, pattern, kind = _SETS[name]
        files.append(
            {
                "@type": "cr:FileSet",
                "@id": name,
                "name": name,
                "description": what,
                "includes": pattern,
                "encodingFormat": kind,
            }
        )
    return {
        "@context": json.loads(context.read_text(encoding="utf-8")),
        "@type": "sc:Dataset",
        "name": re.sub(r"[^0-9A-Za-z._-]+", "-", data["id"]),
        "description": data["abstract"],
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "license": data["license"]["uri"],
        "url": _address(data),
        "version": data["version"],
        "datePublished": data["date"],
        "citeAs": f"{names} ({data['date'][:4]}). {data['title']}. Version {data['version']}.",
        "creator": creators,
        "keywords": data["keywords"],
        "distribution": files,
        "recordSet": [_record_set(path, text) for path, text in tables.items()],
    }


def _address(data: Record) -> str:
    """Where the dataset can be asked for: Croissant wants an address before there is one."""
    return f"mailto:{data['contact']['email']}"


def _record_set(path: str, text: str) -> Record:
    name = path.rsplit("/", 1)[-1].removesuffix(".tsv")
    fields: list[dict[str, Any]] = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{column}",
            "name": column,
            "description": column.replace("_", " "),
            "dataType": _TYPES.get(column, "sc:Text"),
            "source": {"fileObject": {"@id": path}, "extract": {"column": column}},
        }
        for column in text.split("\n", 1)[0].split("\t")
    ]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": TABLES[path], "field": fields}
