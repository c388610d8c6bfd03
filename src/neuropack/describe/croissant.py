"""How machines find and load a release: Croissant 1.1, https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from neuropack import resources
from neuropack.describe.citation import bibtex
from neuropack.describe.described import Described, Record
from neuropack.describe.rai import CONFORMS_TO as RAI
from neuropack.describe.rai import rai
from neuropack.describe.tables import MARKS, STACKS, Table, tables
from neuropack.manifest import Entry

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
_FORMATS = {
    ".json": "application/json",
    ".tsv": "text/tab-separated-values",
    ".csv": "text/csv",
    ".parquet": "application/x-parquet",
    ".md": "text/markdown",
    ".nwb": "application/x-hdf5",
    ".nrrd": "application/octet-stream",
    ".npy": "application/octet-stream",
}
# Folders that are one thing, which nobody takes apart.
_WHOLE = {
    ".ome.zarr": ("An OME-Zarr image with its pyramid.", "application/vnd.zarr; version=3"),
    "_skeletons": ("Skeletons for neuroglancer.", "application/octet-stream"),
}


def croissant(release: Described, entries: Mapping[str, Entry]) -> Record:
    """The description.

    Args:
        release: what is described.
        entries: size and digest of every file of it but the manifest, which lists this description too.
    """
    data = release.dataset
    context = resources.folder("templates") / "release" / "croissant_context.json"
    licences = list(dict.fromkeys([data["license"]["uri"], *(one["uri"] for _, one in release.licences())]))
    found: Record = {
        "@context": json.loads(context.read_text(encoding="utf-8")),
        "@type": "sc:Dataset",
        "name": re.sub(r"[^0-9A-Za-z._-]+", "-", data["id"]),
        "alternateName": data["title"],
        "description": data["abstract"],
        "conformsTo": [CONFORMS_TO, RAI],
        "license": licences[0] if len(licences) == 1 else licences,
        "url": _address(data),
        "sameAs": f"https://doi.org/{data['doi']}" if "doi" in data else None,
        "version": data["version"],
        "datePublished": data["date"],
        "citeAs": bibtex(data),
        "citation": [f"https://doi.org/{r['doi']}" for r in data.get("related", ())],
        "creator": [_person(p) for p in data["creators"]],
        "funder": [_organisation(f) for f in data.get("funders", ())],
        "keywords": data["keywords"],
        **rai(release),
        "distribution": [*_files(entries), *_sets(entries)],
        "recordSet": [*_record_sets(release, entries), *_marks(entries), *_stacks(release)],
    }
    return {name: value for name, value in found.items() if value not in (None, [])}


def _person(person: Record) -> Record:
    """A creator; the name stays as it is printed, the ORCID is the address of the person."""
    found: Record = {"@type": "sc:Person", "name": person["name"]}
    found |= {
        ours: person[k] for k, ours in (("given_name", "givenName"), ("family_name", "familyName")) if k in person
    }
    if "orcid" in person:
        found |= dict.fromkeys(("url", "identifier"), f"https://orcid.org/{person['orcid']}")
    if "affiliation" in person:
        found["affiliation"] = _organisation(person["affiliation"])
    return found


def _organisation(one: Record) -> Record:
    ror = dict.fromkeys(("url", "identifier"), one["ror"]) if "ror" in one else {}
    return {"@type": "sc:Organization", "name": one["name"], **ror}


def _address(data: Record) -> str:
    """Where the dataset is, or can be asked for: Croissant wants an address before there is one."""
    if "homepage" in data:
        return str(data["homepage"])
    return f"https://doi.org/{data['doi']}" if "doi" in data else f"mailto:{data['contact']['email']}"


def _whole(path: str) -> str | None:
    """The folder that a file belongs to and is nothing without."""
    for parent in reversed(PurePosixPath(path).parents):
        if parent.name.endswith(tuple(_WHOLE)):
            return parent.as_posix()
    return None


def _files(entries: Mapping[str, Entry]) -> Iterator[Record]:
    for path, entry in sorted(entries.items()):
        if _whole(path) is None:
            yield {
                "@type": "cr:FileObject",
                "@id": path,
                "name": path.rsplit("/", 1)[-1],
                "contentUrl": path,
                "contentSize": f"{entry.bytes} B",
                "encodingFormat": _FORMATS.get(PurePosixPath(path).suffix, "text/plain"),
                "sha256": entry.sha256,
            }


def _sets(entries: Mapping[str, Entry]) -> Iterator[Record]:
    """Folders that are one thing; the catalogue, made after this; and tables of a kind, which are files as well."""
    for folder in sorted({whole for path in entries if (whole := _whole(path)) is not None}):
        what, kind = next(_WHOLE[end] for end in _WHOLE if folder.endswith(end))
        yield _set(folder, what, f"{folder}/**", kind)
    yield _set(
        "catalogue", "The metadata as tables, to be searched.", "metadata/catalogue/**", _FORMATS[".parquet"]
    )
    for end, table in MARKS.items():
        if any(path.endswith(end) for path in entries):
            pattern = f"derivatives/segmentation/**/*{end}"
            yield _set(f"{table.name}-files", table.description, pattern, _FORMATS[".tsv"])


def _set(name: str, what: str, pattern: str, kind: str) -> Record:
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name.rsplit("/", 1)[-1],
        "description": what,
        "includes": pattern,
        "encodingFormat": kind,
    }


def _record_sets(release: Described, entries: Mapping[str, Entry]) -> Iterator[Record]:
    """The tables of the release, which are one file each."""
    for path, table in tables().items():
        if path in release.tables:
            columns = release.tables[path].split("\n", 1)[0].split("\t")
            source = table.source if table.source in entries else path
            yield _record_set(table, columns, {"fileObject": {"@id": source}})


def _marks(entries: Mapping[str, Entry]) -> Iterator[Record]:
    """The tables of a kind of all stacks together; only columns that each of them has."""
    for end, table in MARKS.items():
        if any(path.endswith(end) for path in entries):
            columns = [c for c in table.columns if c != "confidence"]
            yield _record_set(table, columns, {"fileSet": {"@id": f"{table.name}-files"}})


def _stacks(release: Described) -> Iterator[Record]:
    """The stacks, with what all of them have."""
    rows = [_stack(stack) for stack in release.records("image_stacks")]
    names = [name for name in STACKS.columns if all(name in row for row in rows)]
    found = _record_set(STACKS, names, None)
    yield {**found, "data": [{f"{STACKS.name}/{name}": row[name] for name in names} for row in rows]}


def _stack(record: Record) -> Record:
    sample = re.search(r"_(sample-[0-9A-Za-z]+)_", record["path"])
    found = {name: record[name] for name in STACKS.columns if name in record}
    found["participant_id"] = f"sub-{record['subject']}"
    return found | ({"sample_id": sample[1]} if sample else {})


def _record_set(table: Table, columns: Sequence[str], source: Record | None) -> Record:
    """A record set over columns of a source, or over none where the records stand in the description."""
    found: list[dict[str, Any]] = []
    for name in columns:
        column = table.column(name)
        found.append(
            {
                "@type": "cr:Field",
                "@id": f"{table.name}/{name}",
                "name": name,
                "description": column.description,
                "dataType": column.type,
                **({"source": {**source, "extract": {"column": name}}} if source else {}),
                **({"references": {"field": {"@id": column.references}}} if column.references else {}),
            }
        )
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": table.description,
        **({"key": {"@id": f"{table.name}/{table.key}"}} if table.key else {}),
        "field": found,
    }
