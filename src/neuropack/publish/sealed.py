"""The files of a release that its manifest seals, read without following a link out of it.

Between validation and the last byte sent, hours may pass. So every file is compared with the manifest once more
while it is read, and no folder on the way to it may have become a link.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from neuropack.errors import InputError
from neuropack.manifest import MANIFEST, Entry, parse_manifest
from neuropack.rules import ReleaseFiles

_PIECE = 8 << 20
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | os.O_RDONLY
# Without waiting: somebody may have put a pipe there.
_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | os.O_RDONLY


@dataclass(frozen=True)
class Sealed:
    """A release as its manifest describes it.

    Attributes:
        root: the folder.
        manifest: the bytes of the manifest.
        entries: the files that it lists, by path, sorted.
    """

    root: Path
    manifest: bytes
    entries: dict[str, Entry]

    def pieces(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, 8 MiB at a time; ends with an error where they are not those of the manifest.

        Raises:
            InputError: the file cannot be read, is no regular file, or has changed. Whoever stores the pieces
                has to discard them then.
        """
        expected, digest, size = self.entries[name], hashlib.sha256(), 0
        with _opened(self.root, name) as file:
            while piece := _read(file, self.root / name):
                digest.update(piece)
                size += len(piece)
                if size > expected.bytes:
                    break
                yield piece
        if Entry(size, digest.hexdigest()) != expected:
            more = "more than " if size > expected.bytes else ""
            raise InputError(
                "has changed since the manifest was written",
                file=self.root / name,
                expected=f"{expected.bytes} bytes, SHA-256 {expected.sha256}",
                found=f"{more}{expected.bytes if more else size} bytes, SHA-256 {digest.hexdigest()}",
                fix="build the release again, or restore the file, and publish again",
            )


def sealed(root: Path) -> Sealed:
    """The files of a release by its manifest. Links and what the manifest does not list are left aside.

    Raises:
        InputError: there is no manifest that can be read, or a file that it lists is not there as a regular file of
            that size.
    """
    seen = ReleaseFiles(root)
    rows = seen.manifest
    if rows is None:
        raise InputError(
            "holds no manifest that can be read",
            file=root / MANIFEST,
            fix="build the release again, then publish it",
        )
    for name, row in rows.items():
        if seen.files.get(name) != row.bytes:
            found = seen.others.get(name) or (f"{seen.files[name]} bytes" if name in seen.files else "no such file")
            raise InputError(
                "is not the file that the manifest lists",
                file=root / name,
                expected=f"a regular file of {row.bytes} bytes",
                found=found,
                fix="build the release again, or restore the file, and publish again",
            )
    entries = {name: Entry(row.bytes, row.sha256) for name, row in sorted(rows.items()) if name != MANIFEST}
    with _opened(root, MANIFEST) as file:
        manifest = file.read()
    listed = parse_manifest(manifest, root / MANIFEST)
    listed.pop(MANIFEST, None)
    if listed != entries:
        raise InputError(
            "has rows that cannot be used, or has just changed",
            file=root / MANIFEST,
            fix="build the release again, then publish it",
        )
    return Sealed(root, manifest, entries)


def _opened(root: Path, name: str) -> BinaryIO:
    """A regular file below a folder, opened step by step so that none of the steps is a link."""
    try:
        handle = _descend(root, name) if os.open in os.supports_dir_fd else _checked(root, name)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=root / name) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError("is no regular file", file=root / name)
    return os.fdopen(handle, "rb", buffering=0)


def _descend(root: Path, name: str) -> int:
    *above, last = name.split("/")
    folder = os.open(root, _FOLDER & ~getattr(os, "O_NOFOLLOW", 0))  # the release itself may be named by a link
    try:
        for part in above:
            deeper = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = deeper
        return os.open(last, _FILE, dir_fd=folder)
    finally:
        with suppress(OSError):
            os.close(folder)


def _checked(root: Path, name: str) -> int:
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()) or path.is_symlink():
        raise InputError("is a link, or lies behind one", file=path)
    return os.open(path, _FILE)


def _read(file: BinaryIO, path: Path) -> bytes:
    try:
        return file.read(_PIECE)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
