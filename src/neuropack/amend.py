"""Files of a release and its manifest changed together: all of them or none, whenever the process dies.

What is to be written is first put into a folder of the release, ``.neuropack-mending``, whole and durable; then a
note there says that it is complete; then each file is renamed to its place, the manifest last. A run that finds the
folder with the note goes on with the renaming; without the note nothing has been changed yet, and it is discarded.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from neuropack.errors import InputError
from neuropack.manifest import MANIFEST, Entry, manifest
from neuropack.writers.store import sync

PENDING = ".neuropack-mending"
_FILES, _READY = "files", "complete"


def commit(
    root: Path,
    files: Mapping[str, bytes],
    entries: Mapping[str, Entry],
    *,
    moved: Mapping[str, Path] | None = None,
) -> None:
    """Write files of a release, and its manifest.

    Args:
        root: the release.
        files: the new content of each, by path in the release.
        entries: what the manifest is to list, these files among it.
        moved: large files that are ready elsewhere, by path in the release; they are moved there.

    Raises:
        InputError: a link leads out of the release.
        OutputError: a name cannot stand in the manifest.
        OSError: the release cannot be written.
    """
    finish(root)
    staged = root / PENDING / _FILES
    for name, data in {**files, MANIFEST: manifest(root, entries)}.items():
        _inside(root, name)
        path = staged / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        sync(path)
    for name, ready in (moved or {}).items():
        _inside(root, name)
        path = staged / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(ready, path)  # a rename, or from another disk a copy
        sync(path)
    (root / PENDING / _READY).touch()
    sync(root / PENDING)
    finish(root)


def finish(root: Path) -> tuple[str, ...]:
    """Complete what an interrupted `commit` has begun.

    Returns:
        The files that were put in their place now.

    Raises:
        InputError: a link stands where a file is to be written.
        OSError: the release cannot be written.
    """
    folder = root / PENDING
    if folder.is_symlink():
        raise InputError("is a link", file=folder, expected="a folder of neuropack", fix="remove it")
    if not folder.exists():
        return ()
    done = []
    if (folder / _READY).exists():
        staged = folder / _FILES
        for name in sorted(_below(staged), key=lambda n: (n == MANIFEST, n)):
            _inside(root, name)
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (staged / name).replace(root / name)
            done.append(name)
        for place in {(root / name).parent for name in done}:
            sync(place)
        (folder / _READY).unlink()
    shutil.rmtree(folder)
    return tuple(done)


def _below(folder: Path) -> list[str]:
    """Regular files below a folder, relative to it; links are neither followed nor listed."""
    found = []
    for at, _, names in os.walk(folder):
        paths = (Path(at) / name for name in names)
        found += [path.relative_to(folder).as_posix() for path in paths if not path.is_symlink()]
    return found


def _inside(root: Path, name: str) -> None:
    """See that a name lies in the release, and that no part of it is a link."""
    parts = PurePosixPath(name).parts
    path = root
    for part in parts:
        path /= part
        if part == ".." or path.is_symlink():
            raise InputError("is not written: a link or .. leads out of the release", file=root, where=name)
