"""What an amendment leaves in the metadata: its record, and the digests that tie records to files."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import neuropack
from neuropack import schema
from neuropack.build.bids import json_text
from neuropack.catalogue.content import Content, in_catalogue
from neuropack.catalogue.files import catalogue_files
from neuropack.errors import InputError, UsageError
from neuropack.manifest import Entry, digest_of_lines, entry_of
from neuropack.mend.standing import too_deep
from neuropack.study.records import Record, ordered

CROISSANT = "croissant.json"


def amendment(
    kind: str, by: str, reason: str, *, files: Sequence[Record] = (), changes: Sequence[str] = (), before: Record
) -> Record:
    """The record of an amendment, made now.

    Args:
        kind: seal, fix or migration.
        by: who vouches for it.
        reason: why.
        files: a record for each file or image, see `file_changes`.
        changes: what was done, a sentence each.
        before: the digests of manifest and metadata before.

    Raises:
        UsageError: `by` or `reason` is empty, or begins or ends with a space.
    """
    found: Record = {
        "kind": kind,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": by,
        "reason": reason,
        "software_version": neuropack.__version__,
        "changes": list(changes),
        "files": list(files),
        **before,
    }
    found = {key: value for key, value in found.items() if value != []}
    for problem in schema.validate(found, "Amendment"):
        raise UsageError(
            f"{problem.pointer.strip('/')} cannot stand in the record of an amendment",
            expected=problem.expected,
            found=problem.found,
        )
    return found


def noted(document: Record, record: Record) -> Record:
    """The metadata with one more amendment, in the order of the schema."""
    release = document.get("release")
    release = dict(release) if isinstance(release, dict) else {}
    earlier = release.get("amendments")
    release["amendments"] = [*(earlier if isinstance(earlier, list) else []), record]
    full: Record = ordered({**document, "release": release}, "Document")
    return full


def image_of(path: str) -> str:
    """The OME-Zarr image that a file belongs to; the file itself where it belongs to none."""
    image, inside, _ = path.partition(".ome.zarr/")
    return f"{image}.ome.zarr" if inside else path


def file_changes(names: Iterable[str], before: Mapping[str, Entry], after: Mapping[str, Entry]) -> list[Record]:
    """A record for each changed file, and one for each image of which a file was changed."""
    wanted = sorted({image_of(name) for name in names})
    old, new = digests_of(wanted, before), digests_of(wanted, after)
    found = [{"path": path, "before": old.get(path), "after": new.get(path)} for path in wanted]
    return [{key: value for key, value in one.items() if value is not None} for one in found]


def digests_of(paths: Iterable[str], entries: Mapping[str, Entry]) -> dict[str, str]:
    """The digest of each file or folder that a manifest lists; of a folder, that of its lines."""
    wanted = set(paths)
    below: dict[str, dict[str, Entry]] = {}
    for name, entry in entries.items():
        for path in wanted.intersection(map(str, PurePosixPath(name).parents)):
            below.setdefault(path, {})[name.removeprefix(path + "/")] = entry
    folders = {path: digest_of_lines(inside) for path, inside in below.items()}
    return folders | {path: entries[path].sha256 for path in wanted if path in entries}


def with_digests(document: Record, entries: Mapping[str, Entry]) -> Record:
    """The metadata with the digests of images and of outputs as the manifest has them."""
    full = copy.deepcopy(document)
    stated: list[tuple[Record, str]] = [(stack, "digest") for stack in dicts(full.get("image_stacks"))]
    for step in dicts(full.get("processings")):
        stated += [(output, "sha256") for output in dicts(step.get("outputs"))]
    found = digests_of({str(record.get("path")) for record, _ in stated}, entries)
    for record, field in stated:
        record[field] = found.get(str(record.get("path")), record.get(field))
    return full


def described(croissant: Any, files: dict[str, bytes], after: dict[str, Entry]) -> None:
    """Add the Croissant description, as the files will be, to what is to be written.

    Digests are those of the files; what is gone, and what it was read from there, is not offered any more. A file
    that came in is described by the next build.

    Args:
        croissant: the description as it is; what is no object, or nested too deeply, is left alone.
        files: what is to be written, among them the metadata, whose digest it states.
        after: the manifest as it will be.
    """
    if not isinstance(croissant, dict) or too_deep(croissant):
        return
    if (data := _without_gone(_with_digests(croissant, after), after)) != croissant:
        files[CROISSANT] = json_text(data).encode()
        after[CROISSANT] = entry_of(files[CROISSANT])


def catalogued(root: Path, document: Record, files: dict[str, bytes], after: dict[str, Entry]) -> None:
    """Add the catalogue, as it will be, to what is to be written, where the release has one.

    Args:
        root: the release.
        document: the metadata as they will be.
        files: what is to be written.
        after: the manifest as it will be.
    """
    if not any(in_catalogue(path) for path in after):
        return
    try:
        made = catalogue_files(Content.of(root, document=document, entries=after, files=files))
    except InputError:
        return  # what is wrong with the metadata is told by the rules, and so is the old catalogue
    for path in [path for path in after if in_catalogue(path) and path not in made]:
        del after[path]
    files |= made
    after |= {path: entry_of(data) for path, data in made.items()}


def _with_digests(data: Record, entries: Mapping[str, Entry]) -> Record:
    full = copy.deepcopy(data)
    for file in dicts(full.get("distribution")):
        entry = entries.get(str(file.get("contentUrl")))
        if entry is not None and "sha256" in file:
            file |= {"contentSize": f"{entry.bytes} B", "sha256": entry.sha256}
    return full


def _without_gone(data: Record, entries: Mapping[str, Entry]) -> Record:
    """A description of its own without files and folders that are gone, and without what is read from them."""
    folders = {str(parent) for name in entries for parent in PurePosixPath(name).parents}
    gone = [one for one in dicts(data.get("distribution")) if _gone(one, entries, folders)]
    files = {_referred(one) for one in gone} - {""}
    read = [one for one in dicts(data.get("recordSet")) if _sources(one) & files]
    for name, left_out in (("distribution", gone), ("recordSet", read)):
        if left_out:
            which = set(map(id, left_out))
            data = {**data, name: [one for one in data[name] if id(one) not in which]}
    sets = {_referred(one) for one in read} - {""}
    for field in (field for one in dicts(data.get("recordSet")) for field in dicts(one.get("field"))):
        if _referred(field, "references", "field").partition("/")[0] in sets:
            del field["references"]
    return data


def _gone(file: Record, entries: Mapping[str, Entry], folders: set[str]) -> bool:
    """Whether a release has nothing of a file that it describes with a digest, or of a whole folder."""
    url, includes = file.get("contentUrl"), file.get("includes")
    if isinstance(url, str) and "sha256" in file:
        return ":" not in url and url not in entries
    return isinstance(includes, str) and includes.endswith("/**") and includes.removesuffix("/**") not in folders


def _sources(records: Record) -> set[str]:
    return {_referred(f, "source", kind) for f in dicts(records.get("field")) for kind in ("fileObject", "fileSet")}


def _referred(one: Record, *keys: str) -> str:
    """The identifier of what is at some keys of a record, or of the record itself; empty where there is none."""
    found: Any = one
    for key in (*keys, "@id"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def dicts(values: Any) -> list[Record]:
    """The objects of a list; none where it is no list."""
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
