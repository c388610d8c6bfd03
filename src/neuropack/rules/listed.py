"""Files and folders as the manifest has them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

from neuropack.manifest import Entry, digest_of_lines
from neuropack.rules.manifest import ManifestRow
from neuropack.rules.release_files import ReleaseFiles, below

_LONGEST = 2**20


def listed_digests(manifest: Mapping[str, ManifestRow], paths: Collection[str]) -> dict[str, str]:
    """The SHA-256 of each path that the manifest knows: of a file its own, of a folder that of its lines."""
    found = {path: manifest[path].sha256 for path in paths if path in manifest}
    names = sorted(manifest)
    for path in set(paths) - found.keys():
        rows = {name.removeprefix(path + "/"): manifest[name] for name in below(names, path)}
        if rows:
            found[path] = digest_of_lines({name: Entry(row.bytes, row.sha256) for name, row in rows.items()})
    return found


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
