"""Seal a release whose files were changed on purpose: a new manifest, and a record of who changed what, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from neuropack.amend import commit, finish
from neuropack.build.bids import json_text
from neuropack.build.version import published_as
from neuropack.errors import UsageError
from neuropack.issue import Issue
from neuropack.manifest import MANIFEST, entry_of, sha256_of
from neuropack.mend import record
from neuropack.mend.standing import (
    Changes,
    alone,
    changes_between,
    document_of,
    findings,
    hashed,
    listed,
    open_files,
)
from neuropack.progress import Progress
from neuropack.release import METADATA
from neuropack.rules import ReleaseFiles

# What must not be sealed: nobody leaves it there on purpose, or no manifest can list it.
FORBIDDEN = ("files.unfinished", "files.plain", "files.names", "files.junk", "files.manifest")


@dataclass(frozen=True)
class Sealed:
    """What `seal` found and did.

    Attributes:
        changes: what is sealed, or would be.
        left: what was changed as well, and not named.
        forbidden: why nothing was sealed.
        written: whether the manifest is a new one.
        finished: files of an interrupted amendment that were put in their place first.
        published: the DOI of the version, where it is published: what is sealed is not that version any more.
    """

    changes: Changes
    left: Changes = field(default_factory=Changes)
    forbidden: tuple[Issue, ...] = ()
    written: bool = False
    finished: tuple[str, ...] = ()
    published: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "sealed": self.written,
            **self.changes.to_dict(),
            "left": self.left.to_dict(),
            "forbidden": [asdict(issue) for issue in self.forbidden],
            "finished": list(self.finished),
            "published": self.published or None,
        }


def seal(
    root: Path,
    *,
    by: str,
    reason: str,
    only: Sequence[str] = (),
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Sealed:
    """Write the manifest anew for files that were changed on purpose.

    Args:
        root: the release. Every file of it is read.
        by: who vouches for the changes.
        reason: why they were made.
        only: patterns of the paths to seal, where ``*`` stands for anything; a folder stands for all below it.
        dry_run: write nothing.
        progress: called as files are read.

    Raises:
        UsageError: `by` or `reason` cannot stand in a record; no change fits `only`; the metadata were changed
            too and are not among them.
        InputError: no manifest or metadata that can be read.
        OutputError: the release cannot be written.
    """
    nothing = {"earlier_manifest": "0" * 64}
    record.amendment("seal", by, reason, before=nothing)  # a mistake is told before terabytes are read
    if dry_run:
        return _sealed(open_files(root, progress), by, reason, only, write=False)
    open_files(root)
    with alone(root):
        finished = finish(root)
        return _sealed(open_files(root, progress), by, reason, only, write=True, finished=finished)


def _sealed(
    release: ReleaseFiles,
    by: str,
    reason: str,
    only: Sequence[str],
    *,
    write: bool,
    finished: tuple[str, ...] = (),
) -> Sealed:
    forbidden = tuple(findings(release, FORBIDDEN))
    if forbidden:
        return Sealed(Changes(), forbidden=forbidden, finished=finished)
    before, document = listed(release), document_of(release)
    now = hashed(release, [name for name in release.files if name != MANIFEST])
    found = changes_between(before, now)
    chosen = set(_matching(found.names, only))
    if only and found.names and not chosen:
        what = "nothing that was changed fits --only"
        raise UsageError(what, file=release.root, expected=_some(found.names), found=", ".join(only))
    if chosen and METADATA in found.names and METADATA not in chosen:
        what = "was changed too, and the record of the seal goes into it"
        raise UsageError(what, file=release.root / METADATA, fix=f"look at it, and add --only {METADATA}")
    changes, left = _part(found, chosen), _part(found, set(found.names) - chosen)
    doi = published_as(document)
    if not chosen or not write:
        return Sealed(changes, left, finished=finished, published=doi)
    after = {name: entry for name, entry in before.items() if name not in chosen}
    after |= {name: now[name] for name in chosen if name in now}
    files: dict[str, bytes] = {}
    digests = {
        "earlier_manifest": sha256_of(release.path(MANIFEST)).sha256,
        "earlier_metadata": before[METADATA].sha256 if METADATA in before else None,
    }
    made = record.amendment(
        "seal",
        by,
        reason,
        files=[one for one in record.file_changes(changes.names, before, after) if one["path"] != METADATA],
        changes=[f"{METADATA} was changed."] * (METADATA in chosen),
        before={key: value for key, value in digests.items() if value is not None},
    )
    files[METADATA] = json_text(record.noted(record.with_digests(document, after), made)).encode()
    after[METADATA] = entry_of(files[METADATA])
    description = release.json(record.CROISSANT)
    if after.get(record.CROISSANT) == now.get(record.CROISSANT) and description is not None:
        record.described(description.data, files, after)
    record.catalogued(release.root, json.loads(files[METADATA]), files, after)
    commit(release.root, files, after)
    return Sealed(changes, left, written=True, finished=finished, published=doi)


def _matching(names: Iterable[str], only: Sequence[str]) -> list[str]:
    """The names that a pattern fits, or the folder above that it fits; all where there is no pattern."""

    def fits(name: str) -> bool:
        paths = [name, *map(str, PurePosixPath(name).parents)]
        return any(fnmatchcase(path, pattern.rstrip("/")) for pattern in only for path in paths if path != ".")

    return [name for name in names if not only or fits(name)]


def _part(changes: Changes, chosen: set[str]) -> Changes:
    lists = (changes.added, changes.removed, changes.changed)
    return Changes(*(tuple(name for name in names if name in chosen) for names in lists))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
