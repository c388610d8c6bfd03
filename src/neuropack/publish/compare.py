"""What a published copy lacks, by digests: what is new, changed, the same, and what is there besides.

An object whose size is right is the same where its digest is. The digest comes from the manifest of the copy for
an object that the server says is older than that manifest; else from the object itself, which carries it. Asked to
read, it comes from the bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from neuropack.errors import InputError, UsageError
from neuropack.issue import Checked, Issue, Report, Where
from neuropack.manifest import MANIFEST, Entry, parse_manifest
from neuropack.progress import Progress
from neuropack.publish.sealed import Sealed
from neuropack.publish.target import Target
from neuropack.rules.release_files import TABLE_LIMIT
from neuropack.rules.run import LIMIT
from neuropack.writers.store import Stored


@dataclass
class Comparison:
    """A release beside its published copy.

    Attributes:
        new: files that are not there.
        changed: files that are there with another content.
        same: files that are there.
        extra: what is there and not in the release, with its bytes.
        manifest: the bytes of the manifest there; None where there is none.
        complete: whether that is the manifest of the release.
        found: what was found in place of each of the changed files.
        read: bytes that were read to know it.
    """

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    extra: dict[str, int] = field(default_factory=dict)
    manifest: bytes | None = None
    complete: bool = False
    found: dict[str, str] = field(default_factory=dict)
    read: int = 0

    @property
    def missing(self) -> list[str]:
        """What has to be sent."""
        return [*self.new, *self.changed]


def compare(release: Sealed, target: Target, *, read: bool = False, progress: Progress | None = None) -> Comparison:
    """See what of a release lies at a place.

    Args:
        release: the release.
        target: the place.
        read: read every file there.
        progress: called with the bytes read.

    Raises:
        InputError, OutputError: the place cannot be read.
    """
    there, result = target.files(), Comparison()
    listed = there.pop(MANIFEST, None)
    vouched = _vouched(target, listed, result)
    result.complete = result.manifest == release.manifest
    asked = []
    for name, entry in release.entries.items():
        stored = there.pop(name, None)
        if stored is None:
            result.new.append(name)
        elif stored.bytes != entry.bytes:
            _changed(result, name, f"{stored.bytes} bytes")
        elif read or listed is None or stored.touched >= listed.touched or name not in vouched:
            asked.append(name)
        elif vouched[name].sha256 == entry.sha256:
            result.same.append(name)
        else:
            _changed(result, name, f"SHA-256 {vouched[name].sha256}")
    result.extra = {name: stored.bytes for name, stored in sorted(there.items())}
    for name, sha256 in _digests(release, target, asked, result, progress if read else None, read=read).items():
        if sha256 == release.entries[name].sha256:
            result.same.append(name)
        else:
            _changed(result, name, f"SHA-256 {sha256}" if sha256 else "no digest that it carries")
    result.changed.sort()
    return result


def _digests(
    release: Sealed, target: Target, names: list[str], result: Comparison, progress: Progress | None, *, read: bool
) -> Mapping[str, str | None]:
    if not read:
        return target.noted(names)
    total, lock = sum(release.entries[name].bytes for name in names), threading.Lock()

    def one(name: str, size: int) -> None:
        with lock:
            result.read += size
            if progress:
                progress("reading", result.read, total)

    return target.digests(names, one)


def _vouched(target: Target, listed: Stored | None, result: Comparison) -> Mapping[str, Entry]:
    if listed is None:
        return {}
    if listed.bytes > TABLE_LIMIT:
        raise InputError(
            "is no manifest of a release", file=f"{target.root}/{MANIFEST}", found=f"{listed.bytes} bytes"
        )
    result.manifest = target.read(MANIFEST)
    try:
        return parse_manifest(result.manifest or b"", f"{target.root}/{MANIFEST}")
    except InputError:  # then it vouches for nothing, and every object is asked
        return {}


def _changed(result: Comparison, name: str, found: str) -> None:
    result.changed.append(name)
    result.found[name] = found


def verdict(release: Sealed, result: Comparison) -> Report:
    """What is wrong with a published copy that was read, as findings; of each kind as many as somebody may read."""
    report = Report(checked=Checked(len(result.same) + len(result.changed), result.read, rules=4))
    again = "publish the release again, with --verify --go"
    if not result.complete:
        found = "another one" if result.manifest is not None else "none"
        where = Where(MANIFEST)
        report.add([Issue("publish.manifest", "error", where, "the manifest of the release", found, again)])
    missing = (
        Issue("publish.missing", "error", Where(name), _expected(release, name), "no such file", again)
        for name in result.new
    )
    changed = (
        Issue("publish.digest", "error", Where(name), _expected(release, name), result.found[name], again)
        for name in result.changed
    )
    fix, listed = "remove it by publishing with --delete --go, or leave it", "only what the manifest lists"
    extra = (
        Issue("publish.extra", "warning", Where(name), listed, f"{size} bytes", fix)
        for name, size in result.extra.items()
    )
    for issues in (missing, changed, extra):
        report.add(islice(issues, LIMIT))
        if (more := next(issues, None)) is not None:
            found = f"more than {LIMIT} such files"
            report.add([Issue(more.rule, more.level, Where("."), more.expected, found, more.fix)])
    return report


def _expected(release: Sealed, name: str) -> str:
    return f"{release.entries[name].bytes} bytes, SHA-256 {release.entries[name].sha256}"


def refuse_to_delete(target: Target, result: Comparison) -> None:
    """See that no other release lies below the place.

    Raises:
        UsageError: one does.
    """
    below = next((name for name in result.extra if name.endswith(f"/{MANIFEST}")), None)
    if below is not None:
        raise UsageError(
            "another release lies below this place, and --delete would remove it",
            file=target.root,
            found=below,
            fix="leave --delete out, or name the place of the release itself",
        )
