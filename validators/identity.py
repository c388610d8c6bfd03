"""Identity: which dataset, which version of it, from when; one answer in every file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from neuropack.release import METADATA
from neuropack.rules import Finding, ReleaseFiles, Where, rule
from neuropack.rules.listed import listed_text
from neuropack.rules.values import LISTS, dicts, get, text, texts

EDIT = "correct study.yaml and build the release again"
REBUILD = "build the release again: the file is written from study.yaml"
DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)?(10\.[0-9]{4,9}/\S+)", re.IGNORECASE)
DOI_LIKE = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)", re.IGNORECASE)
CHANGES_HEAD = re.compile(r"(\S+)\s+([0-9]{4}-[0-9]{2}-[0-9]{2})\s*")


@rule(id="identity.version", level="error", reads="text")
def version(release: ReleaseFiles) -> Iterator[Finding]:
    """The version is the same in dataset, release, DataCite and Croissant; both schema versions agree as well.

    Whoever cites a version must find the one that was used.

    Correct the version in study.yaml and build the release again.
    """
    from neuropack.schema import schema_version

    document = release.metadata
    if document is None or release.refuses("/dataset/version") or release.refuses("/schema_version"):
        return
    ours = text(get(document.data, "dataset", "version"))
    shown = text(get(document.data, "release", "version"))
    if ours and shown and shown != ours:
        where = document.where("release", "version")
        yield Finding(where, f"{ours}, the version of the dataset", shown, EDIT)
    schema, of_release = (text(get(document.data, *k)) for k in (["schema_version"], ["release", "schema_version"]))
    if schema and of_release not in ("", schema) and _order(schema) <= _order(schema_version()):
        where = document.where("release", "schema_version")
        yield Finding(where, f"{schema}, the schema of the document", of_release, "build the release again")
    for name in ("metadata/datacite.json", "croissant.json"):
        file = release.json(name)
        other = get(file.data, "version") if file is not None else None
        if file is not None and ours and other is not None and other != ours:
            yield Finding(file.where("version"), f"{ours}, as {METADATA} says", repr(other), REBUILD)
    for name in release.named(r"derivatives/[^/]+/dataset_description\.json"):
        file = release.json(name)
        for i, source in dicts(get(file.data, "SourceDatasets") if file is not None else None):
            other = source.get("Version")
            if file is not None and source.get("URL") == "../.." and ours and other not in (None, ours):
                where = file.where("SourceDatasets", i, "Version")
                yield Finding(where, f"{ours}, as {METADATA} says", repr(other), REBUILD)


@rule(id="identity.changelog", level="error", reads="text")
def changelog(release: ReleaseFiles) -> Iterator[Finding]:
    """The changelog begins with this version, and goes down from version to version, each of them once.

    It tells who has an older version what is new; a changelog without this version belongs to another one.

    Add an entry for this version on top of release.changelog in study.yaml.
    """
    if (document := release.metadata) is None:
        return
    ours = text(get(document.data, "release", "version"))
    entries = [(i, text(e.get("version"))) for i, e in dicts(get(document.data, "release", "changelog"))]
    if entries and ours and entries[0][1] and entries[0][1] != ours:
        where = document.where("release", "changelog", entries[0][0], "version")
        yield Finding(where, f"{ours}, this version, on top", entries[0][1], EDIT)
    for (_, newer), (i, older) in pairwise(entries):
        if _order(newer) and _order(older) and not _order(older) < _order(newer):
            where = document.where("release", "changelog", i, "version")
            yield Finding(where, f"a version before {newer}", older, EDIT)


@rule(id="identity.changes", level="error", reads="text")
def changes(release: ReleaseFiles) -> Iterator[Finding]:
    """The file CHANGES lists the versions of the changelog with their days, the newest first.

    BIDS and people read this file; the changelog of the metadata is for programs.

    Build the release again: the file is written from release.changelog in study.yaml.
    """
    document = release.metadata
    if document is None or (written := listed_text(release, "CHANGES")) is None:
        return
    entries = [e for _, e in dicts(get(document.data, "release", "changelog"))]
    wanted = [(text(e.get("version")), text(e.get("date"))) for e in entries]
    if not wanted or not all(v and d for v, d in wanted):
        return
    lines = written.splitlines()
    heads = [(i, m[1], m[2]) for i, line in enumerate(lines, 1) if (m := CHANGES_HEAD.fullmatch(line))]
    for place, (number, day) in enumerate(wanted):
        line, *shown = heads[place] if place < len(heads) else (len(lines) or 1, "nothing")
        if shown != [number, day]:
            where = Where("CHANGES", line=line)
            yield Finding(where, f"{number} {day}, as {METADATA} says", " ".join(shown), REBUILD)
            return


@rule(id="identity.future", level="error", reads="text")
def future(release: ReleaseFiles) -> Iterator[Finding]:
    """Nothing was imaged, changed or published at a time that has not come yet.

    Such a date is a slip of the pen or of the clock of the microscope, and sorts the dataset where nobody looks.

    Correct the date in study.yaml and build the release again.
    """
    if (document := release.metadata) is None:
        return
    latest = datetime.now(UTC) + timedelta(days=1)  # it is tomorrow already somewhere
    for keys, value in _dates(document.data):
        moment = _moment(value)
        if moment is not None and moment > latest:
            yield Finding(document.where(*keys), f"no later than {latest:%Y-%m-%d}", value, EDIT)


@rule(id="identity.dates", level="error", reads="text")
def dates(release: ReleaseFiles) -> Iterator[Finding]:
    """Imaging comes before publication, an older version before a newer one; this version has one day.

    Dates out of order show that one of them is wrong, and nobody can tell which.

    Correct the date in study.yaml and build the release again.
    """
    if (document := release.metadata) is None:
        return
    published = text(get(document.data, "dataset", "date"))
    day = _moment(published)
    entries = list(dicts(get(document.data, "release", "changelog")))
    first = text(entries[0][1].get("date")) if entries else ""
    if day is not None and _moment(first) is not None and first != published:
        where = document.where("release", "changelog", entries[0][0], "date")
        yield Finding(where, f"{published}, the day of the dataset", first, EDIT)
    for (_, newer), (i, older) in pairwise(entries):
        late, early = _moment(text(newer.get("date"))), _moment(text(older.get("date")))
        if late is not None and early is not None and early > late:
            where = document.where("release", "changelog", i, "date")
            yield Finding(where, f"no later than {text(newer.get('date'))}", text(older.get("date")), EDIT)
    for i, run in release.records("acquisitions"):
        start = _moment(text(run.get("start_time")))
        if day is not None and start is not None and start >= day + timedelta(days=2):
            where = document.where("acquisitions", i, "start_time")
            expected = f"before {published}, when the dataset was published"
            yield Finding(where, expected, text(run.get("start_time")), EDIT)


@rule(id="identity.doi", level="error", reads="text")
def doi(release: ReleaseFiles) -> Iterator[Finding]:
    """The DOI of the dataset is well formed, and the same in BIDS, DataCite and Croissant.

    A DOI is the one address by which a dataset is cited for good.

    Copy the DOI again from the archive, such as 10.5281/zenodo.123456, into the file named.
    """
    first: tuple[str, str] | None = None
    for name, keys, value in _dois(release):
        file = release.json(name)
        match = DOI.fullmatch(value)
        if file is None:
            continue
        if match is None:
            yield Finding(file.where(*keys), "a DOI, such as 10.5281/zenodo.123456", value, "copy it again")
        elif first is None:
            first = (match[1].lower(), f"{name} {'/'.join(map(str, keys))}")
        elif match[1].lower() != first[0]:
            fix = "state the DOI of this version in both"
            yield Finding(file.where(*keys), f"{first[0]}, as {first[1]} says", value, fix)


@rule(id="identity.nwb-identifier", level="error", reads="text")
def nwb_identifier(release: ReleaseFiles) -> Iterator[Finding]:
    """Every NWB file has an identifier, and no two of them the same one.

    Archives and programs tell NWB files apart by it, and take two files of one identifier for one session.

    Give the copy an identifier of its own, or build the release again.
    """
    seen: dict[str, str] = {}
    for nwb in release.nwb_files:
        if not nwb.usable:
            continue
        where = Where(nwb.name, "/identifier")
        name = nwb.identifier
        if not name:
            yield Finding(where, "an identifier", "none", "build the release again")
        elif name in seen:
            found = f"{name!r}, which is that of {seen[name]} too"
            yield Finding(where, "an identifier of its own", found, "build the release again")
        else:
            seen[name] = nwb.name


@rule(id="identity.case-twins", level="error", reads="text")
def case_twins(release: ReleaseFiles) -> Iterator[Finding]:
    """Within each list of the metadata no two ids differ only in capital and small letters.

    Files are named after them, and on Windows and macOS one of the two would take the place of the other.

    Give one of the two another id in study.yaml and build the release again.
    """
    if (document := release.metadata) is None:
        return
    for collection in LISTS:
        seen: dict[str, tuple[int, str]] = {}
        for i, record in release.records(collection):
            name = text(record.get("id"))
            index, other = seen.setdefault(name.casefold(), (i, name))
            if other != name:
                found = f"{name!r}, where /{collection}/{index} is {other!r}"
                yield Finding(document.where(collection, i, "id"), "an id of its own", found, EDIT)


def _order(number: str) -> tuple[Any, ...]:
    """What versions are sorted by (SemVer 2.0.0, section 11); empty for what is no version."""
    match = re.fullmatch(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-([0-9A-Za-z.-]+))?(?:\+.*)?", number, re.ASCII)
    if match is None:
        return ()
    parts = match[4].split(".") if match[4] else []
    before = tuple((0, int(p), "") if p.isdigit() and len(p) < 10 else (1, 0, p) for p in parts)
    return (*(int(match[i]) for i in (1, 2, 3)), not before, before)


def _dates(data: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    yield ("dataset", "date"), text(get(data, "dataset", "date"))
    for i, entry in dicts(get(data, "release", "changelog")):
        yield ("release", "changelog", i, "date"), text(entry.get("date"))
    for i, run in dicts(get(data, "acquisitions")):
        yield ("acquisitions", i, "start_time"), text(run.get("start_time"))


def _moment(value: str) -> datetime | None:
    """A day or a time with its zone; None for anything else, which metadata.schema tells of."""
    try:
        if len(value) == len("2025-03-14"):
            return datetime.combine(date.fromisoformat(value), datetime.min.time(), UTC)
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None and 1 < found.year < 9999 else None


def _dois(release: ReleaseFiles) -> Iterator[tuple[str, tuple[str | int, ...], str]]:
    """Every place where a release states its own DOI."""
    name = "dataset_description.json"
    description = release.json(name)
    if isinstance(value := get(description.data if description else None, "DatasetDOI"), str):
        yield name, ("DatasetDOI",), value
    name = "metadata/datacite.json"
    datacite = release.json(name)
    data = datacite.data if datacite is not None else None
    if isinstance(value := get(data, "doi"), str):
        yield name, ("doi",), value
    for i, entry in dicts(get(data, "identifiers")):
        if text(entry.get("identifierType")).upper() == "DOI" and isinstance(entry.get("identifier"), str):
            yield name, ("identifiers", i, "identifier"), entry["identifier"]
    name = "croissant.json"
    croissant = release.json(name)
    data = croissant.data if croissant is not None else None
    for key in ("identifier", "sameAs", "url"):
        listed = get(data, key)
        if isinstance(listed, str) and DOI_LIKE.match(listed):
            yield name, (key,), listed
        for i, value in texts(listed):
            if DOI_LIKE.match(value):
                yield name, (key, i), value
