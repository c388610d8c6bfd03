"""Digests of the files that a manifest lists: all of them, or those that a sample has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from neuropack.errors import InputError
from neuropack.manifest import MANIFEST, sha256_of
from neuropack.rules.ahead import ahead
from neuropack.rules.kept import Stamp, stamp
from neuropack.rules.sampling import SHARE, WHOLE

if TYPE_CHECKING:
    from neuropack.rules.manifest import ManifestRow
    from neuropack.rules.release_files import ReleaseFiles

_DIGEST = re.compile("[0-9a-f]{64}")
SMALL = 2**20
"""Bytes of a file beside the pixels that every sample has."""


def digests(release: ReleaseFiles) -> Iterator[tuple[ManifestRow, str]]:
    """Each row of the manifest whose file is looked at, and the digest of the file, or why it has none.

    Files of another size than the manifest states are left to the rule for sizes.
    """
    listed = (release.manifest or {}).items()
    rows = [r for p, r in listed if p != MANIFEST and release.files.get(p) == r.bytes]
    known = release.pixels.digests  # the pass over the pixels has read these already
    chosen = rows if release.sample.level == "full" else _sampled(release, rows)
    release.checked.all_digests = len(rows)
    done, total = 0, sum(r.bytes for r in chosen)

    def jobs() -> Iterator[tuple[tuple[ManifestRow, Stamp | None, str | None], int]]:
        for row in chosen:
            when = stamp(release.path(row.path)) if release.kept is not None else None
            yield (row, when, known.get(row.path) or _remembered(release, row, when)), 0

    def compute(job: tuple[ManifestRow, Stamp | None, str | None]) -> str:
        row, _, found = job
        try:
            return found or sha256_of(release.path(row.path)).sha256
        except InputError as error:
            return f"the file {error.what}"

    for (row, when, before), found in ahead(jobs(), compute):
        done += row.bytes
        release.checked.digests += 1
        release.note("comparing digests", done, total)
        if found != before:
            keep_digest(release, row.path, when, found)
        yield row, found


def keep_digest(release: ReleaseFiles, name: str, when: Stamp | None, digest: str) -> None:
    """Remember the digest of a file for later runs, where it is still what it was before it was read."""
    sound = when is not None and _DIGEST.fullmatch(digest) and stamp(release.path(name)) == when
    if release.kept is not None and sound:
        release.kept.put(digest, "sha256", str(release.root.resolve()), name, when)


def _remembered(release: ReleaseFiles, row: ManifestRow, when: Stamp | None) -> str | None:
    """The digest that an earlier run computed of a file that has not changed since."""
    if release.kept is None or when is None:
        return None
    value = release.kept.get("sha256", str(release.root.resolve()), row.path, when)
    return value if value is not None and _DIGEST.fullmatch(value) else None


def _sampled(release: ReleaseFiles, rows: list[ManifestRow]) -> list[ManifestRow]:
    """The files of the chunks that are decoded, all small files beside the pixels, and some of the others."""
    pixels = {n for i in release.images for v in i.levels if v.array for n in v.array.files()}
    chosen = release.pixels.chosen | release.pixels.digests.keys()
    always = {r.path for r in rows if r.path in chosen or (r.bytes <= SMALL and r.path not in pixels)}
    others = [r for r in rows if r.path not in always]
    left = max(WHOLE, sum(r.bytes for r in others) // SHARE)
    release.sample.random(MANIFEST).shuffle(others)
    for row in others:
        if row.bytes <= left:
            always.add(row.path)
            left -= row.bytes
    return [r for r in rows if r.path in always]
