"""Files and folders as the manifest has them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from neuropack.release import Entry, digest_of_lines
from neuropack.rules.release_files import ManifestRow, ReleaseFiles

_LONGEST = 2**20


def listed_digests(manifest: Mapping[str, ManifestRow], paths: Collection[str]) -> dict[str, str]:
    """The SHA-256 of each path that the manifest knows: of a file its own, of a folder that of its lines."""
    wanted = set(paths)
    below: dict[str, dict[str, Entry]] = {path: {} for path in wanted}
    for name, row in manifest.items():
        for path in wanted.intersection(map(str, PurePosixPath(name).parents)):
            below[path][name.removeprefix(path + "/")] = Entry(row.bytes, row.sha256)
    found = {path: manifest[path].sha256 for path in wanted if path in manifest}
    return found | {path: digest_of_lines(rows) for path, rows in below.items() if rows and path not in found}


def listed_text(release: ReleaseFiles, name: str) -> str | None:
    """A short text of a release; None where there is none, and where it is not the one that the manifest lists.

    What was damaged or changed since is told by the rules files.*, and by no other.
    """
    if release.files.get(name, _LONGEST + 1) > _LONGEST:
        return None
    try:
        data = release.path(name).read_bytes()
    except OSError:
        return None
    row = (release.manifest or {}).get(name)
    if row is not None and row.sha256 != hashlib.sha256(data).hexdigest():
        return None
    return data.decode("utf-8", "replace")
