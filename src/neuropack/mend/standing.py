"""How a release stands beside its manifest: what was added, removed and changed since, and what is in the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuropack.errors import InputError, OutputError
from neuropack.issue import Issue
from neuropack.locks import only_one
from neuropack.manifest import MANIFEST, Entry, hash_each, sha256_of
from neuropack.release import METADATA
from neuropack.rules import ReleaseFiles, load_rules
from neuropack.study.records import Record

_DEEPEST = 200
"""Lists and objects in each other; ten are ours, and a few hundred are more than Python can copy or write."""


@dataclass(frozen=True)
class Changes:
    """Paths of files, sorted, since the manifest was written."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.added, *self.removed, *self.changed)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"added": list(self.added), "removed": list(self.removed), "changed": list(self.changed)}


def changes_between(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> Changes:
    """What differs between two lists of files."""
    return Changes(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
        tuple(sorted(name for name in before.keys() & after.keys() if before[name] != after[name])),
    )


def findings(release: ReleaseFiles, rules: Iterable[str]) -> list[Issue]:
    """What some of the rules find in a release."""
    wanted = set(rules)
    chosen = [rule for rule in load_rules() if rule.id in wanted]
    return [rule.issue(found) for rule in chosen for found in rule.function(release)]


def listed(release: ReleaseFiles) -> dict[str, Entry]:
    """What the manifest lists.

    Raises:
        InputError: there is none that can be read.
    """
    if release.manifest is None:
        raise InputError(
            "has no manifest that can be read",
            file=release.root / MANIFEST,
            fix="restore it from a complete copy, or build the release again",
        )
    return {path: Entry(row.bytes, row.sha256) for path, row in release.manifest.items() if path != MANIFEST}


def document_of(release: ReleaseFiles) -> Record:
    """The metadata.

    Raises:
        InputError: there are none that can be read, or they nest too deeply to be written again.
    """
    if release.metadata is None:
        told = release.problems.get(METADATA)
        raise InputError(
            "holds no metadata that can be read",
            file=release.root / METADATA,
            expected=told.expected if told else "a JSON object",
            found=told.found if told else "no such file" if METADATA not in release.files else None,
            fix="restore it from a complete copy, or build the release again",
        )
    if too_deep(release.metadata.data):
        fix = "restore it from a complete copy, or build the release again"
        raise InputError("is nested too deeply to be compared or changed", file=release.root / METADATA, fix=fix)
    return dict(release.metadata.data)


def too_deep(data: Any) -> bool:
    """Whether lists and objects of JSON stand too deep in each other to be copied and written again."""
    level = [data]
    for _ in range(_DEEPEST):
        nested = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [inner for one in nested for inner in one]
    return bool(level)


def hashed(release: ReleaseFiles, names: Sequence[str]) -> dict[str, Entry]:
    """Size and digest of files as they are now; every byte is read."""
    done, total = 0, sum(release.files[name] for name in names)

    def one(name: str) -> Entry:
        nonlocal done
        entry = sha256_of(release.path(name))
        done += entry.bytes
        release.note("comparing digests", done, total)
        return entry

    return hash_each(names, one)


def open_files(path: Path, progress: Any = None) -> ReleaseFiles:
    """The files of a release.

    Raises:
        InputError: the folder is not there, or is not one.
    """
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing there"
        raise InputError("is not the folder of a release", file=path, expected="a folder", found=found)
    return ReleaseFiles(path, progress)


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Keep other runs off the release, and tell what the system refuses.

    Raises:
        OutputError: another run is at work there, or it cannot be written.
    """
    try:
        with only_one(root.resolve()):
            yield
    except OSError as error:
        fix = "check the folder's permissions and the room on the disk"
        what = f"cannot be written: {error.strerror or error}"
        raise OutputError(what, file=error.filename or root, fix=fix) from error


def settled(release: ReleaseFiles) -> None:
    """See that no run was interrupted in a release.

    Raises:
        InputError: one was; names what it left.
    """
    for issue in findings(release, ("files.unfinished",)):
        raise InputError(f"holds {issue.found}", file=release.root, where=str(issue.where), fix=issue.fix)
