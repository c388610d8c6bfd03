"""Discovery: what search engines, archives and people are told of the release is what is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from neuropack.release import METADATA
from neuropack.rules import Finding, ReleaseFiles, Where, rule
from neuropack.rules.json_text import JsonFile
from neuropack.rules.listed import listed_text
from neuropack.rules.release_files import unsafe
from neuropack.rules.values import dicts, get, hint, text

CROISSANT, DATACITE = "croissant.json", "metadata/datacite.json"
REBUILD = "build the release again: the file is written from study.yaml"


@rule(id="discovery.citation", level="error", reads="text")
def citation(release: ReleaseFiles) -> Iterator[Finding]:
    """Title, description and day of publication in DataCite, Croissant and BIDS are those of the metadata.

    The citation that people copy is made from these files, and nobody compares them by hand.

    Build the release again: the files are written from study.yaml.
    """
    dataset = get(release.metadata.data if release.metadata else None, "dataset")
    title, abstract, date = (text(get(dataset, key)) for key in ("title", "abstract", "date"))
    if (file := _object(release, "dataset_description.json")) is not None and title:
        shown = file.data.get("Name")
        if isinstance(shown, str) and shown != title:  # bids.description tells where there is none
            yield Finding(file.where("Name"), f"{title!r}, as {METADATA} says", repr(shown), REBUILD)
    if (file := _object(release, DATACITE)) is not None:
        titles = [text(t.get("title")) for _, t in dicts(file.data.get("titles"))]
        if title and title not in titles:
            found = ", ".join(map(repr, titles)) or "none"
            yield Finding(file.where("titles"), f"{title!r}, as {METADATA} says", found, REBUILD)
        year = file.data.get("publicationYear")
        if date and str(year) != date[:4]:
            yield Finding(file.where("publicationYear"), f"{date[:4]}, as {METADATA} says", repr(year), REBUILD)
        for i, entry in dicts(file.data.get("dates")):
            if date and entry.get("dateType") == "Issued" and not text(entry.get("date")).startswith(date):
                where = file.where("dates", i, "date")
                yield Finding(where, f"{date}, as {METADATA} says", repr(entry.get("date")), REBUILD)
    if (file := _object(release, CROISSANT)) is not None:
        for key, wanted in (("description", abstract), ("datePublished", date)):
            if wanted and file.data.get(key) != wanted:
                found = repr(file.data.get(key))[:200]
                yield Finding(file.where(key), f"{wanted[:200]!r}, as {METADATA} says", found, REBUILD)


@rule(id="discovery.croissant-files", level="error", reads="text", gives_way=True)
def croissant_files(release: ReleaseFiles) -> Iterator[Finding]:
    """Every file that croissant.json offers is in the release, with the digest and the size that it states.

    Programs load a dataset by this file: a path that leads nowhere, or another digest, stops them.

    Build the release again: the file is written last but the manifest.
    """
    file = _object(release, CROISSANT)
    for i, entry in dicts(file.data.get("distribution") if file is not None else None):
        if file is None or entry.get("@type") not in ("cr:FileObject", "sc:FileObject"):
            continue
        path = text(entry.get("contentUrl"))
        where = file.where("distribution", i, "contentUrl")
        if re.match("[a-z][a-z0-9+.-]*://", path):
            continue  # on the web
        row = (release.manifest or {}).get(path)
        if unsafe(path) or (path not in release.files and row is None):
            near = hint(path, [n for n in release.files if n.endswith((".tsv", ".parquet"))])
            yield Finding(where, "a file of the release", f"{path!r}, which is not there{near}", REBUILD)
        elif row is not None and entry.get("sha256") != row.sha256:
            stated = f"sha256 {repr(entry.get('sha256'))[:100]}, as {file.where('distribution', i, 'sha256')} says"
            yield Finding(path, stated, row.sha256, REBUILD)
        elif row is not None and (size := _bytes(entry.get("contentSize"))) not in (None, row.bytes):
            where = file.where("distribution", i, "contentSize")
            yield Finding(where, f"{row.bytes} B, that of {path}", f"{size} B", REBUILD)


@rule(id="discovery.croissant-columns", level="error", reads="text")
def croissant_columns(release: ReleaseFiles) -> Iterator[Finding]:
    """Every column that croissant.json describes is in its table, and its table is among the files.

    A record set whose column is not there cannot be loaded at all.

    Build the release again: the file is written from the tables.
    """
    if (file := _object(release, CROISSANT)) is None:
        return
    entries = {text(e.get("@id")): e for _, e in dicts(file.data.get("distribution"))}
    for i, records in dicts(file.data.get("recordSet")):
        for j, field in dicts(records.get("field")):
            keys = ("recordSet", i, "field", j, "source")
            source = text(get(field, "source", "fileObject", "@id"))
            column = text(get(field, "source", "extract", "column"))
            if source and source not in entries:
                where = file.where(*keys, "fileObject", "@id")
                found = f"{source!r}, which is not there{hint(source, list(entries))}"
                yield Finding(where, "the @id of a file of the distribution", found, REBUILD)
                continue
            path = text(get(entries.get(source), "contentUrl"))
            if not path.endswith(".tsv"):
                continue
            row = (release.manifest or {}).get(path)
            stated = (get(entries.get(source), "sha256"), release.files.get(path))
            if row is not None and stated != (row.sha256, row.bytes):
                continue  # another table than the one that was described: croissant-files tells, or files.size
            table = release.table(path)
            if table is not None and column and column not in table.columns:
                where = file.where(*keys, "extract", "column")
                found = f"{column!r}{hint(column, table.columns)}"
                yield Finding(where, f"a column of {table.name}", found, REBUILD)


@rule(id="discovery.readme", level="warning", reads="text")
def readme(release: ReleaseFiles) -> Iterator[Finding]:
    """README.md names the title, the version and the licence of the dataset.

    It is what people read first, and often all they read.

    Build the release again, or write the three into README.md.
    """
    dataset = get(release.metadata.data if release.metadata else None, "dataset")
    if (written := listed_text(release, "README.md")) is None:
        return
    shown = " ".join(written.split()).casefold()
    wanted = {
        "title": text(get(dataset, "title")),
        "version": text(get(dataset, "version")),
        "licence": text(get(dataset, "license", "spdx")),
    }
    if release.refuses("/dataset"):
        return
    missing = [f"the {k} {v!r}" for k, v in wanted.items() if v and " ".join(v.split()).casefold() not in shown]
    if missing:
        where = Where("README.md", line=1)
        yield Finding(
            where, f"title, version and licence, as {METADATA} says", f"no {', no '.join(missing)}", REBUILD
        )


def _object(release: ReleaseFiles, name: str) -> JsonFile | None:
    file = release.json(name)
    return file if file is not None and isinstance(file.data, dict) else None


def _bytes(size: Any) -> int | None:
    """The bytes of a size such as `260 B`; None for one in another unit."""
    match = re.fullmatch(r"([0-9]{1,18}) B", text(size))
    return int(match[1]) if match is not None else None
