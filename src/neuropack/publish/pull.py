"""A copy of a release elsewhere, in a folder: whole or in part, checked file by file, the manifest last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuropack.address import Address
from neuropack.errors import OutputError
from neuropack.far import Far, chosen, plain, remove_partials
from neuropack.locks import only_one
from neuropack.manifest import MANIFEST, read_manifest, sha256_of
from neuropack.progress import Progress
from neuropack.whole import published


@dataclass(frozen=True)
class Pulled:
    """What a run did.

    Attributes:
        source, folder: from where, to where.
        files, bytes: that were wanted.
        fetched_files, fetched_bytes: that had to be fetched.
        complete: whether the folder is the whole release now.
    """

    source: str
    folder: Path
    files: int
    bytes: int
    fetched_files: int
    fetched_bytes: int
    complete: bool

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**self.__dict__, "folder": str(self.folder)}


def pull(address: Address, folder: Path, only: Sequence[str] = (), *, progress: Progress | None = None) -> Pulled:
    """Download a release, or go on with it. What is there already and right is not fetched again.

    Args:
        address: of the release.
        folder: where it comes to lie; it may hold an earlier, or unfinished, copy of the same release.
        only: shell patterns of paths; a folder means all that is in it. Without any, everything.
        progress: called with the bytes that are there.

    Raises:
        InputError: there is no release, a pattern means no file, or a file is not what the manifest says.
        OutputError: the folder cannot be written, or holds something else.
    """
    far = Far(address)
    names = chosen(far.entries, only)
    _see_free(folder, far)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with only_one(folder):
        manifest = folder / MANIFEST
        fetched, size = far.bring(names, folder, progress)
        whole = len(names) == len(far.entries)
        if not manifest.is_file() or manifest.read_bytes() != far.manifest:
            _remove_former(folder, far)
            with published(manifest, overwrite=True) as path:
                path.write_bytes(far.manifest)
        if whole:
            remove_partials(folder)
    total = sum(far.entries[name].bytes for name in names)
    return Pulled(address.url, folder, len(names), total, fetched, size, whole)


def _remove_former(folder: Path, far: Far) -> None:
    """Remove files of the version that was here before which the new one has no longer; unchanged ones only."""
    if not (folder / MANIFEST).is_file():
        return
    for name, entry in read_manifest(folder).items():
        path = folder / name
        if name not in far.entries and plain(name) and path.is_file() and sha256_of(path) == entry:
            path.unlink()


def _see_free(folder: Path, far: Far) -> None:
    """Refuse a folder that holds other things: what is not of the release would look as if it were."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise OutputError("is no folder", file=folder, fix="name a new folder")
    if not folder.exists():
        return
    first = {name.split("/")[0] for name in far.entries} | {MANIFEST}
    if (folder / MANIFEST).is_file():
        first |= {name.split("/")[0] for name in read_manifest(folder)}
    others = sorted(p.name for p in folder.iterdir() if p.name.removesuffix(".partial") not in first)
    if others:
        raise OutputError(
            "holds other things than this release",
            file=folder,
            expected="a new or empty folder, or an earlier copy of the release",
            found=", ".join(others[:4]),
            fix="name another folder",
        )
