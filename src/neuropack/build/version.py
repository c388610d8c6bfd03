"""A new version of a release: study.yaml says it from now on, what it brings, and which version it replaces."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from neuropack import schema
from neuropack.amend import PENDING
from neuropack.build.place import Place
from neuropack.errors import InputError, UsageError
from neuropack.manifest import MANIFEST, entry_of, parse_manifest
from neuropack.release import METADATA
from neuropack.study import Study, load_study
from neuropack.study.edit import StudyText
from neuropack.study.records import Record

PARTS = ("major", "minor", "patch")


def released(place: Place) -> Record:
    """The metadata of the release that is there; empty where there are none that can be read."""
    try:
        found = json.loads(place.read(METADATA) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def version_of(document: Record) -> str:
    """The version that the metadata state; empty where they state none."""
    dataset = document.get("dataset")
    found = dataset.get("version") if isinstance(dataset, dict) else None
    return found if isinstance(found, str) and not _wrong(found) else ""


def changelog_of(document: Record) -> list[Record]:
    """The entries of the changelog that have a version, the newest first."""
    release = document.get("release")
    entries = release.get("changelog") if isinstance(release, dict) else None
    found = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [entry for entry in found if not schema.validate(entry, "ChangelogEntry")]


def published_as(document: Record) -> str:
    """The DOI under which the version that the metadata state is published; empty where it is not."""
    version = version_of(document)
    return next((str(e["doi"]) for e in changelog_of(document) if e["version"] == version and "doi" in e), "")


def new_version(study: Study, place: Place, wanted: str, changes: Sequence[str], *, begun: bool) -> Study:
    """Write a new version into study.yaml, unless an interrupted run of the same command has done it.

    Args:
        study: as it is.
        place: where the version to replace is.
        wanted: the new version, or the part of the old one to count up: major, minor or patch.
        changes: what the version brings, a sentence each.
        begun: whether a build there was interrupted.

    Returns:
        The study as it is now.

    Raises:
        UsageError: `wanted` is no version or not a later one; nothing is released there; a build was interrupted.
        InputError: study.yaml cannot be edited.
    """
    document = released(place)
    old, manifest = version_of(document), place.read(MANIFEST)
    if wanted not in PARTS and _wrong(wanted):
        expected = f"{', '.join(PARTS)}, or a version such as 1.1.0"
        raise UsageError("--new-version is no version", expected=expected, found=wanted)
    if _continues(study, old, wanted, changes, begun=begun):
        return study
    if not old or manifest is None:
        what, fix = "holds no version that a new one could replace", "build it without --new-version first"
        raise UsageError(what, file=place.root, fix=fix)
    if begun or f"{PENDING}/" in place.children():
        what, fix = "an earlier run was interrupted there", "complete it without --new-version first"
        raise UsageError(what, file=place.root, fix=fix)
    new = counted_up(old, wanted) if wanted in PARTS else wanted
    if not _order(new) > _order(old):
        raise UsageError("--new-version is not a later one", expected=f"later than {old}", found=new)
    if any(entry["version"] == new for entry in study.release.get("changelog", ())):
        what = f"the changelog of the study has an entry for {new} already"
        raise UsageError(what, file=study.path, fix="remove it there, or name a later version")
    entry = {"version": new, "date": datetime.now(UTC).date().isoformat(), "changes": list(changes)}
    text = StudyText(study.path)
    text.put(("dataset", "version"), new)
    text.put(("dataset", "date"), entry["date"])
    if study.release.get("changelog"):
        text.put_first(("release", "changelog"), entry)
    else:
        text.put(("release", "changelog"), [entry, *changelog_of(document)])
    digest = hashlib.sha256(manifest).hexdigest()
    if "supersedes" in study.release:
        text.put(("release", "supersedes", "version"), old)
        text.put(("release", "supersedes", "manifest_digest"), digest)
    else:
        text.put(("release", "supersedes"), {"version": old, "manifest_digest": digest})
    text.write()
    return load_study(study.path)


def counted_up(version: str, part: str) -> str:
    """The next version: major, minor or patch; of a version before 1.0.0-x that is 1.0.0 for patch."""
    major, minor, patch = _order(version)[0]
    if part == "major":
        return f"{major + 1}.0.0"
    if part == "minor":
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + ('-' not in version)}"


def _continues(study: Study, old: str, wanted: str, changes: Sequence[str], *, begun: bool) -> bool:
    """Whether study.yaml has the new version from an earlier run of the same command."""
    entries = study.release.get("changelog") or [{}]
    replaced = study.release.get("supersedes", {}).get("version")
    version = study.dataset["version"]
    if not replaced or entries[0].get("version") != version or entries[0].get("changes") != list(changes):
        return False
    if wanted not in PARTS:  # also after it was completed
        return bool(version == wanted)
    return bool(version == counted_up(replaced, wanted)) and (begun or old == replaced)


def _wrong(version: str) -> bool:
    return bool(schema.validate({"version": version, "manifest_digest": "0" * 64}, "EarlierVersion"))


def _order(version: str) -> tuple[tuple[int, ...], bool, list[tuple[bool, int, str]]]:
    """What versions are compared by: a pre-release comes before its release, its numbers before its words."""
    core, _, before = version.partition("+")[0].partition("-")
    words = [(not w.isdigit(), int(w) if w.isdigit() else 0, w) for w in re.split(r"\.", before) if w]
    return tuple(int(n) for n in core.split(".")), not before, words


def carried(said: Record, document: Record, current: Record) -> dict[str, Any]:
    """The changelog and the amendments of a release that is built again.

    Args:
        said: what the study says of the release.
        document: the metadata of the release that is there.
        current: the entry of this version, where the study has no changelog.

    Returns:
        The changelog: the study's, else this version and what the release has of earlier ones; each with the DOI
        that the release knows. Amendments, where there are any: the build may leave what they changed as it is.
    """
    earlier = changelog_of(document)
    dois = {entry["version"]: entry["doi"] for entry in earlier if "doi" in entry}
    entries = said.get("changelog") or [current, *(e for e in earlier if e["version"] != current["version"])]
    log = [{**entry, "doi": dois[entry["version"]]} if entry["version"] in dois else entry for entry in entries]
    release = document.get("release")
    noted = release.get("amendments") if isinstance(release, dict) else None
    kept = noted if isinstance(noted, list) else []
    amendments = [one for one in kept if not schema.validate(one, "Amendment")]
    return {"changelog": log, **({"amendments": amendments} if amendments else {})}


def protect(place: Place, version: str, document: Record) -> None:
    """Let nothing change at a place where this very version is published.

    It counts as published when its manifest lists the metadata that say so: a build that was interrupted on the way
    there may be completed.
    """
    doi = published_as(document)
    if doi and version_of(document) == version and _complete(place):
        place.published = f"version {version} is published ({doi}), and this build would change it"


def _complete(place: Place) -> bool:
    """Whether the manifest lists the metadata as they are."""
    listed, metadata = place.read(MANIFEST), place.read(METADATA)
    try:
        entries = parse_manifest(listed or b"", MANIFEST)
    except InputError:
        return False
    return metadata is not None and entries.get(METADATA) == entry_of(metadata)
