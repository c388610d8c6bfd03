"""The manifest of a release, ``manifest.tsv``: path, bytes and sha256 of every file but itself."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neuropack.errors import InputError, OutputError
from neuropack.table import parse_tsv, read_tsv, tsv_text

if TYPE_CHECKING:
    from threading import Event

MANIFEST = "manifest.tsv"
PARTIAL = MANIFEST + ".partial"
NOT_DATA = {".git"}
"""What may lie at the root of a release without being part of it: it changes while the data do not."""
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A file as the manifest lists it."""

    bytes: int
    sha256: str


def entry_of(data: bytes) -> Entry:
    """Size and digest of the content of a file."""
    return Entry(len(data), hashlib.sha256(data).hexdigest())


def sha256_of(path: Path, stop: Event | None = None) -> Entry:
    """Size and digest of a file, read block by block.

    Raises:
        InputError: it cannot be read.
        CancelledError: `stop` was set.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                if stop is not None and stop.is_set():
                    raise CancelledError
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    return Entry(size, digest.hexdigest())


def digest_of(path: Path) -> str:
    """SHA-256 of a file; of a folder, of its sorted manifest lines (path inside it, bytes, sha256)."""
    if path.is_dir():
        return digest_of_lines(hash_files(path, list(files_below(path))))
    return sha256_of(path).sha256


def digest_of_lines(entries: Mapping[str, Entry]) -> str:
    """The digest that stands for a folder."""
    lines = (f"{name}\t{e.bytes}\t{e.sha256}\n" for name, e in sorted(entries.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def files_below(root: Path) -> Iterator[str]:
    """Every file below a folder but those of version control, relative, with forward slashes, sorted."""
    found = []
    for folder, folders, names in os.walk(root):
        base = Path(folder).relative_to(root)
        if base == Path():
            folders[:] = [f for f in folders if f not in NOT_DATA]
        found += [(base / name).as_posix() for name in names]
    yield from sorted(found)


def hash_files(root: Path, names: Iterable[str]) -> dict[str, Entry]:
    """Size and digest of files, several at a time."""
    return hash_each(names, lambda name: sha256_of(root / name))


def hash_each(names: Iterable[str], one: Callable[[str], Entry]) -> dict[str, Entry]:
    """Size and digest of what has these names, several at a time, by what takes those of one."""
    names = list(names)
    with ThreadPoolExecutor(thread_name_prefix="hash") as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


def write_manifest(root: Path, entries: Mapping[str, Entry] | None = None) -> dict[str, Entry]:
    """Write ``manifest.tsv``: path, bytes and sha256 of every file of the release but itself.

    Args:
        root: the release.
        entries: what is already known; without it every file is read.

    Raises:
        OutputError: it cannot be written, or the name of a file cannot stand in it.
    """
    known = hash_files(root, [n for n in files_below(root) if n != MANIFEST]) if entries is None else dict(entries)
    data, partial = manifest(root, known), root / PARTIAL
    try:
        partial.write_bytes(data)
        partial.replace(root / MANIFEST)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", file=root / MANIFEST) from error
    return known


def manifest(root: Path | str, entries: Mapping[str, Entry]) -> bytes:
    """The content of ``manifest.tsv``.

    Args:
        root: the release, for messages.
        entries: the files, by path.

    Raises:
        OutputError: the name of a file cannot stand in it.
    """
    rows = ({"path": name, "bytes": e.bytes, "sha256": e.sha256} for name, e in sorted(entries.items()))
    try:
        return tsv_text(["path", "bytes", "sha256"], rows).encode()
    except ValueError as error:
        raise OutputError("a file's name cannot stand in the manifest", file=root, found=str(error)) from error


def read_manifest(root: Path) -> dict[str, Entry]:
    """The files that ``manifest.tsv`` lists, by path.

    Raises:
        InputError: it is missing, or a row is not path, bytes and sha256.
    """
    return _listed(read_tsv(root / MANIFEST), root / MANIFEST)


def parse_manifest(data: bytes, path: Path | str) -> dict[str, Entry]:
    """The files that the content of a ``manifest.tsv`` lists, by path.

    Raises:
        InputError: a row is not path, bytes and sha256; names the file.
    """
    return _listed(parse_tsv(data, path), path)


def _listed(rows: Iterable[Mapping[str, str]], path: Path | str) -> dict[str, Entry]:
    entries = {}
    for line, row in enumerate(rows, 2):
        try:
            entries[row["path"]] = Entry(int(row["bytes"]), row["sha256"])
        except (KeyError, ValueError):
            found = " ".join(row.values())[:80]
            raise InputError(
                "not a manifest row",
                file=path,
                where=f"line {line}",
                expected="path, bytes, sha256",
                found=found,
            ) from None
    return entries
